#include "base/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	PROBLEMS_TEXT_MAX = 256 * 1024,
	PROBLEM_LEN_MAX = 2048
};

void
problems_init(struct problems *problems)
{
	buf_init(&problems->text, PROBLEMS_TEXT_MAX);
	buf_init(&problems->warnings, PROBLEMS_TEXT_MAX);
	problems->count = 0;
	problems->warning_count = 0;
}

/* A value from a file must not break the line or steer a terminal. */
static void
problem_clean(char *text)
{
	size_t len = strlen(text), at = 0, step;

	while (at < len) {
		step = text_character_len(text + at, len - at);
		if (step == 0) {
			text[at] = '?';
			step = 1;
		}
		at += step;
	}
}

static void __attribute__((format(printf, 6, 0)))
line_add(struct buf *to, const char *kind, const char *file, size_t line,
    size_t column, const char *format, va_list arguments)
{
	char text[PROBLEM_LEN_MAX], place[48] = "";

	if (vsnprintf(text, sizeof(text), format, arguments) < 0)
		text[0] = '\0';
	problem_clean(text);
	if (line > 0 && column > 0)
		(void)snprintf(place, sizeof(place), ":%zu:%zu", line, column);
	else if (line > 0)
		(void)snprintf(place, sizeof(place), ":%zu", line);
	buf_add_format(to, "%s%s: %s%s\n", file, place, kind, text);
}

void
problems_add(struct problems *problems, const char *file, size_t line,
    size_t column, const char *format, ...)
{
	va_list arguments;

	problems->count++;
	va_start(arguments, format);
	line_add(&problems->text, "", file, line, column, format, arguments);
	va_end(arguments);
}

void
problems_warn(struct problems *problems, const char *file, size_t line,
    size_t column, const char *format, ...)
{
	va_list arguments;

	problems->warning_count++;
	va_start(arguments, format);
	line_add(&problems->warnings, "warning: ", file, line, column, format,
	    arguments);
	va_end(arguments);
}

void
problems_free(struct problems *problems)
{
	if (problems == NULL)
		return;
	buf_free(&problems->text);
	buf_free(&problems->warnings);
	problems->count = 0;
	problems->warning_count = 0;
}
