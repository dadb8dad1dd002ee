/*
 * The board: a full-screen view of the station in a terminal, for operators
 * who stand two metres away and for engineers who want to know why.
 *
 * One loop (dash.c) reads the daemon, the keyboard and signals; everything
 * else is pure: views draw what they are given (dash/view.h) and keys come
 * from one table (dash/key.h).
 */
#ifndef DASH_DASH_H
#define DASH_DASH_H

#include <stdbool.h>

#include "control/client.h"

struct dash_setup {
	const char *socket;
	const char *lot;	  /* shown at the top; null: the first open */
	const char *until_closed; /* leave when it is closed; or null */
	bool colour;		  /* false under NO_COLOR */
};

/*
 * Runs until the user quits, a signal comes or the lot is closed. Waits for
 * a daemon that is away. -1 and a failure when the terminal cannot be used
 * or the daemon will never answer this user.
 */
int dash_run(const struct dash_setup *, struct control_failure *);

#endif
