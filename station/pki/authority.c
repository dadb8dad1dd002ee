#include "pki/authority.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pki/openssl.h"
#include "pki/pem.h"

enum {
	RSA_BITS_LEAST = 2048,
	RSA_BITS_MOST = 8192,
};

/* ---- authorities ---- */

static int
authority_refuse(struct fault *fault, const char *what)
{
	return fault_set(
	    fault, CAUSE_VAULT_ERROR, "the authority's certificate %s", what);
}

/*
 * Which algorithm its signatures have. RFC 4055, section 5: the parameters of
 * RSA are NULL; RFC 5758, 3.2: those of ECDSA are absent.
 */
static int
authority_set_algorithm(struct authority *authority, struct fault *fault)
{
	EVP_PKEY *key = authority->key;
	char group[32] = "";
	int bits = EVP_PKEY_get_bits(key);

	authority->kind = EVP_sha256();
	if (EVP_PKEY_is_a(key, "RSA")) {
		authority->algorithm = NID_sha256WithRSAEncryption;
		authority->parameters = V_ASN1_NULL;
		return bits >= RSA_BITS_LEAST && bits <= RSA_BITS_MOST
			   ? 0
			   : authority_refuse(fault,
				 "has an RSA key outside 2048 to 8192 bits");
	}
	authority->algorithm = NID_ecdsa_with_SHA256;
	authority->parameters = V_ASN1_UNDEF;
	if (EVP_PKEY_is_a(key, "EC"))
		(void)EVP_PKEY_get_utf8_string_param(key,
		    OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL);
	if (strcmp(group, SN_X9_62_prime256v1) == 0)
		return 0;
	if (strcmp(group, SN_secp384r1) != 0)
		return authority_refuse(
		    fault, "has a key that is neither P-256, P-384 nor RSA");
	authority->kind = EVP_sha384();
	authority->algorithm = NID_ecdsa_with_SHA384;
	return 0;
}

static X509 *
x509_decode(const char *text)
{
	struct pem pem = {0};
	const uint8_t *at;
	X509 *certificate = NULL;

	if (pem_decode(text, strlen(text), "CERTIFICATE", &pem) == NULL) {
		at = pem.der;
		certificate = d2i_X509(NULL, &at, (long)pem.len);
	}
	pem_free(&pem);
	return certificate;
}

struct authority *
authority_new(const char *pem, struct fault *fault)
{
	struct authority *authority = calloc(1, sizeof(*authority));

	if (authority == NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR, "out of memory");
		return NULL;
	}
	if (certificate_parse(pem, strlen(pem), CAUSE_VAULT_ERROR,
		&authority->facts, fault) == -1) {
		fault_prefix(fault, "the authority");
		goto out;
	}
	authority->certificate = x509_decode(pem);
	authority->key = authority->certificate == NULL
			     ? NULL
			     : X509_get0_pubkey(authority->certificate);
	if (authority->key == NULL) {
		authority_refuse(fault, "is not well-formed");
		goto out;
	}
	if (!authority->facts.authority) {
		authority_refuse(fault,
		    "is not one: it lacks CA:TRUE, or its key usage forbids "
		    "to sign certificates");
		goto out;
	}
	if (authority_set_algorithm(authority, fault) == -1)
		goto out;
	openssl_forget();
	return authority;
out:
	authority_free(authority);
	openssl_forget();
	return NULL;
}

void
authority_free(struct authority *authority)
{
	if (authority == NULL)
		return;
	X509_free(authority->certificate);
	free(authority);
}

/* ---- signatures ---- */

static bool
signature_verifies(const struct authority *authority,
    const struct sign_input *input, const struct sign_output *signature)
{
	EVP_PKEY_CTX *context =
	    EVP_PKEY_CTX_new_from_pkey(NULL, authority->key, NULL);
	bool good = context != NULL && EVP_PKEY_verify_init(context) == 1 &&
		    EVP_PKEY_CTX_set_signature_md(context, input->kind) == 1 &&
		    EVP_PKEY_verify(context, signature->bytes, signature->len,
			input->digest, input->len) == 1;

	EVP_PKEY_CTX_free(context);
	openssl_forget();
	return good;
}

int
authority_sign(const struct authority *authority, const void *data, size_t len,
    sign_call *sign, void *arg, struct sign_output *signature,
    struct fault *fault)
{
	struct sign_input input = {.kind = authority->kind};
	unsigned digest_len = 0;

	if (EVP_Digest(data, len, input.digest, &digest_len, authority->kind,
		NULL) != 1)
		return fault_set(fault, CAUSE_VAULT_ERROR, "no digest");
	input.len = digest_len;
	signature->len = 0;
	if (sign(arg, &input, signature, fault) == -1)
		return -1;
	if (!signature_verifies(authority, &input, signature))
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the key does not belong to the certificate of \"%s\"",
		    authority->facts.name);
	return 0;
}

int
authority_prove(const struct authority *authority, sign_call *sign, void *arg,
    struct fault *fault)
{
	struct sign_output signature;
	uint8_t random[32];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return fault_set(fault, CAUSE_VAULT_ERROR, "no random bytes");
	return authority_sign(
	    authority, random, sizeof(random), sign, arg, &signature, fault);
}

int
sign_by_key(void *arg, const struct sign_input *input,
    struct sign_output *signature, struct fault *fault)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, arg, NULL);
	char reason[OPENSSL_REASON_LEN];
	int result = 0;

	signature->len = sizeof(signature->bytes);
	if (context == NULL || EVP_PKEY_sign_init(context) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(context, input->kind) != 1 ||
	    EVP_PKEY_sign(context, signature->bytes, &signature->len,
		input->digest, input->len) != 1) {
		openssl_reason(reason);
		result = fault_set(fault, CAUSE_VAULT_ERROR,
		    "the key does not sign: %s", reason);
	}
	EVP_PKEY_CTX_free(context);
	return result;
}
