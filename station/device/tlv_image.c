/*
 * The esp_secure_cert partition as TLVs: a header, the value, zeros up to 16
 * bytes, a CRC over all of that. FF follows the last one.
 */
#include <string.h>

#include "base/secret.h"
#include "device/inject.h"

enum {
	TLV_HEADER_LEN = 12, /* magic, flags, 3 zeros, type, subtype, length */
	TLV_ALIGN = 16,
	TLV_CRC_LEN = 4,
};
static const uint8_t tlv_magic[4] = {0x11, 0xBA, 0x5E, 0xBA};

static int
tlv_put(const struct inject_entry *entry, const uint8_t *value, size_t len,
    uint8_t *image, size_t size, size_t *at, struct fault *fault)
{
	size_t padded = (len + TLV_ALIGN - 1) / TLV_ALIGN * TLV_ALIGN;
	size_t whole = TLV_HEADER_LEN + padded + TLV_CRC_LEN;
	uint8_t *tlv = image + *at;
	uint32_t crc, i;

	if (len > UINT16_MAX || whole > size - *at)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "type %u (%zu bytes) does not fit into the partition of "
		    "%zu bytes",
		    (unsigned)entry->tlv_type, len, size);
	memset(tlv, 0, whole);
	memcpy(tlv, tlv_magic, sizeof(tlv_magic));
	tlv[8] = (uint8_t)entry->tlv_type;
	tlv[10] = (uint8_t)len;
	tlv[11] = (uint8_t)(len >> 8);
	memcpy(tlv + TLV_HEADER_LEN, value, len);
	crc = inject_crc(tlv, TLV_HEADER_LEN + padded);
	for (i = 0; i < TLV_CRC_LEN; i++)
		tlv[TLV_HEADER_LEN + padded + i] = (uint8_t)(crc >> 8 * i);
	*at += whole;
	return 0;
}

int
tlv_image_build(const struct inject_layout *layout, inject_expand *expand,
    void *arg, uint8_t *image, struct fault *fault)
{
	uint8_t *value = locked_new(INJECT_VALUE_MAX);
	size_t at = 0, len;
	uint32_t i;
	int result = -1;

	if (value == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto out;
	}
	memset(image, 0xFF, layout->size);
	for (i = 0; i < layout->entry_count; i++) {
		if (inject_value(&layout->entries[i], expand, arg, value,
			INJECT_VALUE_MAX, &len, fault) != 0 ||
		    tlv_put(&layout->entries[i], value, len, image,
			layout->size, &at, fault) != 0)
			goto out;
	}
	result = 0;
out:
	locked_free(value);
	return result;
}
