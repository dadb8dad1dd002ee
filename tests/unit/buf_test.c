#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/buf.h"

static void
test_appends_and_terminates(void **state)
{
	struct buf buf;
	size_t i;

	(void)state;
	buf_init(&buf, 100000);
	assert_null(buf.data);
	buf_add(&buf, NULL, 0);
	assert_string_equal(buf.data, "");
	buf_add_text(&buf, "one");
	buf_add(&buf, ", two", 5);
	buf_add_format(&buf, ", %d%s", 3, "!");
	assert_string_equal(buf.data, "one, two, 3!");
	assert_int_equal(buf.len, 12);
	for (i = 0; i < 20000; i++)
		buf_add_format(&buf, "%zu", i % 10);
	assert_false(buf.failed);
	assert_int_equal(buf.len, 20012);
	assert_int_equal(strlen(buf.data), 20012);
	assert_int_equal(buf.data[20011], '9');
	buf_free(&buf);
	assert_null(buf.data);
	buf_free(&buf);
	buf_free(NULL);
}

static void
test_cap_is_exact(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 8);
	buf_add_text(&buf, "12345678");
	assert_false(buf.failed);
	buf_add_text(&buf, "");
	assert_false(buf.failed);
	buf_add_text(&buf, "9");
	assert_true(buf.failed);
	assert_string_equal(buf.data, "12345678");
	buf_reset(&buf);
	assert_false(buf.failed);
	assert_string_equal(buf.data, "");
	buf_add_text(&buf, "1234567");
	buf_add_format(&buf, "%d", 89);
	assert_true(buf.failed);
	assert_string_equal(buf.data, "1234567");
	buf_add_text(&buf, "8");
	assert_string_equal(buf.data, "1234567");
	buf_free(&buf);
	buf_init(&buf, SIZE_MAX);
	buf_add(&buf, "", SIZE_MAX);
	assert_true(buf.failed);
	buf_free(&buf);
}

static void
test_drop(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 64);
	buf_drop(&buf, 5);
	buf_add_text(&buf, "frame one frame two");
	buf_drop(&buf, 10);
	assert_string_equal(buf.data, "frame two");
	buf_drop(&buf, 0);
	assert_string_equal(buf.data, "frame two");
	buf_drop(&buf, 100);
	assert_string_equal(buf.data, "");
	assert_int_equal(buf.len, 0);
	buf_free(&buf);
}

static void
test_text_copy(void **state)
{
	char to[5];

	(void)state;
	assert_int_equal(text_copy(to, sizeof(to), "1234"), 0);
	assert_string_equal(to, "1234");
	assert_int_equal(text_copy(to, sizeof(to), "12345"), -1);
	assert_string_equal(to, "1234");
	assert_int_equal(text_copy(to, 0, "x"), -1);
	assert_string_equal(to, "1234");
	assert_int_equal(text_copy(to, 1, ""), 0);
	assert_string_equal(to, "");
	assert_true(text_equal("a", "a"));
	assert_false(text_equal("a", "b"));
	assert_false(text_equal("a", NULL));
	assert_true(text_equal(NULL, NULL));
}

static void
test_hex(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x9f, 0xff, 0x10};
	uint8_t back[4];
	char text[9];

	(void)state;
	hex_encode(text, bytes, sizeof(bytes));
	assert_string_equal(text, "009fff10");
	assert_int_equal(hex_decode(back, 4, "009FfF10"), 0);
	assert_memory_equal(back, bytes, 4);
	assert_int_equal(hex_decode(back, 4, "009fff1"), -1);
	assert_int_equal(hex_decode(back, 4, "009fff100"), -1);
	assert_int_equal(hex_decode(back, 4, "009fff1g"), -1);
	assert_int_equal(hex_decode(back, 4, "00 9fff1"), -1);
	assert_int_equal(hex_decode(back, 0, ""), 0);
}

static void
test_escape(void **state)
{
	char to[10];

	(void)state;
	text_escape(to, sizeof(to), "a\\\n", 3);
	assert_string_equal(to, "a\\x5c\\x0a");
	/* An escape is whole or absent. */
	text_escape(to, sizeof(to), "ab\n\n", 4);
	assert_string_equal(to, "ab\\x0a");
	text_escape(to, sizeof(to), "0123456789", 10);
	assert_string_equal(to, "012345678");
	text_escape(to, 1, "x", 1);
	assert_string_equal(to, "");
	text_escape(to, sizeof(to), "\xff\0", 2);
	assert_string_equal(to, "\\xff\\x00");
	text_escape(to, sizeof(to), NULL, 0);
	assert_string_equal(to, "");
}

static void
test_characters(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool cut;
	} rows[] = {
	    {"a", 1, false},
	    {"\x1f", 0, false},
	    {"\x7f", 0, false},
	    {"\xc3\xbc", 2, false},
	    {"\xc3", 0, true},
	    {"\xc2\x80", 0, false}, /* C1 */
	    {"\xc2\xa0", 2, false},
	    {"\xc1\xbf", 0, false},	/* overlong */
	    {"\xe0\x9f\xbf", 0, false}, /* overlong */
	    {"\xe0\xa0\x80", 3, false},
	    {"\xe2\x82", 0, true},
	    {"\xed\x9f\xbf", 3, false},
	    {"\xed\xa0\x80", 0, false},	    /* a surrogate */
	    {"\xf0\x8f\xbf\xbf", 0, false}, /* overlong */
	    {"\xf0\x9f\x98\x80", 4, false},
	    {"\xf0\x9f\x98", 0, true},
	    {"\xf4\x90\x80\x80", 0, false}, /* above U+10FFFF */
	    {"\xf5\x80\x80\x80", 0, false},
	    {"\x80", 0, false},
	    {"", 0, false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].text);

		assert_int_equal(
		    text_character_len(rows[i].text, len), rows[i].len);
		assert_int_equal(text_is_cut(rows[i].text, len), rows[i].cut);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_appends_and_terminates),
	    cmocka_unit_test(test_cap_is_exact),
	    cmocka_unit_test(test_drop),
	    cmocka_unit_test(test_text_copy),
	    cmocka_unit_test(test_hex),
	    cmocka_unit_test(test_escape),
	    cmocka_unit_test(test_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
