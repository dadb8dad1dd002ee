#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/fault.h"

/* Names go to ledgers and scripts: each is there, unique and found again. */
static void
test_names_lead_back(void **state)
{
	enum fault_cause cause;

	(void)state;
	for (cause = CAUSE_NONE; cause < CAUSE_COUNT; cause++) {
		const char *name = fault_row(cause)->name;

		assert_non_null(name);
		assert_true(strlen(name) > 0);
		assert_int_equal(fault_cause_by_name(name), cause);
	}
	assert_int_equal(fault_cause_by_name("nonsense"), CAUSE_COUNT);
	assert_int_equal(fault_cause_by_name(""), CAUSE_COUNT);
}

static void
test_rows_are_complete(void **state)
{
	enum fault_cause cause;

	(void)state;
	for (cause = CAUSE_NONE + 1; cause < CAUSE_COUNT; cause++) {
		const struct fault_row *row = fault_row(cause);

		/* A staged unit is nobody's failure. */
		if (cause != CAUSE_STAGED)
			assert_int_not_equal(row->owner, FAULT_OWNER_NONE);
		assert_int_not_equal(row->class, FAULT_CLASS_NONE);
		assert_int_not_equal(row->verdict, VERDICT_NONE);
		assert_int_not_equal(row->verdict, VERDICT_PASS);
		assert_true(strlen(row->action) > 10);
		assert_non_null(fault_owner_name(row->owner));
		assert_true(strlen(verdict_name(row->verdict)) > 0);
	}
	assert_ptr_equal(fault_row(CAUSE_COUNT), fault_row(CAUSE_INTERNAL));
	assert_null(fault_owner_name((enum fault_owner)99));
	assert_string_equal(verdict_name(VERDICT_NONE), "");
	assert_string_equal(verdict_name(VERDICT_REFUSED), "REFUSED");
}

static void
test_set_fills_and_fails(void **state)
{
	struct fault fault;

	(void)state;
	memset(&fault, 0xff, sizeof(fault));
	assert_int_equal(
	    fault_set(&fault, CAUSE_NO_ANSWER, "slot %d: %s", 3, "silent"), -1);
	assert_int_equal(fault.cause, CAUSE_NO_ANSWER);
	assert_string_equal(fault.text, "slot 3: silent");
	assert_string_equal(fault.request_id, "");
	assert_int_equal(fault_set(NULL, CAUSE_NO_ANSWER, "nobody"), -1);
	fault_clear(&fault);
	assert_int_equal(fault.cause, CAUSE_NONE);
	assert_string_equal(fault.text, "");
	fault_clear(NULL);
}

static void
test_errno_is_appended(void **state)
{
	struct fault fault;

	(void)state;
	assert_int_equal(fault_set_errno(&fault, CAUSE_PORT_ERROR, ENOENT, "%s",
			     "/dev/null/x"),
	    -1);
	assert_string_equal(
	    fault.text, "/dev/null/x: No such file or directory");
	assert_int_equal(
	    fault_set_errno(NULL, CAUSE_PORT_ERROR, ENOENT, "nobody"), -1);
}

static void
test_prefix_goes_in_front(void **state)
{
	struct fault fault;

	(void)state;
	fault_set(&fault, CAUSE_GARBAGE, "12 bytes");
	strcpy(fault.request_id, "r-1");
	assert_int_equal(fault_prefix(&fault, "slot %d", 7), -1);
	assert_string_equal(fault.text, "slot 7: 12 bytes");
	assert_int_equal(fault.cause, CAUSE_GARBAGE);
	assert_string_equal(fault.request_id, "r-1");
	assert_int_equal(fault_prefix(NULL, "x"), -1);
}

/* A caller may wrap a fault's own text into itself. */
static void
test_own_text_as_argument(void **state)
{
	struct fault fault;

	(void)state;
	fault_set(&fault, CAUSE_GARBAGE, "inner");
	fault_set(&fault, CAUSE_FLASH_ERROR, "outer: %s", fault.text);
	assert_string_equal(fault.text, "outer: inner");
}

/* What comes from a device must not steer a terminal or break a record. */
static void
test_control_bytes_are_replaced(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
	    {"a\x1b[31mb\r\n", "a?[31mb??"},
	    {"\x7f\x01", "??"},
	    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	    {"\xc2\x9b"
	     "c1",
		"??c1"},
	    {"\xff\xfe", "??"},
	    {"\xc3(", "?("},
	    {"\xed\xa0\x80", "???"},
	    {"\xc0\xaf", "??"},
	};
	struct fault fault;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fault_set(&fault, CAUSE_GARBAGE, "%s", rows[i].from);
		assert_string_equal(fault.text, rows[i].to);
	}
}

static void
test_long_text_is_cut_between_characters(void **state)
{
	char text[1000] = "x";
	struct fault fault;
	size_t i, len;

	(void)state;
	for (i = 0; i < 300; i++)
		memcpy(text + 1 + 2 * i, "\xc3\xbc", 2);
	text[601] = '\0';
	fault_set(&fault, CAUSE_GARBAGE, "%s", text);
	len = strlen(fault.text);
	assert_int_equal(len, sizeof(fault.text) - 1);
	assert_memory_equal(fault.text, text, len);
	fault_set(&fault, CAUSE_GARBAGE, "%s", text + 1);
	len = strlen(fault.text);
	assert_int_equal(len, sizeof(fault.text) - 2);
	assert_memory_equal(fault.text, text + 1, len);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names_lead_back),
	    cmocka_unit_test(test_rows_are_complete),
	    cmocka_unit_test(test_set_fills_and_fails),
	    cmocka_unit_test(test_errno_is_appended),
	    cmocka_unit_test(test_prefix_goes_in_front),
	    cmocka_unit_test(test_own_text_as_argument),
	    cmocka_unit_test(test_control_bytes_are_replaced),
	    cmocka_unit_test(test_long_text_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
