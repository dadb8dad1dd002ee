/*
 * Colours and glyphs. A verdict is always a word, a glyph and a colour, so
 * that no single one has to be seen: the colours are Okabe and Ito's set for
 * all kinds of colour vision, approximated in 256 colours, with fallbacks to
 * 8 and to none; glyphs have ASCII forms.
 */
#ifndef DASH_THEME_H
#define DASH_THEME_H

#include <curses.h>
#include <stdbool.h>

#include "base/fault.h"
#include "dash/snapshot.h"

enum paint {
	PAINT_TEXT,
	PAINT_FAINT,
	PAINT_TITLE,
	PAINT_PASS,
	PAINT_FAIL,
	PAINT_ERROR,
	PAINT_BUSY,
	PAINT_HELD,
	PAINT_REFUSED,
	PAINT_COUNT
};

enum glyph {
	GLYPH_PASS,
	GLYPH_FAIL,
	GLYPH_ERROR,
	GLYPH_ABORTED,
	GLYPH_REFUSED,
	GLYPH_BUSY,
	GLYPH_EMPTY,
	GLYPH_HELD,
	GLYPH_ABSENT,
	GLYPH_SELECTED,
	GLYPH_FULL, /* of a bar */
	GLYPH_REST,
	GLYPH_RULE,
	GLYPH_COUNT
};

struct theme {
	bool utf8;
	bool colour;
	bool away; /* everything faint: what is shown is old */
};

/*
 * After the terminal is up: finds out what it can show. colour false asks
 * for none. utf8 is of the locale.
 */
void theme_open(struct theme *, bool colour, bool utf8);
/* Attributes for what follows in the window; solid: a filled bar. */
void theme_set(const struct theme *, WINDOW *, enum paint, bool solid);
const char *theme_glyph(const struct theme *, enum glyph);

/* How a slot looks: its word, glyph and paint, by verdict and state. */
struct look {
	const char *word;
	enum glyph glyph;
	enum paint paint;
};
struct look slot_look(const struct snapshot_slot *);

#endif
