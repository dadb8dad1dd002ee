#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cloud/command_line.h"

/* What Python's shlex.split gives, which botocore calls. */
static const struct {
	const char *text;
	const char *words[6]; /* none: refused */
} rows[] = {
    {"/bin/x", {"/bin/x"}},
    {"  a\tb  c ", {"a", "b", "c"}},
    {"a 'b c' \"d e\"", {"a", "b c", "d e"}},
    {"a'b'\"c\"d", {"abcd"}},
    {"'' \"\" x", {"", "", "x"}},
    {"a\\ b \\'c", {"a b", "'c"}},
    {"'a\\b' \"c\\d\" \"e\\\"f\\\\g\"", {"a\\b", "c\\d", "e\"f\\g"}},
    {"a # b", {"a", "#", "b"}},
    {"echo $HOME `id` | x > y", {"echo", "$HOME", "`id`", "|", "x", ">"}},
    {"", {0}},
    {" \t ", {0}},
    {"'a", {0}},
    {"\"a", {0}},
    {"\"a\\\"", {0}},
    {"a\\", {0}},
};

static void
test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct command_line line;
		struct fault fault = {0};
		int result = command_line_split(&line, rows[i].text, &fault);

		print_message("%s\n", rows[i].text);
		if (rows[i].words[0] == NULL) {
			assert_int_equal(result, -1);
			assert_int_equal(fault.cause, CAUSE_CLOUD_CREDENTIALS);
			assert_null(line.text);
			continue;
		}
		assert_int_equal(result, 0);
		for (size_t k = 0; k < 6 && rows[i].words[k] != NULL; k++)
			assert_string_equal(line.words[k], rows[i].words[k]);
		assert_null(line.words[line.count]);
		command_line_free(&line);
	}
}

static void
test_number_of_words(void **state)
{
	struct command_line line;
	struct fault fault = {0};
	char text[2 * COMMAND_WORDS_MAX + 3] = "";

	(void)state;
	for (int i = 0; i < COMMAND_WORDS_MAX; i++)
		strcat(text, "a ");
	assert_int_equal(command_line_split(&line, text, &fault), 0);
	assert_int_equal(line.count, COMMAND_WORDS_MAX);
	command_line_free(&line);
	strcat(text, "a");
	assert_int_equal(command_line_split(&line, text, &fault), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_number_of_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
