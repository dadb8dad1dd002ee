/*
 * The list of everything that is wrong with a set of files, each as
 * `file:line:column: what, and what is accepted`. One run names every
 * error, not only the first.
 */
#ifndef BASE_PROBLEMS_H
#define BASE_PROBLEMS_H

#include <stddef.h>

#include "base/buf.h"

struct problems {
	struct buf text; /* one line a problem */
	size_t count;	 /* all, also those past the cap of text */
	/* What is allowed and looks like a mistake: nothing fails by it. */
	struct buf warnings; /* likewise, "warning: " before what */
	size_t warning_count;
};

void problems_init(struct problems *);
/* line and column count from 1; 0 leaves them out. */
void
problems_add(struct problems *, const char *file, size_t line, size_t column,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same for a warning. */
void
problems_warn(struct problems *, const char *file, size_t line, size_t column,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
void problems_free(struct problems *);

#endif
