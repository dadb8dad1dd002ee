#include "base/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	PROBLEMS_TEXT_MAX = 256 * 1024,
	PROBLEM_LEN_MAX = 1024
};

void
problems_init(struct problems *problems)
{
	buf_init(&problems->text, PROBLEMS_TEXT_MAX);
	problems->count = 0;
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

void
problems_add(struct problems *problems, const char *file, size_t line,
    size_t column, const char *format, ...)
{
	char text[PROBLEM_LEN_MAX], place[48] = "";
	va_list arguments;

	problems->count++;
	va_start(arguments, format);
	if (vsnprintf(text, sizeof(text), format, arguments) < 0)
		text[0] = '\0';
	va_end(arguments);
	problem_clean(text);
	if (line > 0 && column > 0)
		(void)snprintf(place, sizeof(place), ":%zu:%zu", line, column);
	else if (line > 0)
		(void)snprintf(place, sizeof(place), ":%zu", line);
	buf_add_format(&problems->text, "%s%s: %s\n", file, place, text);
}

void
problems_free(struct problems *problems)
{
	if (problems == NULL)
		return;
	buf_free(&problems->text);
	problems->count = 0;
}
