/*
 * How each request of the line begins. Each function takes the task over.
 *
 * pattern_csr.c: a certificate for a unit's own key, its thing and rights.
 * pattern_claim.c: the thing of a unit that will connect with a claim.
 * pattern_common.c: activation, and undoing.
 */
#ifndef CLOUD_PATTERN_H
#define CLOUD_PATTERN_H

#include "cloud/task.h"

void issue_start(struct task *);       /* MESSAGE_ISSUE */
void bind_start(struct task *);	       /* MESSAGE_BIND */
void preregister_start(struct task *); /* MESSAGE_PREREGISTER */
void activate_start(struct task *);    /* MESSAGE_ACTIVATE */
void discard_start(struct task *);     /* MESSAGE_DISCARD */
void prove_start(struct task *);       /* MESSAGE_CLOUD_LOT */

#endif
