/* The station's last words, newest at the bottom. */
#include "dash/view.h"

#include <string.h>

#include "dash/canvas.h"

static enum paint
level_paint(const char *level)
{
	if (strcmp(level, "error") == 0)
		return PAINT_FAIL;
	if (strcmp(level, "warning") == 0)
		return PAINT_ERROR;
	return PAINT_TEXT;
}

/* "2026-11-20T21:14:03.123Z": the part that a shift needs. */
static const char *
time_of_day(const char *at)
{
	return strlen(at) > 19 && at[10] == 'T' ? at + 11 : at;
}

void
events_draw(const struct board *board, WINDOW *window)
{
	const struct snapshot *s = &board->snapshot;
	const struct theme *theme = &board->theme;
	int lines = getmaxy(window) - 1;
	int width = getmaxx(window);
	uint32_t first = 0;

	canvas_title(theme, window, 0, "Log (UTC)");
	if (lines > 0 && s->log_count > (uint32_t)lines)
		first = s->log_count - (uint32_t)lines;
	for (uint32_t i = first; i < s->log_count; i++) {
		const struct snapshot_log *log = &s->log[i];
		int y = (int)(i - first) + 1;

		theme_set(theme, window, PAINT_FAINT, false);
		canvas_put(theme, window, y, 1, 8, time_of_day(log->at));
		theme_set(theme, window, level_paint(log->level), false);
		/* The level as a word where colour cannot say it. */
		canvas_format(theme, window, y, 10, width - 10, "%s%s%s",
		    strcmp(log->level, "notice") == 0 ? "" : log->level,
		    strcmp(log->level, "notice") == 0 ? "" : ": ", log->text);
	}
}
