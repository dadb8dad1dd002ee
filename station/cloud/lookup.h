/*
 * Finding certificates by their public key: what became of an issue whose
 * answer was lost.
 *
 * AWS IoT has no search by key, so the certificates are listed newest first
 * (ListCertificates), and each that may be the one is described. Only
 * INACTIVE ones may, unless the lot's template issues ACTIVE ones: a
 * certificate that the station activated is known by its id. Lists lag behind
 * writes: that none is found proves nothing a moment after a write.
 */
#ifndef CLOUD_LOOKUP_H
#define CLOUD_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/message.h"

struct task;

enum {
	LOOKUP_PAGE = 250, /* the most that AWS gives */
	LOOKUP_FOUND_MAX = 8,
};

struct lookup {
	/* what to look for */
	struct digest spki;
	int64_t since_wall_ms; /* older ones are not described; 0: all */
	const char *keep_id;   /* not this one; borrowed; or empty */
	uint32_t pages_max;    /* 0: no bound but the deadline */
	uint32_t found_max;    /* stops when so many are found */
	bool active;	       /* ACTIVE ones may be it as well */

	/* what was found */
	struct fault fault; /* why it ended early, or none */
	bool complete;	    /* all since then were seen */
	uint32_t found;
	char id[LOOKUP_FOUND_MAX][CERTIFICATE_ID_LEN];
	char certificate[CERTIFICATE_LEN]; /* PEM of the first */

	/* lookup.c's own */
	void (*next)(struct task *);
	uint32_t pages;
	char marker[1025]; /* of the next page; empty: there is none */
	uint32_t candidate, candidates;
	char candidate_id[LOOKUP_PAGE][CERTIFICATE_ID_LEN];
};

/*
 * Looks with the task's call; next(task) reads task->lookup. A certificate
 * that vanishes between list and description is passed over.
 */
void lookup_start(struct task *, void (*next)(struct task *));

#endif
