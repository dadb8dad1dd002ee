/*
 * One account's credentials, kept fresh, and a queue of those who wait for
 * them.
 *
 * The first who needs them starts the fetch. Temporary ones are fetched again
 * before they end: from 15 minutes before (a failure is tried again quietly),
 * and aloud from 10 minutes before ("advisory" and "mandatory" refresh of the
 * AWS SDKs), or a quarter and a sixth of a shorter life; both jittered, so
 * that many stations do not ask at once. They are used until they end.
 *
 * A lapse is the time without credentials that AWS takes: they ended, or AWS
 * refused them, and a fetch has failed or brought the same ones. Who waits
 * goes on waiting up to its own deadline, the source is asked again and
 * again, and everybody goes on when it has fresh ones.
 */
#ifndef CLOUD_KEYRING_H
#define CLOUD_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/loop.h"
#include "cloud/credentials.h"
#include "cloud/credentials_fetch.h"
#include "pki/key.h"

struct keyring;

/* One who waits; embedded in the caller's struct, zero at the start. */
struct keyring_turn {
	/* Null fault: there are credentials. Else there will be none. */
	void (*ready)(void *arg, const struct fault *);
	void *arg;
	struct keyring_turn *next, *previous;
	struct keyring *keyring; /* null: does not wait */
};

/* Zero at the start, then keyring_open. */
struct keyring {
	/* In locked memory; null before the first. They change in place. */
	const struct credentials *credentials;
	uint32_t generation; /* counts their changes */
	unsigned users;	     /* lots: while there is one, a lapse matters */

	/* keyring.c's own */
	const struct config_cloud *cloud;
	const struct credentials_base *base;
	struct credentials_fetch *fetch;
	const int64_t *skew_ms;
	struct secret secret;
	struct loop_timer *timer;
	bool armed; /* the timer is */
	bool fetching;
	bool worked;	    /* AWS has taken some of these at least once */
	bool refused;	    /* AWS does not take the present ones */
	bool failed;	    /* the latest fetch did, or brought refused ones */
	bool definite;	    /* and will again, as things are set up */
	bool told;	    /* the failure is in the log */
	struct fault fault; /* why */
	int64_t lapsed_wall_ms;	 /* since when; 0: not */
	uint32_t failures;	 /* in a row */
	int64_t refresh_wall_ms; /* by AWS's clock; 0: they never end */
	int64_t mandatory_ms;	 /* before their end a failure is told */
	struct keyring_turn *head, *tail;
	void (*changed)(void *arg);
	void *arg;
};

/*
 * STS's endpoint and AWS's clock (ours plus *skew_ms) are borrowed. changed
 * is called from the loop when a lapse begins or ends.
 */
int keyring_open(struct keyring *, const struct credentials_base *,
    const struct config_cloud *, const struct endpoint *sts,
    const int64_t *skew_ms, void (*changed)(void *arg), void *arg,
    struct fault *);
/* Whoever waits is forgotten. */
void keyring_close(struct keyring *);

/* True when a request may be signed with them now. */
bool keyring_usable(const struct keyring *);
/* Waits for usable ones; ready is called from the loop, never from within. */
void keyring_wait(struct keyring *, struct keyring_turn *);
/* Stops waiting; harmless when it does not wait. */
void keyring_leave(struct keyring_turn *);
/* AWS took, or did not take, those of that generation. */
void keyring_worked(struct keyring *, uint32_t generation);
void keyring_refused(struct keyring *, uint32_t generation);

/*
 * True during a lapse that matters. The text, for the board: what lapsed,
 * since when and why.
 */
bool keyring_lapsed(const struct keyring *, char *text, size_t size);
/* The same for one who gives up waiting: CAUSE_CLOUD_CREDENTIALS. */
void keyring_fault(const struct keyring *, struct fault *);

#endif
