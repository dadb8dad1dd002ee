/* The getters' half of yaml.h. */
#include "base/yaml.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/yaml_tree.h"

enum {
	YAML_SHOWN_LEN = 65,	  /* of a bad value, in a problem */
	YAML_ACCEPTED_LEN = 1024, /* of the text that says what is accepted */
};

static const char kind_names[][8] = {"a value", "a list", "a map"};

void
yaml_asked_free(struct yaml_asked *asked)
{
	struct yaml_asked *next;

	for (; asked != NULL; asked = next) {
		next = asked->next;
		free(asked);
	}
}

/* Remembers the key for yaml_map_finish; without memory it is not listed. */
static void
map_ask(struct yaml_node *map, const char *key)
{
	struct yaml_asked **end = &map->asked, *asked;
	size_t size = strlen(key) + 1;

	for (; *end != NULL; end = &(*end)->next)
		if (strcmp((*end)->key, key) == 0)
			return;
	asked = malloc(sizeof(*asked) + size);
	if (asked == NULL)
		return;
	asked->next = NULL;
	memcpy(asked->key, key, size);
	*end = asked;
}

struct yaml_node *
yaml_get(struct yaml_node *map, const char *key)
{
	struct yaml_node *child;

	if (map == NULL || map->kind != YAML_KIND_MAP)
		return NULL;
	map_ask(map, key);
	for (child = map->child; child != NULL; child = child->next)
		if (strcmp(child->key, key) == 0)
			break;
	if (child != NULL)
		child->known = true;
	return child;
}

void
yaml_problem(struct yaml_document *document, const struct yaml_node *node,
    struct problems *problems, const char *format, ...)
{
	va_list arguments;
	char line[1024];

	va_start(arguments, format);
	if (vsnprintf(line, sizeof(line), format, arguments) < 0)
		line[0] = '\0';
	va_end(arguments);
	problems_add(
	    problems, document->file, node->line, node->column, "%s", line);
}

/* What stands there, fit for a problem. */
static void
node_show(const struct yaml_node *node, char to[YAML_SHOWN_LEN])
{
	if (node->kind != YAML_KIND_SCALAR)
		(void)text_copy(to, YAML_SHOWN_LEN, kind_names[node->kind]);
	else if (node->len == 0)
		(void)text_copy(to, YAML_SHOWN_LEN, "empty");
	else
		text_escape(to, YAML_SHOWN_LEN, node->text, node->len);
}

static int
node_refuse(struct yaml_document *document, const struct yaml_node *node,
    struct problems *problems, const char *accepted)
{
	char shown[YAML_SHOWN_LEN];

	node_show(node, shown);
	if (node->key != NULL)
		yaml_problem(document, node, problems,
		    "%.64s is %s; %s is accepted", node->key, shown, accepted);
	else
		yaml_problem(document, node, problems,
		    "this is %s; %s is accepted", shown, accepted);
	return -1;
}

/*
 * Finds the key's value: 0 there, 1 absent, -1 absent and required
 * (reported). *found is null unless 0 is returned.
 */
static int
map_find(struct yaml_document *document, struct yaml_node *map, const char *key,
    bool required, const char *accepted, struct problems *problems,
    struct yaml_node **found)
{
	*found = NULL;
	if (map == NULL)
		return -1;
	if (map->kind != YAML_KIND_MAP)
		return node_refuse(document, map, problems, "a map");
	*found = yaml_get(map, key);
	if (*found != NULL)
		return 0;
	if (!required)
		return 1;
	yaml_problem(document, map, problems, "%s is missing; %s is accepted",
	    key, accepted);
	return -1;
}

static struct yaml_node *
map_find_kind(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, enum yaml_kind kind,
    struct problems *problems)
{
	struct yaml_node *found;

	if (map_find(document, map, key, required, kind_names[kind], problems,
		&found) != 0)
		return NULL;
	if (found->kind == kind)
		return found;
	node_refuse(document, found, problems, kind_names[kind]);
	return NULL;
}

struct yaml_node *
yaml_get_map(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, struct problems *problems)
{
	return map_find_kind(
	    document, map, key, required, YAML_KIND_MAP, problems);
}

struct yaml_node *
yaml_get_list(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, struct problems *problems)
{
	return map_find_kind(
	    document, map, key, required, YAML_KIND_LIST, problems);
}

static bool
node_is_text(const struct yaml_node *node)
{
	if (node->kind != YAML_KIND_SCALAR)
		return false;
	return !node->plain ||
	       (node->len > 0 && strcmp(node->text, "null") != 0 &&
		   strcmp(node->text, "~") != 0);
}

int
yaml_get_text(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, char *to, size_t size,
    struct problems *problems)
{
	char accepted[YAML_ACCEPTED_LEN];
	struct yaml_node *node;
	int found;

	(void)snprintf(accepted, sizeof(accepted),
	    "a text of at most %zu bytes", size - 1);
	found =
	    map_find(document, map, key, required, accepted, problems, &node);
	if (found != 0)
		return found;
	if (!node_is_text(node) || node->len >= size)
		return node_refuse(document, node, problems, accepted);
	return text_copy(to, size, node->text);
}

/*
 * Decimal digits, at most 18 of them so that they fit, to *value; returns
 * what follows them, or null.
 */
static const char *
digits_read(const char *text, int64_t *value)
{
	size_t count = strspn(text, "0123456789"), i;

	if (count == 0 || count > 18 || (count > 1 && text[0] == '0'))
		return NULL;
	*value = 0;
	for (i = 0; i < count; i++)
		*value = *value * 10 + (text[i] - '0');
	return text + count;
}

int
yaml_get_integer(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, int64_t least, int64_t most, int64_t *value,
    struct problems *problems)
{
	char accepted[YAML_ACCEPTED_LEN];
	struct yaml_node *node;
	const char *rest = NULL;
	int64_t number = 0;
	bool negative;
	int found;

	(void)snprintf(accepted, sizeof(accepted),
	    "a whole number from %" PRId64 " to %" PRId64, least, most);
	found =
	    map_find(document, map, key, required, accepted, problems, &node);
	if (found != 0)
		return found;
	if (node->kind == YAML_KIND_SCALAR && node->plain) {
		negative = node->text[0] == '-';
		rest = digits_read(node->text + negative, &number);
		if (negative)
			number = -number;
	}
	if (rest == NULL || *rest != '\0' || number < least || number > most)
		return node_refuse(document, node, problems, accepted);
	*value = number;
	return 0;
}

/* Thousandths as a decimal number without needless zeros. */
static void
milli_text(int64_t milli, char *to, size_t size)
{
	size_t len;

	(void)snprintf(to, size, "%s%" PRId64 ".%03" PRId64,
	    milli < 0 ? "-" : "", milli / 1000 * (milli < 0 ? -1 : 1),
	    milli % 1000 * (milli < 0 ? -1 : 1));
	for (len = strlen(to); len > 0 && to[len - 1] == '0'; len--)
		to[len - 1] = '\0';
	if (len > 0 && to[len - 1] == '.')
		to[len - 1] = '\0';
}

/* Digits, and a point with one to three more. */
static bool
milli_read(const char *text, int64_t *milli)
{
	static const int64_t scale[] = {0, 100, 10, 1};
	int64_t whole = 0, part = 0;
	size_t count, i;
	const char *rest;

	rest = digits_read(text, &whole);
	if (rest == NULL || whole > INT64_MAX / 1000 - 1)
		return false;
	if (*rest == '.') {
		count = strspn(rest + 1, "0123456789");
		if (count < 1 || count > 3)
			return false;
		for (i = 1; i <= count; i++)
			part = part * 10 + (rest[i] - '0');
		part *= scale[count];
		rest += 1 + count;
	}
	*milli = whole * 1000 + part;
	return *rest == '\0';
}

int
yaml_get_milli(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, int64_t least, int64_t most, int64_t *value,
    struct problems *problems)
{
	char accepted[YAML_ACCEPTED_LEN], from[32], to[32];
	struct yaml_node *node;
	int64_t milli;
	int found;

	milli_text(least, from, sizeof(from));
	milli_text(most, to, sizeof(to));
	(void)snprintf(
	    accepted, sizeof(accepted), "a number from %s to %s", from, to);
	found =
	    map_find(document, map, key, required, accepted, problems, &node);
	if (found != 0)
		return found;
	if (node->kind != YAML_KIND_SCALAR || !node->plain ||
	    !milli_read(node->text, &milli) || milli < least || milli > most)
		return node_refuse(document, node, problems, accepted);
	*value = milli;
	return 0;
}

int
yaml_get_boolean(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, bool *value, struct problems *problems)
{
	static const char accepted[] = "true or false";
	struct yaml_node *node;
	int found;

	found =
	    map_find(document, map, key, required, accepted, problems, &node);
	if (found != 0)
		return found;
	if (node->kind == YAML_KIND_SCALAR && node->plain) {
		*value = strcmp(node->text, "true") == 0;
		if (*value || strcmp(node->text, "false") == 0)
			return 0;
	}
	return node_refuse(document, node, problems, accepted);
}

int
yaml_get_span(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, int64_t *ms, struct problems *problems)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	static const char accepted[] = "a time such as 300ms, 5s, 2m or 1h";
	struct yaml_node *node;
	const char *unit = NULL;
	int64_t count = 0;
	size_t i;
	int found;

	found =
	    map_find(document, map, key, required, accepted, problems, &node);
	if (found != 0)
		return found;
	if (node->kind == YAML_KIND_SCALAR)
		unit = digits_read(node->text, &count);
	for (i = 0; unit != NULL && i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(unit, units[i].name) == 0 &&
		    count <= INT64_MAX / 1000 / units[i].ms) {
			*ms = count * units[i].ms;
			return 0;
		}
	return node_refuse(document, node, problems, accepted);
}

int
yaml_get_choice(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, const char *const *names, int *choice,
    struct problems *problems)
{
	char accepted[YAML_ACCEPTED_LEN] = "";
	struct yaml_node *node;
	size_t len = 0;
	int found, i;

	for (i = 0; names[i] != NULL; i++) {
		(void)text_copy(accepted + len, sizeof(accepted) - len,
		    i == 0		   ? ""
		    : names[i + 1] == NULL ? " or "
					   : ", ");
		len = strlen(accepted);
		(void)text_copy(
		    accepted + len, sizeof(accepted) - len, names[i]);
		len = strlen(accepted);
	}
	found =
	    map_find(document, map, key, required, accepted, problems, &node);
	if (found != 0)
		return found;
	for (i = 0; node->kind == YAML_KIND_SCALAR && names[i] != NULL; i++)
		if (strcmp(node->text, names[i]) == 0) {
			*choice = i;
			return 0;
		}
	return node_refuse(document, node, problems, accepted);
}

int
yaml_each_text(struct yaml_document *document, struct yaml_node *map,
    const char *key, bool required, int (*each)(void *arg, struct yaml_node *),
    void *arg, struct problems *problems)
{
	static const char accepted[] = "a text or a list of texts";
	struct yaml_node *node, *item;
	int found, result = 0;

	found =
	    map_find(document, map, key, required, accepted, problems, &node);
	if (found != 0)
		return found;
	if (node_is_text(node))
		return each(arg, node) < 0 ? -1 : 0;
	if (node->kind != YAML_KIND_LIST || (required && node->child == NULL))
		return node_refuse(document, node, problems, accepted);
	for (item = node->child; item != NULL; item = item->next) {
		if (!node_is_text(item))
			result =
			    node_refuse(document, item, problems, "a text");
		else if (each(arg, item) < 0)
			result = -1;
	}
	return result;
}

void
yaml_map_finish(struct yaml_document *document, struct yaml_node *map,
    struct problems *problems)
{
	const struct yaml_asked *asked;
	const struct yaml_node *child;
	char accepted[YAML_ACCEPTED_LEN] = "";
	size_t len = 0;

	if (map == NULL || map->kind != YAML_KIND_MAP)
		return;
	for (asked = map->asked; asked != NULL; asked = asked->next) {
		(void)snprintf(accepted + len, sizeof(accepted) - len, "%s%s",
		    len == 0 ? "" : ", ", asked->key);
		len = strlen(accepted);
	}
	for (child = map->child; child != NULL; child = child->next)
		if (!child->known)
			problems_add(problems, document->file, child->key_line,
			    child->key_column,
			    "unknown key %.64s; accepted are %s", child->key,
			    len == 0 ? "none" : accepted);
}
