/* What requests and certificates have in common: a name and a key. */
#ifndef PKI_SPKI_H
#define PKI_SPKI_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/file.h"

/* SHA-256 of the DER SubjectPublicKeyInfo; -1 leaves OpenSSL's reason. */
int spki_digest(const X509_PUBKEY *, struct digest *);
/*
 * True when the DER is what OpenSSL writes for that key. One key then has
 * one digest, and a copied key cannot hide behind another encoding.
 */
bool spki_is_plain(const X509_PUBKEY *, EVP_PKEY *);
/*
 * Copies the first common name as UTF-8, cut at size and not NUL-terminated;
 * *len is its whole length. Returns how many common names there are.
 */
int subject_name(const X509_NAME *, char *to, size_t size, size_t *len);

#endif
