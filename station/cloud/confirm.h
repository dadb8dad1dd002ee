/*
 * Waiting until a unit's first connection shows in the cloud: what
 * pattern_confirm.c (the waiting), confirm_thing.c (claim, trusted-user) and
 * confirm_certificate.c (jitp, jitr) share.
 *
 * A look is a short walk of calls. It ends with confirm_wait, which says what
 * was seen and comes back later, with confirm_done, or with the task.
 */
#ifndef CLOUD_CONFIRM_H
#define CLOUD_CONFIRM_H

#include <stdint.h>

#include "cloud/task.h"

enum {
	CONFIRM_PRINCIPALS_MAX = 32 /* of a thing that are looked at */
};

/* task->state of MESSAGE_CONFIRM. */
struct confirm {
	int64_t started_ms;
	int64_t pause_ms;
	uint32_t looks;
	char seen[200]; /* by the last look */
	void (*look)(struct task *);

	/* confirm_thing.c's own */
	char claim_id[CERTIFICATE_ID_LEN]; /* the lot's claim; or empty */
	uint32_t count, next;
	char id[CONFIRM_PRINCIPALS_MAX][CERTIFICATE_ID_LEN];
	uint32_t active;
	char newest[CERTIFICATE_ID_LEN];
	double newest_s; /* its creationDate */
};

/*
 * Notes what was seen and looks again after the pause; when the deadline
 * comes first, the task ends with CAUSE_NOT_CONNECTED and these words.
 */
void confirm_wait(struct task *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The unit has this certificate, and it is ACTIVE. */
void confirm_done(struct task *, const char *certificate_id);
/* Ends the task: what AWS has is not what the lot asks for. */
void confirm_conflict(struct task *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void thing_look(struct task *);
void certificate_look(struct task *);

/* The status text of a DescribeCertificate answer; "" when it has none. */
const char *confirm_status(const struct call *);

#endif
