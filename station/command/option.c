#include "command/option.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const struct {
	const char *name;
	char letter; /* 0: long form only */
	const char *value;
	const char *help;
} options[OPTION_COUNT] = {
    [OPTION_HELP] = {"--help", 'h', NULL, "show this help"},
    [OPTION_VERSION] = {"--version", 'V', NULL, "show the version"},
    [OPTION_SOCKET] = {"--socket", 0, "PATH", "the daemon's socket"},
    [OPTION_NO_INPUT] = {"--no-input", 0, NULL, "never ask at a terminal"},
    [OPTION_JSON] = {"--json", 'j', NULL, "JSON on standard output"},
    [OPTION_QUIET] = {"--quiet", 'q', NULL, "no progress for people"},
    [OPTION_LOT] = {"--lot", 'l', "LOT", "the lot"},
    [OPTION_SLOT] = {"--slot", 's', "SLOT", "the slot"},
    [OPTION_REASON] = {"--reason", 'r', "TEXT", "why; it is recorded"},
    [OPTION_OPERATOR] = {"--operator", 0, "NAME", "who; it is recorded"},
    [OPTION_OUTPUT] = {"--output", 'o', "FILE", "write FILE, not stdout"},
    [OPTION_LEDGER] = {"--ledger", 0, "FILE", "a backup, not the daemon"},
    [OPTION_CONFIG] = {"--config", 'c', "FILE", "the station's configuration"},
    [OPTION_UNITS] = {"--units", 'n', "N",
	"end after N verdicts, not when the lot is complete"},
    [OPTION_IDLE] = {"--idle", 'i', "SECONDS", "end after so long idle"},
    [OPTION_UNTIL_CLOSED] = {"--until-closed", 0, "LOT",
	"leave when the lot is closed"},
};

const char *
option_text(enum option_name option)
{
	return options[option].name;
}

void
option_help(unsigned listed, unsigned required)
{
	printf("\nOptions:\n");
	for (int i = 0; i < OPTION_COUNT; i++) {
		const char *value = options[i].value;
		char left[40];
		char letter[8] = "    ";

		if ((listed & (1u << i)) == 0)
			continue;
		if (options[i].letter != 0)
			snprintf(
			    letter, sizeof(letter), "-%c, ", options[i].letter);
		snprintf(left, sizeof(left), "%s%s%s%s", letter,
		    options[i].name, value != NULL ? " " : "",
		    value != NULL ? value : "");
		printf("  %-26s  %s%s\n", left, options[i].help,
		    (required & (1u << i)) != 0 ? " (required)" : "");
	}
}

int
usage_error(const char *where, const char *format, ...)
{
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "station: %s; see 'station %s%s--help'\n", text, where,
	    where[0] != '\0' ? " " : "");
	return EX_USAGE;
}

/* ---- values ---- */

static int
number_read(const char *text, long most, long *number)
{
	char *end = NULL;

	errno = 0;
	*number = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *number < 1 ||
	    *number > most)
		return -1;
	return 0;
}

static int
number_take(
    const char *where, enum option_name option, const char *value, long *number)
{
	const long most = 1000000000;

	if (number_read(value, most, number) == 0)
		return 0;
	usage_error(where, "%s wants a whole number from 1 to %ld, not '%s'",
	    options[option].name, most, value);
	return -1;
}

static int
option_take(const char *where, enum option_name option, const char *value,
    struct invocation *invocation)
{
	const char **texts[OPTION_COUNT] = {
	    [OPTION_SOCKET] = &invocation->socket,
	    [OPTION_LOT] = &invocation->lot,
	    [OPTION_SLOT] = &invocation->slot,
	    [OPTION_REASON] = &invocation->reason,
	    [OPTION_OUTPUT] = &invocation->output,
	    [OPTION_LEDGER] = &invocation->ledger,
	    [OPTION_CONFIG] = &invocation->config,
	    [OPTION_UNTIL_CLOSED] = &invocation->until_closed,
	    [OPTION_OPERATOR] = &invocation->operator_name,
	};
	bool *marks[OPTION_COUNT] = {
	    [OPTION_NO_INPUT] = &invocation->no_input,
	    [OPTION_JSON] = &invocation->json,
	    [OPTION_QUIET] = &invocation->quiet,
	};
	long number = 0;

	if (texts[option] != NULL) {
		if (value[0] == '\0') {
			usage_error(where, "%s wants a text that is not empty",
			    options[option].name);
			return -1;
		}
		*texts[option] = value;
	} else if (marks[option] != NULL) {
		*marks[option] = true;
	} else if (option == OPTION_UNITS || option == OPTION_IDLE) {
		if (number_take(where, option, value, &number) == -1)
			return -1;
		if (option == OPTION_UNITS)
			invocation->units = (uint32_t)number;
		else
			invocation->idle_ms = (int64_t)number * 1000;
	}
	return 0;
}

/* ---- getopt ---- */

/* getopt_long's own tables, made from ours. */
struct tables {
	struct option names[OPTION_COUNT + 1];
	char letters[2 * OPTION_COUNT + 3];
};

enum {
	NAME_VALUE = 256
}; /* of a long option: above all letters */

static void
tables_make(unsigned accepted, bool stop_at_word, struct tables *tables)
{
	struct option *name = tables->names;
	char *letter = tables->letters;

	if (stop_at_word)
		*letter++ = '+';
	*letter++ = ':';
	for (int i = 0; i < OPTION_COUNT; i++) {
		bool valued = options[i].value != NULL;

		if ((accepted & (1u << i)) == 0)
			continue;
		name->name = options[i].name + strlen("--");
		name->has_arg = valued ? required_argument : no_argument;
		name->val = NAME_VALUE + i;
		name++;
		if (options[i].letter == 0)
			continue;
		*letter++ = options[i].letter;
		if (valued)
			*letter++ = ':';
	}
}

static int
option_find(int found)
{
	if (found >= NAME_VALUE)
		return found - NAME_VALUE;
	for (int i = 0; i < OPTION_COUNT; i++)
		if (options[i].letter == found)
			return i;
	return OPTION_HELP;
}

int
option_parse(const char *where, unsigned accepted, bool stop_at_word, int argc,
    char **argv, struct invocation *invocation, unsigned *given)
{
	struct tables tables = {.letters = ""};
	int found;

	tables_make(accepted, stop_at_word, &tables);
	opterr = 0;
	optind = 0; /* glibc: begin anew */
	for (;;) {
		int before = optind == 0 ? 1 : optind;
		int option;

		found =
		    getopt_long(argc, argv, tables.letters, tables.names, NULL);
		if (found == -1)
			return optind;
		if (found == '?') {
			usage_error(where, "there is no option %s here",
			    optopt > 0 && optopt < NAME_VALUE
				? (char[]){'-', (char)optopt, '\0'}
				: argv[optind > before ? optind - 1 : before]);
			return -1;
		}
		if (found == ':') {
			usage_error(where, "%s wants a value",
			    options[option_find(optopt)].name);
			return -1;
		}
		option = option_find(found);
		*given |= 1u << option;
		if (option_take(where, (enum option_name)option, optarg,
			invocation) == -1)
			return -1;
	}
}
