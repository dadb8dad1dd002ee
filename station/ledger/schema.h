/*
 * The ledger's tables, and whether a file holds them.
 *
 * Records are append-only: triggers refuse to change or delete them. Every
 * record carries the number of the entry that it belongs to, one entry a
 * request that was carried out, so that all records have one order. What the
 * gate and the counts look up (unit, unit_key, judged, tally, due) is
 * computed from the records and can be dropped and made again:
 * ledger/rebuild.h.
 *
 * Times are milliseconds since 1970, UTC. Digests are 32-byte blobs. Enums
 * are stored by name.
 */
#ifndef LEDGER_SCHEMA_H
#define LEDGER_SCHEMA_H

#include "ledger/store.h"

enum {
	SCHEMA_APPLICATION = 0x53544c31, /* "STL1", PRAGMA application_id */
	SCHEMA_VERSION = 2,		 /* PRAGMA user_version */
};

/*
 * Makes the tables in an empty file; otherwise checks that the file is a
 * ledger of this version and whole (quick_check). CAUSE_LEDGER_ERROR says
 * which it is not. With `read_only` an empty file is an error and the check
 * is left to the ledger role.
 */
int schema_open(struct store *, bool read_only, struct fault *);

/* The two indexes of the manifest, for loading many rows without them. */
int schema_manifest_indexes(struct store *, bool present);

#endif
