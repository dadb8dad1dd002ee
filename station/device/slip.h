/*
 * SLIP as Espressif's ROM loaders use it: C0, payload, C0; in the payload
 * C0 is sent as DB DC and DB as DB DD. Source: esptool documentation,
 * "Serial Protocol", "Low Level Protocol".
 */
#ifndef DEVICE_SLIP_H
#define DEVICE_SLIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room that the worst case of len bytes takes, with both delimiters. */
#define SLIP_ENCODED_LEN(len) (2 * (len) + 2)

/* Returns the encoded length; `to` holds SLIP_ENCODED_LEN(len). */
size_t slip_encode(uint8_t *to, const uint8_t *from, size_t len);

struct slip_decoder {
	uint8_t *frame; /* borrowed; the payload so far */
	size_t size;
	size_t len;
	bool inside; /* a delimiter opened a frame */
	bool escaped;
	uint64_t outside; /* bytes that belonged to no frame, or a bad one */
};

void slip_open(struct slip_decoder *, uint8_t *frame, size_t size);
/*
 * Takes one byte. True when it completes a frame that is not empty: its
 * payload is frame[0..len) until the next call. A frame longer than size or
 * with an unknown escape is dropped and counted as outside.
 */
bool slip_take(struct slip_decoder *, uint8_t byte);

#endif
