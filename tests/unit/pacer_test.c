#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cloud/pacer.h"

/* Time is simulated: nothing here waits. */
enum {
	SECOND_US = 1000000,
	CALLERS_MAX = 600
};

struct caller {
	struct pacer_turn turn;
	int number;
	int64_t granted_us; /* 0: not yet */
};

static int64_t now_us;
static struct caller callers[CALLERS_MAX];
static int order[CALLERS_MAX];
static int granted_count;

static void
granted(void *arg)
{
	struct caller *caller = arg;

	caller->granted_us = now_us;
	order[granted_count++] = caller->number;
}

static void
callers_wait(struct pacer *pacer, enum operation operation, int count)
{
	for (int i = 0; i < CALLERS_MAX; i++)
		pacer_leave(&callers[i].turn);
	memset(callers, 0, sizeof(callers));
	granted_count = 0;
	for (int i = 0; i < count; i++) {
		callers[i].number = i;
		callers[i].turn.granted = granted;
		callers[i].turn.arg = &callers[i];
		pacer_wait(pacer, operation, &callers[i].turn);
	}
}

/* Lets time pass as the loop would: from one due turn to the next. */
static void
run_until(struct pacer *pacer, int64_t end_us)
{
	int64_t next_us;

	while ((next_us = pacer_run(pacer, now_us)) != 0 && next_us <= end_us) {
		assert_true(next_us > now_us);
		now_us = next_us;
	}
	now_us = end_us;
	pacer_run(pacer, now_us);
}

static void
pacer_prepare(struct pacer *pacer, struct config_cloud *cloud)
{
	/* What waited belongs to the pacer of the test before. */
	memset(callers, 0, sizeof(callers));
	memset(cloud, 0, sizeof(*cloud));
	cloud->share_percent = 80;
	now_us = 100 * SECOND_US;
	pacer_init(pacer, cloud, now_us);
}

static void
test_share_of_the_quota_is_kept(void **state)
{
	struct config_cloud cloud;
	struct pacer pacer;

	(void)state;
	pacer_prepare(&pacer, &cloud);
	/* 100 a second by AWS's defaults, 80 % of it: 80, in bursts of 20. */
	callers_wait(&pacer, OPERATION_CREATE_THING, 500);
	pacer_run(&pacer, now_us);
	assert_int_equal(granted_count, 20);
	run_until(&pacer, now_us + SECOND_US);
	assert_in_range(granted_count, 99, 100);
	run_until(&pacer, now_us + 4 * SECOND_US);
	assert_in_range(granted_count, 418, 420);
	/* No second sees more than the quota. */
	for (int i = 0; i + 101 < granted_count; i++)
		assert_true(
		    callers[i + 101].granted_us - callers[i].granted_us >
		    SECOND_US);
}

static void
test_first_come_first_served(void **state)
{
	struct config_cloud cloud;
	struct pacer pacer;

	(void)state;
	pacer_prepare(&pacer, &cloud);
	callers_wait(&pacer, OPERATION_UPDATE_CERTIFICATE, 64);
	pacer_leave(&callers[0].turn);
	pacer_leave(&callers[10].turn);
	pacer_leave(&callers[63].turn);
	pacer_leave(&callers[63].turn);
	run_until(&pacer, now_us + 60 * SECOND_US);
	assert_int_equal(granted_count, 61);
	for (int i = 0; i < granted_count; i++)
		assert_int_equal(order[i], i + 1 + (i >= 9));
	assert_int_equal(pacer_run(&pacer, now_us), 0);
}

static void
test_operations_do_not_wait_for_each_other(void **state)
{
	struct config_cloud cloud;
	struct pacer pacer;
	struct caller other = {.turn = {.granted = granted}, .number = 999};

	(void)state;
	pacer_prepare(&pacer, &cloud);
	callers_wait(&pacer, OPERATION_UPDATE_CERTIFICATE, 100);
	other.turn.arg = &other;
	pacer_run(&pacer, now_us);
	pacer_wait(&pacer, OPERATION_CREATE_THING, &other.turn);
	pacer_run(&pacer, now_us);
	assert_int_equal(other.granted_us, now_us);
}

static void
test_configuration_changes_a_quota(void **state)
{
	struct config_cloud cloud;
	struct pacer pacer;

	(void)state;
	pacer_prepare(&pacer, &cloud);
	cloud.rate_count = 1;
	strcpy(cloud.rates[0].operation, "UpdateCertificate");
	cloud.rates[0].per_second_milli = 2500;
	cloud.share_percent = 40;
	pacer_init(&pacer, &cloud, now_us);
	callers_wait(&pacer, OPERATION_UPDATE_CERTIFICATE, 100);
	run_until(&pacer, now_us + 20 * SECOND_US);
	assert_in_range(granted_count, 20, 21);
	callers_wait(&pacer, OPERATION_CREATE_THING, 500);
	run_until(&pacer, now_us + SECOND_US);
	assert_in_range(granted_count, 49, 50);
}

/* Down at once, then along the cubic curve to where it was. */
static void
test_throttle_slows_and_success_restores(void **state)
{
	struct config_cloud cloud;
	struct pacer pacer;
	struct pacer_bucket *bucket =
	    &pacer.buckets[OPERATION_ATTACH_THING_PRINCIPAL];
	double after, last;
	int seconds = 0;

	(void)state;
	pacer_prepare(&pacer, &cloud);
	callers_wait(&pacer, OPERATION_ATTACH_THING_PRINCIPAL, 400);
	run_until(&pacer, now_us + 2 * SECOND_US);
	pacer_throttled(&pacer, OPERATION_ATTACH_THING_PRINCIPAL, now_us);
	after = bucket->rate;
	assert_true(after <= 0.7 * bucket->share + 0.001);
	assert_true(after > 0.4 * bucket->share);
	assert_true(bucket->adapting);
	last = after;
	while (bucket->adapting && seconds++ < 60) {
		callers_wait(&pacer, OPERATION_ATTACH_THING_PRINCIPAL, 200);
		run_until(&pacer, now_us + SECOND_US);
		pacer_succeeded(
		    &pacer, OPERATION_ATTACH_THING_PRINCIPAL, now_us);
		assert_true(bucket->rate >= last);
		assert_true(bucket->rate <= bucket->share);
		last = bucket->rate;
	}
	assert_in_range(seconds, 2, 20);
	assert_true(bucket->rate == bucket->share);
	/* Others were not slowed. */
	assert_true(pacer.buckets[OPERATION_CREATE_THING].rate ==
		    pacer.buckets[OPERATION_CREATE_THING].share);
}

static void
test_rate_has_a_floor(void **state)
{
	struct config_cloud cloud;
	struct pacer pacer;

	(void)state;
	pacer_prepare(&pacer, &cloud);
	for (int i = 0; i < 50; i++) {
		now_us += SECOND_US;
		pacer_throttled(&pacer, OPERATION_ATTACH_POLICY, now_us);
	}
	assert_true(pacer.buckets[OPERATION_ATTACH_POLICY].rate >= 0.5);
	callers_wait(&pacer, OPERATION_ATTACH_POLICY, 10);
	run_until(&pacer, now_us + 10 * SECOND_US);
	assert_in_range(granted_count, 5, 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_share_of_the_quota_is_kept),
	    cmocka_unit_test(test_first_come_first_served),
	    cmocka_unit_test(test_operations_do_not_wait_for_each_other),
	    cmocka_unit_test(test_configuration_changes_a_quota),
	    cmocka_unit_test(test_throttle_slows_and_success_restores),
	    cmocka_unit_test(test_rate_has_a_floor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
