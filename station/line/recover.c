/*
 * Attempts that have no slot any more: left open by an earlier life of the
 * daemon, or by a slot process that died. What is to be done is a pure
 * function of the ledger's rows (MESSAGE_RESOLVE); here it is carried out,
 * one step at a time, until the attempt has its verdict.
 */
#include "line/line.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	RETRY_MS = 5000,
	RESTORE_MS = 100,
	RETRIES_MOST = 120, /* ten minutes of a cloud that is away */
	OBLIGATION_MS = 15000,
	OBLIGATION_NEXT_MS = 100,
};

static void resolve_ask(struct attempt *);

static void
resolve_due(void *arg)
{
	resolve_ask(arg);
}

static void
resolve_later(struct attempt *attempt, int64_t timeout_ms)
{
	if (attempt->timer == NULL)
		attempt->timer =
		    loop_timer(attempt->line->loop, resolve_due, attempt);
	if (attempt->timer != NULL)
		loop_timer_set(attempt->timer, clock_deadline(timeout_ms));
}

static void
resolve_effect(struct attempt *attempt, const struct message_resolve_done *done)
{
	static const enum intent_kind kinds[] = {
	    [RESOLVE_BIND] = INTENT_BIND,
	    [RESOLVE_PREREGISTER] = INTENT_PREREGISTER,
	    [RESOLVE_ACTIVATE] = INTENT_ACTIVATE,
	    [RESOLVE_CONFIRM] = INTENT_CONFIRM,
	};

	attempt->lot = lot_by_id(attempt->line, done->lot);
	if (attempt->lot == NULL || attempt->lot->stage != LOT_STAGE_OPEN) {
		/* The cloud does not know the lot yet. */
		resolve_later(attempt, RESTORE_MS);
		return;
	}
	text_copy(attempt->gate.serial, sizeof(attempt->gate.serial),
	    done->bind.serial);
	text_copy(
	    attempt->gate.thing, sizeof(attempt->gate.thing), done->bind.thing);
	text_copy(attempt->gate.mac, sizeof(attempt->gate.mac), done->bind.mac);
	text_copy(attempt->issued.certificate_id,
	    sizeof(attempt->issued.certificate_id), done->bind.certificate_id);
	flow_resume(attempt, kinds[done->action], &done->bind);
}

static void
resolve_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	const struct message_resolve_done *done;
	struct message_verdict verdict;
	struct fault fault;

	attempt->resolving = false;
	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		resolve_later(attempt, RETRY_MS);
		return;
	}
	done = (const void *)answer->body.bytes;
	attempt->lot = lot_by_id(attempt->line, done->lot);
	if (attempt->lot != NULL && attempt->lot->image == NULL &&
	    attempt->resolve_tries++ < RETRIES_MOST) {
		/* Its lot is just being restored, and with it its name. */
		attempt->lot = NULL;
		resolve_later(attempt, RESTORE_MS);
		return;
	}
	if (attempt->slot_name[0] == '\0')
		text_copy(
		    attempt->slot_name, sizeof(attempt->slot_name), done->slot);
	text_copy(attempt->gate.serial, sizeof(attempt->gate.serial),
	    done->bind.serial);
	switch ((enum resolve_action)done->action) {
	case RESOLVE_BIND:
	case RESOLVE_PREREGISTER:
	case RESOLVE_ACTIVATE:
	case RESOLVE_CONFIRM:
		resolve_effect(attempt, done);
		break;
	case RESOLVE_PASS:
		memset(&verdict, 0, sizeof(verdict));
		verdict.verdict = VERDICT_PASS;
		verdict.step = STEP_COMMIT;
		attempt_judge(attempt, &verdict);
		break;
	case RESOLVE_NOTHING:
		attempt_free(attempt);
		break;
	default:
		attempt_judge(attempt, &done->verdict);
		break;
	}
}

static void
resolve_ask(struct attempt *attempt)
{
	struct message_resolve resolve = {.cause = attempt->ended_by};

	if (attempt->resolving)
		return;
	attempt->resolving = true;
	line_call(attempt->line, ROLE_LEDGER, MESSAGE_RESOLVE, attempt->id, 0,
	    &resolve, sizeof(resolve), NULL, 0, resolve_done, attempt);
}

void
recover_attempt(struct attempt *attempt, enum fault_cause cause)
{
	attempt->ended_by = cause;
	if (attempt->flow.used)
		return; /* the flow comes to its end first: recover_next */
	resolve_ask(attempt);
}

void
recover_next(struct attempt *attempt, const struct fault *fault)
{
	struct message_verdict verdict;

	if (fault == NULL || fault->cause == CAUSE_NONE) {
		resolve_ask(attempt);
		return;
	}
	if (++attempt->resolve_tries <= RETRIES_MOST &&
	    (fault_row(fault->cause)->class == FAULT_CLASS_RETRY ||
		fault_row(fault->cause)->class == FAULT_CLASS_UNSURE)) {
		resolve_later(attempt, RETRY_MS);
		return;
	}
	memset(&verdict, 0, sizeof(verdict));
	verdict.fault = *fault;
	verdict.verdict = VERDICT_ERROR;
	verdict.step = STEP_REGISTER;
	attempt_judge(attempt, &verdict);
}

void
recover_ready(struct line *line, const struct message_ledger_ready *ready)
{
	struct attempt *attempt;
	uint32_t i;
	bool first = !line->ledger_ready;

	if (ready->fault.cause != CAUSE_NONE) {
		board_note(line, RING_ERROR, "%s", ready->fault.text);
		line_hold(line, ready->fault.text);
		return;
	}
	line->ledger_ready = true;
	/* A ledger that was started again knows its lots from its file. */
	if (first)
		lots_restore(line);
	for (i = 0; i < ready->attempts && i < READY_ATTEMPTS_MAX; i++) {
		attempt = attempt_adopt(line, ready->attempt[i]);
		if (attempt == NULL)
			continue;
		board_note(line, RING_NOTICE,
		    "attempt %llu was left open; it is being resolved",
		    (unsigned long long)attempt->id);
		recover_attempt(attempt, CAUSE_STATION_RESTART);
	}
	board_changed(line);
}

/* ---- certificates that may exist and that no unit holds ---- */

struct discharge {
	struct line *line;
	uint64_t obligation;
	bool busy;
};
static struct discharge discharge; /* one at a time */

static void
obligation_closed(void *arg, struct message *answer)
{
	struct discharge *now = arg;
	struct fault fault;

	call_fault(answer, &fault);
	now->busy = false;
	/* One is discharged: the next at once. One that is refused waits, and
	 * with it those behind it. */
	if (fault.cause == CAUSE_NONE)
		loop_timer_set(now->line->obligation_timer,
		    clock_deadline(OBLIGATION_NEXT_MS));
}

static void
discard_done(void *arg, struct message *answer)
{
	struct discharge *now = arg;
	struct message_obligation close_it;
	const struct message_cloud_done *done;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		now->busy = false;
		return;
	}
	memset(&close_it, 0, sizeof(close_it));
	close_it.close = now->obligation;
	/* Deleted, or a complete scan that found none: one of two. */
	done = (const void *)answer->body.bytes;
	close_it.scans_clean = strcmp(done->cloud_state, "ABSENT") == 0;
	line_call(now->line, ROLE_LEDGER, MESSAGE_OBLIGATION, 0, 0, &close_it,
	    sizeof(close_it), NULL, 0, obligation_closed, now);
}

static void
obligation_done(void *arg, struct message *answer)
{
	struct discharge *now = arg;
	struct message_obligation_done done;
	struct open_lot *lot;
	struct fault fault;

	call_fault(answer, &fault);
	now->busy = false;
	if (fault.cause != CAUSE_NONE || answer->len != sizeof(done))
		return;
	memcpy(&done, answer->body.bytes, sizeof(done));
	lot = lot_by_id(now->line, done.lot);
	if (done.obligation == 0 || lot == NULL ||
	    lot->stage != LOT_STAGE_OPEN || done.due_wall_ms > clock_wall_ms())
		return;
	done.discard.lot = lot->index;
	now->busy = true;
	now->obligation = done.obligation;
	line_call(now->line, ROLE_CLOUD, MESSAGE_DISCARD, 0, 600000,
	    &done.discard, sizeof(done.discard), NULL, 0, discard_done, now);
}

static void
obligation_due(void *arg)
{
	struct line *line = arg;
	struct message_obligation ask;

	loop_timer_set(line->obligation_timer, clock_deadline(OBLIGATION_MS));
	if (discharge.busy || !line->ledger_ready)
		return;
	discharge.line = line;
	discharge.busy = true;
	memset(&ask, 0, sizeof(ask));
	line_call(line, ROLE_LEDGER, MESSAGE_OBLIGATION, 0, 0, &ask,
	    sizeof(ask), NULL, 0, obligation_done, &discharge);
}

void
obligations_start(struct line *line)
{
	line->obligation_timer = loop_timer(line->loop, obligation_due, line);
	if (line->obligation_timer != NULL)
		loop_timer_set(
		    line->obligation_timer, clock_deadline(OBLIGATION_MS));
}
