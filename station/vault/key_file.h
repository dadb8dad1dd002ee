/*
 * Files with secrets that the parent opened for the vault or the hsm role.
 * They are regular files that nobody but their owner can use; path is what
 * the file was opened by, for faults. Cause VAULT_ERROR.
 */
#ifndef VAULT_KEY_FILE_H
#define VAULT_KEY_FILE_H

#include <stddef.h>

#include "base/fault.h"
#include "pki/key.h"

/* All of it; at most max bytes. */
int key_file_read(
    struct secret *, int fd, const char *path, size_t max, struct fault *);
/*
 * One line of least to most bytes without control characters: a passphrase,
 * a PIN, a password. The line's end is taken off.
 */
int key_file_read_line(struct secret *, int fd, const char *path, size_t least,
    size_t most, struct fault *);

#endif
