/*
 * The `station` command: one row of a table a subcommand, one file a group
 * of them. Options, usage and help texts all come from the tables in
 * command.c, so that none of them can go stale.
 *
 * Data goes to standard output, everything for people to standard error as
 * `station: what; what to do`. Exit status: 0 all passed, 1 some failed, 2
 * the lot was stopped, then sysexits(3).
 */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/client.h"
#include "dash/snapshot.h"

enum {
	EXIT_ALL_PASSED = 0,
	EXIT_SOME_FAILED = 1,
	EXIT_STOPPED = 2,
};

/* How long a command waits for the daemon's answer. */
enum {
	WAIT_ANSWER_MS = 15 * 1000,
	WAIT_LOT_MS = 5 * 60 * 1000, /* a million rows are read and copied */
	WAIT_REPORT_MS = 15 * 60 * 1000,
};

#define CONFIG_DEFAULT "/etc/station/station.yaml"

/* What the command line said. Texts are borrowed; null when not given. */
struct invocation {
	const char *socket; /* resolved: never null */
	bool json;
	bool no_input;
	bool quiet;
	const char *lot;
	const char *slot;
	const char *reason;
	const char *operator_name; /* resolved: never null */
	const char *output;
	const char *until_closed;
	const char *ledger;
	const char *config; /* null: CONFIG_DEFAULT */
	uint32_t units;	    /* 0: no bound */
	int64_t idle_ms;    /* 0: no bound */
	int count;	    /* arguments */
	char **arguments;
};

/* Runs the command line; returns the exit status. */
int command_main(int argc, char **argv);

/* ---- what subcommands share (share.c) ---- */

/* `station: text; action` on standard error. Returns the exit status. */
int command_fail(const struct control_failure *);
/* The same for a fault of this program's own. */
int command_error(int exit_status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Flushes standard output: status, or 74 when not all was written. */
int command_finish(int status);
/*
 * Connects, calls once, disconnects. Members are taken. 0 and the reply,
 * owned by the caller; else an exit status, already reported.
 */
int command_call(const struct invocation *, const char *name, json_t *members,
    int fd, int64_t timeout_ms, json_t **reply);
/* One line of JSON on standard output. */
void command_print_json(const json_t *);

/*
 * "24 rows = 22 passed + 1 failed + ..." into text; -1 when the sum does not
 * add up, which the text then says.
 */
int lot_reconciliation(const struct snapshot_lot *, char *text, size_t size);
void lot_print(const struct snapshot_lot *);
/* 0, 1 or 2 by the verdict of one attempt. */
int verdict_exit_status(enum verdict);
/* One line about a verdict event on standard error. */
void verdict_report(const json_t *event);

/* ---- the subcommands ---- */

int acknowledge_command(const struct invocation *);
int batch_command(const struct invocation *);
int bulk_command(const struct invocation *);
int dash_command(const struct invocation *);
int hold_command(const struct invocation *);
int lot_check_command(const struct invocation *);
int lot_close_command(const struct invocation *);
int lot_list_command(const struct invocation *);
int lot_open_command(const struct invocation *);
int lot_show_command(const struct invocation *);
int release_command(const struct invocation *);
int report_command(const struct invocation *);
int status_command(const struct invocation *);
int unit_abort_command(const struct invocation *);
int unit_make_command(const struct invocation *);
int unit_quarantine_command(const struct invocation *);
int unit_rework_command(const struct invocation *);
int unit_scrap_command(const struct invocation *);

#endif
