/* All about one slot. */
#include "dash/view.h"

#include <inttypes.h>
#include <stdio.h>

#include "dash/canvas.h"

struct cursor {
	const struct theme *theme;
	WINDOW *window;
	int y;
};

static void
row(struct cursor *cursor, const char *name, const char *value)
{
	int width = getmaxx(cursor->window);
	int left = getmaxy(cursor->window) - cursor->y;
	int used;

	if (value[0] == '\0' || left <= 0)
		return;
	theme_set(cursor->theme, cursor->window, PAINT_FAINT, false);
	canvas_put(cursor->theme, cursor->window, cursor->y, 1, 12, name);
	theme_set(cursor->theme, cursor->window, PAINT_TEXT, false);
	used = canvas_wrap(cursor->theme, cursor->window, cursor->y, 14,
	    width - 15, left, value);
	cursor->y += used > 0 ? used : 1;
}

void
details_draw(const struct board *board, WINDOW *window)
{
	const struct snapshot_slot *slot = board_slot(board);
	struct cursor cursor = {&board->theme, window, 2};
	struct look look;
	char text[160];

	canvas_title(&board->theme, window, 0, "Slot: Esc goes back");
	if (slot == NULL)
		return;
	look = slot_look(slot);
	theme_set(&board->theme, window, look.paint, true);
	canvas_format(&board->theme, window, 1, 1, getmaxx(window) - 2,
	    " %s  %s %s ", slot->name, theme_glyph(&board->theme, look.glyph),
	    look.word);
	row(&cursor, "position", slot->position);
	row(&cursor, "lot", slot->lot);
	row(&cursor, "serial", slot->serial);
	row(&cursor, "MAC", slot->mac);
	if (slot->attempt > 0) {
		snprintf(text, sizeof(text), "%" PRIu64 ", %.1f s",
		    slot->attempt, slot->seconds);
		row(&cursor, "attempt", text);
	}
	if (slot->step[0] != '\0') {
		snprintf(text, sizeof(text), "%s, %u %%  %s", slot->step,
		    slot->permille / 10, slot->note);
		row(&cursor, "step", text);
	}
	row(&cursor, "owner", slot->owner);
	row(&cursor, "cause", slot->cause);
	row(&cursor, "what", slot->text);
	row(&cursor, "do now", slot->action);
	row(&cursor, "seen", slot->acknowledged ? "yes" : "");
}
