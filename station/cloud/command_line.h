/*
 * A command in one line, split into words as the AWS tools do it.
 *
 * The AWS tools split credential_process by the rules of a POSIX shell for
 * quotes and backslashes and start it without one: no variables, no
 * wildcards, no operators ("Process credential provider", AWS SDKs and Tools
 * Reference Guide).
 */
#ifndef CLOUD_COMMAND_LINE_H
#define CLOUD_COMMAND_LINE_H

#include <stddef.h>

#include "base/fault.h"

enum {
	COMMAND_WORDS_MAX = 64
};

struct command_line {
	char *words[COMMAND_WORDS_MAX + 1]; /* null-terminated; into text */
	size_t count;
	char *text; /* owned */
};

/*
 * -1 with CAUSE_CLOUD_CREDENTIALS when a quote is open, there are too many
 * words, or none. Single quotes keep everything; in double quotes a backslash
 * escapes itself and the quote; elsewhere it escapes any character.
 */
int command_line_split(struct command_line *, const char *text, struct fault *);
/* One that was never split is fine when it is zero. */
void command_line_free(struct command_line *);

#endif
