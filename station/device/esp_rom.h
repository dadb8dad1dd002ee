/*
 * The loader in the ROM of Espressif's chips, without a stub: connect, find
 * out what the unit is, write flash, verify it, start the firmware.
 *
 * Sources: esptool documentation, "Serial Protocol"; esptool loader.py,
 * reset.py and targets/ for addresses.
 *
 * The slot role calls, in this order: esp_session_new, esp_connect,
 * esp_raise_baud, esp_write_firmware, esp_write_image, esp_run,
 * esp_session_free. Each returns 0, or -1 with the fault filled:
 *
 *	CAUSE_NO_ANSWER      silent, or only the boot banner
 *	CAUSE_GARBAGE        bytes, but never an answer
 *	CAUSE_WRONG_CHIP     not a chip of the profile
 *	CAUSE_WRONG_FLASH    another flash size than the profile's
 *	CAUSE_SECURITY_STATE fuses are not as the profile demands
 *	CAUSE_FLASH_ERROR    the ROM refuses or fails a command
 *	CAUSE_FLASH_MISMATCH flash does not hold what was written
 *	CAUSE_UNPLUGGED, CAUSE_PORT_ERROR, CAUSE_DEADLINE, and what the port's
 *	interrupt gives
 */
#ifndef DEVICE_ESP_ROM_H
#define DEVICE_ESP_ROM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/yaml.h"
#include "device/firmware.h"
#include "device/port.h"

enum esp_chip {
	ESP_CHIP_NONE,
	ESP_CHIP_ESP32,
	ESP_CHIP_ESP32S2,
	ESP_CHIP_ESP32S3,
	ESP_CHIP_ESP32C2,
	ESP_CHIP_ESP32C3,
	ESP_CHIP_ESP32C5,
	ESP_CHIP_ESP32C6,
	ESP_CHIP_ESP32C61,
	ESP_CHIP_ESP32H2,
	ESP_CHIP_ESP32P4,
	ESP_CHIP_COUNT
};
/* As ESP-IDF's flasher_args.json spells it: "esp32c3"; "none" for 0. */
const char *esp_chip_name(enum esp_chip);
/* ESP_CHIP_NONE when the name is unknown. */
enum esp_chip esp_chip_by_name(const char *);

/* ---- what a profile demands ---- */

enum {
	ESP_BAUDS_MAX = 6,
	ESP_RESETS_MAX = 4
};

enum esp_state {
	ESP_STATE_ANY,
	ESP_STATE_OFF,
	ESP_STATE_ON
};

struct esp_demands {
	uint32_t chips;	     /* 1 << enum esp_chip, one bit each accepted */
	uint32_t flash_mib;  /* 0: any */
	uint32_t baud_count; /* 0: stay at 115200 */
	uint32_t bauds[ESP_BAUDS_MAX]; /* fastest first */
	uint32_t reset_count;
	char resets[ESP_RESETS_MAX][PORT_SEQUENCE_LEN]; /* into the loader */
	char run[PORT_SEQUENCE_LEN]; /* reset into the firmware */
	uint32_t secure_boot;	     /* enum esp_state, like the following */
	uint32_t flash_encryption;
	uint32_t secure_download;
	uint32_t plain; /* 1: write without compression */
};

/*
 * Reads a profile's map for this flasher:
 *
 *	chip: [esp32c3, esp32c6]    or one name
 *	flash_mib: 4
 *	baud: [921600, 460800]      fastest first; 115200: stay there
 *	reset: [unix-tight, classic, "D0|R1|W0.1|D1|R0|W0.05|D0"]
 *	run: "R1|W0.1|R0"
 *	secure_boot: on | off | any
 *	flash_encryption: on | off | any
 *	secure_download: on | off | any
 *	compress: true
 *
 * Only chip is required. Reports every error, unknown keys too; a key
 * `kind` is left to the caller. Returns 0 when there was none.
 */
int esp_demands_parse(struct yaml_document *, struct yaml_node *map,
    struct esp_demands *, struct problems *);
/* "esp32c3, esp32c6" for messages. */
void esp_demands_chips(const struct esp_demands *, char *to, size_t size);

/* ---- a session ---- */

struct esp_identity {
	enum esp_chip chip;
	char mac[18];	   /* "24:6f:28:00:00:01"; empty when unreadable */
	char hardware[64]; /* "esp32c3 v0.4, flash 4 MiB", for records */
	uint32_t revision; /* major * 100 + minor */
	bool revision_known;
	uint32_t flash_id;  /* JEDEC: manufacturer | device << 8; 0 unknown */
	uint32_t flash_mib; /* 0 unknown */
	bool security_known;
	bool secure_boot;
	bool flash_encryption;
	bool secure_download; /* no MAC, no read-back */
};

typedef void esp_progress(void *arg, uint64_t done, uint64_t total);

struct esp_session;

/* Borrows all; progress may be null. */
struct esp_session *esp_session_new(struct port *, const struct esp_demands *,
    esp_progress *, void *progress_arg, struct fault *);
void esp_session_free(struct esp_session *);

/*
 * Resets the unit into its loader, synchronises, identifies it, holds it
 * against the demands and prepares its flash. The identity is filled as far
 * as it is known, also on failure.
 */
int esp_connect(struct esp_session *, struct esp_identity *, struct fault *);
/*
 * Goes to the fastest rate of the demands at which the unit still answers;
 * falls back down the ladder, in the end to 115200 with a new reset.
 */
int esp_raise_baud(struct esp_session *, struct fault *);
/*
 * Writes all regions and compares each with its MD5. *verified is false when
 * secure download mode permits no read-back. Progress counts unpacked bytes.
 */
int esp_write_firmware(struct esp_session *, const struct firmware_view *,
    bool *verified, struct fault *);
/*
 * The same for an image in (secret) memory. Buffers that held it are wiped,
 * the port's sink does not see it. name is for messages.
 */
int esp_write_image(struct esp_session *, const char *name, uint32_t offset,
    const uint8_t *image, uint32_t len, bool *verified, struct fault *);
/* Compares flash with an MD5; CAUSE_FLASH_MISMATCH names both. */
int esp_verify(struct esp_session *, const char *name, uint32_t offset,
    uint32_t len, const uint8_t md5[16], struct fault *);
/* Resets the unit into its firmware and returns the port to 115200. */
int esp_run(struct esp_session *, struct fault *);

#endif
