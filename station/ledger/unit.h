/*
 * The computed tables: which manifest row is bound to what, in which state,
 * and the numbers that the counts are made of. They follow from the records
 * alone, through the binding_* functions below, which the handlers call as
 * they record and ledger/rebuild.c calls again for every record in order.
 */
#ifndef LEDGER_UNIT_H
#define LEDGER_UNIT_H

#include "base/message.h"
#include "ledger/attempt.h"
#include "ledger/store.h"

/* A manifest row is in exactly one of them. */
enum unit_state {
	UNIT_MISSING, /* nothing is bound to it */
	UNIT_IN_PROGRESS,
	UNIT_PASSED,
	UNIT_FAILED, /* its last attempt ended FAIL or ERROR */
	UNIT_STAGED, /* made; its registration in the cloud comes later */
	UNIT_QUARANTINED,
	UNIT_SCRAPPED,
	UNIT_STATE_COUNT
};
const char *unit_state_name(enum unit_state);
enum unit_state unit_state_by_name(const char *); /* MISSING when unknown */

struct unit {
	uint64_t manifest; /* its row */
	uint64_t lot;
	char mac[MAC_LEN]; /* the hardware it is bound to, or empty */
	enum unit_state state;
	enum unit_state before; /* the current attempt */
	uint64_t attempt;	/* that holds the lease, or 0 */
	bool identity;		/* something that names the serial exists */
	uint64_t passed;	/* the attempt of its PASS, or 0 */
};

/* 1 found, 0 none (a missing unit without hardware is filled in), -1. */
int unit_find(struct store *, uint64_t manifest, uint64_t lot, struct unit *);
int unit_find_mac(struct store *, const char *mac, struct unit *);

/* INJECT, ISSUE and WRITE put the serial into something that lasts. */
bool intent_is_identity(enum intent_kind);

int tally_add(struct store *, uint64_t lot, const char *kind, const char *name,
    int64_t change);
int tally_get(struct store *, uint64_t lot, const char *kind, const char *name,
    uint32_t *count);

/* An attempt of the lot began. */
int binding_begin(struct store *, uint64_t lot);
/* The row is leased to the attempt. */
int binding_lease(
    struct store *, const struct attempt *, uint64_t manifest, const char *mac);
int binding_intent(struct store *, const struct attempt *, enum intent_kind,
    const struct digest *);
/* The lease ends: the row is passed, kept or returned. */
int binding_verdict(
    struct store *, const struct attempt *, enum verdict, const char *cause);
int binding_disposal(
    struct store *, uint64_t manifest, uint64_t lot, enum dispose_kind);
/* An obligation is open until a search closes it. by_key: it follows from a
 * call whose answer was lost and that may still be carried out. */
enum {
	OBLIGATION_LOST_CALL_MS = 60 * 1000,
	OBLIGATION_SCANS_APART_MS = 10 * 60 * 1000,
};
int binding_obligation(struct store *, uint64_t obligation, uint64_t lot,
    int64_t at_ms, bool by_key);
int binding_search(struct store *, uint64_t obligation, uint64_t lot,
    int64_t at_ms, bool clean, bool closed);

#endif
