/*
 * Obligations: certificates that may exist and that no unit holds. Each
 * stays open until it is discarded, or until two complete scans ten minutes
 * apart have found none.
 */
#ifndef LEDGER_OBLIGATION_H
#define LEDGER_OBLIGATION_H

#include "ledger/attempt.h"
#include "ledger/ledger.h"

/* Every issue of the attempt that was never answered. */
int obligation_unanswered(struct ledger *, const struct attempt *);
/*
 * The intent got its certificate, and calls before that one whose answers
 * were lost may have made more of them.
 */
int obligation_stray(struct ledger *, const struct attempt *, uint64_t intent);
/* Every certificate issued for the row but `keep`, which may be empty. */
int obligation_superseded(struct ledger *, uint64_t manifest, uint64_t lot,
    const char *keep, const char *reason);
/* Certificates of its thing that earlier tries of the unit have left. */
int obligation_others(
    struct ledger *, const struct attempt *, const struct message_outcome *);
/* A unit that did not pass may hold a certificate that its lot's CA signed,
 * which AWS would take at a connection. */
int obligation_rejected(struct ledger *, const struct attempt *);
/* The intent was answered after all. */
int obligation_answered(struct ledger *, uint64_t intent);
/* True (1) while a scan for this key may be under way; -1 database. */
int obligation_in_hand(struct ledger *, const struct digest *key);

#endif
