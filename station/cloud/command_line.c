#include "cloud/command_line.h"

#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r\n";

/*
 * Copies what stands between quotes, from behind the first; null when there
 * is no second.
 */
static const char *
quoted_read(const char *from, char quote, char **to)
{
	while (*from != '\0' && *from != quote) {
		if (quote == '"' && *from == '\\' &&
		    (from[1] == '"' || from[1] == '\\'))
			from++;
		*(*to)++ = *from++;
	}
	return *from == quote ? from + 1 : NULL;
}

/* Copies one word and its NUL; null when a quote or an escape is open. */
static const char *
word_read(const char *from, char **to)
{
	while (*from != '\0' && strchr(blanks, *from) == NULL) {
		if (*from == '\'' || *from == '"') {
			from = quoted_read(from + 1, *from, to);
			if (from == NULL)
				return NULL;
			continue;
		}
		if (*from == '\\' && *++from == '\0')
			return NULL;
		*(*to)++ = *from++;
	}
	*(*to)++ = '\0';
	return from;
}

int
command_line_split(
    struct command_line *line, const char *text, struct fault *fault)
{
	char *to;

	memset(line, 0, sizeof(*line));
	/* A word is never longer than what it was read from, and the blank
	 * behind it makes room for its NUL. */
	to = line->text = malloc(strlen(text) + 1);
	if (to == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	for (text += strspn(text, blanks); *text != '\0';
	     text += strspn(text, blanks)) {
		if (line->count == COMMAND_WORDS_MAX) {
			fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
			    "the command has more than %d words",
			    COMMAND_WORDS_MAX);
			goto fail;
		}
		line->words[line->count++] = to;
		text = word_read(text, &to);
		if (text == NULL) {
			fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
			    "the command ends within a quote or behind a "
			    "backslash");
			goto fail;
		}
	}
	if (line->count > 0)
		return 0;
	fault_set(fault, CAUSE_CLOUD_CREDENTIALS, "the command is empty");
fail:
	command_line_free(line);
	return -1;
}

void
command_line_free(struct command_line *line)
{
	free(line->text);
	memset(line, 0, sizeof(*line));
}
