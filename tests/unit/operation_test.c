/* The table of operations: every row is there and can be used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/operation.h"

/* A row that was forgotten would be one of zeroes. */
static void
rows_are_whole(void **state)
{
	(void)state;
	for (int i = 0; i < OPERATION_COUNT; i++) {
		const struct operation_row *row =
		    operation_row((enum operation)i);

		assert_non_null(row->name);
		assert_true(row->quota_milli > 0);
		assert_int_equal(operation_by_name(row->name), i);
		if (strncmp(row->name, "mqtt:", 5) == 0) {
			assert_null(row->method);
			continue;
		}
		assert_non_null(row->method);
		assert_int_equal(row->path[0], '/');
	}
	assert_int_equal(operation_by_name("NoSuchCall"), OPERATION_COUNT);
}

/* A call that makes another thing each time must never be a read. */
static void
effects_fit_methods(void **state)
{
	(void)state;
	for (int i = 0; i < OPERATION_COUNT; i++) {
		const struct operation_row *row =
		    operation_row((enum operation)i);

		if (row->method == NULL || row->service == SERVICE_STS)
			continue;
		assert_int_equal(row->effect == EFFECT_READ,
		    strcmp(row->method, "GET") == 0 ||
			strcmp(row->method, "HEAD") == 0);
		if (row->effect == EFFECT_ONCE)
			assert_string_equal(row->method, "POST");
	}
	assert_int_equal(
	    operation_row(OPERATION_REGISTER_THING)->effect, EFFECT_ONCE);
	assert_int_equal(
	    operation_row(OPERATION_CREATE_CERTIFICATE_FROM_CSR)->effect,
	    EFFECT_ONCE);
	assert_int_equal(
	    operation_row(OPERATION_START_THING_REGISTRATION_TASK)->effect,
	    EFFECT_ONCE);
}

static void
services_have_signing_names(void **state)
{
	(void)state;
	assert_string_equal(service_signing_name(SERVICE_IOT), "iot");
	assert_string_equal(service_signing_name(SERVICE_STS), "sts");
	assert_string_equal(service_signing_name(SERVICE_S3), "s3");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_whole),
	    cmocka_unit_test(effects_fit_methods),
	    cmocka_unit_test(services_have_signing_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
