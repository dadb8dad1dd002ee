/* Bytes to and from the console: pacing, lines, echo, VT100. */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "device/engine_state.h"

enum {
	ESCAPE = 0x1b,
	PROMPT_QUIET_MS = 20, /* behind a prompt with something before it */
};

void
console_forget_line(struct engine *engine)
{
	engine->line_len = engine->column = 0;
	engine->returned = false;
	engine->escape_len = 0;
	engine->line_fresh = false;
}

bool
console_at(const struct engine *engine, const char *literal)
{
	size_t len = strlen(literal);

	return engine->line_fresh && engine->line_len >= len &&
	       memcmp(engine->line + engine->line_len - len, literal, len) == 0;
}

int
console_send_raw(struct engine *engine, const char *text, size_t len,
    int64_t deadline_ms, struct fault *fault)
{
	uint32_t delay_us = engine->program->console.char_delay_us;
	size_t i;

	if (delay_us == 0)
		return port_write(engine->port, text, len, deadline_ms, fault);
	for (i = 0; i < len; i++) {
		if (port_write(engine->port, text + i, 1, deadline_ms, fault) !=
			0 ||
		    port_wait_us(engine->port, delay_us, fault) != 0)
			return -1;
	}
	return 0;
}

/* With `echo: wait` the device has the text before it gets the line's end. */
static int
echo_await(struct engine *engine, int64_t deadline_ms, struct fault *fault)
{
	struct engine_wait wait = {
	    .literal = engine->echo, .deadline_ms = deadline_ms};

	wait.timeout_ms = clock_remaining_ms(deadline_ms);
	if (console_wait(engine, &wait, fault) == 0)
		return 0;
	if (fault->cause == CAUSE_CONSOLE_TIMEOUT)
		fault_set(fault, CAUSE_CONSOLE_TIMEOUT,
		    "the console does not echo what is typed");
	return -1;
}

int
console_send(struct engine *engine, const char *text, size_t len,
    enum program_eol eol, int64_t deadline_ms, struct fault *fault)
{
	static const char *const ends[] = {[EOL_LF] = "\n",
	    [EOL_CRLF] = "\r\n",
	    [EOL_CR] = "\r",
	    [EOL_NONE] = ""};
	enum program_echo echo = engine->program->console.echo;
	const char *end = ends[eol];

	console_forget_line(engine);
	engine->echo_len = 0;
	if (echo != ECHO_NONE && len < sizeof(engine->echo)) {
		memcpy(engine->echo, text, len);
		engine->echo[len] = '\0';
		engine->echo_len = len;
	}
	if (echo == ECHO_WAIT && engine->echo_len > 0) {
		if (console_send_raw(engine, text, len, deadline_ms, fault) !=
			0 ||
		    echo_await(engine, deadline_ms, fault) != 0)
			return -1;
		return console_send_raw(
		    engine, end, strlen(end), deadline_ms, fault);
	}
	/* In one write where possible: adapters send it as one packet. */
	if (len + 2 < sizeof(engine->text) && text == engine->text) {
		memcpy(engine->text + len, end, strlen(end) + 1);
		return console_send_raw(
		    engine, text, len + strlen(end), deadline_ms, fault);
	}
	if (console_send_raw(engine, text, len, deadline_ms, fault) != 0)
		return -1;
	return console_send_raw(engine, end, strlen(end), deadline_ms, fault);
}

/* Our own line, coming back: with or without the prompt before it. */
static bool
echo_take(struct engine *engine)
{
	const char *prompt =
	    program_text(engine->program, engine->program->console.prompt);
	size_t prompt_len = strlen(prompt), before;

	if (engine->echo_len == 0 || engine->line_len < engine->echo_len)
		return false;
	before = engine->line_len - engine->echo_len;
	if (memcmp(engine->line + before, engine->echo, engine->echo_len) != 0)
		return false;
	if (before != 0 &&
	    (before < prompt_len || memcmp(engine->line + before - prompt_len,
					prompt, prompt_len) != 0))
		return false;
	engine->echo_len = 0;
	return true;
}

static int
line_complete(
    struct engine *engine, struct engine_wait *wait, struct fault *fault)
{
	size_t len;
	int result = 0;

	engine->line[engine->line_len] = '\0';
	len = engine->line_len;
	if (!echo_take(engine) && !ignore_line(engine, engine->line, len))
		result = wait_line(engine, wait, engine->line, len, fault);
	engine->line_len = engine->column = 0;
	return result;
}

static void
line_put(struct engine *engine, uint8_t byte)
{
	size_t most = engine->program->console.line_max;

	if (most > ENGINE_LINE_MAX)
		most = ENGINE_LINE_MAX;
	/* What a line has beyond the limit is dropped up to its end. */
	if (engine->column >= most)
		return;
	while (engine->line_len < engine->column)
		engine->line[engine->line_len++] = ' ';
	engine->line[engine->column++] = (char)byte;
	if (engine->line_len < engine->column)
		engine->line_len = engine->column;
}

/* A complete escape sequence: only what moves within the line matters. */
static void
escape_apply(struct engine *engine)
{
	uint8_t final = engine->escape[engine->escape_len - 1];
	size_t number = 0, i;

	if (engine->escape_len < 3 || engine->escape[1] != '[')
		return;
	for (i = 2; i + 1 < engine->escape_len; i++)
		if (isdigit(engine->escape[i]))
			number = number * 10 + engine->escape[i] - '0';
	switch (final) {
	case 'D': /* left */
		number = number == 0 ? 1 : number;
		engine->column -=
		    number < engine->column ? number : engine->column;
		break;
	case 'C': /* right */
		engine->column += number == 0 ? 1 : number;
		if (engine->column > engine->line_len)
			engine->column = engine->line_len;
		break;
	case 'J': /* erase from here */
	case 'K':
		if (number == 2)
			engine->column = 0;
		if (number != 1 && engine->line_len > engine->column)
			engine->line_len = engine->column;
		break;
	default:
		break;
	}
}

/* True when the byte belongs to an escape sequence. */
static bool
escape_take(struct engine *engine, uint8_t byte)
{
	bool over;

	if (engine->escape_len == 0 && byte != ESCAPE)
		return false;
	if (engine->escape_len == sizeof(engine->escape)) {
		engine->escape_len = 0; /* no sequence is that long */
		return true;
	}
	engine->escape[engine->escape_len++] = byte;
	over = (engine->escape_len == 2 && byte != '[') ||
	       (engine->escape_len > 2 && byte >= 0x40 && byte <= 0x7e);
	if (over) {
		escape_apply(engine);
		engine->escape_len = 0;
	}
	return true;
}

static int
byte_take(struct engine *engine, struct engine_wait *wait, uint8_t byte,
    struct fault *fault)
{
	bool vt100 = engine->program->console.vt100_strip != 0;
	bool returned = engine->returned;

	engine->line_fresh = true;
	if (!isprint(byte) && !isspace(byte) && byte != ESCAPE)
		wait->unprintable++;
	engine->returned = false;
	if (byte == '\n') {
		if (returned && !vt100)
			return 0; /* the CR has ended the line */
		return line_complete(engine, wait, fault);
	}
	if (byte == '\r') {
		engine->returned = true;
		engine->column = 0;
		/* A terminal goes back to the line's beginning, where a new
		 * text covers the old one; other consoles end a line so. */
		return vt100 ? 0 : line_complete(engine, wait, fault);
	}
	if (vt100 && escape_take(engine, byte))
		return 0;
	if (byte == '\b') {
		engine->column -= engine->column > 0 ? 1 : 0;
		return 0;
	}
	if (byte != 0)
		line_put(engine, byte);
	return 0;
}

/* Reads what comes next: 1 something, 0 nothing until the deadline. */
static int
console_read(struct engine *engine, struct engine_wait *wait,
    int64_t deadline_ms, struct fault *fault)
{
	ssize_t got;

	got = port_read(engine->port, engine->received,
	    sizeof(engine->received), deadline_ms, fault);
	if (got <= 0)
		return (int)got;
	engine->received_at = 0;
	engine->received_len = (size_t)got;
	engine->bytes += (uint64_t)got;
	wait->bytes += (uint64_t)got;
	if (engine->bytes > engine->program->console.bytes_max)
		return fault_set(fault, CAUSE_DEVICE_FLOOD,
		    "the unit has sent %llu bytes; the profile allows %u",
		    (unsigned long long)engine->bytes,
		    (unsigned)engine->program->console.bytes_max);
	return 1;
}

/* Works off what was received, as far as the wait goes. */
static int
received_take(
    struct engine *engine, struct engine_wait *wait, struct fault *fault)
{
	while (engine->received_at < engine->received_len && !wait->done)
		if (byte_take(engine, wait,
			engine->received[engine->received_at++], fault) != 0)
			return -1;
	return 0;
}

/*
 * Is the device at its prompt? Alone on its line it is at once; behind other
 * text it may be part of a longer line, and a short silence decides.
 */
static int
prompt_standing(struct engine *engine, struct engine_wait *wait,
    const char *prompt, struct fault *fault)
{
	int more;

	if (prompt[0] == '\0' || !console_at(engine, prompt))
		return 0;
	if (engine->line_len == strlen(prompt))
		return 1;
	more =
	    console_read(engine, wait, clock_deadline(PROMPT_QUIET_MS), fault);
	if (more == 0)
		return 1;
	return more < 0 ? -1 : 0;
}

int
console_wait(
    struct engine *engine, struct engine_wait *wait, struct fault *fault)
{
	const char *prompt = wait->literal != NULL
				 ? wait->literal
				 : program_text(engine->program,
				       engine->program->console.prompt);
	int standing, more;

	for (;;) {
		if (received_take(engine, wait, fault) != 0)
			return -1;
		if (wait->done)
			return 0;
		standing = prompt_standing(engine, wait, prompt, fault);
		if (standing < 0)
			return -1;
		if (standing == 1 && wait_prompt(wait, fault) != 0)
			return -1;
		if (wait->done)
			return 0;
		if (engine->received_at < engine->received_len)
			continue;
		more = console_read(engine, wait, wait->deadline_ms, fault);
		if (more < 0)
			return -1;
		if (more == 0)
			return wait_over(engine, wait, fault);
	}
}

int
console_settle(struct engine *engine, struct engine_wait *wait,
    int64_t quiet_ms, struct fault *fault)
{
	int64_t until;
	int more;

	for (;;) {
		if (received_take(engine, wait, fault) != 0)
			return -1;
		until = wait->deadline_ms;
		if (console_at(engine, wait->literal))
			until = clock_deadline(quiet_ms);
		more = console_read(engine, wait, until, fault);
		if (more < 0)
			return -1;
		if (more == 0)
			return console_at(engine, wait->literal) ? 1 : 0;
		if (clock_remaining_ms(wait->deadline_ms) == 0)
			return 0;
	}
}
