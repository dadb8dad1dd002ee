#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "line/line.h"

/* A line of one empty slot and without clients. */
struct bench {
	struct station_config config;
	struct line line;
};

static int
bench_open(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	bench->config.alarm.ratio_milli = 50;
	bench->config.alarm.window = 100;
	bench->config.alarm.minimum = 20;
	bench->config.slot_count = 1;
	bench->line.config = &bench->config;
	bench->line.slots[0].line = &bench->line;
	bench->line.slots[0].config = &bench->config.slots[0];
	*state = bench;
	return 0;
}

static int
bench_close(void **state)
{
	free(*state);
	return 0;
}

static void
count(struct bench *bench, enum fault_cause cause, unsigned times)
{
	struct message_verdict verdict = {
	    .verdict =
		cause == CAUSE_NONE ? VERDICT_PASS : fault_row(cause)->verdict,
	    .fault = {.cause = cause}};

	while (times-- > 0)
		alarm_count(&bench->line, &verdict);
}

static void
sums_are(const struct bench *bench, uint32_t failures, uint32_t successes)
{
	uint32_t failed, passed;

	alarm_sums(&bench->line, &failed, &passed);
	assert_int_equal(failed, failures);
	assert_int_equal(passed, successes);
}

/* 5 % is not above 5 %; one more is. */
static void
test_limit(void **state)
{
	struct bench *bench = *state;

	count(bench, CAUSE_NONE, 40);
	count(bench, CAUSE_NO_ANSWER, 2);
	sums_are(bench, 2, 40);
	assert_false(bench->line.alarm.ringing);
	count(bench, CAUSE_NO_ANSWER, 1);
	assert_true(bench->line.alarm.ringing);
	/* Successes bring it back to the limit, and it is over. */
	count(bench, CAUSE_NONE, 19);
	assert_true(bench->line.alarm.ringing);
	count(bench, CAUSE_NONE, 1);
	sums_are(bench, 3, 60);
	assert_false(bench->line.alarm.ringing);
}

static void
test_minimum(void **state)
{
	struct bench *bench = *state;

	count(bench, CAUSE_NO_ANSWER, 9);
	count(bench, CAUSE_NONE, 10);
	assert_false(bench->line.alarm.ringing);
	count(bench, CAUSE_NONE, 1);
	assert_true(bench->line.alarm.ringing);
}

/* Zero is no divisor: the minimum of failures alone rings. */
static void
test_no_success(void **state)
{
	struct bench *bench = *state;

	count(bench, CAUSE_FLASH_MISMATCH, 19);
	assert_false(bench->line.alarm.ringing);
	count(bench, CAUSE_FLASH_MISMATCH, 1);
	assert_true(bench->line.alarm.ringing);
	sums_are(bench, 20, 0);
}

static void
test_window(void **state)
{
	struct bench *bench = *state;

	count(bench, CAUSE_NO_ANSWER, 10);
	count(bench, CAUSE_NONE, 50);
	assert_true(bench->line.alarm.ringing);
	/* The oldest leave first: here the failures. */
	count(bench, CAUSE_NONE, 45);
	sums_are(bench, 5, 95);
	assert_true(bench->line.alarm.ringing);
	count(bench, CAUSE_NONE, 1);
	sums_are(bench, 4, 96);
	assert_false(bench->line.alarm.ringing);
	count(bench, CAUSE_NONE, 10);
	sums_are(bench, 0, 100);
	/* Not one verdict more than the window is remembered. */
	count(bench, CAUSE_NO_ANSWER, 1);
	sums_are(bench, 1, 99);
}

/* A window that is no use is the longest one, not a division by zero. */
static void
test_window_bounds(void **state)
{
	static const uint32_t windows[] = {0, ALARM_WINDOW_MAX + 1, UINT32_MAX};
	struct bench *bench = *state;
	size_t i;

	for (i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		alarm_reset(&bench->line);
		bench->config.alarm.window = windows[i];
		count(bench, CAUSE_NONE, ALARM_WINDOW_MAX + 7);
		sums_are(bench, 0, ALARM_WINDOW_MAX);
	}
}

static bool
owner_counts(enum fault_owner owner)
{
	return owner == FAULT_OWNER_DEVICE || owner == FAULT_OWNER_FIXTURE ||
	       owner == FAULT_OWNER_STATION || owner == FAULT_OWNER_CLOUD ||
	       owner == FAULT_OWNER_CLOUD_POLICY;
}

/* Every cause of the table: refusals, aborts and what is the manifest's or
 * the operator's do not count, everything else does. */
static void
test_what_counts(void **state)
{
	struct bench *bench = *state;
	unsigned counted = 0, ignored = 0;

	for (enum fault_cause cause = CAUSE_NONE + 1; cause < CAUSE_COUNT;
	     cause++) {
		const struct fault_row *row = fault_row(cause);
		bool counts = owner_counts(row->owner) &&
			      (row->verdict == VERDICT_FAIL ||
				  row->verdict == VERDICT_ERROR);

		alarm_reset(&bench->line);
		count(bench, cause, 1);
		sums_are(bench, counts ? 1 : 0, 0);
		counted += counts;
		ignored += !counts;
	}
	assert_true(counted > 0 && ignored > 0);
	/* By name, so that a change of the table is seen here. */
	alarm_reset(&bench->line);
	count(bench, CAUSE_NOT_IN_MANIFEST, 30);
	count(bench, CAUSE_ALREADY_MADE, 30);
	count(bench, CAUSE_OVER_QUANTITY, 30);
	count(bench, CAUSE_LOT_NOT_OPEN, 30);
	count(bench, CAUSE_TWICE_IN_FIXTURE, 30);
	count(bench, CAUSE_ABORTED, 30);
	sums_are(bench, 0, 0);
	assert_false(bench->line.alarm.ringing);
}

static void
test_hold(void **state)
{
	struct bench *bench = *state;

	count(bench, CAUSE_NO_ANSWER, 20);
	assert_true(bench->line.alarm.ringing);
	assert_false(bench->line.held);
	alarm_reset(&bench->line);
	bench->config.alarm.hold = 1;
	count(bench, CAUSE_NO_ANSWER, 20);
	assert_true(bench->line.alarm.ringing);
	assert_true(bench->line.held);
	assert_non_null(strstr(bench->line.hold_reason, "20 / 0"));
	assert_non_null(strstr(bench->line.hold_reason, "5.0 %"));
	/* Passes end the alarm; the hold is a person's to end. */
	count(bench, CAUSE_NONE, 90);
	count(bench, CAUSE_NONE, 10);
	assert_false(bench->line.alarm.ringing);
	assert_true(bench->line.held);
	line_release(&bench->line);
	assert_false(bench->line.held);
	assert_string_equal(bench->line.hold_reason, "");
	/* A released line starts its count anew, and may ring again. */
	sums_are(bench, 0, 0);
	count(bench, CAUSE_NO_ANSWER, 20);
	assert_true(bench->line.held);
}

/* The first reason stays: it is what stopped the line. */
static void
test_hold_reason(void **state)
{
	struct bench *bench = *state;

	line_hold(&bench->line, "first");
	line_hold(&bench->line, "second");
	assert_string_equal(bench->line.hold_reason, "first");
	line_release(&bench->line);
	line_release(&bench->line);
	assert_false(bench->line.held);
}

static void
cloud_is(struct bench *bench, enum cloud_state state, const char *text)
{
	struct message_cloud_state message = {.state = state};

	strcpy(message.text, text);
	line_cloud_changed(&bench->line, &message);
}

/* A lapse of the credentials holds the line, and its end releases it. */
static void
test_lapse_holds_until_it_ends(void **state)
{
	struct bench *bench = *state;

	count(bench, CAUSE_NO_ANSWER, 2);
	cloud_is(bench, CLOUD_STATE_DOWN, "no network");
	assert_false(bench->line.held);
	cloud_is(bench, CLOUD_STATE_LAPSED, "since 12:00:00Z");
	assert_true(bench->line.held);
	assert_string_equal(bench->line.hold_reason, "since 12:00:00Z");
	cloud_is(bench, CLOUD_STATE_LAPSED, "another reason");
	assert_string_equal(bench->line.hold_reason, "another reason");
	cloud_is(bench, CLOUD_STATE_UP, "");
	assert_false(bench->line.held);
	/* Nobody has looked at the failures that were counted. */
	sums_are(bench, 2, 0);
	/* Someone who releases it meanwhile has the last word. */
	cloud_is(bench, CLOUD_STATE_LAPSED, "again");
	line_release(&bench->line);
	cloud_is(bench, CLOUD_STATE_LAPSED, "and again");
	assert_false(bench->line.held);
}

/* Another's hold is another's to release. */
static void
test_lapse_leaves_other_holds(void **state)
{
	struct bench *bench = *state;

	line_hold(&bench->line, "lunch");
	cloud_is(bench, CLOUD_STATE_LAPSED, "lapse");
	assert_string_equal(bench->line.hold_reason, "lunch");
	cloud_is(bench, CLOUD_STATE_UP, "");
	assert_true(bench->line.held);
	line_release(&bench->line);
	cloud_is(bench, CLOUD_STATE_LAPSED, "lapse");
	line_hold(&bench->line, "lunch");
	assert_string_equal(bench->line.hold_reason, "lunch");
	cloud_is(bench, CLOUD_STATE_UP, "");
	assert_true(bench->line.held);
}

/* What a lapse failed, and only that, holds no longer than it lasts. */
static void
test_faults_of_a_lapse(void **state)
{
	struct bench *bench = *state;
	struct fault lapse = {.cause = CAUSE_CLOUD_CREDENTIALS};
	struct fault other = {.cause = CAUSE_CLOUD_DENIED};

	cloud_is(bench, CLOUD_STATE_LAPSED, "lapse");
	line_hold_fault(&bench->line, &lapse, clock_monotonic_ms());
	cloud_is(bench, CLOUD_STATE_UP, "");
	assert_false(bench->line.held);
	/* Its unit began before the lapse ended. */
	line_hold_fault(&bench->line, &lapse, clock_monotonic_ms() - 1000);
	assert_false(bench->line.held);
	line_hold_fault(&bench->line, &lapse, clock_monotonic_ms() + 1000);
	assert_true(bench->line.held);
	line_release(&bench->line);
	cloud_is(bench, CLOUD_STATE_LAPSED, "lapse");
	line_hold_fault(&bench->line, &other, 0);
	cloud_is(bench, CLOUD_STATE_UP, "");
	assert_true(bench->line.held);
}

static void
test_rate(void **state)
{
	struct bench *bench = *state;
	int64_t now = clock_monotonic_ms();

	assert_int_equal(rate_units_per_hour(&bench->line), 0);
	assert_int_equal(rate_takt_ms(&bench->line), 0);
	count(bench, CAUSE_NONE, 1);
	assert_int_equal(rate_units_per_hour(&bench->line), 1);
	/* Eleven passes in ten minutes: ten spans of a minute. */
	for (size_t i = 0; i < 11; i++)
		bench->line.pass_ms[i] = now - 600000 + (int64_t)i * 60000;
	bench->line.pass_count = bench->line.pass_next = 11;
	assert_in_range(rate_units_per_hour(&bench->line), 59, 60);
	assert_in_range(rate_takt_ms(&bench->line), 60000, 61100);
	/* What is older than an hour is not of this rate. */
	for (size_t i = 0; i < 11; i++)
		bench->line.pass_ms[i] = now - 4000000;
	assert_int_equal(rate_units_per_hour(&bench->line), 0);
	/* More passes than are kept do no harm. */
	count(bench, CAUSE_NONE, PASS_RING + 5);
	assert_int_equal(bench->line.pass_count, PASS_RING);
	assert_true(rate_units_per_hour(&bench->line) > 1000);
}

/*
 * Against a plain list of all verdicts: whatever comes, the sums are those
 * of the last `window` that count, and the alarm is what the rule says.
 */
static void
test_model(void **state)
{
	static const enum fault_cause causes[] = {CAUSE_NONE, CAUSE_NONE,
	    CAUSE_NONE, CAUSE_NO_ANSWER, CAUSE_NOT_IN_MANIFEST, CAUSE_ABORTED};
	struct bench *bench = *state;
	const struct config_alarm *limits = &bench->config.alarm;
	unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();
	uint8_t failed[4000];
	size_t all = 0;

	print_message("# seed %u\n", seed);
	srand(seed);
	bench->config.alarm.window = 1 + (uint32_t)rand() % 60;
	bench->config.alarm.minimum = 1 + (uint32_t)rand() % 30;
	bench->config.alarm.ratio_milli = (uint32_t)rand() % 1500;
	for (size_t i = 0; i < sizeof(failed); i++) {
		enum fault_cause cause = causes[(size_t)rand() % 6];
		uint32_t failures = 0, successes = 0;
		bool rings;

		count(bench, cause, 1);
		if (cause == CAUSE_NONE || cause == CAUSE_NO_ANSWER)
			failed[all++] = cause != CAUSE_NONE;
		for (size_t j = all > limits->window ? all - limits->window : 0;
		     j < all; j++) {
			failures += failed[j];
			successes += !failed[j];
		}
		sums_are(bench, failures, successes);
		rings = failures + successes >= limits->minimum &&
			failures > 0 &&
			(successes == 0 || failures * 1000.0 / successes >
					       limits->ratio_milli);
		assert_int_equal(bench->line.alarm.ringing, rings);
	}
}

int
main(void)
{
#define ALARM_TEST(name) \
	cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
	const struct CMUnitTest tests[] = {
	    ALARM_TEST(test_limit),
	    ALARM_TEST(test_minimum),
	    ALARM_TEST(test_no_success),
	    ALARM_TEST(test_window),
	    ALARM_TEST(test_window_bounds),
	    ALARM_TEST(test_what_counts),
	    ALARM_TEST(test_hold),
	    ALARM_TEST(test_hold_reason),
	    ALARM_TEST(test_lapse_holds_until_it_ends),
	    ALARM_TEST(test_lapse_leaves_other_holds),
	    ALARM_TEST(test_faults_of_a_lapse),
	    ALARM_TEST(test_rate),
	    ALARM_TEST(test_model),
	};
#undef ALARM_TEST

	/* Nobody reads the alarms of a test: not even errors are logged. */
	log_open("alarm-test", (enum log_level)(LOG_LEVEL_ERROR - 1));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
