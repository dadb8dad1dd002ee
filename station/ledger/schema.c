#include "ledger/schema.h"

#include <stdio.h>
#include <string.h>

/* What happened; never changed, never deleted. */
static const char record_tables[] =
    /* at: when it was carried out; answer: see ledger/answer.h */
    "CREATE TABLE entry (id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " kind TEXT NOT NULL, attempt INTEGER, sequence INTEGER,"
    " answer BLOB NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX entry_request ON entry (attempt, sequence)"
    " WHERE attempt IS NOT NULL;"
    /* its rows of the manifest are first_row to first_row + rows - 1 */
    "CREATE TABLE lot (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL,"
    " name TEXT NOT NULL UNIQUE, product TEXT NOT NULL,"
    " part_number TEXT NOT NULL, quantity INTEGER NOT NULL,"
    " pattern TEXT NOT NULL, serial_from TEXT NOT NULL, cloud TEXT NOT NULL,"
    " account TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " thing_rule TEXT NOT NULL, template TEXT NOT NULL,"
    " claim_limit INTEGER NOT NULL, profile TEXT NOT NULL,"
    " firmware_version TEXT NOT NULL, lot_digest BLOB NOT NULL,"
    " profile_digest BLOB NOT NULL, firmware_digest BLOB NOT NULL,"
    " manifest_digest BLOB NOT NULL, frozen TEXT NOT NULL,"
    " first_row INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " ending TEXT NOT NULL DEFAULT '',"
    /* lot/plan.h: what a PASS demands */
    " steps TEXT NOT NULL DEFAULT '') STRICT;"
    "CREATE TABLE opening (entry INTEGER PRIMARY KEY,"
    " lot INTEGER NOT NULL REFERENCES lot (id), open INTEGER NOT NULL,"
    " operator TEXT NOT NULL, program BLOB) STRICT;"
    "CREATE INDEX opening_lot ON opening (lot);"
    "CREATE TABLE manifest (id INTEGER PRIMARY KEY, lot INTEGER NOT NULL,"
    " line INTEGER NOT NULL, serial TEXT NOT NULL, mac TEXT NOT NULL,"
    " extra TEXT NOT NULL) STRICT;"
    "CREATE TABLE attempt (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL,"
    " lot INTEGER REFERENCES lot (id), lot_name TEXT NOT NULL,"
    " number INTEGER NOT NULL, station TEXT NOT NULL, slot TEXT NOT NULL,"
    " operator TEXT NOT NULL, scanned TEXT NOT NULL,"
    " program BLOB NOT NULL) STRICT;"
    "CREATE INDEX attempt_lot ON attempt (lot);"
    /* told_*: what the device said; manifest: the row that it stands for,
     * also when it is refused; bound: the row is leased to the attempt */
    "CREATE TABLE gate (entry INTEGER PRIMARY KEY,"
    " attempt INTEGER NOT NULL REFERENCES attempt (id),"
    " told_serial TEXT NOT NULL, told_mac TEXT NOT NULL,"
    " hardware TEXT NOT NULL, unverified INTEGER NOT NULL,"
    " manifest INTEGER, bound INTEGER NOT NULL, serial TEXT NOT NULL,"
    " mac TEXT NOT NULL, thing TEXT NOT NULL, cause TEXT NOT NULL,"
    " text TEXT NOT NULL) STRICT;"
    "CREATE INDEX gate_attempt ON gate (attempt);"
    "CREATE INDEX gate_manifest ON gate (manifest)"
    " WHERE manifest IS NOT NULL;"
    "CREATE TABLE intent (entry INTEGER PRIMARY KEY,"
    " attempt INTEGER NOT NULL REFERENCES attempt (id), kind TEXT NOT NULL,"
    " digest BLOB NOT NULL, note TEXT NOT NULL) STRICT;"
    "CREATE INDEX intent_attempt ON intent (attempt, kind);"
    "CREATE INDEX intent_key ON intent (digest) WHERE kind = 'issue';"
    /* done 0: surely not carried out */
    "CREATE TABLE outcome (entry INTEGER PRIMARY KEY,"
    " intent INTEGER NOT NULL REFERENCES intent (entry),"
    " attempt INTEGER NOT NULL REFERENCES attempt (id), kind TEXT NOT NULL,"
    " done INTEGER NOT NULL, unverified INTEGER NOT NULL,"
    " digest BLOB NOT NULL, certificate_id TEXT NOT NULL,"
    " certificate TEXT NOT NULL, arn TEXT NOT NULL,"
    " cloud_state TEXT NOT NULL, request_id TEXT NOT NULL) STRICT;"
    "CREATE INDEX outcome_intent ON outcome (intent);"
    "CREATE INDEX outcome_attempt ON outcome (attempt, kind);"
    "CREATE TABLE verdict (entry INTEGER PRIMARY KEY,"
    " attempt INTEGER NOT NULL UNIQUE REFERENCES attempt (id),"
    " verdict TEXT NOT NULL, cause TEXT NOT NULL, text TEXT NOT NULL,"
    " request_id TEXT NOT NULL, step TEXT NOT NULL,"
    " unverified INTEGER NOT NULL) STRICT;"
    "CREATE TABLE disposal (entry INTEGER PRIMARY KEY, lot INTEGER NOT NULL,"
    " manifest INTEGER NOT NULL, kind TEXT NOT NULL, operator TEXT NOT NULL,"
    " reason TEXT NOT NULL) STRICT;"
    "CREATE INDEX disposal_manifest ON disposal (manifest);"
    /* a certificate that may exist and that no unit holds: known by its id,
     * or by the key and the intent that was never answered */
    "CREATE TABLE obligation (id INTEGER PRIMARY KEY,"
    " entry INTEGER NOT NULL, lot INTEGER NOT NULL,"
    " manifest INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " intent INTEGER, certificate_id TEXT NOT NULL, key BLOB,"
    " thing TEXT NOT NULL, since INTEGER NOT NULL, reason TEXT NOT NULL)"
    " STRICT;"
    "CREATE INDEX obligation_manifest ON obligation (manifest);"
    "CREATE TABLE search (entry INTEGER PRIMARY KEY,"
    " obligation INTEGER NOT NULL REFERENCES obligation (id),"
    " clean INTEGER NOT NULL, closed INTEGER NOT NULL) STRICT;";

/* Bulk registrations: the intents of their units' certificates have the note
 * "bulk ID". One without an end is under way. */
static const char bulk_tables[] =
    "CREATE TABLE bulk (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL,"
    " lot INTEGER NOT NULL REFERENCES lot (id), key TEXT NOT NULL UNIQUE,"
    " operator TEXT NOT NULL) STRICT;"
    "CREATE TABLE bulk_end (entry INTEGER PRIMARY KEY,"
    " bulk INTEGER NOT NULL UNIQUE REFERENCES bulk (id),"
    " task TEXT NOT NULL, status TEXT NOT NULL, issued INTEGER NOT NULL,"
    " refused INTEGER NOT NULL) STRICT;"
    "CREATE INDEX intent_bulk ON intent (note) WHERE note LIKE 'bulk %';";

/* What the schema before this one lacks. */
static const char from_1[] =
    "ALTER TABLE lot ADD COLUMN ending TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE lot ADD COLUMN steps TEXT NOT NULL DEFAULT '';";

/* What the records amount to; ledger/rebuild.c computes it again. */
static const char computed_tables[] =
    /* one row a manifest row that is not missing. state: enum unit_state
     * by name; before: the state that an attempt found; attempt: the
     * lease's holder; identity: something that names the serial was
     * written or issued; passed: the attempt of the PASS that counts */
    "CREATE TABLE unit (manifest INTEGER PRIMARY KEY, lot INTEGER NOT NULL,"
    " mac TEXT NOT NULL, state TEXT NOT NULL, before TEXT NOT NULL,"
    " attempt INTEGER, identity INTEGER NOT NULL, passed INTEGER) STRICT;"
    "CREATE UNIQUE INDEX unit_mac ON unit (mac) WHERE mac <> '';"
    "CREATE INDEX unit_attempt ON unit (attempt)"
    " WHERE attempt IS NOT NULL;"
    /* a device key belongs to one serial and one board */
    "CREATE TABLE unit_key (digest BLOB PRIMARY KEY,"
    " manifest INTEGER NOT NULL, mac TEXT NOT NULL, passed INTEGER)"
    " STRICT, WITHOUT ROWID;"
    /* one row a distinct unit that a verdict counted for */
    "CREATE TABLE judged (lot INTEGER NOT NULL, unit TEXT NOT NULL,"
    " first TEXT NOT NULL, last TEXT NOT NULL, cause TEXT NOT NULL,"
    " PRIMARY KEY (lot, unit)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE tally (lot INTEGER NOT NULL, kind TEXT NOT NULL,"
    " name TEXT NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY (lot, kind, name)) STRICT, WITHOUT ROWID;"
    /* open obligations: when to look, and the last complete clean scan */
    "CREATE TABLE due (obligation INTEGER PRIMARY KEY,"
    " lot INTEGER NOT NULL, at INTEGER NOT NULL, clean_at INTEGER) STRICT;";

static const char *const append_only[] = {"entry", "lot", "opening", "manifest",
    "attempt", "gate", "intent", "outcome", "verdict", "disposal", "obligation",
    "search", "bulk", "bulk_end"};

static const char index_serial[] =
    "CREATE UNIQUE INDEX manifest_serial ON manifest (serial)";
static const char index_mac[] =
    "CREATE UNIQUE INDEX manifest_mac ON manifest (mac) WHERE mac <> ''";

static int
schema_guard(struct store *store, const char *table)
{
	char sql[512];

	snprintf(sql, sizeof(sql),
	    "CREATE TRIGGER %s_keep BEFORE UPDATE ON %s BEGIN"
	    " SELECT RAISE(ABORT, 'records are append-only'); END;"
	    "CREATE TRIGGER %s_stay BEFORE DELETE ON %s BEGIN"
	    " SELECT RAISE(ABORT, 'records are append-only'); END;",
	    table, table, table, table);
	return store_script(store, sql);
}

int
schema_manifest_indexes(struct store *store, bool present)
{
	if (!present)
		return store_script(store,
		    "DROP INDEX manifest_serial; DROP INDEX manifest_mac");
	if (store_script(store, index_serial) != 0)
		return -1;
	return store_script(store, index_mac);
}

static int
schema_create(struct store *store)
{
	char sql[120];
	size_t i;

	if (store_begin(store) != 0)
		return -1;
	snprintf(sql, sizeof(sql),
	    "PRAGMA application_id = %d; PRAGMA user_version = %d",
	    SCHEMA_APPLICATION, SCHEMA_VERSION);
	if (store_script(store, record_tables) != 0 ||
	    store_script(store, bulk_tables) != 0 ||
	    store_script(store, computed_tables) != 0 ||
	    schema_manifest_indexes(store, true) != 0 ||
	    store_script(store, sql) != 0)
		goto out;
	for (i = 0; i < sizeof(append_only) / sizeof(append_only[0]); i++)
		if (schema_guard(store, append_only[i]) != 0)
			goto out;
	return store_commit(store);
out:
	store_rollback(store);
	return -1;
}

static int
schema_upgrade(struct store *store)
{
	char sql[64];

	if (store_begin(store) != 0)
		return -1;
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", SCHEMA_VERSION);
	if (store_script(store, from_1) == 0 &&
	    store_script(store, bulk_tables) == 0 &&
	    schema_guard(store, "bulk") == 0 &&
	    schema_guard(store, "bulk_end") == 0 &&
	    store_script(store, sql) == 0)
		return store_commit(store);
	store_rollback(store);
	return -1;
}

/* The first complaint of quick_check; -1 when it could not run. */
static int
schema_quick_check(struct store *store, char *text, size_t size)
{
	struct sqlite3_stmt *row;
	int there = store_row(store, "PRAGMA quick_check(1)", NULL, &row);

	if (there != 1)
		return -1;
	store_text(row, 0, text, size);
	store_done(row);
	return 0;
}

int
schema_open(struct store *store, bool read_only, struct fault *fault)
{
	int64_t application, version, tables;
	char text[200] = "";

	if (store_number(store, "PRAGMA application_id", NULL, &application) !=
		1 ||
	    store_number(store, "PRAGMA user_version", NULL, &version) != 1 ||
	    store_number(store, "SELECT count(*) FROM sqlite_schema", NULL,
		&tables) != 1)
		return store_fault(store, fault);
	if (tables == 0 && version == 0 && !read_only) {
		if (schema_create(store) != 0)
			return store_fault(store, fault);
		return 0;
	}
	if (application != SCHEMA_APPLICATION)
		return fault_set(fault, CAUSE_LEDGER_ERROR,
		    "%s is not a ledger of station", store->path);
	if (version > SCHEMA_VERSION)
		return fault_set(fault, CAUSE_LEDGER_ERROR,
		    "%s was written by a newer station (schema %lld, this one "
		    "knows %d): install that version again",
		    store->path, (long long)version, SCHEMA_VERSION);
	if (version < 1)
		return fault_set(fault, CAUSE_LEDGER_ERROR,
		    "%s has the unknown schema %lld", store->path,
		    (long long)version);
	if (read_only && version < SCHEMA_VERSION)
		return fault_set(fault, CAUSE_LEDGER_ERROR,
		    "%s has the schema of an older station: a stationd of "
		    "this version brings it up to date when it opens it",
		    store->path);
	if (read_only)
		return 0;
	if (version < SCHEMA_VERSION && schema_upgrade(store) != 0)
		return store_fault(store, fault);
	if (schema_quick_check(store, text, sizeof(text)) != 0)
		return store_fault(store, fault);
	if (strcmp(text, "ok") != 0)
		return fault_set(fault, CAUSE_LEDGER_ERROR,
		    "%s is damaged (%s): restore it from its backup",
		    store->path, text);
	return 0;
}
