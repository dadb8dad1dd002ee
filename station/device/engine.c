/* The engine: variables and the walk through the steps. */
#include "device/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"
#include "device/engine_state.h"

/* ---- variables ---- */

static struct engine_variable *
variable_find(const struct engine *engine, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < engine->variable_count; i++)
		if (strlen(engine->variables[i].name) == len &&
		    memcmp(engine->variables[i].name, name, len) == 0)
			return (struct engine_variable *)(uintptr_t)&engine
			    ->variables[i];
	return NULL;
}

static const char *
variable_look_up(
    void *arg, const char *name, size_t name_len, size_t *len, bool *secret)
{
	const struct engine_variable *variable =
	    variable_find(arg, name, name_len);

	if (variable == NULL)
		return NULL;
	*len = variable->len;
	*secret = variable->secret;
	return variable->value;
}

static bool
name_listed_secret(const struct engine *engine, const char *name)
{
	const char *at =
	    program_text(engine->program, engine->program->secrets);

	for (; at[0] != '\0'; at += strlen(at) + 1)
		if (strcmp(at, name) == 0)
			return true;
	return false;
}

int
engine_set(struct engine *engine, const char *name, const void *value,
    size_t len, bool secret, struct fault *fault)
{
	struct engine_variable *variable =
	    variable_find(engine, name, strlen(name));
	char *copy;

	if (len > ENGINE_VALUE_MAX)
		return fault_set(fault, CAUSE_CONSOLE_ERROR,
		    "%s has %zu bytes; at most %d are possible", name, len,
		    ENGINE_VALUE_MAX);
	if (variable == NULL) {
		if (engine->variable_count == PROGRAM_VARIABLES_MAX ||
		    strlen(name) >= sizeof(variable->name))
			return fault_set(
			    fault, CAUSE_INTERNAL, "too many variables");
		variable = &engine->variables[engine->variable_count++];
		*variable = (struct engine_variable){0};
		(void)text_copy(variable->name, sizeof(variable->name), name);
	}
	copy = locked_new(len + 1);
	if (copy == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	memcpy(copy, value, len);
	locked_free(variable->value);
	variable->value = copy;
	variable->len = len;
	variable->secret = secret || name_listed_secret(engine, name);
	if (variable->secret && len > 0)
		return transcript_hide(
		    engine->transcript, name, copy, len, fault);
	return 0;
}

const char *
engine_get(const struct engine *engine, const char *name, size_t *len)
{
	const struct engine_variable *variable =
	    variable_find(engine, name, strlen(name));

	if (variable == NULL)
		return NULL;
	*len = variable->len;
	return variable->value;
}

/* A secret in another form stays one. */
static int
secret_made(void *arg, const char *name, size_t name_len, const void *value,
    size_t len, struct fault *fault)
{
	struct engine *engine = arg;
	char text[PROGRAM_NAME_LEN];

	if (len < SECRET_LINE_MIN)
		return 0;
	snprintf(text, sizeof(text), "%.*s", (int)name_len, name);
	return transcript_hide(engine->transcript, text, value, len, fault);
}

int
engine_expand(struct engine *engine, const char *rule, char *to, size_t size,
    size_t *len, struct fault *fault)
{
	return expand_text(&engine->expand, rule, to, size, len, NULL, fault);
}

/* ---- life ---- */

struct engine *
engine_new(const struct program *program, struct port *port,
    struct transcript *transcript, const struct engine_calls *calls,
    struct fault *fault)
{
	struct engine *engine = locked_new(sizeof(*engine));
	int i;

	if (engine == NULL || !program_check(program)) {
		fault_set(fault, CAUSE_INTERNAL,
		    engine == NULL ? "out of memory"
				   : "the program is damaged");
		locked_free(engine);
		return NULL;
	}
	engine->program = program;
	engine->port = port;
	engine->calls = *calls;
	engine->pem_clause = -1;
	engine->expand = (struct expand_calls){.look_up = variable_look_up,
	    .secret_made = secret_made,
	    .arg = engine};
	for (i = 0; i < 2; i++)
		engine->expand.scratch[i] = locked_new(EXPAND_VALUE_MAX);
	engine->transcript = transcript;
	if (transcript == NULL) {
		/* It still knows which texts no fault may show. */
		engine->transcript = transcript_new(-1, 0);
		engine->transcript_owned = true;
	}
	if (engine->transcript == NULL || engine->expand.scratch[0] == NULL ||
	    engine->expand.scratch[1] == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		engine_free(engine);
		return NULL;
	}
	return engine;
}

void
engine_free(struct engine *engine)
{
	size_t i;

	if (engine == NULL)
		return;
	for (i = 0; i < engine->variable_count; i++)
		locked_free(engine->variables[i].value);
	for (i = 0; i < engine->ignore_count; i++)
		pattern_free(engine->ignore[i].pattern);
	locked_free(engine->expand.scratch[0]);
	locked_free(engine->expand.scratch[1]);
	if (engine->transcript_owned)
		transcript_free(engine->transcript);
	locked_free(engine);
}

/* ---- the walk ---- */

static void
step_progress(struct engine *engine, const struct program_step *step)
{
	uint32_t total =
	    engine->program->step_count + engine->program->always_count;

	if (engine->calls.progress == NULL)
		return;
	engine->calls.progress(engine->calls.arg,
	    engine->steps_done < total ? engine->steps_done : total, total,
	    step->action == ACTION_SEND ? engine_text(engine, step->text) : "");
}

static int
steps_run(struct engine *, uint32_t first, uint32_t end, struct fault *);

/* Sets the loop's variables for one turn; clauses: LIST, its ITEMs, ... */
static int
foreach_set(struct engine *engine, const struct program_step *step,
    uint32_t turn, struct fault *fault)
{
	const struct program_clause *clauses = engine->program->clauses;
	uint32_t i = step->clause, end = i + step->clause_count;
	struct program_clause item;

	for (; i < end; i += clauses[i].number + 1) {
		if (clauses[i].kind != CLAUSE_LIST || turn >= clauses[i].number)
			continue;
		item = clauses[i + 1 + turn];
		item.name = clauses[i].name;
		if (engine_step_set(engine, &item, fault) != 0)
			return -1;
	}
	return 0;
}

static int
foreach_run(struct engine *engine, uint32_t at, struct fault *fault)
{
	const struct program_step *step = &engine->program->steps[at];
	uint32_t turns = 0, turn;

	if (step->clause_count > 0 &&
	    engine->program->clauses[step->clause].kind == CLAUSE_LIST)
		turns = engine->program->clauses[step->clause].number;
	for (turn = 0; turn < turns; turn++)
		if (foreach_set(engine, step, turn, fault) != 0 ||
		    steps_run(engine, at + 1, step->end, fault) != 0)
			return -1;
	return 0;
}

static int
chunks_run(struct engine *engine, uint32_t at, struct fault *fault)
{
	const struct program_step *step = &engine->program->steps[at];
	char *value = locked_new(EXPAND_VALUE_MAX);
	size_t len, i, part;
	bool secret = false;
	int result = -1;

	if (value == NULL || step->number == 0) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto out;
	}
	if (expand_text(&engine->expand, engine_text(engine, step->text), value,
		EXPAND_VALUE_MAX, &len, &secret, fault) != 0)
		goto out;
	for (i = 0; i < len; i += part) {
		part = len - i < step->number ? len - i : step->number;
		if (engine_set(engine, "chunk", value + i, part,
			secret && part >= SECRET_LINE_MIN, fault) != 0 ||
		    steps_run(engine, at + 1, step->end, fault) != 0)
			goto out;
	}
	result = 0;
out:
	locked_free(value);
	return result;
}

static int
when_run(struct engine *engine, uint32_t at, struct fault *fault)
{
	const struct program_step *step = &engine->program->steps[at];
	int holds = engine_step_holds(engine, step, fault);

	if (holds < 0)
		return step_fault(engine, step, fault);
	return holds == 0 ? 0 : steps_run(engine, at + 1, step->end, fault);
}

static int
step_run(struct engine *engine, uint32_t at, struct fault *fault)
{
	const struct program_step *step = &engine->program->steps[at];
	int result;

	if (!engine->in_always && clock_remaining_ms(engine->deadline_ms) == 0)
		return fault_set(fault, CAUSE_CONSOLE_TIMEOUT,
		    "the console's steps take longer than %u s",
		    (unsigned)engine->program->console.total_timeout_ms / 1000);
	if (step->action == ACTION_FOREACH)
		return foreach_run(engine, at, fault);
	if (step->action == ACTION_CHUNKS)
		return chunks_run(engine, at, fault);
	if (step->action == ACTION_WHEN)
		return when_run(engine, at, fault);
	step_progress(engine, step);
	result = engine_step(engine, step, fault);
	engine->steps_done++;
	/* The calls' own faults speak for themselves. */
	if (result != 0 && step->action != ACTION_IDENTIFY &&
	    step->action != ACTION_REGISTER && step->action != ACTION_CONFIRM)
		step_fault(engine, step, fault);
	return result;
}

static int
steps_run(
    struct engine *engine, uint32_t first, uint32_t end, struct fault *fault)
{
	const struct program_step *step;
	uint32_t i;

	for (i = first; i < end; i++) {
		step = &engine->program->steps[i];
		if (step_run(engine, i, fault) != 0)
			return -1;
		if (program_step_has_body(step))
			i = step->end - 1;
	}
	return 0;
}

int
engine_run(struct engine *engine, struct fault *fault)
{
	const struct program *program = engine->program;
	uint32_t always_end = program->step_count + program->always_count;
	struct fault always_fault = {0};
	int result, always_result = 0;

	fault_clear(fault);
	engine->deadline_ms = clock_deadline(program->console.total_timeout_ms);
	result = ignore_open(engine, fault);
	if (result == 0)
		result =
		    port_set_baud(engine->port, program->console.baud, fault);
	if (result == 0)
		result = steps_run(engine, 0, program->step_count, fault);
	engine->in_always = true;
	engine->deadline_ms = clock_deadline(program->console.total_timeout_ms);
	/* Without a unit there is nobody to leave in order. */
	if (result == 0 || fault->cause != CAUSE_UNPLUGGED)
		always_result = steps_run(
		    engine, program->step_count, always_end, &always_fault);
	engine->in_always = false;
	if (result == 0 && always_result != 0)
		*fault = always_fault;
	return result != 0 ? result : always_result;
}
