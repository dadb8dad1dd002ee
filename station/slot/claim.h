/*
 * The claim credentials on their way into the unit: the one secret that a
 * slot ever sees comes from the vault over a private pair, goes into an
 * image in locked memory, and is wiped when that is written.
 */
#ifndef SLOT_CLAIM_H
#define SLOT_CLAIM_H

#include "slot/journey.h"

/* Takes the claim key, writes and verifies every image of the profile. */
int claim_inject(struct journey *, bool *verified, struct fault *);

/* journey.c's, shared: what is recorded before and after a step. */
int journey_intent(struct journey *, enum intent_kind, const struct digest *,
    const char *note, struct fault *);
int journey_outcome(struct journey *, enum intent_kind, const struct digest *,
    bool verified, struct fault *);

#endif
