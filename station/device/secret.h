/*
 * Memory for secrets: locked as far as the system lets us, left out of core
 * dumps, wiped before it is given back. Used by the transcript, the engine,
 * the image builders and the loader's compressor.
 */
#ifndef DEVICE_SECRET_H
#define DEVICE_SECRET_H

#include <stddef.h>

/* Zeroed; whole pages of its own. Null when out of memory. */
void *locked_new(size_t len);
/* Wipes and unmaps; null is allowed. */
void locked_free(void *);

#endif
