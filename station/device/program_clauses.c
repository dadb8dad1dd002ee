/* The parts of steps from YAML: patterns, captures, values, asserts. */
#include <stdlib.h>
#include <string.h>

#include "device/program_reader.h"

/* A key of the map whose value is any text, may be absent. */
const char *
reader_map_text(struct program_reader *reader, struct yaml_node *map,
    const char *key, bool required)
{
	struct yaml_node *node = yaml_get(map, key);

	if (node == NULL) {
		if (required)
			yaml_problem(reader->document, map, reader->problems,
			    "\"%s\" is missing", key);
		return NULL;
	}
	return reader_scalar(reader, node);
}

/* The same, checked, as an offset into the pool. */
uint32_t
reader_map_pool(struct program_reader *reader, struct yaml_node *map,
    const char *key, bool required)
{
	const char *text = reader_map_text(reader, map, key, required);
	const struct yaml_node *node = yaml_get(map, key);

	if (text == NULL)
		return 0;
	reader_check_text(reader, node, text);
	return reader_pool(reader, node, text);
}

struct program_clause *
reader_named_clause(struct program_reader *reader, const struct yaml_node *node,
    enum program_clause_kind kind, const char *name)
{
	struct program_clause *clause = reader_clause(reader, node, kind);

	if (clause != NULL)
		clause->name = reader_pool(reader, node, name);
	return clause;
}

void
reader_expect(struct program_reader *reader, struct yaml_node *map)
{
	struct program_clause *clause;
	struct yaml_node *node;
	const char *text;
	bool is_prompt;

	if (map == NULL)
		return;
	for (node = map->child; node != NULL; node = node->next) {
		node->known = true;
		text = reader_scalar(reader, node);
		if (text == NULL)
			continue;
		is_prompt = strcmp(text, "prompt") == 0;
		if (is_prompt && reader->program->console.prompt == 0)
			yaml_problem(reader->document, node, reader->problems,
			    "the console has no prompt");
		if (!is_prompt)
			reader_check_pattern(reader, node, text, false);
		clause = reader_named_clause(reader, node,
		    is_prompt ? CLAUSE_PROMPT : CLAUSE_EXPECT, node->key);
		if (clause != NULL && !is_prompt)
			clause->text = reader_pool(reader, node, text);
	}
}

/* capture: {name: pattern} or {name: {pem: LABEL}}. */
void
reader_capture(struct program_reader *reader, struct yaml_node *map)
{
	struct program_clause *clause;
	struct yaml_node *node;
	const char *text;

	if (map == NULL)
		return;
	for (node = map->child; node != NULL; node = node->next) {
		node->known = true;
		if (node->kind == YAML_KIND_MAP) {
			text = reader_map_text(reader, node, "pem", true);
			yaml_map_finish(
			    reader->document, node, reader->problems);
			clause = reader_named_clause(
			    reader, node, CLAUSE_CAPTURE_PEM, node->key);
		} else {
			text = reader_scalar(reader, node);
			if (text != NULL)
				reader_check_pattern(reader, node, text, true);
			clause = reader_named_clause(
			    reader, node, CLAUSE_CAPTURE, node->key);
		}
		if (clause != NULL && text != NULL)
			clause->text = reader_pool(reader, node, text);
		reader_define(reader, node, node->key);
	}
}

void
reader_set(struct program_reader *reader, struct yaml_node *map)
{
	struct program_clause *clause;
	struct yaml_node *node;
	const char *text;

	if (map == NULL)
		return;
	for (node = map->child; node != NULL; node = node->next) {
		node->known = true;
		text = reader_scalar(reader, node);
		clause =
		    reader_named_clause(reader, node, CLAUSE_SET, node->key);
		if (text == NULL || clause == NULL)
			continue;
		reader_check_text(reader, node, text);
		clause->text = reader_pool(reader, node, text);
		reader_define(reader, node, node->key);
	}
}

/* One of an assert's pair: equals: [A, B] or matches: [A, PATTERN]. */
static void
pair_read(struct program_reader *reader, struct yaml_node *pair,
    enum program_clause_kind kind)
{
	struct program_clause *clause;
	const char *first, *second;

	if (pair->children != 2) {
		yaml_problem(reader->document, pair, reader->problems,
		    "accepted is a list of two texts");
		return;
	}
	first = reader_scalar(reader, pair->child);
	second = reader_scalar(reader, pair->child->next);
	clause = reader_clause(reader, pair, kind);
	if (first == NULL || second == NULL || clause == NULL)
		return;
	reader_check_text(reader, pair->child, first);
	if (kind == CLAUSE_MATCHES)
		reader_check_pattern(reader, pair->child->next, second, false);
	else
		reader_check_text(reader, pair->child->next, second);
	clause->text = reader_pool(reader, pair->child, first);
	clause->other = reader_pool(reader, pair->child->next, second);
}

void
reader_assert(struct program_reader *reader, struct yaml_node *list)
{
	struct yaml_node *node, *pair;

	for (node = list != NULL ? list->child : NULL; node != NULL;
	     node = node->next) {
		pair = node->kind != YAML_KIND_MAP
			   ? NULL
			   : yaml_get_list(reader->document, node, "equals",
				 false, reader->problems);
		if (pair != NULL)
			pair_read(reader, pair, CLAUSE_EQUALS);
		pair = node->kind != YAML_KIND_MAP
			   ? NULL
			   : yaml_get_list(reader->document, node, "matches",
				 false, reader->problems);
		if (pair != NULL)
			pair_read(reader, pair, CLAUSE_MATCHES);
		if (node->kind != YAML_KIND_MAP || node->children != 1)
			yaml_problem(reader->document, node, reader->problems,
			    "accepted is {equals: [A, B]} or "
			    "{matches: [A, PATTERN]}");
		else
			yaml_map_finish(
			    reader->document, node, reader->problems);
	}
}

/* then_lines: {value, eol, wait, end}. */
void
reader_lines(struct program_reader *reader, struct yaml_node *map)
{
	static const char *const eols[] = {"lf", "crlf", "cr", "none", NULL};
	int eol = (int)reader->program->console.eol;
	struct program_clause *clause;
	const char *wait;

	if (map == NULL)
		return;
	clause = reader_clause(reader, map, CLAUSE_LINES);
	if (clause == NULL)
		return;
	clause->text = reader_map_pool(reader, map, "value", true);
	clause->other = reader_map_pool(reader, map, "end", false);
	(void)yaml_get_choice(
	    reader->document, map, "eol", false, eols, &eol, reader->problems);
	clause->number = (uint32_t)eol;
	wait = reader_map_text(reader, map, "wait", false);
	if (wait != NULL && strcmp(wait, "prompt") != 0)
		clause->name = reader_pool(reader, map, wait);
	else if (reader->program->console.prompt == 0)
		yaml_problem(reader->document, map, reader->problems,
		    "the console has no prompt to wait for; say what to wait "
		    "for");
	yaml_map_finish(reader->document, map, reader->problems);
}
