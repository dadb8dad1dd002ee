/* Bytes of a port through the SLIP decoder, and back again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/slip.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum {
	FRAME_MAX = 256
};

static void
whole_round(const uint8_t *payload, size_t len)
{
	uint8_t encoded[SLIP_ENCODED_LEN(FRAME_MAX)], frame[FRAME_MAX];
	struct slip_decoder decoder;
	size_t encoded_len = slip_encode(encoded, payload, len), i;
	int frames = 0;

	slip_open(&decoder, frame, sizeof(frame));
	for (i = 0; i < encoded_len; i++)
		frames += slip_take(&decoder, encoded[i]);
	if (frames != 1 || decoder.len != len || decoder.outside != 0 ||
	    memcmp(frame, payload, len) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t frame[FRAME_MAX];
	struct slip_decoder decoder;
	size_t i;

	slip_open(&decoder, frame, sizeof(frame));
	for (i = 0; i < len; i++) {
		if (!slip_take(&decoder, data[i]))
			continue;
		if (decoder.len == 0 || decoder.len > sizeof(frame))
			abort();
		whole_round(frame, decoder.len);
	}
	if (decoder.outside > len)
		abort();
	return 0;
}
