/*
 * Text on a window, cut at a number of columns and never beyond the window's
 * edge. Text is UTF-8 that snapshot_text() has made safe; a locale without
 * UTF-8 shows '?' for what it cannot.
 */
#ifndef DASH_CANVAS_H
#define DASH_CANVAS_H

#include <curses.h>

#include "dash/theme.h"

/* Returns the columns used, at most width. */
int canvas_put(
    const struct theme *, WINDOW *, int y, int x, int width, const char *text);
int canvas_format(const struct theme *, WINDOW *, int y, int x, int width,
    const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Breaks at spaces; returns the lines used, at most lines. */
int canvas_wrap(const struct theme *, WINDOW *, int y, int x, int width,
    int lines, const char *text);
/* Spaces in the attributes of now. */
void canvas_fill(WINDOW *, int y, int x, int width);
/* part of whole as a bar. */
void canvas_bar(const struct theme *, WINDOW *, int y, int x, int width,
    unsigned part, unsigned whole);
/* A rule across the window's line with a title in it. */
void canvas_title(const struct theme *, WINDOW *, int y, const char *title);

#endif
