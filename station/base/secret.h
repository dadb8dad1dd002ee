/*
 * Memory for secrets: whole pages that are locked, left out of core dumps,
 * zero in a child, and wiped before they are given back.
 *
 * struct secret is for keys, passwords and credentials of roles that keep
 * them: no lock, no memory. locked_new is for the work of a slot or a loader
 * on what holds secrets among other things, and may be large: it is locked as
 * far as the system lets us.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>

#include "base/fault.h"

/* Zero it before the first use. */
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

/* Zeroed; whole pages of its own. Null when out of memory. */
void *locked_new(size_t len);
/* Wipes and unmaps; null is allowed. */
void locked_free(void *);

#endif
