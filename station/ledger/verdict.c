/* Verdicts, and what people decide about a serial afterwards. */
#include <string.h>

#include "base/buf.h"
#include "ledger/attempt.h"
#include "ledger/counts.h"
#include "ledger/ledger.h"
#include "ledger/manifest.h"
#include "ledger/obligation.h"
#include "ledger/unit.h"
#include "lot/plan.h"

/* 0 when all that the pattern demands is there; 1 with a fault; -1. */
static int
pass_allowed(
    struct store *store, const struct attempt *attempt, struct fault *fault)
{
	uint32_t demands = attempt_demands(attempt);
	struct step_state state;
	int stands, kind;

	if (attempt->manifest == 0) {
		fault_set(fault, CAUSE_INTERNAL,
		    "attempt %llu cannot pass: no serial is bound to it",
		    (unsigned long long)attempt->id);
		return 1;
	}
	for (kind = 0; kind < INTENT_KIND_COUNT; kind++) {
		if ((demands & PLAN_STEP(kind)) == 0)
			continue;
		stands = step_stands(store, attempt, (enum intent_kind)kind);
		if (stands < 0)
			return -1;
		if (stands == 1)
			continue;
		fault_set(fault, CAUSE_INTERNAL,
		    "attempt %llu cannot pass: %s is not done and verified",
		    (unsigned long long)attempt->id,
		    intent_name((enum intent_kind)kind));
		return 1;
	}
	if (step_read(store, attempt, INTENT_LOCK, &state) < 0)
		return -1;
	if (!state.intended || state.done)
		return 0;
	fault_set(fault, CAUSE_INTERNAL,
	    "attempt %llu cannot pass: its lock was begun and not finished",
	    (unsigned long long)attempt->id);
	return 1;
}

static int
stage_allowed(
    struct store *store, const struct attempt *attempt, struct fault *fault)
{
	int stands = step_stands(store, attempt, INTENT_STAGE);

	if (stands < 0)
		return -1;
	if (stands == 1)
		return 0;
	fault_set(fault, CAUSE_INTERNAL,
	    "attempt %llu cannot be staged: its request is not recorded",
	    (unsigned long long)attempt->id);
	return 1;
}

static int
verdict_allowed(struct store *store, const struct attempt *attempt,
    const struct message_verdict *body, struct fault *fault)
{
	struct unit unit;

	if (attempt->verdict != VERDICT_NONE) {
		fault_set(fault, CAUSE_INTERNAL,
		    "attempt %llu has the verdict %s already",
		    (unsigned long long)attempt->id,
		    verdict_name(attempt->verdict));
		return 1;
	}
	if (body->verdict == VERDICT_NONE || body->verdict > VERDICT_STAGED ||
	    body->step >= STEP_NAME_COUNT || body->fault.cause >= CAUSE_COUNT) {
		fault_set(fault, CAUSE_INTERNAL,
		    "attempt %llu: a verdict that does not exist",
		    (unsigned long long)attempt->id);
		return 1;
	}
	if (body->verdict != VERDICT_PASS && body->verdict != VERDICT_STAGED)
		return 0;
	if (unit_find(store, attempt->manifest, attempt->lot, &unit) < 0)
		return -1;
	if (unit.attempt != attempt->id) {
		fault_set(fault, CAUSE_INTERNAL,
		    "attempt %llu cannot pass: it does not hold the lease of "
		    "serial %s",
		    (unsigned long long)attempt->id, attempt->serial);
		return 1;
	}
	return body->verdict == VERDICT_PASS
		   ? pass_allowed(store, attempt, fault)
		   : stage_allowed(store, attempt, fault);
}

static int
verdict_certificates(
    struct ledger *ledger, const struct attempt *attempt, enum verdict verdict)
{
	enum intent_kind holds = (attempt->steps & PLAN_STEP(INTENT_ISSUE)) != 0
				     ? INTENT_ISSUE
				     : INTENT_CONFIRM;
	struct step_state step;

	/* A staged unit's certificate is asked for later, by the lot. */
	if (verdict == VERDICT_STAGED)
		return 0;
	if (obligation_unanswered(ledger, attempt) != 0)
		return -1;
	if (verdict != VERDICT_PASS)
		return obligation_rejected(ledger, attempt);
	if (step_read(&ledger->store, attempt, holds, &step) < 0)
		return -1;
	if (step.certificate_id[0] == '\0')
		return 0; /* it will get one out in the field */
	return obligation_superseded(ledger, attempt->manifest, attempt->lot,
	    step.certificate_id, "superseded");
}

static int
verdict_record(struct ledger *ledger, const struct attempt *attempt,
    const struct message_verdict *body)
{
	enum verdict verdict = (enum verdict)body->verdict;
	const char *cause = fault_row(body->fault.cause)->name;

	if (store_run(&ledger->store,
		"INSERT INTO verdict (entry, attempt, verdict, cause, text,"
		" request_id, step, unverified)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
		VALUES(value_integer((int64_t)ledger->entry),
		    value_integer((int64_t)attempt->id),
		    value_text(verdict_name(verdict)), value_text(cause),
		    value_text(body->fault.text),
		    value_text(body->fault.request_id),
		    value_text(step_name((enum step_name)body->step)),
		    value_integer(body->unverified != 0))) != 0)
		return -1;
	manifest_row_freed(ledger, attempt->lot, attempt->manifest);
	if (binding_verdict(&ledger->store, attempt, verdict, cause) != 0)
		return -1;
	return verdict_certificates(ledger, attempt, verdict);
}

int
ledger_judge(struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_verdict *body = (const void *)request->body.bytes;
	struct message_verdict_done *done = answer;
	struct attempt attempt;
	int result = attempt_read(
	    &ledger->store, request->header.attempt, &attempt, &done->fault);

	if (result != 1)
		return result;
	result = verdict_allowed(&ledger->store, &attempt, body, &done->fault);
	if (result == 0 && verdict_record(ledger, &attempt, body) != 0)
		return -1;
	if (result < 0)
		return -1;
	return attempt.lot == 0
		   ? 0
		   : counts_read(&ledger->store, attempt.lot, &done->counts);
}

/* ---- scrap, quarantine, rework ---- */

static int
dispose_allowed(struct store *store, const struct message_dispose *body,
    struct manifest_entry *row, struct unit *unit, struct fault *fault)
{
	int there = manifest_find_serial(store, body->serial, row);

	if (there < 0)
		return -1;
	if (there == 0 || row->lot != body->lot) {
		fault_set(fault, CAUSE_BAD_REQUEST,
		    "serial %s is not in the manifest of that lot",
		    body->serial);
		return 1;
	}
	if (body->kind > DISPOSE_REWORK) {
		fault_set(fault, CAUSE_BAD_REQUEST,
		    "serial %s can be scrapped, quarantined or reworked only",
		    body->serial);
		return 1;
	}
	if (unit_find(store, row->id, row->lot, unit) < 0)
		return -1;
	if (unit->attempt != 0) {
		fault_set(fault, CAUSE_BAD_REQUEST,
		    "serial %s is at work in attempt %llu: wait for its "
		    "verdict, or abort it",
		    body->serial, (unsigned long long)unit->attempt);
		return 1;
	}
	if (unit->state == UNIT_SCRAPPED && body->kind != DISPOSE_SCRAP) {
		fault_set(fault, CAUSE_BAD_REQUEST,
		    "serial %s is scrapped, and a serial is never used for "
		    "two units",
		    body->serial);
		return 1;
	}
	return 0;
}

int
ledger_dispose(
    struct ledger *ledger, const struct message *request, void *answer)
{
	static const char *const names[] = {
	    [DISPOSE_SCRAP] = "scrap",
	    [DISPOSE_QUARANTINE] = "quarantine",
	    [DISPOSE_REWORK] = "rework",
	};
	const struct message_dispose *body = (const void *)request->body.bytes;
	struct message_done *done = answer;
	struct manifest_entry row;
	struct unit unit;
	int result =
	    dispose_allowed(&ledger->store, body, &row, &unit, &done->fault);

	if (result != 0)
		return result < 0 ? -1 : 0;
	if (store_run(&ledger->store,
		"INSERT INTO disposal (entry, lot, manifest, kind, operator,"
		" reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		VALUES(value_integer((int64_t)ledger->entry),
		    value_integer((int64_t)row.lot),
		    value_integer((int64_t)row.id),
		    value_text(names[body->kind]), value_text(body->operator),
		    value_text(body->reason))) != 0 ||
	    binding_disposal(&ledger->store, row.id, row.lot,
		(enum dispose_kind)body->kind) != 0)
		return -1;
	manifest_row_freed(ledger, row.lot, row.id);
	if (body->kind != DISPOSE_SCRAP)
		return 0;
	return obligation_superseded(ledger, row.id, row.lot, "", "scrapped");
}
