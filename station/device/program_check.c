/* What can be checked of a program without a device. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "device/expand.h"
#include "device/pattern.h"
#include "device/program_reader.h"

uint32_t
reader_pool(struct program_reader *reader, const struct yaml_node *node,
    const char *text)
{
	struct program *program = reader->program;
	size_t len = strlen(text) + 1;
	uint32_t at = program->pool_len;

	if (len == 1)
		return 0;
	if (len > sizeof(program->pool) - program->pool_len) {
		yaml_problem(reader->document, node, reader->problems,
		    "the program's texts are too long; accepted are %d bytes "
		    "in all",
		    PROGRAM_POOL_LEN);
		return 0;
	}
	memcpy(program->pool + at, text, len);
	program->pool_len += (uint32_t)len;
	return at;
}

struct program_clause *
reader_clause(struct program_reader *reader, const struct yaml_node *node,
    enum program_clause_kind kind)
{
	struct program *program = reader->program;
	struct program_clause *clause;

	if (program->clause_count == PROGRAM_CLAUSES_MAX) {
		yaml_problem(reader->document, node, reader->problems,
		    "too many patterns and values; accepted are %d in all",
		    PROGRAM_CLAUSES_MAX);
		return NULL;
	}
	clause = &program->clauses[program->clause_count++];
	memset(clause, 0, sizeof(*clause));
	clause->kind = kind;
	return clause;
}

bool
reader_defined(
    const struct program_reader *reader, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < reader->defined_count; i++)
		if (strlen(reader->defined[i]) == len &&
		    memcmp(reader->defined[i], name, len) == 0)
			return true;
	return false;
}

static bool
name_good(const char *name)
{
	size_t len;

	if (!isalpha((unsigned char)name[0]) && name[0] != '_')
		return false;
	for (len = 1; name[len] != '\0'; len++)
		if (!isalnum((unsigned char)name[len]) && name[len] != '_')
			return false;
	return len < PROGRAM_NAME_LEN;
}

void
reader_define(struct program_reader *reader, const struct yaml_node *node,
    const char *name)
{
	if (!name_good(name)) {
		yaml_problem(reader->document, node, reader->problems,
		    "bad name \"%s\"; accepted are letters, digits and _, at "
		    "most %d",
		    name, PROGRAM_NAME_LEN - 1);
		return;
	}
	if (reader_defined(reader, name, strlen(name)))
		return;
	if (reader->defined_count == PROGRAM_VARIABLES_MAX) {
		yaml_problem(reader->document, node, reader->problems,
		    "too many variables; accepted are %d",
		    PROGRAM_VARIABLES_MAX);
		return;
	}
	snprintf(reader->defined[reader->defined_count++], PROGRAM_NAME_LEN,
	    "%s", name);
}

static bool
name_usable(const struct program_reader *reader, const char *name, size_t len)
{
	char text[PROGRAM_NAME_LEN + 32];

	if (reader_defined(reader, name, len))
		return true;
	if (len >= sizeof(text))
		return false;
	memcpy(text, name, len);
	text[len] = '\0';
	return program_name_given(text);
}

void
reader_check_text(struct program_reader *reader, const struct yaml_node *node,
    const char *text)
{
	struct expand_part part;
	const char *why;
	int more;

	while ((more = expand_next(&text, &part)) != 0) {
		if (more < 0) {
			yaml_problem(reader->document, node, reader->problems,
			    "\"${\" has no name and \"}\" behind it");
			return;
		}
		if (part.name == NULL)
			continue;
		if (!name_usable(reader, part.name, part.name_len))
			yaml_problem(reader->document, node, reader->problems,
			    "${%.*s} is not defined before this step; given "
			    "are %s",
			    (int)part.name_len, part.name,
			    program_names_given());
		why = expand_transforms_error(&part);
		if (why != NULL)
			yaml_problem(reader->document, node, reader->problems,
			    "${%.*s}: %s", (int)part.name_len, part.name, why);
	}
}

struct group_definer {
	struct program_reader *reader;
	const struct yaml_node *node;
};

static int
group_define(void *arg, const char *name, unsigned group)
{
	const struct group_definer *definer = arg;

	(void)group;
	reader_define(definer->reader, definer->node, name);
	return 0;
}

void
reader_check_pattern(struct program_reader *reader,
    const struct yaml_node *node, const char *text, bool group_wanted)
{
	char sample[READER_TEXT_MAX], why[PATTERN_ERROR_LEN];
	struct group_definer definer = {reader, node};
	const char *rest = text;
	struct expand_part part;
	struct pattern *pattern;
	size_t at = 0, len;

	reader_check_text(reader, node, text);
	/* A letter stands for each variable: quoted by |re it is text. */
	while (expand_next(&rest, &part) > 0) {
		len = part.name != NULL ? 1 : part.literal_len;
		if (len >= sizeof(sample) - at)
			break;
		memcpy(
		    sample + at, part.name != NULL ? "x" : part.literal, len);
		at += len;
	}
	sample[at] = '\0';
	pattern = pattern_new(sample, why);
	if (pattern == NULL) {
		yaml_problem(reader->document, node, reader->problems,
		    "bad pattern: %s; accepted are Perl's regular "
		    "expressions",
		    why);
		return;
	}
	if (group_wanted && pattern_groups(pattern) == 0)
		yaml_problem(reader->document, node, reader->problems,
		    "the pattern captures nothing; accepted is one with a "
		    "group in parentheses");
	if (!group_wanted)
		(void)pattern_names(pattern, group_define, &definer);
	pattern_free(pattern);
}

const char *
reader_scalar(struct program_reader *reader, const struct yaml_node *node)
{
	if (node->kind == YAML_KIND_SCALAR && node->len < READER_TEXT_MAX)
		return node->text;
	yaml_problem(reader->document, node, reader->problems,
	    "accepted is a text of at most %d bytes", READER_TEXT_MAX - 1);
	return NULL;
}
