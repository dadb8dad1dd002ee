#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/problems.h"

static int standard_error;
static int pipes[2];

/* Standard error is a pipe while a test runs, so no terminal. */
static int
capture_open(void **state)
{
	(void)state;
	standard_error = dup(STDERR_FILENO);
	if (standard_error < 0 || pipe2(pipes, O_NONBLOCK) < 0)
		return -1;
	return dup2(pipes[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int
capture_close(void **state)
{
	(void)state;
	(void)dup2(standard_error, STDERR_FILENO);
	close(standard_error);
	close(pipes[0]);
	close(pipes[1]);
	return 0;
}

/* All that was written since the last call. */
static const char *
captured(void)
{
	static char text[8192];
	ssize_t got = read(pipes[0], text, sizeof(text) - 1);

	text[got < 0 ? 0 : got] = '\0';
	return text;
}

static void
test_lines(void **state)
{
	(void)state;
	log_open("slot", LOG_LEVEL_INFO);
	log_error("port %s: %d", "gone", 5);
	assert_string_equal(captured(), "<3>slot: port gone: 5\n");
	log_info("one");
	log_debug("two");
	log_warning("three");
	assert_string_equal(captured(), "<6>slot: one\n<4>slot: three\n");
	log_open("cloud", LOG_LEVEL_DEBUG);
	log_debug("two");
	assert_string_equal(captured(), "<7>cloud: two\n");
}

/* One call is one line, whatever a device says. */
static void
test_escapes(void **state)
{
	(void)state;
	log_open("slot", LOG_LEVEL_INFO);
	log_error("%s", "a\n<0>forged\r\x1b[2J\x7f");
	assert_string_equal(
	    captured(), "<3>slot: a\\x0a<0>forged\\x0d\\x1b[2J\\x7f\n");
	log_error("%s", "gr\xc3\xbcn \xc2\x9b \xff");
	assert_string_equal(
	    captured(), "<3>slot: gr\xc3\xbcn \\xc2\\x9b \\xff\n");
}

static void
test_long_lines_are_cut(void **state)
{
	char text[5000];
	const char *line;

	(void)state;
	log_open("slot", LOG_LEVEL_INFO);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error("%s", text);
	line = captured();
	assert_true(strlen(line) > 1000);
	assert_true(strlen(line) <= 2048);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	memset(text, '\n', sizeof(text) - 1);
	log_error("%s", text);
	line = captured();
	assert_true(strlen(line) <= 2048);
	assert_memory_equal(line + strlen(line) - 5, "\\x0a\n", 5);
}

static void
test_problems(void **state)
{
	struct problems problems;
	size_t i, kept;

	(void)state;
	problems_init(&problems);
	problems_add(&problems, "lot.yaml", 3, 14, "quantity is %d", 0);
	problems_add(&problems, "lot.yaml", 3, 0, "a line");
	problems_add(&problems, "lot.yaml", 0, 0, "a file's\nown");
	assert_string_equal(problems.text.data, "lot.yaml:3:14: quantity is 0\n"
						"lot.yaml:3: a line\n"
						"lot.yaml: a file's?own\n");
	assert_int_equal(problems.count, 3);
	/* The text has a cap, the count has none. */
	for (i = 0; i < 20000; i++)
		problems_add(&problems, "manifest.csv", i + 1, 1, "bad serial");
	assert_int_equal(problems.count, 20003);
	kept = problems.text.len;
	assert_true(kept <= problems.text.max);
	assert_int_equal(problems.text.data[kept - 1], '\n');
	problems_free(&problems);
	assert_int_equal(problems.count, 0);
	problems_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_lines, capture_open, capture_close),
	    cmocka_unit_test_setup_teardown(
		test_escapes, capture_open, capture_close),
	    cmocka_unit_test_setup_teardown(
		test_long_lines_are_cut, capture_open, capture_close),
	    cmocka_unit_test(test_problems),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
