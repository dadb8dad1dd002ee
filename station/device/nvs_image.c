/*
 * An NVS partition with one namespace. A page is a header, a bitmap of two
 * bits an entry, and 126 entries of 32 bytes; one page stays empty, which is
 * what the firmware's NVS needs to move things.
 */
#include <string.h>

#include "base/secret.h"
#include "device/inject.h"

enum {
	PAGE_LEN = 4096,
	ENTRY_LEN = 32,
	ENTRIES_OFFSET = 64,
	ENTRIES = 126,
	VERSION_2 = 0xFE,
	NAMESPACE_INDEX = 1,
	STRING_MAX = 4000,
	CHUNK_NONE = 0xFF,
	BITMAP_OFFSET = 32,
};
static const uint32_t page_active = 0xFFFFFFFE, page_full = 0xFFFFFFFC;

enum nvs_type {
	NVS_U8 = 0x01,
	NVS_SIGNED = 0x10,
	NVS_STRING = 0x21,
	NVS_BLOB_DATA = 0x42,
	NVS_BLOB_INDEX = 0x48,
};

struct nvs_writer {
	uint8_t *image;
	uint32_t pages; /* that may be used */
	uint32_t page;	/* under way */
	uint32_t entry; /* next free one of it */
};

static void
number_put(uint8_t *to, uint64_t value, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static void
page_open(struct nvs_writer *writer)
{
	uint8_t *page = writer->image + (size_t)writer->page * PAGE_LEN;

	number_put(page, page_active, 4);
	number_put(page + 4, writer->page, 4); /* sequence number */
	page[8] = VERSION_2;
	number_put(page + 28, inject_crc(page + 4, 24), 4);
	writer->entry = 0;
}

static int
page_next(struct nvs_writer *writer, struct fault *fault)
{
	uint8_t *page = writer->image + (size_t)writer->page * PAGE_LEN;

	if (writer->page + 1 >= writer->pages)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "the values do not fit into %u NVS pages (one of them "
		    "stays empty)",
		    (unsigned)writer->pages + 1);
	number_put(page, page_full, 4);
	writer->page++;
	page_open(writer);
	return 0;
}

/* Takes `span` entries of the page and marks them written (10). */
static uint8_t *
entries_take(struct nvs_writer *writer, uint32_t span)
{
	uint8_t *page = writer->image + (size_t)writer->page * PAGE_LEN;
	uint8_t *first = page + ENTRIES_OFFSET + writer->entry * ENTRY_LEN;
	uint32_t i;

	for (i = writer->entry; i < writer->entry + span; i++)
		page[BITMAP_OFFSET + i / 4] &= (uint8_t) ~(1U << i % 4 * 2);
	writer->entry += span;
	return first;
}

/* Fills an entry's head; its 8 data bytes are there already. */
static void
entry_finish(uint8_t *entry, unsigned index, unsigned type, uint32_t span,
    unsigned chunk, const char *key)
{
	uint8_t checked[28];

	entry[0] = (uint8_t)index;
	entry[1] = (uint8_t)type;
	entry[2] = (uint8_t)span;
	entry[3] = (uint8_t)chunk;
	memset(entry + 8, 0, INJECT_KEY_LEN);
	memcpy(entry + 8, key, strlen(key));
	memcpy(checked, entry, 4);
	memcpy(checked + 4, entry + 8, 24);
	number_put(entry + 4, inject_crc(checked, sizeof(checked)), 4);
}

/* One entry that holds its value itself. */
static int
small_put(struct nvs_writer *writer, unsigned index, unsigned type,
    const char *key, const uint8_t *data, size_t len, struct fault *fault)
{
	uint8_t *entry;

	if (writer->entry == ENTRIES && page_next(writer, fault) != 0)
		return -1;
	entry = entries_take(writer, 1);
	memcpy(entry + 24, data, len); /* the rest stays FF */
	entry_finish(entry, index, type, 1, CHUNK_NONE, key);
	return 0;
}

/* A head and the entries behind it that hold len bytes. */
static void
long_put(struct nvs_writer *writer, unsigned type, unsigned chunk,
    const char *key, const uint8_t *data, size_t len)
{
	uint32_t span = 1 + (uint32_t)(len + ENTRY_LEN - 1) / ENTRY_LEN;
	uint8_t *entry = entries_take(writer, span);

	number_put(entry + 24, len, 2);
	number_put(entry + 28, inject_crc(data, len), 4);
	memcpy(entry + ENTRY_LEN, data, len);
	entry_finish(entry, NAMESPACE_INDEX, type, span, chunk, key);
}

static int
string_put(struct nvs_writer *writer, const char *key, const uint8_t *data,
    size_t len, struct fault *fault)
{
	uint32_t span = 1 + (uint32_t)(len + ENTRY_LEN - 1) / ENTRY_LEN;

	if (len > STRING_MAX)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "%s has %zu bytes; an NVS text has at most %d", key, len,
		    STRING_MAX);
	if (span > ENTRIES - writer->entry && page_next(writer, fault) != 0)
		return -1;
	long_put(writer, NVS_STRING, CHUNK_NONE, key, data, len);
	return 0;
}

/* A blob is cut where a page ends; an index entry follows its chunks. */
static int
blob_put(struct nvs_writer *writer, const char *key, const uint8_t *data,
    size_t len, struct fault *fault)
{
	uint8_t index[8];
	unsigned chunk = 0;
	size_t at = 0, part;

	do {
		if (writer->entry + 2 > ENTRIES &&
		    page_next(writer, fault) != 0)
			return -1;
		part = (size_t)(ENTRIES - writer->entry - 1) * ENTRY_LEN;
		if (part > len - at)
			part = len - at;
		long_put(writer, NVS_BLOB_DATA, chunk++, key, data + at, part);
		at += part;
	} while (at < len);
	memset(index, 0xFF, sizeof(index));
	number_put(index, len, 4);
	index[4] = (uint8_t)chunk;
	index[5] = 0; /* first chunk */
	return small_put(writer, NAMESPACE_INDEX, NVS_BLOB_INDEX, key, index,
	    sizeof(index), fault);
}

static int
value_put(struct nvs_writer *writer, const struct inject_entry *entry,
    const uint8_t *value, size_t len, struct fault *fault)
{
	unsigned type;

	switch (entry->encoding) {
	case INJECT_TEXT:
		return string_put(writer, entry->key, value, len, fault);
	case INJECT_RAW:
	case INJECT_DER:
		return blob_put(writer, entry->key, value, len, fault);
	default:
		/* The type of an integer: its length, and 0x10 when signed. */
		type = (unsigned)len;
		if (inject_integer_signed(entry->encoding))
			type |= NVS_SIGNED;
		return small_put(writer, NAMESPACE_INDEX, type, entry->key,
		    value, len, fault);
	}
}

int
nvs_image_build(const struct inject_layout *layout, inject_expand *expand,
    void *arg, uint8_t *image, struct fault *fault)
{
	static const uint8_t namespace_index = NAMESPACE_INDEX;
	struct nvs_writer writer = {.image = image};
	uint8_t *value = locked_new(INJECT_VALUE_MAX);
	size_t len;
	uint32_t i;
	int result = -1;

	memset(image, 0xFF, layout->size);
	if (value == NULL || layout->size < 2 * PAGE_LEN) {
		fault_set(fault, CAUSE_INTERNAL, "no room for an NVS image");
		goto out;
	}
	writer.pages = layout->size / PAGE_LEN - 1;
	page_open(&writer);
	if (small_put(&writer, 0, NVS_U8, layout->name_space, &namespace_index,
		1, fault) != 0)
		goto out;
	for (i = 0; i < layout->entry_count; i++) {
		if (inject_value(&layout->entries[i], expand, arg, value,
			INJECT_VALUE_MAX, &len, fault) != 0 ||
		    value_put(
			&writer, &layout->entries[i], value, len, fault) != 0)
			goto out;
	}
	result = 0;
out:
	locked_free(value);
	return result;
}
