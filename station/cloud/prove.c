/*
 * OpenSSL 3 deprecates the methods of RSA and EC keys in favour of providers.
 * A provider for one operation is a key manager, two signature algorithms,
 * their parameters and a library context that everything else has to be told
 * of: several hundred lines where these are one function each. libssl takes
 * a key with a method of its own as it is (it stays a legacy key and is not
 * copied to a provider).
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "cloud/prove.h"

#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/message.h"
#include "pki/openssl.h"

/* Of the process; made with the first key, never freed. */
static struct {
	EC_KEY_METHOD *ec;
	RSA_METHOD *rsa;
	int ec_index, rsa_index; /* of the prover in a key's extra data */
} methods;

/* Bytes of a signature of at most size, or -1. */
static int
signature_take(struct prover *prover, const void *input, size_t len,
    unsigned char *to, size_t size)
{
	uint8_t signature[PROVE_SIGNATURE_MAX];
	size_t signature_len;

	if (prover == NULL)
		return -1;
	fault_clear(&prover->fault);
	if (vault_pair_prove(prover->vault, &prover->key, input, len, signature,
		&signature_len, &prover->fault) == -1)
		return -1;
	if (signature_len > size) {
		fault_set(&prover->fault, CAUSE_VAULT_ERROR,
		    "the vault's signature has %zu bytes, there is room for "
		    "%zu",
		    signature_len, size);
		return -1;
	}
	memcpy(to, signature, signature_len);
	return (int)signature_len;
}

static int
ec_sign(int type, const unsigned char *digest, int len,
    unsigned char *signature, unsigned int *signature_len,
    const BIGNUM *inverse, const BIGNUM *point, EC_KEY *key)
{
	int got = -1, size = ECDSA_size(key);

	(void)type;
	(void)inverse;
	(void)point;
	if (len > 0 && size > 0)
		got = signature_take(EC_KEY_get_ex_data(key, methods.ec_index),
		    digest, (size_t)len, signature, (size_t)size);
	if (got == -1)
		return 0;
	*signature_len = (unsigned int)got;
	return 1;
}

/*
 * TLS 1.3 signs with PSS, which OpenSSL pads itself; for the PKCS #1 v1.5
 * of TLS 1.2 the vault pads, so both come as they are.
 */
static int
rsa_sign(int len, const unsigned char *from, unsigned char *to, RSA *key,
    int padding)
{
	int size = RSA_size(key);
	bool padded = padding == RSA_NO_PADDING;

	if ((!padded && padding != RSA_PKCS1_PADDING) || len <= 0 ||
	    size <= 0 || (padded ? len != size : len > size - 11))
		return -1;
	return signature_take(RSA_get_ex_data(key, methods.rsa_index), from,
	    (size_t)len, to, (size_t)size);
}

static int
methods_prepare(struct fault *fault)
{
	if (methods.ec != NULL && methods.rsa != NULL)
		return 0;
	if (methods.ec == NULL) {
		methods.ec_index =
		    EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, NULL);
		methods.ec = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
	}
	if (methods.rsa == NULL) {
		methods.rsa_index =
		    RSA_get_ex_new_index(0, NULL, NULL, NULL, NULL);
		methods.rsa = RSA_meth_dup(RSA_PKCS1_OpenSSL());
	}
	if (methods.ec == NULL || methods.rsa == NULL || methods.ec_index < 0 ||
	    methods.rsa_index < 0)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	EC_KEY_METHOD_set_sign(methods.ec, ec_sign, NULL, NULL);
	RSA_meth_set1_name(methods.rsa, "vault");
	/* There is no private half that could be compared with the public. */
	RSA_meth_set_flags(
	    methods.rsa, RSA_METHOD_FLAG_NO_CHECK | RSA_FLAG_EXT_PKEY);
	RSA_meth_set_priv_enc(methods.rsa, rsa_sign);
	return 0;
}

/* Each gives the legacy key to `key`, which owns it then. */
static bool
ec_set(struct prover *prover, const EVP_PKEY *public, EVP_PKEY *key)
{
	const EC_KEY *own = EVP_PKEY_get0_EC_KEY(public);
	EC_KEY *copy = own == NULL ? NULL : EC_KEY_dup(own);

	if (copy == NULL)
		return false;
	if (EC_KEY_set_method(copy, methods.ec) == 1 &&
	    EC_KEY_set_ex_data(copy, methods.ec_index, prover) == 1 &&
	    EVP_PKEY_assign_EC_KEY(key, copy) == 1)
		return true;
	EC_KEY_free(copy);
	return false;
}

static bool
rsa_set(struct prover *prover, const EVP_PKEY *public, EVP_PKEY *key)
{
	const RSA *own = EVP_PKEY_get0_RSA(public);
	RSA *copy = own == NULL ? NULL : RSAPublicKey_dup(own);

	if (copy == NULL)
		return false;
	if (RSA_set_method(copy, methods.rsa) == 1 &&
	    RSA_set_ex_data(copy, methods.rsa_index, prover) == 1 &&
	    EVP_PKEY_assign_RSA(key, copy) == 1)
		return true;
	RSA_free(copy);
	return false;
}

static EVP_PKEY *
key_make(struct prover *prover, const EVP_PKEY *public, struct fault *fault)
{
	EVP_PKEY *key = EVP_PKEY_new();
	bool made = false;
	int kind =
	    public == NULL ? EVP_PKEY_NONE : EVP_PKEY_get_base_id(public);

	if (key != NULL && kind == EVP_PKEY_EC)
		made = ec_set(prover, public, key);
	else if (key != NULL && kind == EVP_PKEY_RSA)
		made = rsa_set(prover, public, key);
	if (made)
		return key;
	EVP_PKEY_free(key);
	openssl_forget();
	fault_set(fault, CAUSE_BAD_LOT,
	    "the claim certificate's key is neither an EC nor an RSA key that "
	    "TLS can use");
	return NULL;
}

EVP_PKEY *
prove_key(struct prover *prover, const X509 *certificate, struct fault *fault)
{
	const EVP_PKEY *public = X509_get0_pubkey(certificate);

	if (methods_prepare(fault) == -1)
		return NULL;
	return key_make(prover, public, fault);
}
