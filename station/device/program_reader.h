/*
 * The parser of programs, shared by the program_*.c files alone.
 */
#ifndef DEVICE_PROGRAM_READER_H
#define DEVICE_PROGRAM_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/yaml.h"
#include "device/program.h"

enum {
	READER_TEXT_MAX = 4096
};

struct program_reader {
	struct yaml_document *document;
	struct problems *problems;
	struct program *program;
	uint32_t step_count; /* written so far, of both lists */
	uint32_t default_timeout_ms;
	unsigned depth; /* of foreach */
	/* Variables defined at this place, in order of definition. */
	char defined[PROGRAM_VARIABLES_MAX][PROGRAM_NAME_LEN];
	size_t defined_count;
};

/* Texts of the pool; 0 with a problem reported when it is full. */
uint32_t reader_pool(
    struct program_reader *, const struct yaml_node *, const char *text);
/* The next clause, or null with a problem when there are too many. */
struct program_clause *reader_clause(struct program_reader *,
    const struct yaml_node *, enum program_clause_kind);

/* A name that the program defines from here on; reports a bad one. */
void reader_define(
    struct program_reader *, const struct yaml_node *, const char *name);
bool
reader_defined(const struct program_reader *, const char *name, size_t len);

/* Checks the variables and transforms of a text. */
void reader_check_text(
    struct program_reader *, const struct yaml_node *, const char *text);
/*
 * The same for a pattern, which must compile, and have a group when one is
 * wanted. Its named groups become defined.
 */
void reader_check_pattern(struct program_reader *, const struct yaml_node *,
    const char *text, bool group_wanted);

/* Text of a scalar of any style; null with a problem when it is none. */
const char *reader_scalar(struct program_reader *, const struct yaml_node *);

/* `expect` or `final`: one clause a label. */
void reader_expect(struct program_reader *, struct yaml_node *map);
/*
 * Null as map or list: the step has none. `capture`, `set`, `assert` and
 * `then_lines`: their clauses follow those that the step has already.
 */
void reader_capture(struct program_reader *, struct yaml_node *map);
void reader_set(struct program_reader *, struct yaml_node *map);
void reader_assert(struct program_reader *, struct yaml_node *list);
void reader_lines(struct program_reader *, struct yaml_node *map);
/* A clause with its name in the pool; null when there are too many. */
struct program_clause *reader_named_clause(struct program_reader *,
    const struct yaml_node *, enum program_clause_kind, const char *name);
/* A key of the map whose value is any text; null when it is not there, which
 * is reported when it is required. */
const char *reader_map_text(struct program_reader *, struct yaml_node *map,
    const char *key, bool required);
/* The same, its variables checked, as an offset into the pool. */
uint32_t reader_map_pool(struct program_reader *, struct yaml_node *map,
    const char *key, bool required);
/* A list of steps; appends to the program. */
void reader_steps(struct program_reader *, struct yaml_node *list);

#endif
