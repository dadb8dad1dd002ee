#include "device/slip.h"

enum {
	END = 0xC0,
	ESCAPE = 0xDB,
	ESCAPED_END = 0xDC,
	ESCAPED_ESCAPE = 0xDD
};

size_t
slip_encode(uint8_t *to, const uint8_t *from, size_t len)
{
	size_t at = 0, i;

	to[at++] = END;
	for (i = 0; i < len; i++) {
		switch (from[i]) {
		case END:
			to[at++] = ESCAPE;
			to[at++] = ESCAPED_END;
			break;
		case ESCAPE:
			to[at++] = ESCAPE;
			to[at++] = ESCAPED_ESCAPE;
			break;
		default:
			to[at++] = from[i];
		}
	}
	to[at++] = END;
	return at;
}

void
slip_open(struct slip_decoder *decoder, uint8_t *frame, size_t size)
{
	*decoder = (struct slip_decoder){.frame = frame, .size = size};
}

/* What is there was no frame: wait for the next delimiter. */
static void
frame_drop(struct slip_decoder *decoder, size_t more)
{
	decoder->outside += decoder->len + more;
	decoder->len = 0;
	decoder->inside = false;
	decoder->escaped = false;
}

bool
slip_take(struct slip_decoder *decoder, uint8_t byte)
{
	if (byte == END) {
		bool whole =
		    decoder->inside && decoder->len > 0 && !decoder->escaped;

		/* A delimiter that follows no payload opens a frame: after
		 * a change of rate the ROM may send two extra ones. */
		decoder->inside = !whole;
		decoder->escaped = false;
		if (!whole)
			decoder->len = 0;
		return whole;
	}
	if (!decoder->inside) {
		decoder->outside++;
		return false;
	}
	if (decoder->escaped) {
		decoder->escaped = false;
		if (byte == ESCAPED_END) {
			byte = END;
		} else if (byte == ESCAPED_ESCAPE) {
			byte = ESCAPE;
		} else {
			frame_drop(decoder, 2);
			return false;
		}
	} else if (byte == ESCAPE) {
		decoder->escaped = true;
		return false;
	}
	if (decoder->len == decoder->size) {
		frame_drop(decoder, 1);
		return false;
	}
	decoder->frame[decoder->len++] = byte;
	return false;
}
