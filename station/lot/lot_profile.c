/*
 * The lot's profile: read, and held against what the lot's pattern and ending
 * ask of a device family.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lot/lot_parts.h"
#include "lot/name.h"
#include "lot/plan.h"

void
lot_read_profile(struct lot_reader *reader, struct yaml_node *root)
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

/* ---- what the profile's program does with this lot ---- */

enum condition {
	CONDITION_FALSE,
	CONDITION_MAYBE, /* only the unit shows */
	CONDITION_TRUE
};

/* A text of a condition as this lot has it; null: it is not known here. */
static const char *
known_text(const struct lot_image *image, const char *text)
{
	const struct {
		const char *name;
		const char *value;
	} values[] = {
	    {"${ending}", ending_name((enum ending)image->ending)},
	    {"${claim_after}", image->claim_erase != 0 ? "erase" : "keep"},
	    {"${wifi_ssid}", image->wifi_ssid},
	    {"${lot}", image->name},
	    {"${product}", image->product},
	    {"${part_number}", image->part_number},
	    {"${firmware_version}", image->firmware_version},
	};

	for (size_t at = 0; at < sizeof(values) / sizeof(values[0]); at++)
		if (text_equal(values[at].name, text))
			return values[at].value;
	return strstr(text, "${") == NULL ? text : NULL;
}

static enum condition
condition_of(const struct lot_image *image, const struct program_step *when)
{
	const struct program *program = &image->profile.program;
	const struct program_clause *clause;
	const char *one, *two;

	if (when->clause_count == 0)
		return CONDITION_MAYBE;
	clause = &program->clauses[when->clause];
	one = known_text(image, program_text(program, clause->text));
	two = known_text(image, program_text(program, clause->other));
	if (one == NULL || two == NULL)
		return CONDITION_MAYBE;
	return text_equal(one, two) ? CONDITION_TRUE : CONDITION_FALSE;
}

/* Whether a step runs, by all the `when` that it stands in. */
static enum condition
step_condition(const struct lot_image *image, uint32_t index)
{
	const struct program *program = &image->profile.program;
	enum condition condition = CONDITION_TRUE;

	for (uint32_t at = 0; at < index; at++) {
		const struct program_step *step = &program->steps[at];

		if (step->action == ACTION_WHEN && index < step->end &&
		    condition_of(image, step) < condition)
			condition = condition_of(image, step);
	}
	return condition;
}

/* Whether a step of that action runs with this lot. */
static enum condition
action_condition(const struct lot_image *image, enum program_action action)
{
	const struct program *program = &image->profile.program;
	enum condition condition = CONDITION_FALSE;

	for (uint32_t at = 0; at < program->step_count; at++)
		if (program->steps[at].action == (uint32_t)action &&
		    step_condition(image, at) > condition)
			condition = step_condition(image, at);
	return condition;
}

/* ---- what the lot asks of the profile ---- */

static enum profile_mode
mode_wanted(const struct lot_image *image)
{
	switch ((enum pattern)image->pattern) {
	case PATTERN_CLAIM:
	case PATTERN_TRUSTED_USER:
		if (!plan_is_proxy(image))
			return PROFILE_CLAIM;
		return image->keys_by_cloud != 0 ? PROFILE_KEYS : PROFILE_CSR;
	case PATTERN_READBACK:
		return PROFILE_READBACK;
	case PATTERN_REGISTER_THING:
		return image->form == FORM_PEM ? PROFILE_READBACK : PROFILE_CSR;
	default:
		return PROFILE_CSR;
	}
}

static void
check_confirm(struct lot_reader *reader, const struct yaml_node *node)
{
	const struct lot_image *image = reader->image;
	const struct profile *profile = &image->profile;
	enum condition confirms = action_condition(image, ACTION_CONFIRM);
	bool bench = image->ending == ENDING_BENCH;

	if (bench && confirms == CONDITION_FALSE)
		yaml_problem(reader->document, node, reader->problems,
		    "profile \"%s\" has no step confirm for ending bench; "
		    "accepted is a profile that waits for the first "
		    "connection",
		    profile->name);
	if (!bench && confirms == CONDITION_TRUE)
		yaml_problem(reader->document, node, reader->problems,
		    "profile \"%s\" waits for a first connection, which only "
		    "ending bench has; accepted is a step confirm with when: "
		    "[\"${ending}\", bench]",
		    profile->name);
	if (bench && image->confirm_timeout_ms >= profile->total_timeout_ms)
		yaml_problem(reader->document, node, reader->problems,
		    "confirm_timeout is %u ms, and profile \"%s\" has a "
		    "total_timeout of %u ms; accepted is less than that",
		    image->confirm_timeout_ms, profile->name,
		    profile->total_timeout_ms);
}

/* What is lent must be given, and taken back, by the profile's steps. */
static void
check_lent(struct lot_reader *reader, const struct yaml_node *node)
{
	const struct lot_image *image = reader->image;
	const struct profile *profile = &image->profile;
	bool writes_wifi = profile_mentions(profile, "wifi_ssid") &&
			   profile_mentions(profile, "wifi_password");

	if (image->wifi_ssid[0] != '\0' && !writes_wifi)
		yaml_problem(reader->document, node, reader->problems,
		    "profile \"%s\" does not write the lot's wifi; accepted is "
		    "one with ${wifi_ssid} and ${wifi_password}",
		    profile->name);
	if (image->ending == ENDING_BENCH && image->wifi_ssid[0] == '\0' &&
	    writes_wifi)
		yaml_problem(reader->document, node, reader->problems,
		    "profile \"%s\" writes a network, and the lot has none; "
		    "accepted is a lot with wifi",
		    profile->name);
	if (image->claim_erase != 0 &&
	    !profile_mentions(profile, "claim_after"))
		yaml_problem(reader->document, node, reader->problems,
		    "profile \"%s\" does not erase the claim; accepted is one "
		    "with steps when: [\"${claim_after}\", erase]",
		    profile->name);
}

void
lot_check_profile(struct lot_reader *reader, struct yaml_node *root)
{
	const struct lot_image *image = reader->image;
	const struct profile *profile = &image->profile;
	const struct yaml_node *node = yaml_get(root, "profile");
	const char *ending = ending_name((enum ending)image->ending);
	enum profile_mode mode = mode_wanted(image);

	if (profile->mode == (uint32_t)mode) {
		check_confirm(reader, node);
		check_lent(reader, node);
		return;
	}
	yaml_problem(reader->document, node, reader->problems,
	    "profile \"%s\" is of mode %s and does not go with pattern "
	    "%s%s%s%s; accepted is one of mode %s",
	    profile->name, profile_mode_name((enum profile_mode)profile->mode),
	    pattern_name((enum pattern)image->pattern),
	    ending[0] == '\0' ? "" : ", ending ", ending,
	    image->form == FORM_PEM ? " with CertificatePem" : "",
	    profile_mode_name(mode));
}
