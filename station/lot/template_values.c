/*
 * The values that a unit gives to a template's parameters, and templates that
 * are rewritten for one unit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lot/template_parts.h"

/* The parameters of just-in-time templates and the subject's parts. */
static const struct {
	const char *parameter;
	const char *part;
} subject_names[] = {
    {TEMPLATE_CERTIFICATE "Country", "C"},
    {TEMPLATE_CERTIFICATE "Organization", "O"},
    {TEMPLATE_CERTIFICATE "OrganizationalUnit", "OU"},
    {TEMPLATE_CERTIFICATE "DistinguishedNameQualifier", "DNQ"},
    {TEMPLATE_CERTIFICATE "StateName", "ST"},
    {TEMPLATE_CERTIFICATE "CommonName", "CN"},
    {TEMPLATE_CERTIFICATE "SerialNumber", "SN"},
};
enum {
	SUBJECT_NAMES = sizeof(subject_names) / sizeof(subject_names[0])
};

const char *
template_subject_name(const char *parameter)
{
	for (size_t at = 0; at < SUBJECT_NAMES; at++)
		if (text_equal(subject_names[at].parameter, parameter))
			return subject_names[at].part;
	return NULL;
}

const struct subject_part *
template_subject_find(const struct lot_image *lot, const char *name)
{
	for (uint32_t at = 0; at < lot->ca.part_count; at++)
		if (text_equal(lot->ca.parts[at].name, name))
			return &lot->ca.parts[at];
	return NULL;
}

/* ---- values ---- */

static int
value_add(struct template_values *values, size_t offsets[], const char *name,
    const char *value, struct fault *fault)
{
	if (values->count == TEMPLATE_VALUES_MAX)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "there are more than %d parameters", TEMPLATE_VALUES_MAX);
	offsets[values->count] = values->texts.len;
	values->list[values->count].name = name;
	buf_add(&values->texts, value, strlen(value) + 1);
	values->count++;
	return 0;
}

static int
values_of_subject(struct template_values *values, size_t offsets[],
    const struct lot_image *lot, const struct lot_unit *unit,
    struct fault *fault)
{
	char value[SUBJECT_VALUE_LEN];

	for (size_t at = 0; at < SUBJECT_NAMES; at++) {
		const struct subject_part *part =
		    template_subject_find(lot, subject_names[at].part);

		if (part == NULL)
			continue;
		if (lot_expand_with(lot, unit, part->value, value,
			sizeof(value), fault) != 0)
			return fault_prefix(fault, "ca.subject.%s", part->name);
		if (value_add(values, offsets, subject_names[at].parameter,
			value, fault) != 0)
			return -1;
	}
	return 0;
}

static int
values_of_parameters(struct template_values *values, size_t offsets[],
    const struct lot_image *lot, const struct lot_unit *unit,
    struct fault *fault)
{
	char value[PARAMETER_VALUE_LEN];

	for (uint32_t at = 0; at < lot->parameter_count; at++) {
		const struct lot_parameter *parameter = &lot->parameters[at];

		if (lot_expand_with(lot, unit, parameter->rule, value,
			sizeof(value), fault) != 0)
			return fault_prefix(
			    fault, "parameter %s", parameter->name);
		if (value_add(values, offsets, parameter->name, value, fault) !=
		    0)
			return -1;
	}
	return 0;
}

int
template_values_make(struct template_values *values,
    const struct lot_image *lot, const struct lot_unit *unit,
    struct fault *fault)
{
	/* No thing is called so: these characters are not accepted. */
	static const char unknown[] = "(not known yet)";
	struct lot_unit whole = *unit;
	size_t offsets[TEMPLATE_VALUES_MAX] = {0};
	int result;

	if (whole.csr == NULL)
		whole.csr = unknown;
	if (whole.certificate_pem == NULL)
		whole.certificate_pem = unknown;
	if (whole.certificate_id == NULL)
		whole.certificate_id = unknown;
	if (values->texts.max == 0)
		buf_init(&values->texts,
		    (size_t)TEMPLATE_VALUES_MAX * PARAMETER_VALUE_LEN);
	buf_reset(&values->texts);
	values->count = 0;
	result =
	    lot->pattern == PATTERN_JITP
		? values_of_subject(values, offsets, lot, &whole, fault)
		: values_of_parameters(values, offsets, lot, &whole, fault);
	if (result == 0 && lot->pattern != PATTERN_REGISTER_THING &&
	    lot->pattern != PATTERN_BULK)
		result = value_add(values, offsets, TEMPLATE_CERTIFICATE_ID,
		    whole.certificate_id, fault);
	if (result == 0 && values->texts.failed)
		result = fault_set(fault, CAUSE_BAD_LOT,
		    "the parameters' values are too long");
	for (size_t at = 0; result == 0 && at < values->count; at++)
		values->list[at].value = values->texts.data + offsets[at];
	return result;
}

void
template_values_free(struct template_values *values)
{
	buf_free(&values->texts);
	memset(values, 0, sizeof(*values));
}

int
template_names_unit(const struct template *template,
    const struct lot_image *lot, const struct lot_unit *unit,
    struct fault *fault)
{
	char made[THING_LEN];
	char wanted[THING_LEN];
	struct template_values values = {.count = 0};
	int result = -1;

	if (lot_expand_with(lot, unit, lot->thing_rule, wanted, sizeof(wanted),
		fault) != 0) {
		fault_prefix(fault, "thing.name");
		goto out;
	}
	if (template_values_make(&values, lot, unit, fault) != 0 ||
	    template_thing_name(template, &values, made, sizeof(made), fault) !=
		0)
		goto out;
	result = text_equal(made, wanted)
		     ? 0
		     : fault_set(fault, CAUSE_BAD_LOT,
			   "the template names the thing \"%s\", the lot "
			   "\"%s\"",
			   made, wanted);
out:
	template_values_free(&values);
	return result;
}

/* ---- by the certificate's id ---- */

/* A text that names it counts, too: Fn::Sub looks into texts. */
static bool
refers(const json_t *value, const char *name)
{
	char inside[THING_LEN + 3];
	const char *key;
	json_t *item;
	size_t at;

	(void)snprintf(inside, sizeof(inside), "${%s}", name);
	if (json_is_string(value))
		return strstr(json_string_value(value), inside) != NULL;
	json_object_foreach ((json_t *)(uintptr_t)value, key, item)
		if ((text_equal(key, "Ref") &&
			text_equal(json_string_value(item), name)) ||
		    refers(item, name))
			return true;
	json_array_foreach (value, at, item)
		if (refers(item, name))
			return true;
	return false;
}

/* What carried the certificate is declared no more. */
static void
carrier_drop(json_t *root, const char *name)
{
	if (name != NULL && !refers(json_object_get(root, "Resources"), name) &&
	    !refers(json_object_get(root, "DeviceConfiguration"), name))
		(void)json_object_del(
		    json_object_get(root, "Parameters"), name);
}

/* The template with the id as its certificate's form; owned, or null. */
static char *
form_replace(const struct template *template, const char *certificate_id)
{
	static const char *const forms[] = {"CertificateSigningRequest",
	    "CertificateId", "CertificateID", "CertificatePem",
	    "CACertificatePem"};
	json_t *root = json_deep_copy(template->root);
	json_t *properties =
	    json_object_get(json_object_get(json_object_get(root, "Resources"),
				template->facts.certificate),
		"Properties");
	char *text = NULL;

	for (size_t at = 0; at < sizeof(forms) / sizeof(forms[0]); at++)
		(void)json_object_del(properties, forms[at]);
	carrier_drop(root, template->facts.carrier);
	carrier_drop(root, template->facts.authority);
	if (json_object_set_new(
		properties, "CertificateId", json_string(certificate_id)) == 0)
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

int
template_by_certificate_id(const char *body, const char *certificate_id,
    char out[TEMPLATE_BODY_LEN], struct fault *fault)
{
	struct problems problems;
	char *text = NULL;
	int result = -1;
	struct template *template;

	problems_init(&problems);
	template = template_parse("template", body, strlen(body), &problems);
	if (template == NULL) {
		fault_set(fault, CAUSE_BAD_LOT, "%.300s",
		    problems.text.data == NULL ? "no template"
					       : problems.text.data);
		goto out;
	}
	text = form_replace(template, certificate_id);
	if (text == NULL || text_copy(out, TEMPLATE_BODY_LEN, text) != 0)
		fault_set(fault, CAUSE_BAD_LOT,
		    "with a certificate's id the template has more than the "
		    "accepted %d bytes",
		    TEMPLATE_BODY_LEN - 1);
	else
		result = 0;
out:
	free(text);
	template_free(template);
	problems_free(&problems);
	return result;
}
