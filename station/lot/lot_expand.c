#include "lot/lot.h"

#include <stdio.h>
#include <string.h>

#include "lot/manifest.h"

struct expansion {
	const struct lot_image *image;
	const char *station;
	const char *serial;
	const char *mac;
	const char *extra;
	char *to;
	size_t size;
	size_t len;
};

static int
put(struct expansion *expansion, const char *text, size_t len)
{
	if (len >= expansion->size - expansion->len)
		return -1;
	memcpy(expansion->to + expansion->len, text, len);
	expansion->len += len;
	expansion->to[expansion->len] = '\0';
	return 0;
}

/* Null when the name is none of the lot's own. */
static const char *
value_find(const struct expansion *expansion, const char *name)
{
	const struct {
		const char *name;
		const char *value;
	} values[] = {
	    {"serial", expansion->serial},
	    {"mac", expansion->mac},
	    {"lot", expansion->image->name},
	    {"product", expansion->image->product},
	    {"part_number", expansion->image->part_number},
	    {"station", expansion->station},
	    {"firmware_version", expansion->image->firmware_version},
	};

	for (size_t at = 0; at < sizeof(values) / sizeof(values[0]); at++)
		if (text_equal(values[at].name, name))
			return values[at].value == NULL ? "" : values[at].value;
	return NULL;
}

static int
put_variable(struct expansion *expansion, const char *name, struct fault *fault)
{
	static const char prefix[] = "manifest.";
	const size_t prefix_len = sizeof(prefix) - 1;
	char column[EXTRA_LEN];
	const char *value = value_find(expansion, name);

	if (value == NULL && strncmp(name, prefix, prefix_len) == 0 &&
	    expansion->extra != NULL &&
	    manifest_extra_get(expansion->extra, name + prefix_len, column,
		sizeof(column)) >= 0)
		value = column;
	if (value == NULL)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "${%s} is not known; accepted are serial, mac, lot, "
		    "product, part_number, station, firmware_version and "
		    "manifest.COLUMN with a column of the manifest",
		    name);
	if (value[0] == '\0')
		return fault_set(fault, CAUSE_BAD_LOT,
		    "${%s} has no value for this unit", name);
	if (put(expansion, value, strlen(value)) == 0)
		return 0;
	return fault_set(fault, CAUSE_BAD_LOT,
	    "with ${%s} the text is too long; accepted are %zu bytes", name,
	    expansion->size - 1);
}

int
lot_expand(const struct lot_image *image, const char *station, const char *rule,
    const char *serial, const char *mac, const char *extra, char *to,
    size_t size, struct fault *fault)
{
	char name[NAME_LEN + 16];
	struct expansion expansion = {.image = image,
	    .station = station,
	    .serial = serial,
	    .mac = mac,
	    .extra = extra,
	    .to = to,
	    .size = size};

	to[0] = '\0';
	while (*rule != '\0') {
		const char *open = strstr(rule, "${");
		size_t literal =
		    open == NULL ? strlen(rule) : (size_t)(open - rule);
		size_t len;

		if (put(&expansion, rule, literal) != 0)
			return fault_set(fault, CAUSE_BAD_LOT,
			    "the text is too long; accepted are %zu bytes",
			    size - 1);
		if (open == NULL)
			break;
		len = strcspn(open + 2, "}");
		if (open[2 + len] != '}' || len >= sizeof(name))
			return fault_set(fault, CAUSE_BAD_LOT,
			    "\"${\" has no \"}\" after a name; accepted is "
			    "${NAME}");
		memcpy(name, open + 2, len);
		name[len] = '\0';
		if (put_variable(&expansion, name, fault) != 0)
			return -1;
		rule = open + 2 + len + 1;
	}
	return 0;
}
