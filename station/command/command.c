#include "command/command.h"

#include <locale.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "command/option.h"

#define DISPOSE (OPTION(LOT) | OPTION(REASON) | OPTION(OPERATOR) | OPTION(JSON))

struct command {
	const char *words; /* one or two */
	const char *arguments;
	int least, most;   /* number of arguments */
	unsigned options;  /* besides the global ones */
	unsigned required; /* of these */
	int (*run)(const struct invocation *);
	const char *help;
};

/* In the order of the help text. */
static const struct command commands[] = {
    {"status", "", 0, 0, OPTION(JSON), 0, status_command,
	"what the station is doing now"},
    {"dash", "", 0, 0, OPTION(LOT) | OPTION(UNTIL_CLOSED), 0, dash_command,
	"the full-screen board"},
    {"lot check", "LOT|FOLDER", 1, 1, OPTION(CONFIG), 0, lot_check_command,
	"check a lot's files, without the daemon"},
    {"lot open", "LOT", 1, 1, OPTION(OPERATOR) | OPTION(JSON), 0,
	lot_open_command, "check, freeze and open a lot"},
    {"lot close", "LOT", 1, 1, OPTION(JSON), 0, lot_close_command,
	"close a lot"},
    {"lot list", "", 0, 0, OPTION(JSON), 0, lot_list_command,
	"all lots with their counts"},
    {"lot show", "LOT", 1, 1, OPTION(JSON), 0, lot_show_command,
	"one lot: counts, yield, causes"},
    {"batch", "LOT", 1, 1,
	OPTION(UNITS) | OPTION(IDLE) | OPTION(QUIET) | OPTION(OPERATOR), 0,
	batch_command, "make a lot unattended"},
    {"bulk", "LOT", 1, 1, OPTION(OPERATOR) | OPTION(JSON) | OPTION(QUIET), 0,
	bulk_command, "register a lot's staged units in one task"},
    {"unit make", "[SERIAL]", 0, 1,
	OPTION(LOT) | OPTION(SLOT) | OPTION(OPERATOR) | OPTION(JSON),
	OPTION(LOT) | OPTION(SLOT), unit_make_command,
	"make the unit that is in a slot"},
    {"unit abort", "SLOT", 1, 1, 0, 0, unit_abort_command,
	"end the attempt in a slot"},
    {"unit scrap", "SERIAL", 1, 1, DISPOSE, OPTION(LOT) | OPTION(REASON),
	unit_scrap_command, "take a unit out of its lot for good"},
    {"unit quarantine", "SERIAL", 1, 1, DISPOSE, OPTION(LOT) | OPTION(REASON),
	unit_quarantine_command, "set a unit aside for a decision"},
    {"unit rework", "SERIAL", 1, 1, DISPOSE, OPTION(LOT) | OPTION(REASON),
	unit_rework_command, "let a unit be made again"},
    {"report", "LOT", 1, 1, OPTION(OUTPUT) | OPTION(LEDGER), 0, report_command,
	"every attempt of a lot as CSV"},
    {"hold", "REASON", 1, 1, 0, 0, hold_command,
	"hold the line: no unit starts"},
    {"release", "", 0, 0, 0, 0, release_command, "release the held line"},
    {"acknowledge", "SLOT", 1, 1, 0, 0, acknowledge_command,
	"a slot's failure was seen"},
};
enum {
	COMMAND_COUNT = sizeof(commands) / sizeof(commands[0])
};

/* ---- help ---- */

static void
command_help(const struct command *command)
{
	printf("usage: station %s%s%s [options]\n\n%s\n", command->words,
	    command->arguments[0] != '\0' ? " " : "", command->arguments,
	    command->help);
	option_help(command->options | OPTIONS_GLOBAL, command->required);
}

/* The commands of a group such as "lot"; all of them for an empty one. */
static void
group_help(const char *group)
{
	size_t len = strlen(group);

	printf("usage: station %s%sCOMMAND [options]\n\nCommands:\n", group,
	    len > 0 ? " " : "");
	for (int i = 0; i < COMMAND_COUNT; i++) {
		char left[40];

		if (strncmp(commands[i].words, group, len) != 0)
			continue;
		snprintf(left, sizeof(left), "%s %s", commands[i].words,
		    commands[i].arguments);
		printf("  %-26s  %s\n", left, commands[i].help);
	}
	option_help(OPTIONS_GLOBAL, 0);
	printf("\nThe socket is --socket, else $STATION_SOCKET, else\n"
	       "%s.\n\nExit status: 0 all passed, 1 some failed, 2 the lot "
	       "was stopped,\nelse as in sysexits(3).\n",
	    CONTROL_SOCKET_DEFAULT);
}

/* ---- finding the command ---- */

/* True when words is "FIRST" or, with second, "FIRST SECOND". */
static bool
words_match(const char *words, const char *first, const char *second)
{
	size_t len = strlen(first);

	if (strncmp(words, first, len) != 0)
		return false;
	if (words[len] == '\0')
		return true;
	return words[len] == ' ' && second != NULL &&
	       strcmp(words + len + 1, second) == 0;
}

static bool
is_group(const char *word)
{
	size_t len = strlen(word);

	for (int i = 0; i < COMMAND_COUNT; i++)
		if (strncmp(commands[i].words, word, len) == 0 &&
		    commands[i].words[len] == ' ')
			return true;
	return false;
}

/* argv begins at the subcommand's first word. */
static const struct command *
command_find(int argc, char **argv, int *used)
{
	for (int i = 0; i < COMMAND_COUNT; i++) {
		if (!words_match(
			commands[i].words, argv[0], argc > 1 ? argv[1] : NULL))
			continue;
		*used = strchr(commands[i].words, ' ') != NULL ? 2 : 1;
		return &commands[i];
	}
	return NULL;
}

/* What to say when there is no such command. */
static int
command_missing(int argc, char **argv)
{
	if (!is_group(argv[0]))
		return usage_error("", "there is no command '%s'", argv[0]);
	if (argc < 2)
		return usage_error(
		    argv[0], "'%s' wants a second word", argv[0]);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		group_help(argv[0]);
		return command_finish(EX_OK);
	}
	return usage_error(
	    argv[0], "there is no command '%s %s'", argv[0], argv[1]);
}

/* ---- running it ---- */

/* The recorded name of who acts: the person, also behind sudo(8). */
static const char *
operator_name(void)
{
	const char *name = getenv("STATION_OPERATOR");
	const struct passwd *user;

	if (name != NULL && name[0] != '\0')
		return name;
	name = getenv("SUDO_USER");
	if (geteuid() == 0 && name != NULL && name[0] != '\0')
		return name;
	user = getpwuid(geteuid());
	return user != NULL ? user->pw_name : "unknown";
}

static int
arguments_check(const struct command *command, unsigned given, int count)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if ((command->required & ~given & (1u << i)) != 0)
			return usage_error(command->words, "%s is missing",
			    option_text((enum option_name)i));
	if (count < command->least)
		return usage_error(
		    command->words, "%s is missing", command->arguments);
	if (count > command->most)
		return usage_error(command->words, "there are too many words");
	return EX_OK;
}

static int
version_print(void)
{
	printf("station %s\n", STATION_VERSION);
	return command_finish(EX_OK);
}

/* argv[0] is the last word of the command. */
static int
command_run(const struct command *command, int argc, char **argv,
    struct invocation *invocation)
{
	unsigned given = 0;
	int first =
	    option_parse(command->words, command->options | OPTIONS_GLOBAL,
		false, argc, argv, invocation, &given);
	int status;

	if (first == -1)
		return EX_USAGE;
	if ((given & OPTION(HELP)) != 0) {
		command_help(command);
		return command_finish(EX_OK);
	}
	if ((given & OPTION(VERSION)) != 0)
		return version_print();
	status = arguments_check(command, given, argc - first);
	if (status != EX_OK)
		return status;
	invocation->socket = control_socket_path(invocation->socket);
	if (invocation->operator_name == NULL)
		invocation->operator_name = operator_name();
	invocation->count = argc - first;
	invocation->arguments = argv + first;
	return command->run(invocation);
}

int
command_main(int argc, char **argv)
{
	struct invocation invocation = {.socket = NULL};
	const struct command *command;
	unsigned given = 0;
	int first;
	int used = 0;

	/* Characters only: numbers are for programs as well. */
	setlocale(LC_CTYPE, "");
	/* A reader that leaves is a failed write, not a death. */
	signal(SIGPIPE, SIG_IGN);
	first = option_parse(
	    "", OPTIONS_GLOBAL, true, argc, argv, &invocation, &given);
	if (first == -1)
		return EX_USAGE;
	if ((given & OPTION(HELP)) != 0) {
		group_help("");
		return command_finish(EX_OK);
	}
	if ((given & OPTION(VERSION)) != 0)
		return version_print();
	if (first == argc)
		return usage_error("", "a command is missing");
	command = command_find(argc - first, argv + first, &used);
	if (command == NULL)
		return command_missing(argc - first, argv + first);
	return command_run(command, argc - first - used + 1,
	    argv + first + used - 1, &invocation);
}
