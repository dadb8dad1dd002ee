/*
 * The firmware of a lot as one flat file: made once when the lot is loaded,
 * sealed, and mapped read-only by every slot.
 *
 * The file is a struct firmware_header, then region_count struct
 * firmware_region in the order in which they are written, then one zlib
 * stream a region. Host byte order: it never leaves the machine.
 */
#ifndef DEVICE_FIRMWARE_H
#define DEVICE_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

enum {
	FIRMWARE_MAGIC = 0x31575746,
	FIRMWARE_REGIONS_MAX = 32,
	FIRMWARE_NAME_LEN = 64,
	FIRMWARE_SECTOR_LEN = 4096,	   /* what flash erases at once */
	FIRMWARE_REACH = 16 * 1024 * 1024, /* a ROM's flash commands carry
					      24-bit addresses */
	FIRMWARE_FILE_MAX = 64 * 1024 * 1024,
	FIRMWARE_BLOCK_LEN = 1024, /* of packed bytes in one command
				      to a ROM */
};

struct firmware_region {
	char name[FIRMWARE_NAME_LEN]; /* "app.bin"; for messages */
	uint32_t offset;	      /* in the device's flash */
	uint32_t len;		      /* unpacked, a multiple of 4 */
	uint32_t packed_offset;	      /* in the file */
	uint32_t packed_len;
	uint32_t burst_len; /* most that one block unpacks to */
	uint8_t md5[16];    /* of the len unpacked bytes */
};

struct firmware_header {
	uint32_t magic;
	uint32_t region_count;
	uint32_t file_len;
	uint32_t reserved;
};

/* What the load role has read: one file of the build. */
struct firmware_source {
	const char *name;    /* for messages; cut to FIRMWARE_NAME_LEN */
	uint32_t offset;     /* in the device's flash, a multiple of 4096 */
	const uint8_t *data; /* borrowed */
	size_t len;
};

/*
 * Packs the sources, in their order, at zlib's highest level. Lengths are
 * padded to 4 bytes with FF, as the flash takes words. *file is owned by the
 * caller (free). CAUSE_BAD_LOT when there is no source or too many, one is
 * empty or out of reach, an offset is not on a sector, or two share a
 * sector; CAUSE_INTERNAL when out of memory.
 */
int firmware_build(const struct firmware_source *, size_t count, uint8_t **file,
    size_t *file_len, struct fault *);

/* A view on such a file after every offset in it has been checked. */
struct firmware_view {
	const struct firmware_header *header;
	const struct firmware_region *region; /* header->region_count of them */
	const uint8_t *data;		      /* the file's first byte */
	size_t len;			      /* of the file */
};

/* CAUSE_INTERNAL when the file is not as documented above. */
int firmware_check(
    const void *data, size_t len, struct firmware_view *, struct fault *);
/* The same for a sealed memory file, which is mapped; then unmap it. */
int firmware_map(int fd, struct firmware_view *, struct fault *);
/* A view that was never mapped (all zero) is left alone. */
void firmware_unmap(struct firmware_view *);
/* Sum of the regions' unpacked lengths. */
uint64_t firmware_bytes(const struct firmware_view *);

#endif
