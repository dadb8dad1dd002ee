/*
 * A file that a person wrote, read whole: what cannot be read is a problem
 * like any other.
 */
#ifndef LOT_SOURCE_H
#define LOT_SOURCE_H

#include <stddef.h>

#include "base/file.h"
#include "base/problems.h"

/*
 * *data is owned by the caller and has a NUL behind its len bytes; null when
 * the result is -1. digest, when it is not null, is that of the bytes.
 */
int source_read(const char *path, size_t max, char **data, size_t *len,
    struct digest *, struct problems *);

/* Reports a fault at a file, which its text may begin with. */
void source_problem(struct problems *, const char *path, const struct fault *);

#endif
