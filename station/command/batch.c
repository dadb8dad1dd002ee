#include "command/batch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum {
	AWAY_MAX_MS =
	    5 * 60 * 1000, /* a daemon that restarts is back by then */
	AWAY_PAUSE_MS = 250,
	TURN_MS = 60 * 1000,
};

static const char *const end_names[] = {
    [BATCH_RUNS] = "runs",
    [BATCH_COMPLETE] = "complete",
    [BATCH_UNITS] = "units",
    [BATCH_IDLE] = "idle",
    [BATCH_HELD] = "held",
    [BATCH_CLOSED] = "closed",
    [BATCH_INTERRUPTED] = "interrupted",
    [BATCH_FAILED] = "failed",
};

int
batch_fail(struct batch *batch)
{
	if (batch->end == BATCH_FAILED)
		return -1;
	batch->end = BATCH_FAILED;
	batch->status = command_fail(&batch->failure);
	return -1;
}

static void
batch_note(const struct batch *batch, const char *text)
{
	if (!batch->invocation->quiet)
		fprintf(stderr, "station: %s\n", text);
}

/* ---- verdicts ---- */

static const char *
member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text == NULL ? "" : text;
}

static int
tally_event(struct batch *batch, const json_t *event, uint64_t attempt)
{
	char name[40];
	const char *unit = member(event, "serial");

	if (unit[0] == '\0')
		unit = member(event, "mac");
	if (unit[0] == '\0') {
		/* Nobody knows which it was: a unit of its own. */
		snprintf(name, sizeof(name), "attempt %llu",
		    (unsigned long long)attempt);
		unit = name;
	}
	return unit_tally_add(
	    &batch->tally, unit, snapshot_verdict(member(event, "verdict")));
}

/* Output and memory are what saying a verdict can fail of. */
static void
say_fail(struct batch *batch, int status)
{
	batch->end = BATCH_FAILED;
	batch->status = status;
}

void
batch_say(struct batch *batch, const json_t *event, const char *line)
{
	uint64_t attempt =
	    (uint64_t)json_integer_value(json_object_get(event, "attempt"));
	int added = attempt_set_add(&batch->said, attempt);

	if (added == 0)
		return;
	if (line != NULL)
		printf("%s\n", line);
	else
		command_print_json(event);
	if (command_finish(EX_OK) != EX_OK) {
		say_fail(batch, EX_IOERR);
		return;
	}
	if (added == -1 || tally_event(batch, event, attempt) == -1) {
		say_fail(
		    batch, command_error(EX_OSERR,
			       "out of memory; free some, then try again"));
		return;
	}
	batch->idle_from_ms = clock_monotonic_ms();
	if (!batch->invocation->quiet)
		verdict_report(event);
	batch->verdicts++;
	if (batch->invocation->units > 0 &&
	    batch->verdicts >= batch->invocation->units &&
	    batch->end == BATCH_RUNS)
		batch->end = BATCH_UNITS;
}

/* ---- what the daemon says ---- */

static void
lot_set(struct batch *batch, json_t *json)
{
	struct snapshot_lot lot;

	if (snapshot_read_lot(json, &lot) == -1 ||
	    !text_equal(lot.name, batch->lot_name))
		return;
	json_decref(batch->lot_json);
	batch->lot_json = json_incref(json);
	batch->lot = lot;
}

static void
snapshot_take(struct batch *batch, json_t *json)
{
	json_t *lots = json_object_get(json, "lots");
	bool busy;

	if (snapshot_read(json, batch->snapshot) == -1)
		return;
	batch->snapshot_fresh = true;
	for (size_t i = 0; i < json_array_size(lots); i++)
		lot_set(batch, json_array_get(lots, i));
	busy = snapshot_lot_busy(batch->snapshot, batch->lot_name);
	if (busy)
		batch->idle_from_ms = clock_monotonic_ms();
}

static void
lot_event_take(struct batch *batch, const json_t *event)
{
	if (!text_equal(
		member(json_object_get(event, "lot"), "lot"), batch->lot_name))
		return;
	lot_set(batch, json_object_get(event, "lot"));
	if (text_equal(member(event, "what"), "closed"))
		batch->end = BATCH_CLOSED;
}

static void
message_take(struct batch *batch, const struct control_message *message)
{
	const json_t *json = message->json;

	if (control_message_is(message, "verdict"))
		batch_say(batch, json, message->line);
	else if (control_message_is(message, "snapshot"))
		snapshot_take(batch, json_object_get(json, "snapshot"));
	else if (control_message_is(message, "lot"))
		lot_event_take(batch, json);
}

/* Staged units are made, until they come back for their certificates. */
static bool
batch_complete(const struct batch *batch)
{
	if (!batch->second_visit)
		return snapshot_lot_complete(&batch->lot);
	return batch->lot.staged == 0 && batch->lot.in_progress == 0;
}

/* Whether the run is over. Units that are at work are always waited for. */
static void
batch_judge(struct batch *batch)
{
	int64_t idle_ms = batch->invocation->idle_ms;

	if (batch->end != BATCH_RUNS || !batch->snapshot_fresh ||
	    snapshot_lot_busy(batch->snapshot, batch->lot_name))
		return;
	if (batch->lot_json != NULL && !batch->lot.open)
		batch->end = BATCH_CLOSED;
	else if (batch->invocation->units == 0 && batch_complete(batch))
		batch->end = BATCH_COMPLETE;
	else if (batch->snapshot->held && !batch->snapshot->hold_passes)
		batch->end = BATCH_HELD;
	else if (idle_ms > 0 &&
		 clock_monotonic_ms() - batch->idle_from_ms >= idle_ms)
		batch->end = BATCH_IDLE;
}

/* ---- connecting ---- */

static bool
signal_came(struct batch *batch)
{
	struct signalfd_siginfo signal;
	sigset_t all;

	if (read(batch->signal_fd, &signal, sizeof(signal)) != sizeof(signal))
		return false;
	batch->end = BATCH_INTERRUPTED;
	/* The next one ends the process in the ordinary way. */
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	return true;
}

static json_t *
batch_call(struct batch *batch, const char *command, json_t *members,
    int64_t timeout_ms)
{
	return control_call(batch->client, command, members, -1,
	    clock_deadline(timeout_ms), &batch->failure);
}

static int
batch_subscribe(struct batch *batch)
{
	json_t *reply;

	batch->snapshot_fresh = false;
	batch->client =
	    control_connect(batch->invocation->socket, &batch->failure);
	if (batch->client == NULL)
		return -1;
	control_client_wake(batch->client, batch->signal_fd);
	reply = batch_call(batch, "subscribe",
	    json_pack("{s:b,s:b,s:s}", "snapshots", 1, "verdicts", 1, "lot",
		batch->lot_name),
	    WAIT_ANSWER_MS);
	json_decref(reply);
	return reply == NULL ? -1 : 0;
}

static int
lot_ask(struct batch *batch, const char *command, int64_t timeout_ms)
{
	json_t *reply = batch_call(batch, command,
	    json_pack("{s:s,s:s}", "lot", batch->lot_name, "operator",
		batch->invocation->operator_name),
	    timeout_ms);

	if (reply == NULL)
		return -1;
	lot_set(batch, json_object_get(reply, "lot"));
	json_decref(reply);
	return 0;
}

/*
 * Where the board stands now. Snapshots that came before are older than
 * what lot-open changed.
 */
static int
board_ask(struct batch *batch)
{
	json_t *reply = batch_call(batch, "status", NULL, WAIT_ANSWER_MS);

	if (reply == NULL)
		return -1;
	control_forget_snapshots(batch->client);
	snapshot_take(batch, json_object_get(reply, "snapshot"));
	json_decref(reply);
	batch->idle_from_ms = clock_monotonic_ms();
	return 0;
}

/*
 * Subscribes, opens the lot unless it is open, and learns what was judged
 * before. In this order no verdict can fall between.
 */
static int
batch_begin(struct batch *batch)
{
	bool was_open;

	if (batch_subscribe(batch) == -1)
		return batch_fail(batch);
	/* A lot that the ledger does not know yet is not open either. */
	was_open =
	    lot_ask(batch, "lot-show", WAIT_ANSWER_MS) == 0 && batch->lot.open;
	if (lot_ask(batch, "lot-open", WAIT_LOT_MS) == -1)
		return batch_fail(batch);
	batch->opened = !was_open;
	batch->second_visit = batch->lot.staged > 0 && batch->lot.missing == 0;
	if (batch->lot.attempts > 0 && batch_recover_before(batch) == -1)
		return batch_fail(batch);
	if (board_ask(batch) == -1)
		return batch_fail(batch);
	batch_judge(batch);
	return 0;
}

/* One try: connected, the lot still open, and nothing missed. */
static int
batch_rejoin(struct batch *batch)
{
	if (batch_subscribe(batch) == -1 ||
	    lot_ask(batch, "lot-show", WAIT_ANSWER_MS) == -1 ||
	    batch_recover_missed(batch) == -1 || board_ask(batch) == -1)
		return -1;
	return 0;
}

/* The daemon is away or not ready yet: later may help. */
static bool
failure_passes(const struct control_failure *failure)
{
	return failure->lost || failure->exit_status == EX_TEMPFAIL;
}

static void
batch_reconnect(struct batch *batch)
{
	int64_t deadline_ms = clock_deadline(AWAY_MAX_MS);
	struct pollfd signal = {.fd = batch->signal_fd, .events = POLLIN};

	batch_note(batch, "the daemon is away, trying again");
	while (batch->end == BATCH_RUNS) {
		control_client_free(batch->client);
		batch->client = NULL;
		if (batch_rejoin(batch) == 0) {
			batch_note(batch, "the daemon is back");
			return;
		}
		if (!failure_passes(&batch->failure) ||
		    clock_remaining_ms(deadline_ms) == 0) {
			batch_fail(batch);
			return;
		}
		if (poll(&signal, 1, AWAY_PAUSE_MS) > 0 && signal_came(batch))
			return;
	}
}

/* ---- the run ---- */

static int64_t
turn_deadline(const struct batch *batch)
{
	int64_t idle_ms = batch->invocation->idle_ms;
	int64_t turn_ms = clock_deadline(TURN_MS);

	if (idle_ms == 0 || batch->idle_from_ms + idle_ms > turn_ms)
		return turn_ms;
	/* A unit at work ends the idle time: a snapshot will say so. */
	if (batch->snapshot_fresh &&
	    snapshot_lot_busy(batch->snapshot, batch->lot_name))
		return turn_ms;
	return batch->idle_from_ms + idle_ms;
}

static void
batch_turn(struct batch *batch)
{
	struct control_message message = {NULL, NULL};
	int rc = control_next(
	    batch->client, turn_deadline(batch), &message, &batch->failure);

	if (rc == 1)
		message_take(batch, &message);
	else if (rc == 0)
		signal_came(batch);
	else if (batch->failure.lost)
		batch_reconnect(batch);
	else
		batch_fail(batch);
	control_message_free(&message);
	batch_judge(batch);
}

/*
 * Says the verdicts that came before the reply to the last call; snapshots
 * among them no longer matter.
 */
static void
kept_take(struct batch *batch)
{
	struct control_message message = {NULL, NULL};

	while (control_next(batch->client, clock_monotonic_ms(), &message,
		   &batch->failure) == 1) {
		if (control_message_is(&message, "verdict"))
			batch_say(batch, message.json, message.line);
		control_message_free(&message);
	}
}

static int
batch_status(const struct batch *batch)
{
	const struct snapshot_lot *lot = &batch->lot;
	bool all_passed = lot->passed + lot->staged >= lot->quantity &&
			  lot->failed + lot->quarantined + lot->scrapped == 0;

	switch (batch->end) {
	case BATCH_FAILED:
		return batch->status;
	case BATCH_HELD:
	case BATCH_CLOSED:
	case BATCH_INTERRUPTED:
		return EXIT_STOPPED;
	default:
		break;
	}
	if (batch->tally.judged == 0)
		return batch->end == BATCH_IDLE ? EX_NOINPUT
		       : all_passed		? EXIT_ALL_PASSED
						: EXIT_SOME_FAILED;
	return batch->tally.failed == 0 || all_passed ? EXIT_ALL_PASSED
						      : EXIT_SOME_FAILED;
}

/* Closes the lot, if it is ours to close, and has its last counts. */
static void
batch_close(struct batch *batch)
{
	const char *command = batch->opened && batch->end != BATCH_CLOSED
				  ? "lot-close"
				  : "lot-show";
	int rc;

	if (batch->client == NULL)
		return;
	rc = lot_ask(batch, command, WAIT_LOT_MS);
	if (rc == -1 && batch->end != BATCH_FAILED) {
		batch_fail(batch);
		return;
	}
	kept_take(batch);
}

static json_int_t
unseen_count(const struct batch *batch)
{
	json_int_t known = (json_int_t)batch->said.count;

	for (size_t i = 0; i < batch->before.count; i++)
		if (!attempt_set_has(&batch->said, batch->before.sorted[i]))
			known++;
	return (json_int_t)batch->lot.attempts - known;
}

static int
summary_print(struct batch *batch)
{
	int status = batch_status(batch);
	char sum[240];
	json_t *summary =
	    json_pack("{s:i,s:s}", "v", CONTROL_VERSION, "event", "summary");
	json_t *tail = json_pack("{s:s,s:i,s:i,s:i,s:i,s:I,s:i}", "ended",
	    end_names[batch->end], "judged", (int)batch->tally.judged, "units",
	    (int)batch->tally.units, "units_failed", (int)batch->tally.failed,
	    "recovered", (int)batch->recovered, "unseen", unseen_count(batch),
	    "exit", status);

	if (summary != NULL && tail != NULL) {
		json_object_update(summary, batch->lot_json);
		json_object_update(summary, tail);
		command_print_json(summary);
	}
	json_decref(summary);
	json_decref(tail);
	if (!batch->invocation->quiet) {
		lot_reconciliation(&batch->lot, sum, sizeof(sum));
		fprintf(stderr, "%s\n", sum);
	}
	return command_finish(status);
}

/* Signals are read from a descriptor, so that none falls between calls. */
static int
signals_open(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) == -1)
		return -1;
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

int
batch_command(const struct invocation *invocation)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	int status = EX_OSERR;

	if (batch == NULL)
		return command_error(
		    EX_OSERR, "out of memory; free some, then try again");
	batch->invocation = invocation;
	batch->lot_name = invocation->arguments[0];
	batch->signal_fd = signals_open();
	batch->snapshot = calloc(1, sizeof(*batch->snapshot));
	if (batch->signal_fd == -1 || batch->snapshot == NULL) {
		command_error(status, "%s; try again", strerror(errno));
		goto out;
	}
	if (batch_begin(batch) == 0) {
		while (batch->end == BATCH_RUNS)
			batch_turn(batch);
		batch_close(batch);
		status = summary_print(batch);
	} else {
		status = batch->status;
		if (batch->opened)
			batch_close(batch);
	}
out:
	control_client_free(batch->client);
	attempt_set_free(&batch->before);
	attempt_set_free(&batch->said);
	unit_tally_free(&batch->tally);
	json_decref(batch->lot_json);
	free(batch->snapshot);
	if (batch->signal_fd != -1)
		close(batch->signal_fd);
	free(batch);
	return status;
}
