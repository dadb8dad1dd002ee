#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lot/bundle.h"
#include "lot/source.h"

enum {
	ARGS_BYTES_MAX = 256 * 1024
};

struct args_reader {
	struct lot_bundle *bundle;
	struct lot_firmware *firmware;
	struct problems *problems;
	const char *path; /* of flasher_args.json */
	char folder[PATH_LEN];
	char *data;
};

/*
 * Reports at the first place where the file mentions the text in quotes:
 * the JSON library keeps no positions of values.
 */
static void __attribute__((format(printf, 3, 4)))
report(struct args_reader *reader, const char *mention, const char *format, ...)
{
	char quoted[PATH_LEN + 2];
	char text[512];
	size_t line = 1;
	size_t column = 1;
	const char *found;
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", mention);
	found = strstr(reader->data, quoted);
	for (const char *at = reader->data; found != NULL && at < found; at++) {
		column = *at == '\n' ? 1 : column + 1;
		line += *at == '\n';
	}
	problems_add(reader->problems, reader->path, line, column, "%s", text);
}

static bool
name_is_inside(const char *name)
{
	/* flasher_args.json keeps its place in a frozen copy for itself. */
	if (name[0] == '\0' || name[0] == '/' || strlen(name) >= PATH_LEN / 2 ||
	    text_equal(name, "flasher_args.json"))
		return false;
	for (const char *at = name; at != NULL; at = strchr(at, '/')) {
		at += *at == '/';
		if (strncmp(at, "../", 3) == 0 || text_equal(at, "..") ||
		    strncmp(at, "./", 2) == 0 || text_equal(at, ".") ||
		    *at == '\0' || *at == '/')
			return false;
	}
	for (const char *at = name; *at != '\0'; at++)
		if ((unsigned char)*at <= ' ' || *at == '\\' || *at == 0x7f)
			return false;
	return true;
}

static bool
parse_offset(const char *text, uint32_t *offset)
{
	char *end;
	unsigned long value;

	if (text[0] < '0' || text[0] > '9')
		return false;
	value = strtoul(text, &end, 0);
	if (*end != '\0' || value >= FIRMWARE_REACH ||
	    value % FIRMWARE_SECTOR_LEN != 0)
		return false;
	*offset = (uint32_t)value;
	return true;
}

/* Reads a file of the build; it is the firmware's from then on. */
static int
read_region(struct args_reader *reader, const char *name, uint32_t offset)
{
	struct lot_firmware *firmware = reader->firmware;
	char path[PATH_LEN];
	char frozen[PATH_LEN];
	char *data = NULL;
	char *copy;
	size_t len = 0;
	struct digest digest;

	if (file_join(path, sizeof(path), reader->folder, name) != 0 ||
	    file_join(frozen, sizeof(frozen), FROZEN_FIRMWARE, name) != 0) {
		report(reader, name,
		    "the path of %s is too long; accepted "
		    "are %d bytes",
		    name, PATH_LEN - 1);
		return -1;
	}
	if (access(path, R_OK) != 0) {
		report(reader, name,
		    "%s cannot be read: %s; accepted is a file of the build",
		    name, strerror(errno));
		return -1;
	}
	if (source_read(path, FIRMWARE_REACH, &data, &len, &digest,
		reader->problems) != 0)
		return -1;
	copy = strdup(name);
	if (copy == NULL || len == 0) {
		report(reader, name,
		    "%s; accepted is a file with 1 byte or "
		    "more",
		    copy == NULL ? "out of memory" : "the file is empty");
		free(copy);
		free(data);
		return -1;
	}
	lot_bundle_add(reader->bundle, path, frozen, &digest);
	firmware->data[firmware->count] = data;
	firmware->names[firmware->count] = copy;
	firmware->sources[firmware->count] =
	    (struct firmware_source){.name = copy,
		.offset = offset,
		.data = (const uint8_t *)data,
		.len = len};
	firmware->count++;
	return 0;
}

static void
read_flash_files(struct args_reader *reader, json_t *files)
{
	const char *key;
	json_t *value;
	uint32_t offset;

	if (!json_is_object(files) || json_object_size(files) == 0 ||
	    json_object_size(files) > FIRMWARE_REGIONS_MAX) {
		report(reader, "flash_files",
		    "flash_files is not as ESP-IDF writes it; accepted is an "
		    "object of 1 to %d pairs of offset and file",
		    FIRMWARE_REGIONS_MAX);
		return;
	}
	json_object_foreach (files, key, value) {
		const char *name = json_string_value(value);

		if (!parse_offset(key, &offset)) {
			report(reader, key,
			    "offset \"%s\" is not accepted; accepted are "
			    "multiples of 0x1000 below 0x%x",
			    key, FIRMWARE_REACH);
			continue;
		}
		if (name == NULL || !name_is_inside(name)) {
			report(reader, name == NULL ? key : name,
			    "the file at %s is not accepted; accepted is a "
			    "path below the folder of flasher_args.json, "
			    "without spaces",
			    key);
			continue;
		}
		(void)read_region(reader, name, offset);
	}
}

/* By offset: the order of the digest and of writing. Few: insertion. */
static void
sort_regions(struct lot_firmware *firmware)
{
	for (size_t at = 1; at < firmware->count; at++) {
		for (size_t to = at; to > 0; to--) {
			struct firmware_source *one =
			    &firmware->sources[to - 1];
			struct firmware_source two = firmware->sources[to];
			char *name = firmware->names[to];
			char *data = firmware->data[to];

			if (one->offset <= two.offset)
				break;
			firmware->sources[to] = *one;
			firmware->names[to] = firmware->names[to - 1];
			firmware->data[to] = firmware->data[to - 1];
			*one = two;
			firmware->names[to - 1] = name;
			firmware->data[to - 1] = data;
		}
	}
}

static uint64_t
region_end(const struct firmware_source *source)
{
	uint64_t end = (uint64_t)source->offset + source->len;

	return (end + FIRMWARE_SECTOR_LEN - 1) / FIRMWARE_SECTOR_LEN *
	       FIRMWARE_SECTOR_LEN;
}

static void
check_regions(struct args_reader *reader)
{
	const struct lot_firmware *firmware = reader->firmware;
	const struct profile *profile = &reader->bundle->image.profile;
	uint64_t flash_end = FIRMWARE_REACH;

	if (profile->esp.flash_mib != 0 && profile->esp.flash_mib < 16)
		flash_end = (uint64_t)profile->esp.flash_mib << 20;
	for (size_t at = 0; at < firmware->count; at++) {
		const struct firmware_source *source = &firmware->sources[at];
		uint64_t end = region_end(source);

		if (end > flash_end)
			report(reader, source->name,
			    "%s ends at 0x%llx, behind the flash; accepted "
			    "are files up to 0x%llx",
			    source->name, (unsigned long long)end,
			    (unsigned long long)flash_end);
		if (at + 1 < firmware->count && end > source[1].offset)
			report(reader, source->name,
			    "%s ends at 0x%llx and overlaps %s at 0x%x; "
			    "accepted are files that share no sector",
			    source->name, (unsigned long long)end,
			    source[1].name, source[1].offset);
		for (uint32_t n = 0; n < profile->inject_count; n++) {
			const struct inject_layout *layout =
			    &profile->injects[n];

			if (source->offset < layout->offset + layout->size &&
			    layout->offset < end)
				report(reader, source->name,
				    "%s overlaps the profile's credentials at "
				    "0x%x; accepted are files outside of them",
				    source->name, layout->offset);
		}
	}
}

static void
check_chip(struct args_reader *reader, const json_t *root)
{
	char accepted[200];
	struct esp_demands *demands = &reader->bundle->image.profile.esp;
	const char *chip = json_string_value(json_object_get(
	    json_object_get(root, "extra_esptool_args"), "chip"));

	/* A profile that could not be read accepts nothing yet. */
	if (demands->chips == 0)
		return;
	esp_demands_chips(demands, accepted, sizeof(accepted));
	if (chip == NULL) {
		report(reader, "extra_esptool_args",
		    "extra_esptool_args.chip is not there; accepted are the "
		    "profile's chips: %s",
		    accepted);
		return;
	}
	text_copy(reader->firmware->chip, sizeof(reader->firmware->chip), chip);
	if ((demands->chips & UINT32_C(1) << esp_chip_by_name(chip)) == 0 ||
	    esp_chip_by_name(chip) == ESP_CHIP_NONE)
		report(reader, chip,
		    "the firmware is for chip \"%s\"; accepted are the "
		    "profile's chips: %s",
		    chip, accepted);
	else
		/* A unit of another chip cannot run this firmware, whatever
		 * else its profile takes. */
		demands->chips = UINT32_C(1) << esp_chip_by_name(chip);
}

int
lot_firmware_read(
    struct lot_bundle *bundle, const char *args_path, struct problems *problems)
{
	size_t before = problems->count;
	size_t len = 0;
	char *slash;
	json_t *root = NULL;
	json_error_t error;
	struct digest digest;
	struct args_reader reader = {.bundle = bundle,
	    .firmware = &bundle->firmware,
	    .problems = problems,
	    .path = args_path};

	text_copy(reader.folder, sizeof(reader.folder), args_path);
	slash = strrchr(reader.folder, '/');
	if (slash != NULL)
		*slash = '\0';
	else
		text_copy(reader.folder, sizeof(reader.folder), ".");
	if (source_read(args_path, ARGS_BYTES_MAX, &reader.data, &len, &digest,
		problems) != 0)
		return -1;
	lot_bundle_add(bundle, args_path, FROZEN_ARGS, &digest);
	root = json_loadb(reader.data, len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL) {
		problems_add(problems, args_path, (size_t)error.line,
		    error.column > 0 ? (size_t)error.column : 1,
		    "%s; accepted is the JSON object that ESP-IDF's build "
		    "writes",
		    error.text);
		goto out;
	}
	check_chip(&reader, root);
	read_flash_files(&reader, json_object_get(root, "flash_files"));
	sort_regions(reader.firmware);
	check_regions(&reader);
out:
	json_decref(root);
	free(reader.data);
	return problems->count == before ? 0 : -1;
}

int
lot_firmware_digest(const struct lot_firmware *firmware, struct digest *digest)
{
	char lines[FIRMWARE_REGIONS_MAX * (DIGEST_TEXT_LEN + 10)];
	size_t len = 0;

	for (size_t at = 0; at < firmware->count; at++) {
		const struct firmware_source *source = &firmware->sources[at];
		char text[DIGEST_TEXT_LEN];

		if (digest_bytes(source->data, source->len, digest) != 0)
			return -1;
		digest_text(digest, text);
		len += (size_t)snprintf(lines + len, sizeof(lines) - len,
		    "%08x %s\n", source->offset, text);
	}
	return digest_bytes(lines, len, digest);
}

void
lot_firmware_free(struct lot_firmware *firmware)
{
	for (size_t at = 0; at < firmware->count; at++) {
		free(firmware->names[at]);
		free(firmware->data[at]);
	}
	memset(firmware, 0, sizeof(*firmware));
}
