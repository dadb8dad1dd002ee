/*
 * The numbers of a lot, from the tallies: a verdict costs the same in a lot
 * of ten and of a million.
 */
#ifndef LEDGER_COUNTS_H
#define LEDGER_COUNTS_H

#include "base/message.h"
#include "ledger/store.h"

/*
 * Fills all of it. Every row of the manifest is exactly one of passed,
 * failed, staged, quarantined, scrapped, in_progress and missing.
 *
 * first_total: units whose first attempt that was judged (PASS or FAIL;
 * faults of station, fixture and cloud do not count) lies in this lot;
 * first_passed: those that passed then.
 */
int counts_read(struct store *, uint64_t lot, struct lot_counts *);

#endif
