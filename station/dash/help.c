/* The bottom line and the help, both from the table of keys. */
#include "dash/view.h"

#include "dash/canvas.h"
#include "dash/key.h"

static const char *
question(const struct board *board)
{
	switch (board->mode) {
	case MODE_RELEASE:
		return "Is the cause of the hold found and mended? y / n";
	case MODE_RELEASE_AGAIN:
		return "Units start again at once. Release the line? y / n";
	default:
		return NULL;
	}
}

void
hints_draw(const struct board *board, WINDOW *window)
{
	const struct theme *theme = &board->theme;
	int width = getmaxx(window);
	int x = 1;

	theme_set(theme, window, PAINT_TITLE, true);
	if (board->mode == MODE_FILTER) {
		canvas_fill(window, 0, 0, width);
		canvas_format(theme, window, 0, 1, width - 1,
		    "filter: %s_   Enter keeps, Esc clears", board->filter);
		return;
	}
	if (question(board) != NULL) {
		canvas_fill(window, 0, 0, width);
		canvas_put(theme, window, 0, 1, width - 1, question(board));
		return;
	}
	for (size_t i = 0; i < key_count; i++) {
		if (keys[i].hint == NULL)
			continue;
		theme_set(theme, window, PAINT_TITLE, true);
		x += canvas_put(theme, window, 0, x, width - x, keys[i].label);
		theme_set(theme, window, PAINT_TEXT, false);
		x += canvas_format(
		    theme, window, 0, x, width - x, " %s  ", keys[i].hint);
	}
}

void
help_draw(const struct board *board, WINDOW *window)
{
	const struct theme *theme = &board->theme;
	int height = getmaxy(window);
	int width = getmaxx(window);
	int y = 1;

	canvas_title(theme, window, 0, "Help: Esc goes back");
	for (size_t i = 0; i < key_count && y < height; i++, y++) {
		theme_set(theme, window, PAINT_TITLE, false);
		canvas_put(theme, window, y, 1, 8, keys[i].label);
		theme_set(theme, window, PAINT_TEXT, false);
		canvas_put(theme, window, y, 10, width - 10, keys[i].help);
	}
	y++;
	canvas_wrap(theme, window, y, 1, width - 2, height - y,
	    "First-pass yield (FPY): first attempts of distinct units that "
	    "passed, of those that passed or failed; golden units, refusals "
	    "and faults that are not the unit's do not count. Takt: time a "
	    "finished unit. Alarm: failures over successes of the last "
	    "verdicts, above its limit.");
}
