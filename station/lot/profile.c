#include "lot/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"
#include "lot/name.h"
#include "lot/source.h"

enum {
	PROFILE_BYTES_MAX = 256 * 1024,
	TOTAL_TIMEOUT_MS = 5 * 60000,
	TIMEOUT_MAX_MS = 3600000,
};

static const char *const mode_names[PROFILE_MODE_COUNT + 1] = {
    [PROFILE_CLAIM] = "claim",
    [PROFILE_CSR] = "csr",
    [PROFILE_READBACK] = "readback",
    [PROFILE_KEYS] = "keys",
};

struct profile_reader {
	struct yaml_document *document;
	struct problems *problems;
	struct profile *profile;
};

static void
read_span(struct profile_reader *reader, struct yaml_node *map, const char *key,
    uint32_t *span_ms)
{
	int64_t ms = 0;

	if (yaml_get_span(
		reader->document, map, key, false, &ms, reader->problems) != 0)
		return;
	if (ms >= 1 && ms <= TIMEOUT_MAX_MS) {
		*span_ms = (uint32_t)ms;
		return;
	}
	yaml_problem(reader->document, yaml_get(map, key), reader->problems,
	    "%s is %lld ms; accepted are 1ms to 1h", key, (long long)ms);
}

static void
read_flasher(struct profile_reader *reader, struct yaml_node *root)
{
	static const char *const kinds[] = {"esp-rom", NULL};
	int kind = 0;
	struct yaml_node *map = yaml_get_map(
	    reader->document, root, "flasher", true, reader->problems);

	if (map == NULL)
		return;
	if (yaml_get_choice(reader->document, map, "kind", true, kinds, &kind,
		reader->problems) != 0)
		return;
	reader->profile->flasher = FLASHER_ESP_ROM;
	esp_demands_parse(
	    reader->document, map, &reader->profile->esp, reader->problems);
}

static bool
layouts_overlap(
    const struct inject_layout *one, const struct inject_layout *two)
{
	return one->offset < two->offset + two->size &&
	       two->offset < one->offset + one->size;
}

static void
read_inject(struct profile_reader *reader, struct yaml_node *node)
{
	struct profile *profile = reader->profile;
	struct inject_layout *layout;

	if (profile->inject_count == INJECTS_MAX)
		return;
	layout = &profile->injects[profile->inject_count];
	if (inject_layout_parse(
		reader->document, node, layout, reader->problems) != 0)
		return;
	for (uint32_t at = 0; at < profile->inject_count; at++)
		if (layouts_overlap(&profile->injects[at], layout))
			yaml_problem(reader->document, node, reader->problems,
			    "the image at 0x%x overlaps the one at 0x%x; "
			    "accepted are images apart",
			    layout->offset, profile->injects[at].offset);
	profile->inject_count++;
}

static void
read_injects(struct profile_reader *reader, struct yaml_node *root)
{
	struct yaml_node *list = yaml_get_list(
	    reader->document, root, "inject", false, reader->problems);

	if (list == NULL)
		return;
	if (list->children > INJECTS_MAX)
		yaml_problem(reader->document, list, reader->problems,
		    "there are %zu images; accepted are up to %d",
		    list->children, INJECTS_MAX);
	for (struct yaml_node *node = list->child; node != NULL;
	     node = node->next)
		read_inject(reader, node);
}

const char *
profile_mode_name(enum profile_mode mode)
{
	return (unsigned)mode < PROFILE_MODE_COUNT ? mode_names[mode] : "";
}

/* "${name}" or "${name|" somewhere in a text of len bytes. */
static bool
text_mentions(const char *text, size_t len, const char *name)
{
	char reference[PROGRAM_NAME_LEN + 3];
	size_t reference_len =
	    (size_t)snprintf(reference, sizeof(reference), "${%s", name);
	const char *found;

	while ((found = memmem(text, len, reference, reference_len)) != NULL) {
		found += reference_len;
		len -= (size_t)(found - text);
		text = found;
		if (len > 0 && (*text == '}' || *text == '|'))
			return true;
	}
	return false;
}

bool
profile_mentions(const struct profile *profile, const char *name)
{
	for (uint32_t at = 0; at < profile->inject_count; at++) {
		const struct inject_layout *layout = &profile->injects[at];

		for (uint32_t entry = 0; entry < layout->entry_count; entry++) {
			const char *rule = layout->entries[entry].rule;

			if (text_mentions(rule, strlen(rule), name))
				return true;
		}
	}
	return text_mentions(
	    profile->program.pool, profile->program.pool_len, name);
}

/* What a profile must have to serve the patterns of its mode. */
static void
check_mode(struct profile_reader *reader, struct yaml_node *root)
{
	static const struct {
		enum program_register registers;
		const char *accepted;
	} wanted[PROFILE_MODE_COUNT] = {
	    [PROFILE_CLAIM] = {REGISTER_NONE, "no step register"},
	    [PROFILE_CSR] = {REGISTER_CSR, "a step register: {csr: ...}"},
	    [PROFILE_READBACK] = {REGISTER_CERT,
		"a step register: {cert: ...}"},
	    [PROFILE_KEYS] = {REGISTER_KEYS, "a step register: {keys: aws}"},
	};
	const struct profile *profile = reader->profile;
	const struct yaml_node *node = yaml_get(root, "mode");
	const char *name = mode_names[profile->mode];
	bool claim_key = profile_mentions(profile, "claim_key");

	if (profile->mode == PROFILE_CLAIM && !claim_key)
		yaml_problem(reader->document, node, reader->problems,
		    "mode claim writes no claim key; accepted is an inject "
		    "entry or a step with ${claim_key}");
	if (profile->mode != PROFILE_CLAIM && claim_key)
		yaml_problem(reader->document, node, reader->problems,
		    "mode %s writes a claim key; accepted are inject entries "
		    "and steps without ${claim_key}",
		    name);
	if (profile->program.registers !=
	    (uint32_t)wanted[profile->mode].registers)
		yaml_problem(reader->document, node, reader->problems,
		    "mode %s %s; accepted is a program with %s", name,
		    profile->program.registers == REGISTER_NONE
			? "has no step register"
			: "has another step register",
		    wanted[profile->mode].accepted);
	if (profile->mode == PROFILE_KEYS &&
	    !profile_mentions(profile, "device_key"))
		yaml_problem(reader->document, node, reader->problems,
		    "mode keys does not write the unit's key; accepted is a "
		    "step with ${device_key}");
}

static void
read_root(struct profile_reader *reader, struct yaml_node *root)
{
	size_t before = reader->problems->count;
	struct profile *profile = reader->profile;
	int64_t schema = 1;
	int mode = PROFILE_CLAIM;

	yaml_get_integer(reader->document, root, "schema", true, 1, 1, &schema,
	    reader->problems);
	name_get(reader->document, root, "name", true, NAME_PLAIN,
	    profile->name, sizeof(profile->name), reader->problems);
	yaml_get_choice(reader->document, root, "mode", true, mode_names, &mode,
	    reader->problems);
	profile->mode = (uint32_t)mode;
	profile->total_timeout_ms = TOTAL_TIMEOUT_MS;
	read_span(reader, root, "total_timeout", &profile->total_timeout_ms);
	read_flasher(reader, root);
	read_injects(reader, root);
	program_parse(
	    reader->document, root, &profile->program, reader->problems);
	yaml_map_finish(reader->document, root, reader->problems);
	/* A part that was not understood would only echo here. */
	if (reader->problems->count == before)
		check_mode(reader, root);
}

int
profile_load(const char *path, struct profile *profile, struct digest *digest,
    struct problems *problems)
{
	size_t before = problems->count;
	size_t len = 0;
	char *data = NULL;
	struct profile_reader reader = {
	    .problems = problems, .profile = profile};

	memset(profile, 0, sizeof(*profile));
	if (source_read(
		path, PROFILE_BYTES_MAX, &data, &len, digest, problems) != 0)
		return -1;
	reader.document = yaml_parse(path, data, len, problems);
	if (reader.document == NULL)
		goto out;
	read_root(&reader, yaml_root(reader.document));
out:
	yaml_close(reader.document);
	free(data);
	return problems->count == before ? 0 : -1;
}
