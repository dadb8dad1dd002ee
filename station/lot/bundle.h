/*
 * A lot with everything that its files hold, between reading and freezing:
 * what the load role works on. lot_load (lot.h) is the same for those who
 * need the image only.
 */
#ifndef LOT_BUNDLE_H
#define LOT_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/firmware.h"
#include "lot/lot.h"

/*
 * lot.yaml, the profile, the manifest, flasher_args.json, the template, and
 * the certificates of root, claim, CA and birth CA, besides the firmware.
 */
enum {
	LOT_FILES_MAX = FIRMWARE_REGIONS_MAX + 9
};

/* A file of the lot, and its name in the frozen copy. */
struct lot_file {
	char path[PATH_LEN];
	char name[PATH_LEN];
	struct digest digest; /* of the bytes that were read */
};

struct lot_firmware {
	char chip[32]; /* as flasher_args.json says */
	size_t count;
	struct firmware_source sources[FIRMWARE_REGIONS_MAX]; /* by offset */
	char *names[FIRMWARE_REGIONS_MAX]; /* owned; relative paths */
	char *data[FIRMWARE_REGIONS_MAX];  /* owned */
};

struct lot_bundle {
	struct lot_image image;
	size_t file_count;
	struct lot_file files[LOT_FILES_MAX]; /* by name */
	struct lot_firmware firmware;
	int manifest_fd; /* lot/manifest.h; -1 until it is read */
	uint32_t rows;
	char origin[PATH_LEN]; /* folder that relative key paths belong to */
};

/*
 * Reads and checks all of a lot; arguments as of lot_load. Null when there
 * is any problem.
 */
struct lot_bundle *lot_bundle_load(const struct station_config *,
    const char *folder, bool frozen, struct problems *);
/* Null is allowed. */
void lot_bundle_free(struct lot_bundle *);

/* ---- parts, for lot*.c and the tests ---- */

/* Notes a file that was read. Its name is relative, without "..". */
void lot_bundle_add(struct lot_bundle *, const char *path, const char *name,
    const struct digest *);
/* The name a file has in a frozen copy. */
#define FROZEN_LOT	   "lot.yaml"
#define FROZEN_PROFILE	   "profile.yaml"
#define FROZEN_MANIFEST	   "manifest.csv"
#define FROZEN_ROOT_CA	   "root-ca.pem"
#define FROZEN_CERTIFICATE "claim-certificate.pem"
#define FROZEN_TEMPLATE	   "template.json"
#define FROZEN_HOOK	   "hook"
#define FROZEN_CA	   "ca.pem"
#define FROZEN_READBACK_CA "readback-ca.pem"
#define FROZEN_FIRMWARE	   "firmware"
#define FROZEN_ARGS	   "firmware/flasher_args.json"

/*
 * Reads ESP-IDF's flasher_args.json and the files that it names, relative
 * to it; 0 when there was no problem.
 */
int lot_firmware_read(
    struct lot_bundle *, const char *args_path, struct problems *);
void lot_firmware_free(struct lot_firmware *);
/*
 * The firmware's digest: SHA-256 over one line a file, in the order of the
 * offsets: offset in eight lower-case hex digits, a space, the file's
 * SHA-256 in hex, LF.
 */
int lot_firmware_digest(const struct lot_firmware *, struct digest *);

#endif
