/*
 * Certificate signing requests (RFC 2986) that a device made. The slot
 * checks a request before it asks for a certificate, and cloud checks it
 * again, because a slot may have been taken over by its device.
 */
#ifndef PKI_CSR_H
#define PKI_CSR_H

#include <stddef.h>

#include "base/fault.h"
#include "base/file.h"

/* Kinds of key; a set of them says which a lot accepts. */
enum csr_key {
	CSR_KEY_P256 = 1,
	CSR_KEY_P384 = 2,
	CSR_KEY_RSA = 4, /* of 2048 to 8192 bits */
	CSR_KEY_ANY = 7,
};

struct csr {
	struct digest spki; /* SHA-256 of the DER SubjectPublicKeyInfo */
	enum csr_key key;
	int key_bits;
};

/*
 * The request is len bytes of PEM, at most CSR_LEN - 1. Causes:
 * CSR_INVALID when it is not one well-formed request whose signature, with
 * SHA-256, 384 or 512, proves that its maker holds the key; CSR_KEY when the
 * key is not of one of `keys`, or is written in a form that would give the
 * same key another digest; CSR_SUBJECT when its subject has not exactly one
 * common name, or that is not the serial.
 */
int csr_check(const char *pem, size_t len, const char *serial, unsigned keys,
    struct csr *, struct fault *);

#endif
