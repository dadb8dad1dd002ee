#include "lot/lot.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lot/lot_freeze.h"
#include "lot/lot_parts.h"
#include "lot/manifest.h"
#include "lot/name.h"
#include "lot/source.h"

enum {
	LOT_BYTES_MAX = 256 * 1024
};

static const char *const pattern_names[PATTERN_COUNT + 1] = {
    [PATTERN_CLAIM] = "claim",
    [PATTERN_CSR] = "csr",
    [PATTERN_REGISTER_THING] = "register-thing",
    [PATTERN_READBACK] = "certificate-readback",
    [PATTERN_TRUSTED_USER] = "trusted-user",
    [PATTERN_JITP] = "jitp",
    [PATTERN_JITR] = "jitr",
    [PATTERN_BULK] = "bulk",
};

static const char *const ending_names[ENDING_COUNT + 1] = {
    [ENDING_NONE] = "",
    [ENDING_FIELD] = "field",
    [ENDING_BENCH] = "bench",
    [ENDING_PROXY] = "proxy",
};

const char *
ending_name(enum ending ending)
{
	return (unsigned)ending < ENDING_COUNT ? ending_names[ending] : "";
}

const char *
pattern_name(enum pattern pattern)
{
	return (unsigned)pattern < PATTERN_COUNT ? pattern_names[pattern] : "";
}

void
lot_bundle_add(struct lot_bundle *bundle, const char *path, const char *name,
    const struct digest *digest)
{
	struct lot_file *file;

	/* One file of a build may stand at two offsets. */
	for (size_t at = 0; at < bundle->file_count; at++)
		if (text_equal(bundle->files[at].name, name))
			return;
	if (bundle->file_count == LOT_FILES_MAX)
		return;
	file = &bundle->files[bundle->file_count++];
	text_copy(file->path, sizeof(file->path), path);
	text_copy(file->name, sizeof(file->name), name);
	file->digest = *digest;
}

int
lot_get_path(struct lot_reader *reader, struct yaml_node *map, const char *key,
    bool required, const char *frozen_name, char *to, size_t size)
{
	char name[PATH_LEN];
	int result = yaml_get_text(reader->document, map, key, required, name,
	    sizeof(name), reader->problems);

	if (result != 0)
		return result;
	if (name[0] == '\0' || file_join(to, size, reader->folder,
				   reader->frozen ? frozen_name : name) != 0) {
		yaml_problem(reader->document, yaml_get(map, key),
		    reader->problems,
		    "%s \"%s\" is not accepted; accepted is a path of 1 to "
		    "%zu bytes with the lot's folder",
		    key, name, size - 1);
		return -1;
	}
	if (access(to, R_OK) == 0)
		return 0;
	yaml_problem(reader->document, yaml_get(map, key), reader->problems,
	    "%s: %s cannot be read: %s; accepted is a file that the station "
	    "may read",
	    key, to, strerror(errno));
	return -1;
}

/* ---- the lot itself ---- */

static const char *
last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static void
read_names(struct lot_reader *reader, struct yaml_node *root)
{
	struct lot_image *image = reader->image;
	int64_t quantity = 0;

	if (name_get(reader->document, root, "lot", true, NAME_PLAIN,
		image->name, sizeof(image->name), reader->problems) == 0 &&
	    !reader->frozen &&
	    !text_equal(image->name, last_name(reader->folder)))
		yaml_problem(reader->document, yaml_get(root, "lot"),
		    reader->problems,
		    "lot \"%s\" stands in the folder \"%s\"; accepted is the "
		    "folder's name",
		    image->name, last_name(reader->folder));
	name_get(reader->document, root, "product", true, NAME_LABEL,
	    image->product, sizeof(image->product), reader->problems);
	name_get(reader->document, root, "part_number", true, NAME_LABEL,
	    image->part_number, sizeof(image->part_number), reader->problems);
	yaml_get_integer(reader->document, root, "quantity", true, 1,
	    MANIFEST_ROWS_MAX, &quantity, reader->problems);
	image->quantity = (uint32_t)quantity;
}

static void
read_account(struct lot_reader *reader, struct yaml_node *root)
{
	struct lot_image *image = reader->image;
	const struct config_cloud *cloud = NULL;

	if (name_get(reader->document, root, "cloud", true, NAME_PLAIN,
		image->cloud, sizeof(image->cloud), reader->problems) == 0) {
		cloud = config_cloud_find(reader->config, image->cloud);
		if (cloud == NULL)
			yaml_problem(reader->document, yaml_get(root, "cloud"),
			    reader->problems,
			    "cloud profile \"%s\" is not in %s; accepted is "
			    "the name of one of its clouds",
			    image->cloud, reader->config->file);
	}
	if (name_get(reader->document, root, "account", true, NAME_ACCOUNT,
		image->account, sizeof(image->account),
		reader->problems) == 0 &&
	    cloud != NULL && !text_equal(cloud->account, image->account))
		yaml_problem(reader->document, yaml_get(root, "account"),
		    reader->problems,
		    "account %s is not that of cloud profile \"%s\"; accepted "
		    "is %s",
		    image->account, cloud->name, cloud->account);
	name_get(reader->document, root, "endpoint", true, NAME_HOST,
	    image->endpoint, sizeof(image->endpoint), reader->problems);
}

/* ---- profile and pattern ---- */

static void
read_profile(struct lot_reader *reader, struct yaml_node *root)
{
	char name[NAME_LEN];
	char file[NAME_LEN + 8];
	char path[PATH_LEN];
	struct lot_image *image = reader->image;

	if (name_get(reader->document, root, "profile", true, NAME_PLAIN, name,
		sizeof(name), reader->problems) != 0)
		return;
	(void)snprintf(file, sizeof(file), "%s.yaml", name);
	if (reader->frozen ? file_join(path, sizeof(path), reader->folder,
				 FROZEN_PROFILE) != 0
			   : file_join(path, sizeof(path),
				 reader->config->profiles, file) != 0)
		return;
	if (!reader->frozen && access(path, F_OK) != 0) {
		yaml_problem(reader->document, yaml_get(root, "profile"),
		    reader->problems,
		    "profile \"%s\" is not there; accepted is the name of a "
		    "file NAME.yaml in %s",
		    name, reader->config->profiles);
		return;
	}
	if (profile_load(path, &image->profile, &image->profile_digest,
		reader->problems) != 0) {
		/* Half a profile would only make more noise. */
		memset(&image->profile, 0, sizeof(image->profile));
		return;
	}
	lot_bundle_add(
	    reader->bundle, path, FROZEN_PROFILE, &image->profile_digest);
	if (!text_equal(image->profile.name, name))
		yaml_problem(reader->document, yaml_get(root, "profile"),
		    reader->problems,
		    "profile \"%s\" calls itself \"%s\"; accepted is one name "
		    "in the file and for the file",
		    name, image->profile.name);
}

/* True when an image needs what a unit without a serial does not have. */
static bool
injects_identity(const struct profile *profile)
{
	static const char *const names[] = {
	    "${serial", "${thing", "${manifest."};

	for (uint32_t at = 0; at < profile->inject_count; at++) {
		const struct inject_layout *layout = &profile->injects[at];

		for (uint32_t entry = 0; entry < layout->entry_count; entry++)
			for (size_t name = 0; name < 3; name++)
				if (strstr(layout->entries[entry].rule,
					names[name]) != NULL)
					return true;
	}
	return false;
}

static void
check_serial_source(struct lot_reader *reader, struct yaml_node *root)
{
	const struct lot_image *image = reader->image;
	const struct profile *profile = &image->profile;
	const struct yaml_node *node = yaml_get(root, "serial_from");

	if (image->serial_from != SERIAL_FROM_DEVICE ||
	    profile->name[0] == '\0')
		return;
	if (!profile->program.identifies)
		yaml_problem(reader->document, node, reader->problems,
		    "serial_from device needs a step identify in profile "
		    "\"%s\"; accepted without it are mac, scan and next",
		    profile->name);
	/* The device tells its serial when its firmware runs: too late. */
	if (injects_identity(profile))
		yaml_problem(reader->document, node, reader->problems,
		    "serial_from device does not go with profile \"%s\", "
		    "which writes the serial before the device can tell it; "
		    "accepted are mac, scan and next",
		    profile->name);
}

static void
read_pattern(struct lot_reader *reader, struct yaml_node *root)
{
	static const char *const sources[] = {
	    "device", "mac", "scan", "next", NULL};
	static const uint32_t modes[PATTERN_COUNT] = {
	    [PATTERN_CLAIM] = PROFILE_CLAIM, [PATTERN_CSR] = PROFILE_CSR};
	struct lot_image *image = reader->image;
	const struct profile *profile = &image->profile;
	int pattern = 0;
	int source = 0;
	int result;

	result = yaml_get_choice(reader->document, root, "pattern", true,
	    pattern_names, &pattern, reader->problems);
	image->pattern = (uint32_t)pattern;
	if (result == 0 && profile->name[0] != '\0' &&
	    profile->mode != modes[pattern])
		yaml_problem(reader->document, yaml_get(root, "pattern"),
		    reader->problems,
		    "pattern %s does not go with profile \"%s\"; accepted is "
		    "a profile of mode %s",
		    pattern_names[pattern], profile->name,
		    pattern == PATTERN_CLAIM ? "claim" : "csr");
	result = yaml_get_choice(reader->document, root, "serial_from", true,
	    sources, &source, reader->problems);
	image->serial_from = (uint32_t)source;
	if (result == 0)
		check_serial_source(reader, root);
}

/* ---- firmware ---- */

static void
check_firmware_digest(struct lot_reader *reader, struct yaml_node *map)
{
	char stated[DIGEST_TEXT_LEN];
	char found[DIGEST_TEXT_LEN];
	struct digest digest;
	struct lot_image *image = reader->image;

	if (yaml_get_text(reader->document, map, "sha256", true, stated,
		sizeof(stated), reader->problems) != 0)
		return;
	if (hex_decode(digest.bytes, sizeof(digest.bytes), stated) != 0) {
		yaml_problem(reader->document, yaml_get(map, "sha256"),
		    reader->problems,
		    "sha256 \"%s\" is not accepted; accepted are 64 hex "
		    "digits",
		    stated);
		return;
	}
	if (reader->bundle->firmware.count == 0 ||
	    lot_firmware_digest(
		&reader->bundle->firmware, &image->firmware_digest) != 0)
		return;
	if (memcmp(&digest, &image->firmware_digest, sizeof(digest)) == 0)
		return;
	digest_text(&image->firmware_digest, found);
	yaml_problem(reader->document, yaml_get(map, "sha256"),
	    reader->problems,
	    "sha256 is not that of the firmware files; accepted for them as "
	    "they are is %s",
	    found);
}

static void
read_firmware(struct lot_reader *reader, struct yaml_node *root)
{
	char path[PATH_LEN];
	struct lot_image *image = reader->image;
	struct yaml_node *map = yaml_get_map(
	    reader->document, root, "firmware", true, reader->problems);

	if (map == NULL)
		return;
	name_get(reader->document, map, "version", true, NAME_VERSION,
	    image->firmware_version, sizeof(image->firmware_version),
	    reader->problems);
	/* The digest over what could be read of it would mislead. */
	if (lot_get_path(reader, map, "args", true, FROZEN_ARGS, path,
		sizeof(path)) == 0 &&
	    lot_firmware_read(reader->bundle, path, reader->problems) != 0 &&
	    reader->bundle->firmware.count > 0)
		yaml_get(map, "sha256");
	else
		check_firmware_digest(reader, map);
	yaml_map_finish(reader->document, map, reader->problems);
}

/* ---- manifest ---- */

static void
check_columns(struct lot_reader *reader, struct yaml_node *root)
{
	static const char *const names[] = {"device", "mac", "scan", "next"};
	struct manifest_view view;
	struct fault fault;
	uint32_t source = reader->image->serial_from;
	uint32_t needed =
	    source == SERIAL_FROM_MAC ? MANIFEST_MAC : MANIFEST_SERIAL;

	if (manifest_map(reader->bundle->manifest_fd, &view, &fault) != 0) {
		source_problem(reader->problems, reader->manifest_path, &fault);
		return;
	}
	if ((view.header->columns & needed) == 0)
		problems_add(reader->problems, reader->manifest_path, 1, 1,
		    "there is no column %s, which serial_from %s needs; "
		    "accepted is a header line with it",
		    needed == MANIFEST_MAC ? "mac" : "serial", names[source]);
	if (source == SERIAL_FROM_MAC &&
	    (view.header->columns & MANIFEST_MAC) != 0) {
		for (uint32_t at = 0; at < view.header->rows; at++)
			if (view.pool[view.row[at].mac] == '\0') {
				problems_add(reader->problems,
				    reader->manifest_path, view.row[at].line, 1,
				    "the row has no mac, which serial_from "
				    "mac needs; accepted is a mac in every "
				    "row");
				break;
			}
	}
	manifest_unmap(&view);
	if (reader->image->quantity > reader->bundle->rows)
		yaml_problem(reader->document, yaml_get(root, "quantity"),
		    reader->problems,
		    "quantity %u is more than the manifest's %u rows; "
		    "accepted are 1 to %u",
		    reader->image->quantity, reader->bundle->rows,
		    reader->bundle->rows);
}

static void
read_manifest(struct lot_reader *reader, struct yaml_node *root)
{
	char *data = NULL;
	size_t len = 0;
	struct lot_bundle *bundle = reader->bundle;
	struct lot_image *image = reader->image;

	if (file_join(reader->manifest_path, sizeof(reader->manifest_path),
		reader->folder, FROZEN_MANIFEST) != 0 ||
	    source_read(reader->manifest_path, MANIFEST_BYTES_MAX, &data, &len,
		&image->manifest_digest, reader->problems) != 0)
		return;
	lot_bundle_add(bundle, reader->manifest_path, FROZEN_MANIFEST,
	    &image->manifest_digest);
	bundle->manifest_fd = manifest_convert(
	    reader->manifest_path, data, len, &bundle->rows, reader->problems);
	free(data);
	if (bundle->manifest_fd >= 0)
		check_columns(reader, root);
}

/* ---- the whole ---- */

static void
read_root(struct lot_reader *reader, struct yaml_node *root)
{
	int64_t schema = 1;
	size_t before = reader->problems->count;

	yaml_get_integer(reader->document, root, "schema", true, 1, 1, &schema,
	    reader->problems);
	read_names(reader, root);
	read_account(reader, root);
	read_profile(reader, root);
	read_pattern(reader, root);
	read_firmware(reader, root);
	lot_read_thing(reader, root);
	lot_read_credentials(reader, root);
	yaml_map_finish(reader->document, root, reader->problems);
	read_manifest(reader, root);
	/* The rows are held against rules that are right in themselves. */
	if (reader->problems->count == before)
		lot_rows_check(reader->bundle, reader->config->station,
		    reader->manifest_path, reader->problems);
}

static int
find_places(struct lot_reader *reader)
{
	struct lot_image *image = reader->image;
	char lots[PATH_LEN];
	char origin[PATH_MAX];

	text_copy(image->folder, sizeof(image->folder), reader->folder);
	if (realpath(reader->folder, origin) == NULL ||
	    text_copy(reader->bundle->origin, sizeof(reader->bundle->origin),
		origin) != 0) {
		problems_add(reader->problems, reader->folder, 0, 0,
		    "the folder cannot be found: %s; accepted is a lot's "
		    "folder with up to %d bytes",
		    strerror(errno), PATH_LEN - 16);
		return -1;
	}
	if (file_join(reader->path, sizeof(reader->path), reader->folder,
		FROZEN_LOT) != 0 ||
	    strlen(reader->folder) >= sizeof(image->folder) ||
	    file_join(lots, sizeof(lots), reader->config->state, "lots") != 0) {
		problems_add(reader->problems, reader->folder, 0, 0,
		    "the path is too long; accepted are %d bytes",
		    PATH_LEN - 16);
		return -1;
	}
	if (!reader->frozen)
		return 0;
	text_copy(image->frozen, sizeof(image->frozen), reader->folder);
	return lot_frozen_verify(reader->folder, reader->bundle->origin,
	    sizeof(reader->bundle->origin), reader->problems);
}

static int
file_compare(const void *one, const void *two)
{
	const struct lot_file *left = one;
	const struct lot_file *right = two;

	return strcmp(left->name, right->name);
}

struct lot_bundle *
lot_bundle_load(const struct station_config *config, const char *folder,
    bool frozen, struct problems *problems)
{
	size_t before = problems->count;
	char *data = NULL;
	size_t len = 0;
	struct lot_bundle *bundle = calloc(1, sizeof(*bundle));
	struct lot_reader reader = {.config = config,
	    .folder = folder,
	    .frozen = frozen,
	    .problems = problems,
	    .bundle = bundle};

	if (bundle == NULL) {
		problems_add(problems, folder, 0, 0, "out of memory");
		return NULL;
	}
	bundle->manifest_fd = -1;
	reader.image = &bundle->image;
	reader.image->magic = LOT_MAGIC;
	reader.image->size = sizeof(*reader.image);
	if (find_places(&reader) != 0 ||
	    source_read(reader.path, LOT_BYTES_MAX, &data, &len,
		&reader.image->lot_digest, problems) != 0)
		goto out;
	lot_bundle_add(
	    bundle, reader.path, FROZEN_LOT, &reader.image->lot_digest);
	reader.document = yaml_parse(reader.path, data, len, problems);
	if (reader.document != NULL)
		read_root(&reader, yaml_root(reader.document));
out:
	yaml_close(reader.document);
	free(data);
	if (problems->count != before) {
		lot_bundle_free(bundle);
		return NULL;
	}
	qsort(bundle->files, bundle->file_count, sizeof(bundle->files[0]),
	    file_compare);
	if (!frozen)
		(void)lot_frozen_folder(config, reader.image);
	return bundle;
}

void
lot_bundle_free(struct lot_bundle *bundle)
{
	if (bundle == NULL)
		return;
	lot_firmware_free(&bundle->firmware);
	if (bundle->manifest_fd >= 0)
		close(bundle->manifest_fd);
	free(bundle);
}

int
lot_load(const struct station_config *config, const char *folder, bool frozen,
    struct lot_image *image, struct problems *problems)
{
	struct lot_bundle *bundle =
	    lot_bundle_load(config, folder, frozen, problems);

	if (bundle == NULL)
		return -1;
	*image = bundle->image;
	lot_bundle_free(bundle);
	return 0;
}
