#include "dash/canvas.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum {
	WIDE_MAX = 512
};

/*
 * One character of text as the locale has it: bytes used, 0 at the end. What
 * cannot be shown in one or two columns becomes '?'.
 */
static size_t
character_next(
    const struct theme *theme, const char *text, wchar_t *wide, int *columns)
{
	mbstate_t state = {0};
	size_t len;

	if (*text == '\0')
		return 0;
	if (theme->utf8) {
		len = mbrtowc(wide, text, strlen(text), &state);
		if (len == (size_t)-1 || len == (size_t)-2) {
			len = 1;
			*wide = L'?';
		}
	} else {
		len = 1;
		while (((unsigned char)text[0] & 0x80) != 0 &&
		       ((unsigned char)text[len] & 0xc0) == 0x80)
			len++;
		*wide = len == 1 ? (wchar_t)text[0] : L'?';
	}
	*columns = wcwidth(*wide);
	if (*columns < 0) {
		*wide = L'?';
		*columns = 1;
	}
	return len;
}

/* Bytes of text that fit into width columns; the columns they take. */
static size_t
text_fit(const struct theme *theme, const char *text, int width, wchar_t *wides,
    size_t *count, int *used)
{
	size_t at = 0;
	size_t len;
	wchar_t wide = 0;
	int columns = 0;

	*count = 0;
	*used = 0;
	while ((len = character_next(theme, text + at, &wide, &columns)) > 0) {
		if (*used + columns > width || *count == WIDE_MAX)
			break;
		wides[(*count)++] = wide;
		*used += columns;
		at += len;
	}
	return at;
}

int
canvas_put(const struct theme *theme, WINDOW *window, int y, int x, int width,
    const char *text)
{
	wchar_t wides[WIDE_MAX];
	size_t count = 0;
	int used = 0;

	if (y < 0 || y >= getmaxy(window) || x < 0)
		return 0;
	if (width > getmaxx(window) - x)
		width = getmaxx(window) - x;
	if (width <= 0)
		return 0;
	text_fit(theme, text, width, wides, &count, &used);
	/* The last cell of a window: ERR for the cursor, the text is there. */
	(void)mvwaddnwstr(window, y, x, wides, (int)count);
	return used;
}

int
canvas_format(const struct theme *theme, WINDOW *window, int y, int x,
    int width, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return canvas_put(theme, window, y, x, width, text);
}

int
canvas_wrap(const struct theme *theme, WINDOW *window, int y, int x, int width,
    int lines, const char *text)
{
	int line = 0;

	if (width > getmaxx(window) - x)
		width = getmaxx(window) - x;
	if (width < 1)
		return 0;
	while (*text != '\0' && line < lines) {
		wchar_t wides[WIDE_MAX];
		char piece[WIDE_MAX * 4 + 1];
		size_t count = 0;
		int used = 0;
		size_t len = text_fit(theme, text, width, wides, &count, &used);
		size_t cut = len;

		/* Back to a space, unless one word fills the line. */
		if (text[len] != '\0' && line < lines - 1)
			while (cut > 0 && text[cut] != ' ')
				cut--;
		if (cut == 0)
			cut = len;
		if (cut == 0)
			break;
		snprintf(piece, sizeof(piece), "%.*s", (int)cut, text);
		canvas_put(theme, window, y + line, x, width, piece);
		line++;
		text += cut;
		while (*text == ' ')
			text++;
	}
	return line;
}

void
canvas_fill(WINDOW *window, int y, int x, int width)
{
	if (y < 0 || y >= getmaxy(window) || x < 0 || x >= getmaxx(window))
		return;
	if (width > getmaxx(window) - x)
		width = getmaxx(window) - x;
	if (width > 0)
		(void)mvwhline(
		    window, y, x, ' ' | (chtype)getattrs(window), width);
}

void
canvas_bar(const struct theme *theme, WINDOW *window, int y, int x, int width,
    unsigned part, unsigned whole)
{
	int full;

	if (width <= 0)
		return;
	if (part > whole)
		part = whole;
	full = whole == 0
		   ? 0
		   : (int)((unsigned long long)part * (unsigned)width / whole);
	for (int i = 0; i < width; i++)
		canvas_put(theme, window, y, x + i, 1,
		    theme_glyph(theme, i < full ? GLYPH_FULL : GLYPH_REST));
}

void
canvas_title(
    const struct theme *theme, WINDOW *window, int y, const char *title)
{
	int x = 0;

	theme_set(theme, window, PAINT_FAINT, false);
	while (x < getmaxx(window))
		x += canvas_put(theme, window, y, x, 1,
			 theme_glyph(theme, GLYPH_RULE)) == 0
			 ? getmaxx(window)
			 : 1;
	theme_set(theme, window, PAINT_TITLE, false);
	canvas_format(theme, window, y, 1, getmaxx(window) - 2, " %s ", title);
}
