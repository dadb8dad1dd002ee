/*
 * How a lot's units get their identity: pattern, ending and the choices that
 * go with them, and which keys of lot.yaml belong where.
 */
#include <stdio.h>
#include <string.h>

#include "lot/lot_parts.h"

enum {
	CONFIRM_MS = 60000,
	CONFIRM_LEAST_MS = 1000,
	CONFIRM_MOST_MS = 3600000,
	/* CreateProvisioningClaim: its certificate is good for 5 minutes. */
	CLAIM_CREATED_MS = 300000,
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

/* ---- which key belongs where ---- */

#define IN(pattern) (1u << PATTERN_##pattern)
#define AT(ending)  (1u << ENDING_##ending)
#define CLAIMS	    (IN(CLAIM) | IN(TRUSTED_USER))
#define SIGNED	    (IN(JITP) | IN(JITR))
#define ANY	    (~0u)

static const struct {
	const char *key;
	unsigned patterns; /* a bit each */
	unsigned endings;
	const char *where;
} belongs[] = {
    {"ending", CLAIMS | SIGNED, ANY, "claim, trusted-user, jitp and jitr"},
    {"activate", IN(REGISTER_THING), ANY, "register-thing"},
    {"activation", IN(JITR), ANY, "jitr"},
    {"confirm_timeout", CLAIMS | SIGNED, AT(BENCH),
	"claim, trusted-user, jitp and jitr with ending bench"},
    {"keys", CLAIMS, AT(PROXY), "claim and trusted-user with ending proxy"},
    {"claim", CLAIMS, ANY, "claim"},
    {"wifi", CLAIMS | SIGNED, AT(BENCH),
	"claim, trusted-user, jitp and jitr with ending bench"},
    {"ca", SIGNED, ANY, "jitp and jitr"},
    {"readback", IN(READBACK) | IN(REGISTER_THING), ANY,
	"certificate-readback, and register-thing of certificates that the "
	"units hold"},
    {"bulk", IN(BULK), ANY, "bulk"},
    {"template", CLAIMS | IN(REGISTER_THING) | IN(JITP) | IN(BULK), ANY,
	"claim, trusted-user, register-thing, jitp and bulk"},
};

bool
lot_key_belongs(
    struct lot_reader *reader, struct yaml_node *root, const char *key)
{
	const struct lot_image *image = reader->image;
	const struct yaml_node *node = yaml_get(root, key);
	const char *ending = ending_name((enum ending)image->ending);

	/* Without a pattern nothing can be said. */
	if (!reader->pattern_known)
		return false;
	for (size_t at = 0; at < sizeof(belongs) / sizeof(belongs[0]); at++) {
		if (!text_equal(belongs[at].key, key))
			continue;
		if ((belongs[at].patterns & 1u << image->pattern) != 0 &&
		    (belongs[at].endings & 1u << image->ending) != 0)
			return true;
		if (node != NULL)
			yaml_problem(reader->document, node, reader->problems,
			    "%s does not go with pattern %s%s%s; accepted is "
			    "it with pattern %s",
			    key, pattern_name((enum pattern)image->pattern),
			    ending[0] == '\0' ? "" : ", ending ", ending,
			    belongs[at].where);
		return false;
	}
	return false;
}

/* ---- pattern and ending ---- */

/* The first one is the default. */
static const char *const claim_endings[] = {"field", "bench", "proxy", NULL};
static const char *const user_endings[] = {"bench", "proxy", NULL};
static const char *const signed_endings[] = {"field", "bench", NULL};

static const char *const *
endings_of(enum pattern pattern)
{
	switch (pattern) {
	case PATTERN_CLAIM:
		return claim_endings;
	case PATTERN_TRUSTED_USER:
		return user_endings;
	case PATTERN_JITP:
	case PATTERN_JITR:
		return signed_endings;
	default:
		return NULL;
	}
}

static int
read_ending(struct lot_reader *reader, struct yaml_node *root)
{
	const char *const *names =
	    endings_of((enum pattern)reader->image->pattern);
	int choice = 0;

	/* The pattern alone says whether there is one. */
	if (names == NULL) {
		reader->pattern_known = true;
		(void)lot_key_belongs(reader, root, "ending");
		return 0;
	}
	if (yaml_get_choice(reader->document, root, "ending", false, names,
		&choice, reader->problems) < 0)
		return -1;
	for (uint32_t at = 0; at < ENDING_COUNT; at++)
		if (text_equal(ending_names[at], names[choice]))
			reader->image->ending = at;
	return 0;
}

/* ---- serial_from ---- */

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
read_serial_source(struct lot_reader *reader, struct yaml_node *root)
{
	static const char *const sources[] = {
	    "device", "mac", "scan", "next", NULL};
	int source = 0;

	if (yaml_get_choice(reader->document, root, "serial_from", true,
		sources, &source, reader->problems) != 0)
		return;
	reader->image->serial_from = (uint32_t)source;
	check_serial_source(reader, root);
}

/* ---- choices ---- */

static void
read_choice(struct lot_reader *reader, struct yaml_node *root, const char *key,
    const char *const *names, uint32_t *chosen)
{
	int choice = 0;

	if (lot_key_belongs(reader, root, key) &&
	    yaml_get_choice(reader->document, root, key, false, names, &choice,
		reader->problems) == 0)
		*chosen = (uint32_t)choice;
}

static void
read_confirm_timeout(struct lot_reader *reader, struct yaml_node *root)
{
	struct lot_image *image = reader->image;
	int64_t most_ms = image->pattern == PATTERN_TRUSTED_USER
			      ? CLAIM_CREATED_MS
			      : CONFIRM_MOST_MS;
	int64_t ms = CONFIRM_MS;

	if (!lot_key_belongs(reader, root, "confirm_timeout"))
		return;
	if (yaml_get_span(reader->document, root, "confirm_timeout", false, &ms,
		reader->problems) == 0 &&
	    (ms < CONFIRM_LEAST_MS || ms > most_ms))
		yaml_problem(reader->document,
		    yaml_get(root, "confirm_timeout"), reader->problems,
		    "confirm_timeout is %lld ms; accepted with pattern %s are "
		    "1s to %lldm",
		    (long long)ms, pattern_name((enum pattern)image->pattern),
		    (long long)(most_ms / 60000));
	else
		image->confirm_timeout_ms = (uint32_t)ms;
}

void
lot_read_pattern(struct lot_reader *reader, struct yaml_node *root)
{
	static const char *const activates[] = {
	    "after-read-back", "at-issue", NULL};
	static const char *const activations[] = {"station", "lambda", NULL};
	static const char *const keys[] = {"device", "aws", NULL};
	struct lot_image *image = reader->image;
	int pattern = 0;

	/* Also known when the pattern is not: no echo of unknown keys. */
	for (size_t at = 0; at < sizeof(belongs) / sizeof(belongs[0]); at++)
		(void)yaml_get(root, belongs[at].key);
	if (yaml_get_choice(reader->document, root, "pattern", true,
		pattern_names, &pattern, reader->problems) == 0) {
		image->pattern = (uint32_t)pattern;
		reader->pattern_known = read_ending(reader, root) == 0;
	}
	read_serial_source(reader, root);
	read_choice(
	    reader, root, "activate", activates, &image->activate_at_issue);
	read_choice(
	    reader, root, "activation", activations, &image->lambda_activates);
	read_choice(reader, root, "keys", keys, &image->keys_by_cloud);
	read_confirm_timeout(reader, root);
	/* Nobody would see what the station has to complete. */
	if (reader->pattern_known && image->pattern == PATTERN_JITR &&
	    image->ending == ENDING_FIELD && image->lambda_activates == 0)
		yaml_problem(reader->document, yaml_get(root, "pattern"),
		    reader->problems,
		    "pattern jitr, ending field leaves the first connection "
		    "to the field, where the station cannot complete it; "
		    "accepted are activation: lambda and ending: bench");
}
