#include "report/report.h"

#include <errno.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/csv.h"
#include "ledger/counts.h"
#include "ledger/manifest.h"
#include "ledger/schema.h"
#include "ledger/unit.h"

/* A record is at most this long; the buffer is written when it holds more
 * than FLUSH_LEN. */
enum {
	RECORD_MAX = 64 * 1024,
	FLUSH_LEN = 256 * 1024
};

struct report {
	struct store store;
	uint64_t lot;
	char lot_name[NAME_LEN];
	char firmware_version[33];
	char firmware_hash[DIGEST_TEXT_LEN];
	char pattern[32];
	uint64_t first_row, rows;
	int fd;
	struct buf out;
	uint64_t written; /* records without the header */
	struct fault *fault;
};

static const char *const report_columns[] = {"lot", "serial", "mac", "attempt",
    "slot", "station", "operator", "start", "end", "firmware_version",
    "firmware_sha256", "pattern", "thing", "certificate_id", "csr_key_sha256",
    "cloud_state", "verdict", "failure_class", "cause", "action"};

/* One record; all texts, in the order of report_columns after the lot. */
struct record {
	char serial[SERIAL_LEN];
	char mac[MAC_LEN];
	char attempt[24];
	char slot[NAME_LEN], station[NAME_LEN], operator[NAME_LEN];
	char start[CLOCK_TEXT_LEN], end[CLOCK_TEXT_LEN];
	char thing[THING_LEN];
	char certificate_id[CERTIFICATE_ID_LEN];
	char key[DIGEST_TEXT_LEN];
	char cloud_state[24];
	char verdict[16];
	enum fault_cause cause;
};

static int
report_flush(struct report *report)
{
	if (report->out.failed)
		return fault_set(report->fault, CAUSE_INTERNAL,
		    "out of memory for the report");
	if (file_write_all(report->fd, report->out.data, report->out.len) != 0)
		return fault_set_errno(report->fault, CAUSE_INTERNAL, errno,
		    "cannot write the report");
	buf_drop(&report->out, report->out.len);
	return 0;
}

static int
report_record(struct report *report, const struct record *record)
{
	const struct fault_row *row = fault_row(record->cause);
	bool failed = record->cause != CAUSE_NONE;
	const char *const cells[] = {record->serial, record->mac,
	    record->attempt, record->slot, record->station, record->operator,
	    record->start, record->end, report->firmware_version,
	    report->firmware_hash, report->pattern, record->thing,
	    record->certificate_id, record->key, record->cloud_state,
	    record->verdict, failed ? fault_owner_name(row->owner) : "",
	    failed ? row->name : "", failed ? row->action : ""};
	size_t i;

	csv_add_cell(&report->out, report->lot_name, true);
	for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		csv_add_cell(&report->out, cells[i], false);
	csv_end_record(&report->out);
	report->written++;
	return report->out.len > FLUSH_LEN ? report_flush(report) : 0;
}

static void
report_header(struct report *report)
{
	size_t i;

	for (i = 0; i < sizeof(report_columns) / sizeof(report_columns[0]); i++)
		csv_add_cell(&report->out, report_columns[i], i == 0);
	csv_end_record(&report->out);
}

/* ---- attempts ---- */

static void
column_time(sqlite3_stmt *row, int column, char text[CLOCK_TEXT_LEN])
{
	text[0] = '\0';
	if (sqlite3_column_type(row, column) != SQLITE_NULL)
		clock_format(sqlite3_column_int64(row, column), text);
}

static void
record_read(sqlite3_stmt *row, struct record *record)
{
	char cause[64];
	struct digest key;

	memset(record, 0, sizeof(*record));
	store_text(row, 0, record->attempt, sizeof(record->attempt));
	store_text(row, 1, record->slot, sizeof(record->slot));
	store_text(row, 2, record->station, sizeof(record->station));
	store_text(row, 3, record->operator, sizeof(record->operator));
	column_time(row, 4, record->start);
	column_time(row, 5, record->end);
	store_text(row, 6, record->verdict, sizeof(record->verdict));
	store_text(row, 7, cause, sizeof(cause));
	store_text(
	    row, 8, record->certificate_id, sizeof(record->certificate_id));
	if (sqlite3_column_type(row, 9) != SQLITE_NULL) {
		store_digest(row, 9, &key);
		digest_text(&key, record->key);
	}
	store_text(row, 10, record->cloud_state, sizeof(record->cloud_state));
	store_text(row, 11, record->serial, sizeof(record->serial));
	store_text(row, 12, record->mac, sizeof(record->mac));
	store_text(row, 13, record->thing, sizeof(record->thing));
	if (record->serial[0] == '\0')
		store_text(row, 14, record->serial, sizeof(record->serial));
	record->cause = CAUSE_NONE;
	if (record->verdict[0] == '\0')
		text_copy(
		    record->verdict, sizeof(record->verdict), "IN-PROGRESS");
	else
		record->cause = fault_cause_by_name(cause);
	if (record->cause == CAUSE_COUNT)
		record->cause = CAUSE_INTERNAL;
}

/* lot 0: those that were begun while the lot was not open. */
static int
report_attempts(struct report *report, uint64_t lot)
{
	struct store *store = &report->store;
	struct record record;
	sqlite3_stmt *row;
	int there;

	there = store_row(store,
	    "SELECT a.id, a.slot, a.station, a.operator, b.at, e.at,"
	    " v.verdict, v.cause,"
	    " (SELECT certificate_id FROM outcome WHERE attempt = a.id"
	    " AND kind IN ('issue', 'confirm') AND done = 1"
	    " ORDER BY entry DESC LIMIT 1),"
	    " (SELECT digest FROM intent WHERE attempt = a.id"
	    " AND kind = 'issue' ORDER BY entry DESC LIMIT 1),"
	    /* A unit that passed and that ends in the field awaits its first
	     * connection, and that is right. What was rejected is REVOKED or
	     * DELETED once its obligation is discharged. */
	    " CASE WHEN v.verdict = 'PASS' AND (SELECT ending = 'field' OR"
	    " (ending = '' AND pattern = 'claim') FROM lot WHERE id = a.lot)"
	    " AND NOT EXISTS (SELECT 1 FROM outcome WHERE attempt = a.id"
	    " AND kind = 'confirm' AND done = 1) THEN 'AWAITING-CONNECTION'"
	    /* The obligations of a unit that passed are about others. */
	    " WHEN v.verdict IS NOT 'PASS'"
	    " AND EXISTS (SELECT 1 FROM obligation AS b JOIN search AS s"
	    " ON s.obligation = b.id AND s.closed = 1 WHERE b.attempt = a.id"
	    " AND b.certificate_id = (SELECT certificate_id FROM outcome"
	    " WHERE attempt = a.id AND kind IN ('issue', 'confirm')"
	    " AND done = 1 ORDER BY entry DESC LIMIT 1)) THEN CASE (SELECT "
	    "pattern FROM lot"
	    " WHERE id = a.lot) WHEN 'jitp' THEN 'REVOKED' WHEN 'jitr' THEN"
	    " 'REVOKED' ELSE 'DELETED' END ELSE"
	    " (SELECT cloud_state FROM outcome WHERE attempt = a.id"
	    " AND cloud_state <> '' AND done = 1 ORDER BY entry DESC LIMIT 1)"
	    " END,"
	    " (SELECT serial FROM gate WHERE attempt = a.id AND serial <> ''"
	    " ORDER BY bound DESC, entry DESC LIMIT 1),"
	    " (SELECT mac FROM gate WHERE attempt = a.id AND mac <> ''"
	    " ORDER BY bound DESC, entry DESC LIMIT 1),"
	    " (SELECT thing FROM gate WHERE attempt = a.id AND thing <> ''"
	    " ORDER BY bound DESC, entry DESC LIMIT 1), a.scanned"
	    " FROM attempt AS a JOIN entry AS b ON b.id = a.entry"
	    " LEFT JOIN verdict AS v ON v.attempt = a.id"
	    " LEFT JOIN entry AS e ON e.id = v.entry"
	    " WHERE a.lot IS ?1 AND (a.lot IS NOT NULL OR a.lot_name = ?2)"
	    " ORDER BY a.id",
	    VALUES(value_reference(lot), value_text(report->lot_name)), &row);
	for (; there == 1; there = store_next(store, row)) {
		record_read(row, &record);
		if (report_record(report, &record) != 0) {
			store_done(row);
			return -1;
		}
	}
	return there < 0 ? store_fault(store, report->fault) : 0;
}

/* ---- manifest rows that no unit stands for ---- */

static int
report_missing(struct report *report)
{
	struct store *store = &report->store;
	struct record record;
	sqlite3_stmt *row;
	size_t i;
	int there;

	there = store_row(store,
	    "SELECT m.serial, m.mac, coalesce(u.state, 'missing')"
	    " FROM manifest AS m LEFT JOIN unit AS u ON u.manifest = m.id"
	    " WHERE m.id >= ?1 AND m.id < ?2 AND (u.manifest IS NULL"
	    " OR (u.state IN ('scrapped', 'quarantined') AND NOT EXISTS"
	    " (SELECT 1 FROM gate AS g WHERE g.manifest = m.id"
	    " AND g.bound = 1))) ORDER BY m.id",
	    VALUES(value_integer((int64_t)report->first_row),
		value_integer((int64_t)(report->first_row + report->rows))),
	    &row);
	for (; there == 1; there = store_next(store, row)) {
		memset(&record, 0, sizeof(record));
		store_text(row, 0, record.serial, sizeof(record.serial));
		store_text(row, 1, record.mac, sizeof(record.mac));
		store_text(row, 2, record.verdict, sizeof(record.verdict));
		for (i = 0; record.verdict[i] != '\0'; i++)
			record.verdict[i] =
			    (char)toupper((unsigned char)record.verdict[i]);
		if (report_record(report, &record) != 0) {
			store_done(row);
			return -1;
		}
	}
	return there < 0 ? store_fault(store, report->fault) : 0;
}

/* ---- the sum ---- */

static uint32_t
counts_state(const struct lot_counts *counts, enum unit_state state)
{
	switch (state) {
	case UNIT_MISSING:
		return counts->missing;
	case UNIT_IN_PROGRESS:
		return counts->in_progress;
	case UNIT_PASSED:
		return counts->passed;
	case UNIT_FAILED:
		return counts->failed;
	case UNIT_STAGED:
		return counts->staged;
	case UNIT_QUARANTINED:
		return counts->quarantined;
	case UNIT_SCRAPPED:
		return counts->scrapped;
	case UNIT_STATE_COUNT:
		break;
	}
	return 0;
}

/* The tallies against the manifest itself, row by row. */
static int
report_reconcile(struct report *report, const struct lot_counts *counts)
{
	struct store *store = &report->store;
	uint32_t found[UNIT_STATE_COUNT] = {0}, count;
	char name[16];
	sqlite3_stmt *row;
	int there, state;

	there = store_row(store,
	    "SELECT coalesce(u.state, 'missing'), count(*)"
	    " FROM manifest AS m LEFT JOIN unit AS u ON u.manifest = m.id"
	    " WHERE m.id >= ?1 AND m.id < ?2 GROUP BY u.state",
	    VALUES(value_integer((int64_t)report->first_row),
		value_integer((int64_t)(report->first_row + report->rows))),
	    &row);
	for (; there == 1; there = store_next(store, row)) {
		store_text(row, 0, name, sizeof(name));
		found[unit_state_by_name(name)] =
		    (uint32_t)sqlite3_column_int64(row, 1);
	}
	if (there < 0)
		return store_fault(store, report->fault);
	for (state = 0; state < UNIT_STATE_COUNT; state++) {
		count = counts_state(counts, (enum unit_state)state);
		if (count != found[state])
			return fault_set(report->fault, CAUSE_LEDGER_ERROR,
			    "lot %s: the ledger counts %u %s and its manifest "
			    "has %u: its computed tables are damaged",
			    report->lot_name, count,
			    unit_state_name((enum unit_state)state),
			    found[state]);
	}
	return 0;
}

/* ---- all of it ---- */

static int
report_lot(struct report *report, uint64_t lot, const char *name)
{
	struct digest firmware;
	sqlite3_stmt *row;
	int there;

	there = store_row(&report->store,
	    "SELECT id, name, firmware_version, firmware_digest, pattern,"
	    " first_row, rows FROM lot WHERE id = ?1 OR name = ?2",
	    VALUES(value_integer((int64_t)lot), value_text(name)), &row);
	if (there < 0)
		return store_fault(&report->store, report->fault);
	if (there == 0 && name[0] != '\0')
		return fault_set(report->fault, CAUSE_BAD_REQUEST,
		    "%s has no lot %s", report->store.path, name);
	if (there == 0)
		return fault_set(report->fault, CAUSE_BAD_REQUEST,
		    "%s has no lot number %llu", report->store.path,
		    (unsigned long long)lot);
	report->lot = (uint64_t)sqlite3_column_int64(row, 0);
	store_text(row, 1, report->lot_name, sizeof(report->lot_name));
	store_text(
	    row, 2, report->firmware_version, sizeof(report->firmware_version));
	store_digest(row, 3, &firmware);
	digest_text(&firmware, report->firmware_hash);
	store_text(row, 4, report->pattern, sizeof(report->pattern));
	report->first_row = (uint64_t)sqlite3_column_int64(row, 5);
	report->rows = (uint64_t)sqlite3_column_int64(row, 6);
	store_done(row);
	return 0;
}

static int
report_body(struct report *report, struct lot_counts *counts)
{
	if (counts_read(&report->store, report->lot, counts) != 0)
		return store_fault(&report->store, report->fault);
	if (report_reconcile(report, counts) != 0)
		return -1;
	report_header(report);
	if (report_attempts(report, report->lot) != 0 ||
	    report_attempts(report, 0) != 0 || report_missing(report) != 0)
		return -1;
	return report_flush(report);
}

static int
report_run(const char *ledger, bool live, uint64_t lot, const char *name,
    int fd, struct lot_counts *counts, uint64_t *rows, struct fault *fault)
{
	struct report report = {.fd = fd, .fault = fault};
	int result = -1;

	*rows = 0;
	memset(counts, 0, sizeof(*counts));
	buf_init(&report.out, FLUSH_LEN + RECORD_MAX);
	if (store_open_read(&report.store, ledger, live, fault) != 0)
		goto out;
	/* One read transaction: a snapshot that commits do not change. */
	if (store_script(&report.store, "BEGIN") != 0) {
		store_fault(&report.store, fault);
		goto out;
	}
	if (schema_open(&report.store, true, fault) == 0 &&
	    report_lot(&report, lot, name) == 0)
		result = report_body(&report, counts);
	store_rollback(&report.store);
	*rows = report.written;
out:
	store_close(&report.store);
	buf_free(&report.out);
	return result;
}

int
report_write(const char *ledger, const char *lot_name, int fd,
    struct lot_counts *counts, uint64_t *rows, struct fault *fault)
{
	return report_run(ledger, false, 0, lot_name, fd, counts, rows, fault);
}

int
report_write_live(const char *ledger, uint64_t lot, int fd,
    struct lot_counts *counts, uint64_t *rows, struct fault *fault)
{
	return report_run(ledger, true, lot, "", fd, counts, rows, fault);
}
