/*
 * The keys of the board: one table makes the hint line, the help and what a
 * key does.
 */
#ifndef DASH_KEY_H
#define DASH_KEY_H

#include <stddef.h>
#include <wchar.h>

enum action {
	ACTION_NONE,
	ACTION_HELP,
	ACTION_FILTER,
	ACTION_DETAILS,
	ACTION_BACK,
	ACTION_ACKNOWLEDGE,
	ACTION_RELEASE,
	ACTION_NEXT_LOT,
	ACTION_LEFT,
	ACTION_RIGHT,
	ACTION_UP,
	ACTION_DOWN,
	ACTION_PAGE_UP,
	ACTION_PAGE_DOWN,
	ACTION_REDRAW,
	ACTION_QUIT,
};

enum {
	KEY_CODES_MAX = 3
};

struct key {
	enum action action;
	/* Characters, or curses' KEY_ codes made negative; 0 for none. */
	int codes[KEY_CODES_MAX];
	const char *label;
	const char *hint; /* on the bottom line; null: only in the help */
	const char *help;
};

extern const struct key keys[];
extern const size_t key_count;

/* code: a character, or a KEY_ code made negative. */
enum action key_action(int code);

#endif
