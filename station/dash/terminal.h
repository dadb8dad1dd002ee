/*
 * The terminal: into curses and out again, whatever ends the program.
 */
#ifndef DASH_TERMINAL_H
#define DASH_TERMINAL_H

#include <stdbool.h>

#include "control/client.h"
#include "dash/theme.h"

/*
 * Takes the terminal. *signal_fd is the caller's: it becomes readable for
 * the signals that end the board or change its size, which are blocked from
 * now on.
 */
int terminal_open(
    struct theme *, bool colour, int *signal_fd, struct control_failure *);
/* Gives it back; without effect when it is not taken. */
void terminal_close(void);
/* Takes the terminal's size of now over. */
void terminal_resize(void);

#endif
