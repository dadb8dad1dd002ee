/*
 * A certificate authority of the maker's own, and signatures by its key, which
 * may be anywhere: in the vault's memory or in a token. For the vault and hsm
 * roles.
 */
#ifndef PKI_AUTHORITY_H
#define PKI_AUTHORITY_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "pki/certificate.h"

enum {
	SIGN_DIGEST_MAX = 48,
	SIGN_OUTPUT_MAX = 1024, /* RSA of 8192 bits */
};

/* What the authority's key signs: a digest, and of which kind it is. */
struct sign_input {
	const EVP_MD *kind; /* SHA-256; SHA-384 for a key on P-384 */
	uint8_t digest[SIGN_DIGEST_MAX];
	size_t len;
};
struct sign_output {
	/* Of an EC key the DER of RFC 3279, 2.2.3; of an RSA key that of
	 * PKCS #1 v1.5 (RFC 8017, 8.2). */
	uint8_t bytes[SIGN_OUTPUT_MAX];
	size_t len;
};
typedef int sign_call(
    void *arg, const struct sign_input *, struct sign_output *, struct fault *);

/*
 * An authority by its basic constraints, not forbidden to sign certificates
 * by its key usage, with a key on P-256 or P-384 or an RSA key of 2048 to
 * 8192 bits. Fields are for pki/issue.c.
 */
struct authority {
	struct certificate facts;
	X509 *certificate;
	EVP_PKEY *key; /* public; the certificate's own */
	const EVP_MD *kind;
	int algorithm;	/* NID of its signatures */
	int parameters; /* of the algorithm: V_ASN1_NULL or V_ASN1_UNDEF */
};

/* Null and VAULT_ERROR when the PEM is no such certificate. */
struct authority *authority_new(const char *pem, struct fault *);
void authority_free(struct authority *);
/*
 * Has the digest of the data signed and verifies what comes: VAULT_ERROR when
 * it is not the signature of the authority's key, or the call's own fault.
 */
int authority_sign(const struct authority *, const void *data, size_t len,
    sign_call *, void *arg, struct sign_output *, struct fault *);
/* The same of something random: 0 when the call holds the authority's key. */
int authority_prove(
    const struct authority *, sign_call *, void *arg, struct fault *);

/* A sign_call of an EVP_PKEY, which is its arg. */
int sign_by_key(
    void *arg, const struct sign_input *, struct sign_output *, struct fault *);

#endif
