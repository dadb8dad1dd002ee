/* What the unit in the slot is: chip, fuses, MAC, flash. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "device/esp_session.h"

enum {
	REFUSAL_PAUSE_US = 200000, /* the ROM may repeat an error 8 times */
	SECURITY_INFO_LEN = 20,
	SECURITY_INFO_SHORT_LEN = 12, /* ESP32-S2 */
	FLAG_SECURE_BOOT = 1 << 0,
	FLAG_SECURE_DOWNLOAD = 1 << 2,
	SPI_POLLS = 10,
};

static bool
odd_bits(uint32_t value)
{
	return __builtin_popcount(value) % 2 == 1;
}

static int
chip_unknown(const struct esp_session *session, const char *what,
    uint32_t number, struct fault *fault)
{
	char accepted[128];

	esp_demands_chips(session->demands, accepted, sizeof(accepted));
	return fault_set(fault, CAUSE_WRONG_CHIP,
	    "the unit is an unknown chip (%s 0x%x), the lot takes %s", what,
	    (unsigned)number, accepted);
}

/* By the magic word: chips whose ROM does not know GET_SECURITY_INFO. */
static int
chip_by_word(struct esp_session *session, struct fault *fault)
{
	struct esp_identity *identity = &session->identity;
	uint32_t address = ESP_MAGIC_ADDRESS;
	struct esp_answer answer;

	if (port_wait_us(session->port, REFUSAL_PAUSE_US, fault) != 0 ||
	    esp_forget(session, fault) != 0 ||
	    esp_exchange_words(session, ESP_READ_REGISTER, &address, 1, 0,
		ESP_TIMEOUT_MS, &answer, fault) != 0)
		return -1;
	if (answer.outcome == ESP_REFUSED) {
		/* Neither of the two: an ESP32-S2 in secure download mode. */
		identity->chip = ESP_CHIP_ESP32S2;
		identity->secure_download = true;
		return 0;
	}
	if (esp_demand_done(
		session, &answer, "reading the chip's magic word", fault) != 0)
		return -1;
	identity->chip = esp_chip_by_magic(answer.value);
	if (identity->chip == ESP_CHIP_NONE)
		return chip_unknown(session,
		    answer.value == 0xFFF0C101 ? "esp8266, magic word"
					       : "magic word",
		    answer.value, fault);
	return 0;
}

static int
chip_detect(struct esp_session *session, struct fault *fault)
{
	struct esp_identity *identity = &session->identity;
	struct esp_answer answer;
	uint32_t flags;

	if (esp_exchange_words(session, ESP_SECURITY_INFO, NULL, 0,
		SECURITY_INFO_LEN, ESP_TIMEOUT_MS, &answer, fault) != 0)
		return -1;
	if (answer.outcome == ESP_SILENT)
		return esp_demand_done(
		    session, &answer, "asking what the unit is", fault);
	if (answer.outcome == ESP_REFUSED ||
	    answer.len < SECURITY_INFO_SHORT_LEN)
		return chip_by_word(session, fault);
	flags = esp_word(answer.data);
	identity->security_known = true;
	identity->secure_boot = (flags & FLAG_SECURE_BOOT) != 0;
	identity->secure_download = (flags & FLAG_SECURE_DOWNLOAD) != 0;
	identity->flash_encryption = odd_bits(answer.data[4]);
	identity->chip = ESP_CHIP_ESP32S2;
	if (answer.len >= SECURITY_INFO_LEN) {
		identity->chip = esp_chip_by_id(esp_word(answer.data + 12));
		if (identity->chip == ESP_CHIP_NONE)
			return chip_unknown(session, "chip id",
			    esp_word(answer.data + 12), fault);
	}
	return 0;
}

static int
chip_check(const struct esp_session *session, struct fault *fault)
{
	char accepted[128];

	if ((session->demands->chips & 1U << session->identity.chip) != 0)
		return 0;
	esp_demands_chips(session->demands, accepted, sizeof(accepted));
	return fault_set(fault, CAUSE_WRONG_CHIP,
	    "the unit is an %s, the lot takes %s",
	    esp_chip_name(session->identity.chip), accepted);
}

static int
mac_read(struct esp_session *session, struct fault *fault)
{
	struct esp_identity *identity = &session->identity;
	const struct esp_chip_facts *facts = esp_chip_facts(identity->chip);
	uint32_t low, high;

	if (esp_register_read(session, facts->mac_address, &low, fault) != 0 ||
	    esp_register_read(session, facts->mac_address + 4, &high, fault) !=
		0)
		return -1;
	snprintf(identity->mac, sizeof(identity->mac),
	    "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(high >> 8 & 0xFF),
	    (unsigned)(high & 0xFF), (unsigned)(low >> 24),
	    (unsigned)(low >> 16 & 0xFF), (unsigned)(low >> 8 & 0xFF),
	    (unsigned)(low & 0xFF));
	return 0;
}

static int
field_read(struct esp_session *session, const struct esp_field *field,
    uint32_t *value, struct fault *fault)
{
	const struct esp_chip_facts *facts =
	    esp_chip_facts(session->identity.chip);
	uint32_t word;

	*value = 0;
	if (field->width == 0)
		return 0;
	if (esp_register_read(session, facts->efuse_address + 4U * field->word,
		&word, fault) != 0)
		return -1;
	*value = word >> field->shift & ((1U << field->width) - 1);
	return 0;
}

/* The ESP32 counts its major revision in bits of three registers, and says
 * by efuses what later chips say by GET_SECURITY_INFO. */
static int
esp32_read(struct esp_session *session, struct fault *fault)
{
	enum {
		BLOCK = 0x3FF5A000,
		DATE = 0x3FF6607C
	};
	static const uint8_t majors[8] = {0, 1, 0, 2, 0, 0, 0, 3};
	struct esp_identity *identity = &session->identity;
	uint32_t word0, word3, word5, word6, date, bits;

	if (esp_register_read(session, BLOCK, &word0, fault) != 0 ||
	    esp_register_read(session, BLOCK + 12, &word3, fault) != 0 ||
	    esp_register_read(session, BLOCK + 20, &word5, fault) != 0 ||
	    esp_register_read(session, BLOCK + 24, &word6, fault) != 0 ||
	    esp_register_read(session, DATE, &date, fault) != 0)
		return -1;
	bits =
	    (date >> 31 & 1) << 2 | (word5 >> 20 & 1) << 1 | (word3 >> 15 & 1);
	identity->revision = majors[bits] * 100U + (word5 >> 24 & 3);
	identity->flash_encryption = odd_bits(word0 & 0x7FU << 20);
	identity->secure_boot =
	    (word6 & 1U << 4) != 0 ||
	    (identity->revision >= 300 && (word6 & 1U << 5) != 0);
	identity->security_known = true;
	return 0;
}

static int
revision_read(struct esp_session *session, struct fault *fault)
{
	struct esp_identity *identity = &session->identity;
	const struct esp_chip_facts *facts = esp_chip_facts(identity->chip);
	uint32_t major, low, high;

	identity->revision_known = true;
	if (identity->chip == ESP_CHIP_ESP32)
		return esp32_read(session, fault);
	if (field_read(session, &facts->major, &major, fault) != 0 ||
	    field_read(session, &facts->minor_low, &low, fault) != 0 ||
	    field_read(session, &facts->minor_high, &high, fault) != 0)
		return -1;
	identity->revision =
	    major * 100 + (high << facts->minor_low.width) + low;
	return 0;
}

/*
 * The flash chip's JEDEC id: the SPI controller is made to send command 9F
 * and to take three bytes. Its registers are put back as they were.
 */
static int
flash_id_read(struct esp_session *session, uint32_t *id, struct fault *fault)
{
	enum {
		READ_ID = 0x9F,
		ID_BITS = 24
	};
	const uint32_t user_command = 1U << 31, user_miso = 1U << 28;
	const uint32_t command_len_8 = 7U << 28, command_run = 1U << 18;
	const struct esp_chip_facts *facts =
	    esp_chip_facts(session->identity.chip);
	uint32_t base = facts->spi_address, user, user2, busy;
	int i;

	if (esp_register_read(session, base + facts->spi.user, &user, fault) !=
		0 ||
	    esp_register_read(
		session, base + facts->spi.user2, &user2, fault) != 0 ||
	    esp_register_write(
		session, base + facts->spi.miso_len, ID_BITS - 1, fault) != 0 ||
	    esp_register_write(session, base + facts->spi.user,
		user_command | user_miso, fault) != 0 ||
	    esp_register_write(session, base + facts->spi.user2,
		command_len_8 | READ_ID, fault) != 0 ||
	    esp_register_write(session, base + facts->spi.data, 0, fault) !=
		0 ||
	    esp_register_write(session, base, command_run, fault) != 0)
		return -1;
	for (i = 0, busy = command_run; i < SPI_POLLS && busy != 0; i++) {
		if (esp_register_read(session, base, &busy, fault) != 0)
			return -1;
		busy &= command_run;
	}
	if (busy != 0)
		return fault_set(fault, CAUSE_FLASH_ERROR,
		    "the flash controller does not finish");
	if (esp_register_read(session, base + facts->spi.data, id, fault) !=
		0 ||
	    esp_register_write(session, base + facts->spi.user, user, fault) !=
		0 ||
	    esp_register_write(
		session, base + facts->spi.user2, user2, fault) != 0)
		return -1;
	*id &= 0xFFFFFF;
	return 0;
}

static int
flash_check(struct esp_session *session, struct fault *fault)
{
	struct esp_identity *identity = &session->identity;
	uint32_t demanded = session->demands->flash_mib;

	if (flash_id_read(session, &identity->flash_id, fault) != 0)
		return -1;
	identity->flash_mib = esp_flash_mib(identity->flash_id);
	if (identity->flash_id == 0 || identity->flash_id == 0xFFFFFF)
		return fault_set(fault, CAUSE_WRONG_FLASH,
		    "the unit's flash does not answer (id %06x)",
		    (unsigned)identity->flash_id);
	if (demanded != 0 && identity->flash_mib != demanded)
		return fault_set(fault, CAUSE_WRONG_FLASH,
		    "the unit has %u MiB of flash (id %06x), the lot takes "
		    "%u MiB",
		    (unsigned)identity->flash_mib, (unsigned)identity->flash_id,
		    (unsigned)demanded);
	return 0;
}

static int
state_check(const char *what, uint32_t demanded, bool known, bool is,
    struct fault *fault)
{
	if (demanded == ESP_STATE_ANY)
		return 0;
	if (!known)
		return fault_set(fault, CAUSE_SECURITY_STATE,
		    "%s cannot be read on this unit", what);
	if (is == (demanded == ESP_STATE_ON))
		return 0;
	return fault_set(fault, CAUSE_SECURITY_STATE,
	    "%s of this unit is %s, the lot demands %s", what,
	    is ? "on" : "off", is ? "off" : "on");
}

static int
security_check(const struct esp_session *session, struct fault *fault)
{
	const struct esp_identity *identity = &session->identity;
	const struct esp_demands *demands = session->demands;

	if (state_check("secure boot", demands->secure_boot,
		identity->security_known, identity->secure_boot, fault) != 0 ||
	    state_check("flash encryption", demands->flash_encryption,
		identity->security_known, identity->flash_encryption,
		fault) != 0)
		return -1;
	return state_check("secure download mode", demands->secure_download,
	    true, identity->secure_download, fault);
}

static void
hardware_text(struct esp_identity *identity)
{
	char revision[32] = "", flash[32] = "";

	if (identity->revision_known)
		snprintf(revision, sizeof(revision), " v%u.%u",
		    (unsigned)identity->revision / 100,
		    (unsigned)identity->revision % 100);
	if (identity->flash_mib != 0)
		snprintf(flash, sizeof(flash), ", flash %u MiB",
		    (unsigned)identity->flash_mib);
	snprintf(identity->hardware, sizeof(identity->hardware), "%s%s%s%s",
	    esp_chip_name(identity->chip), revision, flash,
	    identity->secure_download ? ", secure download" : "");
}

int
esp_identify(struct esp_session *session, struct fault *fault)
{
	struct esp_identity *identity = &session->identity;
	int result = -1;

	if (chip_detect(session, fault) != 0 || chip_check(session, fault) != 0)
		goto out;
	if (!identity->secure_download &&
	    (mac_read(session, fault) != 0 ||
		revision_read(session, fault) != 0))
		goto out;
	if (security_check(session, fault) != 0 ||
	    esp_flash_attach(session, fault) != 0)
		goto out;
	if (!identity->secure_download && flash_check(session, fault) != 0)
		goto out;
	result = 0;
out:
	hardware_text(identity);
	return result;
}
