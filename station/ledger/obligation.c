#include "ledger/obligation.h"

#include <string.h>

#include "base/buf.h"
#include "ledger/unit.h"
#include "lot/plan.h"

/* What an obligation is made of; key or certificate id. */
struct obligation {
	uint64_t lot, manifest, attempt, intent;
	char certificate_id[CERTIFICATE_ID_LEN];
	struct digest key;
	bool by_key;
	int64_t since_ms;
};

static int
obligation_add(
    struct ledger *ledger, const struct obligation *own, const char *reason)
{
	int64_t id = 0;

	if (store_number(&ledger->store, "SELECT max(id) FROM obligation", NULL,
		&id) < 0)
		return -1;
	id++;
	if (store_run(&ledger->store,
		"INSERT INTO obligation (id, entry, lot, manifest, attempt,"
		" intent, certificate_id, key, thing, since, reason)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, coalesce((SELECT"
		" thing FROM gate WHERE attempt = ?5 AND bound = 1"
		" ORDER BY entry DESC LIMIT 1), ''), ?9, ?10)",
		VALUES(value_integer(id), value_integer((int64_t)ledger->entry),
		    value_integer((int64_t)own->lot),
		    value_integer((int64_t)own->manifest),
		    value_integer((int64_t)own->attempt),
		    value_reference(own->intent),
		    value_text(own->certificate_id),
		    own->by_key ? value_digest(&own->key) : value_null(),
		    value_integer(own->since_ms), value_text(reason))) != 0)
		return -1;
	return binding_obligation(&ledger->store, (uint64_t)id, own->lot,
	    ledger->now_ms, own->by_key);
}

/* The lot's own CA signs: what was not answered never left the vault. */
static bool
attempt_is_signed(const struct attempt *attempt)
{
	return attempt->pattern == PATTERN_JITP ||
	       attempt->pattern == PATTERN_JITR;
}

int
obligation_unanswered(struct ledger *ledger, const struct attempt *attempt)
{
	struct obligation own;
	sqlite3_stmt *row;
	int there;

	if (attempt_is_signed(attempt))
		return 0;

	there = store_row(&ledger->store,
	    "SELECT i.entry, i.digest, e.at FROM intent AS i"
	    " JOIN entry AS e ON e.id = i.entry"
	    " WHERE i.attempt = ?1 AND i.kind = 'issue' AND NOT EXISTS"
	    " (SELECT 1 FROM outcome AS o WHERE o.intent = i.entry)"
	    " AND NOT EXISTS (SELECT 1 FROM obligation AS b"
	    " WHERE b.intent = i.entry)",
	    VALUES(value_integer((int64_t)attempt->id)), &row);
	for (; there == 1; there = store_next(&ledger->store, row)) {
		memset(&own, 0, sizeof(own));
		own.lot = attempt->lot;
		own.manifest = attempt->manifest;
		own.attempt = attempt->id;
		own.intent = (uint64_t)sqlite3_column_int64(row, 0);
		store_digest(row, 1, &own.key);
		/* AWS deletes what it made a key for and nobody took. */
		if (digest_is_zero(&own.key))
			continue;
		own.by_key = true;
		own.since_ms = sqlite3_column_int64(row, 2);
		if (obligation_add(ledger, &own, "unanswered") != 0) {
			store_done(row);
			return -1;
		}
	}
	return there;
}

int
obligation_stray(
    struct ledger *ledger, const struct attempt *attempt, uint64_t intent)
{
	struct obligation own;
	sqlite3_stmt *row;
	int there;

	there = store_row(&ledger->store,
	    "SELECT i.digest, e.at FROM intent AS i"
	    " JOIN entry AS e ON e.id = i.entry WHERE i.entry = ?1",
	    VALUES(value_integer((int64_t)intent)), &row);
	if (there != 1)
		return there;
	memset(&own, 0, sizeof(own));
	own.lot = attempt->lot;
	own.manifest = attempt->manifest;
	own.attempt = attempt->id;
	own.by_key = true;
	store_digest(row, 0, &own.key);
	own.since_ms = sqlite3_column_int64(row, 1);
	store_done(row);
	if (digest_is_zero(&own.key))
		return 0;
	return obligation_add(ledger, &own, "stray");
}

/* One that is known by its id; once. */
static int
obligation_add_id(struct ledger *ledger, const struct attempt *attempt,
    const char *id, const char *reason)
{
	struct obligation own;
	int64_t there = 0;

	if (store_number(&ledger->store,
		"SELECT count(*) FROM obligation WHERE manifest = ?1"
		" AND certificate_id = ?2",
		VALUES(
		    value_integer((int64_t)attempt->manifest), value_text(id)),
		&there) < 0)
		return -1;
	if (there > 0)
		return 0;
	memset(&own, 0, sizeof(own));
	own.lot = attempt->lot;
	own.manifest = attempt->manifest;
	own.attempt = attempt->id;
	text_copy(own.certificate_id, sizeof(own.certificate_id), id);
	own.since_ms = ledger->now_ms;
	return obligation_add(ledger, &own, reason);
}

int
obligation_others(struct ledger *ledger, const struct attempt *attempt,
    const struct message_outcome *outcome)
{
	size_t i;

	for (i = 0; i < OTHERS_MAX; i++)
		if (outcome->others[i][0] != '\0' &&
		    strcmp(outcome->others[i], outcome->certificate_id) != 0 &&
		    obligation_add_id(
			ledger, attempt, outcome->others[i], "superseded") != 0)
			return -1;
	return 0;
}

int
obligation_rejected(struct ledger *ledger, const struct attempt *attempt)
{
	struct step_state issue, confirm;

	if (step_read(&ledger->store, attempt, INTENT_CONFIRM, &confirm) < 0)
		return -1;
	/* It went to the cloud by itself, and failed afterwards. */
	if (confirm.carried_out && confirm.certificate_id[0] != '\0')
		return obligation_add_id(
		    ledger, attempt, confirm.certificate_id, "rejected");
	/* Nor may one stay that a template made ACTIVE at once. */
	if (attempt->manifest == 0 ||
	    (!attempt_is_signed(attempt) &&
		(attempt->pattern != PATTERN_REGISTER_THING ||
		    (attempt->steps & PLAN_STEP(INTENT_ACTIVATE)) != 0)))
		return 0;
	if (step_read(&ledger->store, attempt, INTENT_ISSUE, &issue) < 0)
		return -1;
	if (!issue.carried_out)
		return 0;
	return obligation_add_id(
	    ledger, attempt, issue.certificate_id, "rejected");
}

/* The outcome of the request that is being handled has no entry yet. */
int
obligation_superseded(struct ledger *ledger, uint64_t manifest, uint64_t lot,
    const char *keep, const char *reason)
{
	struct obligation own;
	sqlite3_stmt *row;
	int there;

	there = store_row(&ledger->store,
	    "SELECT o.certificate_id, o.attempt, coalesce(e.at, ?3)"
	    " FROM gate AS g JOIN outcome AS o ON o.attempt = g.attempt"
	    " AND o.kind IN ('issue', 'confirm') AND o.done = 1"
	    " LEFT JOIN entry AS e ON e.id = o.entry"
	    " WHERE g.manifest = ?1 AND g.bound = 1"
	    " AND o.certificate_id NOT IN ('', ?2)"
	    " AND o.certificate_id NOT IN (SELECT b.certificate_id"
	    " FROM obligation AS b WHERE b.manifest = ?1)"
	    " GROUP BY o.certificate_id",
	    VALUES(value_integer((int64_t)manifest), value_text(keep),
		value_integer(ledger->now_ms)),
	    &row);
	for (; there == 1; there = store_next(&ledger->store, row)) {
		memset(&own, 0, sizeof(own));
		own.lot = lot;
		own.manifest = manifest;
		store_text(row, 0, own.certificate_id, CERTIFICATE_ID_LEN);
		own.attempt = (uint64_t)sqlite3_column_int64(row, 1);
		own.since_ms = sqlite3_column_int64(row, 2);
		if (obligation_add(ledger, &own, reason) != 0) {
			store_done(row);
			return -1;
		}
	}
	return there;
}

static int
search_add(struct ledger *ledger, uint64_t obligation, uint64_t lot, bool clean,
    bool closed)
{
	if (store_run(&ledger->store,
		"INSERT INTO search (entry, obligation, clean, closed)"
		" VALUES (?1, ?2, ?3, ?4)",
		VALUES(value_integer((int64_t)ledger->entry),
		    value_integer((int64_t)obligation), value_integer(clean),
		    value_integer(closed))) != 0)
		return -1;
	return binding_search(
	    &ledger->store, obligation, lot, ledger->now_ms, clean, closed);
}

int
obligation_answered(struct ledger *ledger, uint64_t intent)
{
	sqlite3_stmt *row;
	uint64_t obligation, lot;
	int there;

	there = store_row(&ledger->store,
	    "SELECT b.id, b.lot FROM obligation AS b"
	    " JOIN due AS d ON d.obligation = b.id WHERE b.intent = ?1",
	    VALUES(value_integer((int64_t)intent)), &row);
	if (there != 1)
		return there;
	obligation = (uint64_t)sqlite3_column_int64(row, 0);
	lot = (uint64_t)sqlite3_column_int64(row, 1);
	store_done(row);
	return search_add(ledger, obligation, lot, false, true);
}

int
obligation_in_hand(struct ledger *ledger, const struct digest *key)
{
	int64_t one;

	if (ledger->handed == 0)
		return 0;
	return store_number(&ledger->store,
	    "SELECT 1 FROM obligation WHERE id = ?1 AND key = ?2",
	    VALUES(value_integer((int64_t)ledger->handed), value_digest(key)),
	    &one);
}

/* ---- the request ---- */

static int
obligation_close(struct ledger *ledger, const struct message_obligation *body)
{
	sqlite3_stmt *row;
	bool by_key, closed;
	int64_t clean_at;
	uint64_t lot;
	int there;

	there = store_row(&ledger->store,
	    "SELECT b.key IS NOT NULL, d.clean_at, b.lot FROM due AS d"
	    " JOIN obligation AS b ON b.id = d.obligation"
	    " WHERE d.obligation = ?1",
	    VALUES(value_integer((int64_t)body->close)), &row);
	if (there != 1)
		return there; /* closed before: a resend */
	by_key = sqlite3_column_int(row, 0) != 0;
	clean_at = sqlite3_column_int64(row, 1);
	lot = (uint64_t)sqlite3_column_int64(row, 2);
	store_done(row);
	/* What is known by its id is gone when its discard succeeded; what is
	 * only suspected is gone when it was found, or was not twice: lists
	 * of AWS may lag behind what was created. */
	closed = !by_key || body->scans_clean == 0 ||
		 (clean_at != 0 &&
		     ledger->now_ms - clean_at >= OBLIGATION_SCANS_APART_MS);
	return search_add(
	    ledger, body->close, lot, body->scans_clean != 0, closed);
}

/*
 * What must never be discarded: the last certificate for the key that is
 * searched for, else the one that the unit passed with.
 */
static int
obligation_keep(
    struct ledger *ledger, uint64_t obligation, struct message_discard *discard)
{
	sqlite3_stmt *row;
	int there;

	there = store_row(&ledger->store,
	    "SELECT o.certificate_id FROM obligation AS b"
	    " JOIN intent AS i ON i.kind = 'issue' AND i.digest = b.key"
	    " JOIN outcome AS o ON o.intent = i.entry AND o.done = 1"
	    " WHERE b.id = ?1 ORDER BY o.entry DESC LIMIT 1",
	    VALUES(value_integer((int64_t)obligation)), &row);
	if (there == 0)
		there = store_row(&ledger->store,
		    "SELECT o.certificate_id FROM obligation AS b"
		    " JOIN unit AS u ON u.manifest = b.manifest"
		    " JOIN outcome AS o ON o.attempt = u.passed"
		    " AND o.kind IN ('issue', 'confirm') AND o.done = 1"
		    " WHERE b.id = ?1 AND o.certificate_id <> ''"
		    " AND u.state <> 'scrapped'"
		    " ORDER BY o.entry DESC LIMIT 1",
		    VALUES(value_integer((int64_t)obligation)), &row);
	if (there != 1)
		return there;
	store_text(row, 0, discard->keep_id, sizeof(discard->keep_id));
	store_done(row);
	return 0;
}

/* What the lot's own CA signed is kept as REVOKED: its bytes are needed. */
static int
obligation_revoke(
    struct ledger *ledger, uint64_t obligation, struct message_discard *discard)
{
	sqlite3_stmt *row;
	int there;

	there = store_row(&ledger->store,
	    "SELECT o.certificate FROM obligation AS b"
	    " JOIN lot AS l ON l.id = b.lot AND l.pattern IN ('jitp', 'jitr')"
	    " JOIN outcome AS o ON o.certificate_id = b.certificate_id"
	    " AND o.kind = 'issue' AND o.certificate <> ''"
	    " JOIN gate AS g ON g.attempt = o.attempt AND g.bound = 1"
	    " AND g.manifest = b.manifest WHERE b.id = ?1 LIMIT 1",
	    VALUES(value_integer((int64_t)obligation)), &row);
	if (there != 1)
		return there;
	store_text(row, 0, discard->revoke, sizeof(discard->revoke));
	store_done(row);
	return 0;
}

/*
 * The next one after the one handed out last, so that one that cannot be
 * discharged does not stop those behind it; never one whose unit is in a
 * slot, where the certificate may be about to be used, or whose lot is in a
 * bulk registration.
 */
static int
obligation_next(struct ledger *ledger, struct message_obligation_done *done)
{
	sqlite3_stmt *row;
	int there;

	there = store_row(&ledger->store,
	    "SELECT b.id, b.lot, d.at, b.certificate_id, b.thing, b.key,"
	    " b.since FROM due AS d JOIN obligation AS b"
	    " ON b.id = d.obligation LEFT JOIN unit AS u"
	    " ON u.manifest = b.manifest WHERE u.attempt IS NULL"
	    " AND NOT EXISTS (SELECT 1 FROM bulk AS k WHERE k.lot = b.lot"
	    " AND NOT EXISTS (SELECT 1 FROM bulk_end AS n"
	    " WHERE n.bulk = k.id))"
	    " ORDER BY d.at > ?1, b.id <= ?2, d.at, b.id LIMIT 1",
	    VALUES(value_integer(ledger->now_ms),
		value_integer((int64_t)ledger->handed)),
	    &row);
	if (there != 1)
		return there;
	done->obligation = (uint64_t)sqlite3_column_int64(row, 0);
	done->lot = (uint64_t)sqlite3_column_int64(row, 1);
	done->due_wall_ms = sqlite3_column_int64(row, 2);
	store_text(row, 3, done->discard.certificate_id, CERTIFICATE_ID_LEN);
	store_text(row, 4, done->discard.thing, THING_LEN);
	store_digest(row, 5, &done->discard.spki);
	done->discard.since_wall_ms = sqlite3_column_int64(row, 6);
	store_done(row);
	if (obligation_revoke(ledger, done->obligation, &done->discard) < 0)
		return -1;
	return obligation_keep(ledger, done->obligation, &done->discard);
}

int
ledger_oblige(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_obligation *body =
	    (const void *)request->body.bytes;
	struct message_obligation_done *done = answer;

	if (body->close != 0 && obligation_close(ledger, body) < 0)
		return -1;
	if (obligation_next(ledger, done) < 0)
		return -1;
	/* One that is not due yet is only announced. */
	ledger->handed =
	    done->due_wall_ms <= ledger->now_ms ? done->obligation : 0;
	return 0;
}
