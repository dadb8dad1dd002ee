#include "dash/key.h"

#include <curses.h>

enum {
	ESCAPE = 27,
	CONTROL_L = 12
};

const struct key keys[] = {
    {ACTION_HELP, {-KEY_F(1), '?'}, "F1 ?", "help", "this help"},
    {ACTION_FILTER, {'/'}, "/", "filter",
	"show slots whose name, serial, verdict or cause has a text"},
    {ACTION_DETAILS, {'\n', '\r', -KEY_ENTER}, "Enter", "details",
	"all about the selected slot"},
    {ACTION_BACK, {ESCAPE}, "Esc", NULL, "back; ends the filter"},
    {ACTION_ACKNOWLEDGE, {'a'}, "a", "acknowledge",
	"you have seen the selected slot's failure"},
    {ACTION_RELEASE, {'R'}, "R", "release",
	"release the held line; asks twice"},
    {ACTION_NEXT_LOT, {'l', '\t'}, "l Tab", NULL, "the next open lot"},
    {ACTION_LEFT, {-KEY_LEFT}, "Left", NULL, "select the slot before"},
    {ACTION_RIGHT, {-KEY_RIGHT}, "Right", NULL, "select the next slot"},
    {ACTION_UP, {-KEY_UP}, "Up", NULL, "select the slot above"},
    {ACTION_DOWN, {-KEY_DOWN}, "Down", NULL, "select the slot below"},
    {ACTION_PAGE_UP, {-KEY_PPAGE}, "PgUp", NULL, "the page before"},
    {ACTION_PAGE_DOWN, {-KEY_NPAGE, ' '}, "PgDn", NULL, "the next page"},
    {ACTION_REDRAW, {CONTROL_L}, "^L", NULL, "draw the screen anew"},
    {ACTION_QUIT, {-KEY_F(10), 'q'}, "F10 q", "quit", "leave the board"},
};
const size_t key_count = sizeof(keys) / sizeof(keys[0]);

enum action
key_action(int code)
{
	for (size_t i = 0; i < key_count; i++)
		for (int j = 0; j < KEY_CODES_MAX; j++)
			if (keys[i].codes[j] == code && code != 0)
				return keys[i].action;
	return ACTION_NONE;
}
