/*
 * How each request of the line begins. Each function takes the task over.
 *
 * A lot's pattern decides what a request means; issue.c, pattern_common.c
 * and preflight.c hold the tables that choose.
 *
 *	pattern_csr.c        a certificate for a unit's own request
 *	pattern_register.c   RegisterThing with the lot's template
 *	pattern_readback.c   a certificate that the unit holds already
 *	pattern_proxy.c      fleet provisioning over MQTT in the unit's name
 *	pattern_claim.c      things and claims, for a unit's own provisioning
 *	pattern_confirm.c    waiting for a unit's first connection
 *	pattern_discard.c    undoing what is ours
 *	pattern_bulk.c       one registration task for many units
 *	pattern_common.c     binding, activation, quota
 */
#ifndef CLOUD_PATTERN_H
#define CLOUD_PATTERN_H

#include "cloud/task.h"

void preflight_start(struct task *);	/* MESSAGE_CLOUD_LOT */
void issue_start(struct task *);	/* MESSAGE_ISSUE */
void bind_start(struct task *);		/* MESSAGE_BIND */
void preregister_start(struct task *);	/* MESSAGE_PREREGISTER */
void activate_start(struct task *);	/* MESSAGE_ACTIVATE */
void confirm_start(struct task *);	/* MESSAGE_CONFIRM */
void discard_start(struct task *);	/* MESSAGE_DISCARD */
void claim_create_start(struct task *); /* MESSAGE_CLAIM_CREATE */
void permit_start(struct task *);	/* MESSAGE_PERMIT */
void bulk_task_start(struct task *);	/* MESSAGE_BULK_START */
void bulk_task_poll(struct task *);	/* MESSAGE_BULK_POLL */

/* By pattern, behind issue_start, bind_start and activate_start. */
void csr_issue_start(struct task *);
void register_issue_start(struct task *);
void register_bind_start(struct task *);
void readback_issue_start(struct task *);
void proxy_issue_start(struct task *);
void proxy_activate_start(struct task *);
/* Ends the connections of a lot that nobody uses any more; null is fine. */
struct fleet_set;
void proxy_close(struct fleet_set *);

/* A claim of five minutes that AWS made for one unit. */
struct claim {
	char certificate_id[CERTIFICATE_ID_LEN];
	char certificate[CERTIFICATE_LEN]; /* PEM */
	int64_t expires_wall_ms;	   /* by AWS's clock */
	const char *key; /* PEM, in the call's answer: until claim_forget */
	size_t key_len;
};

/*
 * CreateProvisioningClaim for the lot's template. next(task) looks at the
 * call's fault, reads the claim, hands its key on, and calls claim_forget,
 * which wipes it from the call.
 */
void claim_make(struct task *, void (*next)(struct task *));
/* CAUSE_CLOUD_ANSWER when the answer is not a claim. */
int claim_read(struct task *, struct claim *, struct fault *);
void claim_forget(struct task *);

#endif
