/* Private keys in PEM, for the vault and whoever carries one for a moment. */
#ifndef PKI_KEY_H
#define PKI_KEY_H

#include <openssl/evp.h>
#include <stddef.h>

#include "base/fault.h"
#include "base/secret.h"

/*
 * The key of one unencrypted PEM block of len bytes; null and VAULT_ERROR
 * for anything else. The caller frees it by EVP_PKEY_free, which wipes it.
 * Never asks for a passphrase.
 */
EVP_PKEY *key_load(const char *pem, size_t len, struct fault *);
/*
 * The same, of a block that may be encrypted with the passphrase, which is
 * null for none. One that is not encrypted needs none and is accepted too.
 */
EVP_PKEY *key_load_encrypted(
    const char *pem, size_t len, const char *passphrase, struct fault *);
/* Allocates an unencrypted PEM block, at most max bytes of it. */
int key_write(EVP_PKEY *, size_t max, struct secret *, struct fault *);
/*
 * 0 when the PEM key is that of the PEM certificate, otherwise -1 with
 * VAULT_ERROR.
 */
int key_check(const char *pem, size_t len, const char *certificate,
    size_t certificate_len, struct fault *);
/* The same of a key that is loaded; its private part is not looked at. */
int key_fits(EVP_PKEY *, const char *certificate, size_t certificate_len,
    struct fault *);

#endif
