/* One step: what is sent, awaited, set, asserted, asked for. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"
#include "device/engine_state.h"

enum {
	ALWAYS_PROMPT_MS = 1000, /* a prompt that may never come again */
	SYNC_TRY_LEAST_MS = 100,
	IDENTITY_LEN = 80,
};

const char *
engine_text(const struct engine *engine, uint32_t offset)
{
	return program_text(engine->program, offset);
}

/* Expands a text of the program into engine->text. */
static int
step_expand(struct engine *engine, uint32_t offset, struct fault *fault)
{
	return engine_expand(engine, engine_text(engine, offset), engine->text,
	    sizeof(engine->text), &engine->text_len, fault);
}

/* Before something is sent the device has to be at its prompt. */
static int
prompt_await(struct engine *engine, const struct engine_wait *step_wait,
    struct fault *fault)
{
	const char *prompt =
	    engine_text(engine, engine->program->console.prompt);
	struct engine_wait wait = {.step = step_wait->step,
	    .literal = prompt,
	    .timeout_ms = step_wait->timeout_ms,
	    .deadline_ms = step_wait->deadline_ms};

	if (prompt[0] == '\0')
		return 0;
	if (engine->in_always) {
		wait.timeout_ms = ALWAYS_PROMPT_MS;
		wait.deadline_ms = clock_deadline(ALWAYS_PROMPT_MS);
	}
	if (console_wait(engine, &wait, fault) == 0)
		return 0;
	if (engine->in_always && fault->cause == CAUSE_CONSOLE_TIMEOUT) {
		fault_clear(fault);
		return 0;
	}
	return -1;
}

/* Waits for the continuation prompt of a value that is given in lines. */
static int
continuation_await(struct engine *engine, struct engine_wait *wait,
    const struct program_clause *clause, struct fault *fault)
{
	int result;

	wait->literal = engine_text(engine,
	    clause->name != 0 ? clause->name : engine->program->console.prompt);
	wait->done = false;
	result = console_wait(engine, wait, fault);
	wait->literal = NULL;
	wait->done = false;
	return result;
}

/* then_lines: each line of the value once the device asks for it. */
static int
lines_send(struct engine *engine, struct engine_wait *wait,
    const struct program_clause *clause, struct fault *fault)
{
	const char *line, *end, *stop;
	char *value = locked_new(sizeof(engine->text));
	size_t len, line_len;
	int result = -1;

	if (value == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto out;
	}
	if (engine_expand(engine, engine_text(engine, clause->text), value,
		sizeof(engine->text), &len, fault) != 0)
		goto out;
	stop = value + len;
	for (line = value; line < stop; line = end + 1) {
		end = memchr(line, '\n', (size_t)(stop - line));
		if (end == NULL)
			end = stop;
		line_len = (size_t)(end - line);
		if (line_len > 0 && line[line_len - 1] == '\r')
			line_len--;
		if (continuation_await(engine, wait, clause, fault) != 0 ||
		    console_send(engine, line, line_len, clause->number,
			wait->deadline_ms, fault) != 0)
			goto out;
	}
	if (clause->other != 0) {
		if (continuation_await(engine, wait, clause, fault) != 0 ||
		    step_expand(engine, clause->other, fault) != 0 ||
		    console_send(engine, engine->text, engine->text_len,
			engine->program->console.eol, wait->deadline_ms,
			fault) != 0)
			goto out;
	}
	result = 0;
out:
	locked_free(value);
	return result;
}

static int
step_send(struct engine *engine, const struct program_step *step,
    struct engine_wait *wait, struct fault *fault)
{
	const struct program_clause *clause;
	uint32_t i;

	if (step->action == ACTION_SEND) {
		if (prompt_await(engine, wait, fault) != 0 ||
		    step_expand(engine, step->text, fault) != 0 ||
		    console_send(engine, engine->text, engine->text_len,
			engine->program->console.eol, wait->deadline_ms,
			fault) != 0)
			return -1;
	}
	for (i = step->clause; i < step->clause + step->clause_count; i++) {
		clause = &engine->program->clauses[i];
		if (clause->kind == CLAUSE_LINES &&
		    lines_send(engine, wait, clause, fault) != 0)
			return -1;
	}
	/* Nothing to wait for: a console without prompt, and no pattern. */
	if (wait->count == 0 && engine->program->console.prompt == 0)
		return 0;
	return console_wait(engine, wait, fault);
}

static int64_t
deadline_within(const struct engine *engine, int64_t timeout_ms)
{
	int64_t deadline = clock_deadline(timeout_ms);

	return deadline < engine->deadline_ms ? deadline : engine->deadline_ms;
}

static int
step_talk(
    struct engine *engine, const struct program_step *step, struct fault *fault)
{
	struct engine_wait wait;
	int result;

	result = wait_open(engine, &wait, step, fault);
	wait.timeout_ms = step->timeout_ms;
	wait.deadline_ms = deadline_within(engine, step->timeout_ms);
	if (result == 0)
		result = step_send(engine, step, &wait, fault);
	wait_close(&wait);
	return result;
}

static int
step_sync(
    struct engine *engine, const struct program_step *step, struct fault *fault)
{
	struct engine_wait wait = {
	    .step = step, .timeout_ms = step->timeout_ms};
	int64_t span_ms = step->timeout_ms / (step->number + 1);
	uint32_t i;
	int settled;

	wait.literal = engine_text(engine,
	    step->other != 0 ? step->other : engine->program->console.prompt);
	if (span_ms < SYNC_TRY_LEAST_MS)
		span_ms = SYNC_TRY_LEAST_MS;
	if (step_expand(engine, step->text, fault) != 0)
		return -1;
	for (i = 0; i < step->number; i++) {
		console_forget_line(engine);
		wait.deadline_ms = deadline_within(engine, span_ms);
		if (console_send_raw(engine, engine->text, engine->text_len,
			wait.deadline_ms + span_ms, fault) != 0)
			return -1;
		settled = console_settle(engine, &wait, step->quiet_ms, fault);
		if (settled != 0)
			return settled < 0 ? -1 : 0;
	}
	return wait_over(engine, &wait, fault);
}

int
engine_step_set(struct engine *engine, const struct program_clause *clause,
    struct fault *fault)
{
	bool secret = false;

	if (expand_text(&engine->expand, engine_text(engine, clause->text),
		engine->text, sizeof(engine->text), &engine->text_len, &secret,
		fault) != 0)
		return -1;
	return engine_set(engine, engine_text(engine, clause->name),
	    engine->text, engine->text_len, secret, fault);
}

static int
step_assert(struct engine *engine, const struct program_clause *clause,
    struct fault *fault)
{
	char *first = locked_new(EXPAND_VALUE_MAX), why[PATTERN_ERROR_LEN];
	char shown[2][ENGINE_SHOWN_LEN];
	struct pattern *pattern = NULL;
	size_t len = 0;
	bool good = false;
	int result = -1;

	if (first == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto out;
	}
	if (engine_expand(engine, engine_text(engine, clause->text), first,
		EXPAND_VALUE_MAX, &len, fault) != 0 ||
	    step_expand(engine, clause->other, fault) != 0)
		goto out;
	if (clause->kind == CLAUSE_EQUALS) {
		good = len == engine->text_len &&
		       CRYPTO_memcmp(first, engine->text, len) == 0;
	} else {
		pattern = pattern_new(engine->text, why);
		good = pattern != NULL && pattern_match(pattern, first, len);
	}
	result = good ? 0 : -1;
	if (good)
		goto out;
	line_show(engine, shown[0], first, len);
	line_show(engine, shown[1], engine->text, engine->text_len);
	fault_set(fault, CAUSE_READBACK_MISMATCH,
	    clause->kind == CLAUSE_EQUALS ? "%.80s is \"%s\", not \"%s\""
					  : "%.80s is \"%s\", not like \"%s\"",
	    engine_text(engine, clause->text), shown[0], shown[1]);
out:
	pattern_free(pattern);
	locked_free(first);
	return result;
}

int
engine_step_holds(
    struct engine *engine, const struct program_step *step, struct fault *fault)
{
	const struct program_clause *clause =
	    &engine->program->clauses[step->clause];
	char *first = locked_new(EXPAND_VALUE_MAX);
	size_t len = 0;
	int result = -1;

	if (first == NULL || step->clause_count == 0)
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
	else if (engine_expand(engine, engine_text(engine, clause->text), first,
		     EXPAND_VALUE_MAX, &len, fault) == 0 &&
		 step_expand(engine, clause->other, fault) == 0)
		result = len == engine->text_len &&
			 CRYPTO_memcmp(first, engine->text, len) == 0;
	locked_free(first);
	return result;
}

static int
identity_text(struct engine *engine, uint32_t offset, const char *what,
    char to[IDENTITY_LEN], struct fault *fault)
{
	if (step_expand(engine, offset, fault) != 0)
		return -1;
	if (text_copy(to, IDENTITY_LEN, engine->text) == 0)
		return 0;
	return fault_set(fault, CAUSE_CONSOLE_ERROR,
	    "the unit's %s has %zu bytes; at most %d are possible", what,
	    engine->text_len, IDENTITY_LEN - 1);
}

static int
step_identify(
    struct engine *engine, const struct program_step *step, struct fault *fault)
{
	char serial[IDENTITY_LEN], mac[IDENTITY_LEN];

	if (identity_text(engine, step->text, "serial", serial, fault) != 0 ||
	    identity_text(engine, step->other, "mac", mac, fault) != 0)
		return -1;
	if (engine->calls.identify == NULL)
		return 0;
	return engine->calls.identify(
	    engine->calls.arg, engine, serial, mac, fault);
}

static int
step_register(
    struct engine *engine, const struct program_step *step, struct fault *fault)
{
	if (step_expand(engine, step->text, fault) != 0)
		return -1;
	if (engine->calls.enroll == NULL)
		return fault_set(fault, CAUSE_INTERNAL,
		    "nobody takes the certificate request");
	return engine->calls.enroll(engine->calls.arg, engine,
	    (enum program_register)step->number, engine->text, fault);
}

static int
step_confirm(struct engine *engine, struct fault *fault)
{
	if (engine->calls.confirm == NULL)
		return fault_set(fault, CAUSE_INTERNAL,
		    "nobody waits for the unit's first connection");
	return engine->calls.confirm(engine->calls.arg, engine, fault);
}

static int
clauses_apply(
    struct engine *engine, const struct program_step *step, struct fault *fault)
{
	const struct program_clause *clause;
	uint32_t i;
	int result = 0;

	for (i = step->clause;
	     i < step->clause + step->clause_count && result == 0; i++) {
		clause = &engine->program->clauses[i];
		if (clause->kind == CLAUSE_SET)
			result = engine_step_set(engine, clause, fault);
		else if (clause->kind == CLAUSE_EQUALS ||
			 clause->kind == CLAUSE_MATCHES)
			result = step_assert(engine, clause, fault);
	}
	return result;
}

static int
step_act(
    struct engine *engine, const struct program_step *step, struct fault *fault)
{
	switch ((enum program_action)step->action) {
	case ACTION_SYNC:
		return step_sync(engine, step, fault);
	case ACTION_SEND:
	case ACTION_EXPECT:
		return step_talk(engine, step, fault);
	case ACTION_IDENTIFY:
		return step_identify(engine, step, fault);
	case ACTION_REGISTER:
		return step_register(engine, step, fault);
	case ACTION_CONFIRM:
		return step_confirm(engine, fault);
	case ACTION_DELAY:
		return port_wait_us(
		    engine->port, step->number * INT64_C(1000), fault);
	case ACTION_BAUD:
		return port_set_baud(engine->port, step->number, fault);
	case ACTION_RESET:
		console_forget_line(engine);
		return port_run_sequence(
		    engine->port, engine_text(engine, step->text), fault);
	default:
		return 0; /* set and assert are clauses */
	}
}

int
engine_step(
    struct engine *engine, const struct program_step *step, struct fault *fault)
{
	int result = step_act(engine, step, fault);

	return result == 0 ? clauses_apply(engine, step, fault) : result;
}
