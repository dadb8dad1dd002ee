/*
 * Makes keys, requests and certificates for tests, with every mistake that
 * the code under test has to notice. Failures end the test program.
 */
#ifndef PKI_MAKE_H
#define PKI_MAKE_H

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PEM_MAX = 16384
};

static inline void
must(bool good, const char *what)
{
	if (good)
		return;
	(void)fprintf(stderr, "cannot make %s\n", what);
	abort();
}

static inline void
bio_text(BIO *bio, char to[PEM_MAX])
{
	int len = BIO_read(bio, to, PEM_MAX - 1);

	must(len > 0, "PEM");
	to[len] = '\0';
	BIO_free(bio);
}

/* "P-256", "P-384", "P-521", "ED25519", or "RSA" with a number of bits. */
static inline EVP_PKEY *
make_key(const char *kind, int bits)
{
	EVP_PKEY *key;

	if (strcmp(kind, "RSA") == 0)
		key = EVP_RSA_gen((unsigned)bits);
	else if (strcmp(kind, "ED25519") == 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		key = EVP_EC_gen(kind);
	must(key != NULL, kind);
	return key;
}

static inline void
key_pem(EVP_PKEY *key, const char *passphrase, char to[PEM_MAX])
{
	BIO *bio = BIO_new(BIO_s_mem());

	must(PEM_write_bio_PKCS8PrivateKey(bio, key,
		 passphrase == NULL ? NULL : EVP_aes_128_cbc(), passphrase,
		 passphrase == NULL ? 0 : (int)strlen(passphrase), NULL,
		 NULL) == 1,
	    "a key's PEM");
	bio_text(bio, to);
}

/* The request of a device; signer is another key when it is to be bad. */
static inline void
make_request(EVP_PKEY *key, EVP_PKEY *signer, const EVP_MD *digest,
    const char *const *names, char to[PEM_MAX])
{
	X509_REQ *request = X509_REQ_new();
	X509_NAME *subject = X509_NAME_new();
	BIO *bio = BIO_new(BIO_s_mem());

	for (; *names != NULL; names++)
		must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
			 (const unsigned char *)*names, -1, -1, 0) == 1,
		    "a name");
	must(X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
		 (const unsigned char *)"a maker", -1, -1, 0) == 1,
	    "a name");
	must(X509_REQ_set_subject_name(request, subject) == 1, "a subject");
	must(X509_REQ_set_pubkey(request, key) == 1, "a request");
	must(X509_REQ_sign(request, signer, digest) > 0, "a signature");
	must(PEM_write_bio_X509_REQ(bio, request) == 1, "a request's PEM");
	bio_text(bio, to);
	X509_NAME_free(subject);
	X509_REQ_free(request);
}

/* Self-signed; valid from now + from_s to now + to_s. */
static inline void
make_certificate(EVP_PKEY *key, const char *name, bool authority, long from_s,
    long to_s, char to[PEM_MAX])
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_NAME_new();
	BIO *bio = BIO_new(BIO_s_mem());
	X509_EXTENSION *extension;
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();

	if (name != NULL)
		must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
			 (const unsigned char *)name, -1, -1, 0) == 1,
		    "a name");
	constraints->ca = authority ? 0xff : 0;
	extension = X509V3_EXT_i2d(NID_basic_constraints, 1, constraints);
	must(X509_set_version(certificate, 2) == 1 &&
		 X509_set_subject_name(certificate, subject) == 1 &&
		 X509_set_issuer_name(certificate, subject) == 1 &&
		 X509_set_pubkey(certificate, key) == 1 &&
		 X509_gmtime_adj(X509_getm_notBefore(certificate), from_s) !=
		     NULL &&
		 X509_gmtime_adj(X509_getm_notAfter(certificate), to_s) !=
		     NULL &&
		 ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7) == 1 &&
		 X509_add_ext(certificate, extension, -1) == 1 &&
		 X509_sign(certificate, key, EVP_sha256()) > 0,
	    "a certificate");
	must(PEM_write_bio_X509(bio, certificate) == 1, "its PEM");
	bio_text(bio, to);
	BASIC_CONSTRAINTS_free(constraints);
	X509_EXTENSION_free(extension);
	X509_NAME_free(subject);
	X509_free(certificate);
}

#endif
