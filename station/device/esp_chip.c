#include "device/esp_chip.h"

#include <string.h>

#define SPI_OFFSETS_OLD                      \
	{                                    \
		0x1C, 0x24, 0x28, 0x2C, 0x80 \
	}
#define SPI_OFFSETS                          \
	{                                    \
		0x18, 0x20, 0x24, 0x28, 0x58 \
	}

/* Revision fields: words counted from block 1 of the efuses (block 2 on the
 * C2), which is efuse_address. The ESP32's are spread over three registers:
 * esp_identify.c knows them. */
static const struct esp_chip_facts facts[ESP_CHIP_COUNT] = {
    [ESP_CHIP_NONE] = {.name = "none"},
    [ESP_CHIP_ESP32] = {.name = "esp32",
	.id = 0,
	.magic = {0x00F01D83},
	.mac_address = 0x3FF5A004,
	.efuse_address = 0x3FF5A000,
	.spi_address = 0x3FF42000,
	.spi = SPI_OFFSETS_OLD},
    [ESP_CHIP_ESP32S2] = {.name = "esp32s2",
	.id = 2,
	.magic = {0x000007C6},
	.mac_address = 0x3F41A044,
	.efuse_address = 0x3F41A044,
	.spi_address = 0x3F402000,
	.spi = SPI_OFFSETS,
	.major = {3, 18, 2},
	.minor_low = {4, 4, 3},
	.minor_high = {3, 20, 1},
	.begin_long = true,
	.security_info = true},
    [ESP_CHIP_ESP32S3] = {.name = "esp32s3",
	.id = 9,
	.magic = {0x00000009},
	.mac_address = 0x60007044,
	.efuse_address = 0x60007044,
	.spi_address = 0x60002000,
	.spi = SPI_OFFSETS,
	.major = {5, 24, 2},
	.minor_low = {3, 18, 3},
	.minor_high = {5, 23, 1},
	.begin_long = true,
	.security_info = true},
    [ESP_CHIP_ESP32C2] = {.name = "esp32c2",
	.id = 12,
	.magic = {0x6F51306F, 0x7C41A06F},
	.mac_address = 0x60008840,
	.efuse_address = 0x60008840,
	.spi_address = 0x60002000,
	.spi = SPI_OFFSETS,
	.major = {1, 20, 2},
	.minor_low = {1, 16, 4},
	.begin_long = true,
	.security_info = true},
    [ESP_CHIP_ESP32C3] = {.name = "esp32c3",
	.id = 5,
	.magic = {0x6921506F, 0x1B31506F},
	.mac_address = 0x60008844,
	.efuse_address = 0x60008844,
	.spi_address = 0x60002000,
	.spi = SPI_OFFSETS,
	.major = {5, 24, 2},
	.minor_low = {3, 18, 3},
	.minor_high = {5, 23, 1},
	.begin_long = true,
	.security_info = true},
    [ESP_CHIP_ESP32C5] = {.name = "esp32c5",
	.id = 23,
	.mac_address = 0x600B4844,
	.efuse_address = 0x600B4844,
	.spi_address = 0x60003000,
	.spi = SPI_OFFSETS,
	.major = {2, 4, 2},
	.minor_low = {2, 0, 4},
	.begin_long = true,
	.security_info = true},
    [ESP_CHIP_ESP32C6] = {.name = "esp32c6",
	.id = 13,
	.magic = {0x2CE0806F},
	.mac_address = 0x600B0844,
	.efuse_address = 0x600B0844,
	.spi_address = 0x60003000,
	.spi = SPI_OFFSETS,
	.major = {5, 24, 2},
	.minor_low = {3, 18, 3},
	.minor_high = {5, 23, 1},
	.begin_long = true,
	.security_info = true},
    [ESP_CHIP_ESP32C61] = {.name = "esp32c61",
	.id = 20,
	.mac_address = 0x600B4844,
	.efuse_address = 0x600B4844,
	.spi_address = 0x60003000,
	.spi = SPI_OFFSETS,
	.major = {2, 4, 2},
	.minor_low = {2, 0, 4},
	.begin_long = true,
	.security_info = true},
    [ESP_CHIP_ESP32H2] = {.name = "esp32h2",
	.id = 16,
	.magic = {0xD7B73E80},
	.mac_address = 0x600B0844,
	.efuse_address = 0x600B0844,
	.spi_address = 0x60003000,
	.spi = SPI_OFFSETS,
	.major = {3, 21, 2},
	.minor_low = {3, 18, 3},
	.begin_long = true,
	.security_info = true},
    [ESP_CHIP_ESP32P4] = {.name = "esp32p4",
	.id = 18,
	.mac_address = 0x5012D044,
	.efuse_address = 0x5012D044,
	.spi_address = 0x5008D000,
	.spi = SPI_OFFSETS,
	.major = {2, 4, 2},
	.minor_low = {2, 0, 4},
	.begin_long = true,
	.security_info = true},
};

const struct esp_chip_facts *
esp_chip_facts(enum esp_chip chip)
{
	if ((unsigned)chip >= ESP_CHIP_COUNT)
		chip = ESP_CHIP_NONE;
	return &facts[chip];
}

const char *
esp_chip_name(enum esp_chip chip)
{
	return esp_chip_facts(chip)->name;
}

enum esp_chip
esp_chip_by_name(const char *name)
{
	enum esp_chip chip;

	for (chip = ESP_CHIP_ESP32; chip < ESP_CHIP_COUNT; chip++)
		if (strcmp(facts[chip].name, name) == 0)
			return chip;
	return ESP_CHIP_NONE;
}

enum esp_chip
esp_chip_by_id(uint32_t id)
{
	enum esp_chip chip;

	for (chip = ESP_CHIP_ESP32; chip < ESP_CHIP_COUNT; chip++)
		if (facts[chip].id == id)
			return chip;
	return ESP_CHIP_NONE;
}

enum esp_chip
esp_chip_by_magic(uint32_t magic)
{
	enum esp_chip chip;

	if (magic == 0)
		return ESP_CHIP_NONE;
	for (chip = ESP_CHIP_ESP32; chip < ESP_CHIP_COUNT; chip++)
		if (facts[chip].magic[0] == magic ||
		    facts[chip].magic[1] == magic)
			return chip;
	return ESP_CHIP_NONE;
}

uint32_t
esp_flash_mib(uint32_t flash_id)
{
	uint32_t capacity = flash_id >> 16 & 0xFF;

	/* JEDEC: 2^capacity bytes; 0x20 and on, and 0x30 and on, are how
	 * some vendors write 64 MiB and more, and 1.8 V parts. */
	if (capacity >= 0x14 && capacity <= 0x1C)
		return 1U << (capacity - 0x14);
	if (capacity >= 0x20 && capacity <= 0x22)
		return 64U << (capacity - 0x20);
	if (capacity >= 0x34 && capacity <= 0x3A)
		return 1U << (capacity - 0x34);
	return 0;
}
