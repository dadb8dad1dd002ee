/* Lines against what a step waits for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "device/engine_state.h"

enum {
	GARBAGE_LEAST = 32, /* bytes from which on a verdict is fair */
	STEP_TEXT_LEN = 60,
};

void
line_show(const struct engine *engine, char to[ENGINE_SHOWN_LEN],
    const char *line, size_t len)
{
	if (transcript_holds_secret(engine->transcript, line, len))
		snprintf(to, ENGINE_SHOWN_LEN, "(a line with a secret)");
	else
		text_escape(to, ENGINE_SHOWN_LEN, line, len);
}

int
step_fault(const struct engine *engine, const struct program_step *step,
    struct fault *fault)
{
	static const char *const actions[ACTION_COUNT] = {"sync", "send",
	    "expect", "set", "assert", "identify", "register", "delay", "baud",
	    "reset", "foreach", "foreach_chunk"};
	char text[STEP_TEXT_LEN];

	if (step->action != ACTION_SEND)
		return fault_prefix(fault, "profile line %u, %s",
		    (unsigned)step->line, actions[step->action]);
	/* The rule as it stands in the profile: without values. */
	text_escape(text, sizeof(text),
	    program_text(engine->program, step->text),
	    strlen(program_text(engine->program, step->text)));
	return fault_prefix(
	    fault, "profile line %u, send \"%s\"", (unsigned)step->line, text);
}

static int
pattern_compile(struct engine *engine, const char *text,
    struct pattern **pattern, struct fault *fault)
{
	char why[PATTERN_ERROR_LEN];
	size_t len;

	if (engine_expand(engine, text, engine->text, sizeof(engine->text),
		&len, fault) != 0)
		return -1;
	*pattern = pattern_new(engine->text, why);
	if (*pattern != NULL)
		return 0;
	return fault_set(fault, CAUSE_INTERNAL, "bad pattern: %s", why);
}

/* Adds one clause; the list's size is the caller's affair. */
static int
clause_open(struct engine *engine, struct engine_clause *clause,
    const struct program_clause *source, struct fault *fault)
{
	*clause = (struct engine_clause){.source = source,
	    .name = program_text(engine->program, source->name)};
	if (source->kind == CLAUSE_PROMPT || source->kind == CLAUSE_CAPTURE_PEM)
		return 0;
	return pattern_compile(engine,
	    program_text(engine->program, source->text), &clause->pattern,
	    fault);
}

static bool
is_awaited(const struct program_clause *clause)
{
	return clause->kind == CLAUSE_EXPECT || clause->kind == CLAUSE_PROMPT ||
	       clause->kind == CLAUSE_CAPTURE ||
	       clause->kind == CLAUSE_CAPTURE_PEM;
}

static int
clauses_open(struct engine *engine, struct engine_wait *wait, uint32_t first,
    uint32_t count, struct fault *fault)
{
	const struct program_clause *source;
	uint32_t i;

	for (i = first; i < first + count; i++) {
		source = &engine->program->clauses[i];
		if (!is_awaited(source))
			continue;
		if (wait->count == ENGINE_CLAUSES_MAX)
			return fault_set(fault, CAUSE_INTERNAL,
			    "a step has too many patterns");
		if (clause_open(engine, &wait->clauses[wait->count], source,
			fault) != 0)
			return -1;
		wait->count++;
	}
	return 0;
}

static bool
has_expect(const struct engine_wait *wait)
{
	size_t i;

	for (i = 0; i < wait->count; i++)
		if (wait->clauses[i].source->kind == CLAUSE_EXPECT ||
		    wait->clauses[i].source->kind == CLAUSE_PROMPT)
			return true;
	return false;
}

int
wait_open(struct engine *engine, struct engine_wait *wait,
    const struct program_step *step, struct fault *fault)
{
	const struct program_console *console = &engine->program->console;

	memset(wait, 0, sizeof(*wait));
	wait->step = step;
	engine->pem_clause = -1;
	if (clauses_open(
		engine, wait, step->clause, step->clause_count, fault) != 0)
		return -1;
	if (!has_expect(wait))
		return clauses_open(engine, wait, console->clause,
		    console->clause_count, fault);
	return 0;
}

void
wait_close(struct engine_wait *wait)
{
	size_t i;

	for (i = 0; i < wait->count; i++)
		pattern_free(wait->clauses[i].pattern);
	wait->count = 0;
}

bool
wait_captured(const struct engine_wait *wait)
{
	size_t i;

	for (i = 0; i < wait->count; i++)
		if ((wait->clauses[i].source->kind == CLAUSE_CAPTURE ||
			wait->clauses[i].source->kind == CLAUSE_CAPTURE_PEM) &&
		    !wait->clauses[i].filled)
			return false;
	return true;
}

static bool
has_captures(const struct engine_wait *wait)
{
	size_t i;

	for (i = 0; i < wait->count; i++)
		if (wait->clauses[i].source->kind == CLAUSE_CAPTURE ||
		    wait->clauses[i].source->kind == CLAUSE_CAPTURE_PEM)
			return true;
	return false;
}

static bool
is_bad(const struct engine_clause *clause)
{
	return strncmp(clause->name, "bad", 3) == 0;
}

/* A label that ends the step well. */
static bool
has_good_label(const struct engine_wait *wait)
{
	size_t i;

	for (i = 0; i < wait->count; i++)
		if ((wait->clauses[i].source->kind == CLAUSE_EXPECT ||
			wait->clauses[i].source->kind == CLAUSE_PROMPT) &&
		    !is_bad(&wait->clauses[i]))
			return true;
	return false;
}

static int
capture_store(struct engine *engine, struct engine_clause *clause,
    const char *line, struct fault *fault)
{
	size_t begin, len;

	if (!pattern_group(clause->pattern, 1, &begin, &len))
		return 0;
	clause->filled = true;
	return engine_set(
	    engine, clause->name, line + begin, len, false, fault);
}

static int
pem_append(
    struct engine *engine, const char *line, size_t len, struct fault *fault)
{
	if (len + 1 > sizeof(engine->pem) - engine->pem_len)
		return fault_set(fault, CAUSE_CONSOLE_ERROR,
		    "the unit prints a PEM block without end");
	memcpy(engine->pem + engine->pem_len, line, len);
	engine->pem_len += len;
	engine->pem[engine->pem_len++] = '\n';
	return 0;
}

static bool
is_pem_edge(const char *edge, const char *label, const char *line, size_t len)
{
	char wanted[128];
	int wanted_len;

	wanted_len =
	    snprintf(wanted, sizeof(wanted), "-----%s %s-----", edge, label);
	while (len > 0 && line[len - 1] == ' ')
		len--;
	return wanted_len > 0 && (size_t)wanted_len == len &&
	       memcmp(wanted, line, len) == 0;
}

/* True when the line belongs to a PEM block that a capture wants. */
static bool
pem_take(struct engine *engine, struct engine_wait *wait, const char *line,
    size_t len, int *result, struct fault *fault)
{
	struct engine_clause *clause;
	const char *label;
	size_t i;

	*result = 0;
	for (i = 0; i < wait->count && engine->pem_clause < 0; i++) {
		clause = &wait->clauses[i];
		if (clause->source->kind != CLAUSE_CAPTURE_PEM ||
		    clause->filled)
			continue;
		label = program_text(engine->program, clause->source->text);
		if (is_pem_edge("BEGIN", label, line, len)) {
			engine->pem_clause = (int)i;
			engine->pem_len = 0;
		}
	}
	if (engine->pem_clause < 0)
		return false;
	clause = &wait->clauses[engine->pem_clause];
	label = program_text(engine->program, clause->source->text);
	*result = pem_append(engine, line, len, fault);
	if (*result == 0 && is_pem_edge("END", label, line, len)) {
		engine->pem_clause = -1;
		clause->filled = true;
		*result = engine_set(engine, clause->name, engine->pem,
		    engine->pem_len, false, fault);
	}
	return true;
}

struct group_taker {
	struct engine *engine;
	const struct engine_clause *clause;
	const char *line;
	struct fault *fault;
};

static int
group_take(void *arg, const char *name, unsigned group)
{
	const struct group_taker *taker = arg;
	size_t begin, len;

	if (!pattern_group(taker->clause->pattern, group, &begin, &len))
		return 0;
	return engine_set(
	    taker->engine, name, taker->line + begin, len, false, taker->fault);
}

static int
label_bad(struct engine *engine, const struct engine_clause *clause,
    const char *line, size_t len, struct fault *fault)
{
	char shown[ENGINE_SHOWN_LEN];

	line_show(engine, shown, line, len);
	return fault_set(
	    fault, CAUSE_CONSOLE_ERROR, "%s: \"%s\"", clause->name, shown);
}

/* The end that a good label brings: then every capture must be there. */
static int
label_good(struct engine_wait *wait, const char *label, struct fault *fault)
{
	size_t i;

	wait->done = true;
	for (i = 0; i < wait->count; i++)
		if ((wait->clauses[i].source->kind == CLAUSE_CAPTURE ||
			wait->clauses[i].source->kind == CLAUSE_CAPTURE_PEM) &&
		    !wait->clauses[i].filled)
			return fault_set(fault, CAUSE_CONSOLE_ERROR,
			    "%s came, but nothing to capture as %s", label,
			    wait->clauses[i].name);
	return 0;
}

static int
expects_take(struct engine *engine, struct engine_wait *wait, const char *line,
    size_t len, struct fault *fault)
{
	struct engine_clause *clause;
	size_t i;

	for (i = 0; i < wait->count; i++) {
		clause = &wait->clauses[i];
		if (clause->source->kind != CLAUSE_EXPECT ||
		    !pattern_match(clause->pattern, line, len))
			continue;
		if (is_bad(clause))
			return label_bad(engine, clause, line, len, fault);
		/* While lines are handed over only the bad ones count. */
		if (wait->literal != NULL)
			return 0;
		if (pattern_names(clause->pattern, group_take,
			&(struct group_taker){engine, clause, line, fault}) < 0)
			return -1;
		return label_good(wait, clause->name, fault);
	}
	return 0;
}

static int
banner_count(struct engine_wait *wait, const char *line, struct fault *fault)
{
	if (strstr(line, "rst:0x") == NULL)
		return 0;
	if (++wait->banners < ENGINE_BANNERS_MAX)
		return 0;
	return fault_set(fault, CAUSE_RESET_LOOP,
	    "the unit resets again and again, %u times in this step: \"%s\"",
	    wait->banners, wait->last_line);
}

int
wait_line(struct engine *engine, struct engine_wait *wait, const char *line,
    size_t len, struct fault *fault)
{
	struct engine_clause *clause;
	int result;
	size_t i;

	if (len > 0)
		line_show(engine, wait->last_line, line, len);
	if (banner_count(wait, line, fault) != 0)
		return -1;
	if (pem_take(engine, wait, line, len, &result, fault)) {
		if (result != 0)
			return -1;
	} else {
		for (i = 0; i < wait->count; i++) {
			clause = &wait->clauses[i];
			if (clause->source->kind == CLAUSE_CAPTURE &&
			    !clause->filled &&
			    pattern_match(clause->pattern, line, len) &&
			    capture_store(engine, clause, line, fault) != 0)
				return -1;
		}
		if (expects_take(engine, wait, line, len, fault) != 0)
			return -1;
	}
	/* With no good label the captures are the end, where no prompt of
	 * the console has to return first. */
	if (wait->literal == NULL && !wait->done && has_captures(wait) &&
	    wait_captured(wait) && !has_good_label(wait) &&
	    (engine->program->console.prompt == 0 || has_expect(wait)))
		wait->done = true;
	return 0;
}

int
wait_prompt(struct engine_wait *wait, struct fault *fault)
{
	struct engine_clause *clause;
	size_t i;

	if (wait->literal != NULL) {
		wait->done = true;
		return 0;
	}
	for (i = 0; i < wait->count; i++) {
		clause = &wait->clauses[i];
		if (clause->source->kind != CLAUSE_PROMPT)
			continue;
		if (is_bad(clause))
			return fault_set(fault, CAUSE_CONSOLE_ERROR,
			    "%s: the prompt came back; the last line was "
			    "\"%s\"",
			    clause->name, wait->last_line);
		return label_good(wait, clause->name, fault);
	}
	/* An asynchronous log line may redraw the prompt: a capture that is
	 * missing is waited for. */
	if (!has_good_label(wait) && wait_captured(wait))
		wait->done = true;
	return 0;
}

/* "ok '^id ' or bad '^error'" */
static void
awaited_text(const struct engine *engine, const struct engine_wait *wait,
    char *to, size_t size)
{
	const struct program_clause *source;
	size_t i, at = 0;

	if (size > 0)
		to[0] = '\0';
	for (i = 0; i < wait->count && at < size; i++) {
		source = wait->clauses[i].source;
		at += (size_t)snprintf(to + at, size - at, "%s%s '%s'",
		    at > 0 ? " or " : "", wait->clauses[i].name,
		    source->kind == CLAUSE_PROMPT
			? "prompt"
			: program_text(engine->program, source->text));
	}
	if (at == 0)
		snprintf(to, size, "the prompt");
}

int
wait_over(
    struct engine *engine, const struct engine_wait *wait, struct fault *fault)
{
	char awaited[160];

	if (wait->literal != NULL)
		text_escape(awaited, sizeof(awaited), wait->literal,
		    strlen(wait->literal));
	else
		awaited_text(engine, wait, awaited, sizeof(awaited));
	if (wait->unprintable >= GARBAGE_LEAST &&
	    wait->unprintable > wait->bytes / 4)
		return fault_set(fault, CAUSE_GARBAGE,
		    "%llu bytes in %lld ms, most of them no text",
		    (unsigned long long)wait->bytes,
		    (long long)wait->timeout_ms);
	if (wait->bytes == 0)
		return fault_set(fault, CAUSE_CONSOLE_TIMEOUT,
		    "the unit is silent for %lld ms; awaited: %s",
		    (long long)wait->timeout_ms, awaited);
	return fault_set(fault, CAUSE_CONSOLE_TIMEOUT,
	    "nothing that was awaited in %lld ms (%s); the last line was "
	    "\"%s\"",
	    (long long)wait->timeout_ms, awaited, wait->last_line);
}

int
ignore_open(struct engine *engine, struct fault *fault)
{
	const struct program_console *console = &engine->program->console;
	const struct program_clause *source;
	uint32_t i;

	for (i = console->clause; i < console->clause + console->clause_count;
	     i++) {
		source = &engine->program->clauses[i];
		if (source->kind != CLAUSE_IGNORE ||
		    engine->ignore_count == ENGINE_CLAUSES_MAX)
			continue;
		if (clause_open(engine, &engine->ignore[engine->ignore_count],
			source, fault) != 0)
			return -1;
		engine->ignore_count++;
	}
	return 0;
}

bool
ignore_line(struct engine *engine, const char *line, size_t len)
{
	size_t i;

	for (i = 0; i < engine->ignore_count; i++)
		if (pattern_match(engine->ignore[i].pattern, line, len))
			return true;
	return false;
}
