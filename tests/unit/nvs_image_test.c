/* The NVS image against the published vector, and its page arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "device/inject.h"

enum {
	SIZE = 0x4000,
	PAGE = 4096
};

static int
expand_same(void *arg, const char *rule, char *to, size_t size, size_t *len,
    struct fault *fault)
{
	(void)arg;
	(void)fault;
	*len = strlen(rule);
	/* "#N" is N bytes. */
	if (rule[0] == '#')
		*len = strtoul(rule + 1, NULL, 10);
	assert_in_range(*len, 0, size);
	if (rule[0] == '#')
		memset(to, 'b', *len);
	else
		memcpy(to, rule, *len);
	return 0;
}

static void
entry_add(struct inject_layout *layout, const char *key, uint32_t encoding,
    const char *rule)
{
	struct inject_entry *entry = &layout->entries[layout->entry_count++];

	(void)text_copy(entry->key, sizeof(entry->key), key);
	(void)text_copy(entry->rule, sizeof(entry->rule), rule);
	entry->encoding = encoding;
}

static struct inject_layout
layout_new(void)
{
	struct inject_layout layout = {
	    .kind = INJECT_NVS, .size = SIZE, .name_space = "fctry"};

	return layout;
}

static void
assert_hex(const uint8_t *bytes, size_t len, const char *expected)
{
	char hex[257];

	hex_encode(hex, bytes, len);
	assert_string_equal(hex, expected);
}

static void
image_is_as_published(void **state)
{
	struct inject_layout layout = layout_new();
	struct fault fault = {0};
	static uint8_t image[SIZE];

	(void)state;
	entry_add(&layout, "serial_no", INJECT_TEXT, "SN0001");
	entry_add(&layout, "port", INJECT_U16, "8883");
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), 0);
	assert_hex(image, 12, "feffffff00000000feffffff");
	assert_hex(image + 28, 4, "842dbab9"); /* B9BA2D84 */
	assert_hex(image + 32, 4, "aaffffff"); /* four entries written */
	assert_hex(image + 64, 32,
	    "000101fff8378191"
	    "66637472790000000000000000000000"
	    "01ffffffffffffff");
	assert_hex(image + 96, 32,
	    "012102fffc535d2b"
	    "73657269616c5f6e6f00000000000000"
	    "0700ffffccc5ac6b");
	assert_hex(image + 128, 32,
	    "534e3030303100"
	    "ffffffffffffffffffffffffffffffffffffffffffffffffff");
	assert_hex(image + 160, 32,
	    "010201ff2b726601"
	    "706f7274000000000000000000000000"
	    "b322ffffffffffff");
	for (size_t i = 192; i < SIZE; i++)
		assert_int_equal(image[i], 0xFF);
}

static void
integers_have_their_ranges(void **state)
{
	static const struct {
		uint32_t encoding;
		const char *text;
		const char *data; /* null: refused */
		unsigned type;
	} cases[] = {
	    {INJECT_U8, "255", "ffffffffffffffff", 0x01},
	    {INJECT_U8, "256", NULL, 0},
	    {INJECT_U8, "-1", NULL, 0},
	    {INJECT_I8, "-128", "80ffffffffffffff", 0x11},
	    {INJECT_I8, "-129", NULL, 0},
	    {INJECT_I8, "128", NULL, 0},
	    {INJECT_I16, "-2", "feffffffffffffff", 0x12},
	    {INJECT_U32, "4294967295", "ffffffffffffffff", 0x04},
	    {INJECT_U32, "4294967296", NULL, 0},
	    {INJECT_I32, "-2147483648", "00000080ffffffff", 0x14},
	    {INJECT_U64, "18446744073709551615", "ffffffffffffffff", 0x08},
	    {INJECT_U64, "18446744073709551616", NULL, 0},
	    {INJECT_I64, "-9223372036854775808", "0000000000000080", 0x18},
	    {INJECT_I64, "9223372036854775808", NULL, 0},
	    {INJECT_U16, "12a", NULL, 0},
	    {INJECT_U16, "", NULL, 0},
	    {INJECT_I16, "-", NULL, 0},
	};
	static uint8_t image[SIZE];
	struct fault fault;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct inject_layout layout = layout_new();
		int result;

		entry_add(&layout, "n", cases[i].encoding, cases[i].text);
		result =
		    inject_build(&layout, expand_same, NULL, image, &fault);
		assert_int_equal(result, cases[i].data != NULL ? 0 : -1);
		if (cases[i].data == NULL)
			continue;
		assert_hex(image + 96 + 24, 8, cases[i].data);
		assert_int_equal(image[96 + 1], cases[i].type);
	}
}

static void
texts_go_to_the_next_page_whole(void **state)
{
	struct inject_layout layout = layout_new();
	struct fault fault = {0};
	static uint8_t image[SIZE];

	(void)state;
	/* 1 + 1 + 125 entries are one more than a page has. */
	entry_add(&layout, "one", INJECT_U8, "1");
	entry_add(&layout, "long", INJECT_TEXT, "#3967");
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), 0);
	assert_hex(image, 4, "fcffffff");		 /* full */
	assert_hex(image + PAGE, 8, "feffffff01000000"); /* active, 1 */
	assert_int_equal(image[PAGE + 64 + 1], 0x21);
	assert_int_equal(image[PAGE + 64 + 2], 125);
	/* A text beyond what NVS takes. */
	layout = layout_new();
	entry_add(&layout, "long", INJECT_TEXT, "#4000");
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_BAD_LOT);
}

static void
blobs_are_cut_at_page_ends(void **state)
{
	struct inject_layout layout = layout_new();
	struct fault fault = {0};
	static uint8_t image[SIZE];
	const uint8_t *index;

	(void)state;
	entry_add(&layout, "blob", INJECT_RAW, "#5000");
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), 0);
	/* 124 entries on the first page, the rest on the second. */
	assert_int_equal(image[96 + 1], 0x42);
	assert_int_equal(image[96 + 2], 125);
	assert_int_equal(image[96 + 3], 0);
	assert_hex(image + 96 + 24, 2, "800f"); /* 3968 */
	assert_int_equal(image[PAGE + 64 + 1], 0x42);
	assert_int_equal(image[PAGE + 64 + 3], 1);
	assert_hex(image + PAGE + 64 + 24, 2, "0804"); /* 1032 */
	index = image + PAGE + 64 + (1 + 33) * 32;
	assert_int_equal(index[1], 0x48);
	assert_hex(index + 24, 8, "881300000200ffff");
}

static void
one_page_stays_empty(void **state)
{
	struct inject_layout layout = layout_new();
	struct fault fault = {0};
	static uint8_t image[SIZE];
	size_t i;

	(void)state;
	/* Three pages of four carry 126 entries each. */
	entry_add(&layout, "a", INJECT_RAW, "#11800");
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), 0);
	for (i = 3 * PAGE; i < SIZE; i++)
		assert_int_equal(image[i], 0xFF);
	entry_add(&layout, "b", INJECT_RAW, "#300");
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_BAD_LOT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(image_is_as_published),
	    cmocka_unit_test(integers_have_their_ranges),
	    cmocka_unit_test(texts_go_to_the_next_page_whole),
	    cmocka_unit_test(blobs_are_cut_at_page_ends),
	    cmocka_unit_test(one_page_stays_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
