/* SLIP against the published frames, and against damaged input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "device/slip.h"

enum {
	FRAME_MAX = 512
};

static void
assert_encodes(const char *payload_hex, const char *frame_hex)
{
	uint8_t payload[FRAME_MAX], frame[SLIP_ENCODED_LEN(FRAME_MAX)];
	char hex[2 * sizeof(frame) + 1];
	size_t len = strlen(payload_hex) / 2;

	assert_int_equal(hex_decode(payload, len, payload_hex), 0);
	hex_encode(hex, frame, slip_encode(frame, payload, len));
	assert_string_equal(hex, frame_hex);
}

static void
frames_are_as_published(void **state)
{
	(void)state;
	assert_encodes("0014000000000000", "c00014000000000000c0");
	assert_encodes(
	    "000a04000000000000100040", "c0000a04000000000000100040c0");
	assert_encodes("000d0800000000000000000000000000",
	    "c0000d0800000000000000000000000000c0");
	/* FLASH_DATA of C0 DB 01 and padding: both bytes are escaped. */
	assert_encodes("000318000a000000"
		       "08000000000000000000000000000000"
		       "c0db01ffffffffff",
	    "c0000318000a00000008000000000000000000000000000000"
	    "dbdcdbdd01ffffffffffc0");
}

/* Feeds bytes and returns how many frames came out; the last one stays. */
static int
feed(struct slip_decoder *decoder, const char *hex)
{
	uint8_t bytes[FRAME_MAX];
	size_t len = strlen(hex) / 2, i;
	int frames = 0;

	assert_int_equal(hex_decode(bytes, len, hex), 0);
	for (i = 0; i < len; i++)
		frames += slip_take(decoder, bytes[i]);
	return frames;
}

static void
answers_are_decoded(void **state)
{
	uint8_t frame[64];
	struct slip_decoder decoder;

	(void)state;
	slip_open(&decoder, frame, sizeof(frame));
	assert_int_equal(feed(&decoder, "c0010804000707122000000000c0"), 1);
	assert_int_equal(decoder.len, 12);
	assert_memory_equal(frame, "\x01\x08\x04\x00\x07\x07\x12\x20", 8);
	/* The delimiters of eight answers stand side by side. */
	assert_int_equal(feed(&decoder, "c0010804000707122000000000c0"
					"c0010804000707122000000000c0"),
	    2);
	assert_int_equal(decoder.outside, 0);
	assert_int_equal(feed(&decoder, "c0dbdcdbddc0"), 1);
	assert_int_equal(decoder.len, 2);
	assert_memory_equal(frame, "\xc0\xdb", 2);
}

static void
noise_is_skipped(void **state)
{
	uint8_t frame[8];
	struct slip_decoder decoder;

	(void)state;
	slip_open(&decoder, frame, sizeof(frame));
	/* Text before a frame, extra delimiters, an empty frame. */
	assert_int_equal(feed(&decoder, "455350c0c0c00102c0"), 1);
	assert_int_equal(decoder.outside, 3);
	assert_int_equal(decoder.len, 2);
	/* An unknown escape drops its frame; the next one is whole. */
	assert_int_equal(feed(&decoder, "c001db02c0"), 0);
	assert_int_equal(feed(&decoder, "c00304c0"), 1);
	assert_memory_equal(frame, "\x03\x04", 2);
	/* Longer than the room: dropped. */
	assert_int_equal(feed(&decoder, "c0010203040506070809c0"), 0);
	assert_int_equal(feed(&decoder, "c00506c0"), 1);
	/* An escape right before the delimiter. */
	assert_int_equal(feed(&decoder, "c001dbc0"), 0);
}

static void
everything_comes_back(void **state)
{
	uint8_t payload[FRAME_MAX], frame[FRAME_MAX];
	uint8_t encoded[SLIP_ENCODED_LEN(FRAME_MAX)];
	struct slip_decoder decoder;
	unsigned seed = (unsigned)time(NULL);
	size_t len, encoded_len, i;
	int round, frames;

	(void)state;
	print_message("seed %u\n", seed);
	srandom(seed);
	for (round = 0; round < 2000; round++) {
		len = 1 + (size_t)random() % FRAME_MAX;
		for (i = 0; i < len; i++)
			payload[i] = (uint8_t)(random() % 3 == 0
						   ? 0xC0 | (random() & 0x1F)
						   : random());
		encoded_len = slip_encode(encoded, payload, len);
		slip_open(&decoder, frame, sizeof(frame));
		for (i = 0, frames = 0; i < encoded_len; i++)
			frames += slip_take(&decoder, encoded[i]);
		assert_int_equal(frames, 1);
		assert_int_equal(decoder.len, len);
		assert_memory_equal(frame, payload, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_are_as_published),
	    cmocka_unit_test(answers_are_decoded),
	    cmocka_unit_test(noise_is_skipped),
	    cmocka_unit_test(everything_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
