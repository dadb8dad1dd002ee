/*
 * station batch: a lot made unattended. Private to the command.
 *
 * What standard output promises: one line a verdict of the lot that the
 * ledger commits while the batch runs, in the daemon's words, none twice.
 * Events are taken from before the lot is opened; when the connection is
 * lost, the batch connects again and asks for the lot's report, and says
 * what it missed from there (batch_recover.c). Such a line has
 * "recovered":true, and its "step" and "text", which the report does not
 * hold, are empty. At the end the number of attempts that the ledger counts
 * is compared with those that were said or were there before; the summary
 * has the difference as "unseen", which is 0 unless a report failed.
 */
#ifndef COMMAND_BATCH_H
#define COMMAND_BATCH_H

#include "command/command.h"
#include "command/journal.h"

enum batch_end {
	BATCH_RUNS,
	BATCH_COMPLETE,	   /* nothing is left to make */
	BATCH_UNITS,	   /* --units were judged */
	BATCH_IDLE,	   /* --idle passed */
	BATCH_HELD,	   /* the line is held */
	BATCH_CLOSED,	   /* someone closed the lot */
	BATCH_INTERRUPTED, /* a signal */
	BATCH_FAILED,	   /* `status` says why; it was reported */
};

struct batch {
	const struct invocation *invocation;
	const char *lot_name;
	int signal_fd;
	struct control_client *client;
	struct control_failure failure;
	struct snapshot *snapshot; /* the newest */
	bool snapshot_fresh;	   /* it is of this connection */
	json_t *lot_json;	   /* the lot object as it came last */
	struct snapshot_lot lot;
	struct attempt_set before; /* judged before this run */
	struct attempt_set said;
	struct unit_tally tally;
	uint32_t verdicts; /* said by this run, refusals too */
	uint32_t recovered;
	bool opened;	      /* by us: so it is closed by us */
	bool second_visit;    /* every unit was staged when it began */
	int64_t idle_from_ms; /* no unit at work since */
	enum batch_end end;
	int status; /* of BATCH_FAILED */
};

/*
 * Says a verdict on standard output unless it was said before. `line` is the
 * event's own text; null: it is made from the event. Ends the run when
 * output fails.
 */
void batch_say(struct batch *, const json_t *event, const char *line);
/* Ends the run with the failure, once, and reports it. Returns -1. */
int batch_fail(struct batch *);

/* Asks for the report and fills `before` from it. */
int batch_recover_before(struct batch *);
/* Asks for the report and says what is neither in `before` nor in `said`. */
int batch_recover_missed(struct batch *);

#endif
