#include "dash/screen.h"

#include <curses.h>

#include "dash/canvas.h"
#include "dash/view.h"

enum view_name {
	VIEW_HEADER,
	VIEW_TILES,
	VIEW_NEXT,
	VIEW_ALARM,
	VIEW_PARETO,
	VIEW_EVENTS,
	VIEW_HINTS,
	VIEW_COUNT
};

/* From top to bottom. */
static struct {
	void (*draw)(const struct board *, WINDOW *);
	WINDOW *window; /* null: no room */
} views[VIEW_COUNT] = {
    [VIEW_HEADER] = {header_draw, NULL},
    [VIEW_TILES] = {tiles_draw, NULL},
    [VIEW_NEXT] = {next_draw, NULL},
    [VIEW_ALARM] = {alarm_draw, NULL},
    [VIEW_PARETO] = {pareto_draw, NULL},
    [VIEW_EVENTS] = {events_draw, NULL},
    [VIEW_HINTS] = {hints_draw, NULL},
};

static WINDOW *cover; /* help and details: all but the bottom line */

/*
 * Heights at the minimum: header 3, tiles 10, next 1, alarm 1, Pareto 4, log
 * 4, hints 1. What is more goes to the log and Pareto first a little, then
 * to the tiles; what is less is taken from the bottom of this list up.
 */
static void
heights_choose(int rows, int heights[VIEW_COUNT])
{
	int extra = rows - SCREEN_ROWS_MIN;
	int used = 0;

	heights[VIEW_HEADER] = 3;
	heights[VIEW_NEXT] = 1;
	heights[VIEW_ALARM] = 1;
	heights[VIEW_PARETO] = 4;
	heights[VIEW_EVENTS] = 4;
	heights[VIEW_HINTS] = 1;
	if (extra > 0) {
		heights[VIEW_PARETO] += extra / 6 < 5 ? extra / 6 : 5;
		heights[VIEW_EVENTS] += extra / 4 < 12 ? extra / 4 : 12;
	}
	if (rows < 20)
		heights[VIEW_PARETO] = 0;
	if (rows < 16)
		heights[VIEW_EVENTS] = 0;
	if (rows < 8) {
		heights[VIEW_NEXT] = 0;
		heights[VIEW_ALARM] = 0;
	}
	if (rows < 6)
		heights[VIEW_HEADER] = rows < 3 ? 0 : 1;
	heights[VIEW_TILES] = 0;
	for (int i = 0; i < VIEW_COUNT; i++)
		used += heights[i];
	heights[VIEW_TILES] = rows > used ? rows - used : 0;
}

void
screen_free(void)
{
	for (int i = 0; i < VIEW_COUNT; i++) {
		if (views[i].window != NULL)
			delwin(views[i].window);
		views[i].window = NULL;
	}
	if (cover != NULL)
		delwin(cover);
	cover = NULL;
}

void
screen_layout(struct board *board, int rows, int columns)
{
	int heights[VIEW_COUNT];
	int y = 0;

	screen_free();
	heights_choose(rows, heights);
	for (int i = 0; i < VIEW_COUNT; i++) {
		if (heights[i] > 0 && y + heights[i] <= rows)
			views[i].window = newwin(heights[i], columns, y, 0);
		y += heights[i];
	}
	if (rows > 1)
		cover = newwin(rows - 1, columns, 0, 0);
	board->area_height = heights[VIEW_TILES];
	board->area_width = columns;
	board_arrange(board);
	clear();
	wnoutrefresh(stdscr);
}

static void
window_draw(const struct board *board, WINDOW *window,
    void (*draw)(const struct board *, WINDOW *))
{
	if (window == NULL)
		return;
	theme_set(&board->theme, window, PAINT_TEXT, false);
	werase(window);
	/* What an overlay covered counts as changed. */
	touchwin(window);
	draw(board, window);
	wnoutrefresh(window);
}

static void
small_draw(const struct board *board, WINDOW *window)
{
	theme_set(&board->theme, window, PAINT_TITLE, true);
	canvas_fill(window, 0, 0, getmaxx(window));
	canvas_format(&board->theme, window, 0, 1, getmaxx(window) - 1,
	    "%dx%d is too small: the board wants %dx%d", COLS, LINES,
	    SCREEN_COLUMNS_MIN, SCREEN_ROWS_MIN);
}

void
screen_draw(const struct board *board)
{
	bool small = LINES < SCREEN_ROWS_MIN || COLS < SCREEN_COLUMNS_MIN;
	bool asks = board->mode != MODE_BOARD && board->mode != MODE_DETAILS &&
		    board->mode != MODE_HELP;

	if (board->mode == MODE_HELP) {
		window_draw(board, cover, help_draw);
	} else if (board->mode == MODE_DETAILS) {
		window_draw(board, cover, details_draw);
	} else {
		for (int i = 0; i < VIEW_HINTS; i++)
			window_draw(board, views[i].window, views[i].draw);
	}
	window_draw(board, views[VIEW_HINTS].window,
	    small && !asks ? small_draw : hints_draw);
	doupdate();
}
