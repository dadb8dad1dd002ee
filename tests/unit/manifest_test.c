#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "lot/manifest.h"
#include "scratch.h"

/* Converts a text; the problems, without the file's name, are owned. */
static int
convert(const char *text, size_t len, uint32_t *rows, char **found)
{
	struct problems problems;
	char *data = malloc(len + 1);
	int fd;

	assert_non_null(data);
	memcpy(data, text, len);
	problems_init(&problems);
	fd = manifest_convert("m.csv", data, len, rows, &problems);
	*found = strdup(problems.text.data == NULL ? "" : problems.text.data);
	assert_non_null(*found);
	assert_int_equal(fd >= 0, problems.count == 0);
	lines_stripped(*found, "m.csv:");
	problems_free(&problems);
	free(data);
	return fd;
}

static void
open_view(const char *text, struct manifest_view *view)
{
	char *found;
	uint32_t rows;
	struct fault fault;
	int fd = convert(text, strlen(text), &rows, &found);

	assert_string_equal(found, "");
	free(found);
	assert_int_equal(manifest_map(fd, view, &fault), 0);
	assert_int_equal(view->header->rows, rows);
	close(fd);
}

static void
assert_row(const struct manifest_view *view, uint32_t at, uint32_t line,
    const char *serial, const char *mac, const char *extra)
{
	assert_true(at < view->header->rows);
	assert_string_equal(view->pool + view->row[at].serial, serial);
	assert_string_equal(view->pool + view->row[at].mac, mac);
	assert_string_equal(view->pool + view->row[at].extra, extra);
	assert_int_equal(view->row[at].line, line);
}

static void
test_converts(void **state)
{
	struct manifest_view view;

	(void)state;
	open_view("\xef\xbb\xbfserial,rev,mac,note\r\n"
		  "A-1,B,24:6F:28:00:00:01,plain\r\n"
		  "A-2,B,24-6f-28-00-00-02,\"say \"\"hi\"\" \\ \"\r\n"
		  "A-3,B,246F28000003,\xc3\xa4\r\n"
		  "A-4,,,\r\n",
	    &view);
	assert_int_equal(view.header->columns, MANIFEST_SERIAL | MANIFEST_MAC);
	assert_row(&view, 0, 2, "A-1", "24:6f:28:00:00:01",
	    "{\"rev\":\"B\",\"note\":\"plain\"}");
	assert_row(&view, 1, 3, "A-2", "24:6f:28:00:00:02",
	    "{\"rev\":\"B\",\"note\":\"say \\\"hi\\\" \\\\ \"}");
	assert_row(&view, 2, 4, "A-3", "24:6f:28:00:00:03",
	    "{\"rev\":\"B\",\"note\":\"\xc3\xa4\"}");
	assert_row(&view, 3, 5, "A-4", "", "{\"rev\":\"\",\"note\":\"\"}");
	manifest_unmap(&view);
	manifest_unmap(&view);
}

static void
test_serial_alone_and_mac_alone(void **state)
{
	struct manifest_view view;

	(void)state;
	open_view("serial\nX1\nX2", &view);
	assert_int_equal(view.header->columns, MANIFEST_SERIAL);
	assert_row(&view, 0, 2, "X1", "", "{}");
	assert_row(&view, 1, 3, "X2", "", "{}");
	manifest_unmap(&view);
	open_view("mac,rev\n24:6F:28:00:00:0A,1\n", &view);
	assert_int_equal(view.header->columns, MANIFEST_MAC);
	assert_row(&view, 0, 2, "246f2800000a", "24:6f:28:00:00:0a",
	    "{\"rev\":\"1\"}");
	manifest_unmap(&view);
}

static const struct {
	const char *text, *problems;
} bad[] = {
    {"", "1:1: the file is empty; accepted is a header line with serial or "
	 "mac, then one row a unit\n"},
    {"serial\n", "1:1: there is no row below the header; accepted is one row a "
		 "unit\n"},
    {"name,rev\nA,B\n",
	"1:1: there is neither a column serial nor a column mac; accepted is "
	"a header line with serial, mac or both, and columns of your own\n"},
    {"serial,mac,serial\nA,B,C\n",
	"1:12: column \"serial\" is there twice; accepted is one column a "
	"name\n"},
    {"serial,my rev\nA,B\n",
	"1:8: column name \"my rev\" is not accepted; accepted are 1 to 64 of "
	"A-Z a-z 0-9 _ -, the first a letter or digit\n"},
    {"serial,mac\nA,24:6f:28:00:00:01\nB\nC,24:6f:28:00:00:02,x\n",
	"3:1: the row has 1 cells; accepted are 2, as in the header\n"
	"4:1: the row has 3 cells; accepted are 2, as in the header\n"},
    {"serial\nA\nB\nA\n",
	"4:1: serial \"A\" is there twice, first in line 2; accepted is one "
	"row a serial\n"},
    {"serial,mac\nA,24:6f:28:00:00:01\nB,246f28000001\n",
	"3:3: mac \"24:6f:28:00:00:01\" is there twice, first in line 2; "
	"accepted is one row a mac\n"},
    {"serial\nA B\n=1\n/x\n",
	"2:1: serial \"A B\" is not accepted; accepted are 1 to 64 of A-Z "
	"a-z 0-9 . _ : -, the first a letter or digit\n"
	"3:1: serial \"=1\" is not accepted; accepted are 1 to 64 of A-Z a-z "
	"0-9 . _ : -, the first a letter or digit\n"
	"4:1: serial \"/x\" is not accepted; accepted are 1 to 64 of A-Z a-z "
	"0-9 . _ : -, the first a letter or digit\n"},
    {"serial,mac\nA,24:6f:28:00:00\nB,25:6f:28:00:00:01\n"
     "C,000000000000\nD,24:6f-28:00:00:01\nE,24:6f:28:00:00:0g\n",
	"2:3: mac \"24:6f:28:00:00\" is not accepted; accepted is a unit's "
	"own address as 24:6f:28:00:00:01, 24-6F-28-00-00-01 or "
	"246F28000001\n"
	"3:3: mac \"25:6f:28:00:00:01\" is not accepted; accepted is a unit's "
	"own address as 24:6f:28:00:00:01, 24-6F-28-00-00-01 or "
	"246F28000001\n"
	"4:3: mac \"000000000000\" is not accepted; accepted is a unit's own "
	"address as 24:6f:28:00:00:01, 24-6F-28-00-00-01 or 246F28000001\n"
	"5:3: mac \"24:6f-28:00:00:01\" is not accepted; accepted is a unit's "
	"own address as 24:6f:28:00:00:01, 24-6F-28-00-00-01 or "
	"246F28000001\n"
	"6:3: mac \"24:6f:28:00:00:0g\" is not accepted; accepted is a unit's "
	"own address as 24:6f:28:00:00:01, 24-6F-28-00-00-01 or "
	"246F28000001\n"},
    {"serial,note\nA,=1+1\nB,@x\nC,ok\n",
	"2:3: cell \"=1+1\" is a formula to a spreadsheet; accepted is text "
	"that does not begin with = + - @ TAB or CR\n"
	"3:3: cell \"@x\" is a formula to a spreadsheet; accepted is text "
	"that does not begin with = + - @ TAB or CR\n"},
    {"serial,note\nA,a\x01z\nB,\xff\n",
	"2:4: cell \"a\\x01z\" has a control character or is not UTF-8; "
	"accepted is printable UTF-8\n"
	"3:3: cell \"\\xff\" has a control character or is not UTF-8; "
	"accepted is printable UTF-8\n"},
    {"mac\n24:6f:28:00:00:01\n\"\"\n",
	"3:1: the row names no unit; accepted is a mac in every row of a file "
	"without a column serial\n"},
};

static void
test_says_what_is_wrong(void **state)
{
	(void)state;
	for (size_t at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
		char *found;
		uint32_t rows;

		assert_int_equal(
		    convert(bad[at].text, strlen(bad[at].text), &rows, &found),
		    -1);
		assert_string_equal(found, bad[at].problems);
		free(found);
	}
}

static void
test_goes_on_behind_broken_lines(void **state)
{
	static const char text[] = "serial\nA\nB\"\nC D\n\"E\n";
	char *found;
	uint32_t rows;

	(void)state;
	assert_int_equal(convert(text, sizeof(text) - 1, &rows, &found), -1);
	assert_int_equal(strncmp(found, "3:2: ", 5), 0);
	assert_non_null(strstr(found, "\n4:1: serial \"C D\" is not"));
	assert_non_null(strstr(found, "\n6:1: "));
	free(found);
}

/* A file that is wrong throughout does not fill the screen. */
static void
test_stops_after_a_hundred(void **state)
{
	struct buf text;
	char *found;
	char *last;
	uint32_t rows;
	size_t lines = 0;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_add_text(&text, "serial\n");
	for (int at = 0; at < 500; at++)
		buf_add_text(&text, "bad one\n");
	assert_int_equal(convert(text.data, text.len, &rows, &found), -1);
	for (const char *at = found; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	assert_int_equal(lines, MANIFEST_PROBLEMS_MAX + 1);
	last = strstr(found, "102:1: more is wrong from here on; the first 100 "
			     "problems are listed\n");
	assert_non_null(last);
	free(found);
	buf_free(&text);
}

static void
test_extra_too_long(void **state)
{
	struct buf text;
	char *found;
	uint32_t rows;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_add_text(&text, "serial,a,b,c\nS,");
	for (int column = 0; column < 3; column++) {
		for (int at = 0; at < 1000; at++)
			buf_add_text(&text, "x");
		buf_add_text(&text, column < 2 ? "," : "\n");
	}
	assert_int_equal(convert(text.data, text.len, &rows, &found), -1);
	assert_string_equal(found,
	    "2:1: the row's further columns are too long; accepted are 2047 "
	    "bytes with their names\n");
	free(found);
	buf_free(&text);
}

static void
test_view_refuses_damage(void **state)
{
	char *found;
	uint32_t rows;
	const void *data;
	char *copy;
	size_t len;
	struct fault fault;
	struct manifest_view view;
	int fd = convert("serial\nA\nB\n", 11, &rows, &found);

	(void)state;
	free(found);
	assert_int_equal(
	    file_map_sealed(fd, 1, 1 << 20, &data, &len, &fault), 0);
	copy = malloc(len);
	assert_non_null(copy);
	/* Any change to the header, the rows or the last byte. */
	for (size_t at = 0; at < len; at++) {
		bool fixed = at < offsetof(struct manifest_header, columns) ||
			     at == len - 1;
		int damaged;

		memcpy(copy, data, len);
		copy[at] = (char)(copy[at] ^ 0x40);
		damaged = file_seal("m", copy, len, &fault);
		assert_true(damaged >= 0);
		if (manifest_map(damaged, &view, &fault) == 0) {
			assert_false(fixed);
			manifest_unmap(&view);
		}
		close(damaged);
	}
	for (size_t shorter = 1; shorter < len; shorter++) {
		int cut = file_seal("m", data, shorter, &fault);

		assert_int_equal(manifest_map(cut, &view, &fault), -1);
		close(cut);
	}
	free(copy);
	close(fd);
}

static void
test_extra_get(void **state)
{
	char value[16];

	(void)state;
	assert_int_equal(
	    manifest_extra_get(
		"{\"a\":\"1\", \"b\" : \"x\\\"\\\\\\u00e4\\ud83d\\ude00\"}",
		"b", value, sizeof(value)),
	    9);
	assert_string_equal(value, "x\"\\\xc3\xa4\xf0\x9f\x98\x80");
	assert_int_equal(
	    manifest_extra_get("{\"a\":\"\"}", "a", value, sizeof(value)), 0);
	assert_string_equal(value, "");
	assert_int_equal(manifest_extra_get("{\"a\":\"0123456789abcde\"}", "a",
			     value, sizeof(value)),
	    15);
	assert_int_equal(manifest_extra_get("{\"a\":\"0123456789abcdef\"}", "a",
			     value, sizeof(value)),
	    -1);
	static const char *const wrong[] = {"", "{}", "[]", "{\"b\":\"1\"}",
	    "{\"a\":1}", "{\"a\"", "{\"a\":", "{\"a\":\"x", "{\"a\":\"\\",
	    "{\"a\":\"\\u12", "{\"a\":\"\\u0000\"}", "{\"a\":\"\\udc00\"}",
	    "{\"a\":\"\\ud800x\"}", "{\"a\":\"\n\"}", "a"};
	for (size_t at = 0; at < sizeof(wrong) / sizeof(wrong[0]); at++)
		assert_int_equal(
		    manifest_extra_get(wrong[at], "a", value, sizeof(value)),
		    -1);
}

/* The size: correct, and how long it took for who wants to know. */
static void
test_a_million_rows(void **state)
{
	enum {
		ROWS = 1000000
	};
	struct buf text;
	struct problems problems;
	struct manifest_view view;
	struct fault fault;
	uint32_t rows;
	int64_t start_us;
	int fd;
	char serial[32];

	(void)state;
	buf_init(&text, (size_t)256 << 20);
	buf_add_text(&text, "serial,mac,revision,batch\r\n");
	for (uint32_t at = 0; at < ROWS; at++) {
		/* A shuffle without repeats: the factor is odd. */
		uint32_t n = at * 2654435761u & 0xfffffff;

		buf_add_format(&text,
		    "SN-%08x,24:6f:2%x:%02x:%02x:%02x,B,%u\r\n", n, n >> 24,
		    n >> 16 & 0xff, n >> 8 & 0xff, n & 0xff, at / 1000);
	}
	assert_false(text.failed);
	problems_init(&problems);
	start_us = clock_monotonic_us();
	fd = manifest_convert("m.csv", text.data, text.len, &rows, &problems);
	print_message("%d rows, %zu MiB: %.3f s\n", ROWS, text.len >> 20,
	    (double)(clock_monotonic_us() - start_us) / 1e6);
	assert_int_equal(problems.count, 0);
	assert_int_equal(rows, ROWS);
	assert_int_equal(manifest_map(fd, &view, &fault), 0);
	for (uint32_t at = 0; at < ROWS; at += 9973) {
		(void)snprintf(serial, sizeof(serial), "SN-%08x",
		    at * 2654435761u & 0xfffffff);
		assert_string_equal(view.pool + view.row[at].serial, serial);
		assert_int_equal(view.row[at].line, at + 2);
	}
	manifest_unmap(&view);
	close(fd);
	problems_free(&problems);
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_converts),
	    cmocka_unit_test(test_serial_alone_and_mac_alone),
	    cmocka_unit_test(test_says_what_is_wrong),
	    cmocka_unit_test(test_goes_on_behind_broken_lines),
	    cmocka_unit_test(test_stops_after_a_hundred),
	    cmocka_unit_test(test_extra_too_long),
	    cmocka_unit_test(test_view_refuses_damage),
	    cmocka_unit_test(test_extra_get),
	    cmocka_unit_test(test_a_million_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
