/*
 * Finds a text that a manifest has twice: an open-addressed table of the
 * texts' places in the pool, sized once for all rows. The hash is keyed at
 * random, so that no file can make it slow.
 */
#ifndef LOT_MANIFEST_INDEX_H
#define LOT_MANIFEST_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct manifest_index_slot {
	uint32_t tag;  /* of the hash */
	uint32_t text; /* offset in the pool; 0: free */
	uint32_t row;
};

struct manifest_index {
	struct manifest_index_slot *slots; /* owned */
	size_t mask;
	uint64_t key[2];
};

/* -1 when out of memory. */
int manifest_index_open(struct manifest_index *, size_t rows);
void manifest_index_close(struct manifest_index *);
/*
 * Adds pool[text], which belongs to `row`. When an equal text is there its
 * row goes to *earlier and the result is 1, else 0. Offset 0 is no text.
 */
int manifest_index_add(struct manifest_index *, const char *pool, uint32_t text,
    size_t len, uint32_t row, uint32_t *earlier);

#endif
