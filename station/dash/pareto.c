/* Why units fail: one cause a failed unit, most first. */
#include "dash/view.h"

#include "dash/canvas.h"

void
pareto_draw(const struct board *board, WINDOW *window)
{
	const struct snapshot_lot *lot = board_lot(board);
	const struct theme *theme = &board->theme;
	int height = getmaxy(window);
	int width = getmaxx(window);
	int bar = width - 48;

	canvas_title(theme, window, 0, "Pareto: one cause a failed unit");
	theme_set(theme, window, PAINT_FAINT, false);
	if (lot == NULL || lot->pareto_count == 0) {
		canvas_put(theme, window, 1, 1, width - 1, "no failed units");
		return;
	}
	for (uint32_t i = 0; i < lot->pareto_count && (int)i < height - 1;
	     i++) {
		const struct snapshot_cause *cause = &lot->pareto[i];
		int y = (int)i + 1;

		theme_set(theme, window, PAINT_TEXT, false);
		canvas_format(theme, window, y, 1, 20, "%s", cause->cause);
		canvas_format(theme, window, y, 22, 13, "%s", cause->owner);
		canvas_format(theme, window, y, 36, 7, "%6u", cause->count);
		theme_set(theme, window, PAINT_FAIL, false);
		canvas_bar(theme, window, y, 44, bar, cause->count,
		    lot->pareto[0].count);
	}
}
