/* The esp_secure_cert image against the published vector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/buf.h"
#include "device/inject.h"

static int
expand_same(void *arg, const char *rule, char *to, size_t size, size_t *len,
    struct fault *fault)
{
	(void)arg;
	(void)fault;
	*len = strlen(rule);
	if (*len > size)
		return -1;
	memcpy(to, rule, *len);
	return 0;
}

static struct inject_layout
layout_of(uint32_t type, uint32_t encoding, const char *rule)
{
	struct inject_layout layout = {.kind = INJECT_ESP_SECURE_CERT,
	    .offset = 0xD000,
	    .size = 0x2000,
	    .entry_count = 1};

	layout.entries[0].tlv_type = type;
	layout.entries[0].encoding = encoding;
	assert_int_equal(text_copy(layout.entries[0].rule,
			     sizeof(layout.entries[0].rule), rule),
	    0);
	return layout;
}

static void
image_is_as_published(void **state)
{
	struct inject_layout layout = layout_of(51, INJECT_TEXT, "SN0001");
	struct fault fault = {0};
	uint8_t image[0x2000];
	char hex[129];

	(void)state;
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), 0);
	hex_encode(hex, image, 32);
	assert_string_equal(hex, "11ba5eba00000000330007005"
				 "34e30303031000000000000000000004e17e358");
	for (size_t i = 32; i < sizeof(image); i++)
		assert_int_equal(image[i], 0xFF);
}

static void
several_values_follow_each_other(void **state)
{
	struct inject_layout layout =
	    layout_of(0, INJECT_RAW, "0123456789abcdef0");
	struct fault fault = {0};
	uint8_t image[0x2000];

	(void)state;
	layout.entry_count = 2;
	layout.entries[1] = layout.entries[0];
	layout.entries[1].tlv_type = 2;
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), 0);
	/* 12 + 32 + 4: 17 bytes take two units of 16. */
	assert_int_equal(image[10], 17);
	assert_memory_equal(image + 48, "\x11\xba\x5e\xba", 4);
	assert_int_equal(image[48 + 8], 2);
	assert_int_equal(image[96], 0xFF);
}

static void
der_is_the_contents_of_the_pem(void **state)
{
	struct inject_layout layout = layout_of(1, INJECT_DER,
	    "-----BEGIN CERTIFICATE-----\nAQIDBAU=\n"
	    "-----END CERTIFICATE-----\n");
	struct fault fault = {0};
	uint8_t image[0x2000];

	(void)state;
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), 0);
	assert_int_equal(image[10], 5);
	assert_memory_equal(image + 12, "\1\2\3\4\5\0\0\0", 8);
	(void)text_copy(layout.entries[0].rule, INJECT_RULE_LEN, "no pem");
	assert_int_equal(
	    inject_build(&layout, expand_same, NULL, image, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_INTERNAL);
	/* What failed leaves nothing behind. */
	assert_int_equal(image[0], 0);
}

static int
expand_long(void *arg, const char *rule, char *to, size_t size, size_t *len,
    struct fault *fault)
{
	(void)rule;
	(void)fault;
	*len = *(size_t *)arg;
	assert_in_range(*len, 0, size);
	memset(to, 'x', *len);
	return 0;
}

static void
too_much_is_a_fault_of_the_lot(void **state)
{
	struct inject_layout layout = layout_of(0, INJECT_TEXT, "x");
	struct fault fault = {0};
	uint8_t image[0x2000];
	size_t fits = 0x2000 - 16 - 1, len = fits;

	(void)state;
	assert_int_equal(
	    inject_build(&layout, expand_long, &len, image, &fault), 0);
	len = fits + 1;
	assert_int_equal(
	    inject_build(&layout, expand_long, &len, image, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_BAD_LOT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(image_is_as_published),
	    cmocka_unit_test(several_values_follow_each_other),
	    cmocka_unit_test(der_is_the_contents_of_the_pem),
	    cmocka_unit_test(too_much_is_a_fault_of_the_lot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
