/* USB positions as text; the walk through sysfs is tests/system's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "device/usb.h"

static void
positions_are_told_from_other_texts(void **state)
{
	static const char *const good[] = {"1-1", "1-1.4.2", "12-10.3",
	    "pci-0000:00:14.0/1-1.4", "platform-fe980000.usb/1-1"};
	static const char *const bad[] = {"", "1", "1-", "1-1.", "1-1..2", "-1",
	    "a-1", "1-1:1.0", "1-1 ", "/1-1", "pci-0000:00:14.0/", "ttyUSB0"};
	char big[USB_POSITION_LEN + 10];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(usb_position_valid(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (usb_position_valid(bad[i]))
			fail_msg("%s is accepted", bad[i]);
	memset(big, '1', sizeof(big));
	big[1] = '-';
	big[sizeof(big) - 1] = '\0';
	assert_false(usb_position_valid(big));
}

static void
ports_are_found_by_position(void **state)
{
	static const struct usb_port ports[] = {
	    {"/dev/ttyUSB0", "1-1.4", "pci-0000:00:14.0", 0},
	    {"/dev/ttyUSB1", "1-1.4", "pci-0000:00:14.0", 1},
	    {"/dev/ttyUSB2", "3-1.4", "pci-0000:05:00.0", 0},
	    {"/dev/ttyACM0", "1-1.40", "pci-0000:00:14.0", 0},
	};
	static const struct {
		const char *position;
		uint32_t interface;
		const char *node; /* null: none is there */
	} cases[] = {
	    {"1-1.4", 0, "/dev/ttyUSB0"},
	    {"1-1.4", 1, "/dev/ttyUSB1"},
	    {"1-1.4", 2, NULL},
	    {"3-1.4", 0, "/dev/ttyUSB2"},
	    {"2-1.4", 0, NULL},
	    {"1-1", 0, NULL},
	    /* With the controller the bus's number does not matter. */
	    {"pci-0000:05:00.0/1-1.4", 0, "/dev/ttyUSB2"},
	    {"pci-0000:05:00.0/9-1.4", 0, "/dev/ttyUSB2"},
	    {"pci-0000:00:14.0/9-1.40", 0, "/dev/ttyACM0"},
	    {"pci-0000:00:15.0/1-1.4", 0, NULL},
	    {"pci-0000:00:14/1-1.4", 0, NULL},
	};
	const struct usb_port *found;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		found = usb_find(ports, sizeof(ports) / sizeof(ports[0]),
		    cases[i].position, cases[i].interface);
		if (cases[i].node == NULL) {
			assert_null(found);
			continue;
		}
		assert_non_null(found);
		assert_string_equal(found->node, cases[i].node);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(positions_are_told_from_other_texts),
	    cmocka_unit_test(ports_are_found_by_position),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
