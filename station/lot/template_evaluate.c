/*
 * What a provisioning template makes of a unit's values. Bounded by the depth
 * of values, the length of each text and the number of texts.
 */
#include <stdlib.h>
#include <string.h>

#include "lot/template_parts.h"

enum {
	/* Evaluated values of one template: nested functions that double each
	 * other's lists end here. */
	VALUES_MADE_MAX = 100000,
	INDEX_MAX = 10000,
};

struct evaluation {
	const struct template *template;
	const struct template_values *values;
	struct fault *fault;
	size_t made;
};

static json_t *evaluate(struct evaluation *, const json_t *value, int depth);

/* ---- values ---- */

static json_t *
refuse(const struct evaluation *evaluation, const char *where, const char *why)
{
	fault_set(evaluation->fault, CAUSE_BAD_LOT, "%s: %s", where, why);
	return NULL;
}

/* A new text value of at most TEMPLATE_TEXT_MAX bytes. */
static json_t *
text_new(const struct evaluation *evaluation, const struct buf *text)
{
	json_t *value;

	if (text->failed)
		return refuse(evaluation, "the template",
		    "a text becomes longer than AWS IoT takes");
	value = json_stringn(text->data == NULL ? "" : text->data, text->len);
	return value != NULL
		   ? value
		   : refuse(evaluation, "the template", "a text is not UTF-8");
}

/* The value that was given, else the default; null: none. */
static const char *
value_find(const struct evaluation *evaluation, const char *name)
{
	const struct template_parameter *parameter;

	for (size_t at = 0; at < evaluation->values->count; at++)
		if (text_equal(evaluation->values->list[at].name, name))
			return evaluation->values->list[at].value;
	parameter = template_parameter(evaluation->template, name);
	return parameter == NULL ? NULL : parameter->preset;
}

static json_t *
evaluate_reference(struct evaluation *evaluation, const char *name)
{
	const char *value = name == NULL ? NULL : value_find(evaluation, name);
	json_t *text;

	if (value == NULL) {
		fault_set(evaluation->fault, CAUSE_BAD_LOT,
		    "parameter %.128s has no value", name == NULL ? "" : name);
		return NULL;
	}
	text = json_string(value);
	return text != NULL
		   ? text
		   : refuse(evaluation, name, "its value is not UTF-8");
}

/* ---- functions ---- */

static json_t *
evaluate_join(struct evaluation *evaluation, const json_t *argument, int depth)
{
	json_t *arguments = evaluate(evaluation, argument, depth);
	const char *separator = json_string_value(json_array_get(arguments, 0));
	const json_t *list = json_array_get(arguments, 1);
	json_t *result = NULL;
	json_t *item;
	struct buf text;
	size_t at;

	buf_init(&text, TEMPLATE_TEXT_MAX);
	if (arguments == NULL)
		goto out;
	if (separator == NULL || !json_is_array(list)) {
		refuse(
		    evaluation, "Fn::Join", "it needs a separator and a list");
		goto out;
	}
	json_array_foreach (list, at, item) {
		if (!json_is_string(item)) {
			refuse(evaluation, "Fn::Join", "it joins texts only");
			goto out;
		}
		if (at > 0)
			buf_add_text(&text, separator);
		buf_add_text(&text, json_string_value(item));
	}
	result = text_new(evaluation, &text);
out:
	buf_free(&text);
	json_decref(arguments);
	return result;
}

/* An index from 0, as a number or as digits; -1 for all else. */
static long
index_read(const json_t *value)
{
	const char *text = json_string_value(value);
	char *end;
	long index;

	if (json_is_integer(value)) {
		json_int_t number = json_integer_value(value);

		return number >= 0 && number <= INDEX_MAX ? (long)number : -1;
	}
	if (text == NULL || text[0] < '0' || text[0] > '9')
		return -1;
	index = strtol(text, &end, 10);
	return *end == '\0' && index <= INDEX_MAX ? index : -1;
}

static json_t *
evaluate_select(
    struct evaluation *evaluation, const json_t *argument, int depth)
{
	json_t *arguments = evaluate(evaluation, argument, depth);
	const json_t *list = json_array_get(arguments, 1);
	json_t *result = NULL;
	long index;

	if (arguments == NULL)
		return NULL;
	index = index_read(json_array_get(arguments, 0));
	if (index >= 0)
		result = json_incref(json_array_get(list, (size_t)index));
	json_decref(arguments);
	return result != NULL ? result
			      : refuse(evaluation, "Fn::Select",
				    "the list has no item of that index");
}

static json_t *
evaluate_split(struct evaluation *evaluation, const json_t *argument, int depth)
{
	json_t *arguments = evaluate(evaluation, argument, depth);
	const char *separator = json_string_value(json_array_get(arguments, 0));
	const char *text = json_string_value(json_array_get(arguments, 1));
	json_t *result = NULL;

	if (arguments == NULL)
		return NULL;
	if (separator == NULL || separator[0] == '\0' || text == NULL) {
		refuse(
		    evaluation, "Fn::Split", "it needs a separator and a text");
		goto out;
	}
	result = json_array();
	while (text != NULL) {
		const char *next = strstr(text, separator);
		size_t len =
		    next == NULL ? strlen(text) : (size_t)(next - text);

		evaluation->made++;
		if (json_array_append_new(result, json_stringn(text, len)) !=
		    0) {
			json_decref(result);
			result = refuse(evaluation, "Fn::Split",
			    "the separator cuts a character");
			break;
		}
		text = next == NULL ? NULL : next + strlen(separator);
	}
out:
	json_decref(arguments);
	return result;
}

static json_t *
evaluate_map(struct evaluation *evaluation, const json_t *argument, int depth)
{
	json_t *arguments = evaluate(evaluation, argument, depth);
	const json_t *found =
	    json_object_get(evaluation->template->root, "Mappings");
	json_t *result = NULL;
	json_t *key;
	size_t at;

	if (arguments == NULL)
		return NULL;
	json_array_foreach (arguments, at, key) {
		found = json_is_string(key)
			    ? json_object_get(found, json_string_value(key))
			    : NULL;
	}
	if (json_array_size(arguments) == 3 &&
	    (json_is_string(found) || json_is_array(found)))
		result = evaluate(evaluation, found, depth);
	else
		refuse(evaluation, "Fn::FindInMap",
		    "the mapping has no such keys");
	json_decref(arguments);
	return result;
}

/* The text of one ${NAME}: the function's own value, else a parameter's. */
static int
sub_add(struct evaluation *evaluation, const json_t *own, const char *name,
    struct buf *text, int depth)
{
	const json_t *given = json_object_get(own, name);
	json_t *value;
	int result = -1;

	/* ${!NAME} stands for ${NAME} itself. */
	if (name[0] == '!') {
		buf_add_format(text, "${%s}", name + 1);
		return 0;
	}
	value = given != NULL ? evaluate(evaluation, given, depth)
			      : evaluate_reference(evaluation, name);
	if (json_is_string(value)) {
		buf_add_text(text, json_string_value(value));
		result = 0;
	} else if (value != NULL) {
		refuse(evaluation, "Fn::Sub", "it takes texts only");
	}
	json_decref(value);
	return result;
}

static json_t *
evaluate_sub(struct evaluation *evaluation, const json_t *argument, int depth)
{
	char name[THING_LEN];
	const json_t *own = json_array_get(argument, 1);
	const char *from = json_string_value(
	    json_is_array(argument) ? json_array_get(argument, 0) : argument);
	const char *literal;
	json_t *result = NULL;
	struct buf text;
	size_t len;
	int more;

	buf_init(&text, TEMPLATE_TEXT_MAX);
	if (from == NULL)
		return refuse(evaluation, "Fn::Sub", "it needs a text");
	do {
		more = template_sub_next(&from, &literal, &len, name);
		buf_add(&text, literal, len);
		if (more < 0) {
			refuse(evaluation, "Fn::Sub",
			    "a \"${\" has no \"}\" after a name");
			goto out;
		}
		if (more > 0 &&
		    sub_add(evaluation, own, name, &text, depth) != 0)
			goto out;
	} while (more > 0);
	result = text_new(evaluation, &text);
out:
	buf_free(&text);
	return result;
}

static json_t *
evaluate_function(struct evaluation *evaluation, const char *name,
    const json_t *argument, int depth)
{
	static const struct {
		const char *name;
		json_t *(*evaluate)(
		    struct evaluation *, const json_t *argument, int depth);
	} functions[] = {
	    {"Fn::Join", evaluate_join},
	    {"Fn::Select", evaluate_select},
	    {"Fn::Split", evaluate_split},
	    {"Fn::FindInMap", evaluate_map},
	    {"Fn::Sub", evaluate_sub},
	};

	if (text_equal(name, "Ref"))
		return evaluate_reference(
		    evaluation, json_string_value(argument));
	for (size_t at = 0; at < sizeof(functions) / sizeof(functions[0]); at++)
		if (text_equal(functions[at].name, name))
			return functions[at].evaluate(
			    evaluation, argument, depth + 1);
	return refuse(evaluation, name, "AWS IoT has no such function");
}

static json_t *
evaluate_list(struct evaluation *evaluation, const json_t *value, int depth)
{
	json_t *list = json_array();
	json_t *item;
	size_t at;

	json_array_foreach (value, at, item) {
		json_t *made = evaluate(evaluation, item, depth + 1);

		if (made == NULL || json_array_append_new(list, made) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* A new value without functions: a text, a number, a list of them. */
static json_t *
evaluate(struct evaluation *evaluation, const json_t *value, int depth)
{
	const json_t *argument = NULL;
	const char *name = template_function(value, &argument);

	if (depth > TEMPLATE_DEPTH_MAX || evaluation->made++ > VALUES_MADE_MAX)
		return refuse(
		    evaluation, "the template", "it is nested too deeply");
	if (name != NULL)
		return evaluate_function(evaluation, name, argument, depth);
	if (json_is_array(value))
		return evaluate_list(evaluation, value, depth);
	if (json_is_object(value))
		return refuse(evaluation, "the template",
		    "an object stands where a text is accepted");
	return json_incref((json_t *)(uintptr_t)value);
}

/* ---- what becomes of the thing ---- */

/* An evaluated text of at most size - 1 bytes; what: for the fault. */
static int
text_take(struct evaluation *evaluation, const json_t *value, const char *what,
    char *to, size_t size)
{
	json_t *made = evaluate(evaluation, value, 0);
	int result = -1;

	if (made == NULL)
		return fault_prefix(evaluation->fault, "%s", what);
	if (!json_is_string(made))
		fault_set(
		    evaluation->fault, CAUSE_BAD_LOT, "%s is no text", what);
	else if (text_copy(to, size, json_string_value(made)) != 0)
		fault_set(evaluation->fault, CAUSE_BAD_LOT,
		    "%s is longer than %zu bytes", what, size - 1);
	else
		result = 0;
	json_decref(made);
	return result;
}

static int
groups_take(struct evaluation *evaluation, const json_t *value,
    struct template_thing *thing)
{
	json_t *made = evaluate(evaluation, value, 0);
	json_t *item;
	size_t at;
	int result = 0;

	if (made == NULL)
		return fault_prefix(evaluation->fault, "ThingGroups");
	if (!json_is_array(made) || json_array_size(made) > GROUPS_MAX) {
		result = fault_set(evaluation->fault, CAUSE_BAD_LOT,
		    "ThingGroups are no list of up to %d texts", GROUPS_MAX);
		goto out;
	}
	json_array_foreach (made, at, item)
		if (!json_is_string(item) ||
		    text_copy(thing->groups[thing->group_count++], THING_LEN,
			json_string_value(item)) != 0) {
			result = fault_set(evaluation->fault, CAUSE_BAD_LOT,
			    "ThingGroups has what is no name of a group");
			break;
		}
out:
	json_decref(made);
	return result;
}

static int
attributes_take(struct evaluation *evaluation, json_t *attributes,
    struct template_thing *thing)
{
	const char *name;
	json_t *value;

	json_object_foreach (attributes, name, value) {
		struct lot_attribute *attribute;

		if (thing->attribute_count == ATTRIBUTES_MAX)
			return fault_set(evaluation->fault, CAUSE_BAD_LOT,
			    "AttributePayload has more than %d names",
			    ATTRIBUTES_MAX);
		attribute = &thing->attributes[thing->attribute_count];
		if (text_copy(attribute->name, sizeof(attribute->name), name) !=
		    0)
			return fault_set(evaluation->fault, CAUSE_BAD_LOT,
			    "AttributePayload has longer names than AWS IoT "
			    "takes");
		if (text_take(evaluation, value, "AttributePayload",
			attribute->rule, sizeof(attribute->rule)) != 0)
			return -1;
		thing->attribute_count++;
	}
	return 0;
}

int
template_thing_name(const struct template *template,
    const struct template_values *values, char *to, size_t size,
    struct fault *fault)
{
	const char *logical;
	const json_t *thing =
	    template_resource(template, "AWS::IoT::Thing", &logical);
	struct evaluation evaluation = {
	    .template = template, .values = values, .fault = fault};

	return text_take(&evaluation,
	    json_object_get(json_object_get(thing, "Properties"), "ThingName"),
	    "ThingName", to, size);
}

int
template_evaluate(const struct template *template,
    const struct template_values *values, struct template_thing *thing,
    struct fault *fault)
{
	const char *logical;
	const json_t *properties = json_object_get(
	    template_resource(template, "AWS::IoT::Thing", &logical),
	    "Properties");
	const json_t *policy = json_object_get(
	    json_object_get(
		template_resource(template, "AWS::IoT::Policy", &logical),
		"Properties"),
	    "PolicyName");
	const json_t *type = json_object_get(properties, "ThingTypeName");
	const json_t *groups = json_object_get(properties, "ThingGroups");
	struct evaluation evaluation = {
	    .template = template, .values = values, .fault = fault};

	memset(thing, 0, sizeof(*thing));
	if (template_thing_name(
		template, values, thing->name, sizeof(thing->name), fault) != 0)
		return -1;
	if (type != NULL && text_take(&evaluation, type, "ThingTypeName",
				thing->type, sizeof(thing->type)) != 0)
		return -1;
	if (policy != NULL && text_take(&evaluation, policy, "PolicyName",
				  thing->policy, sizeof(thing->policy)) != 0)
		return -1;
	if (groups != NULL && groups_take(&evaluation, groups, thing) != 0)
		return -1;
	return attributes_take(&evaluation,
	    json_object_get(properties, "AttributePayload"), thing);
}

void
template_literals(const struct template *template, struct template_thing *thing)
{
	const char *logical;
	const json_t *properties = json_object_get(
	    template_resource(template, "AWS::IoT::Thing", &logical),
	    "Properties");
	const char *policy = json_string_value(json_object_get(
	    json_object_get(
		template_resource(template, "AWS::IoT::Policy", &logical),
		"Properties"),
	    "PolicyName"));
	const char *type =
	    json_string_value(json_object_get(properties, "ThingTypeName"));
	json_t *group;
	size_t at;

	memset(thing, 0, sizeof(*thing));
	(void)text_copy(
	    thing->type, sizeof(thing->type), type == NULL ? "" : type);
	(void)text_copy(
	    thing->policy, sizeof(thing->policy), policy == NULL ? "" : policy);
	json_array_foreach (
	    json_object_get(properties, "ThingGroups"), at, group)
		if (json_is_string(group) && thing->group_count < GROUPS_MAX)
			(void)text_copy(thing->groups[thing->group_count++],
			    THING_LEN, json_string_value(group));
}
