#include "dash/board.h"

#include <string.h>

#include "base/buf.h"

/* ---- lots ---- */

const struct snapshot_lot *
board_lot(const struct board *board)
{
	const struct snapshot_lot *lot =
	    snapshot_lot_find(&board->snapshot, board->lot);

	if (lot == NULL && board->lot[0] == '\0' &&
	    board->snapshot.lot_count > 0)
		lot = &board->snapshot.lots[0];
	return lot;
}

void
board_next_lot(struct board *board)
{
	const struct snapshot *snapshot = &board->snapshot;
	const struct snapshot_lot *lot = board_lot(board);
	size_t next = 0;

	if (snapshot->lot_count == 0)
		return;
	if (lot != NULL)
		next = (size_t)(lot - snapshot->lots + 1) % snapshot->lot_count;
	text_copy(board->lot, sizeof(board->lot), snapshot->lots[next].name);
}

/* ---- the grid ---- */

/* Columns that a tile of that height needs to be of use. */
static int
tile_width_min(int height)
{
	if (height >= 5)
		return 19;
	if (height >= 3)
		return 16;
	return height == 2 ? 13 : 10;
}

enum {
	TILE_HEIGHT_MAX = 9,
	TILE_WIDTH_MAX = 40
};

struct grid
grid_fit(uint32_t count, int height, int width)
{
	struct grid grid = {1, 1, width > 0 ? width : 1, 1};

	if (count == 0 || height < 1 || width < 1)
		return grid;
	for (int tall = height < TILE_HEIGHT_MAX ? height : TILE_HEIGHT_MAX;
	     tall >= 1; tall--) {
		int rows = height / tall;
		int columns = ((int)count + rows - 1) / rows;
		int wide = width / columns;

		if (wide < tile_width_min(tall) && tall > 1)
			continue;
		if (wide < tile_width_min(1)) {
			wide = tile_width_min(1) < width ? tile_width_min(1)
							 : width;
			columns = width / wide;
		}
		grid.rows = rows;
		grid.columns = columns;
		grid.height = tall;
		grid.width = wide < TILE_WIDTH_MAX ? wide : TILE_WIDTH_MAX;
		break;
	}
	return grid;
}

uint32_t
board_page_size(const struct board *board)
{
	return (uint32_t)(board->grid.rows * board->grid.columns);
}

uint32_t
board_page_start(const struct board *board)
{
	uint32_t size = board_page_size(board);

	return board->selected / size * size;
}

/* ---- selection ---- */

static bool
slot_passes(const struct snapshot_slot *slot, const char *filter)
{
	return filter[0] == '\0' || strcasestr(slot->name, filter) != NULL ||
	       strcasestr(slot->serial, filter) != NULL ||
	       strcasestr(slot->mac, filter) != NULL ||
	       strcasestr(slot->lot, filter) != NULL ||
	       strcasestr(slot->step, filter) != NULL ||
	       strcasestr(slot->cause, filter) != NULL ||
	       strcasestr(slot_look(slot).word, filter) != NULL;
}

const struct snapshot_slot *
board_slot(const struct board *board)
{
	if (board->selected >= board->visible_count)
		return NULL;
	return &board->snapshot.slots[board->visible[board->selected]];
}

void
board_arrange(struct board *board)
{
	uint32_t was = board->selected < board->visible_count
			   ? board->visible[board->selected]
			   : 0;

	board->visible_count = 0;
	board->selected = 0;
	for (uint32_t i = 0; i < board->snapshot.slot_count; i++) {
		if (!slot_passes(&board->snapshot.slots[i], board->filter))
			continue;
		if (i <= was)
			board->selected = board->visible_count;
		board->visible[board->visible_count++] = i;
	}
	board->grid = grid_fit(
	    board->visible_count, board->area_height, board->area_width);
}

void
board_move(struct board *board, int by)
{
	int64_t to = (int64_t)board->selected + by;

	if (board->visible_count == 0)
		return;
	if (to < 0)
		to = 0;
	if (to >= board->visible_count)
		to = board->visible_count - 1;
	board->selected = (uint32_t)to;
}
