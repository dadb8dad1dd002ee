/*
 * The last check of a lot: what its rules make of every row. A unit that
 * AWS would refuse is found here and not on the line.
 */
#include <stdio.h>
#include <string.h>

#include "lot/bundle.h"
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
	const char *station;
	const char *path; /* of the manifest */
	struct problems *problems;
	size_t reported;
	struct manifest_view view;
};

static void
report(struct rows_check *check, uint32_t line, const char *what,
    const char *value, const char *accepted)
{
	if (check->reported++ < ROWS_PROBLEMS_MAX)
		problems_add(check->problems, check->path, line, 1,
		    "%s \"%s\" is not accepted; accepted are %s", what, value,
		    accepted);
}

/* The result's length, 0 when it is reported. */
static size_t
check_rule(struct rows_check *check, const struct manifest_row *row,
    const char *what, const char *rule, enum name_kind kind)
{
	char value[ATTRIBUTE_VALUE_LEN];
	struct fault fault;
	const char *pool = check->view.pool;
	const char *mac = pool + row->mac;

	/* A MAC that the manifest does not know comes from the unit. */
	if (*mac == '\0')
		mac = "00:00:00:00:00:00";
	if (lot_expand(check->image, check->station, rule, pool + row->serial,
		mac, pool + row->extra, value, sizeof(value), &fault) != 0) {
		if (check->reported++ < ROWS_PROBLEMS_MAX)
			problems_add(check->problems, check->path, row->line, 1,
			    "%s \"%s\": %s", what, rule, fault.text);
		return 0;
	}
	if (name_matches(kind, value, strlen(value)))
		return strlen(value);
	report(check, row->line, what, value, name_accepted(kind));
	return 0;
}

static void
check_row(struct rows_check *check, const struct manifest_row *row)
{
	char what[THING_LEN + 16];
	const struct lot_image *image = check->image;
	size_t bytes = 0;

	check_rule(check, row, "thing name", image->thing_rule, NAME_THING);
	for (uint32_t at = 0; at < image->attribute_count; at++) {
		const struct lot_attribute *attribute = &image->attributes[at];

		/* The same for all units once it holds for the first. */
		if (row != check->view.row &&
		    strstr(attribute->rule, "${") == NULL)
			continue;
		(void)snprintf(
		    what, sizeof(what), "attribute %s", attribute->name);
		bytes += strlen(attribute->name) + check_rule(check, row, what,
						       attribute->rule,
						       NAME_ATTRIBUTE_VALUE);
	}
	if (bytes > ATTRIBUTES_BYTES_MAX &&
	    check->reported++ < ROWS_PROBLEMS_MAX)
		problems_add(check->problems, check->path, row->line, 1,
		    "the thing's attributes have %zu bytes; accepted are %d",
		    bytes, ATTRIBUTES_BYTES_MAX);
}

void
lot_rows_check(const struct lot_bundle *bundle, const char *station,
    const char *manifest_path, struct problems *problems)
{
	struct fault fault;
	struct rows_check check = {.image = &bundle->image,
	    .station = station,
	    .path = manifest_path,
	    .problems = problems};

	if (manifest_map(bundle->manifest_fd, &check.view, &fault) != 0) {
		source_problem(problems, manifest_path, &fault);
		return;
	}
	for (uint32_t at = 0; at < check.view.header->rows; at++) {
		check_row(&check, &check.view.row[at]);
		if (check.reported > ROWS_PROBLEMS_MAX) {
			problems_add(problems, manifest_path,
			    check.view.row[at].line, 1,
			    "more is wrong from here on; the first %d "
			    "problems are listed",
			    ROWS_PROBLEMS_MAX);
			break;
		}
	}
	manifest_unmap(&check.view);
}
