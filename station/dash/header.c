/* The top three lines: the station, the lot, and how fast and how well. */
#include "dash/view.h"

#include <stdio.h>
#include <string.h>

#include "dash/canvas.h"

/* Columns that the yield's rule needs in full. */
enum {
	RULE_WIDTH = 68
};

static void
station_draw(const struct board *board, WINDOW *window)
{
	const struct snapshot *s = &board->snapshot;
	const struct theme *theme = &board->theme;
	int width = getmaxx(window);
	char right[80] = "";

	theme_set(theme, window, PAINT_TITLE, true);
	canvas_fill(window, 0, 0, width);
	canvas_format(theme, window, 0, 1, width - 1,
	    "%s  %s   ledger %s  cloud %s%s%s", s->station, s->site, s->ledger,
	    s->cloud, s->cloud_text[0] != '\0' ? ": " : "", s->cloud_text);
	if (board->visible_count > board_page_size(board))
		snprintf(right, sizeof(right), " slots %u-%u of %u ",
		    board_page_start(board) + 1,
		    board_page_start(board) + board_page_size(board) <
			    board->visible_count
			? board_page_start(board) + board_page_size(board)
			: board->visible_count,
		    board->visible_count);
	else if (board->filter[0] != '\0')
		snprintf(right, sizeof(right), " filter: %s ", board->filter);
	if (board->away)
		snprintf(right, sizeof(right), " daemon away, trying again ");
	if (right[0] != '\0')
		canvas_put(theme, window, 0, width - (int)strlen(right),
		    (int)strlen(right), right);
}

static void
lot_draw(
    const struct board *board, const struct snapshot_lot *lot, WINDOW *window)
{
	const struct theme *theme = &board->theme;
	int width = getmaxx(window);
	int bar = width / 5;
	int x;

	theme_set(theme, window, PAINT_TITLE, false);
	x = 1 + canvas_put(theme, window, 1, 1, width / 4, lot->name);
	theme_set(theme, window, PAINT_TEXT, false);
	x += canvas_format(
	    theme, window, 1, x, width / 5 + 2, "  %s", lot->product);
	x += 2;
	theme_set(theme, window, PAINT_PASS, false);
	canvas_bar(
	    theme, window, 1, x, bar, lot->passed + lot->staged, lot->quantity);
	x += bar + 1;
	x += canvas_format(theme, window, 1, x, width - x, "%u/%u passed",
	    lot->passed, lot->quantity);
	theme_set(
	    theme, window, lot->failed > 0 ? PAINT_FAIL : PAINT_TEXT, false);
	x += canvas_format(
	    theme, window, 1, x, width - x, "  %u failed", lot->failed);
	theme_set(theme, window, PAINT_TEXT, false);
	x += canvas_format(
	    theme, window, 1, x, width - x, "  %u missing", lot->missing);
	if (lot->staged > 0)
		canvas_format(
		    theme, window, 1, x, width - x, "  %u staged", lot->staged);
}

static void
rates_draw(
    const struct board *board, const struct snapshot_lot *lot, WINDOW *window)
{
	const struct snapshot *s = &board->snapshot;
	const struct theme *theme = &board->theme;
	int width = getmaxx(window);
	int x = 1;

	theme_set(theme, window, PAINT_TEXT, false);
	x += canvas_format(theme, window, 2, x, width - x,
	    "%u units/h  takt %.1f s", s->units_per_hour, s->takt_ms / 1000.0);
	if (s->takt_target_ms > 0) {
		if (s->takt_ms > s->takt_target_ms)
			theme_set(theme, window, PAINT_ERROR, false);
		x += canvas_format(theme, window, 2, x, width - x,
		    ", target %.1f s", s->takt_target_ms / 1000.0);
	}
	theme_set(theme, window, PAINT_TEXT, false);
	if (lot == NULL)
		return;
	if (lot->yield_permille < 0)
		canvas_put(theme, window, 2, x, width - x,
		    "  first-pass yield: none yet");
	else
		canvas_format(theme, window, 2, x, width - x,
		    width - x >= RULE_WIDTH
			? "  FPY %d.%d %%: first attempts of distinct units, "
			  "%u/%u"
			: "  FPY %d.%d %% (units' first tries, %u/%u)",
		    lot->yield_permille / 10, lot->yield_permille % 10,
		    lot->first_passed, lot->first_total);
}

void
header_draw(const struct board *board, WINDOW *window)
{
	const struct snapshot_lot *lot = board_lot(board);

	if (!board->known) {
		theme_set(&board->theme, window, PAINT_TITLE, true);
		canvas_fill(window, 0, 0, getmaxx(window));
		canvas_format(&board->theme, window, 0, 1, getmaxx(window) - 1,
		    "station: waiting for the daemon at %s", board->socket);
		return;
	}
	station_draw(board, window);
	if (lot != NULL) {
		lot_draw(board, lot, window);
	} else {
		theme_set(&board->theme, window, PAINT_TITLE, false);
		canvas_format(&board->theme, window, 1, 1, getmaxx(window) - 1,
		    "no lot%s%s is open: 'station lot open LOT' or 'station "
		    "batch LOT'",
		    board->lot[0] != '\0' ? " " : "", board->lot);
	}
	rates_draw(board, lot, window);
}
