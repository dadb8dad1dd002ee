#include "ledger/rebuild.h"

#include "base/buf.h"
#include "ledger/unit.h"

/* The records of one entry, in the order in which handlers bind them. */

static int
rebuild_attempt(struct store *store, int64_t entry)
{
	int64_t lot = 0;
	int there =
	    store_number(store, "SELECT lot FROM attempt WHERE entry = ?1",
		VALUES(value_integer(entry)), &lot);

	return there == 1 ? binding_begin(store, (uint64_t)lot) : there;
}

static int
rebuild_gate(struct store *store, int64_t entry)
{
	struct attempt attempt;
	char mac[MAC_LEN];
	uint64_t id, manifest;
	sqlite3_stmt *row;
	int there = store_row(store,
	    "SELECT attempt, manifest, mac FROM gate WHERE entry = ?1"
	    " AND bound = 1",
	    VALUES(value_integer(entry)), &row);

	if (there != 1)
		return there;
	id = (uint64_t)sqlite3_column_int64(row, 0);
	manifest = (uint64_t)sqlite3_column_int64(row, 1);
	store_text(row, 2, mac, sizeof(mac));
	store_done(row);
	if (attempt_read(store, id, &attempt, NULL) != 1)
		return -1;
	return binding_lease(store, &attempt, manifest, mac);
}

static int
rebuild_intent(struct store *store, int64_t entry)
{
	struct attempt attempt;
	struct digest digest;
	char kind[32];
	uint64_t id;
	sqlite3_stmt *row;
	int there = store_row(store,
	    "SELECT attempt, kind, digest FROM intent WHERE entry = ?1",
	    VALUES(value_integer(entry)), &row);

	if (there != 1)
		return there;
	id = (uint64_t)sqlite3_column_int64(row, 0);
	store_text(row, 1, kind, sizeof(kind));
	store_digest(row, 2, &digest);
	store_done(row);
	if (attempt_read_before(store, id, (uint64_t)entry, &attempt, NULL) !=
	    1)
		return -1;
	return binding_intent(store, &attempt, intent_by_name(kind), &digest);
}

static int
rebuild_verdict(struct store *store, int64_t entry)
{
	struct attempt attempt;
	char cause[64];
	uint64_t id;
	sqlite3_stmt *row;
	int there = store_row(store,
	    "SELECT attempt, cause FROM verdict WHERE entry = ?1",
	    VALUES(value_integer(entry)), &row);

	if (there != 1)
		return there;
	id = (uint64_t)sqlite3_column_int64(row, 0);
	store_text(row, 1, cause, sizeof(cause));
	store_done(row);
	if (attempt_read_before(store, id, (uint64_t)entry, &attempt, NULL) !=
	    1)
		return -1;
	return binding_verdict(store, &attempt, attempt.verdict, cause);
}

static int
rebuild_disposal(struct store *store, int64_t entry)
{
	enum dispose_kind kind = DISPOSE_SCRAP;
	char text[16];
	uint64_t manifest, lot;
	sqlite3_stmt *row;
	int there = store_row(store,
	    "SELECT manifest, lot, kind FROM disposal WHERE entry = ?1",
	    VALUES(value_integer(entry)), &row);

	if (there != 1)
		return there;
	manifest = (uint64_t)sqlite3_column_int64(row, 0);
	lot = (uint64_t)sqlite3_column_int64(row, 1);
	store_text(row, 2, text, sizeof(text));
	store_done(row);
	if (text_equal(text, "quarantine"))
		kind = DISPOSE_QUARANTINE;
	else if (text_equal(text, "rework"))
		kind = DISPOSE_REWORK;
	return binding_disposal(store, manifest, lot, kind);
}

static int
rebuild_search(struct store *store, int64_t entry, int64_t at_ms)
{
	uint64_t obligation, lot;
	bool clean, closed;
	sqlite3_stmt *row;
	int there = store_row(store,
	    "SELECT s.obligation, b.lot, s.clean, s.closed FROM search AS s"
	    " JOIN obligation AS b ON b.id = s.obligation"
	    " WHERE s.entry = ?1",
	    VALUES(value_integer(entry)), &row);

	if (there != 1)
		return there;
	obligation = (uint64_t)sqlite3_column_int64(row, 0);
	lot = (uint64_t)sqlite3_column_int64(row, 1);
	clean = sqlite3_column_int(row, 2) != 0;
	closed = sqlite3_column_int(row, 3) != 0;
	store_done(row);
	return binding_search(store, obligation, lot, at_ms, clean, closed);
}

static int
rebuild_obligations(struct store *store, int64_t entry, int64_t at_ms)
{
	sqlite3_stmt *row;
	int there = store_row(store,
	    "SELECT id, lot, key IS NOT NULL FROM obligation"
	    " WHERE entry = ?1 ORDER BY id",
	    VALUES(value_integer(entry)), &row);

	for (; there == 1; there = store_next(store, row)) {
		if (binding_obligation(store,
			(uint64_t)sqlite3_column_int64(row, 0),
			(uint64_t)sqlite3_column_int64(row, 1), at_ms,
			sqlite3_column_int(row, 2) != 0) != 0) {
			store_done(row);
			return -1;
		}
	}
	return there;
}

static int
rebuild_entry(struct store *store, int64_t entry, int64_t at_ms)
{
	if (rebuild_attempt(store, entry) != 0 ||
	    rebuild_gate(store, entry) != 0 ||
	    rebuild_intent(store, entry) != 0 ||
	    rebuild_verdict(store, entry) != 0 ||
	    rebuild_disposal(store, entry) != 0 ||
	    rebuild_search(store, entry, at_ms) != 0)
		return -1;
	return rebuild_obligations(store, entry, at_ms);
}

int
ledger_rebuild(struct ledger *ledger, struct fault *fault)
{
	struct store *store = &ledger->store;
	sqlite3_stmt *row = NULL;
	int there = -1;

	if (store_begin(store) != 0)
		return store_fault(store, fault);
	if (store_script(store,
		"DELETE FROM unit; DELETE FROM unit_key; DELETE FROM judged;"
		"DELETE FROM tally; DELETE FROM due") != 0)
		goto out;
	there = store_row(
	    store, "SELECT id, at FROM entry ORDER BY id", NULL, &row);
	while (there == 1) {
		if (rebuild_entry(store, sqlite3_column_int64(row, 0),
			sqlite3_column_int64(row, 1)) != 0) {
			store_done(row);
			there = -1;
			break;
		}
		there = store_next(store, row);
	}
out:
	if (there == 0 && store_commit(store) == 0)
		return 0;
	store_rollback(store);
	return store_fault(store, fault);
}
