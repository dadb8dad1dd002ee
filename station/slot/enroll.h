/*
 * The unit's certificate: asked for, written, confirmed. The engine's calls
 * of the steps `register` and `confirm`, and what the journey asks of the
 * cloud besides.
 */
#ifndef SLOT_ENROLL_H
#define SLOT_ENROLL_H

#include "slot/journey.h"

/* Whether a PASS of the journey's lot demands the step. */
bool journey_demands(const struct journey *, enum intent_kind);
/* journey.c's: the step that is under way, for the board and transcript. */
void journey_step(struct journey *, enum step_name, const char *note);
/* A request to the cloud that says nothing but that it is done:
 * PREREGISTER, BIND or ACTIVATE. */
int journey_cloud(struct journey *, enum message_type, struct fault *);

/* All asserts up to here held: the unit has its certificate. Recorded once;
 * nothing where the lot's units are written none. */
int certificate_written(struct journey *, struct fault *);

/* struct engine_calls: arg is the journey. */
int enroll_call(void *arg, struct engine *, enum program_register,
    const char *pem, struct fault *);
int confirm_call(void *arg, struct engine *, struct fault *);

#endif
