#include "lot/lot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lot/manifest.h"

struct expansion {
	const struct lot_image *image;
	const struct lot_unit *unit;
	bool parameters; /* the names of a template's parameters, too */
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

/* A name that rules know and the value that it has now; null: none. */
struct known_value {
	const char *name;
	const char *value;
};

static const char *
value_among(const struct known_value *values, size_t count, const char *name)
{
	for (size_t at = 0; at < count; at++)
		if (text_equal(values[at].name, name))
			return values[at].value == NULL ? "" : values[at].value;
	return NULL;
}

/* Null when the name is none of the lot's own. */
static const char *
value_find(const struct expansion *expansion, const char *name)
{
	const struct lot_image *image = expansion->image;
	const struct lot_unit *unit = expansion->unit;
	const struct known_value values[] = {
	    {"serial", unit->serial},
	    {"mac", unit->mac},
	    {"lot", image->name},
	    {"product", image->product},
	    {"part_number", image->part_number},
	    {"station", unit->station},
	    {"firmware_version", image->firmware_version},
	    /* only in a template's parameters */
	    {"csr", unit->csr},
	    {"certificate_id", unit->certificate_id},
	    {"certificate_pem", unit->certificate_pem},
	    {"ca_certificate_pem", image->readback_ca},
	};
	enum {
		KNOWN = sizeof(values) / sizeof(values[0]),
		PARAMETERS = 4
	};

	return value_among(
	    values, expansion->parameters ? KNOWN : KNOWN - PARAMETERS, name);
}

static int
put_variable(struct expansion *expansion, const char *name, struct fault *fault)
{
	static const char prefix[] = "manifest.";
	const size_t prefix_len = sizeof(prefix) - 1;
	char column[EXTRA_LEN];
	const char *value = value_find(expansion, name);

	if (value == NULL && strncmp(name, prefix, prefix_len) == 0 &&
	    expansion->unit->extra != NULL &&
	    manifest_extra_get(expansion->unit->extra, name + prefix_len,
		column, sizeof(column)) >= 0)
		value = column;
	if (value == NULL)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "${%s} is not known; accepted are serial, mac, lot, "
		    "product, part_number, station, firmware_version%s and "
		    "manifest.COLUMN with a column of the manifest",
		    name,
		    expansion->parameters ? ", csr, certificate_id, "
					    "certificate_pem, "
					    "ca_certificate_pem"
					  : "");
	if (value[0] == '\0')
		return fault_set(fault, CAUSE_BAD_LOT,
		    "${%s} has no value for this unit", name);
	if (put(expansion, value, strlen(value)) == 0)
		return 0;
	return fault_set(fault, CAUSE_BAD_LOT,
	    "with ${%s} the text is too long; accepted are %zu bytes", name,
	    expansion->size - 1);
}

static int
expand(struct expansion *expansion, const char *rule, struct fault *fault)
{
	char name[NAME_LEN + 16];

	expansion->to[0] = '\0';
	while (*rule != '\0') {
		const char *open = strstr(rule, "${");
		size_t literal =
		    open == NULL ? strlen(rule) : (size_t)(open - rule);
		size_t len;

		if (put(expansion, rule, literal) != 0)
			return fault_set(fault, CAUSE_BAD_LOT,
			    "the text is too long; accepted are %zu bytes",
			    expansion->size - 1);
		if (open == NULL)
			break;
		len = strcspn(open + 2, "}");
		if (open[2 + len] != '}' || len >= sizeof(name))
			return fault_set(fault, CAUSE_BAD_LOT,
			    "\"${\" has no \"}\" after a name; accepted is "
			    "${NAME}");
		memcpy(name, open + 2, len);
		name[len] = '\0';
		if (put_variable(expansion, name, fault) != 0)
			return -1;
		rule = open + 2 + len + 1;
	}
	return 0;
}

int
lot_expand(const struct lot_image *image, const char *station, const char *rule,
    const char *serial, const char *mac, const char *extra, char *to,
    size_t size, struct fault *fault)
{
	const struct lot_unit unit = {
	    .station = station, .serial = serial, .mac = mac, .extra = extra};
	struct expansion expansion = {
	    .image = image, .unit = &unit, .to = to, .size = size};

	return expand(&expansion, rule, fault);
}

int
lot_expand_with(const struct lot_image *image, const struct lot_unit *unit,
    const char *rule, char *to, size_t size, struct fault *fault)
{
	struct expansion expansion = {.image = image,
	    .unit = unit,
	    .parameters = true,
	    .to = to,
	    .size = size};

	return expand(&expansion, rule, fault);
}

/* ---- a template's parameters ---- */

/* Carries a certificate that the unit does not have in this form. */
static bool
is_left_out(const struct lot_unit *unit, const char *rule)
{
	const struct known_value carriers[] = {
	    {"${csr}", unit->csr},
	    {"${certificate_id}", unit->certificate_id},
	    {"${certificate_pem}", unit->certificate_pem},
	    {"${ca_certificate_pem}", unit->certificate_pem},
	};
	const char *value =
	    value_among(carriers, sizeof(carriers) / sizeof(carriers[0]), rule);

	return value != NULL && value[0] == '\0';
}

/* A text as JSON has it: RFC 8259, section 7. */
static void
json_text_add(struct buf *to, const char *text)
{
	buf_add(to, "\"", 1);
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			buf_add_format(to, "\\%c", byte);
		else if (byte == '\n')
			buf_add(to, "\\n", 2);
		else if (byte < 0x20)
			buf_add_format(to, "\\u%04x", byte);
		else
			buf_add(to, text, 1);
	}
	buf_add(to, "\"", 1);
}

int
lot_parameters_write(const struct lot_image *image, const struct lot_unit *unit,
    struct buf *to, struct fault *fault)
{
	char value[PARAMETER_VALUE_LEN];
	bool first = true;

	buf_add(to, "{", 1);
	for (uint32_t at = 0; at < image->parameter_count; at++) {
		const struct lot_parameter *parameter = &image->parameters[at];

		if (is_left_out(unit, parameter->rule))
			continue;
		if (lot_expand_with(image, unit, parameter->rule, value,
			sizeof(value), fault) != 0)
			return fault_prefix(
			    fault, "parameter %s", parameter->name);
		if (!first)
			buf_add(to, ",", 1);
		first = false;
		json_text_add(to, parameter->name);
		buf_add(to, ":", 1);
		json_text_add(to, value);
	}
	buf_add(to, "}", 1);
	return to->failed ? fault_set(fault, CAUSE_BAD_LOT,
				"the parameters are too long")
			  : 0;
}

uint16_t
lot_endpoint(const struct lot_image *image, char *host, size_t size)
{
	size_t len = strcspn(image->endpoint, ":");
	const char *colon = image->endpoint + len;
	unsigned long port = MQTT_PORT;

	if (*colon == ':')
		port = strtoul(colon + 1, NULL, 10);
	(void)snprintf(host, size, "%.*s", (int)len, image->endpoint);
	return port >= 1 && port <= UINT16_MAX ? (uint16_t)port : MQTT_PORT;
}
