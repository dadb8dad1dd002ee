#include "ledger/counts.h"

#include <string.h>

#include "base/buf.h"
#include "base/fault.h"
#include "ledger/unit.h"

static int
counts_states(struct store *store, uint64_t lot, struct lot_counts *counts)
{
	uint32_t *const fields[UNIT_STATE_COUNT] = {
	    [UNIT_IN_PROGRESS] = &counts->in_progress,
	    [UNIT_PASSED] = &counts->passed,
	    [UNIT_FAILED] = &counts->failed,
	    [UNIT_STAGED] = &counts->staged,
	    [UNIT_QUARANTINED] = &counts->quarantined,
	    [UNIT_SCRAPPED] = &counts->scrapped,
	};
	int state;

	counts->missing = counts->rows;
	for (state = UNIT_MISSING + 1; state < UNIT_STATE_COUNT; state++) {
		if (tally_get(store, lot, "state",
			unit_state_name((enum unit_state)state),
			fields[state]) != 0)
			return -1;
		counts->missing -= *fields[state];
	}
	return 0;
}

static int
counts_verdicts(struct store *store, uint64_t lot, struct lot_counts *counts)
{
	uint32_t count, failed = 0;
	int verdict;

	for (verdict = VERDICT_PASS; verdict <= VERDICT_STAGED; verdict++) {
		if (tally_get(store, lot, "verdict",
			verdict_name((enum verdict)verdict), &count) != 0)
			return -1;
		counts->attempts += count;
		if (verdict == VERDICT_REFUSED)
			counts->refused = count;
	}
	if (tally_get(store, lot, "first", "PASS", &counts->first_passed) !=
		0 ||
	    tally_get(store, lot, "first", "FAIL", &failed) != 0 ||
	    tally_get(store, lot, "obligation", "", &counts->obligations) != 0)
		return -1;
	counts->first_total = counts->first_passed + failed;
	return 0;
}

static int
counts_pareto(struct store *store, uint64_t lot, struct lot_counts *counts)
{
	enum {
		PARETO_MAX = sizeof(counts->pareto) / sizeof(counts->pareto[0])
	};
	char name[64];
	sqlite3_stmt *row;
	size_t i = 0;
	int there;

	there = store_row(store,
	    "SELECT name, count FROM tally WHERE lot = ?1"
	    " AND kind = 'cause' AND count > 0 ORDER BY count DESC, name"
	    " LIMIT ?2",
	    VALUES(value_integer((int64_t)lot), value_integer(PARETO_MAX)),
	    &row);
	for (; there == 1; there = store_next(store, row)) {
		store_text(row, 0, name, sizeof(name));
		counts->pareto[i].cause = (uint32_t)fault_cause_by_name(name);
		counts->pareto[i].count =
		    (uint32_t)sqlite3_column_int64(row, 1);
		i++;
	}
	return there;
}

int
counts_read(struct store *store, uint64_t lot, struct lot_counts *counts)
{
	sqlite3_stmt *row;
	int there;

	memset(counts, 0, sizeof(*counts));
	there = store_row(store, "SELECT quantity, rows FROM lot WHERE id = ?1",
	    VALUES(value_integer((int64_t)lot)), &row);
	if (there != 1)
		return there;
	counts->lot = lot;
	counts->quantity = (uint32_t)sqlite3_column_int64(row, 0);
	counts->rows = (uint32_t)sqlite3_column_int64(row, 1);
	store_done(row);
	if (counts_states(store, lot, counts) != 0 ||
	    counts_verdicts(store, lot, counts) != 0)
		return -1;
	return counts_pareto(store, lot, counts);
}
