#include "cloud/pacer.h"

#include <math.h>
#include <string.h>

/* The constants of the SDKs' adaptive mode. */
static const double beta = 0.7;		 /* of the rate is left by a throttle */
static const double cubic_scale = 0.4;	 /* steepness of the way back */
static const double smoothing = 0.8;	 /* weight of the newest span */
static const double measured_most = 2.0; /* times what is measured */
static const double rate_least = 0.5;	 /* calls a second */
enum {
	SPAN_US = 500000
};

/* Two clocks never run alike: ours must not be the faster one, or AWS's
 * bucket would be empty some day. */
static const double clock_margin = 0.99;
/* What may be caught up after a wait: the loop is late at times. */
static const double bucket_seconds = 0.1;

static double
bucket_size(const struct pacer_bucket *bucket)
{
	return 1.0 + bucket->rate * bucket_seconds;
}

void
pacer_init(
    struct pacer *pacer, const struct config_cloud *cloud, int64_t now_us)
{
	memset(pacer, 0, sizeof(*pacer));
	for (int i = 0; i < OPERATION_COUNT; i++) {
		const struct operation_row *row =
		    operation_row((enum operation)i);
		struct pacer_bucket *bucket = &pacer->buckets[i];
		uint32_t quota_milli = row->quota_milli;

		for (uint32_t j = 0; j < cloud->rate_count; j++) {
			if (strcmp(cloud->rates[j].operation, row->name) == 0)
				quota_milli = cloud->rates[j].per_second_milli;
		}
		bucket->share = fmax(rate_least, quota_milli / 1000.0 *
						     cloud->share_percent /
						     100.0 * clock_margin);
		bucket->rate = bucket->share;
		bucket->tokens = bucket_size(bucket);
		bucket->filled_us = now_us;
		bucket->span = now_us / SPAN_US;
	}
}

void
pacer_wait(
    struct pacer *pacer, enum operation operation, struct pacer_turn *turn)
{
	struct pacer_bucket *bucket = &pacer->buckets[operation];

	turn->bucket = bucket;
	turn->next = NULL;
	turn->previous = bucket->tail;
	if (bucket->tail != NULL)
		bucket->tail->next = turn;
	else
		bucket->head = turn;
	bucket->tail = turn;
}

void
pacer_leave(struct pacer_turn *turn)
{
	struct pacer_bucket *bucket = turn->bucket;

	if (bucket == NULL)
		return;
	if (turn->previous != NULL)
		turn->previous->next = turn->next;
	else
		bucket->head = turn->next;
	if (turn->next != NULL)
		turn->next->previous = turn->previous;
	else
		bucket->tail = turn->previous;
	turn->next = turn->previous = NULL;
	turn->bucket = NULL;
}

static void
bucket_fill(struct pacer_bucket *bucket, int64_t now_us)
{
	double seconds = (double)(now_us - bucket->filled_us) / 1e6;

	if (seconds > 0.0)
		bucket->tokens = fmin(bucket_size(bucket),
		    bucket->tokens + seconds * bucket->rate);
	bucket->filled_us = now_us;
}

/* Counts an answer; spans that are over enter the smoothed rate. */
static void
bucket_measure(struct pacer_bucket *bucket, int64_t now_us)
{
	int64_t span = now_us / SPAN_US;
	double rate;

	bucket->span_answers++;
	if (span <= bucket->span)
		return;
	rate = bucket->span_answers * 1e6 /
	       (double)((span - bucket->span) * SPAN_US);
	bucket->measured =
	    smoothing * rate + (1.0 - smoothing) * bucket->measured;
	bucket->span = span;
	bucket->span_answers = 0;
}

/* Grants what is due; returns when the next turn is, or 0. */
static int64_t
bucket_run(struct pacer_bucket *bucket, int64_t now_us)
{
	struct pacer_turn *turn;

	bucket_fill(bucket, now_us);
	while (bucket->head != NULL && bucket->tokens >= 1.0) {
		turn = bucket->head;
		bucket->tokens -= 1.0;
		pacer_leave(turn);
		turn->granted(turn->arg);
	}
	if (bucket->head == NULL)
		return 0;
	return now_us +
	       (int64_t)ceil((1.0 - bucket->tokens) / bucket->rate * 1e6);
}

int64_t
pacer_run(struct pacer *pacer, int64_t now_us)
{
	int64_t soonest_us = 0;

	for (int i = 0; i < OPERATION_COUNT; i++) {
		int64_t next_us = bucket_run(&pacer->buckets[i], now_us);

		if (next_us != 0 && (soonest_us == 0 || next_us < soonest_us))
			soonest_us = next_us;
	}
	return soonest_us;
}

static void
bucket_rate_set(struct pacer_bucket *bucket, double rate, int64_t now_us)
{
	/* In the first half second nothing has been measured yet. */
	if (bucket->measured > 0.0)
		rate = fmin(rate, measured_most * bucket->measured);
	bucket_fill(bucket, now_us);
	bucket->rate = fmin(bucket->share, fmax(rate_least, rate));
	bucket->tokens = fmin(bucket->tokens, bucket_size(bucket));
}

void
pacer_throttled(struct pacer *pacer, enum operation operation, int64_t now_us)
{
	struct pacer_bucket *bucket = &pacer->buckets[operation];
	double rate = bucket->rate;

	bucket_measure(bucket, now_us);
	if (bucket->measured > 0.0)
		rate = bucket->adapting ? fmin(rate, bucket->measured)
					: bucket->measured;
	bucket->before = rate;
	bucket->throttled_us = now_us;
	bucket->adapting = true;
	bucket_rate_set(bucket, rate * beta, now_us);
}

void
pacer_succeeded(struct pacer *pacer, enum operation operation, int64_t now_us)
{
	struct pacer_bucket *bucket = &pacer->buckets[operation];
	double seconds, flat;

	bucket_measure(bucket, now_us);
	if (!bucket->adapting)
		return;
	seconds = (double)(now_us - bucket->throttled_us) / 1e6;
	flat = cbrt(bucket->before * (1.0 - beta) / cubic_scale);
	bucket_rate_set(bucket,
	    cubic_scale * pow(seconds - flat, 3.0) + bucket->before, now_us);
	if (bucket->rate >= bucket->share)
		bucket->adapting = false;
}
