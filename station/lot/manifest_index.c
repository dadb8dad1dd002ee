#include "lot/manifest_index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

int
manifest_index_open(struct manifest_index *index, size_t rows)
{
	size_t size = 64;

	/* At most half full: a search ends after a step or two. */
	while (size < 2 * rows)
		size *= 2;
	index->mask = size - 1;
	index->slots = calloc(size, sizeof(*index->slots));
	if (index->slots == NULL)
		return -1;
	if (getrandom(index->key, sizeof(index->key), 0) !=
	    (ssize_t)sizeof(index->key)) {
		manifest_index_close(index);
		return -1;
	}
	return 0;
}

void
manifest_index_close(struct manifest_index *index)
{
	free(index->slots);
	index->slots = NULL;
}

static uint64_t
mix(uint64_t value)
{
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	return value ^ (value >> 32);
}

/* Eight bytes at a time, each keyed before it is mixed in. */
static uint64_t
hash(const struct manifest_index *index, const char *text, size_t len)
{
	uint64_t state = index->key[0] ^ len;

	while (len > 0) {
		uint64_t word = 0;
		size_t part = len < sizeof(word) ? len : sizeof(word);

		memcpy(&word, text, part);
		state = mix(state ^ mix(word ^ index->key[1]));
		text += part;
		len -= part;
	}
	return state;
}

int
manifest_index_add(struct manifest_index *index, const char *pool,
    uint32_t text, size_t len, uint32_t row, uint32_t *earlier)
{
	uint64_t value = hash(index, pool + text, len);
	uint32_t tag = (uint32_t)(value >> 32);
	size_t at = (size_t)value & index->mask;

	for (;;) {
		struct manifest_index_slot *slot = &index->slots[at];

		if (slot->text == 0) {
			slot->tag = tag;
			slot->text = text;
			slot->row = row;
			return 0;
		}
		if (slot->tag == tag &&
		    strcmp(pool + slot->text, pool + text) == 0) {
			*earlier = slot->row;
			return 1;
		}
		at = (at + 1) & index->mask;
	}
}
