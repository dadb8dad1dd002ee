/*
 * Intents and outcomes, and the order that they must come in. The slot says
 * what it is about to do; whether it may is decided here, from the records.
 */
#include <string.h>

#include "base/buf.h"
#include "ledger/attempt.h"
#include "ledger/ledger.h"
#include "ledger/manifest.h"
#include "ledger/obligation.h"
#include "ledger/unit.h"
#include "lot/plan.h"

/*
 * What must be carried out (verified, where it can be) before each step, as
 * far as the lot demands it at all: bit k stands for the intent of kind k.
 */
#define NEED(kind) PLAN_STEP(kind)

static const uint32_t rules[INTENT_KIND_COUNT] = {
    [INTENT_PREREGISTER] = NEED(INTENT_INJECT),
    [INTENT_BIND] = NEED(INTENT_ISSUE),
    [INTENT_WRITE] = NEED(INTENT_ISSUE),
    /* A certificate is inactive until its unit has it. */
    [INTENT_ACTIVATE] = NEED(INTENT_PREREGISTER) | NEED(INTENT_ISSUE) |
			NEED(INTENT_BIND) | NEED(INTENT_WRITE),
    [INTENT_CONFIRM] = NEED(INTENT_INJECT) | NEED(INTENT_PREREGISTER) |
		       NEED(INTENT_ISSUE) | NEED(INTENT_WRITE),
    [INTENT_ERASE] = NEED(INTENT_CONFIRM),
    /* Locking comes last: it cannot be undone. */
    [INTENT_LOCK] = UINT32_MAX,
};

/* What must stand before the step, in this attempt. */
static uint32_t
step_rests_on(const struct attempt *attempt, enum intent_kind kind)
{
	return rules[kind] & attempt_demands(attempt) & ~NEED(kind);
}

/* Steps that a lot may have beside those that its PASS demands. */
static bool
step_belongs(const struct attempt *attempt, enum intent_kind kind)
{
	if (kind == INTENT_FLASH || kind == INTENT_LOCK)
		return true;
	if (kind == INTENT_HANDOUT)
		return (attempt->steps &
			   (NEED(INTENT_INJECT) | NEED(INTENT_ERASE))) != 0 ||
		       attempt->ending == ENDING_PROXY;
	return (attempt->steps & NEED(kind)) != 0;
}

static int
step_refused(struct fault *fault, enum intent_kind kind,
    const struct attempt *attempt, const char *why)
{
	fault_set(fault, CAUSE_INTERNAL, "attempt %llu may not %s now: %s",
	    (unsigned long long)attempt->id, intent_name(kind), why);
	return 1;
}

int
step_stands(
    struct store *store, const struct attempt *attempt, enum intent_kind kind)
{
	struct step_state state, base;
	int under;

	if (step_read(store, attempt, kind, &state) < 0)
		return -1;
	if (!state.done)
		return 0;
	for (under = 0; under < INTENT_KIND_COUNT; under++) {
		if ((step_rests_on(attempt, kind) & NEED(under)) == 0)
			continue;
		if (step_read(store, attempt, (enum intent_kind)under, &base) <
		    0)
			return -1;
		if (base.intent > state.intent)
			return 0;
	}
	return 1;
}

/* 0 when the step before it stands; 1 with a fault; -1. */
static int
step_needs(struct store *store, const struct attempt *attempt,
    enum intent_kind kind, enum intent_kind needed, struct fault *fault)
{
	int stands = step_stands(store, attempt, needed);

	if (stands != 0)
		return stands < 0 ? -1 : 0;
	fault_set(fault, CAUSE_INTERNAL,
	    "attempt %llu may not %s before %s is done and verified",
	    (unsigned long long)attempt->id, intent_name(kind),
	    intent_name(needed));
	return 1;
}

/* What was put into the unit must not be erased unseen. */
static int
flash_allowed(
    struct store *store, const struct attempt *attempt, struct fault *fault)
{
	struct step_state state;
	int kind;

	for (kind = 0; kind < INTENT_KIND_COUNT; kind++) {
		if (!intent_is_identity((enum intent_kind)kind))
			continue;
		if (step_read(store, attempt, (enum intent_kind)kind, &state) <
		    0)
			return -1;
		if (state.intended)
			return step_refused(fault, INTENT_FLASH, attempt,
			    "its identity would be erased");
	}
	return 0;
}

/* A flash that was begun must have ended well before anything is put in. */
static int
step_flashed(struct store *store, const struct attempt *attempt,
    enum intent_kind kind, struct fault *fault)
{
	struct step_state state;

	if (kind == INTENT_FLASH)
		return flash_allowed(store, attempt, fault);
	if (step_read(store, attempt, INTENT_FLASH, &state) < 0)
		return -1;
	if (!state.intended || state.carried_out)
		return 0;
	return step_refused(
	    fault, kind, attempt, "its flash was begun and not finished");
}

static int
step_allowed(struct store *store, const struct attempt *attempt,
    enum intent_kind kind, struct fault *fault)
{
	uint32_t needs = step_rests_on(attempt, kind);
	int needed, result;

	if (kind == INTENT_CONFIRM && attempt->verdict == VERDICT_PASS)
		return 0; /* a first article, at its first connection */
	if (attempt->verdict != VERDICT_NONE)
		return step_refused(
		    fault, kind, attempt, "it has its verdict already");
	if (!attempt->gated)
		return step_refused(
		    fault, kind, attempt, "the gate has not let it through");
	/* Flashing alone may come before a serial is bound. */
	if (kind != INTENT_FLASH && attempt->manifest == 0)
		return step_refused(
		    fault, kind, attempt, "no serial is bound to it");
	if (!step_belongs(attempt, kind))
		return step_refused(
		    fault, kind, attempt, "the lot's pattern has no such step");
	result = step_flashed(store, attempt, kind, fault);
	for (needed = 0; result == 0 && needed < INTENT_KIND_COUNT; needed++)
		if ((needs & NEED(needed)) != 0)
			result = step_needs(store, attempt, kind,
			    (enum intent_kind)needed, fault);
	return result;
}

/* ---- what single kinds need besides ---- */

static int
handout_allowed(
    struct store *store, const struct attempt *attempt, struct fault *fault)
{
	uint32_t used;

	if (tally_get(store, attempt->lot, "handout", "", &used) != 0)
		return -1;
	/* 0: what is handed out is the unit's own, or a network's password. */
	if (attempt->claim_limit == 0 || used < attempt->claim_limit)
		return 0;
	fault_set(fault, CAUSE_CLAIM_EXHAUSTED,
	    "lot %s: the claim key was handed out %u times, and its limit is "
	    "%u",
	    attempt->lot_name, used, attempt->claim_limit);
	return 1;
}

static int
inject_allowed(
    struct store *store, const struct attempt *attempt, struct fault *fault)
{
	struct step_state handout;

	if (step_read(store, attempt, INTENT_HANDOUT, &handout) < 0)
		return -1;
	if (handout.intended)
		return 0;
	return step_refused(fault, INTENT_INJECT, attempt,
	    "the claim key was not handed out to it");
}

/* A device key is new, or this very unit's and not yet used for a PASS. */
static int
key_allowed(struct ledger *ledger, const struct attempt *attempt,
    const struct digest *key, struct fault *fault)
{
	char serial[SERIAL_LEN], mac[MAC_LEN];
	sqlite3_stmt *row;
	bool own, passed;
	int there;

	if (digest_is_zero(key))
		return 0; /* AWS makes it */
	there = store_row(&ledger->store,
	    "SELECT k.manifest = ?2 AND k.mac = ?3, k.passed IS NOT NULL,"
	    " m.serial, k.mac FROM unit_key AS k"
	    " JOIN manifest AS m ON m.id = k.manifest WHERE k.digest = ?1",
	    VALUES(value_digest(key), value_integer((int64_t)attempt->manifest),
		value_text(attempt->mac)),
	    &row);
	if (there != 1)
		return there;
	own = sqlite3_column_int(row, 0) != 0;
	passed = sqlite3_column_int(row, 1) != 0;
	store_text(row, 2, serial, sizeof(serial));
	store_text(row, 3, mac, sizeof(mac));
	store_done(row);
	if (own && !passed) {
		there = obligation_in_hand(ledger, key);
		if (there == 1)
			fault_set(fault, CAUSE_CLOUD_UNSURE,
			    "serial %s: a stray certificate of this key is "
			    "being looked for; put the unit back in a minute",
			    serial);
		return there;
	}
	if (own)
		fault_set(fault, CAUSE_KEY_REUSED,
		    "serial %s: the unit passed with this key before; a unit "
		    "that is made again needs a new one",
		    serial);
	else
		fault_set(fault, CAUSE_KEY_REUSED,
		    "serial %s has the key of serial %s (board %s)",
		    attempt->serial, serial, mac[0] != '\0' ? mac : "unknown");
	return 1;
}

static int
kind_allowed(struct ledger *ledger, const struct attempt *attempt,
    enum intent_kind kind, const struct digest *digest, struct fault *fault)
{
	struct store *store = &ledger->store;

	if (kind == INTENT_HANDOUT)
		return handout_allowed(store, attempt, fault);
	if (kind == INTENT_INJECT)
		return inject_allowed(store, attempt, fault);
	if (kind == INTENT_ISSUE)
		return key_allowed(ledger, attempt, digest, fault);
	return 0;
}

/* What earlier attempts left of this key, for the line. */
static int
issue_known(struct ledger *ledger, const struct attempt *attempt,
    const struct digest *key, struct message_intent_done *done)
{
	struct store *store = &ledger->store;
	int64_t since_ms = 0;
	sqlite3_stmt *row;
	int there;

	if (digest_is_zero(key))
		return 0;
	if (store_number(store,
		"SELECT coalesce(min(e.at), 0) FROM intent AS i"
		" JOIN entry AS e ON e.id = i.entry WHERE i.kind = 'issue'"
		" AND i.digest = ?1 AND i.entry < ?2 AND NOT EXISTS"
		" (SELECT 1 FROM outcome AS o WHERE o.intent = i.entry)",
		VALUES(
		    value_digest(key), value_integer((int64_t)ledger->entry)),
		&since_ms) < 0)
		return -1;
	done->look_up = since_ms > 0 ? 1 : 0;
	done->since_wall_ms = since_ms;
	there = store_row(store,
	    "SELECT o.certificate_id, o.certificate, o.arn FROM intent AS i"
	    " JOIN outcome AS o ON o.intent = i.entry AND o.done = 1"
	    " WHERE i.kind = 'issue' AND i.digest = ?1"
	    " AND o.certificate_id NOT IN (SELECT b.certificate_id"
	    " FROM obligation AS b WHERE b.manifest = ?2)"
	    " ORDER BY o.entry DESC LIMIT 1",
	    VALUES(
		value_digest(key), value_integer((int64_t)attempt->manifest)),
	    &row);
	if (there != 1)
		return there;
	store_text(row, 0, done->known_id, sizeof(done->known_id));
	store_text(
	    row, 1, done->known_certificate, sizeof(done->known_certificate));
	store_text(row, 2, done->arn, sizeof(done->arn));
	store_done(row);
	return 0;
}

static int
intent_record(struct ledger *ledger, uint64_t id, enum intent_kind kind,
    const struct digest *digest, const char *note,
    struct message_intent_done *done)
{
	struct attempt attempt;
	int result = attempt_read(&ledger->store, id, &attempt, &done->fault);

	if (result != 1)
		return result;
	result = step_allowed(&ledger->store, &attempt, kind, &done->fault);
	if (result == 0)
		result =
		    kind_allowed(ledger, &attempt, kind, digest, &done->fault);
	if (result != 0)
		return result < 0 ? -1 : 0;
	if (store_run(&ledger->store,
		"INSERT INTO intent (entry, attempt, kind, digest, note)"
		" VALUES (?1, ?2, ?3, ?4, ?5)",
		VALUES(value_integer((int64_t)ledger->entry),
		    value_integer((int64_t)id), value_text(intent_name(kind)),
		    value_digest(digest), value_text(note))) != 0 ||
	    binding_intent(&ledger->store, &attempt, kind, digest) != 0)
		return -1;
	if (kind != INTENT_ISSUE)
		return 0;
	return issue_known(ledger, &attempt, digest, done);
}

int
ledger_intend(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_intent *body = (const void *)request->body.bytes;
	struct message_intent_done *done = answer;

	if (body->kind >= INTENT_KIND_COUNT) {
		fault_set(&done->fault, CAUSE_INTERNAL, "there is no intent %u",
		    body->kind);
		return 0;
	}
	return intent_record(ledger, request->header.attempt,
	    (enum intent_kind)body->kind, &body->digest, body->note, done);
}

/* ---- outcomes ---- */

/* 0 when it can be recorded; 1 with a fault. */
static int
outcome_check(const struct attempt *attempt, const struct message_outcome *body,
    const struct step_state *state, struct fault *fault)
{
	const char *name = intent_name((enum intent_kind)body->kind);

	if (!state->intended) {
		fault_set(fault, CAUSE_INTERNAL,
		    "attempt %llu has an outcome of %s without an intent",
		    (unsigned long long)attempt->id, name);
		return 1;
	}
	if (body->kind == INTENT_ISSUE && body->done != 0 &&
	    body->certificate_id[0] == '\0') {
		fault_set(fault, CAUSE_INTERNAL,
		    "attempt %llu has an outcome of %s without a certificate",
		    (unsigned long long)attempt->id, name);
		return 1;
	}
	return 0;
}

static int
outcome_insert(struct ledger *ledger, const struct attempt *attempt,
    const struct message_outcome *body, uint64_t intent)
{
	return store_run(&ledger->store,
	    "INSERT INTO outcome (entry, intent, attempt, kind, done,"
	    " unverified, digest, certificate_id, certificate, arn,"
	    " cloud_state, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
	    " ?9, ?10, ?11, ?12)",
	    VALUES(value_integer((int64_t)ledger->entry),
		value_integer((int64_t)intent),
		value_integer((int64_t)attempt->id),
		value_text(intent_name((enum intent_kind)body->kind)),
		value_integer(body->done != 0),
		value_integer(body->unverified != 0),
		value_digest(&body->digest), value_text(body->certificate_id),
		value_text(body->certificate), value_text(body->arn),
		value_text(body->cloud_state), value_text(body->request_id)));
}

/*
 * A certificate that arrives after its unit was finished with another one,
 * or was scrapped, is nobody's.
 */
static int
outcome_late(
    struct ledger *ledger, const struct attempt *attempt, uint64_t intent)
{
	struct attempt passed = {.id = 0};
	struct step_state issue = {.intended = false};
	struct unit unit;

	if (attempt->verdict == VERDICT_NONE)
		return 0;
	if (obligation_answered(ledger, intent) < 0 ||
	    unit_find(&ledger->store, attempt->manifest, attempt->lot, &unit) <
		0)
		return -1;
	if (unit.passed == 0 && unit.state != UNIT_SCRAPPED)
		return 0;
	passed.id = unit.state == UNIT_SCRAPPED ? 0 : unit.passed;
	if (step_read(&ledger->store, &passed, INTENT_ISSUE, &issue) < 0)
		return -1;
	return obligation_superseded(ledger, attempt->manifest, attempt->lot,
	    issue.certificate_id, "late");
}

int
outcome_record(struct ledger *ledger, const struct attempt *attempt,
    const struct message_outcome *body, uint64_t intent)
{
	if (outcome_insert(ledger, attempt, body, intent) != 0)
		return -1;
	if (body->kind == INTENT_CONFIRM &&
	    obligation_others(ledger, attempt, body) != 0)
		return -1;
	if (body->kind == INTENT_ISSUE && body->stray > 0 &&
	    obligation_stray(ledger, attempt, intent) < 0)
		return -1;
	if (body->kind != INTENT_ISSUE || body->done == 0)
		return 0;
	return outcome_late(ledger, attempt, intent);
}

/*
 * Outcomes are taken also after the verdict: what is known to have happened
 * is recorded whenever it becomes known.
 */
int
ledger_outcome(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_outcome *body = (const void *)request->body.bytes;
	struct message_done *done = answer;
	struct attempt attempt;
	struct step_state state;
	int there = attempt_read(
	    &ledger->store, request->header.attempt, &attempt, &done->fault);

	if (there != 1)
		return there;
	if (body->kind >= INTENT_KIND_COUNT) {
		fault_set(&done->fault, CAUSE_INTERNAL, "there is no intent %u",
		    body->kind);
		return 0;
	}
	if (step_read(&ledger->store, &attempt, (enum intent_kind)body->kind,
		&state) < 0)
		return -1;
	if (outcome_check(&attempt, body, &state, &done->fault) != 0)
		return 0;
	return outcome_record(ledger, &attempt, body, state.intent);
}
