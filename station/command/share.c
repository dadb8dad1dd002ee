/* What subcommands share: calling the daemon, and telling the person. */
#include "command/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"

/* ---- messages ---- */

/*
 * Each line of the text on its own, safe for the terminal: a list of
 * problems has many.
 */
static void
lines_print(const char *text)
{
	char line[1200];
	char safe[1400];

	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		snprintf(line, sizeof(line), "%.*s",
		    len < sizeof(line) ? (int)len : (int)sizeof(line) - 1,
		    text);
		snapshot_text(safe, sizeof(safe), line);
		fputs(safe, stderr);
		text += len;
		if (*text == '\n' && *++text != '\0')
			fputs("\nstation: ", stderr);
	}
}

int
command_fail(const struct control_failure *failure)
{
	char action[400];

	snapshot_text(action, sizeof(action), failure->action);
	fputs("station: ", stderr);
	lines_print(failure->text);
	fprintf(stderr, "%s%s\n", action[0] != '\0' ? "; " : "", action);
	return failure->exit_status;
}

int
command_error(int exit_status, const char *format, ...)
{
	char text[800];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fputs("station: ", stderr);
	lines_print(text);
	fputs("\n", stderr);
	return exit_status;
}

int
command_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return command_error(
	    EX_IOERR, "standard output cannot be written; see where it goes");
}

void
command_print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
	putchar('\n');
}

/* ---- the daemon ---- */

int
command_call(const struct invocation *invocation, const char *name,
    json_t *members, int fd, int64_t timeout_ms, json_t **reply)
{
	static struct control_failure failure;
	struct control_client *client;

	client = control_connect(invocation->socket, &failure);
	if (client == NULL) {
		json_decref(members);
		return command_fail(&failure);
	}
	*reply = control_call(
	    client, name, members, fd, clock_deadline(timeout_ms), &failure);
	control_client_free(client);
	return *reply == NULL ? command_fail(&failure) : EX_OK;
}

/* ---- verdicts ---- */

int
verdict_exit_status(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_PASS:
		return EXIT_ALL_PASSED;
	case VERDICT_ABORTED:
	case VERDICT_NONE:
		return EXIT_STOPPED;
	default:
		return EXIT_SOME_FAILED;
	}
}

static void
member_text(const json_t *object, const char *name, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(object, name));

	snapshot_text(to, size, text == NULL ? "" : text);
}

void
verdict_report(const json_t *event)
{
	char slot[NAME_LEN];
	char serial[SERIAL_LEN];
	char verdict[16];
	char cause[48];
	char text[420];
	char action[220];
	double seconds = json_number_value(json_object_get(event, "seconds"));

	member_text(event, "slot", slot, sizeof(slot));
	member_text(event, "serial", serial, sizeof(serial));
	member_text(event, "verdict", verdict, sizeof(verdict));
	member_text(event, "cause", cause, sizeof(cause));
	member_text(event, "text", text, sizeof(text));
	member_text(event, "action", action, sizeof(action));
	fprintf(stderr, "%-8s slot %s  %s  %.1f s", verdict, slot,
	    serial[0] != '\0' ? serial : "-", seconds);
	if (snapshot_verdict(verdict) != VERDICT_PASS)
		fprintf(stderr, "  %s: %s %s", cause, text, action);
	fputs("\n", stderr);
}

/* ---- lots ---- */

int
lot_reconciliation(const struct snapshot_lot *lot, char *text, size_t size)
{
	uint64_t sum = (uint64_t)lot->passed + lot->failed + lot->staged +
		       lot->quarantined + lot->scrapped + lot->in_progress +
		       lot->missing;

	snprintf(text, size,
	    "%u rows %s %u passed + %u failed + %u staged + %u quarantined + "
	    "%u scrapped + %u in progress + %u missing",
	    lot->rows, sum == lot->rows ? "=" : "do NOT add up to", lot->passed,
	    lot->failed, lot->staged, lot->quarantined, lot->scrapped,
	    lot->in_progress, lot->missing);
	return sum == lot->rows ? 0 : -1;
}

void
lot_print(const struct snapshot_lot *lot)
{
	char sum[240];

	lot_reconciliation(lot, sum, sizeof(sum));
	printf("lot              %s (%s)\n", lot->name,
	    lot->open ? "open" : "closed");
	if (lot->product[0] != '\0')
		printf(
		    "product          %s %s\n", lot->product, lot->part_number);
	if (lot->pattern[0] != '\0')
		printf("pattern          %s\nfirmware         %s\n",
		    lot->pattern, lot->firmware_version);
	printf(
	    "quantity         %u\nreconciliation   %s\n", lot->quantity, sum);
	printf("attempts         %u, and %u refused\n", lot->attempts,
	    lot->refused);
	if (lot->yield_permille >= 0)
		printf("first-pass yield %d.%d %%: %u of %u first attempts of "
		       "distinct units\n",
		    lot->yield_permille / 10, lot->yield_permille % 10,
		    lot->first_passed, lot->first_total);
	else
		printf("first-pass yield none yet\n");
	if (lot->obligations > 0)
		printf("obligations      %u certificates to be found and "
		       "deleted\n",
		    lot->obligations);
	for (uint32_t i = 0; i < lot->pareto_count; i++)
		printf("%s%u x %s (%s)\n",
		    i == 0 ? "causes           " : "                 ",
		    lot->pareto[i].count, lot->pareto[i].cause,
		    lot->pareto[i].owner);
}
