#include "device/firmware.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/buf.h"
#include "base/file.h"

enum {
	PACK_STEP = FIRMWARE_BLOCK_LEN
};

static uint32_t
round_up(uint32_t value, uint32_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static int
source_check(const struct firmware_source *source, struct fault *fault)
{
	if (source->len == 0)
		return fault_set(
		    fault, CAUSE_BAD_LOT, "%s is empty", source->name);
	if (source->offset % FIRMWARE_SECTOR_LEN != 0)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "%s: offset 0x%x is not a multiple of 0x%x", source->name,
		    (unsigned)source->offset, FIRMWARE_SECTOR_LEN);
	if (source->len > FIRMWARE_REACH ||
	    source->offset > FIRMWARE_REACH - source->len)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "%s: 0x%x + %zu bytes reach beyond the 16 MiB that a ROM "
		    "loader can address",
		    source->name, (unsigned)source->offset, source->len);
	return 0;
}

static int
sources_check(
    const struct firmware_source *source, size_t count, struct fault *fault)
{
	uint32_t end, other_end;
	size_t i, j;

	if (count == 0 || count > FIRMWARE_REGIONS_MAX)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "the firmware has %zu files; 1 to %d are possible", count,
		    FIRMWARE_REGIONS_MAX);
	for (i = 0; i < count; i++) {
		if (source_check(&source[i], fault) != 0)
			return -1;
		end = source[i].offset + (uint32_t)source[i].len;
		end = round_up(end, FIRMWARE_SECTOR_LEN);
		for (j = 0; j < i; j++) {
			other_end = source[j].offset + (uint32_t)source[j].len;
			other_end = round_up(other_end, FIRMWARE_SECTOR_LEN);
			if (source[i].offset < other_end &&
			    source[j].offset < end)
				return fault_set(fault, CAUSE_BAD_LOT,
				    "%s and %s share a sector of the flash",
				    source[j].name, source[i].name);
		}
	}
	return 0;
}

/*
 * What one block of the packed stream unpacks to at most: the ROM writes all
 * of it before it answers, and a long run of one byte packs 1000 to 1.
 */
static int
burst_measure(const uint8_t *packed, uint32_t packed_len, uint32_t *burst)
{
	uint8_t sink[16384];
	z_stream stream = {0};
	uLong before;
	uint32_t at;
	int result = Z_OK;

	*burst = 0;
	if (inflateInit(&stream) != Z_OK)
		return -1;
	for (at = 0; at < packed_len && result == Z_OK; at += PACK_STEP) {
		stream.next_in = packed + at;
		stream.avail_in =
		    packed_len - at < PACK_STEP ? packed_len - at : PACK_STEP;
		before = stream.total_out;
		do {
			stream.next_out = sink;
			stream.avail_out = sizeof(sink);
			result = inflate(&stream, Z_NO_FLUSH);
		} while (result == Z_OK && stream.avail_out == 0);
		if (result == Z_BUF_ERROR)
			result = Z_OK; /* wants the next block */
		if (stream.total_out - before > *burst)
			*burst = (uint32_t)(stream.total_out - before);
	}
	inflateEnd(&stream);
	return result == Z_STREAM_END ? 0 : -1;
}

/* Packs one source into to[0..room). */
static int
region_pack(const struct firmware_source *source,
    struct firmware_region *region, uint8_t *to, uLongf room)
{
	uint8_t *padded = NULL;
	uLongf packed_len = room;
	int result = -1;

	memset(region, 0, sizeof(*region));
	(void)text_copy(region->name, sizeof(region->name), source->name);
	region->offset = source->offset;
	region->len = round_up((uint32_t)source->len, 4);
	padded = region->len > 0 ? malloc(region->len) : NULL;
	if (padded == NULL)
		return -1;
	memset(padded, 0xFF, region->len);
	memcpy(padded, source->data, source->len);
	if (EVP_Digest(
		padded, region->len, region->md5, NULL, EVP_md5(), NULL) == 1 &&
	    compress2(to, &packed_len, padded, region->len,
		Z_BEST_COMPRESSION) == Z_OK) {
		region->packed_len = (uint32_t)packed_len;
		result =
		    burst_measure(to, region->packed_len, &region->burst_len);
	}
	free(padded);
	return result;
}

int
firmware_build(const struct firmware_source *source, size_t count,
    uint8_t **file, size_t *file_len, struct fault *fault)
{
	struct firmware_header header = {.magic = FIRMWARE_MAGIC};
	struct firmware_region region;
	uint8_t *data = NULL;
	size_t i, room, at;

	*file = NULL;
	*file_len = 0;
	if (sources_check(source, count, fault) != 0)
		return -1;
	at = sizeof(header) + count * sizeof(region);
	room = at;
	for (i = 0; i < count; i++)
		room += compressBound(source[i].len + 4);
	if (room > FIRMWARE_FILE_MAX)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "the firmware is too big: %zu bytes", room);
	data = calloc(1, room);
	if (data == NULL)
		goto failed;
	for (i = 0; i < count; i++) {
		if (region_pack(&source[i], &region, data + at, room - at) != 0)
			goto failed;
		region.packed_offset = (uint32_t)at;
		at += region.packed_len;
		memcpy(data + sizeof(header) + i * sizeof(region), &region,
		    sizeof(region));
	}
	header.region_count = (uint32_t)count;
	header.file_len = (uint32_t)at;
	memcpy(data, &header, sizeof(header));
	*file = data;
	*file_len = at;
	return 0;
failed:
	free(data);
	return fault_set(
	    fault, CAUSE_INTERNAL, "out of memory while packing the firmware");
}

static bool
region_good(const struct firmware_region *region, size_t begin, size_t len)
{
	return memchr(region->name, '\0', sizeof(region->name)) != NULL &&
	       region->len > 0 && region->len % 4 == 0 &&
	       region->len <= FIRMWARE_REACH &&
	       region->offset <= FIRMWARE_REACH - region->len &&
	       region->offset % FIRMWARE_SECTOR_LEN == 0 &&
	       region->packed_len > 0 && region->packed_offset >= begin &&
	       region->packed_offset <= len &&
	       region->packed_len <= len - region->packed_offset;
}

int
firmware_check(const void *data, size_t len, struct firmware_view *view,
    struct fault *fault)
{
	const struct firmware_header *header = data;
	const struct firmware_region *region;
	size_t begin;
	uint32_t i;

	memset(view, 0, sizeof(*view));
	if (len < sizeof(*header) || len > FIRMWARE_FILE_MAX ||
	    header->magic != FIRMWARE_MAGIC || header->file_len != len ||
	    header->region_count == 0 ||
	    header->region_count > FIRMWARE_REGIONS_MAX)
		goto bad;
	begin = sizeof(*header) + header->region_count * sizeof(*region);
	if (begin > len)
		goto bad;
	region = (const struct firmware_region *)(header + 1);
	for (i = 0; i < header->region_count; i++)
		if (!region_good(&region[i], begin, len))
			goto bad;
	*view = (struct firmware_view){header, region, data, len};
	return 0;
bad:
	return fault_set(
	    fault, CAUSE_INTERNAL, "the firmware file of the lot is damaged");
}

int
firmware_map(int fd, struct firmware_view *view, struct fault *fault)
{
	const void *data = NULL;
	size_t len = 0;

	memset(view, 0, sizeof(*view));
	if (file_map_sealed(fd, sizeof(struct firmware_header),
		FIRMWARE_FILE_MAX, &data, &len, fault) != 0)
		return -1;
	if (firmware_check(data, len, view, fault) == 0)
		return 0;
	munmap((void *)(uintptr_t)data, len);
	return -1;
}

void
firmware_unmap(struct firmware_view *view)
{
	if (view->data != NULL)
		munmap((void *)(uintptr_t)view->data, view->len);
	memset(view, 0, sizeof(*view));
}

uint64_t
firmware_bytes(const struct firmware_view *view)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < view->header->region_count; i++)
		sum += view->region[i].len;
	return sum;
}
