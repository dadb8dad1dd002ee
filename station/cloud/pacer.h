/*
 * How fast each operation may be called: a token bucket an operation, fed at
 * the station's share of AWS's quota, and a queue of those who wait.
 *
 * One pacer serves one account and Region; quotas hold for these two
 * together. A bucket holds a tenth of a second of its rate and one call: what
 * waits is paced evenly, so that AWS, whose buckets hold more, has nothing to
 * throttle. After a throttle a bucket is fed as the SDKs' adaptive retry mode
 * does it ("Retry behavior", AWS SDKs and Tools Reference Guide; the
 * arithmetic is that of botocore): 0.7 of the measured rate, then along a
 * cubic curve back, no faster than twice what is measured and never slower
 * than a call in two seconds; and never faster than the share, at which it is
 * over. Waiting is first come, first served; a slot has one call outstanding,
 * so every slot gets its turn. The pacer knows no clock: callers pass the
 * time.
 */
#ifndef CLOUD_PACER_H
#define CLOUD_PACER_H

#include <stdbool.h>
#include <stdint.h>

#include "cloud/operation.h"
#include "lot/config.h"

struct pacer_bucket;

/* One who waits; embedded in the caller's struct, zero at the start. */
struct pacer_turn {
	void (*granted)(void *arg);
	void *arg;
	struct pacer_turn *next, *previous;
	struct pacer_bucket *bucket; /* null: does not wait */
};

struct pacer_bucket {
	double share; /* calls a second that the station may make */
	double rate;  /* now; <= share */
	double tokens;
	int64_t filled_us; /* when tokens was right */
	bool adapting;	   /* slower than share since a throttle */
	double before; /* rate at the last throttle: where the curve flattens */
	int64_t throttled_us;
	double measured; /* answers a second, smoothed */
	int64_t span;	 /* number of the half second that is counted now */
	uint32_t span_answers;
	struct pacer_turn *head, *tail;
};

struct pacer {
	struct pacer_bucket buckets[OPERATION_COUNT];
};

void pacer_init(struct pacer *, const struct config_cloud *, int64_t now_us);

/*
 * Joins the queue; pacer_run calls granted(arg) when it is its turn. It costs
 * the quota whether a call follows or not: also for what a unit itself will
 * spend.
 */
void pacer_wait(struct pacer *, enum operation, struct pacer_turn *);
/* Leaves the queue; harmless when it does not wait. */
void pacer_leave(struct pacer_turn *);

/*
 * Grants every turn that is due. Returns when the next one is, or 0 when
 * nobody waits. granted may call pacer_wait and pacer_leave.
 */
int64_t pacer_run(struct pacer *, int64_t now_us);

/* What an answer says of the pace. Each counts in the measured rate. */
void pacer_throttled(struct pacer *, enum operation, int64_t now_us);
void pacer_succeeded(struct pacer *, enum operation, int64_t now_us);

#endif
