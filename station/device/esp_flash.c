/* Writing flash and comparing it. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"
#include "device/esp_session.h"

enum {
	MIB = 1024 * 1024,
	RESET_LISTEN_MS = 1500,
	BOOT_NOISE_LEN = 32,
	BLOCK_TRIES = 3,  /* of a block that got no answer */
	REGION_TRIES = 3, /* after a wrong checksum */
	MD5_HEX_LEN = 32,
	FLASH_MIB_DEFAULT = 4, /* when nobody knows */
	CHECKSUM_START = 0xEF,
};

/* What is to be written to one place. */
struct esp_write {
	const char *name;
	uint32_t offset;
	uint32_t len;	      /* in flash */
	const uint8_t *bytes; /* plain: len of them; else one zlib stream */
	uint32_t bytes_len;
	uint32_t burst_len; /* most that one block becomes in flash */
	bool plain;
};

enum region_result {
	REGION_WRITTEN,
	REGION_AGAIN,
	REGION_LOST,
	REGION_FAULT
};

static int64_t
span_for(uint32_t len, int64_t per_mib_ms)
{
	int64_t span_ms = (int64_t)len * per_mib_ms / MIB;

	return span_ms > ESP_TIMEOUT_MS ? span_ms : ESP_TIMEOUT_MS;
}

int
esp_flash_attach(struct esp_session *session, struct fault *fault)
{
	static const uint32_t default_pins[2] = {0, 0};
	struct esp_answer answer;

	if (esp_exchange_words(session, ESP_SPI_ATTACH, default_pins, 2, 0,
		ESP_TIMEOUT_MS, &answer, fault) != 0)
		return -1;
	return esp_demand_done(session, &answer, "attaching the flash", fault);
}

/* The ROM takes 2 MB for granted unless it is told. */
int
esp_flash_prepare(struct esp_session *session, struct fault *fault)
{
	uint32_t mib = session->identity.flash_mib, words[6];
	struct esp_answer answer;

	if (mib == 0)
		mib = session->demands->flash_mib;
	if (mib == 0)
		mib = FLASH_MIB_DEFAULT;
	words[0] = 0; /* id: any */
	words[1] = mib * MIB;
	words[2] = 0x10000; /* block */
	words[3] = FIRMWARE_SECTOR_LEN;
	words[4] = 0x100;  /* page */
	words[5] = 0xFFFF; /* status mask */
	if (esp_exchange_words(session, ESP_SPI_SET_PARAMS, words, 6, 0,
		ESP_TIMEOUT_MS, &answer, fault) != 0)
		return -1;
	return esp_demand_done(session, &answer, "describing the flash", fault);
}

/* Erases the region: the ROM does all of it before it answers. */
static int
region_begin(struct esp_session *session, const struct esp_write *write,
    struct fault *fault)
{
	uint32_t blocks, words[5], whole;
	struct esp_answer answer;
	char doing[ESP_NAME_LEN + 24];

	blocks = (write->bytes_len + ESP_BLOCK_LEN - 1) / ESP_BLOCK_LEN;
	whole =
	    (write->len + ESP_BLOCK_LEN - 1) / ESP_BLOCK_LEN * ESP_BLOCK_LEN;
	words[0] = whole;
	words[1] = blocks;
	words[2] = ESP_BLOCK_LEN;
	words[3] = write->offset;
	words[4] = 0; /* not encrypted */
	snprintf(doing, sizeof(doing), "erasing for %s", write->name);
	if (esp_exchange_words(session,
		write->plain ? ESP_FLASH_BEGIN : ESP_DEFLATE_BEGIN, words,
		esp_chip_facts(session->identity.chip)->begin_long ? 5 : 4, 0,
		span_for(whole, ESP_TIMEOUT_PER_MIB_MS), &answer, fault) != 0)
		return -1;
	return esp_demand_done(session, &answer, doing, fault);
}

/* Sends one block until it is answered. */
static int
block_send(struct esp_session *session, const struct esp_write *write,
    uint32_t sequence, struct esp_answer *answer, struct fault *fault)
{
	uint32_t at = sequence * ESP_BLOCK_LEN, len, i, checksum;
	uint8_t *data = session->request + ESP_HEADER_LEN;
	uint64_t outside;
	int try;

	len = write->bytes_len - at;
	if (len > ESP_BLOCK_LEN)
		len = ESP_BLOCK_LEN;
	memcpy(data + ESP_DATA_HEADER_LEN, write->bytes + at, len);
	/* A plain block is always whole; a zlib stream just ends. */
	if (write->plain && len < ESP_BLOCK_LEN) {
		memset(data + ESP_DATA_HEADER_LEN + len, 0xFF,
		    ESP_BLOCK_LEN - len);
		len = ESP_BLOCK_LEN;
	}
	checksum = CHECKSUM_START;
	for (i = 0; i < len; i++)
		checksum ^= data[ESP_DATA_HEADER_LEN + i];
	esp_word_put(data, len);
	esp_word_put(data + 4, sequence);
	esp_word_put(data + 8, 0);
	esp_word_put(data + 12, 0);
	for (try = 0; try < BLOCK_TRIES; try++) {
		outside = session->decoder.outside;
		if (esp_exchange(session,
			write->plain ? ESP_FLASH_DATA : ESP_DEFLATE_DATA,
			ESP_DATA_HEADER_LEN + len, checksum, 0,
			span_for(write->burst_len, ESP_TIMEOUT_PER_MIB_MS),
			answer, fault) != 0)
			return -1;
		if (answer->outcome != ESP_SILENT || session->banners > 0)
			return 0;
		/* Bytes at another rate instead of an answer: a boot. */
		if (session->decoder.outside - outside > BOOT_NOISE_LEN)
			return 0;
		/* A late answer must not be taken for the next block's. */
		if (esp_forget(session, fault) != 0)
			return -1;
	}
	return 0;
}

static enum region_result
region_blocks(struct esp_session *session, const struct esp_write *write,
    struct fault *fault)
{
	uint32_t sequence, blocks, sent;
	struct esp_answer answer;
	char doing[ESP_NAME_LEN + 48];

	blocks = (write->bytes_len + ESP_BLOCK_LEN - 1) / ESP_BLOCK_LEN;
	for (sequence = 0; sequence < blocks; sequence++) {
		if (block_send(session, write, sequence, &answer, fault) != 0)
			return REGION_FAULT;
		if (answer.outcome == ESP_REFUSED &&
		    (answer.error == ESP_ERROR_CHECKSUM ||
			answer.error == ESP_ERROR_UNSUPPORTED))
			return REGION_AGAIN;
		snprintf(doing, sizeof(doing), "writing %s, block %u of %u",
		    write->name, (unsigned)sequence + 1, (unsigned)blocks);
		if (esp_demand_done(session, &answer, doing, fault) != 0)
			return answer.outcome == ESP_SILENT ? REGION_LOST
							    : REGION_FAULT;
		sent = (sequence + 1) * ESP_BLOCK_LEN;
		if (sent > write->bytes_len)
			sent = write->bytes_len;
		if (session->progress != NULL)
			session->progress(session->progress_arg,
			    session->work_done +
				(uint64_t)write->len * sent / write->bytes_len,
			    session->work_total);
	}
	return REGION_WRITTEN;
}

/* A rate that loses blocks: connect anew and go on one rung lower. */
static int
session_slow_down(struct esp_session *session, struct fault *fault)
{
	session->rung++;
	if (esp_enter_again(session, fault) != 0)
		return -1;
	return esp_raise_baud(session, fault);
}

/*
 * A unit that resets itself says so at 115200 and, as its firmware is half
 * written, again and again. 1 it did, 0 not.
 */
static int
reset_heard(struct esp_session *session, struct fault *fault)
{
	int64_t deadline = clock_deadline(RESET_LISTEN_MS);
	ssize_t got;
	uint8_t byte;

	if (session->banners > 0)
		return 1;
	if (port_set_baud(session->port, PORT_BAUD_START, fault) != 0)
		return -1;
	while (session->banners == 0 && clock_remaining_ms(deadline) > 0) {
		got = port_read(session->port, &byte, 1, deadline, fault);
		if (got < 0)
			return -1;
		if (got == 1)
			esp_listen(session, byte);
	}
	return session->banners > 0 ? 1 : 0;
}

/* Blocks get lost or damaged at this rate: down the ladder if the unit did
 * not just reset itself. The fault says already what was lost. */
static int
region_lost(struct esp_session *session, const struct esp_write *write,
    struct fault *fault)
{
	struct fault other = {0};
	int heard;

	if (session->port->baud <= PORT_BAUD_START && session->banners == 0)
		return -1;
	heard = reset_heard(session, &other);
	if (heard == 1)
		return fault_set(fault, CAUSE_FLASH_ERROR,
		    "writing %s: the unit reset itself: \"%s\"", write->name,
		    session->banner);
	if (heard < 0 || session_slow_down(session, &other) != 0) {
		*fault = other;
		return -1;
	}
	fault_clear(fault);
	return 0;
}

static int
region_write(struct esp_session *session, const struct esp_write *write,
    struct fault *fault)
{
	enum region_result result;
	bool quiet = session->port->quiet;
	int try = 0;

	for (;;) {
		if (region_begin(session, write, fault) != 0)
			return -1;
		/* Blocks are bulk and may be secret: not for transcripts. */
		session->port->quiet = true;
		result = region_blocks(session, write, fault);
		session->port->quiet = quiet;
		switch (result) {
		case REGION_WRITTEN:
			return 0;
		case REGION_FAULT:
			return -1;
		case REGION_AGAIN:
			if (++try < REGION_TRIES) {
				if (esp_forget(session, fault) != 0)
					return -1;
				break;
			}
			try = 0;
			fault_set(fault, CAUSE_FLASH_ERROR,
			    "writing %s: blocks arrive damaged at %u baud, "
			    "%d times",
			    write->name, (unsigned)session->port->baud,
			    REGION_TRIES);
			if (region_lost(session, write, fault) != 0)
				return -1;
			break;
		case REGION_LOST:
			if (region_lost(session, write, fault) != 0)
				return -1;
			break;
		}
	}
}

int
esp_verify(struct esp_session *session, const char *name, uint32_t offset,
    uint32_t len, const uint8_t md5[16], struct fault *fault)
{
	uint32_t words[4] = {offset, len, 0, 0};
	char expected[MD5_HEX_LEN + 1], found[MD5_HEX_LEN + 1];
	char doing[ESP_NAME_LEN + 24];
	struct esp_answer answer;

	snprintf(doing, sizeof(doing), "reading back %s", name);
	if (esp_exchange_words(session, ESP_FLASH_MD5, words, 4, MD5_HEX_LEN,
		span_for(len, ESP_MD5_PER_MIB_MS), &answer, fault) != 0 ||
	    esp_demand_done(session, &answer, doing, fault) != 0)
		return -1;
	if (answer.len < MD5_HEX_LEN)
		return fault_set(fault, CAUSE_FLASH_ERROR,
		    "%s: the answer has %zu bytes", doing, answer.len);
	text_escape(found, sizeof(found), answer.data, MD5_HEX_LEN);
	hex_encode(expected, md5, 16);
	if (strcasecmp(expected, found) != 0)
		return fault_set(fault, CAUSE_FLASH_MISMATCH,
		    "%s at 0x%x: flash holds MD5 %s, written was %s", name,
		    (unsigned)offset, found, expected);
	return 0;
}

static int
fits_check(const struct esp_session *session, const char *name, uint32_t offset,
    uint32_t len, struct fault *fault)
{
	uint64_t end = (uint64_t)offset + len;
	uint32_t mib = session->identity.flash_mib;

	if (end > FIRMWARE_REACH)
		return fault_set(fault, CAUSE_WRONG_FLASH,
		    "%s ends beyond the 16 MiB that the loader can address",
		    name);
	if (mib != 0 && end > (uint64_t)mib * MIB)
		return fault_set(fault, CAUSE_WRONG_FLASH,
		    "%s ends at 0x%llx, the unit has %u MiB of flash", name,
		    (unsigned long long)end, (unsigned)mib);
	return 0;
}

static int
connected_check(const struct esp_session *session, struct fault *fault)
{
	if (session->connected)
		return 0;
	return fault_set(fault, CAUSE_INTERNAL, "the loader is not connected");
}

/* Writes and, where the unit permits it, reads back. */
static int
write_and_verify(struct esp_session *session, const struct esp_write *write,
    const uint8_t md5[16], bool *verified, struct fault *fault)
{
	session->banners = 0;
	if (fits_check(
		session, write->name, write->offset, write->len, fault) != 0 ||
	    region_write(session, write, fault) != 0)
		return -1;
	session->work_done += write->len;
	*verified = !session->identity.secure_download;
	if (!*verified)
		return 0;
	return esp_verify(
	    session, write->name, write->offset, write->len, md5, fault);
}

/* Secure download mode knows no compressed commands. */
static bool
is_plain(const struct esp_session *session)
{
	return session->demands->plain != 0 ||
	       session->identity.secure_download;
}

/* Unpacks a region for a chip that is written without compression. */
static int
region_unpack(const struct firmware_view *firmware,
    const struct firmware_region *region, uint8_t **plain, struct fault *fault)
{
	uLongf len = region->len;

	*plain = malloc(region->len);
	if (*plain != NULL &&
	    uncompress(*plain, &len, firmware->data + region->packed_offset,
		region->packed_len) == Z_OK &&
	    len == region->len)
		return 0;
	free(*plain);
	*plain = NULL;
	return fault_set(
	    fault, CAUSE_INTERNAL, "%s cannot be unpacked", region->name);
}

int
esp_write_firmware(struct esp_session *session,
    const struct firmware_view *firmware, bool *verified, struct fault *fault)
{
	const struct firmware_region *region = firmware->region;
	uint8_t *plain = NULL;
	uint32_t i;
	int result = 0;

	*verified = false;
	if (connected_check(session, fault) != 0)
		return -1;
	session->work_done = 0;
	session->work_total = firmware_bytes(firmware);
	for (i = 0; i < firmware->header->region_count && result == 0;
	     i++, region++) {
		struct esp_write write = {
		    .name = region->name,
		    .offset = region->offset,
		    .len = region->len,
		    .bytes = firmware->data + region->packed_offset,
		    .bytes_len = region->packed_len,
		    .burst_len = region->burst_len,
		};

		if (is_plain(session)) {
			result = region_unpack(firmware, region, &plain, fault);
			write.bytes = plain;
			write.bytes_len = region->len;
			write.burst_len = ESP_BLOCK_LEN;
			write.plain = true;
		}
		if (result == 0)
			result = write_and_verify(
			    session, &write, region->md5, verified, fault);
		free(plain);
		plain = NULL;
	}
	return result;
}

/* zlib's work areas hold the secret, too. */
static void *
zlib_alloc(void *opaque, uInt items, uInt size)
{
	(void)opaque;
	return locked_new((size_t)items * size);
}

static void
zlib_free(void *opaque, void *memory)
{
	(void)opaque;
	locked_free(memory);
}

/* Packs the image into secret memory; null when out of it. */
static uint8_t *
image_pack(const uint8_t *image, uint32_t len, uint32_t *packed_len)
{
	z_stream stream = {.zalloc = zlib_alloc, .zfree = zlib_free};
	uint8_t *packed = NULL;
	uLong room;

	if (deflateInit(&stream, Z_BEST_COMPRESSION) != Z_OK)
		return NULL;
	room = deflateBound(&stream, len);
	packed = locked_new(room);
	stream.next_in = image;
	stream.avail_in = len;
	stream.next_out = packed;
	stream.avail_out = (uInt)room;
	if (packed != NULL && deflate(&stream, Z_FINISH) != Z_STREAM_END) {
		locked_free(packed);
		packed = NULL;
	}
	*packed_len = (uint32_t)stream.total_out;
	deflateEnd(&stream);
	return packed;
}

int
esp_write_image(struct esp_session *session, const char *name, uint32_t offset,
    const uint8_t *image, uint32_t len, bool *verified, struct fault *fault)
{
	struct esp_write write = {.name = name,
	    .offset = offset,
	    .len = len,
	    .bytes = image,
	    .bytes_len = len,
	    .burst_len = len};
	uint8_t md5[16], *packed = NULL;
	int result = -1;

	*verified = false;
	if (connected_check(session, fault) != 0)
		return -1;
	write.plain = is_plain(session);
	if (!write.plain) {
		packed = image_pack(image, len, &write.bytes_len);
		write.bytes = packed;
		if (packed == NULL) {
			fault_set(fault, CAUSE_INTERNAL, "out of memory");
			goto out;
		}
	}
	if (EVP_Digest(image, len, md5, NULL, EVP_md5(), NULL) != 1) {
		fault_set(fault, CAUSE_INTERNAL, "MD5 is not available");
		goto out;
	}
	session->work_done = 0;
	session->work_total = len;
	result = write_and_verify(session, &write, md5, verified, fault);
out:
	locked_free(packed);
	OPENSSL_cleanse(session->request, sizeof(session->request));
	OPENSSL_cleanse(session->encoded, sizeof(session->encoded));
	return result;
}
