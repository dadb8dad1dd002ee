/*
 * Private keys and the memory that holds them, for the vault and whoever
 * carries a secret for a moment.
 */
#ifndef PKI_KEY_H
#define PKI_KEY_H

#include <openssl/evp.h>
#include <stddef.h>

#include "base/fault.h"

/*
 * Bytes that are never swapped, dumped or inherited by a child, and that are
 * wiped before they are given back. Zero it before the first use.
 */
struct secret {
	char *data; /* size bytes, zeroed at first */
	size_t len; /* in use; kept by the owner */
	size_t size;
};

/*
 * Cause VAULT_ERROR, also when the memory cannot be locked: raise
 * RLIMIT_MEMLOCK. What the secret held before must have been freed.
 */
int secret_alloc(struct secret *, size_t size, struct fault *);
/* Wipes and forgets; one that was never allocated is fine. */
void secret_free(struct secret *);
/*
 * Allocates and reads a whole regular file of 1 to max bytes from its start,
 * through no other memory, with a NUL behind it that len does not count.
 * name is for the fault.
 */
int secret_read_fd(
    struct secret *, int fd, const char *name, size_t max, struct fault *);

/*
 * The key of one unencrypted PEM block of len bytes; null and VAULT_ERROR
 * for anything else. The caller frees it by EVP_PKEY_free, which wipes it.
 * Never asks for a passphrase.
 */
EVP_PKEY *key_load(const char *pem, size_t len, struct fault *);
/*
 * 0 when the PEM key is that of the PEM certificate, otherwise -1 with
 * VAULT_ERROR.
 */
int key_check(const char *pem, size_t len, const char *certificate,
    size_t certificate_len, struct fault *);

#endif
