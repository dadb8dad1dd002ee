/*
 * The parser's half: events of libyaml to a tree. Everything that makes YAML
 * mean more than it shows (anchors, tags, merge keys, directives) is refused
 * here, so that the getters see plain data only.
 */
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/yaml_tree.h"

enum {
	YAML_DEPTH_MAX = 16,
	YAML_NODES_MAX = 20000,
	YAML_FILE_MAX = 1024 * 1024,
};

struct yaml_builder {
	struct yaml_document *document;
	struct problems *problems;
	struct yaml_node *open[YAML_DEPTH_MAX]; /* lists and maps under way */
	struct yaml_node *last[YAML_DEPTH_MAX]; /* their last child */
	size_t depth;
	char *key; /* owned; the map's key whose value comes next */
	size_t key_line, key_column;
	size_t nodes;
	bool bad; /* something was reported */
};

static void
build_problem(
    struct yaml_builder *builder, const yaml_mark_t *mark, const char *what)
{
	problems_add(builder->problems, builder->document->file, mark->line + 1,
	    mark->column + 1, "%s", what);
	builder->bad = true;
}

/* Frees a node and all below it; depth is bounded by the parser. */
static void
node_free(struct yaml_node *node)
{
	struct yaml_node *child, *next;

	if (node == NULL)
		return;
	for (child = node->child; child != NULL; child = next) {
		next = child->next;
		node_free(child);
	}
	yaml_asked_free(node->asked);
	free(node->owned_text);
	free(node->owned_key);
	free(node);
}

void
yaml_close(struct yaml_document *document)
{
	if (document == NULL)
		return;
	node_free(document->root);
	free(document->file);
	free(document);
}

struct yaml_node *
yaml_root(struct yaml_document *document)
{
	return document->root;
}

const char *
yaml_file(const struct yaml_document *document)
{
	return document->file;
}

/* The list or map that is open; null at the top. */
static struct yaml_node *
build_parent(const struct yaml_builder *builder)
{
	return builder->depth == 0 ? NULL : builder->open[builder->depth - 1];
}

/* Hangs the node below the open list or map. */
static void
build_attach(struct yaml_builder *builder, struct yaml_node *node)
{
	struct yaml_node *parent = build_parent(builder);

	if (parent == NULL) {
		builder->document->root = node;
		return;
	}
	if (parent->kind == YAML_KIND_MAP) {
		node->key = node->owned_key = builder->key;
		node->key_line = builder->key_line;
		node->key_column = builder->key_column;
		builder->key = NULL;
	}
	if (builder->last[builder->depth - 1] == NULL)
		parent->child = node;
	else
		builder->last[builder->depth - 1]->next = node;
	builder->last[builder->depth - 1] = node;
	parent->children++;
}

static struct yaml_node *
build_node(
    struct yaml_builder *builder, enum yaml_kind kind, const yaml_mark_t *mark)
{
	struct yaml_node *node;

	if (builder->nodes++ == YAML_NODES_MAX) {
		build_problem(builder, mark,
		    "too many values; at most 20000 are accepted in a file");
		return NULL;
	}
	node = calloc(1, sizeof(*node));
	if (node == NULL) {
		build_problem(builder, mark, "out of memory");
		return NULL;
	}
	node->kind = kind;
	node->line = mark->line + 1;
	node->column = mark->column + 1;
	build_attach(builder, node);
	return node;
}

/* True where the open map waits for a key rather than a value. */
static bool
build_wants_key(const struct yaml_builder *builder)
{
	const struct yaml_node *parent = build_parent(builder);

	return parent != NULL && parent->kind == YAML_KIND_MAP &&
	       builder->key == NULL;
}

static int
build_key(struct yaml_builder *builder, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;

	if (strcmp(text, "<<") == 0 &&
	    event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		build_problem(builder, &event->start_mark,
		    "merge keys are not accepted; write the keys out");
	if (text[0] == '\0')
		build_problem(builder, &event->start_mark,
		    "an empty key; a name is accepted");
	builder->key = strdup(text);
	builder->key_line = event->start_mark.line + 1;
	builder->key_column = event->start_mark.column + 1;
	if (builder->key != NULL)
		return 0;
	build_problem(builder, &event->start_mark, "out of memory");
	return -1;
}

static int
build_scalar(struct yaml_builder *builder, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct yaml_node *node;

	if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL)
		build_problem(builder, &event->start_mark,
		    "anchors and tags are not accepted; write plain values");
	if (memchr(text, '\0', len) != NULL) {
		build_problem(builder, &event->start_mark,
		    "a NUL inside a text; any other character is accepted");
		return -1;
	}
	if (build_wants_key(builder))
		return build_key(builder, event);
	node = build_node(builder, YAML_KIND_SCALAR, &event->start_mark);
	if (node == NULL)
		return -1;
	node->text = node->owned_text = strdup(text);
	node->len = len;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (node->owned_text != NULL)
		return 0;
	build_problem(builder, &event->start_mark, "out of memory");
	return -1;
}

static int
build_open(struct yaml_builder *builder, const yaml_event_t *event,
    enum yaml_kind kind, bool marked)
{
	struct yaml_node *node;

	if (marked)
		build_problem(builder, &event->start_mark,
		    "anchors and tags are not accepted; write plain values");
	if (build_wants_key(builder)) {
		build_problem(builder, &event->start_mark,
		    "a list or map as a key; a name is accepted");
		return -1;
	}
	if (builder->depth == YAML_DEPTH_MAX) {
		build_problem(builder, &event->start_mark,
		    "nested too deeply; at most 16 levels are accepted");
		return -1;
	}
	node = build_node(builder, kind, &event->start_mark);
	if (node == NULL)
		return -1;
	builder->open[builder->depth] = node;
	builder->last[builder->depth] = NULL;
	builder->depth++;
	return 0;
}

static int
key_compare(const void *one, const void *other)
{
	const struct yaml_node *const *left = one, *const *right = other;
	int order = strcmp((*left)->key, (*right)->key);

	if (order != 0)
		return order;
	if ((*left)->key_line != (*right)->key_line)
		return (*left)->key_line < (*right)->key_line ? -1 : 1;
	return (*left)->key_column < (*right)->key_column ? -1 : 1;
}

/* Sorted, because a map may have thousands of keys. */
static int
build_close_map(struct yaml_builder *builder, const yaml_event_t *event)
{
	struct yaml_node *map = build_parent(builder);
	const struct yaml_node **sorted;
	struct yaml_node *child;
	size_t count = 0, i;

	if (map->children < 2)
		return 0;
	sorted = calloc(map->children, sizeof(void *));
	if (sorted == NULL) {
		build_problem(builder, &event->start_mark, "out of memory");
		return -1;
	}
	for (child = map->child; child != NULL; child = child->next)
		sorted[count++] = child;
	qsort(sorted, count, sizeof(void *), key_compare);
	for (i = 1; i < count; i++) {
		if (strcmp(sorted[i - 1]->key, sorted[i]->key) != 0)
			continue;
		problems_add(builder->problems, builder->document->file,
		    sorted[i]->key_line, sorted[i]->key_column,
		    "%.64s is given twice, first on line %zu; "
		    "once is accepted",
		    sorted[i]->key, sorted[i - 1]->key_line);
		builder->bad = true;
	}
	free(sorted);
	return 0;
}

static int
build_document_start(struct yaml_builder *builder, const yaml_event_t *event)
{
	if (builder->document->root != NULL) {
		build_problem(builder, &event->start_mark,
		    "a second document; one is accepted in a file");
		return -1;
	}
	if (event->data.document_start.version_directive == NULL &&
	    event->data.document_start.tag_directives.start ==
		event->data.document_start.tag_directives.end)
		return 0;
	build_problem(
	    builder, &event->start_mark, "directives are not accepted");
	return -1;
}

static int
build_event(struct yaml_builder *builder, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return build_document_start(builder, event);
	case YAML_ALIAS_EVENT:
		build_problem(builder, &event->start_mark,
		    "aliases are not accepted; write the value out");
		return -1;
	case YAML_SCALAR_EVENT:
		return build_scalar(builder, event);
	case YAML_SEQUENCE_START_EVENT:
		return build_open(builder, event, YAML_KIND_LIST,
		    event->data.sequence_start.anchor != NULL ||
			event->data.sequence_start.tag != NULL);
	case YAML_MAPPING_START_EVENT:
		return build_open(builder, event, YAML_KIND_MAP,
		    event->data.mapping_start.anchor != NULL ||
			event->data.mapping_start.tag != NULL);
	case YAML_MAPPING_END_EVENT:
		if (build_close_map(builder, event) < 0)
			return -1;
		builder->depth--;
		return 0;
	case YAML_SEQUENCE_END_EVENT:
		builder->depth--;
		return 0;
	default:
		return 0;
	}
}

/* libyaml gives a mark for syntax and only an offset for broken UTF-8. */
static void
build_syntax(struct yaml_builder *builder, const yaml_parser_t *parser,
    const char *data, size_t len)
{
	size_t line = parser->problem_mark.line + 1;
	size_t column = parser->problem_mark.column + 1, i;

	if (parser->error == YAML_READER_ERROR) {
		line = column = 1;
		for (i = 0; i < parser->problem_offset && i < len; i++) {
			column++;
			if (data[i] == '\n') {
				line++;
				column = 1;
			}
		}
	}
	problems_add(builder->problems, builder->document->file, line, column,
	    "%s%s%s", parser->context == NULL ? "" : parser->context,
	    parser->context == NULL ? "" : ": ",
	    parser->problem == NULL ? "not YAML" : parser->problem);
	builder->bad = true;
}

static void
build(struct yaml_builder *builder, const char *data, size_t len)
{
	const yaml_mark_t start = {0, 0, 0};
	yaml_parser_t parser;
	yaml_event_t event;
	bool more = true;

	if (yaml_parser_initialize(&parser) == 0) {
		build_problem(builder, &start, "out of memory");
		return;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)data, len);
	while (more) {
		if (yaml_parser_parse(&parser, &event) == 0) {
			build_syntax(builder, &parser, data, len);
			break;
		}
		more = event.type != YAML_STREAM_END_EVENT &&
		       build_event(builder, &event) == 0;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (!builder->bad &&
	    (builder->document->root == NULL ||
		builder->document->root->kind != YAML_KIND_MAP))
		build_problem(builder, &start,
		    "the file holds no map; `key: value` lines are accepted");
}

struct yaml_document *
yaml_parse(
    const char *file, const char *data, size_t len, struct problems *problems)
{
	struct yaml_builder builder = {.problems = problems};

	if (len > YAML_FILE_MAX) {
		problems_add(problems, file, 0, 0,
		    "%zu bytes; at most %d are accepted", len, YAML_FILE_MAX);
		return NULL;
	}
	builder.document = calloc(1, sizeof(*builder.document));
	if (builder.document != NULL)
		builder.document->file = strdup(file);
	if (builder.document == NULL || builder.document->file == NULL) {
		problems_add(problems, file, 0, 0, "out of memory");
		yaml_close(builder.document);
		return NULL;
	}
	build(&builder, data, len);
	free(builder.key);
	if (builder.bad) {
		yaml_close(builder.document);
		return NULL;
	}
	return builder.document;
}
