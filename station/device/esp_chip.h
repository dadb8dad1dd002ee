/*
 * What is different from chip to chip, as one table. Used by the esp_*.c
 * files alone.
 *
 * Sources: esptool targets/ (register addresses, efuse fields, chip ids);
 * the chips' technical reference manuals.
 */
#ifndef DEVICE_ESP_CHIP_H
#define DEVICE_ESP_CHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "device/esp_rom.h"

/* The word at this address tells the older chips apart. */
enum {
	ESP_MAGIC_ADDRESS = 0x40001000
};

/* A field of an efuse word: offset from the chip's efuse_address. */
struct esp_field {
	uint8_t word; /* byte offset / 4 */
	uint8_t shift;
	uint8_t width; /* 0: no such field */
};

/* Offsets of the registers that run a command on the flash chip. */
struct esp_spi {
	uint8_t user, user2, mosi_len, miso_len, data;
};

struct esp_chip_facts {
	const char *name;
	uint32_t id;	   /* of GET_SECURITY_INFO and image headers */
	uint32_t magic[2]; /* at ESP_MAGIC_ADDRESS; 0 none */
	uint32_t mac_address;
	uint32_t efuse_address; /* that the fields below count from */
	uint32_t spi_address;
	struct esp_spi spi;
	struct esp_field major, minor_low, minor_high; /* revision */
	bool begin_long;    /* FLASH_BEGIN takes a fifth word */
	bool security_info; /* GET_SECURITY_INFO is known */
};

const struct esp_chip_facts *esp_chip_facts(enum esp_chip);
/* ESP_CHIP_NONE when unknown. */
enum esp_chip esp_chip_by_id(uint32_t id);
enum esp_chip esp_chip_by_magic(uint32_t magic);
/* Flash size of a JEDEC id in MiB; 0 when unknown or below 1 MiB. */
uint32_t esp_flash_mib(uint32_t flash_id);

#endif
