#include "vault/vault.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "pki/openssl.h"

enum {
	EC_DIGEST_LEAST = 20,
	EC_DIGEST_MOST = 64,
	PSS_TRAILER = 0xbc, /* RFC 8017, 9.1.1 */
};

/*
 * A private key signs and deciphers by one and the same operation. Only what
 * is an encoded message for a signature (RFC 8017, 9.1.1 and 9.2) gets it.
 */
static bool
is_encoded_message(const struct message_prove *request)
{
	const uint8_t *block = request->input;

	return block[request->len - 1] == PSS_TRAILER ||
	       (block[0] == 0 && block[1] == 1);
}

/* How the input is to be padded; -1 when the key does not sign it. */
static int
padding_choose(EVP_PKEY *key, const struct message_prove *request, int *padding)
{
	uint32_t size = (uint32_t)EVP_PKEY_get_size(key);

	*padding = 0;
	if (EVP_PKEY_is_a(key, "EC"))
		return request->len >= EC_DIGEST_LEAST &&
			       request->len <= EC_DIGEST_MOST
			   ? 0
			   : -1;
	if (!EVP_PKEY_is_a(key, "RSA") || request->len < EC_DIGEST_LEAST)
		return -1;
	*padding = request->len == size ? RSA_NO_PADDING : RSA_PKCS1_PADDING;
	return request->len <= size && (*padding == RSA_PKCS1_PADDING ||
					   is_encoded_message(request))
		   ? 0
		   : -1;
}

static int
input_sign(EVP_PKEY *key, const struct message_prove *request, int padding,
    struct message_prove_done *done, struct fault *fault)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	char reason[OPENSSL_REASON_LEN];
	size_t len = sizeof(done->signature);
	int result = 0;

	if (context == NULL || EVP_PKEY_sign_init(context) != 1 ||
	    (padding != 0 &&
		EVP_PKEY_CTX_set_rsa_padding(context, padding) != 1) ||
	    EVP_PKEY_sign(context, done->signature, &len, request->input,
		request->len) != 1) {
		openssl_reason(reason);
		result = fault_set(fault, CAUSE_VAULT_ERROR,
		    "the key does not sign: %s", reason);
	}
	done->len = result == 0 ? (uint32_t)len : 0;
	EVP_PKEY_CTX_free(context);
	openssl_forget();
	return result;
}

int
prove(const struct secret *pem, const struct message_prove *request,
    struct message_prove_done *done, struct fault *fault)
{
	EVP_PKEY *key = key_load(pem->data, pem->len, fault);
	int padding, result;

	if (key == NULL)
		return -1;
	if (padding_choose(key, request, &padding) == -1)
		result = fault_set(fault, CAUSE_VAULT_ERROR,
		    "%u bytes are nothing that a %s key of %d bits signs for "
		    "TLS",
		    request->len, EVP_PKEY_get0_type_name(key),
		    EVP_PKEY_get_bits(key));
	else
		result = input_sign(key, request, padding, done, fault);
	EVP_PKEY_free(key);
	return result;
}
