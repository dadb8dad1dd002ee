/* The session: requests, answers, resets, rates. */
#include "device/esp_rom.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "device/esp_session.h"

enum {
	SYNC_TIMEOUT_MS = 100,
	SYNC_TRIES = 5, /* after each reset */
	RESET_TRIES = 7,
	FRAMES_TRIES = 100, /* answers to other requests that are skipped */
	BAUD_PAUSE_US = 50000,
	NOISE_LEN = 16, /* bytes that a contact may make */
};

uint32_t
esp_word(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
	       (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void
esp_word_put(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)value;
	bytes[1] = (uint8_t)(value >> 8);
	bytes[2] = (uint8_t)(value >> 16);
	bytes[3] = (uint8_t)(value >> 24);
}

struct esp_session *
esp_session_new(struct port *port, const struct esp_demands *demands,
    esp_progress *progress, void *progress_arg, struct fault *fault)
{
	struct esp_session *session = calloc(1, sizeof(*session));

	if (session == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		return NULL;
	}
	session->port = port;
	session->demands = demands;
	session->progress = progress;
	session->progress_arg = progress_arg;
	slip_open(&session->decoder, session->frame, sizeof(session->frame));
	return session;
}

void
esp_session_free(struct esp_session *session)
{
	if (session == NULL)
		return;
	OPENSSL_cleanse(session, sizeof(*session));
	free(session);
}

int
esp_forget(struct esp_session *session, struct fault *fault)
{
	session->received_at = session->received_len = 0;
	slip_open(&session->decoder, session->frame, sizeof(session->frame));
	return port_flush(session->port, fault);
}

void
esp_listen(struct esp_session *session, uint8_t byte)
{
	if (byte != '\n' && byte != '\r') {
		if (byte < 0x20 || byte > 0x7e)
			session->text_len = 0;
		else if (session->text_len < sizeof(session->text) - 1)
			session->text[session->text_len++] = (char)byte;
		return;
	}
	session->text[session->text_len] = '\0';
	session->text_len = 0;
	if (strstr(session->text, "rst:0x") != NULL ||
	    strstr(session->text, "boot:0x") != NULL ||
	    strstr(session->text, "waiting for download") != NULL) {
		memcpy(session->banner, session->text, sizeof(session->text));
		session->banners++;
	}
}

/* The next frame: 1 there, 0 none until the deadline, -1 the port. */
static int
frame_receive(
    struct esp_session *session, int64_t deadline, struct fault *fault)
{
	ssize_t got;
	uint8_t byte;

	for (;;) {
		while (session->received_at < session->received_len) {
			byte = session->received[session->received_at++];
			esp_listen(session, byte);
			if (slip_take(&session->decoder, byte))
				return 1;
		}
		got = port_read(session->port, session->received,
		    sizeof(session->received), deadline, fault);
		if (got <= 0)
			return (int)got;
		session->received_at = 0;
		session->received_len = (size_t)got;
	}
}

/*
 * The status stands behind the operation's own data; a refusal may leave
 * that data out, so that the status is what remains.
 */
static bool
answer_read(
    struct esp_session *session, size_t answer_len, struct esp_answer *answer)
{
	const uint8_t *frame = session->frame;
	size_t len = session->decoder.len - ESP_HEADER_LEN, status;

	if (len >= answer_len + 2)
		status = answer_len;
	else if (len >= 4)
		status = len - 4;
	else if (len >= 2)
		status = len - 2;
	else
		return false;
	answer->value = esp_word(frame + 4);
	answer->data = frame + ESP_HEADER_LEN;
	answer->len = status;
	answer->outcome = answer->data[status] == 0 ? ESP_DONE : ESP_REFUSED;
	answer->error = answer->data[status + 1];
	return true;
}

static int
answer_receive(struct esp_session *session, enum esp_operation operation,
    size_t answer_len, int64_t timeout_ms, struct esp_answer *answer,
    struct fault *fault)
{
	int64_t deadline = clock_deadline(timeout_ms);
	const uint8_t *frame = session->frame;
	int i, got;

	memset(answer, 0, sizeof(*answer));
	answer->outcome = ESP_SILENT;
	for (i = 0; i < FRAMES_TRIES; i++) {
		got = frame_receive(session, deadline, fault);
		if (got <= 0)
			return got;
		if (session->decoder.len >= ESP_HEADER_LEN + 2 &&
		    frame[0] == 0x01 && frame[1] == operation &&
		    answer_read(session, answer_len, answer))
			return 0;
	}
	return 0;
}

int
esp_exchange(struct esp_session *session, enum esp_operation operation,
    size_t len, uint32_t checksum, size_t answer_len, int64_t timeout_ms,
    struct esp_answer *answer, struct fault *fault)
{
	uint8_t *request = session->request;
	size_t encoded_len;

	request[0] = 0x00;
	request[1] = (uint8_t)operation;
	request[2] = (uint8_t)len;
	request[3] = (uint8_t)(len >> 8);
	esp_word_put(request + 4, checksum);
	encoded_len =
	    slip_encode(session->encoded, request, ESP_HEADER_LEN + len);
	if (port_write(session->port, session->encoded, encoded_len,
		clock_deadline(timeout_ms), fault) != 0)
		return -1;
	return answer_receive(
	    session, operation, answer_len, timeout_ms, answer, fault);
}

int
esp_exchange_words(struct esp_session *session, enum esp_operation operation,
    const uint32_t *words, size_t count, size_t answer_len, int64_t timeout_ms,
    struct esp_answer *answer, struct fault *fault)
{
	size_t i;

	for (i = 0; i < count; i++)
		esp_word_put(
		    session->request + ESP_HEADER_LEN + 4 * i, words[i]);
	return esp_exchange(session, operation, 4 * count, 0, answer_len,
	    timeout_ms, answer, fault);
}

static const char *
error_text(uint8_t error)
{
	static const char *const texts[] = {
	    [0x05] = "message not understood or not supported",
	    [0x06] = "failed",
	    [0x07] = "checksum wrong",
	    [0x08] = "writing to the flash failed",
	    [0x09] = "reading from the flash failed",
	    [0x0A] = "reading length wrong",
	    [0x0B] = "decompression failed",
	    [0x0C] = "decompressed data do not check",
	    [0x0D] = "decompression parameters wrong",
	    [0x0E] = "RAM size wrong",
	    [0x0F] = "RAM address wrong",
	};

	if (error >= sizeof(texts) / sizeof(texts[0]) || texts[error] == NULL)
		return "unknown error";
	return texts[error];
}

int
esp_demand_done(const struct esp_session *session,
    const struct esp_answer *answer, const char *doing, struct fault *fault)
{
	if (answer->outcome == ESP_DONE)
		return 0;
	if (answer->outcome == ESP_REFUSED)
		return fault_set(fault, CAUSE_FLASH_ERROR,
		    "%s: the loader says error 0x%02x (%s)", doing,
		    answer->error, error_text(answer->error));
	if (session->banners > 0)
		return fault_set(fault, CAUSE_FLASH_ERROR,
		    "%s: the unit reset itself: \"%s\"", doing,
		    session->banner);
	return fault_set(fault, CAUSE_FLASH_ERROR, "%s: no answer at %u baud",
	    doing, (unsigned)session->port->baud);
}

int
esp_sync(struct esp_session *session, struct fault *fault)
{
	static const uint8_t head[] = {0x07, 0x07, 0x12, 0x20};
	enum {
		FILL_LEN = 32,
		ECHOES = 7
	};
	uint8_t *data = session->request + ESP_HEADER_LEN;
	struct esp_answer answer;
	int i;

	memcpy(data, head, sizeof(head));
	memset(data + sizeof(head), 0x55, FILL_LEN);
	if (esp_exchange(session, ESP_SYNC, sizeof(head) + FILL_LEN, 0, 0,
		SYNC_TIMEOUT_MS, &answer, fault) != 0)
		return -1;
	if (answer.outcome != ESP_DONE)
		return 0;
	/* The ROM answers eight times. */
	for (i = 0; i < ECHOES && answer.outcome != ESP_SILENT; i++) {
		if (answer_receive(session, ESP_SYNC, 0, SYNC_TIMEOUT_MS,
			&answer, fault) != 0)
			return -1;
	}
	return 1;
}

/* Why nobody answered. */
static int
silence(const struct esp_session *session, uint64_t bytes, struct fault *fault)
{
	if (session->banners > 0 &&
	    strstr(session->banner, "waiting for download") == NULL &&
	    strstr(session->banner, "DOWNLOAD") == NULL)
		return fault_set(fault, CAUSE_NO_ANSWER,
		    "no answer after %u resets; the unit boots its firmware "
		    "instead of its loader (\"%s\"): check DTR, RTS and BOOT "
		    "of the slot",
		    (unsigned)session->resets, session->banner);
	if (session->banners > 0)
		return fault_set(fault, CAUSE_NO_ANSWER,
		    "no answer after %u resets although the loader waits "
		    "(\"%s\"): check the slot's TX line",
		    (unsigned)session->resets, session->banner);
	if (bytes <= NOISE_LEN)
		return fault_set(fault, CAUSE_NO_ANSWER,
		    "no answer after %u resets and %u bytes seen",
		    (unsigned)session->resets, (unsigned)bytes);
	return fault_set(fault, CAUSE_GARBAGE,
	    "%u bytes seen after %u resets, but never an answer",
	    (unsigned)bytes, (unsigned)session->resets);
}

int
esp_enter(struct esp_session *session, struct fault *fault)
{
	const struct esp_demands *demands = session->demands;
	uint64_t before = session->port->bytes_received;
	int attempt, i, answered;

	session->resets = 0;
	session->banners = 0;
	if (port_set_baud(session->port, PORT_BAUD_START, fault) != 0)
		return -1;
	for (attempt = 0; attempt < RESET_TRIES; attempt++) {
		if (port_run_sequence(session->port,
			demands
			    ->resets[(uint32_t)attempt % demands->reset_count],
			fault) != 0)
			return -1;
		session->resets++;
		/* The banner stays: it says what the unit does instead. */
		for (i = 0; i < SYNC_TRIES; i++) {
			answered = esp_sync(session, fault);
			if (answered < 0)
				return -1;
			if (answered == 1) {
				session->banners = 0;
				return esp_forget(session, fault);
			}
		}
	}
	return silence(session, session->port->bytes_received - before, fault);
}

int
esp_register_read(struct esp_session *session, uint32_t address,
    uint32_t *value, struct fault *fault)
{
	struct esp_answer answer;
	char doing[40];

	*value = 0;
	if (esp_exchange_words(session, ESP_READ_REGISTER, &address, 1, 0,
		ESP_TIMEOUT_MS, &answer, fault) != 0)
		return -1;
	snprintf(
	    doing, sizeof(doing), "reading register 0x%08x", (unsigned)address);
	*value = answer.value;
	return esp_demand_done(session, &answer, doing, fault);
}

int
esp_register_write(struct esp_session *session, uint32_t address,
    uint32_t value, struct fault *fault)
{
	uint32_t words[4] = {address, value, 0xFFFFFFFF, 0};
	struct esp_answer answer;
	char doing[40];

	if (esp_exchange_words(session, ESP_WRITE_REGISTER, words, 4, 0,
		ESP_TIMEOUT_MS, &answer, fault) != 0)
		return -1;
	snprintf(
	    doing, sizeof(doing), "writing register 0x%08x", (unsigned)address);
	return esp_demand_done(session, &answer, doing, fault);
}

int
esp_connect(struct esp_session *session, struct esp_identity *identity,
    struct fault *fault)
{
	int result;

	memset(&session->identity, 0, sizeof(session->identity));
	session->connected = false;
	session->rung = 0;
	result = esp_enter(session, fault);
	if (result == 0)
		result = esp_identify(session, fault);
	if (result == 0)
		result = esp_flash_prepare(session, fault);
	*identity = session->identity;
	session->connected = result == 0;
	return result;
}

/*
 * The divider that the ROM computes from the crystal it believes in. The
 * ESP32 derives it from a drifting internal clock, the C2 assumes 40 MHz
 * also on boards with 26 MHz; both are asked for another rate so that the
 * wanted one comes out. Source: esptool, targets/esp32.py, esp32c2.py.
 */
static int
baud_for_rom(struct esp_session *session, uint32_t baud, uint32_t *asked,
    struct fault *fault)
{
	enum {
		CLOCK_26 = 26000000,
		CLOCK_40 = 40000000,
		CLOCK_33 = 33000000
	};
	uint32_t calibration, efuse, divider;
	uint64_t clock;

	*asked = baud;
	if (session->identity.secure_download)
		return 0;
	if (session->identity.chip == ESP_CHIP_ESP32) {
		if (esp_register_read(
			session, 0x3FF5F06C, &calibration, fault) != 0 ||
		    esp_register_read(session, 0x3FF5A010, &efuse, fault) != 0)
			return -1;
		clock = (uint64_t)(calibration >> 7 & 0x01FFFFFF) * 15625 *
			(efuse & 0xFF) / 40;
		/* Unless the chip has measured, the words are empty. */
		if (clock >= CLOCK_26 / 2 && clock <= CLOCK_40 * 2ULL)
			*asked = (uint32_t)(baud * clock /
					    (clock > CLOCK_33 ? CLOCK_40
							      : CLOCK_26));
	} else if (session->identity.chip == ESP_CHIP_ESP32C2) {
		if (esp_register_read(session, 0x60000014, &divider, fault) !=
		    0)
			return -1;
		clock = (uint64_t)(divider & 0xFFFFF) * session->port->baud;
		if (clock >= CLOCK_26 / 2 && clock <= CLOCK_33)
			*asked = (uint32_t)((uint64_t)baud * 40 / 26);
	}
	return 0;
}

/* 1 the unit answers at that rate, 0 not, -1 the port fails. */
static int
baud_try(struct esp_session *session, uint32_t baud, struct fault *fault)
{
	uint32_t words[2] = {0, 0};
	struct esp_answer answer;
	int i, answered = 0;

	if (baud_for_rom(session, baud, &words[0], fault) != 0 ||
	    esp_exchange_words(session, ESP_CHANGE_BAUD, words, 2, 0,
		ESP_TIMEOUT_MS, &answer, fault) != 0)
		return -1;
	if (answer.outcome != ESP_DONE)
		return 0;
	if (port_set_baud(session->port, baud, fault) != 0 ||
	    port_wait_us(session->port, BAUD_PAUSE_US, fault) != 0 ||
	    esp_forget(session, fault) != 0)
		return -1;
	for (i = 0; i < SYNC_TRIES && answered == 0; i++)
		answered = esp_sync(session, fault);
	if (answered == 1)
		answered = esp_forget(session, fault) == 0 ? 1 : -1;
	return answered;
}

int
esp_enter_again(struct esp_session *session, struct fault *fault)
{
	char mac[sizeof(session->identity.mac)];

	memcpy(mac, session->identity.mac, sizeof(mac));
	if (esp_enter(session, fault) != 0 || esp_identify(session, fault) != 0)
		return -1;
	if (strcmp(mac, session->identity.mac) != 0)
		return fault_set(fault, CAUSE_SWAPPED,
		    "the unit %s became %s in its slot", mac,
		    session->identity.mac);
	return esp_flash_prepare(session, fault);
}

int
esp_raise_baud(struct esp_session *session, struct fault *fault)
{
	const struct esp_demands *demands = session->demands;
	int answered;

	for (; session->rung < demands->baud_count; session->rung++) {
		uint32_t baud = demands->bauds[session->rung];

		if (baud == session->port->baud)
			return 0;
		answered = baud_try(session, baud, fault);
		if (answered != 0)
			return answered < 0 ? -1 : 0;
		/* At which rate the unit listens now is unknown. */
		if (esp_enter_again(session, fault) != 0)
			return -1;
	}
	return 0;
}

int
esp_run(struct esp_session *session, struct fault *fault)
{
	session->connected = false;
	if (port_set_baud(session->port, PORT_BAUD_START, fault) != 0 ||
	    esp_forget(session, fault) != 0)
		return -1;
	return port_run_sequence(session->port, session->demands->run, fault);
}
