/*
 * The inside of the engine, shared by the engine_*.c files alone.
 */
#ifndef DEVICE_ENGINE_STATE_H
#define DEVICE_ENGINE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/engine.h"
#include "device/expand.h"
#include "device/pattern.h"

enum {
	ENGINE_LINE_MAX = 16384,
	ENGINE_RECEIVE_LEN = 4096,
	ENGINE_LABEL_LEN = 33,
	ENGINE_CLAUSES_MAX = 64, /* of one step, and of the console */
	ENGINE_SHOWN_LEN = 120,	 /* of a device's line in a fault */
};

struct engine_variable {
	char name[PROGRAM_NAME_LEN + 32]; /* "manifest." and a column, too */
	char *value;			  /* in secret memory when secret */
	size_t len;
	bool secret;
};

/* What a step waits for, compiled for the time of the step. */
struct engine_clause {
	const struct program_clause *source;
	const char *name;	 /* label or variable */
	struct pattern *pattern; /* null: the prompt, or a PEM */
	bool filled;		 /* a capture that is there */
};

/* One wait for the device. */
struct engine_wait {
	const struct program_step *step;
	struct engine_clause clauses[ENGINE_CLAUSES_MAX];
	size_t count;
	const char *literal; /* end of the unfinished line; null: by clauses */
	int64_t deadline_ms;
	int64_t timeout_ms;
	/* what happened */
	bool done;
	unsigned banners;
	uint64_t bytes, unprintable;
	char last_line[ENGINE_SHOWN_LEN]; /* escaped, without secrets */
};

struct engine {
	const struct program *program;
	struct port *port;
	struct transcript *transcript;
	bool transcript_owned;
	struct engine_calls calls;
	struct engine_variable variables[PROGRAM_VARIABLES_MAX];
	size_t variable_count;
	struct expand_calls expand;
	int64_t deadline_ms; /* of the whole program */
	uint64_t bytes;	     /* received in all */
	bool in_always;
	uint32_t steps_done;

	/* Everything below may hold echoed secrets. */
	uint8_t received[ENGINE_RECEIVE_LEN];
	size_t received_at, received_len;
	char line[ENGINE_LINE_MAX + 1]; /* the unfinished one */
	size_t line_len;
	size_t column;
	bool returned;	    /* a CR that may belong to a CRLF */
	bool line_fresh;    /* something came since the last send */
	uint8_t escape[16]; /* VT100 sequence under way */
	size_t escape_len;
	char echo[ENGINE_VALUE_MAX]; /* own line that may come back */
	size_t echo_len;
	char pem[ENGINE_VALUE_MAX]; /* block under way */
	size_t pem_len;
	int pem_clause;		     /* of the wait; -1 none */
	char text[EXPAND_VALUE_MAX]; /* of the step under way, expanded */
	size_t text_len;
	struct engine_clause ignore[ENGINE_CLAUSES_MAX];
	size_t ignore_count;
};

/* ---- engine_step.c: one step ---- */

/* Text of the program. */
const char *engine_text(const struct engine *, uint32_t offset);
/* 1 when the condition of a WHEN holds, 0 when not, -1 with a fault. */
int
engine_step_holds(struct engine *, const struct program_step *, struct fault *);
/* Any step but a loop. */
int engine_step(struct engine *, const struct program_step *, struct fault *);
/* Sets the clause's variable to its expanded value. */
int
engine_step_set(struct engine *, const struct program_clause *, struct fault *);

/* ---- engine_console.c: bytes ---- */

/* Sends text and the end of line, paced; what follows is its answer. */
int console_send(struct engine *, const char *text, size_t len,
    enum program_eol, int64_t deadline_ms, struct fault *);
/* Sends bytes as they are. */
int console_send_raw(struct engine *, const char *text, size_t len,
    int64_t deadline_ms, struct fault *);
/* Waits until wait->done or a fault. */
int console_wait(struct engine *, struct engine_wait *, struct fault *);
/* Waits until the unfinished line ends with literal and nothing more comes
 * for quiet_ms. 1 so, 0 not until the deadline, -1 a fault. */
int console_settle(
    struct engine *, struct engine_wait *, int64_t quiet_ms, struct fault *);
bool console_at(const struct engine *, const char *literal);
void console_forget_line(struct engine *);

/* ---- engine_match.c: lines ---- */

/* Compiles the step's clauses; wait_close frees them. */
int wait_open(struct engine *, struct engine_wait *,
    const struct program_step *, struct fault *);
void wait_close(struct engine_wait *);
/* A completed line; sets wait->done. -1 with the fault of a bad label. */
int wait_line(struct engine *, struct engine_wait *, const char *line,
    size_t len, struct fault *);
/* The prompt stands there; the same. */
int wait_prompt(struct engine_wait *, struct fault *);
bool wait_captured(const struct engine_wait *);
/* The fault of a wait that ran out. */
int wait_over(struct engine *, const struct engine_wait *, struct fault *);
/* Compiles the console's ignore_lines. */
int ignore_open(struct engine *, struct fault *);
bool ignore_line(struct engine *, const char *line, size_t len);

/* A device's text for a fault: escaped, cut, or a note when a secret is
 * in it. */
void line_show(const struct engine *, char to[ENGINE_SHOWN_LEN],
    const char *line, size_t len);
/* "line 42, send \"id\": " in front of the fault. */
int
step_fault(const struct engine *, const struct program_step *, struct fault *);

#endif
