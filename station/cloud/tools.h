/*
 * The cloud role's side of credential_process: it may not execute anything,
 * so it asks the line for the tool role (tool.h) and reads the command's
 * answer from a pipe whose write end goes along.
 *
 * The line and the parent only hand the pipe on. What the command wrote
 * counts when it ended well, which MESSAGE_TOOL_DONE says.
 */
#ifndef CLOUD_TOOLS_H
#define CLOUD_TOOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/loop.h"
#include "base/message.h"
#include "pki/key.h"

enum {
	TOOL_TIMEOUT_MS = 60000, /* that the command has */
	TOOL_OUTPUT_MAX = 64 * 1024,
};

struct tool_run;

/* What all runs share; one a role. */
struct tools {
	struct loop *loop;
	/* Sends MESSAGE_TOOL with that descriptor. */
	void (*send)(void *arg, const struct message_header *,
	    const struct message_tool *, int fd);
	void *arg;
	uint32_t sequence;
	struct tool_run *runs;
};

/* One command at work; embedded in the caller's struct, zero at the start. */
struct tool_run {
	/* When done is called: what the command wrote, or why it failed. */
	struct secret output;
	struct fault fault;

	/* tools.c's own */
	struct tools *tools; /* null: none is at work */
	struct tool_run *next;
	uint32_t sequence;
	int fd;
	struct loop_watch *watch;
	struct loop_timer *timer;
	bool ended;  /* the role has said how */
	bool closed; /* the pipe is at its end */
	void (*done)(void *arg);
	void *arg;
};

/*
 * Runs the credential_process of that profile; done(arg) is called from the
 * loop. -1 with a fault when it cannot even be asked for.
 */
int tool_run_start(struct tools *, struct tool_run *, const char *profile,
    void (*done)(void *arg), void *arg, struct fault *);
/* Ends it without a call of done; wipes the output. Harmless when idle. */
void tool_run_end(struct tool_run *);
/* MESSAGE_TOOL_DONE came; one that nobody waits for is dropped. */
void tools_answer(
    struct tools *, const struct message_header *, const struct message_done *);

#endif
