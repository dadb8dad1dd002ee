/* What a batch remembers: attempts that were said, and how units stand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "command/journal.h"

enum {
	NUMBERS = 2000
};

/* Random order and repeats, compared with a plain table. */
static void
test_attempts(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	struct attempt_set set = {.count = 0};
	bool there[NUMBERS] = {false};
	size_t count = 0;

	(void)state;
	print_message("seed %u\n", seed);
	for (int i = 0; i < 3 * NUMBERS; i++) {
		size_t attempt = (size_t)rand_r(&seed) % NUMBERS;
		int added = attempt_set_add(&set, attempt);

		assert_int_equal(added, there[attempt] ? 0 : 1);
		count += there[attempt] ? 0 : 1;
		there[attempt] = true;
	}
	assert_int_equal(set.count, count);
	for (size_t i = 0; i < NUMBERS; i++)
		assert_int_equal(attempt_set_has(&set, i), there[i]);
	assert_false(attempt_set_has(&set, UINT64_MAX));
	attempt_set_free(&set);
	assert_false(attempt_set_has(&set, 1));
}

static void
test_units(void **state)
{
	struct unit_tally tally = {.tree = NULL};

	(void)state;
	assert_int_equal(unit_tally_add(&tally, "a", VERDICT_PASS), 0);
	assert_int_equal(unit_tally_add(&tally, "b", VERDICT_FAIL), 0);
	assert_int_equal(tally.units, 2);
	assert_int_equal(tally.judged, 2);
	assert_int_equal(tally.failed, 1);
	/* A refusal says nothing about the unit. */
	unit_tally_add(&tally, "a", VERDICT_REFUSED);
	assert_int_equal(tally.judged, 2);
	/* The last verdict counts. */
	unit_tally_add(&tally, "b", VERDICT_ERROR);
	assert_int_equal(tally.failed, 1);
	unit_tally_add(&tally, "b", VERDICT_PASS);
	assert_int_equal(tally.failed, 0);
	unit_tally_add(&tally, "a", VERDICT_ABORTED);
	assert_int_equal(tally.failed, 1);
	assert_int_equal(tally.units, 2);
	assert_int_equal(tally.judged, 5);
	unit_tally_free(&tally);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_attempts),
	    cmocka_unit_test(test_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
