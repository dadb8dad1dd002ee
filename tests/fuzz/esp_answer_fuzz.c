/*
 * A whole loader session with a hostile ROM: SYNC is answered well, every
 * other request by the next piece of the input, as the payload of a frame of
 * the right operation or, when the piece begins with FF, as it is.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/esp_rom.h"
#include "fuzz_port.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
frame_say(struct fuzz_port *fuzz, uint8_t operation, const uint8_t *payload,
    size_t len)
{
	uint8_t frame[1200];
	size_t at = 0, i;
	const uint8_t head[4] = {1, operation, (uint8_t)len, 0};
	uint8_t byte;

	frame[at++] = 0xC0;
	for (i = 0; i < sizeof(head) + len; i++) {
		byte = i < sizeof(head) ? head[i] : payload[i - sizeof(head)];
		if (byte == 0xC0 || byte == 0xDB) {
			frame[at++] = 0xDB;
			byte = byte == 0xC0 ? 0xDC : 0xDD;
		}
		frame[at++] = byte;
	}
	frame[at++] = 0xC0;
	fuzz_port_say(fuzz, frame, at);
}

static void
sent(void *arg, enum port_direction direction, const void *bytes, size_t len)
{
	static const uint8_t good[8] = {7, 7, 0x12, 0x20, 0, 0, 0, 0};
	struct fuzz_port *fuzz = arg;
	const uint8_t *frame = bytes, *piece = NULL;
	size_t piece_len, i;

	if (direction != PORT_SENT || len < 3)
		return;
	if (frame[2] == 0x08) {
		for (i = 0; i < 8; i++)
			frame_say(fuzz, 0x08, good, sizeof(good));
		return;
	}
	piece_len = fuzz_port_next(fuzz, &piece);
	if (piece_len > 0 && piece[0] == 0xFF)
		fuzz_port_say(fuzz, piece + 1, piece_len - 1);
	if (piece_len == 0 || piece[0] == 0xFF)
		fuzz_port_leave(fuzz);
	else
		frame_say(fuzz, frame[2], piece, piece_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t image[2048];
	struct esp_demands demands = {.chips = UINT32_MAX,
	    .reset_count = 1,
	    .resets = {"U0,0"},
	    .run = "U0,0"};
	struct esp_identity identity;
	struct esp_session *session;
	struct fuzz_port fuzz;
	struct fault fault = {0};
	struct port port;
	bool verified;
	int result;

	fuzz_port_open(&fuzz, &port, data, len, sent);
	session = esp_session_new(&port, &demands, NULL, NULL, &fault);
	result = esp_connect(session, &identity, &fault);
	if (result == 0)
		result = esp_write_image(session, "image", 0x1000, image,
		    sizeof(image), &verified, &fault);
	if ((result == 0) != (fault.cause == CAUSE_NONE))
		abort();
	if (memchr(identity.mac, '\0', sizeof(identity.mac)) == NULL ||
	    memchr(identity.hardware, '\0', sizeof(identity.hardware)) == NULL)
		abort();
	esp_session_free(session);
	fuzz_port_close(&fuzz);
	return 0;
}
