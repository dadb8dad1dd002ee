/*
 * Where the views are: windows for the size that the terminal has now.
 */
#ifndef DASH_SCREEN_H
#define DASH_SCREEN_H

#include "dash/board.h"

enum {
	SCREEN_ROWS_MIN = 24,
	SCREEN_COLUMNS_MIN = 80
};

/*
 * Lays out windows for the size and tells the board its area for tiles.
 * Below the minimum, views are left out from the least to the most needed.
 */
void screen_layout(struct board *, int rows, int columns);
/* Draws everything. */
void screen_draw(const struct board *);
void screen_free(void);

#endif
