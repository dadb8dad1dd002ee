#include "ledger/unit.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

static const char *const state_names[UNIT_STATE_COUNT] = {
    [UNIT_MISSING] = "missing",
    [UNIT_IN_PROGRESS] = "in-progress",
    [UNIT_PASSED] = "passed",
    [UNIT_FAILED] = "failed",
    [UNIT_STAGED] = "staged",
    [UNIT_QUARANTINED] = "quarantined",
    [UNIT_SCRAPPED] = "scrapped",
};

const char *
unit_state_name(enum unit_state state)
{
	return state_names[state];
}

enum unit_state
unit_state_by_name(const char *name)
{
	int state;

	for (state = UNIT_STATE_COUNT - 1; state > UNIT_MISSING; state--)
		if (text_equal(name, state_names[state]))
			break;
	return (enum unit_state)state;
}

bool
intent_is_identity(enum intent_kind kind)
{
	return kind == INTENT_INJECT || kind == INTENT_ISSUE ||
	       kind == INTENT_STAGE || kind == INTENT_WRITE ||
	       kind == INTENT_ERASE;
}

static void
unit_fill(sqlite3_stmt *row, struct unit *unit)
{
	char text[16];

	memset(unit, 0, sizeof(*unit));
	unit->manifest = (uint64_t)sqlite3_column_int64(row, 0);
	unit->lot = (uint64_t)sqlite3_column_int64(row, 1);
	store_text(row, 2, unit->mac, sizeof(unit->mac));
	store_text(row, 3, text, sizeof(text));
	unit->state = unit_state_by_name(text);
	store_text(row, 4, text, sizeof(text));
	unit->before = unit_state_by_name(text);
	unit->attempt = (uint64_t)sqlite3_column_int64(row, 5);
	unit->identity = sqlite3_column_int(row, 6) != 0;
	unit->passed = (uint64_t)sqlite3_column_int64(row, 7);
	store_done(row);
}

int
unit_find(
    struct store *store, uint64_t manifest, uint64_t lot, struct unit *unit)
{
	sqlite3_stmt *row;
	int there;

	there = store_row(store,
	    "SELECT manifest, lot, mac, state, before, attempt, identity,"
	    " passed FROM unit WHERE manifest = ?1",
	    VALUES(value_integer((int64_t)manifest)), &row);
	if (there == 1) {
		unit_fill(row, unit);
		return 1;
	}
	memset(unit, 0, sizeof(*unit));
	unit->manifest = manifest;
	unit->lot = lot;
	return there;
}

int
unit_find_mac(struct store *store, const char *mac, struct unit *unit)
{
	sqlite3_stmt *row;
	int there;

	there = store_row(store,
	    "SELECT manifest, lot, mac, state, before, attempt, identity,"
	    " passed FROM unit WHERE mac = ?1 AND mac <> ''",
	    VALUES(value_text(mac)), &row);
	if (there == 1)
		unit_fill(row, unit);
	return there;
}

/* ---- numbers ---- */

int
tally_add(struct store *store, uint64_t lot, const char *kind, const char *name,
    int64_t change)
{
	return store_run(store,
	    "INSERT INTO tally (lot, kind, name, count)"
	    " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (lot, kind, name)"
	    " DO UPDATE SET count = count + excluded.count",
	    VALUES(value_integer((int64_t)lot), value_text(kind),
		value_text(name), value_integer(change)));
}

int
tally_get(struct store *store, uint64_t lot, const char *kind, const char *name,
    uint32_t *count)
{
	int64_t number = 0;
	int there;

	there = store_number(store,
	    "SELECT count FROM tally WHERE lot = ?1 AND kind = ?2"
	    " AND name = ?3",
	    VALUES(value_integer((int64_t)lot), value_text(kind),
		value_text(name)),
	    &number);
	*count = (uint32_t)number;
	return there < 0 ? -1 : 0;
}

/* A missing unit has no row: the table grows with what is made only. */
static int
unit_save(struct store *store, const struct unit *unit)
{
	struct unit old;

	if (unit_find(store, unit->manifest, unit->lot, &old) < 0)
		return -1;
	if (old.state != unit->state) {
		if (old.state != UNIT_MISSING &&
		    tally_add(store, unit->lot, "state", state_names[old.state],
			-1) != 0)
			return -1;
		if (unit->state != UNIT_MISSING &&
		    tally_add(store, unit->lot, "state",
			state_names[unit->state], 1) != 0)
			return -1;
	}
	if (unit->state == UNIT_MISSING)
		return store_run(store, "DELETE FROM unit WHERE manifest = ?1",
		    VALUES(value_integer((int64_t)unit->manifest)));
	return store_run(store,
	    "INSERT INTO unit (manifest, lot, mac, state, before, attempt,"
	    " identity, passed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
	    " ON CONFLICT (manifest) DO UPDATE SET mac = excluded.mac,"
	    " state = excluded.state, before = excluded.before,"
	    " attempt = excluded.attempt, identity = excluded.identity,"
	    " passed = excluded.passed",
	    VALUES(value_integer((int64_t)unit->manifest),
		value_integer((int64_t)unit->lot), value_text(unit->mac),
		value_text(state_names[unit->state]),
		value_text(state_names[unit->before]),
		value_reference(unit->attempt), value_integer(unit->identity),
		value_reference(unit->passed)));
}

/* ---- records to bindings ---- */

int
binding_begin(struct store *store, uint64_t lot)
{
	return lot == 0 ? 0 : tally_add(store, lot, "begun", "", 1);
}

int
binding_lease(struct store *store, const struct attempt *attempt,
    uint64_t manifest, const char *mac)
{
	struct unit unit;

	if (unit_find(store, manifest, attempt->lot, &unit) < 0)
		return -1;
	if (unit.attempt != attempt->id)
		unit.before = unit.state;
	unit.state = UNIT_IN_PROGRESS;
	unit.attempt = attempt->id;
	if (mac[0] != '\0')
		text_copy(unit.mac, sizeof(unit.mac), mac);
	return unit_save(store, &unit);
}

int
binding_intent(struct store *store, const struct attempt *attempt,
    enum intent_kind kind, const struct digest *digest)
{
	struct unit unit;

	if (kind == INTENT_HANDOUT)
		return tally_add(store, attempt->lot, "handout", "", 1);
	/* A key that AWS is to make is not known yet. */
	if (kind == INTENT_ISSUE && !digest_is_zero(digest) &&
	    store_run(store,
		"INSERT INTO unit_key (digest, manifest, mac)"
		" VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO NOTHING",
		VALUES(value_digest(digest),
		    value_integer((int64_t)attempt->manifest),
		    value_text(attempt->mac))) != 0)
		return -1;
	if (!intent_is_identity(kind))
		return 0;
	if (unit_find(store, attempt->manifest, attempt->lot, &unit) < 0)
		return -1;
	unit.identity = true;
	return unit_save(store, &unit);
}

/*
 * Yield and Pareto count physical units: by their hardware address, else by
 * their serial. A unit that never said who it is counts in the Pareto, once
 * an attempt, and in no yield.
 */
static int
binding_judge(struct store *store, const struct attempt *attempt,
    const char *verdict, const char *cause)
{
	char unit[SERIAL_LEN + 32], first[16] = "", last[16] = "", old[64] = "";
	bool known = attempt->mac[0] != '\0' || attempt->serial[0] != '\0';
	bool failed = !text_equal(verdict, "PASS");
	sqlite3_stmt *row;
	int there;

	if (known)
		snprintf(unit, sizeof(unit), "%s",
		    attempt->mac[0] != '\0' ? attempt->mac : attempt->serial);
	else
		snprintf(unit, sizeof(unit), "attempt %llu",
		    (unsigned long long)attempt->id);
	there = store_row(store,
	    "SELECT first, last, cause FROM judged WHERE lot = ?1"
	    " AND unit = ?2",
	    VALUES(value_integer((int64_t)attempt->lot), value_text(unit)),
	    &row);
	if (there < 0)
		return -1;
	if (there == 1) {
		store_text(row, 0, first, sizeof(first));
		store_text(row, 1, last, sizeof(last));
		store_text(row, 2, old, sizeof(old));
		store_done(row);
	}
	if (there == 1 && !text_equal(last, "PASS") &&
	    tally_add(store, attempt->lot, "cause", old, -1) != 0)
		return -1;
	if (failed && tally_add(store, attempt->lot, "cause", cause, 1) != 0)
		return -1;
	if (first[0] == '\0' && known && !text_equal(verdict, "ERROR")) {
		text_copy(first, sizeof(first), verdict);
		if (tally_add(store, attempt->lot, "first", verdict, 1) != 0)
			return -1;
	}
	return store_run(store,
	    "INSERT INTO judged (lot, unit, first, last, cause)"
	    " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (lot, unit)"
	    " DO UPDATE SET first = excluded.first, last = excluded.last,"
	    " cause = excluded.cause",
	    VALUES(value_integer((int64_t)attempt->lot), value_text(unit),
		value_text(first), value_text(verdict), value_text(cause)));
}

static int
binding_pass(
    struct store *store, const struct attempt *attempt, struct unit *unit)
{
	unit->state = UNIT_PASSED;
	unit->passed = attempt->id;
	return store_run(store,
	    "UPDATE unit_key SET passed = ?1 WHERE manifest = ?2"
	    " AND digest IN (SELECT digest FROM intent"
	    " WHERE attempt = ?1 AND kind = 'issue')",
	    VALUES(value_integer((int64_t)attempt->id),
		value_integer((int64_t)unit->manifest)));
}

int
binding_verdict(struct store *store, const struct attempt *attempt,
    enum verdict verdict, const char *cause)
{
	const char *name = verdict_name(verdict);
	struct unit unit;

	if (attempt->lot == 0)
		return 0;
	if (tally_add(store, attempt->lot, "verdict", name, 1) != 0)
		return -1;
	if ((verdict == VERDICT_PASS || verdict == VERDICT_FAIL ||
		verdict == VERDICT_ERROR) &&
	    binding_judge(store, attempt, name, cause) != 0)
		return -1;
	if (attempt->manifest == 0)
		return 0;
	if (unit_find(store, attempt->manifest, attempt->lot, &unit) < 0)
		return -1;
	if (unit.attempt != attempt->id)
		return 0; /* disposed of while it was under way */
	unit.attempt = 0;
	if (verdict == VERDICT_PASS) {
		if (binding_pass(store, attempt, &unit) != 0)
			return -1;
		return unit_save(store, &unit);
	}
	if (verdict == VERDICT_STAGED) {
		unit.state = UNIT_STAGED;
		return unit_save(store, &unit);
	}
	/* What the unit lost by this cannot be given to it again. */
	if (text_equal(cause, fault_row(CAUSE_CLAIM_EXPIRED)->name)) {
		unit.state = UNIT_QUARANTINED;
		return unit_save(store, &unit);
	}
	unit.state =
	    verdict == VERDICT_FAIL || verdict == VERDICT_ERROR || unit.identity
		? UNIT_FAILED
		: unit.before;
	if (!unit.identity) {
		/* The lease is returned; a row that was taken only because
		 * it was free is free again. */
		unit.mac[0] = '\0';
		if (attempt->serial_from == SERIAL_FROM_NEXT)
			unit.state = UNIT_MISSING;
	}
	return unit_save(store, &unit);
}

int
binding_disposal(struct store *store, uint64_t manifest, uint64_t lot,
    enum dispose_kind kind)
{
	struct unit unit;

	if (unit_find(store, manifest, lot, &unit) < 0)
		return -1;
	unit.attempt = 0;
	if (kind == DISPOSE_SCRAP) {
		unit.state = UNIT_SCRAPPED;
	} else if (kind == DISPOSE_QUARANTINE) {
		unit.state = UNIT_QUARANTINED;
	} else {
		unit.state = UNIT_MISSING;
		unit.mac[0] = '\0';
	}
	return unit_save(store, &unit);
}

int
binding_obligation(struct store *store, uint64_t obligation, uint64_t lot,
    int64_t at_ms, bool by_key)
{
	int64_t due_ms = at_ms + (by_key ? OBLIGATION_LOST_CALL_MS : 0);

	if (store_run(store,
		"INSERT INTO due (obligation, lot, at) VALUES (?1, ?2, ?3)",
		VALUES(value_integer((int64_t)obligation),
		    value_integer((int64_t)lot), value_integer(due_ms))) != 0)
		return -1;
	return tally_add(store, lot, "obligation", "", 1);
}

int
binding_search(struct store *store, uint64_t obligation, uint64_t lot,
    int64_t at_ms, bool clean, bool closed)
{
	const struct value *values = VALUES(value_integer((int64_t)obligation),
	    value_integer(at_ms + OBLIGATION_SCANS_APART_MS),
	    value_integer(at_ms));

	if (!closed)
		return clean ? store_run(store,
				   "UPDATE due SET at = ?2, clean_at ="
				   " coalesce(clean_at, ?3)"
				   " WHERE obligation = ?1",
				   values)
			     : 0;
	if (store_run(store, "DELETE FROM due WHERE obligation = ?1",
		VALUES(value_integer((int64_t)obligation))) != 0)
		return -1;
	return tally_add(store, lot, "obligation", "", -1);
}
