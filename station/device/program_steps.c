/* Steps from YAML: one function a key. */
#include <string.h>

#include "device/port.h"
#include "device/program_reader.h"

enum {
	TRIES_DEFAULT = 5,
	TRIES_MOST = 100,
	QUIET_DEFAULT_MS = 200,
	SPAN_MOST_MS = 3600 * 1000,
	CHUNK_MOST = 1024,
};

static uint32_t
span_get(struct program_reader *reader, struct yaml_node *map, const char *key,
    uint32_t otherwise)
{
	int64_t ms = otherwise;

	if (yaml_get_span(reader->document, map, key, false, &ms,
		reader->problems) == 0 &&
	    ms > SPAN_MOST_MS) {
		yaml_problem(reader->document, yaml_get(map, key),
		    reader->problems, "too long; accepted is at most 1h");
		ms = otherwise;
	}
	return (uint32_t)ms;
}

static void
sync_read(struct program_reader *reader, struct yaml_node *map,
    struct program_step *step)
{
	int64_t tries = TRIES_DEFAULT;
	const char *until;

	step->text = reader_map_pool(reader, map, "send", true);
	until = reader_map_text(reader, map, "until", false);
	if (until != NULL && strcmp(until, "prompt") != 0)
		step->other = reader_pool(reader, map, until);
	else if (reader->program->console.prompt == 0)
		yaml_problem(reader->document, map, reader->problems,
		    "the console has no prompt to wait for");
	(void)yaml_get_integer(reader->document, map, "tries", false, 1,
	    TRIES_MOST, &tries, reader->problems);
	step->number = (uint32_t)tries;
	step->quiet_ms = span_get(reader, map, "quiet", QUIET_DEFAULT_MS);
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
reset_read(struct program_reader *reader, struct yaml_node *map,
    struct program_step *step)
{
	const char *lines = reader_map_text(reader, map, "lines", true), *why;

	if (lines != NULL) {
		why = port_sequence_error(lines);
		if (why != NULL)
			yaml_problem(reader->document, yaml_get(map, "lines"),
			    reader->problems, "bad line sequence: %s", why);
		step->text = reader_pool(reader, map, lines);
	}
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
identify_read(struct program_reader *reader, struct yaml_node *map,
    struct program_step *step)
{
	step->text = reader_map_pool(reader, map, "serial", false);
	step->other = reader_map_pool(reader, map, "mac", false);
	if (step->text == 0 && step->other == 0)
		yaml_problem(reader->document, map, reader->problems,
		    "accepted are serial and mac, at least one");
	if (step->text != 0)
		reader->program->identifies = 1;
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
register_read(struct program_reader *reader, struct yaml_node *map,
    struct program_step *step)
{
	static const struct {
		const char *key;
		enum program_register what;
	} kinds[] = {{"csr", REGISTER_CSR}, {"cert", REGISTER_CERT}};
	const char *keys = reader_map_text(reader, map, "keys", false);
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (yaml_get(map, kinds[i].key) == NULL)
			continue;
		if (step->number != REGISTER_NONE || keys != NULL)
			yaml_problem(reader->document, map, reader->problems,
			    "accepted is one of csr, cert and keys");
		step->text = reader_map_pool(reader, map, kinds[i].key, true);
		step->number = kinds[i].what;
	}
	if (keys != NULL && strcmp(keys, "aws") != 0)
		yaml_problem(reader->document, yaml_get(map, "keys"),
		    reader->problems, "keys \"%s\"; accepted is aws", keys);
	if (keys != NULL) {
		step->number = REGISTER_KEYS;
		reader_define(reader, map, "device_key");
	} else if (step->number == REGISTER_NONE) {
		yaml_problem(reader->document, map, reader->problems,
		    "accepted is one of csr, cert and keys");
	}
	reader_define(reader, map, "device_cert");
	reader_define(reader, map, "certificate_id");
	reader->program->registers = step->number;
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
confirm_read(struct program_reader *reader, struct yaml_node *map)
{
	reader_define(reader, map, "certificate_id");
	reader->program->confirms = 1;
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
chunks_read(struct program_reader *reader, struct yaml_node *map,
    struct program_step *step)
{
	int64_t size = 0;

	step->text = reader_map_pool(reader, map, "value", true);
	(void)yaml_get_integer(reader->document, map, "size", true, 1,
	    CHUNK_MOST, &size, reader->problems);
	step->number = (uint32_t)size;
	reader_define(reader, map, "chunk");
	yaml_map_finish(reader->document, map, reader->problems);
}

/* foreach: {k: [..], v: [..]}: lists of equal length, walked in step. */
static void
foreach_read(struct program_reader *reader, struct yaml_node *map)
{
	struct program_clause *clause;
	struct yaml_node *list, *item;
	const char *text;

	for (list = map->child; list != NULL; list = list->next) {
		list->known = true;
		if (list->kind != YAML_KIND_LIST || list->children == 0 ||
		    list->children != map->child->children) {
			yaml_problem(reader->document, list, reader->problems,
			    "accepted are lists of the same "
			    "length, at least 1");
			continue;
		}
		clause =
		    reader_named_clause(reader, list, CLAUSE_LIST, list->key);
		if (clause != NULL)
			clause->number = (uint32_t)list->children;
		for (item = list->child; item != NULL; item = item->next) {
			text = reader_scalar(reader, item);
			clause = reader_clause(reader, item, CLAUSE_ITEM);
			if (text == NULL || clause == NULL)
				continue;
			reader_check_text(reader, item, text);
			clause->text = reader_pool(reader, item, text);
		}
	}
	for (list = map->child; list != NULL; list = list->next)
		reader_define(reader, list, list->key);
}

static void
extra_refuse(struct program_reader *reader, struct yaml_node *map,
    const char *key, const char *where)
{
	const struct yaml_node *node = yaml_get(map, key);

	if (node != NULL)
		yaml_problem(reader->document, node, reader->problems,
		    "%s belongs to a step with %s", key, where);
}

/* The keys that a step may carry beside its action. */
static void
extras_read(struct program_reader *reader, struct yaml_node *map,
    struct program_step *step)
{
	struct yaml_document *document = reader->document;
	struct problems *problems = reader->problems;
	bool sends = step->action == ACTION_SEND;

	if (!sends)
		extra_refuse(reader, map, "then_lines", "send");
	if (!sends && step->action != ACTION_EXPECT) {
		extra_refuse(reader, map, "expect", "send");
		extra_refuse(reader, map, "capture", "send or expect");
	}
	step->timeout_ms =
	    span_get(reader, map, "timeout", reader->default_timeout_ms);
	reader_lines(
	    reader, yaml_get_map(document, map, "then_lines", false, problems));
	reader_expect(
	    reader, yaml_get_map(document, map, "expect", false, problems));
	reader_capture(
	    reader, yaml_get_map(document, map, "capture", false, problems));
	reader_assert(
	    reader, yaml_get_list(document, map, "assert", false, problems));
	step->clause_count = reader->program->clause_count - step->clause;
}

/*
 * Keys of which a step has exactly one; expect and assert stand for
 * themselves when none of the others is there.
 */
static const struct {
	const char *key;
	enum program_action action;
	bool is_map;
} actions[] = {
    {"sync", ACTION_SYNC, true},
    {"send", ACTION_SEND, false},
    {"set", ACTION_SET, true},
    {"identify", ACTION_IDENTIFY, true},
    {"register", ACTION_REGISTER, true},
    {"confirm", ACTION_CONFIRM, true},
    {"delay", ACTION_DELAY, false},
    {"baud", ACTION_BAUD, false},
    {"reset", ACTION_RESET, true},
    {"expect", ACTION_EXPECT, true},
    {"assert", ACTION_ASSERT, false},
};
enum {
	ACTIONS = sizeof(actions) / sizeof(actions[0]),
	ALONE = 9
};

/* Which action the map is; -1 with a problem when none or several. */
static int
action_find(struct program_reader *reader, struct yaml_node *map)
{
	int found = -1, i;

	for (i = 0; i < ACTIONS; i++) {
		if (yaml_get(map, actions[i].key) == NULL)
			continue;
		if (found >= 0 && i >= ALONE)
			break;
		if (found >= 0) {
			yaml_problem(reader->document, map, reader->problems,
			    "a step does one thing; here are %s and %s",
			    actions[found].key, actions[i].key);
			return -1;
		}
		found = i;
	}
	if (found < 0)
		yaml_problem(reader->document, map, reader->problems,
		    "a step without an action; accepted are sync, send, "
		    "expect, set, assert, identify, register, confirm, delay, "
		    "baud, reset, foreach, foreach_chunk");
	return found;
}

static void
action_read(struct program_reader *reader, struct yaml_node *map, int which,
    struct program_step *step)
{
	const char *key = actions[which].key;
	struct yaml_node *value = NULL;
	int64_t number = 0;

	step->action = actions[which].action;
	if (actions[which].is_map) {
		value = yaml_get_map(
		    reader->document, map, key, true, reader->problems);
		if (value == NULL)
			return;
	}
	switch (actions[which].action) {
	case ACTION_SYNC:
		sync_read(reader, value, step);
		break;
	case ACTION_SEND:
		step->text = reader_map_pool(reader, map, key, true);
		break;
	case ACTION_SET:
		reader_set(reader, value);
		break;
	case ACTION_IDENTIFY:
		identify_read(reader, value, step);
		break;
	case ACTION_REGISTER:
		register_read(reader, value, step);
		break;
	case ACTION_CONFIRM:
		confirm_read(reader, value);
		break;
	case ACTION_DELAY:
		step->number = span_get(reader, map, key, 0);
		break;
	case ACTION_BAUD:
		if (yaml_get_integer(reader->document, map, key, true, 300,
			4000000, &number, reader->problems) == 0)
			step->number = (uint32_t)number;
		break;
	case ACTION_RESET:
		reset_read(reader, value, step);
		break;
	default:
		break; /* expect and assert are read with the extras */
	}
}

static struct program_step *
step_new(struct program_reader *reader, const struct yaml_node *node)
{
	struct program_step *step;

	if (reader->step_count == PROGRAM_STEPS_MAX) {
		yaml_problem(reader->document, node, reader->problems,
		    "too many steps; accepted are %d in all",
		    PROGRAM_STEPS_MAX);
		return NULL;
	}
	step = &reader->program->steps[reader->step_count++];
	memset(step, 0, sizeof(*step));
	step->line = (uint32_t)node->line;
	step->clause = reader->program->clause_count;
	return step;
}

static void
plain_step_read(struct program_reader *reader, struct yaml_node *map)
{
	struct program_step *step;
	int which = action_find(reader, map);

	step = which >= 0 ? step_new(reader, map) : NULL;
	if (step == NULL)
		return;
	action_read(reader, map, which, step);
	extras_read(reader, map, step);
}

/* A loop, whose body is `steps` or what else stands in the same map. */
static void
loop_read(struct program_reader *reader, struct yaml_node *map,
    struct yaml_node *head, enum program_action action)
{
	struct program_step *step;
	struct yaml_node *body;

	step = step_new(reader, map);
	if (step == NULL)
		return;
	step->action = action;
	step->timeout_ms = reader->default_timeout_ms;
	if (reader->depth == PROGRAM_DEPTH_MAX) {
		yaml_problem(reader->document, map, reader->problems,
		    "loops within loops; accepted are %d", PROGRAM_DEPTH_MAX);
		return;
	}
	reader->depth++;
	if (action == ACTION_CHUNKS)
		chunks_read(reader, head, step);
	else
		foreach_read(reader, head);
	step->clause_count = reader->program->clause_count - step->clause;
	body = yaml_get(map, "steps");
	if (body != NULL)
		reader_steps(reader, body);
	else
		plain_step_read(reader, map);
	reader->depth--;
	step->end = reader->step_count;
}

/* What stands in the map beside its condition. */
static void
body_read(struct program_reader *reader, struct yaml_node *map)
{
	struct yaml_node *head;

	if ((head = yaml_get_map(reader->document, map, "foreach", false,
		 reader->problems)) != NULL)
		loop_read(reader, map, head, ACTION_FOREACH);
	else if ((head = yaml_get_map(reader->document, map, "foreach_chunk",
		      false, reader->problems)) != NULL)
		loop_read(reader, map, head, ACTION_CHUNKS);
	else if (yaml_get(map, "when") != NULL &&
		 (head = yaml_get(map, "steps")) != NULL)
		reader_steps(reader, head);
	else
		plain_step_read(reader, map);
}

/* when: ["${a}", "b"] */
static void
when_read(struct program_reader *reader, struct yaml_node *map,
    struct yaml_node *list)
{
	struct program_step *step = step_new(reader, map);
	struct program_clause *clause;
	const char *values[2] = {NULL, NULL};
	struct yaml_node *item;
	size_t i = 0;

	if (step == NULL)
		return;
	step->action = ACTION_WHEN;
	step->timeout_ms = reader->default_timeout_ms;
	if (list->children != 2)
		yaml_problem(reader->document, list, reader->problems,
		    "accepted are two values, which are compared");
	for (item = list->child; item != NULL && i < 2; item = item->next)
		values[i++] = reader_scalar(reader, item);
	clause = reader_clause(reader, list, CLAUSE_EQUALS);
	if (clause != NULL && values[0] != NULL && values[1] != NULL) {
		reader_check_text(reader, list, values[0]);
		reader_check_text(reader, list, values[1]);
		clause->text = reader_pool(reader, list, values[0]);
		clause->other = reader_pool(reader, list, values[1]);
	}
	step->clause_count = reader->program->clause_count - step->clause;
	body_read(reader, map);
	step->end = reader->step_count;
}

static void
step_read(struct program_reader *reader, struct yaml_node *map)
{
	struct yaml_node *list;

	if (map->kind != YAML_KIND_MAP) {
		yaml_problem(reader->document, map, reader->problems,
		    "a step is a map such as {send: \"id\"}");
		return;
	}
	list = yaml_get_list(
	    reader->document, map, "when", false, reader->problems);
	if (list != NULL)
		when_read(reader, map, list);
	else
		body_read(reader, map);
	yaml_map_finish(reader->document, map, reader->problems);
}

void
reader_steps(struct program_reader *reader, struct yaml_node *list)
{
	struct yaml_node *node;

	if (list->kind != YAML_KIND_LIST) {
		yaml_problem(reader->document, list, reader->problems,
		    "accepted is a list of steps");
		return;
	}
	for (node = list->child; node != NULL; node = node->next)
		step_read(reader, node);
}
