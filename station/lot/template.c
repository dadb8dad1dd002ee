#include "lot/template.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lot/template_parts.h"

/* ---- problems ---- */

static void
place_find(const struct template *template, const char *mention, size_t *line,
    size_t *column)
{
	char quoted[THING_LEN + 2];
	const char *found;

	*line = 1;
	*column = 1;
	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", mention);
	found = strstr(template->body, quoted);
	for (const char *at = template->body; found != NULL && at < found;
	     at++) {
		*column = *at == '\n' ? 1 : *column + 1;
		*line += *at == '\n';
	}
}

void
template_problem(const struct template *template, struct problems *problems,
    const char *mention, const char *format, ...)
{
	char text[1024];
	size_t line, column;
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	place_find(template, mention, &line, &column);
	problems_add(problems, template->name, line, column, "%s", text);
}

void
template_warning(const struct template *template, struct problems *problems,
    const char *mention, const char *format, ...)
{
	char text[1024];
	size_t line, column;
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	place_find(template, mention, &line, &column);
	problems_warn(problems, template->name, line, column, "%s", text);
}

/* ---- functions ---- */

const char *
template_function(const json_t *value, const json_t **argument)
{
	const char *name;
	json_t *member;

	if (json_object_size(value) != 1)
		return NULL;
	json_object_foreach ((json_t *)(uintptr_t)value, name, member)
		if (text_equal(name, "Ref") || strncmp(name, "Fn::", 4) == 0) {
			*argument = member;
			return name;
		}
	return NULL;
}

bool
template_function_known(const char *name)
{
	static const char *const known[] = {"Ref", "Fn::Join", "Fn::Select",
	    "Fn::FindInMap", "Fn::Split", "Fn::Sub"};

	for (size_t at = 0; at < sizeof(known) / sizeof(known[0]); at++)
		if (text_equal(known[at], name))
			return true;
	return false;
}

int
template_sub_next(
    const char **text, const char **literal, size_t *len, char name[THING_LEN])
{
	const char *open = strstr(*text, "${");
	size_t name_len;

	*literal = *text;
	*len = open == NULL ? strlen(*text) : (size_t)(open - *text);
	if (open == NULL) {
		*text += *len;
		return 0;
	}
	name_len = strcspn(open + 2, "}");
	if (open[2 + name_len] != '}' || name_len == 0 || name_len >= THING_LEN)
		return -1;
	memcpy(name, open + 2, name_len);
	name[name_len] = '\0';
	*text = open + 2 + name_len + 1;
	return 1;
}

const struct template_parameter *
template_parameter(const struct template *template, const char *name)
{
	for (uint32_t at = 0; at < template->facts.parameter_count; at++)
		if (text_equal(template->facts.parameters[at].name, name))
			return &template->facts.parameters[at];
	return NULL;
}

/* Something refers to the parameter; the name lives as long as the tree. */
static void
parameter_use(struct template *template, const char *name)
{
	struct template_facts *facts = &template->facts;

	for (uint32_t at = 0; at < facts->parameter_count; at++)
		if (text_equal(facts->parameters[at].name, name)) {
			facts->parameters[at].used = true;
			return;
		}
	if (facts->parameter_count < TEMPLATE_PARAMETERS_MAX)
		facts->parameters[facts->parameter_count++] =
		    (struct template_parameter){.name = name, .used = true};
}

/* The names in a text of Fn::Sub that its own map does not give. */
static void
check_sub(struct template *template, const json_t *argument,
    struct problems *problems)
{
	char name[THING_LEN];
	const json_t *own = json_array_get(argument, 1);
	const char *text = json_string_value(
	    json_is_array(argument) ? json_array_get(argument, 0) : argument);
	const char *literal;
	size_t len;
	int more;

	if (text == NULL ||
	    (json_is_array(argument) &&
		(json_array_size(argument) != 2 || !json_is_object(own)))) {
		template_problem(template, problems, "Fn::Sub",
		    "Fn::Sub is not as AWS IoT takes it; accepted is a text, "
		    "or a list of a text and an object of values");
		return;
	}
	while ((more = template_sub_next(&text, &literal, &len, name)) > 0) {
		json_t *kept;

		if (name[0] == '!' || json_object_get(own, name) != NULL)
			continue;
		kept = json_string(name);
		/* The name is cut out of a text: the list keeps it alive. */
		if (kept != NULL &&
		    json_array_append_new(template->names, kept) == 0)
			parameter_use(template, json_string_value(kept));
	}
	if (more < 0)
		template_problem(template, problems, "Fn::Sub",
		    "a \"${\" in Fn::Sub has no \"}\" after a name; accepted "
		    "is ${NAME}");
}

static void
check_function(struct template *template, const char *name,
    const json_t *argument, struct problems *problems)
{
	static const struct {
		const char *name;
		size_t arguments;
		const char *accepted;
	} lists[] = {
	    {"Fn::Join", 2, "a list of a separator and a list"},
	    {"Fn::Select", 2, "a list of an index from 0 and a list"},
	    {"Fn::Split", 2, "a list of a separator and a text"},
	    {"Fn::FindInMap", 3, "a list of a mapping and two keys"},
	};

	if (text_equal(name, "Ref")) {
		if (json_is_string(argument))
			parameter_use(template, json_string_value(argument));
		else
			template_problem(template, problems, "Ref",
			    "Ref is no text; accepted is the name of a "
			    "parameter");
		return;
	}
	if (!template_function_known(name)) {
		template_problem(template, problems, name,
		    "AWS IoT has no function %s; accepted are Ref, Fn::Join, "
		    "Fn::Select, Fn::FindInMap, Fn::Split and Fn::Sub",
		    name);
		return;
	}
	if (template->facts.fleet_only == NULL)
		template->facts.fleet_only = name;
	if (text_equal(name, "Fn::Sub")) {
		check_sub(template, argument, problems);
		return;
	}
	for (size_t at = 0; at < sizeof(lists) / sizeof(lists[0]); at++)
		if (text_equal(lists[at].name, name) &&
		    json_array_size(argument) != lists[at].arguments)
			template_problem(template, problems, name,
			    "%s is not as AWS IoT takes it; accepted is %s",
			    name, lists[at].accepted);
}

static void
check_value(struct template *template, const json_t *value, int depth,
    struct problems *problems)
{
	const json_t *argument = NULL;
	const char *name = template_function(value, &argument);
	const char *key;
	json_t *item;
	size_t at;

	if (depth > TEMPLATE_DEPTH_MAX) {
		template_problem(template, problems, "Resources",
		    "values stand within values; accepted are %d levels",
		    TEMPLATE_DEPTH_MAX);
		return;
	}
	if (name != NULL) {
		check_function(template, name, argument, problems);
		check_value(template, argument, depth + 1, problems);
		return;
	}
	json_object_foreach ((json_t *)(uintptr_t)value, key, item) {
		if (text_equal(key, "Ref") || strncmp(key, "Fn::", 4) == 0)
			template_problem(template, problems, key,
			    "%s has other members beside it; accepted is a "
			    "function alone",
			    key);
		check_value(template, item, depth + 1, problems);
	}
	json_array_foreach (value, at, item) {
		check_value(template, item, depth + 1, problems);
	}
}

/* Mappings hold literals: two levels of names, then texts or lists. */
static void
check_mappings(struct template *template, struct problems *problems)
{
	const char *name, *key, *last;
	json_t *map, *keys, *value;
	json_t *mappings = json_object_get(template->root, "Mappings");
	bool good = mappings == NULL || json_is_object(mappings);

	json_object_foreach (mappings, name, map) {
		good = good && json_is_object(map);
		json_object_foreach (map, key, keys) {
			good = good && json_is_object(keys);
			json_object_foreach (keys, last, value) {
				good = good && !json_is_object(value) &&
				       !json_is_null(value);
			}
		}
	}
	if (!good)
		template_problem(template, problems, "Mappings",
		    "Mappings are not as AWS IoT takes them; accepted are "
		    "literal texts and lists below two levels of names");
}

void
template_check_functions(struct template *template, struct problems *problems)
{
	static const char *const sections[] = {
	    "Parameters", "Resources", "Mappings", "DeviceConfiguration"};
	const char *key;
	json_t *value;

	check_value(template, json_object_get(template->root, "Resources"), 0,
	    problems);
	check_value(template,
	    json_object_get(template->root, "DeviceConfiguration"), 0,
	    problems);
	check_mappings(template, problems);
	json_object_foreach (template->root, key, value) {
		size_t at;

		for (at = 0; at < 4; at++)
			if (text_equal(sections[at], key))
				break;
		if (at == 4)
			template_problem(template, problems, key,
			    "a template has no section %s; accepted are "
			    "Parameters, Resources, Mappings and "
			    "DeviceConfiguration",
			    key);
		else if (at >= 2 && template->facts.fleet_only == NULL)
			template->facts.fleet_only = sections[at];
	}
}

/* ---- reading ---- */

static void
read_parameters(struct template *template, struct problems *problems)
{
	struct template_facts *facts = &template->facts;
	json_t *parameters = json_object_get(template->root, "Parameters");
	const char *name;
	json_t *value;

	if (parameters != NULL && !json_is_object(parameters))
		template_problem(template, problems, "Parameters",
		    "Parameters are no object; accepted is an object of "
		    "{\"Type\": \"String\"}");
	json_object_foreach (parameters, name, value) {
		const json_t *preset = json_object_get(value, "Default");

		if (!text_equal(
			json_string_value(json_object_get(value, "Type")),
			"String") ||
		    (preset != NULL && !json_is_string(preset)) ||
		    strlen(name) >= THING_LEN)
			template_problem(template, problems, name,
			    "parameter %.64s is not as AWS IoT takes it; "
			    "accepted are Type \"String\" and a text as "
			    "Default",
			    name);
		if (facts->parameter_count == TEMPLATE_PARAMETERS_MAX) {
			template_problem(template, problems, name,
			    "parameter %.64s is one too many; accepted are %d",
			    name, TEMPLATE_PARAMETERS_MAX);
			return;
		}
		facts->parameters[facts->parameter_count++] =
		    (struct template_parameter){.name = name,
			.preset = json_string_value(preset),
			.declared = true};
	}
}

static int
read_body(struct template *template, size_t len, struct problems *problems)
{
	json_error_t error;

	template->root =
	    json_loadb(template->body, len, JSON_REJECT_DUPLICATES, &error);
	if (template->root == NULL) {
		problems_add(problems, template->name, (size_t)error.line,
		    error.column > 0 ? (size_t)error.column : 1,
		    "%s; accepted is a JSON object", error.text);
		return -1;
	}
	if (json_is_object(template->root))
		return 0;
	problems_add(problems, template->name, 1, 1,
	    "the template is no object; accepted is a JSON object with "
	    "Resources");
	return -1;
}

static struct template *
template_new(const char *name, const char *body, size_t len)
{
	struct template *template = calloc(1, sizeof(*template));

	if (template == NULL)
		return NULL;
	template->name = strdup(name);
	template->body = calloc(1, len + 1);
	template->names = json_array();
	if (template->name == NULL || template->body == NULL ||
	    template->names == NULL) {
		template_free(template);
		return NULL;
	}
	memcpy(template->body, body, len);
	return template;
}

struct template *
template_parse(
    const char *name, const char *body, size_t len, struct problems *problems)
{
	size_t before = problems->count;
	struct template *template = NULL;

	if (len >= TEMPLATE_BODY_LEN) {
		problems_add(problems, name, 0, 0,
		    "the template has %zu bytes; accepted are up to %d", len,
		    TEMPLATE_BODY_LEN - 1);
		return NULL;
	}
	template = template_new(name, body, len);
	if (template == NULL) {
		problems_add(problems, name, 0, 0, "out of memory");
		return NULL;
	}
	if (read_body(template, len, problems) != 0)
		goto out;
	read_parameters(template, problems);
	template_check_functions(template, problems);
	template_check_resources(template, problems);
	if (problems->count == before)
		return template;
out:
	template_free(template);
	return NULL;
}

void
template_free(struct template *template)
{
	if (template == NULL)
		return;
	json_decref(template->root);
	json_decref(template->names);
	free(template->body);
	free(template->name);
	free(template);
}

const struct template_facts *
template_facts(const struct template *template)
{
	return &template->facts;
}

bool
template_same(const struct template *one, const struct template *two)
{
	return json_equal(one->root, two->root) == 1;
}
