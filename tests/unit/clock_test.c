#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

static void
test_deadlines(void **state)
{
	int64_t before_ms = clock_monotonic_ms(), deadline_ms;

	(void)state;
	deadline_ms = clock_deadline(100000);
	assert_true(deadline_ms >= before_ms + 100000);
	assert_in_range(clock_remaining_ms(deadline_ms), 1, 100000);
	assert_int_equal(clock_remaining_ms(before_ms), 0);
	assert_int_equal(clock_remaining_ms(before_ms - 5000), 0);
	assert_int_equal(clock_remaining_ms(INT64_MAX), INT_MAX);
	assert_true(clock_deadline(INT64_MAX) == INT64_MAX);
	assert_int_equal(clock_remaining_ms(0), 0);
}

static void
test_sleep_lasts(void **state)
{
	int64_t before_us = clock_monotonic_us();

	(void)state;
	clock_sleep_us(2500);
	assert_true(clock_monotonic_us() - before_us >= 2500);
	clock_sleep_us(0);
	clock_sleep_us(-1);
}

static void
test_known_times(void **state)
{
	static const struct {
		int64_t wall_ms;
		const char *text;
	} rows[] = {
	    {0, "1970-01-01T00:00:00.000Z"},
	    {INT64_C(951782400001), "2000-02-29T00:00:00.001Z"},
	    {INT64_C(1795209243123), "2026-11-20T21:14:03.123Z"},
	    {INT64_C(2524607999000), "2049-12-31T23:59:59.000Z"},
	    {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
	};
	char text[CLOCK_TEXT_LEN];
	int64_t wall_ms;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		clock_format(rows[i].wall_ms, text);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(clock_parse(rows[i].text, &wall_ms), 0);
		assert_true(wall_ms == rows[i].wall_ms);
	}
	clock_format(-1, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	clock_format(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void
test_malformed_times(void **state)
{
	static const char *const rows[] = {
	    "",
	    "2026-11-20",
	    "2026-11-20T21:14:03Z",
	    "2026-11-20T21:14:03.123",
	    "2026-11-20T21:14:03.123z",
	    "2026-11-20 21:14:03.123Z",
	    "2026-11-20T21:14:03.123Z ",
	    "2026-13-20T21:14:03.123Z",
	    "2026-00-20T21:14:03.123Z",
	    "2026-11-00T21:14:03.123Z",
	    "2026-11-31T21:14:03.123Z",
	    "2027-02-29T21:14:03.123Z",
	    "2026-11-20T24:14:03.123Z",
	    "2026-11-20T21:60:03.123Z",
	    "2026-11-20T21:14:60.123Z",
	    "2026-11-20T21:14:+3.123Z",
	    "1969-12-31T23:59:59.999Z",
	    "-026-11-20T21:14:03.123Z",
	};
	int64_t wall_ms = 42;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (clock_parse(rows[i], &wall_ms) == 0)
			fail_msg("accepted: %s", rows[i]);
		assert_true(wall_ms == 42);
	}
}

static void
test_random_times_come_back(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	char text[CLOCK_TEXT_LEN];
	int64_t wall_ms, back_ms;
	int i;

	(void)state;
	printf("seed %u\n", seed);
	srandom(seed);
	for (i = 0; i < 10000; i++) {
		wall_ms = ((int64_t)random() << 31 | random()) %
			  INT64_C(253402300800000);
		clock_format(wall_ms, text);
		assert_int_equal(clock_parse(text, &back_ms), 0);
		assert_true(wall_ms == back_ms);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_deadlines),
	    cmocka_unit_test(test_sleep_lasts),
	    cmocka_unit_test(test_known_times),
	    cmocka_unit_test(test_malformed_times),
	    cmocka_unit_test(test_random_times_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
