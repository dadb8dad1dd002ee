/*
 * The parts of the screen, one file each. A view draws the board into its
 * window and does nothing else: it keeps no state, reads no key and sends
 * nothing. The window is empty when it is called and may have any size.
 */
#ifndef DASH_VIEW_H
#define DASH_VIEW_H

#include <curses.h>

#include "dash/board.h"

void header_draw(const struct board *, WINDOW *);
void tiles_draw(const struct board *, WINDOW *);
/* What the operator does now. */
void next_draw(const struct board *, WINDOW *);
void alarm_draw(const struct board *, WINDOW *);
void pareto_draw(const struct board *, WINDOW *);
void events_draw(const struct board *, WINDOW *);
/* The bottom line: hints, or the question that waits for an answer. */
void hints_draw(const struct board *, WINDOW *);

/* Over the others. */
void help_draw(const struct board *, WINDOW *);
void details_draw(const struct board *, WINDOW *);

#endif
