/*
 * A lot's report: one CSV row an attempt, and one for every manifest row
 * that no unit stands for, so that the file alone accounts for the whole
 * manifest. Columns are report_columns in report.c; times are RFC 3339, UTC.
 *
 * verdict: PASS, FAIL, ERROR, ABORTED, REFUSED; IN-PROGRESS for an attempt
 * that is under way; MISSING (or SCRAPPED, QUARANTINED) with an empty
 * attempt for a manifest row that no unit was made for.
 */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/message.h"

/*
 * Reads the ledger file in one snapshot and writes the report of the lot to
 * the descriptor, blocking as its reader does. `ledger` may be a backup.
 * counts and rows (without the header line) are filled on success; counts
 * are checked against every row of the manifest.
 * CAUSE_BAD_REQUEST: no such lot; LEDGER_ERROR: the file, or counts that do
 * not add up; INTERNAL: the descriptor could not be written.
 */
int report_write(const char *ledger, const char *lot_name, int fd,
    struct lot_counts *counts, uint64_t *rows, struct fault *);
/* The same for the ledger of a running station, by the lot's id. */
int report_write_live(const char *ledger, uint64_t lot, int fd,
    struct lot_counts *counts, uint64_t *rows, struct fault *);

#endif
