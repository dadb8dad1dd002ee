/*
 * The inside of a loader session, shared by the esp_*.c files alone.
 */
#ifndef DEVICE_ESP_SESSION_H
#define DEVICE_ESP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/esp_chip.h"
#include "device/esp_rom.h"
#include "device/slip.h"

enum esp_operation {
	ESP_FLASH_BEGIN = 0x02,
	ESP_FLASH_DATA = 0x03,
	ESP_SYNC = 0x08,
	ESP_WRITE_REGISTER = 0x09,
	ESP_READ_REGISTER = 0x0A,
	ESP_SPI_SET_PARAMS = 0x0B,
	ESP_SPI_ATTACH = 0x0D,
	ESP_CHANGE_BAUD = 0x0F,
	ESP_DEFLATE_BEGIN = 0x10,
	ESP_DEFLATE_DATA = 0x11,
	ESP_FLASH_MD5 = 0x13,
	ESP_SECURITY_INFO = 0x14,
};

/* Error codes of the ROM's status. */
enum {
	ESP_ERROR_UNSUPPORTED = 0x05,
	ESP_ERROR_CHECKSUM = 0x07,
};

enum {
	ESP_HEADER_LEN = 8,	  /* of requests and answers */
	ESP_DATA_HEADER_LEN = 16, /* in front of a block's bytes */
	ESP_BLOCK_LEN = FIRMWARE_BLOCK_LEN,
	ESP_REQUEST_MAX = ESP_HEADER_LEN + ESP_DATA_HEADER_LEN + ESP_BLOCK_LEN,
	ESP_ANSWER_MAX = 256,
	ESP_TIMEOUT_MS = 3000,
	ESP_TIMEOUT_PER_MIB_MS = 40000, /* erase and write */
	ESP_MD5_PER_MIB_MS = 8000,
	ESP_NAME_LEN = 64,
};

enum esp_outcome {
	ESP_DONE,
	ESP_REFUSED,
	ESP_SILENT
};

struct esp_answer {
	enum esp_outcome outcome;
	uint8_t error; /* of the ROM, when it refused */
	uint32_t value;
	const uint8_t *data; /* into the session, until the next exchange */
	size_t len;	     /* of data before the status */
};

struct esp_session {
	struct port *port;
	const struct esp_demands *demands;
	esp_progress *progress;
	void *progress_arg;
	struct esp_identity identity;
	bool connected;
	uint32_t rung; /* of the ladder of rates: faster ones have failed */
	uint64_t work_done, work_total; /* for progress */

	struct slip_decoder decoder;
	uint8_t frame[ESP_ANSWER_MAX];
	uint8_t received[4096]; /* bytes that are not decoded yet */
	size_t received_at, received_len;
	/* What a unit that boots instead of answering says of itself. */
	char text[160]; /* the line under way */
	size_t text_len;
	char banner[160]; /* the last "rst:0x..." or "boot:0x..." line */
	uint32_t banners;
	uint32_t resets; /* tried */

	/* Hold blocks of secret images for a moment: wiped after those. */
	uint8_t request[ESP_REQUEST_MAX];
	uint8_t encoded[SLIP_ENCODED_LEN(ESP_REQUEST_MAX)];
};

/*
 * One request and its answer. answer_len is how many bytes of data the
 * operation answers with before its status. -1 only when the port fails; a
 * refusal or silence is in the answer. session->request holds len bytes of
 * data behind ESP_HEADER_LEN.
 */
int esp_exchange(struct esp_session *, enum esp_operation, size_t len,
    uint32_t checksum, size_t answer_len, int64_t timeout_ms,
    struct esp_answer *, struct fault *);
/* The same with words as data. */
int esp_exchange_words(struct esp_session *, enum esp_operation,
    const uint32_t *words, size_t count, size_t answer_len, int64_t timeout_ms,
    struct esp_answer *, struct fault *);
/* Turns a refusal or silence into a fault and returns -1; 0 when done.
 * `doing` is such as "erasing app.bin". */
int esp_demand_done(const struct esp_session *, const struct esp_answer *,
    const char *doing, struct fault *);
/* Forgets everything received so far. */
int esp_forget(struct esp_session *, struct fault *);
/* Picks the boot banner out of what a unit sends outside of frames. */
void esp_listen(struct esp_session *, uint8_t byte);
/* One SYNC; 1 answered, 0 silent, -1 port. */
int esp_sync(struct esp_session *, struct fault *);

int esp_register_read(
    struct esp_session *, uint32_t address, uint32_t *value, struct fault *);
int esp_register_write(
    struct esp_session *, uint32_t address, uint32_t value, struct fault *);

/* Into the loader, at 115200: resets and SYNC until it answers. */
int esp_enter(struct esp_session *, struct fault *);
/* Fills the session's identity and checks it against the demands. */
int esp_identify(struct esp_session *, struct fault *);
/* Into the loader once more: it must still be the same unit. */
int esp_enter_again(struct esp_session *, struct fault *);
/* SPI_ATTACH, and SPI_SET_PARAMS for the size that the identity has. */
int esp_flash_attach(struct esp_session *, struct fault *);
int esp_flash_prepare(struct esp_session *, struct fault *);

uint32_t esp_word(const uint8_t *);
void esp_word_put(uint8_t *, uint32_t);

#endif
