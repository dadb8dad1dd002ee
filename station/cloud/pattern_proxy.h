/*
 * What the two files of the ending `proxy` share: pattern_proxy_fleet.c has
 * the connections, pattern_proxy.c what is asked on them. Nobody else
 * includes it.
 */
#ifndef CLOUD_PATTERN_PROXY_H
#define CLOUD_PATTERN_PROXY_H

#include "cloud/fleet.h"
#include "cloud/task.h"

/* A task's state. */
struct proxy {
	struct fleet_request request;
	struct fleet *fleet;
	void (*next)(struct task *);
	int64_t asked_ms;
	struct fault fault; /* why an activation is in doubt */
	uint32_t looks;
};

/* Gives the task its state; false, and it has ended, without memory. */
bool proxy_keep(struct task *);
struct proxy *proxy_of(const struct task *);
/* Ends the task with that fault, as an issue or an activation ends. */
void proxy_fail(struct task *, const struct fault *);
uint32_t proxy_lot_index(const struct task *);
/* The claim is the unit's own, not the lot's. */
bool proxy_claim_is_own(const struct task *);

/*
 * Goes on with next(task) when there is a fleet to ask: the lot's, or the
 * attempt's, for which AWS makes a claim if need be.
 */
void proxy_fleet_get(struct task *, void (*next)(struct task *));
/* Closes it: its claim is of no more use. */
void proxy_fleet_end(struct task *);
/*
 * Asks by state->request, whose operation is set; next(task) reads what came
 * of it. Takes the body.
 */
void proxy_ask(struct task *, json_t *body, void (*next)(struct task *));

#endif
