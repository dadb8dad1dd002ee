/*
 * The last check of a lot: what its rules make of every row. A unit that
 * AWS would refuse is found here and not on the line.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lot/lot_parts.h"
#include "lot/manifest.h"
#include "lot/name.h"
#include "lot/source.h"

enum {
	ROWS_PROBLEMS_MAX = 100,
	/* "47 KB": quotas of AWS IoT device registry, all attributes. */
	ATTRIBUTES_BYTES_MAX = 47 * 1024,
};

struct rows_check {
	const struct lot_image *image;
	const struct template *template; /* null: there is none to hold */
	const char *station;
	const char *path; /* of the manifest */
	struct problems *problems;
	size_t reported;
	struct manifest_view view;
	struct template_values values;
};

static void __attribute__((format(printf, 3, 4)))
report(struct rows_check *check, const struct manifest_row *row,
    const char *format, ...)
{
	char text[1024];
	va_list arguments;

	if (check->reported++ >= ROWS_PROBLEMS_MAX)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	problems_add(check->problems, check->path, row->line, 1, "%s", text);
}

/* What is known of the row's unit before it is there. */
static struct lot_unit
unit_of(const struct rows_check *check, const struct manifest_row *row)
{
	const char *pool = check->view.pool;
	struct lot_unit unit = {.station = check->station,
	    .serial = pool + row->serial,
	    .mac = pool + row->mac,
	    .extra = pool + row->extra};

	/* A MAC that the manifest does not know comes from the unit. */
	if (unit.mac[0] == '\0')
		unit.mac = "00:00:00:00:00:00";
	return unit;
}

/* The length of what the rule makes, 0 when it is reported. */
static size_t
expand_rule(struct rows_check *check, const struct manifest_row *row,
    const char *what, const char *rule, char *to, size_t size)
{
	struct fault fault;
	const struct lot_unit unit = unit_of(check, row);

	if (lot_expand(check->image, unit.station, rule, unit.serial, unit.mac,
		unit.extra, to, size, &fault) == 0)
		return strlen(to);
	report(check, row, "%s \"%s\": %s", what, rule, fault.text);
	return 0;
}

static size_t
check_rule(struct rows_check *check, const struct manifest_row *row,
    const char *what, const char *rule, enum name_kind kind, char *to,
    size_t size)
{
	size_t len = expand_rule(check, row, what, rule, to, size);

	if (len == 0 && to[0] == '\0' && rule[0] != '\0')
		return 0;
	if (name_matches(kind, to, len))
		return len;
	report(check, row, "%s \"%s\" is not accepted; accepted are %s", what,
	    to, name_accepted(kind));
	return 0;
}

/* ---- attributes ---- */

static void
check_attributes(struct rows_check *check, const struct manifest_row *row)
{
	char what[THING_LEN + 16];
	char value[ATTRIBUTE_VALUE_LEN];
	const struct lot_image *image = check->image;
	size_t bytes = 0;

	for (uint32_t at = 0; at < image->attribute_count; at++) {
		const struct lot_attribute *attribute = &image->attributes[at];

		/* The same for all units once it holds for the first. */
		if (row != check->view.row &&
		    strstr(attribute->rule, "${") == NULL)
			continue;
		(void)snprintf(
		    what, sizeof(what), "attribute %s", attribute->name);
		bytes += strlen(attribute->name) +
			 check_rule(check, row, what, attribute->rule,
			     NAME_ATTRIBUTE_VALUE, value, sizeof(value));
	}
	if (bytes > ATTRIBUTES_BYTES_MAX)
		report(check, row,
		    "the thing's attributes have %zu bytes; accepted are %d",
		    bytes, ATTRIBUTES_BYTES_MAX);
}

/* ---- subject ---- */

/* RFC 5280, appendix A.1: upper bounds of a name's parts. */
static void
check_subject(struct rows_check *check, const struct manifest_row *row)
{
	char what[SUBJECT_NAME_LEN + 16];
	char value[SUBJECT_VALUE_LEN];
	const struct lot_ca *ca = &check->image->ca;

	for (uint32_t at = 0; at < ca->part_count; at++) {
		const struct subject_part *part = &ca->parts[at];
		bool country = text_equal(part->name, "C");
		size_t most = text_equal(part->name, "ST") ? 128 : 64;
		size_t len;

		if (row != check->view.row && strstr(part->value, "${") == NULL)
			continue;
		(void)snprintf(what, sizeof(what), "subject %s", part->name);
		len = expand_rule(
		    check, row, what, part->value, value, sizeof(value));
		if (len == 0 && part->value[0] != '\0')
			continue;
		if (country ? len != 2 || value[0] < 'A' || value[0] > 'Z' ||
				  value[1] < 'A' || value[1] > 'Z'
			    : len == 0 || len > most)
			report(check, row,
			    "%s \"%s\" is not accepted; accepted are %s%s",
			    what, value,
			    country	? "two letters A-Z"
			    : most > 64 ? "1 to 128"
					: "1 to 64",
			    country ? "" : " bytes");
	}
}

/* ---- the thing's name ---- */

/*
 * A pre-provisioning hook may give what the lot does not: a name that cannot
 * be made is then no fault of the lot. False ends the comparing.
 */
static bool
check_template(
    struct rows_check *check, const struct manifest_row *row, const char *thing)
{
	char made[THING_LEN];
	struct fault fault;
	const struct lot_unit unit = unit_of(check, row);
	bool hook = check->image->pattern == PATTERN_CLAIM ||
		    check->image->pattern == PATTERN_TRUSTED_USER;

	fault_clear(&fault);
	if (template_values_make(&check->values, check->image, &unit, &fault) !=
	    0) {
		report(check, row, "%s", fault.text);
		return true;
	}
	if (template_thing_name(check->template, &check->values, made,
		sizeof(made), &fault) != 0) {
		if (!hook)
			report(check, row, "the template's %s", fault.text);
		return !hook;
	}
	if (!text_equal(made, thing))
		report(check, row,
		    "the template names the thing \"%s\"; accepted is \"%s\", "
		    "as the lot's thing.name has it",
		    made, thing);
	return true;
}

static void
check_row(struct rows_check *check, const struct manifest_row *row)
{
	char thing[ATTRIBUTE_VALUE_LEN];

	if (check_rule(check, row, "thing name", check->image->thing_rule,
		NAME_THING, thing, sizeof(thing)) > 0 &&
	    check->template != NULL && !check_template(check, row, thing))
		check->template = NULL;
	check_attributes(check, row);
	check_subject(check, row);
}

void
lot_check_rows(struct lot_reader *reader)
{
	struct fault fault;
	struct rows_check check = {.image = reader->image,
	    .template = reader->template,
	    .station = reader->config->station,
	    .path = reader->manifest_path,
	    .problems = reader->problems};

	if (manifest_map(reader->bundle->manifest_fd, &check.view, &fault) !=
	    0) {
		source_problem(reader->problems, reader->manifest_path, &fault);
		return;
	}
	for (uint32_t at = 0; at < check.view.header->rows; at++) {
		check_row(&check, &check.view.row[at]);
		if (check.reported > ROWS_PROBLEMS_MAX) {
			problems_add(reader->problems, reader->manifest_path,
			    check.view.row[at].line, 1,
			    "more is wrong from here on; the first %d "
			    "problems are listed",
			    ROWS_PROBLEMS_MAX);
			break;
		}
	}
	template_values_free(&check.values);
	manifest_unmap(&check.view);
}
