#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

enum {
	LOG_LINE_MAX = 2048
};

/* One process is one role, and has one log. */
static char log_role[32];
static enum log_level log_least = LOG_LEVEL_INFO;
static bool log_terminal;

void
log_open(const char *role, enum log_level least)
{
	(void)text_copy(log_role, sizeof(log_role), role);
	log_least = least;
	log_terminal = isatty(STDERR_FILENO) == 1;
}

/* Copies what is printable, escapes the rest; returns the length. */
static size_t
log_escape(char *to, size_t size, const char *from)
{
	size_t len = strlen(from), at = 0, i = 0, step;

	while (i < len) {
		step = text_character_len(from + i, len - i);
		if (step > 0) {
			if (size - at <= step)
				break;
			memcpy(to + at, from + i, step);
			at += step;
			i += step;
			continue;
		}
		if (size - at < 5)
			break;
		text_escape(to + at, size - at, from + i, 1);
		at += 4;
		i++;
	}
	return at;
}

void
log_line(enum log_level level, const char *format, ...)
{
	char text[LOG_LINE_MAX / 2], line[LOG_LINE_MAX];
	va_list arguments;
	size_t len = 0;

	if (level > log_least)
		return;
	va_start(arguments, format);
	if (vsnprintf(text, sizeof(text), format, arguments) < 0)
		text[0] = '\0';
	va_end(arguments);
	if (!log_terminal) {
		line[len++] = '<';
		line[len++] = (char)('0' + (int)level);
		line[len++] = '>';
	}
	if (log_role[0] != '\0') {
		len += log_escape(line + len, sizeof(line) - len - 3, log_role);
		line[len++] = ':';
		line[len++] = ' ';
	}
	len += log_escape(line + len, sizeof(line) - len - 1, text);
	line[len++] = '\n';
	/* One write: lines of several roles on one descriptor do not mix.
	 * A log that cannot be written has no place to say so. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
