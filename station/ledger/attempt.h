/*
 * What the records say about one attempt, and about the lot it belongs to.
 */
#ifndef LEDGER_ATTEMPT_H
#define LEDGER_ATTEMPT_H

#include "base/message.h"
#include "ledger/ledger.h"
#include "lot/lot.h"

struct attempt {
	uint64_t id;
	char slot[NAME_LEN];
	char scanned[SERIAL_LEN];
	enum verdict verdict; /* VERDICT_NONE while it is under way */
	/* Its lot; id 0 when none was open. */
	uint64_t lot;
	char lot_name[NAME_LEN];
	bool lot_open;
	enum pattern pattern;
	enum ending ending;
	uint32_t steps; /* that a PASS demands: lot/plan.h */
	enum serial_source serial_from;
	uint32_t quantity;
	uint32_t claim_limit;
	uint64_t first_row, rows;
	/* Its gates: the last one that told each, and the last one's end. */
	bool gated; /* the last gate let it through */
	bool unverified;
	uint64_t manifest;	 /* the bound row, or 0 */
	char serial[SERIAL_LEN]; /* bound, else as told */
	char mac[MAC_LEN];
	char thing[THING_LEN];
};

/* 1; 0 with a fault when there is no such attempt; -1 database. */
int attempt_read(struct store *, uint64_t id, struct attempt *, struct fault *);
/* The same with the gates before an entry only. */
int attempt_read_before(struct store *, uint64_t id, uint64_t entry,
    struct attempt *, struct fault *);
/* The names that the ledger stores. */
const char *serial_source_name(enum serial_source);

/* The last intent of a kind in an attempt, with its last outcome. */
struct step_state {
	bool intended;
	uint64_t intent; /* its entry */
	int64_t at_ms;
	struct digest digest; /* as intended */
	bool answered;	      /* there is an outcome */
	bool done;	  /* carried out, and verified or not to be verified */
	bool carried_out; /* as done, but a read-back is still owed */
	char certificate_id[CERTIFICATE_ID_LEN];
	char arn[256];
	char cloud_state[24];
};
/* Records the outcome of an intent, and what follows for certificates. -1. */
int outcome_record(struct ledger *, const struct attempt *,
    const struct message_outcome *, uint64_t intent);
int step_read(struct store *, const struct attempt *, enum intent_kind,
    struct step_state *);

/*
 * 1 when the last intent of the kind was carried out and verified, and came
 * after everything that it rests on: a certificate that is issued again
 * overtakes the write of the one before. 0 otherwise; -1. (ledger/steps.c)
 */
int step_stands(struct store *, const struct attempt *, enum intent_kind);

/* What a PASS of this attempt demands: a unit is staged by an earlier one. */
uint32_t attempt_demands(const struct attempt *);

#endif
