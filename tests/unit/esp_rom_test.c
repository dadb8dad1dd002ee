/*
 * The loader session against a scripted ROM: published frames, identities,
 * and what goes wrong. The ROM here is a few lines that know nothing of the
 * code under test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/yaml.h"
#include "device/esp_rom.h"
#include "device_peer.h"

enum {
	REGISTERS = 32,
	FLASH_LEN = 4 * 1024 * 1024,
	LOG_LEN = 1 << 20,
	ERROR_BAD = 5,
	ERROR_SUM = 7,
};

/* A ROM of few words. */
struct rom {
	bool loader;	    /* in the loader since the last reset */
	bool deaf;	    /* never answers */
	const char *banner; /* said at each reset, or null */
	const char *noise;  /* said at each reset */
	size_t noise_len;
	bool short_info, no_info, secure_download;
	uint32_t chip_id, flags, flash_id;
	uint8_t crypt_count;
	uint32_t registers[REGISTERS][2];
	size_t register_count;
	uint32_t refuse_baud; /* from this rate on it is not understood */
	uint32_t baud;
	int drop_block; /* the n-th DATA gets no answer, once */
	int bad_block;	/* the n-th DATA has a wrong checksum, once */
	bool md5_wrong;
	unsigned resets, begins;
	uint8_t fail_with; /* DATA is refused so */

	uint8_t flash[FLASH_LEN];
	uint32_t offset, written;
	bool packed;
	z_stream inflater;
	int blocks;
	bool refused;	   /* after a wrong checksum only BEGIN helps */
	char log[LOG_LEN]; /* frames as hex, one a line */
	size_t log_len;
	uint8_t frame[4096];
	size_t frame_len;
	bool inside, escaped;
};

static uint32_t
word(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
	       (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void
answer(struct peer *peer, uint8_t operation, uint32_t value, const void *data,
    size_t len, uint8_t error)
{
	uint8_t raw[128] = {1, operation, (uint8_t)(len + 4), 0};
	uint8_t out[300];
	size_t i, at = 0, whole = 8 + len + 4;

	for (i = 0; i < 4; i++)
		raw[4 + i] = (uint8_t)(value >> 8 * i);
	if (len > 0)
		memcpy(raw + 8, data, len);
	raw[8 + len] = error != 0;
	raw[8 + len + 1] = error;
	out[at++] = 0xC0;
	for (i = 0; i < whole; i++) {
		if (raw[i] == 0xC0 || raw[i] == 0xDB) {
			out[at++] = 0xDB;
			out[at++] = raw[i] == 0xC0 ? 0xDC : 0xDD;
		} else {
			out[at++] = raw[i];
		}
	}
	out[at++] = 0xC0;
	peer_say(peer, out, at);
}

static uint32_t *
register_find(struct rom *rom, uint32_t address)
{
	size_t i;

	for (i = 0; i < rom->register_count; i++)
		if (rom->registers[i][0] == address)
			return &rom->registers[i][1];
	assert_true(rom->register_count < REGISTERS);
	rom->registers[i][0] = address;
	rom->registers[i][1] = 0;
	rom->register_count++;
	return &rom->registers[i][1];
}

static void
begin(struct rom *rom, const uint8_t *data, bool packed)
{
	uint32_t len = word(data);

	rom->begins++;
	rom->refused = false;
	rom->offset = word(data + 12);
	rom->written = 0;
	assert_true(rom->offset + len <= FLASH_LEN);
	memset(rom->flash + rom->offset, 0xFF, len);
	rom->packed = packed;
	if (packed) {
		inflateEnd(&rom->inflater);
		memset(&rom->inflater, 0, sizeof(rom->inflater));
		assert_int_equal(inflateInit(&rom->inflater), Z_OK);
	}
}

static void
block(struct peer *peer, struct rom *rom, const uint8_t *frame)
{
	uint32_t len = word(frame + 8), sum = 0xEF, i;
	uint8_t error = rom->fail_with;

	rom->blocks++;
	for (i = 0; i < len; i++)
		sum ^= frame[24 + i];
	assert_int_equal(sum, word(frame + 4));
	if (rom->drop_block == rom->blocks) {
		rom->drop_block = 0;
		return;
	}
	if (rom->refused)
		error = ERROR_BAD;
	if (rom->bad_block == rom->blocks) {
		rom->bad_block = 0;
		rom->refused = true;
		error = ERROR_SUM;
	}
	if (error == 0 && rom->packed) {
		rom->inflater.next_in = (Bytef *)(uintptr_t)(frame + 24);
		rom->inflater.avail_in = len;
		rom->inflater.next_out =
		    rom->flash + rom->offset + rom->inflater.total_out;
		rom->inflater.avail_out =
		    FLASH_LEN - rom->offset - (uInt)rom->inflater.total_out;
		assert_in_range(
		    inflate(&rom->inflater, Z_NO_FLUSH), Z_OK, Z_STREAM_END);
	} else if (error == 0) {
		memcpy(
		    rom->flash + rom->offset + rom->written, frame + 24, len);
		rom->written += len;
	}
	answer(peer, frame[1], 0, NULL, 0, error);
}

static void
md5(struct peer *peer, const struct rom *rom, const uint8_t *frame)
{
	uint8_t digest[16];
	char hex[33];

	EVP_Digest(rom->flash + word(frame + 8), word(frame + 12), digest, NULL,
	    EVP_md5(), NULL);
	if (rom->md5_wrong)
		digest[0] ^= 1;
	hex_encode(hex, digest, sizeof(digest));
	answer(peer, 0x13, 0, hex, 32, 0);
}

static void
security(struct peer *peer, const struct rom *rom)
{
	uint8_t info[20] = {0};

	info[0] = (uint8_t)rom->flags;
	info[4] = rom->crypt_count;
	info[12] = (uint8_t)rom->chip_id;
	if (rom->no_info)
		answer(peer, 0x14, 0, NULL, 0, ERROR_BAD);
	else
		answer(peer, 0x14, 0, info, rom->short_info ? 12 : 20, 0);
}

static void
register_write(struct rom *rom, uint32_t address, uint32_t value)
{
	*register_find(rom, address) = value;
	/* A started SPI command is over at once; its answer is the id. */
	if ((address & 0xFFF) == 0 && (value & 1U << 18) != 0) {
		*register_find(rom, address) = 0;
		*register_find(rom, address + 0x58) = rom->flash_id;
		*register_find(rom, address + 0x80) = rom->flash_id;
	}
}

static bool
locked(const struct rom *rom, uint8_t operation)
{
	return rom->secure_download &&
	       strchr("\x08\x0b\x0d\x0f\x02\x03\x04\x14", operation) == NULL;
}

static void
frame_take(struct peer *peer, struct rom *rom)
{
	const uint8_t *frame = rom->frame;
	int i;

	if (rom->frame_len * 2 + 2 < LOG_LEN - rom->log_len) {
		hex_encode(rom->log + rom->log_len, frame, rom->frame_len);
		rom->log_len += rom->frame_len * 2;
		rom->log[rom->log_len++] = '\n';
		rom->log[rom->log_len] = '\0';
	}
	if (!rom->loader || rom->deaf ||
	    (rom->refuse_baud != 0 && rom->baud >= rom->refuse_baud))
		return;
	if (locked(rom, frame[1])) {
		answer(peer, frame[1], 0, NULL, 0, ERROR_BAD);
		return;
	}
	switch (frame[1]) {
	case 0x08:
		for (i = 0; i < 8; i++)
			answer(peer, 0x08, 0x20120707, NULL, 0, 0);
		break;
	case 0x14:
		security(peer, rom);
		break;
	case 0x0A:
		answer(peer, 0x0A, *register_find(rom, word(frame + 8)), NULL,
		    0, 0);
		break;
	case 0x09:
		register_write(rom, word(frame + 8), word(frame + 12));
		answer(peer, 0x09, 0, NULL, 0, 0);
		break;
	case 0x0F:
		answer(peer, 0x0F, 0, NULL, 0, 0);
		rom->baud = word(frame + 8);
		break;
	case 0x02:
	case 0x10:
		begin(rom, frame + 8, frame[1] == 0x10);
		answer(peer, frame[1], 0, NULL, 0, 0);
		break;
	case 0x03:
	case 0x11:
		block(peer, rom, frame);
		break;
	case 0x13:
		md5(peer, rom, frame);
		break;
	default:
		answer(peer, frame[1], 0, NULL, 0, 0);
	}
}

static void
rom_take(struct peer *peer, const uint8_t *bytes, size_t len)
{
	struct rom *rom = peer->arg;
	size_t i;

	for (i = 0; i < len; i++) {
		if (bytes[i] == 0xC0) {
			if (rom->inside && rom->frame_len > 0) {
				frame_take(peer, rom);
				rom->inside = false;
			} else {
				rom->inside = true;
			}
			rom->frame_len = 0;
		} else if (bytes[i] == 0xDB) {
			rom->escaped = true;
		} else {
			uint8_t byte = bytes[i];

			if (rom->escaped)
				byte = byte == 0xDC ? 0xC0 : 0xDB;
			rom->escaped = false;
			if (rom->frame_len < sizeof(rom->frame))
				rom->frame[rom->frame_len++] = byte;
		}
	}
}

/* EN rises when RTS is released: BOOT is low when DTR is asserted then, or
 * a moment later. */
static void
rom_lines(struct peer *peer, bool dtr, bool rts)
{
	struct rom *rom = peer->arg;

	if (rts && !dtr)
		rom->resets++;
	if (!rts && dtr)
		rom->loader = rom->banner == NULL;
	rom->baud = rts ? 115200 : rom->baud;
	if (!rts && dtr && rom->banner != NULL)
		peer_say_text(peer, rom->banner);
	if (!rts && dtr && rom->noise != NULL)
		peer_say(peer, rom->noise, rom->noise_len);
}

/* ---- the fixture ---- */

static struct rom rom;
static struct peer peer;
static struct port port;
static struct esp_demands demands;
static struct esp_session *session;
static struct esp_identity identity;
static struct fault fault;

static void
rom_chip(uint32_t chip_id, uint32_t mac_address, uint32_t low, uint32_t high)
{
	rom.chip_id = chip_id;
	*register_find(&rom, mac_address) = low;
	*register_find(&rom, mac_address + 4) = high;
}

static int
setup(void **state)
{
	(void)state;
	inflateEnd(&rom.inflater);
	memset(&rom, 0, sizeof(rom));
	rom.flash_id = 0x1640EF;
	rom_chip(5, 0x60008844, 0x28000001, 0xABCD246F);
	memset(&demands, 0, sizeof(demands));
	demands.chips = 1U << ESP_CHIP_ESP32C3;
	demands.reset_count = 1;
	(void)text_copy(demands.resets[0], PORT_SEQUENCE_LEN,
	    "U0,1|W0.001|U1,0|W0.001|U0,0");
	(void)text_copy(demands.run, PORT_SEQUENCE_LEN, "R1|W0.001|R0");
	memset(&peer, 0, sizeof(peer));
	peer.take = rom_take;
	peer.lines_set = rom_lines;
	peer.arg = &rom;
	peer_open(&peer, &port);
	fault_clear(&fault);
	session = esp_session_new(&port, &demands, NULL, NULL, &fault);
	assert_non_null(session);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	esp_session_free(session);
	peer_close(&peer);
	return 0;
}

static void
assert_fault(enum fault_cause cause, const char *text)
{
	assert_string_equal(
	    fault_row(fault.cause)->name, fault_row(cause)->name);
	if (strstr(fault.text, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, fault.text);
}

static void
assert_sent(const char *frame_hex)
{
	char line[512];

	snprintf(line, sizeof(line), "%s\n", frame_hex);
	if (strstr(rom.log, line) == NULL)
		fail_msg(
		    "%s was not sent; sent was:\n%.2000s", frame_hex, rom.log);
}

/* ---- the tests ---- */

static void
frames_are_as_published(void **state)
{
	static uint8_t image[0x2000];
	bool verified = false;

	(void)state;
	/* An ESP32-C3 of the kind whose ROM has no GET_SECURITY_INFO. */
	rom.no_info = true;
	*register_find(&rom, 0x40001000) = 0x1B31506F;
	demands.flash_mib = 4;
	demands.baud_count = 1;
	demands.bauds[0] = 460800;
	demands.plain = 1;
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	assert_int_equal(esp_raise_baud(session, &fault), 0);
	assert_int_equal(port.baud, 460800);
	memset(image, 0x5A, sizeof(image));
	assert_int_equal(esp_write_image(session, "image", 0xD000, image,
			     sizeof(image), &verified, &fault),
	    0);
	assert_true(verified);
	assert_sent("0008240000000000"
		    "07071220"
		    "5555555555555555555555555555555555555555555555555555"
		    "555555555555");
	assert_sent("0014000000000000");
	assert_sent("000a04000000000000100040");
	assert_sent("000d0800000000000000000000000000");
	assert_sent("000b180000000000"
		    "000000000000400000000100001000000001"
		    "0000ffff0000");
	assert_sent("000f0800000000000008070000000000");
	assert_sent("000214000000000000200000080000000004000000d0000000000000");
	assert_sent("001310000000000000d00000002000000000000000000000");
	assert_memory_equal(rom.flash + 0xD000, image, sizeof(image));
}

static void
identity_is_read(void **state)
{
	(void)state;
	rom.flags = 1;
	rom.crypt_count = 1;
	*register_find(&rom, 0x60008858) = 1U << 24; /* v1 */
	*register_find(&rom, 0x60008850) = 3U << 18; /* .3 */
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	assert_int_equal(identity.chip, ESP_CHIP_ESP32C3);
	assert_string_equal(identity.mac, "24:6f:28:00:00:01");
	assert_int_equal(identity.revision, 103);
	assert_int_equal(identity.flash_mib, 4);
	assert_int_equal(identity.flash_id, 0x1640EF);
	assert_true(identity.secure_boot);
	assert_true(identity.flash_encryption);
	assert_false(identity.secure_download);
	assert_string_equal(identity.hardware, "esp32c3 v1.3, flash 4 MiB");
	/* EN low, then BOOT low while EN rises, then both released. */
	assert_non_null(strstr(peer.lines, "D0R1 D1R0 D0R0 "));
}

static void
esp32_is_told_by_its_magic_word(void **state)
{
	(void)state;
	demands.chips = 1U << ESP_CHIP_ESP32;
	rom.no_info = true;
	*register_find(&rom, 0x40001000) = 0x00F01D83;
	rom_chip(0, 0x3FF5A004, 0x28AABBCC, 0x1234246F);
	*register_find(&rom, 0x3FF5A00C) = 1U << 15; /* one major bit */
	*register_find(&rom, 0x3FF5A014) = 1U << 20 | 1U << 24; /* two: v2 */
	*register_find(&rom, 0x3FF5A018) = 1U << 4; /* secure boot */
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	assert_string_equal(identity.mac, "24:6f:28:aa:bb:cc");
	assert_int_equal(identity.revision, 201);
	assert_true(identity.secure_boot);
	assert_false(identity.flash_encryption);
	/* Its FLASH_BEGIN takes four words. */
	demands.plain = 1;
	assert_int_equal(
	    esp_write_image(session, "x", 0x1000, (const uint8_t *)"abcd", 4,
		&(bool){false}, &fault),
	    0);
	assert_sent("000210000000000000040000010000000004000000100000");
}

static void
esp32s2_has_a_short_answer(void **state)
{
	(void)state;
	demands.chips = 1U << ESP_CHIP_ESP32S2;
	rom.short_info = true;
	rom_chip(2, 0x3F41A044, 0x28AABBCC, 0x246F);
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	assert_int_equal(identity.chip, ESP_CHIP_ESP32S2);
	assert_string_equal(identity.mac, "24:6f:28:aa:bb:cc");
}

static void
other_units_are_refused(void **state)
{
	(void)state;
	rom.chip_id = 9;
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_WRONG_CHIP, "is an esp32s3, the lot takes esp32c3");
	rom.chip_id = 99;
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_WRONG_CHIP, "chip id 0x63");
	rom.chip_id = 5;
	demands.flash_mib = 8;
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_WRONG_FLASH, "has 4 MiB");
	rom.flash_id = 0xFFFFFF;
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_WRONG_FLASH, "does not answer");
	demands.secure_boot = ESP_STATE_ON;
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_SECURITY_STATE, "secure boot of this unit is off");
}

static void
silence_is_described(void **state)
{
	static const char noise[] = "\x80\xfe\x12\x80\xfe\x12\x80\xfe\x12";

	(void)state;
	rom.deaf = true;
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_NO_ANSWER, "after 7 resets and 0 bytes seen");
	rom.noise = noise;
	rom.noise_len = sizeof(noise) - 1;
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_GARBAGE, "63 bytes seen after 7 resets");
	rom.noise = NULL;
	rom.banner = "rst:0x1 (POWERON),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n";
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_NO_ANSWER, "boots its firmware");
}

static void
rates_fall_down_the_ladder(void **state)
{
	(void)state;
	demands.baud_count = 2;
	demands.bauds[0] = 921600;
	demands.bauds[1] = 460800;
	rom.refuse_baud = 921600;
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	assert_int_equal(esp_raise_baud(session, &fault), 0);
	assert_int_equal(port.baud, 460800);
	assert_int_equal(rom.baud, 460800);
	assert_int_equal(rom.resets, 2);
}

static void
fill(uint8_t *bytes, size_t len)
{
	size_t i;
	uint32_t value = 1;

	for (i = 0; i < len; i++) {
		value = value * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(value >> 24);
	}
}

static uint64_t progress_done, progress_total;

static void
progress(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	assert_true(done >= progress_done);
	progress_done = done;
	progress_total = total;
}

static void
firmware_open(struct firmware_view *view, uint8_t **file)
{
	static uint8_t one[5000], two[30000];
	const struct firmware_source sources[] = {
	    {"boot.bin", 0, one, sizeof(one)},
	    {"app.bin", 0x10000, two, sizeof(two)}};
	size_t len;

	fill(one, sizeof(one));
	fill(two, sizeof(two));
	assert_int_equal(firmware_build(sources, 2, file, &len, &fault), 0);
	assert_int_equal(firmware_check(*file, len, view, &fault), 0);
}

static void
firmware_is_written_packed(void **state)
{
	struct firmware_view view;
	uint8_t *file, expected[5000];
	bool verified = false;

	(void)state;
	firmware_open(&view, &file);
	esp_session_free(session);
	progress_done = progress_total = 0;
	session = esp_session_new(&port, &demands, progress, NULL, &fault);
	/* Not before it is connected. */
	assert_int_equal(
	    esp_write_firmware(session, &view, &verified, &fault), -1);
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	assert_int_equal(
	    esp_write_firmware(session, &view, &verified, &fault), 0);
	assert_true(verified);
	fill(expected, sizeof(expected));
	assert_memory_equal(rom.flash, expected, sizeof(expected));
	assert_int_equal(progress_done, 35000);
	assert_int_equal(progress_total, 35000);
	/* DEFL_BEGIN: size in whole blocks, no block after the end. */
	assert_null(strstr(rom.log, "\n0004"));
	assert_null(strstr(rom.log, "\n0012"));
	assert_int_equal(esp_run(session, &fault), 0);
	assert_non_null(strstr(peer.lines, "D0R1 D0R0 "));
	free(file);
}

static void
lost_and_damaged_blocks_are_repeated(void **state)
{
	struct firmware_view view;
	bool verified = false;
	uint8_t *file;

	(void)state;
	firmware_open(&view, &file);
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	rom.drop_block = 3;
	rom.bad_block = 9;
	assert_int_equal(
	    esp_write_firmware(session, &view, &verified, &fault), 0);
	assert_true(verified);
	/* A wrong checksum begins its region anew. */
	assert_int_equal(rom.begins, 3);
	free(file);
}

static void
failures_name_their_place(void **state)
{
	struct firmware_view view;
	bool verified = true;
	uint8_t *file;

	(void)state;
	firmware_open(&view, &file);
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	rom.fail_with = 8;
	assert_int_equal(
	    esp_write_firmware(session, &view, &verified, &fault), -1);
	assert_fault(CAUSE_FLASH_ERROR,
	    "writing boot.bin, block 1 of 5: the loader says error 0x08 "
	    "(writing to the flash failed)");
	assert_false(verified);
	rom.fail_with = 0;
	rom.md5_wrong = true;
	assert_int_equal(
	    esp_write_firmware(session, &view, &verified, &fault), -1);
	assert_fault(CAUSE_FLASH_MISMATCH, "boot.bin at 0x0: flash holds MD5");
	rom.md5_wrong = false;
	assert_int_equal(esp_write_image(session, "image", 0x3FF000, view.data,
			     0x1004, &verified, &fault),
	    -1);
	assert_fault(CAUSE_WRONG_FLASH, "image ends at 0x400004");
	free(file);
}

static void
secure_download_mode_is_written_unverified(void **state)
{
	static const uint8_t image[4] = {1, 2, 3, 4};
	bool verified = true;

	(void)state;
	rom.flags = 1 << 2;
	rom.secure_download = true;
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	assert_true(identity.secure_download);
	assert_string_equal(identity.mac, "");
	assert_int_equal(esp_write_image(session, "image", 0x1000, image,
			     sizeof(image), &verified, &fault),
	    0);
	assert_false(verified);
	assert_memory_equal(rom.flash + 0x1000, image, sizeof(image));
}

static uint8_t seen[1 << 16];
static size_t seen_len;

static void
see(void *arg, enum port_direction direction, const void *bytes, size_t len)
{
	(void)arg;
	(void)direction;
	assert_true(len <= sizeof(seen) - seen_len);
	memcpy(seen + seen_len, bytes, len);
	seen_len += len;
}

static void
images_are_not_shown(void **state)
{
	static uint8_t image[4096];
	bool verified = false;

	(void)state;
	demands.plain = 1;
	port.sink = see;
	seen_len = 0;
	fill(image, sizeof(image));
	assert_int_equal(esp_connect(session, &identity, &fault), 0);
	assert_int_equal(esp_write_image(session, "image", 0x9000, image,
			     sizeof(image), &verified, &fault),
	    0);
	assert_true(seen_len > 100);
	assert_null(memmem(seen, seen_len, image, 16));
	assert_false(port.quiet);
}

static int
stop(void *arg, struct fault *why)
{
	(void)arg;
	return fault_set(why, CAUSE_ABORTED, "an operator's stop");
}

static void
waits_end_early(void **state)
{
	int pair[2];

	(void)state;
	rom.deaf = true;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	port.interrupt_fd = pair[0];
	port.interrupt = stop;
	assert_int_equal(write(pair[1], "x", 1), 1);
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_ABORTED, "an operator's stop");
	port.interrupt_fd = -1;
	port.deadline_ms = clock_deadline(300);
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_DEADLINE, "");
	port.deadline_ms = 0;
	atomic_store(&peer.hung_up, true);
	assert_int_equal(esp_connect(session, &identity, &fault), -1);
	assert_fault(CAUSE_UNPLUGGED, "gone");
	close(pair[0]);
	close(pair[1]);
}

static int
demands_read(const char *yaml, struct problems *problems)
{
	struct yaml_document *document;
	int result;

	problems_init(problems);
	document = yaml_parse("p.yaml", yaml, strlen(yaml), problems);
	assert_non_null(document);
	result = esp_demands_parse(
	    document, yaml_root(document), &demands, problems);
	yaml_close(document);
	return result;
}

static void
demands_are_parsed(void **state)
{
	struct problems problems;
	char chips[64];

	(void)state;
	assert_int_equal(demands_read("kind: esp-rom\n"
				      "chip: [esp32, esp32c3]\n"
				      "flash_mib: 4\n"
				      "baud: 460800\n"
				      "reset: [classic, \"D0|R1|W0.1\"]\n"
				      "secure_boot: on\n"
				      "compress: false\n",
			     &problems),
	    0);
	esp_demands_chips(&demands, chips, sizeof(chips));
	assert_string_equal(chips, "esp32, esp32c3");
	assert_int_equal(demands.baud_count, 1);
	assert_int_equal(demands.reset_count, 2);
	assert_string_equal(demands.resets[0], "D0|R1|W0.1|D1|R0|W0.05|D0");
	assert_int_equal(demands.secure_boot, ESP_STATE_ON);
	assert_int_equal(demands.plain, 1);
	assert_string_equal(demands.run, "D0|R1|W0.1|R0");
	problems_free(&problems);
	assert_int_equal(demands_read("chip: esp33\nbaud: [460800, 921600]\n"
				      "reset: X\nrun: W99\ncolour: red\n",
			     &problems),
	    -1);
	assert_non_null(strstr(problems.text.data,
	    "p.yaml:1:7: unknown chip; accepted are esp32, esp32s2"));
	assert_non_null(strstr(problems.text.data, "fastest first"));
	assert_non_null(strstr(problems.text.data,
	    "p.yaml:3:8: bad reset: a step begins with D, R, U or W"));
	assert_non_null(strstr(problems.text.data, "at most 10 seconds"));
	assert_non_null(strstr(problems.text.data, "p.yaml:5:1: "));
	problems_free(&problems);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(frames_are_as_published),
	    TEST(identity_is_read),
	    TEST(esp32_is_told_by_its_magic_word),
	    TEST(esp32s2_has_a_short_answer),
	    TEST(other_units_are_refused),
	    TEST(silence_is_described),
	    TEST(rates_fall_down_the_ladder),
	    TEST(firmware_is_written_packed),
	    TEST(lost_and_damaged_blocks_are_repeated),
	    TEST(failures_name_their_place),
	    TEST(secure_download_mode_is_written_unverified),
	    TEST(images_are_not_shown),
	    TEST(waits_end_early),
	    TEST(demands_are_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
