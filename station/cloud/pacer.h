/*
 * How fast each operation may be called: a token bucket an operation, fed at
 * the station's share of AWS's quota, and a queue of those who wait.
 *
 * One pacer serves one account and Region; quotas hold for these two
 * together. After a throttle a bucket is fed more slowly and then faster
 * again along the cubic curve of the SDKs' adaptive retry mode ("Retry
 * behavior", AWS SDKs and Tools Reference Guide), never faster than the share.
 * Waiting is first come, first served; a slot has one call outstanding, so
 * every slot gets its turn. The pacer knows no clock: callers pass the time.
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
	double measured; /* calls a second that were granted, smoothed */
	int64_t span_us; /* start of the span that is counted now */
	uint32_t span_calls;
	struct pacer_turn *head, *tail;
};

struct pacer {
	struct pacer_bucket buckets[OPERATION_COUNT];
};

void pacer_init(struct pacer *, const struct config_cloud *, int64_t now_us);

/* Joins the queue; pacer_run calls granted(arg) when it is its turn. */
void pacer_wait(struct pacer *, enum operation, struct pacer_turn *);
/* Leaves the queue; harmless when it does not wait. */
void pacer_leave(struct pacer_turn *);

/*
 * Grants every turn that is due. Returns when the next one is, or 0 when
 * nobody waits. granted may call pacer_wait and pacer_leave.
 */
int64_t pacer_run(struct pacer *, int64_t now_us);

/* What the answer said of the pace. */
void pacer_throttled(struct pacer *, enum operation, int64_t now_us);
void pacer_succeeded(struct pacer *, enum operation, int64_t now_us);

#endif
