#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/csv.h"

/*
 * Reads all of a text into one line: fields in brackets, each with its
 * column, records with their line, errors with line and column.
 */
static const char *
read_all(const char *text, size_t len)
{
	static char shown[4096];
	struct csv_reader reader;
	char *data = malloc(len + 1);
	int at = 0, more;
	size_t i;

	assert_non_null(data);
	memcpy(data, text, len);
	csv_open(&reader, data, len);
	shown[0] = '\0';
	while ((more = csv_next(&reader)) != 0) {
		at += snprintf(shown + at, sizeof(shown) - (size_t)at,
		    "%zu:", reader.line);
		if (more < 0)
			at += snprintf(shown + at, sizeof(shown) - (size_t)at,
			    "error %zu: %.9s ", reader.error_column,
			    reader.error);
		for (i = 0; i < reader.count; i++)
			at += snprintf(shown + at, sizeof(shown) - (size_t)at,
			    "[%zu %.*s]", reader.fields[i].column,
			    (int)reader.fields[i].len, reader.fields[i].text);
	}
	free(data);
	return shown;
}

static void
test_accepted(void **state)
{
	static const struct {
		const char *text, *shown;
	} rows[] = {
	    {"", ""},
	    {"\xef\xbb\xbf", ""},
	    {"a,b\r\nc,d\r\n", "1:[1 a][3 b]2:[1 c][3 d]"},
	    {"a,b\nc,d", "1:[1 a][3 b]2:[1 c][3 d]"},
	    {"\xef\xbb\xbf"
	     "a,b\n",
		"1:[1 a][3 b]"},
	    {"\"a,b\",c\n", "1:[1 a,b][7 c]"},
	    {"\"a\"\"b\"\n", "1:[1 a\"b]"},
	    {"\"\",x\n", "1:[1 ][4 x]"},
	    {"\"\"\"\"", "1:[1 \"]"},
	    {",\n", "1:[1 ][2 ]"},
	    {"a,", "1:[1 a][3 ]"},
	    {"\n\r\na\n\nb\n\n", "3:[1 a]5:[1 b]"},
	    {"\"a\nb\",c\nd\n", "1:[1 a\nb][4 c]3:[1 d]"},
	    {"\"a\r\nb\"\nd", "1:[1 a\r\nb]3:[1 d]"},
	    {" a , b \n", "1:[1  a ][5  b ]"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(
		    read_all(rows[i].text, strlen(rows[i].text)),
		    rows[i].shown);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text, *shown;
	} rows[] = {
	    {"a\"b,c\nd\n", "1:error 2: a quote i 2:[1 d]"},
	    {"\"a\"b,c\nd\n", "1:error 4: text behi 2:[1 d]"},
	    {"a,\"b\nc", "2:error 2: the file  "},
	    {"a\rb\nd", "1:error 2: a carriag 2:[1 d]"},
	    {"a\r", "1:error 2: a carriag "},
	    {"\"\n\"x\nd", "2:error 2: text behi 3:[1 d]"},
	    {"a\nb\"\nc\"\nd", "1:[1 a]2:error 2: a quote i "
			       "3:error 2: a quote i 4:[1 d]"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(
		    read_all(rows[i].text, strlen(rows[i].text)),
		    rows[i].shown);
	assert_string_equal(
	    read_all("a,\0b\nc", 6), "1:error 3: a NUL byt 2:[1 c]");
	assert_string_equal(read_all("\"\0\"", 3), "1:error 2: a NUL byt ");
}

static void
test_limits(void **state)
{
	char text[2 * CSV_FIELD_LEN_MAX + 16];
	struct csv_reader reader;

	(void)state;
	memset(text, ',', CSV_FIELDS_MAX);
	csv_open(&reader, text, CSV_FIELDS_MAX - 1);
	assert_int_equal(csv_next(&reader), 1);
	assert_int_equal(reader.count, CSV_FIELDS_MAX);
	csv_open(&reader, text, CSV_FIELDS_MAX);
	assert_int_equal(csv_next(&reader), -1);
	assert_int_equal(reader.error_column, CSV_FIELDS_MAX + 1);
	assert_int_equal(csv_next(&reader), 0);
	memset(text, 'x', sizeof(text));
	csv_open(&reader, text, CSV_FIELD_LEN_MAX);
	assert_int_equal(csv_next(&reader), 1);
	assert_int_equal(reader.fields[0].len, CSV_FIELD_LEN_MAX);
	csv_open(&reader, text, CSV_FIELD_LEN_MAX + 1);
	assert_int_equal(csv_next(&reader), -1);
	assert_int_equal(reader.error_column, 1);
	/* The limit is on the field, not on how it is quoted. */
	memset(text, '"', sizeof(text));
	csv_open(&reader, text, 2 * CSV_FIELD_LEN_MAX + 2);
	assert_int_equal(csv_next(&reader), 1);
	assert_int_equal(reader.fields[0].len, CSV_FIELD_LEN_MAX);
}

static void
test_formulas(void **state)
{
	struct buf buf;

	(void)state;
	assert_true(csv_is_formula("=1+1", 4));
	assert_true(csv_is_formula("+1", 2));
	assert_true(csv_is_formula("-1", 2));
	assert_true(csv_is_formula("@x", 2));
	assert_true(csv_is_formula("\tx", 2));
	assert_true(csv_is_formula("\rx", 2));
	assert_false(csv_is_formula("", 0));
	assert_false(csv_is_formula("\0", 1));
	assert_false(csv_is_formula("a=1", 3));
	assert_false(csv_is_formula("=1", 0));
	buf_init(&buf, 1000);
	csv_add_cell(&buf, "=cmd|'/C calc'!A0", true);
	csv_add_cell(&buf, "a,b", false);
	csv_add_cell(&buf, "", false);
	csv_add_cell(&buf, "-\"x\"", false);
	csv_add_cell(&buf, "a\nb", false);
	csv_end_record(&buf);
	assert_string_equal(buf.data,
	    "'=cmd|'/C calc'!A0,\"a,b\",,\"'-\"\"x\"\"\",\"a\nb\"\r\n");
	buf_free(&buf);
}

/* What the writer writes, the reader reads: random cells, quotes and all. */
static void
test_round_trip(void **state)
{
	static const char letters[] = "ab\",\n\r\t'x \xc3\xbc";
	unsigned seed = (unsigned)time(NULL);
	char cells[8][24];
	struct csv_reader reader;
	struct buf buf;
	size_t round, i, j, len;

	(void)state;
	printf("seed %u\n", seed);
	srandom(seed);
	for (round = 0; round < 5000; round++) {
		buf_init(&buf, 4096);
		for (i = 0; i < 8; i++) {
			len = (size_t)random() % (sizeof(cells[i]) - 2);
			/* No apostrophe is added to what starts with x. */
			cells[i][0] = 'x';
			for (j = 1; j <= len; j++)
				cells[i][j] = letters[(size_t)random() %
						      (sizeof(letters) - 1)];
			cells[i][len + 1] = '\0';
			csv_add_cell(&buf, cells[i], i == 0);
		}
		csv_end_record(&buf);
		csv_open(&reader, buf.data, buf.len);
		assert_int_equal(csv_next(&reader), 1);
		assert_int_equal(reader.count, 8);
		for (i = 0; i < 8; i++) {
			assert_int_equal(
			    reader.fields[i].len, strlen(cells[i]));
			assert_memory_equal(reader.fields[i].text, cells[i],
			    reader.fields[i].len);
		}
		assert_int_equal(csv_next(&reader), 0);
		buf_free(&buf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_formulas),
	    cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
