#include "lot/lot.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lot/lot_freeze.h"
#include "lot/lot_parts.h"
#include "lot/manifest.h"
#include "lot/name.h"
#include "lot/plan.h"
#include "lot/source.h"

enum {
	LOT_BYTES_MAX = 256 * 1024
};

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

int
lot_get_secret(struct lot_reader *reader, struct yaml_node *map,
    const char *key, bool required, const char *what, char to[PATH_LEN])
{
	char name[PATH_LEN];
	struct stat status;
	int result = yaml_get_text(reader->document, map, key, required, name,
	    sizeof(name), reader->problems);

	if (result != 0)
		return result;
	if (file_join(to, PATH_LEN, reader->bundle->origin, name) != 0) {
		yaml_problem(reader->document, yaml_get(map, key),
		    reader->problems,
		    "%s \"%s\" is too long with the lot's folder; accepted "
		    "are %d bytes",
		    key, name, PATH_LEN - 1);
		return -1;
	}
	if (stat(to, &status) != 0) {
		/* What the reader may not see is for the parent to open. */
		if (errno != ENOENT && errno != ENOTDIR)
			return 0;
		yaml_problem(reader->document, yaml_get(map, key),
		    reader->problems,
		    "%s: there is no %s; accepted is the file of %s", key, to,
		    what);
		return -1;
	}
	if (S_ISREG(status.st_mode))
		return 0;
	yaml_problem(reader->document, yaml_get(map, key), reader->problems,
	    "%s: %s is not a regular file; accepted is the file of %s", key, to,
	    what);
	return -1;
}

int
lot_get_file(struct lot_reader *reader, struct yaml_node *map, const char *key,
    bool required, const char *frozen_name, char path[PATH_LEN], char *to,
    size_t size)
{
	char *data = NULL;
	size_t len = 0;
	struct digest digest;
	int result = lot_get_path(
	    reader, map, key, required, frozen_name, path, PATH_LEN);

	if (result != 0)
		return result;
	if (source_read(
		path, size - 1, &data, &len, &digest, reader->problems) != 0)
		return -1;
	lot_bundle_add(reader->bundle, path, frozen_name, &digest);
	memcpy(to, data, len);
	to[len] = '\0';
	free(data);
	return 0;
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

/* An endpoint may end in a port: units connect to it by MQTT. */
static void
check_port(struct lot_reader *reader, struct yaml_node *root)
{
	const char *colon = strchr(reader->image->endpoint, ':');
	unsigned long port;
	char *end;

	if (colon == NULL)
		return;
	port = strtoul(colon + 1, &end, 10);
	if (colon[1] >= '1' && colon[1] <= '9' && *end == '\0' &&
	    port <= UINT16_MAX)
		return;
	yaml_problem(reader->document, yaml_get(root, "endpoint"),
	    reader->problems,
	    "endpoint \"%s\" has no port behind its colon; accepted are HOST "
	    "and HOST:PORT with 1 to 65535",
	    reader->image->endpoint);
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
	if (name_get(reader->document, root, "endpoint", true, NAME_HOST,
		image->endpoint, sizeof(image->endpoint),
		reader->problems) == 0)
		check_port(reader, root);
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
	lot_read_profile(reader, root);
	lot_read_pattern(reader, root);
	read_firmware(reader, root);
	lot_read_thing(reader, root);
	lot_read_credentials(reader, root);
	lot_read_authorities(reader, root);
	lot_read_bulk(reader, root);
	lot_read_template(reader, root);
	yaml_map_finish(reader->document, root, reader->problems);
	read_manifest(reader, root);
	/* Parts are held against each other that are right in themselves. */
	if (reader->problems->count != before)
		return;
	lot_check_profile(reader, root);
	lot_check_template(reader);
	lot_check_names(reader);
	if (reader->problems->count == before)
		lot_check_rows(reader);
	reader->image->steps = plan_steps(reader->image);
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
	template_free(reader.template);
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
