/*
 * The two halves of a flow, shared by flow.c (intent, outcome, answer) and
 * effect.c (what is asked of cloud and vault in between).
 */
#ifndef LINE_FLOW_H
#define LINE_FLOW_H

#include "line/line.h"

/* Asks for the effect of the intent that was just committed. */
void effect_ask(struct attempt *);
/* It was refused: the flow ends with that fault. */
void effect_refused(struct attempt *, const struct fault *);

/* The outcome of what was carried out, to be filled and then sent. */
struct message_outcome *outcome_new(struct flow *);
/* To the ledger; outcome_done ends the flow. */
void outcome_send(struct attempt *, call_done *);
void outcome_done(void *attempt, struct message *answer);

#endif
