/* One tile a slot: what it says is read from two metres. */
#include "dash/view.h"

#include <stdio.h>

#include "dash/canvas.h"

struct tile {
	const struct snapshot_slot *slot;
	struct look look;
	bool selected;
	int y, x, height, width; /* width without the gap */
	int bar;		 /* lines of its bar */
};

/* Tall tiles have a bar that is seen from further away. */
enum {
	TALL = 8
};

/* A failure that nobody has acknowledged fills its bar; so does PASS. */
static bool
bar_is_solid(const struct snapshot_slot *slot)
{
	if (slot->state == SLOT_STATE_HELD)
		return true;
	if (slot->state != SLOT_STATE_DONE)
		return false;
	return slot->verdict == VERDICT_PASS || !slot->acknowledged;
}

static void
bar_draw(const struct theme *theme, WINDOW *window, const struct tile *tile)
{
	const struct snapshot_slot *slot = tile->slot;
	const char *rest = "";
	char percent[16] = "";
	int x = tile->x + 1;
	int width = tile->width - 1;
	bool short_busy = slot->state == SLOT_STATE_BUSY && tile->height == 1;

	theme_set(theme, window, tile->look.paint, bar_is_solid(slot));
	for (int i = 0; i < tile->bar; i++) {
		canvas_fill(window, tile->y + i, tile->x, tile->width);
		if (tile->selected)
			canvas_put(theme, window, tile->y + i, tile->x, 1,
			    theme_glyph(theme, GLYPH_SELECTED));
	}
	if (slot->state == SLOT_STATE_BUSY)
		snprintf(
		    percent, sizeof(percent), " %u%%", slot->permille / 10);
	else if (tile->height == 1)
		rest = slot->serial;
	canvas_format(theme, window, tile->y + tile->bar / 2, x, width,
	    "%s %s%s%s%s%s%s", slot->name, theme_glyph(theme, tile->look.glyph),
	    short_busy ? "" : " ", short_busy ? "" : tile->look.word, percent,
	    rest[0] != '\0' ? " " : "", rest);
}

static void
busy_draw(const struct theme *theme, WINDOW *window, const struct tile *tile)
{
	const struct snapshot_slot *slot = tile->slot;
	int x = tile->x + 1;
	int width = tile->width - 1;

	if (tile->height >= 3)
		canvas_format(theme, window, tile->y + 2, x, width, "%s%s%s",
		    slot->step, slot->note[0] != '\0' ? " " : "", slot->note);
	theme_set(theme, window, PAINT_BUSY, false);
	if (tile->height >= 4)
		canvas_bar(
		    theme, window, tile->y + 3, x, width, slot->permille, 1000);
	theme_set(theme, window, PAINT_FAINT, false);
	if (tile->height >= 5)
		canvas_format(theme, window, tile->y + 4, x, width, "%.1f s",
		    slot->seconds);
}

static void
judged_draw(const struct theme *theme, WINDOW *window, const struct tile *tile)
{
	const struct snapshot_slot *slot = tile->slot;
	int x = tile->x + 1;
	int width = tile->width - 1;

	if (tile->height < 3)
		return;
	if (slot->verdict == VERDICT_PASS && slot->state == SLOT_STATE_DONE) {
		theme_set(theme, window, PAINT_FAINT, false);
		canvas_format(theme, window, tile->y + 2, x, width, "%.1f s",
		    slot->seconds);
		return;
	}
	canvas_put(theme, window, tile->y + 2, x, width, slot->cause);
	canvas_wrap(theme, window, tile->y + 3, x, width, tile->height - 3,
	    slot->action);
}

/* Draws below the bar's last line, which counts as the tile's first. */
static void
body_draw(const struct theme *theme, WINDOW *window, const struct tile *tile)
{
	const struct snapshot_slot *slot = tile->slot;

	if (tile->height < 2 || slot->state == SLOT_STATE_EMPTY)
		return;
	theme_set(theme, window, PAINT_TEXT, false);
	canvas_put(theme, window, tile->y + 1, tile->x + 1, tile->width - 1,
	    slot->serial[0] != '\0'	     ? slot->serial
	    : slot->mac[0] != '\0'	     ? slot->mac
	    : slot->state == SLOT_STATE_BUSY ? "(no serial yet)"
					     : slot->position);
	if (slot->state == SLOT_STATE_BUSY)
		busy_draw(theme, window, tile);
	else
		judged_draw(theme, window, tile);
}

static void
tile_draw(const struct theme *theme, WINDOW *window, struct tile *tile)
{
	bar_draw(theme, window, tile);
	tile->y += tile->bar - 1;
	tile->height -= tile->bar - 1;
	body_draw(theme, window, tile);
}

void
tiles_draw(const struct board *board, WINDOW *window)
{
	const struct grid *grid = &board->grid;
	uint32_t start = board_page_start(board);
	uint32_t end = start + board_page_size(board);

	if (board->known && board->visible_count == 0) {
		theme_set(&board->theme, window, PAINT_TEXT, false);
		canvas_put(&board->theme, window, 0, 1, getmaxx(window) - 1,
		    board->filter[0] != '\0'
			? "no slot passes the filter: Esc ends it"
			: "the station has no slots");
	}
	for (uint32_t i = start; i < end && i < board->visible_count; i++) {
		int at = (int)(i - start);
		struct tile tile = {
		    .slot = &board->snapshot.slots[board->visible[i]],
		    .selected = i == board->selected,
		    .y = at / grid->columns * grid->height,
		    .x = at % grid->columns * grid->width,
		    .height = grid->height,
		    .width = grid->width > 1 ? grid->width - 1 : 1,
		};

		tile.look = slot_look(tile.slot);
		tile.bar = tile.height >= TALL ? 3 : 1;
		tile_draw(&board->theme, window, &tile);
	}
}
