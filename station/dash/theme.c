#include "dash/theme.h"

/*
 * Okabe and Ito's palette, "Color Universal Design" (2008): bluish green
 * #009e73, vermillion #d55e00, orange #e69f00, sky blue #56b4e9, yellow
 * #f0e442, reddish purple #cc79a7; beside each the nearest of xterm's 256
 * and of the basic 8.
 */
static const struct {
	short of_256;
	short of_8;
	attr_t plain; /* where there is no colour */
} paints[PAINT_COUNT] = {
    [PAINT_TEXT] = {-1, -1, A_NORMAL},
    [PAINT_FAINT] = {-1, -1, A_DIM},
    [PAINT_TITLE] = {-1, -1, A_BOLD},
    [PAINT_PASS] = {36, COLOR_GREEN, A_NORMAL},
    [PAINT_FAIL] = {166, COLOR_RED, A_BOLD},
    [PAINT_ERROR] = {178, COLOR_YELLOW, A_BOLD},
    [PAINT_BUSY] = {74, COLOR_CYAN, A_NORMAL},
    [PAINT_HELD] = {227, COLOR_YELLOW, A_BOLD},
    [PAINT_REFUSED] = {175, COLOR_MAGENTA, A_BOLD},
};

static const struct {
	const char *utf8;
	const char *ascii;
} glyphs[GLYPH_COUNT] = {
    [GLYPH_PASS] = {"✔", "+"},
    [GLYPH_FAIL] = {"✘", "X"},
    [GLYPH_ERROR] = {"▲", "!"},
    [GLYPH_ABORTED] = {"■", "#"},
    [GLYPH_REFUSED] = {"⊘", "%"},
    [GLYPH_BUSY] = {"►", ">"},
    [GLYPH_EMPTY] = {"·", "."},
    [GLYPH_HELD] = {"‖", "="},
    [GLYPH_ABSENT] = {"○", "o"},
    [GLYPH_SELECTED] = {"▌", "*"},
    [GLYPH_FULL] = {"█", "#"},
    [GLYPH_REST] = {"░", "-"},
    [GLYPH_RULE] = {"─", "-"},
};

void
theme_open(struct theme *theme, bool colour, bool utf8)
{
	theme->utf8 = utf8;
	theme->away = false;
	theme->colour = colour && has_colors() && start_color() == OK;
	if (!theme->colour)
		return;
	/* The terminal's own background, where it tells of one. */
	if (use_default_colors() == ERR)
		assume_default_colors(COLOR_WHITE, COLOR_BLACK);
	for (int i = 0; i < PAINT_COUNT; i++) {
		short number =
		    COLORS >= 256 ? paints[i].of_256 : paints[i].of_8;

		if (number != -1)
			init_pair((short)(i + 1), number, -1);
	}
}

void
theme_set(
    const struct theme *theme, WINDOW *window, enum paint paint, bool solid)
{
	attr_t attributes = paints[paint].plain;
	short pair = 0;

	if (theme->away)
		attributes = A_DIM;
	else if (theme->colour && paints[paint].of_8 != -1)
		pair = (short)(paint + 1);
	if (solid)
		attributes |= A_REVERSE;
	(void)wattr_set(window, attributes, pair, NULL);
}

const char *
theme_glyph(const struct theme *theme, enum glyph glyph)
{
	return theme->utf8 ? glyphs[glyph].utf8 : glyphs[glyph].ascii;
}

static struct look
verdict_look(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_PASS:
		return (struct look){"PASS", GLYPH_PASS, PAINT_PASS};
	case VERDICT_FAIL:
		return (struct look){"FAIL", GLYPH_FAIL, PAINT_FAIL};
	case VERDICT_ERROR:
		return (struct look){"ERROR", GLYPH_ERROR, PAINT_ERROR};
	case VERDICT_ABORTED:
		return (struct look){"ABORTED", GLYPH_ABORTED, PAINT_REFUSED};
	case VERDICT_REFUSED:
		return (struct look){"REFUSED", GLYPH_REFUSED, PAINT_REFUSED};
	case VERDICT_STAGED:
		return (struct look){"STAGED", GLYPH_PASS, PAINT_TEXT};
	default:
		return (struct look){"DONE", GLYPH_PASS, PAINT_TEXT};
	}
}

struct look
slot_look(const struct snapshot_slot *slot)
{
	switch (slot->state) {
	case SLOT_STATE_BUSY:
		return (struct look){"BUSY", GLYPH_BUSY, PAINT_BUSY};
	case SLOT_STATE_HELD:
		return (struct look){"HELD", GLYPH_HELD, PAINT_HELD};
	case SLOT_STATE_WAITING:
		return (struct look){"ABSENT", GLYPH_ABSENT, PAINT_FAINT};
	case SLOT_STATE_DONE:
		return verdict_look(slot->verdict);
	default:
		return (struct look){"EMPTY", GLYPH_EMPTY, PAINT_FAINT};
	}
}
