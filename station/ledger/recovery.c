/*
 * What becomes of an attempt whose slot is gone: a pure function of the
 * records, asked again after each step that it calls for.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "ledger/attempt.h"
#include "ledger/ledger.h"
#include "ledger/manifest.h"
#include "ledger/unit.h"
#include "lot/plan.h"

/* The steps of one attempt, and what ended its slot. */
struct recovery {
	struct store *store;
	struct attempt attempt;
	struct step_state steps[INTENT_KIND_COUNT];
	bool stands[INTENT_KIND_COUNT];
	enum fault_cause cause;
	struct message_resolve_done *done;
};

static enum step_name
recovery_step(const struct recovery *recovery)
{
	static const enum step_name names[INTENT_KIND_COUNT] = {
	    [INTENT_FLASH] = STEP_FLASH,
	    [INTENT_INJECT] = STEP_INJECT,
	    [INTENT_HANDOUT] = STEP_INJECT,
	    [INTENT_ISSUE] = STEP_REGISTER,
	    [INTENT_BIND] = STEP_REGISTER,
	    [INTENT_WRITE] = STEP_WRITE_BACK,
	    [INTENT_PREREGISTER] = STEP_REGISTER,
	    [INTENT_ACTIVATE] = STEP_ACTIVATE,
	    [INTENT_LOCK] = STEP_LOCK,
	    [INTENT_STAGE] = STEP_REGISTER,
	    [INTENT_CONFIRM] = STEP_CONFIRM,
	    [INTENT_ERASE] = STEP_ERASE,
	};
	enum step_name last =
	    recovery->attempt.gated ? STEP_GATE : STEP_PRESENT;
	uint64_t entry = 0;
	int kind;

	for (kind = 0; kind < INTENT_KIND_COUNT; kind++) {
		if (recovery->steps[kind].intent <= entry)
			continue;
		entry = recovery->steps[kind].intent;
		last = names[kind];
	}
	return last;
}

static int
recovery_close(
    struct recovery *recovery, enum fault_cause cause, const char *text)
{
	struct message_verdict *verdict = &recovery->done->verdict;

	recovery->done->action = RESOLVE_CLOSE;
	verdict->verdict = fault_row(cause)->verdict;
	if (verdict->verdict == VERDICT_NONE)
		verdict->verdict = VERDICT_ERROR;
	verdict->step = recovery_step(recovery);
	fault_set(&verdict->fault, cause,
	    "slot %s: the attempt was cut off at %s (%s): %s",
	    recovery->attempt.slot, step_name((enum step_name)verdict->step),
	    fault_row(recovery->cause)->name, text);
	return 0;
}

/* The unit may or may not hold what was to be written. */
static int
recovery_wait(struct recovery *recovery, const char *what)
{
	char text[160];

	snprintf(text, sizeof(text),
	    "whether %s was carried out is unknown until serial %s is put "
	    "back",
	    what, recovery->attempt.serial);
	return recovery_close(recovery, CAUSE_WAIT_UNIT, text);
}

/* A refusal of the gate that the slot did not live to report. */
static int
recovery_refused(struct recovery *recovery)
{
	char cause[64] = "", text[300] = "";
	sqlite3_stmt *row;
	int there;

	there = store_row(recovery->store,
	    "SELECT cause, text FROM gate WHERE attempt = ?1"
	    " ORDER BY entry DESC LIMIT 1",
	    VALUES(value_integer((int64_t)recovery->attempt.id)), &row);
	if (there < 0)
		return -1;
	if (there == 0)
		return recovery_close(
		    recovery, recovery->cause, "nothing was written");
	store_text(row, 0, cause, sizeof(cause));
	store_text(row, 1, text, sizeof(text));
	store_done(row);
	return recovery_close(recovery, fault_cause_by_name(cause), text);
}

static int
recovery_pass(struct recovery *recovery)
{
	struct message_verdict *verdict = &recovery->done->verdict;
	const struct step_state *lock = &recovery->steps[INTENT_LOCK];

	if (lock->intended && !lock->done)
		return recovery_wait(recovery, "the lock");
	recovery->done->action = RESOLVE_PASS;
	verdict->verdict = VERDICT_PASS;
	verdict->step = STEP_VERDICT;
	verdict->unverified = recovery->attempt.unverified ? 1 : 0;
	return 0;
}

/* Steps that only the slot can take, in the order of the journey. */
static const struct slot_step {
	enum intent_kind kind;
	const char *none;    /* it was not begun */
	const char *unknown; /* it was begun, and nobody knows its end */
	const char *unsure;  /* it was carried out and not verified */
} slot_steps[] = {
    {INTENT_INJECT, "no identity was written", "the injection",
	"the injection was not verified"},
    {INTENT_WRITE, "no certificate was written", "the write of its certificate",
	"the write of its certificate was not verified"},
    {INTENT_ERASE, "what it was lent was not taken back",
	"the erasure of what it was lent", "the erasure was not verified"},
};

/* What the cloud can do without the unit, in the order of the journey. */
static const struct cloud_step {
	enum intent_kind kind;
	enum resolve_action action;
} cloud_steps[] = {
    {INTENT_PREREGISTER, RESOLVE_PREREGISTER},
    {INTENT_BIND, RESOLVE_BIND},
    {INTENT_ACTIVATE, RESOLVE_ACTIVATE},
    {INTENT_CONFIRM, RESOLVE_CONFIRM},
};

static bool
recovery_lacks(const struct recovery *recovery, enum intent_kind kind)
{
	return (attempt_demands(&recovery->attempt) & PLAN_STEP(kind)) != 0 &&
	       !recovery->stands[kind];
}

/* 0: the unit has all that it is to have; 1: the verdict is given. */
static int
recovery_slot_steps(struct recovery *recovery)
{
	const struct step_state *state;
	size_t i;

	for (i = 0; i < sizeof(slot_steps) / sizeof(slot_steps[0]); i++) {
		state = &recovery->steps[slot_steps[i].kind];
		if (!recovery_lacks(recovery, slot_steps[i].kind))
			continue;
		if (state->intended && !state->answered)
			recovery_wait(recovery, slot_steps[i].unknown);
		else
			recovery_close(recovery, recovery->cause,
			    state->intended ? slot_steps[i].unsure
					    : slot_steps[i].none);
		return 1;
	}
	return 0;
}

static int
recovery_next(struct recovery *recovery)
{
	const struct step_state *issue = &recovery->steps[INTENT_ISSUE];
	const struct step_state *stage = &recovery->steps[INTENT_STAGE];
	size_t i;

	if (stage->intended && recovery->stands[INTENT_STAGE])
		return recovery_close(recovery, CAUSE_STAGED,
		    "its request for a certificate is recorded");
	if (issue->intended && !issue->answered)
		return recovery_close(recovery, recovery->cause,
		    "a certificate may have been issued; nothing was written");
	if (recovery_slot_steps(recovery) != 0)
		return 0;
	/* What is registered only, and was not, needs its unit. */
	if (recovery_lacks(recovery, INTENT_ISSUE))
		return recovery_close(
		    recovery, recovery->cause, "no certificate was registered");
	for (i = 0; i < sizeof(cloud_steps) / sizeof(cloud_steps[0]); i++) {
		if (!recovery_lacks(recovery, cloud_steps[i].kind))
			continue;
		if (cloud_steps[i].kind == INTENT_CONFIRM &&
		    !recovery->steps[INTENT_CONFIRM].intended)
			return recovery_close(recovery, recovery->cause,
			    "its first connection was not awaited yet");
		recovery->done->action = cloud_steps[i].action;
		return 0;
	}
	return recovery_pass(recovery);
}

/* What the cloud is to be told without the slot. */
static int
recovery_fill(struct recovery *recovery)
{
	const struct attempt *attempt = &recovery->attempt;
	const struct step_state *issue = &recovery->steps[INTENT_ISSUE];
	struct message_register *bind = &recovery->done->bind;
	struct manifest_entry row;

	recovery->done->lot = attempt->lot;
	text_copy(recovery->done->slot, NAME_LEN, attempt->slot);
	text_copy(bind->serial, sizeof(bind->serial), attempt->serial);
	text_copy(bind->thing, sizeof(bind->thing), attempt->thing);
	text_copy(bind->certificate_id, sizeof(bind->certificate_id),
	    issue->certificate_id);
	text_copy(bind->arn, sizeof(bind->arn), issue->arn);
	text_copy(bind->mac, sizeof(bind->mac), attempt->mac);
	recovery->done->spki = issue->digest;
	if (attempt->manifest == 0)
		return 0;
	if (manifest_find(recovery->store, attempt->manifest, &row) != 1)
		return -1;
	text_copy(bind->extra, sizeof(bind->extra), row.extra);
	if (bind->mac[0] == '\0')
		text_copy(bind->mac, sizeof(bind->mac), row.mac);
	return 0;
}

static int
recovery_read(struct recovery *recovery)
{
	int64_t sequence = 0;
	int kind, stands;

	for (kind = 0; kind < INTENT_KIND_COUNT; kind++) {
		if (step_read(recovery->store, &recovery->attempt,
			(enum intent_kind)kind, &recovery->steps[kind]) < 0)
			return -1;
		stands = step_stands(recovery->store, &recovery->attempt,
		    (enum intent_kind)kind);
		if (stands < 0)
			return -1;
		recovery->stands[kind] = stands == 1;
	}
	if (store_number(recovery->store,
		"SELECT max(sequence) FROM entry WHERE attempt = ?1",
		VALUES(value_integer((int64_t)recovery->attempt.id)),
		&sequence) < 0)
		return -1;
	recovery->done->next_sequence = (uint32_t)sequence + 1;
	return recovery_fill(recovery);
}

int
ledger_resolve(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_resolve *body = (const void *)request->body.bytes;
	struct message_resolve_done *done = answer;
	struct recovery recovery = {
	    .store = &ledger->store,
	    .cause = body->cause == CAUSE_NONE || body->cause >= CAUSE_COUNT
			 ? CAUSE_STATION_CRASH
			 : (enum fault_cause)body->cause,
	    .done = done,
	};
	int there = attempt_read(&ledger->store, request->header.attempt,
	    &recovery.attempt, &done->fault);

	if (there != 1)
		return there;
	if (recovery_read(&recovery) != 0)
		return -1;
	if (recovery.attempt.verdict != VERDICT_NONE) {
		done->action = RESOLVE_NOTHING;
		return 0;
	}
	if (!recovery.attempt.gated)
		return recovery_refused(&recovery);
	if (recovery.attempt.manifest == 0)
		return recovery_close(
		    &recovery, recovery.cause, "no identity was written");
	return recovery_next(&recovery);
}
