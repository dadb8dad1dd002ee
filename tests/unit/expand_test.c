#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lot/lot.h"

static struct lot_image *image;

static int
open_image(void **state)
{
	(void)state;
	image = calloc(1, sizeof(*image));
	if (image == NULL)
		return -1;
	text_copy(image->name, sizeof(image->name), "L1");
	text_copy(image->product, sizeof(image->product), "sensor");
	text_copy(image->part_number, sizeof(image->part_number), "PN-1");
	text_copy(
	    image->firmware_version, sizeof(image->firmware_version), "1.2.3");
	return 0;
}

static int
close_image(void **state)
{
	(void)state;
	free(image);
	return 0;
}

static void
test_expands(void **state)
{
	static const struct {
		const char *rule, *result;
	} good[] = {
	    {"", ""},
	    {"plain", "plain"},
	    {"device-${serial}", "device-S1"},
	    {"${mac}/${lot}/${product}", "24:6f:28:00:00:01/L1/sensor"},
	    {"${part_number}${station}", "PN-1bench"},
	    {"v${firmware_version}.", "v1.2.3."},
	    {"${manifest.rev}-${manifest.imei}", "B-35"},
	    {"$ {serial} $serial }", "$ {serial} $serial }"},
	};
	char to[64];
	struct fault fault;

	(void)state;
	for (size_t at = 0; at < sizeof(good) / sizeof(good[0]); at++) {
		assert_int_equal(
		    lot_expand(image, "bench", good[at].rule, "S1",
			"24:6f:28:00:00:01", "{\"rev\":\"B\",\"imei\":\"35\"}",
			to, sizeof(to), &fault),
		    0);
		assert_string_equal(to, good[at].result);
	}
}

static void
test_refuses(void **state)
{
	static const struct {
		const char *rule, *text;
	} bad[] = {
	    {"${serail}",
		"${serail} is not known; accepted are serial, mac, lot, "
		"product, part_number, station, firmware_version and "
		"manifest.COLUMN with a column of the manifest"},
	    {"${manifest.other}",
		"${manifest.other} is not known; accepted are serial, mac, "
		"lot, product, part_number, station, firmware_version and "
		"manifest.COLUMN with a column of the manifest"},
	    {"a${mac}", "${mac} has no value for this unit"},
	    {"${manifest.empty}", "${manifest.empty} has no value for this "
				  "unit"},
	    {"${serial",
		"\"${\" has no \"}\" after a name; accepted is ${NAME}"},
	    {"${}",
		"${} is not known; accepted are serial, mac, lot, product, "
		"part_number, station, firmware_version and manifest.COLUMN "
		"with a column of the manifest"},
	    {"12345678", "the text is too long; accepted are 7 bytes"},
	    {"123456${serial}",
		"with ${serial} the text is too long; accepted are 7 bytes"},
	};
	char to[8];
	struct fault fault;

	(void)state;
	for (size_t at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
		assert_int_equal(
		    lot_expand(image, "bench", bad[at].rule, "S1", "",
			"{\"empty\":\"\"}", to, sizeof(to), &fault),
		    -1);
		assert_int_equal(fault.cause, CAUSE_BAD_LOT);
		assert_string_equal(fault.text, bad[at].text);
	}
}

/* The last byte is the NUL's. */
static void
test_fits_exactly(void **state)
{
	char to[3];
	struct fault fault;

	(void)state;
	assert_int_equal(lot_expand(image, "b", "${serial}", "S1", NULL, NULL,
			     to, sizeof(to), &fault),
	    0);
	assert_string_equal(to, "S1");
	assert_int_equal(lot_expand(image, "b", "${serial}", "S12", NULL, NULL,
			     to, sizeof(to), &fault),
	    -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_expands),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_fits_exactly),
	};

	return cmocka_run_group_tests(tests, open_image, close_image);
}
