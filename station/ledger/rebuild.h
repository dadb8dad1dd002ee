/*
 * Computes unit, unit_key, judged, tally and due again from the records, in
 * one transaction. For a ledger whose computed tables are in doubt, and for
 * the proof that they never say more than the records do.
 */
#ifndef LEDGER_REBUILD_H
#define LEDGER_REBUILD_H

#include "ledger/ledger.h"

int ledger_rebuild(struct ledger *, struct fault *);

#endif
