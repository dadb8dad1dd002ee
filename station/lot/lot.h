/*
 * A lot: lots/NAME/lot.yaml with what it refers to, as plain data in a
 * sealed memory file. Nothing secret is in it: of the claim key only the
 * path, which the parent opens for the vault.
 */
#ifndef LOT_LOT_H
#define LOT_LOT_H

#include <stdint.h>

#include "base/message.h"
#include "base/problems.h"
#include "lot/config.h"
#include "lot/profile.h"

enum {
	GROUPS_MAX = 10,
	ATTRIBUTES_MAX = 50,
	ATTRIBUTE_VALUE_LEN = 801
};

enum pattern {
	PATTERN_CLAIM,
	PATTERN_CSR,
	PATTERN_COUNT
};
const char *pattern_name(enum pattern);

enum serial_source {
	SERIAL_FROM_DEVICE, /* the console says it */
	SERIAL_FROM_MAC,    /* the manifest row that has the unit's MAC */
	SERIAL_FROM_SCAN,   /* an operator or the MES scans it */
	SERIAL_FROM_NEXT,   /* the manifest's next free row */
};

struct lot_attribute {
	char name[THING_LEN];
	char rule[ATTRIBUTE_VALUE_LEN]; /* "${serial}", "${manifest.rev}" */
};

struct lot_image {
	uint32_t magic; /* LOT_MAGIC */
	uint32_t size;	/* sizeof */
	char folder[PATH_LEN];
	char frozen[PATH_LEN]; /* folder of the frozen copy */
	char name[NAME_LEN];
	char product[NAME_LEN];
	char part_number[NAME_LEN];
	uint32_t quantity;
	uint32_t pattern;     /* enum pattern */
	uint32_t serial_from; /* enum serial_source */
	char cloud[NAME_LEN]; /* a cloud profile of the station */
	char account[13];
	char endpoint[256];	    /* that the unit will connect to */
	char thing_rule[THING_LEN]; /* "device-${serial}" */
	char thing_type[THING_LEN];
	uint32_t group_count;
	char groups[GROUPS_MAX][THING_LEN];
	char policy[THING_LEN];
	uint32_t attribute_count;
	struct lot_attribute attributes[ATTRIBUTES_MAX];
	char template_name[37];
	uint32_t claim_limit; /* hand-outs of the claim key */
	char root_ca[8193];   /* PEM */
	char claim_certificate[CERTIFICATE_LEN]; /* PEM */
	char claim_key_path[PATH_LEN];
	char firmware_version[33];
	struct digest lot_digest, profile_digest, firmware_digest,
	    manifest_digest;
	struct profile profile;
};
enum {
	LOT_MAGIC = 0x31544f4c
};

/*
 * Reads lot.yaml, its profile and all files it names except the claim key;
 * reports every error. With `frozen` the folder is a frozen copy (its own
 * profile.yaml, no look at the profiles folder). 0 when there was none.
 */
int lot_load(const struct station_config *, const char *folder, bool frozen,
    struct lot_image *, struct problems *);

/*
 * Expands a rule such as "device-${serial}": ${serial}, ${mac}, ${lot},
 * ${product}, ${part_number}, ${station}, ${firmware_version},
 * ${manifest.NAME}. `extra` is the row's JSON object of further columns.
 * CAUSE_BAD_LOT when a name is unknown, has no value for this unit, or the
 * result is too long.
 */
int lot_expand(const struct lot_image *, const char *station, const char *rule,
    const char *serial, const char *mac, const char *extra, char *to,
    size_t size, struct fault *);

#endif
