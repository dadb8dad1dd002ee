/* Two lines: what the operator does now, and the line's alarm. */
#include "dash/view.h"

#include "dash/canvas.h"

static bool
wants_attention(const struct snapshot_slot *slot)
{
	return slot->state == SLOT_STATE_DONE && !slot->acknowledged &&
	       slot->verdict != VERDICT_PASS && slot->verdict != VERDICT_NONE;
}

/* The selected slot when it wants something, else the first that does. */
static const struct snapshot_slot *
attention_slot(const struct board *board)
{
	const struct snapshot_slot *selected = board_slot(board);

	if (selected != NULL && wants_attention(selected))
		return selected;
	for (uint32_t i = 0; i < board->snapshot.slot_count; i++)
		if (wants_attention(&board->snapshot.slots[i]))
			return &board->snapshot.slots[i];
	return NULL;
}

void
next_draw(const struct board *board, WINDOW *window)
{
	const struct snapshot_slot *slot = attention_slot(board);
	const struct theme *theme = &board->theme;
	int width = getmaxx(window);

	if (board->notice[0] != '\0') {
		theme_set(theme, window, PAINT_TITLE, false);
		canvas_put(theme, window, 0, 1, width - 1, board->notice);
		return;
	}
	if (slot == NULL)
		return;
	theme_set(theme, window, slot_look(slot).paint, false);
	canvas_format(theme, window, 0, 1, width - 1, "slot %s: %s", slot->name,
	    slot->action[0] != '\0' ? slot->action : slot->text);
}

void
alarm_draw(const struct board *board, WINDOW *window)
{
	const struct snapshot *s = &board->snapshot;
	const struct theme *theme = &board->theme;
	int width = getmaxx(window);
	bool loud = s->alarm.ringing || s->held;
	int x = 1;

	if (!board->known)
		return;
	theme_set(theme, window,
	    s->alarm.ringing ? PAINT_FAIL
	    : s->held	     ? PAINT_HELD
			     : PAINT_FAINT,
	    loud);
	if (loud)
		canvas_fill(window, 0, 0, width);
	if (s->held)
		x += canvas_format(theme, window, 0, x, width - x,
		    "LINE HELD: %s  R releases  ", s->hold_reason);
	canvas_format(theme, window, 0, x, width - x,
	    "%s %u failures / %u successes = %.1f %%, limit %.1f %%",
	    s->alarm.ringing ? "ALARM" : "alarm quiet:", s->alarm.failures,
	    s->alarm.successes, s->alarm.ratio * 100, s->alarm.limit * 100);
}
