/*
 * The options of all subcommands in one table: getopt_long's tables, the
 * help text and the completion's words come from it.
 */
#ifndef COMMAND_OPTION_H
#define COMMAND_OPTION_H

#include "command/command.h"

enum option_name {
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_SOCKET,
	OPTION_NO_INPUT,
	OPTION_JSON,
	OPTION_QUIET,
	OPTION_LOT,
	OPTION_SLOT,
	OPTION_REASON,
	OPTION_OPERATOR,
	OPTION_OUTPUT,
	OPTION_LEDGER,
	OPTION_CONFIG,
	OPTION_UNITS,
	OPTION_IDLE,
	OPTION_UNTIL_CLOSED,
	OPTION_COUNT
};
#define OPTION(name) (1u << OPTION_##name)

/* Accepted before the subcommand and after it. */
#define OPTIONS_GLOBAL \
	(OPTION(HELP) | OPTION(VERSION) | OPTION(SOCKET) | OPTION(NO_INPUT))

/*
 * Reads options into the invocation and adds their bits to *given. With
 * stop_at_word it ends at the first word that is no option, else it lets
 * options and arguments mix. `where` is the subcommand for error texts, or
 * empty. Returns the index in argv of the first argument, or -1 when
 * something was wrong, which was reported.
 */
int option_parse(const char *where, unsigned accepted, bool stop_at_word,
    int argc, char **argv, struct invocation *, unsigned *given);
/* Lists them on standard output. */
void option_help(unsigned listed, unsigned required);
/* "--name"; static. */
const char *option_text(enum option_name);

/* `station: text; see 'station WHERE --help'`; returns 64. */
int usage_error(const char *where, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
