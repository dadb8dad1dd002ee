/*
 * What is on the board: the daemon's last snapshot and what the user chose.
 * Plain data without I/O, so that all of it can be tested and drawn.
 */
#ifndef DASH_BOARD_H
#define DASH_BOARD_H

#include "dash/snapshot.h"
#include "dash/theme.h"

enum mode {
	MODE_BOARD,
	MODE_HELP,
	MODE_DETAILS,
	MODE_FILTER,	    /* typing it */
	MODE_RELEASE,	    /* asked once */
	MODE_RELEASE_AGAIN, /* asked twice */
};

/* How tiles fill their area. */
struct grid {
	int columns, rows; /* on one page */
	int width, height; /* of a tile */
};

struct board {
	struct theme theme;
	struct snapshot snapshot;
	bool known; /* there was a snapshot */
	bool away;  /* the daemon is not there: what is shown is old */
	const char *socket;
	char lot[NAME_LEN]; /* chosen; empty: the first */
	enum mode mode;
	char filter[64];
	char notice[256]; /* an answer to what the user did; or empty */
	uint32_t visible[SLOTS_MAX]; /* slots that pass the filter */
	uint32_t visible_count;
	uint32_t selected;	     /* index into visible */
	int area_height, area_width; /* for tiles */
	struct grid grid;
};

/* The lot at the top; null when none is open. */
const struct snapshot_lot *board_lot(const struct board *);
/* Null when no slot is visible. */
const struct snapshot_slot *board_slot(const struct board *);
/*
 * After the snapshot, the filter or the area changed: finds what is visible,
 * keeps the selection on its slot and lays out the tiles.
 */
void board_arrange(struct board *);
/* Moves the selection by slots, within what is visible. */
void board_move(struct board *, int by);
void board_next_lot(struct board *);
uint32_t board_page_size(const struct board *);
/* Index into visible of the page's first tile. */
uint32_t board_page_start(const struct board *);

/*
 * The tallest tiles of which all fit; when none do, one-line tiles on
 * several pages.
 */
struct grid grid_fit(uint32_t count, int height, int width);

#endif
