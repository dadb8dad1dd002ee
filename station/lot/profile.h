/*
 * A profile: what one device family speaks, as plain data.
 * fixtures/profiles/NAME.yaml is its source.
 */
#ifndef LOT_PROFILE_H
#define LOT_PROFILE_H

#include <stdint.h>

#include "base/message.h"
#include "base/problems.h"
#include "device/esp_rom.h"
#include "device/inject.h"
#include "device/program.h"

enum {
	BAUDS_MAX = 6,
	INJECTS_MAX = 4
};

enum flasher_kind {
	FLASHER_NONE,
	FLASHER_ESP_ROM
};
enum profile_mode {
	PROFILE_CLAIM,
	PROFILE_CSR
};

struct profile {
	char name[NAME_LEN];
	uint32_t mode;		/* enum profile_mode: the patterns it serves */
	uint32_t flasher;	/* enum flasher_kind */
	struct esp_demands esp; /* chip, flash size, security states, bauds,
				   reset variants */
	uint32_t inject_count;
	struct inject_layout injects[INJECTS_MAX];
	uint32_t total_timeout_ms; /* of the whole attempt */
	struct program program;	   /* console settings and steps */
};

/* Reports every error; 0 when there was none. digest: of the file. */
int profile_load(
    const char *path, struct profile *, struct digest *, struct problems *);

#endif
