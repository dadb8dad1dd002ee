/*
 * A profile: what one device family speaks, as plain data.
 * fixtures/profiles/NAME.yaml is its source.
 */
#ifndef LOT_PROFILE_H
#define LOT_PROFILE_H

#include <stdbool.h>
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
/* What the station brings to the unit or has from it. */
enum profile_mode {
	PROFILE_CLAIM,	  /* writes a claim certificate and its key */
	PROFILE_CSR,	  /* the unit makes a key and takes a certificate */
	PROFILE_READBACK, /* the unit holds a certificate from its birth */
	PROFILE_KEYS,	  /* the unit takes key and certificate */
	PROFILE_MODE_COUNT
};
const char *profile_mode_name(enum profile_mode);

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
/* True when an image or a step of it uses ${name}, or ${name|...}. */
bool profile_mentions(const struct profile *, const char *name);

#endif
