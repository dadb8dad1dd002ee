#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	/* 100 a second by AWS's defaults, 80 % of it: 79.2 with the clock's
	 * margin; a tenth of a second and one may go at once. */
	callers_wait(&pacer, OPERATION_CREATE_THING, 500);
	pacer_run(&pacer, now_us);
	assert_int_equal(granted_count, 8);
	run_until(&pacer, now_us + SECOND_US);
	assert_in_range(granted_count, 87, 88);
	run_until(&pacer, now_us + 4 * SECOND_US);
	assert_in_range(granted_count, 403, 405);
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
	assert_in_range(granted_count, 44, 45);
}

/* Down at once, then along the cubic curve to where it was. */
static void
test_throttle_slows_and_success_restores(void **state)
{
	struct config_cloud cloud;
	struct pacer pacer;
	struct pacer_bucket *bucket =
	    &pacer.buckets[OPERATION_ATTACH_THING_PRINCIPAL];
	int seconds = 0;

	(void)state;
	pacer_prepare(&pacer, &cloud);
	for (int i = 0; i < 150; i++) {
		now_us += SECOND_US / 75;
		pacer_succeeded(
		    &pacer, OPERATION_ATTACH_THING_PRINCIPAL, now_us);
	}
	assert_false(bucket->adapting);
	pacer_throttled(&pacer, OPERATION_ATTACH_THING_PRINCIPAL, now_us);
	assert_true(bucket->adapting);
	assert_true(bucket->rate < 0.71 * 75);
	assert_true(bucket->rate > 0.60 * 75);
	while (bucket->adapting && seconds++ < 60) {
		double rate = bucket->rate;
		int64_t end_us = now_us + SECOND_US;

		/* As fast as it lets. */
		while (now_us < end_us) {
			now_us += (int64_t)(SECOND_US / rate);
			pacer_succeeded(
			    &pacer, OPERATION_ATTACH_THING_PRINCIPAL, now_us);
		}
		assert_true(bucket->rate <= bucket->share);
	}
	assert_in_range(seconds, 2, 20);
	assert_true(bucket->rate == bucket->share);
	/* Others were not slowed. */
	assert_true(pacer.buckets[OPERATION_CREATE_THING].rate ==
		    pacer.buckets[OPERATION_CREATE_THING].share);
}

/*
 * The rates that botocore's adaptive mode (1.29.27) has for the same answers:
 * 20 a second, then 5, then 20 again; four of them throttled.
 */
static const struct {
	int answer;
	double rate;
} adaptive[] = {
    {60, 13.999104000},
    {61, 14.356672071},
    {70, 16.958421653},
    {80, 18.738043630},
    {100, 19.958200554},
    {130, 20.440718367},
    {139, 21.305557799},
    {140, 13.999999998},
    {141, 9.799999998},
    {142, 10.081183538},
    {150, 11.893663789},
    {200, 14.175757097},
    {201, 14.354160361},
    {205, 9.920000000},
    {230, 8.666666795},
    {260, 8.666666667},
    {261, 8.666666667},
    {270, 33.733333333},
    {299, 39.749333333},
    {300, 13.982453333},
    {301, 14.339734924},
    {340, 19.934668419},
    {400, 26.489727378},
};

static int64_t
answer_us(int answer)
{
	if (answer <= 200)
		return 100 * SECOND_US + answer * 50000;
	if (answer <= 260)
		return 110 * SECOND_US + (answer - 200) * 200000;
	return 122 * SECOND_US + (answer - 260) * 50000;
}

static void
test_adaptive_mode_is_that_of_the_sdks(void **state)
{
	struct config_cloud cloud;
	struct pacer pacer;
	struct pacer_bucket *bucket = &pacer.buckets[OPERATION_CREATE_THING];
	size_t row = 0;

	(void)state;
	pacer_prepare(&pacer, &cloud);
	cloud.rate_count = 1;
	strcpy(cloud.rates[0].operation, "CreateThing");
	cloud.rates[0].per_second_milli = 1000000;
	pacer_init(&pacer, &cloud, now_us);
	for (int i = 1; i <= 400; i++) {
		now_us = answer_us(i);
		if (i == 60 || i == 140 || i == 141 || i == 300)
			pacer_throttled(&pacer, OPERATION_CREATE_THING, now_us);
		else
			pacer_succeeded(&pacer, OPERATION_CREATE_THING, now_us);
		if (i != adaptive[row].answer)
			continue;
		if (fabs(bucket->rate - adaptive[row].rate) > 1e-6)
			fail_msg("answer %d: %.9f, not %.9f", i, bucket->rate,
			    adaptive[row].rate);
		row++;
	}
	assert_int_equal(row, sizeof(adaptive) / sizeof(adaptive[0]));
}

/* AWS's side: a bucket of one second, and calls that arrive late. */
struct server {
	double rate, tokens;
	int64_t filled_us;
	int throttled, served;
};

static int
compare_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
server_take(struct server *server, int64_t at_us)
{
	server->tokens = fmin(
	    server->rate, server->tokens + (double)(at_us - server->filled_us) /
					       1e6 * server->rate);
	server->filled_us = at_us;
	if (server->tokens < 1.0) {
		server->throttled++;
		return;
	}
	server->tokens -= 1.0;
	server->served++;
}

/*
 * 64 in flight for a minute: a granted one comes back at once. The loop is up
 * to 20 ms late, the way to AWS takes 10 to 150 ms, and AWS's clock is 100
 * millionths slower than ours.
 */
static void
quota_try(uint32_t quota, unsigned seed)
{
	enum {
		UNITS = 64,
		SPAN_S = 60,
		ARRIVALS_MAX = 110 * SPAN_S
	};
	static int64_t arrivals[ARRIVALS_MAX];
	struct config_cloud cloud;
	struct pacer pacer;
	struct server server = {.rate = quota, .tokens = quota};
	int64_t end_us;
	size_t count = 0;

	pacer_prepare(&pacer, &cloud);
	cloud.share_percent = 100;
	cloud.rate_count = 1;
	strcpy(cloud.rates[0].operation, "CreateThing");
	cloud.rates[0].per_second_milli = quota * 1000;
	pacer_init(&pacer, &cloud, now_us);
	server.filled_us = now_us;
	end_us = now_us + SPAN_S * (int64_t)SECOND_US;
	callers_wait(&pacer, OPERATION_CREATE_THING, UNITS);
	while (now_us < end_us) {
		granted_count = 0;
		now_us = pacer_run(&pacer, now_us) + rand_r(&seed) % 20000;
		for (int i = 0; i < granted_count; i++) {
			struct caller *caller = &callers[order[i]];

			assert_true(count < ARRIVALS_MAX);
			arrivals[count++] =
			    (int64_t)((double)(caller->granted_us + 10000 +
					       rand_r(&seed) % 140000) *
				      0.9999);
			pacer_wait(
			    &pacer, OPERATION_CREATE_THING, &caller->turn);
		}
	}
	qsort(arrivals, count, sizeof(arrivals[0]), compare_times);
	for (size_t i = 0; i < count; i++)
		server_take(&server, arrivals[i]);
	print_message("quota %u: %d of %u served, %d throttled\n", quota,
	    server.served, quota * SPAN_S, server.throttled);
	assert_int_equal(server.throttled, 0);
	assert_true(server.served >= 0.95 * quota * SPAN_S);
	assert_true(server.served <= 1.01 * quota * SPAN_S + 2);
}

static void
test_sixty_four_keep_the_quota_busy(void **state)
{
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	quota_try(10, seed);
	quota_try(15, seed + 1);
	quota_try(100, seed + 2);
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
	    cmocka_unit_test(test_adaptive_mode_is_that_of_the_sdks),
	    cmocka_unit_test(test_sixty_four_keep_the_quota_busy),
	    cmocka_unit_test(test_rate_has_a_floor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
