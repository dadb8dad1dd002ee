/*
 * The claim credentials on their way into the unit: the one secret that a
 * slot ever sees comes from the vault over a private pair, goes into an
 * image in locked memory, and is wiped when that is written.
 */
#ifndef SLOT_CLAIM_H
#define SLOT_CLAIM_H

#include "slot/journey.h"

/*
 * Takes what the vault gives the unit: its claim key, with which come the
 * claim's certificate where it is the unit's own and the factory network's
 * password. They become the engine's variables.
 */
int claim_take(struct journey *, struct fault *);
/* Writes and verifies every image of the profile. */
int images_write(struct journey *, bool *verified, struct fault *);
/* The same with a claim in them: identity, on record before and after. */
int claim_inject(struct journey *, bool *verified, struct fault *);
/*
 * A claim of the unit's own that was not used runs out and would make it
 * useless: it is erased. When that fails the fault becomes
 * CAUSE_CLAIM_EXPIRED, which quarantines the unit.
 */
void claim_withdraw(struct journey *, struct fault *);
/* The key that AWS made for the unit: the variable device_key. */
int device_key_take(struct journey *, struct fault *);

/* journey.c's, shared: what is recorded before and after a step. */
int journey_intent(struct journey *, enum intent_kind, const struct digest *,
    const char *note, struct fault *);
int journey_outcome(struct journey *, enum intent_kind, const struct digest *,
    bool verified, struct fault *);

#endif
