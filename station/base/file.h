/*
 * Files that matter: written under a temporary name, fsync, rename, fsync of
 * the folder. A failed fsync is final for that file.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fault.h"

/*
 * Reads a whole regular file of at most max bytes, from its start wherever
 * the descriptor stands. *data is owned by the caller and has a NUL behind
 * its len bytes. Cause BAD_CONFIG on failure.
 */
int file_read(
    const char *path, size_t max, char **data, size_t *len, struct fault *);
int file_read_fd(int fd, const char *name, size_t max, char **data, size_t *len,
    struct fault *);
/* Durable replacement of path; mode as for open(2). Cause INTERNAL. */
int file_write(
    const char *path, const void *data, size_t len, mode_t, struct fault *);
/* All of it, through EINTR and short writes; -1 with errno. */
int file_write_all(int fd, const void *data, size_t len);
/* mkdir -p with mode; existing folders are left as they are. INTERNAL. */
int file_make_folders(const char *path, mode_t, struct fault *);
/* Joins folder and name unless name is absolute; -1 when it does not fit. */
int file_join(char *to, size_t size, const char *folder, const char *name);

/*
 * A sealed memory file: contents fixed for ever, to be passed to another
 * role. Returns the descriptor (close-on-exec) or -1 with cause INTERNAL.
 */
int file_seal(const char *name, const void *data, size_t len, struct fault *);
/* The same for contents that come bit by bit: write to the descriptor, then
 * file_seal_end. */
int file_seal_begin(const char *name, struct fault *);
int file_seal_end(int fd, struct fault *);
/*
 * Maps a sealed memory file read-only after checking its seals and that its
 * size lies in [least, most]. The caller munmaps *len bytes; there is nothing
 * to unmap of an empty one, which gives null. Cause INTERNAL.
 */
int file_map_sealed(int fd, size_t least, size_t most, const void **data,
    size_t *len, struct fault *);

struct digest {
	uint8_t bytes[32];
};
/* True for a digest that was never computed. */
bool digest_is_zero(const struct digest *);
/* SHA-256, by OpenSSL; -1 only when OpenSSL has none. */
int digest_bytes(const void *, size_t len, struct digest *);
int digest_file(const char *path, struct digest *, struct fault *);
#define DIGEST_TEXT_LEN 65
void digest_text(const struct digest *, char text[DIGEST_TEXT_LEN]);

#endif
