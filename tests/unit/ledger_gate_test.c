/* Every verdict of the gate, and what each leaves behind. */
#include "ledger_fixture.h"

static const struct fixture_lot by_mac = {.name = "MAC",
    .pattern = PATTERN_CLAIM,
    .serial_from = SERIAL_FROM_MAC,
    .rows = 5};
static const struct fixture_lot by_device = {.name = "DEV",
    .pattern = PATTERN_CSR,
    .serial_from = SERIAL_FROM_DEVICE,
    .rows = 5};
static const struct fixture_lot by_scan = {.name = "SCAN",
    .pattern = PATTERN_CLAIM,
    .serial_from = SERIAL_FROM_SCAN,
    .rows = 5,
    .without_macs = true};
static const struct fixture_lot by_next = {.name = "NEXT",
    .pattern = PATTERN_CSR,
    .serial_from = SERIAL_FROM_NEXT,
    .rows = 3,
    .without_macs = true};

#define BOARD_A "02:00:00:00:00:0a"
#define BOARD_B "02:00:00:00:00:0b"
#define BOARD_C "02:00:00:00:00:0c"

static void
assert_refused(struct fixture *fixture, enum fault_cause got,
    enum fault_cause cause, const char *text)
{
	if (got != cause ||
	    strstr(fixture->answer.body.fault.text, text) == NULL)
		fail_msg("%s: %s; expected %s with \"%s\"",
		    fault_row(got)->name, fixture->answer.body.fault.text,
		    fault_row(cause)->name, text);
	assert_int_equal(fixture->answer.body.gate.bound, 0);
}

static void
test_bound(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_mac);
	const struct message_gate_done *done = &fixture->answer.body.gate;
	uint64_t attempt = fixture_begin(fixture, lot, "1");
	char mac[MAC_LEN];

	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "MAC", 2)),
	    CAUSE_NONE);
	assert_int_equal(done->bound, 1);
	assert_int_equal(done->resumed, 0);
	assert_string_equal(done->serial, "MAC-0000002");
	assert_string_equal(done->thing, "lamp-MAC-0000002");
	assert_string_equal(done->mac, mac);
	assert_string_equal(done->extra, "{\"rev\":\"B2\"}");
	assert_int_equal(fixture_counts(fixture, lot)->in_progress, 1);
	/* Returned: nothing that names the serial was written. */
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_ABORTED, CAUSE_ABORTED),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, lot)->missing, 5);
}

static void
test_not_in_manifest(void **state)
{
	struct fixture *fixture = *state;
	uint64_t mac_lot = fixture_open_lot(fixture, &by_mac);
	uint64_t device_lot = fixture_open_lot(fixture, &by_device);
	uint64_t attempt = fixture_begin(fixture, mac_lot, "1");

	assert_refused(fixture, fixture_gate(fixture, attempt, "", BOARD_A),
	    CAUSE_NOT_IN_MANIFEST, BOARD_A);
	attempt = fixture_begin(fixture, mac_lot, "1");
	assert_refused(fixture, fixture_gate(fixture, attempt, "X", ""),
	    CAUSE_NOT_IN_MANIFEST, "no MAC");
	attempt = fixture_begin(fixture, device_lot, "1");
	assert_refused(fixture, fixture_gate(fixture, attempt, "NOBODY", ""),
	    CAUSE_NOT_IN_MANIFEST, "serial NOBODY");
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_REFUSED,
			     CAUSE_NOT_IN_MANIFEST),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, device_lot)->refused, 1);
	assert_int_equal(fixture->answer.body.counts.counts.first_total, 0);
}

static void
test_other_lot(void **state)
{
	struct fixture *fixture = *state;
	uint64_t mac_lot = fixture_open_lot(fixture, &by_mac);
	uint64_t device_lot = fixture_open_lot(fixture, &by_device);
	char mac[MAC_LEN];
	uint64_t attempt = fixture_begin(fixture, device_lot, "1");

	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "MAC-0000001", ""), CAUSE_OTHER_LOT,
	    "belongs to lot MAC (manifest line 3)");
	/* By its MAC alone, before the device can say its serial. */
	attempt = fixture_begin(fixture, device_lot, "1");
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "MAC", 1)),
	    CAUSE_OTHER_LOT, "lot MAC");
	attempt = fixture_begin(fixture, mac_lot, "1");
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "DEV", 1)),
	    CAUSE_OTHER_LOT, "lot DEV");
}

static void
test_already_made(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_mac);
	char mac[MAC_LEN];
	uint64_t made, attempt;
	uint32_t first;

	made = fixture_pass(fixture, lot, "MAC", PATTERN_CLAIM, 3);
	first = fixture_counts(fixture, lot)->first_total;
	attempt = fixture_begin(fixture, lot, "2");
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "MAC", 3)),
	    CAUSE_ALREADY_MADE, "thing lamp-MAC-0000003, attempt ");
	assert_non_null(strstr(fixture->answer.body.fault.text, "Z as thing"));
	assert_string_equal(
	    fixture->answer.body.gate.thing, "lamp-MAC-0000003");
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_REFUSED,
			     CAUSE_ALREADY_MADE),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, lot)->passed, 1);
	assert_int_equal(fixture->answer.body.counts.counts.first_total, first);
	assert_int_equal(fixture->answer.body.counts.counts.refused, 1);
	assert_int_equal(made, 1);
}

static void
test_twice_in_fixture(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_device);
	uint64_t one = fixture_begin(fixture, lot, "1");
	uint64_t other = fixture_begin(fixture, lot, "left-7");

	assert_int_equal(
	    fixture_gate(fixture, one, "DEV-0000001", ""), CAUSE_NONE);
	assert_refused(fixture, fixture_gate(fixture, other, "DEV-0000001", ""),
	    CAUSE_TWICE_IN_FIXTURE, "in slot 1 at the same time");
	/* The first one goes on. */
	assert_int_equal(
	    fixture_intend_key(fixture, one, INTENT_ISSUE, "k"), CAUSE_NONE);
}

static void
test_lot_not_open(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_mac);
	struct message_lot close = {.lot = lot};
	char mac[MAC_LEN];
	uint64_t attempt = fixture_begin(fixture, 0, "4");

	assert_refused(fixture, fixture_gate(fixture, attempt, "", BOARD_A),
	    CAUSE_LOT_NOT_OPEN, "slot 4");
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_REFUSED,
			     CAUSE_LOT_NOT_OPEN),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_LOT_CLOSE, 0, &close, sizeof(close)),
	    CAUSE_NONE);
	attempt = fixture_begin(fixture, lot, "4");
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "MAC", 1)),
	    CAUSE_LOT_NOT_OPEN, "lot MAC is not open");
	/* The same lot may be opened again. */
	assert_int_equal(fixture_open_lot(fixture, &by_mac), lot);
	attempt = fixture_begin(fixture, lot, "4");
	assert_int_equal(fixture_gate(fixture, attempt, "", mac), CAUSE_NONE);
}

static void
test_over_quantity(void **state)
{
	static const struct fixture_lot few = {.name = "FEW",
	    .pattern = PATTERN_CLAIM,
	    .serial_from = SERIAL_FROM_MAC,
	    .rows = 5,
	    .quantity = 2};
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &few);
	uint64_t busy, attempt;
	char mac[MAC_LEN];

	fixture_pass(fixture, lot, "FEW", PATTERN_CLAIM, 0);
	busy = fixture_begin(fixture, lot, "1");
	assert_int_equal(
	    fixture_gate(fixture, busy, "", fixture_mac(mac, "FEW", 1)),
	    CAUSE_NONE);
	/* Its own lease does not count against it. */
	assert_int_equal(fixture_gate(fixture, busy, "", mac), CAUSE_NONE);
	attempt = fixture_begin(fixture, lot, "2");
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "FEW", 2)),
	    CAUSE_OVER_QUANTITY, "for 2 units: 1 are made and 1 at work");
	assert_int_equal(
	    fixture_judge(fixture, busy, VERDICT_FAIL, CAUSE_FLASH_ERROR),
	    CAUSE_NONE);
	attempt = fixture_begin(fixture, lot, "2");
	assert_int_equal(fixture_gate(fixture, attempt, "", mac), CAUSE_NONE);
}

static void
test_hardware_mismatch(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_device);
	uint64_t scan = fixture_open_lot(fixture, &by_scan);
	char mac[MAC_LEN];
	uint64_t attempt = fixture_begin(fixture, lot, "1");

	/* The manifest says another board. */
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "DEV-0000001", BOARD_A),
	    CAUSE_HARDWARE_MISMATCH, "to board 24:6f:");
	attempt = fixture_begin(fixture, lot, "1");
	assert_refused(fixture,
	    fixture_gate(
		fixture, attempt, "DEV-0000001", fixture_mac(mac, "DEV", 2)),
	    CAUSE_HARDWARE_MISMATCH, "the serial DEV-0000002");
	/* An identity was written for the serial to board A. */
	attempt = fixture_begin_scanned(fixture, scan, "1", "SCAN-0000000");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", BOARD_A), CAUSE_NONE);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_HANDOUT), CAUSE_NONE);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_INJECT), CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_ERROR, CAUSE_UNPLUGGED),
	    CAUSE_NONE);
	attempt = fixture_begin_scanned(fixture, scan, "1", "SCAN-0000000");
	assert_refused(fixture, fixture_gate(fixture, attempt, "", BOARD_B),
	    CAUSE_HARDWARE_MISMATCH, "bound to board " BOARD_A);
	attempt = fixture_begin_scanned(fixture, scan, "1", "SCAN-0000001");
	assert_refused(fixture, fixture_gate(fixture, attempt, "", BOARD_A),
	    CAUSE_HARDWARE_MISMATCH, "bound to serial SCAN-0000000");
	/* Its own board resumes. */
	attempt = fixture_begin_scanned(fixture, scan, "1", "SCAN-0000000");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", BOARD_A), CAUSE_NONE);
	assert_int_equal(fixture->answer.body.gate.resumed, 1);
}

static void
test_quarantined(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_mac);
	uint64_t attempt = fixture_begin(fixture, lot, "1");
	char mac[MAC_LEN];

	assert_int_equal(
	    fixture_dispose(fixture, lot, "MAC-0000001", DISPOSE_QUARANTINE),
	    CAUSE_NONE);
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "MAC", 1)),
	    CAUSE_QUARANTINED, "by ann: cracked");
	assert_int_equal(fixture_counts(fixture, lot)->quarantined, 1);
	assert_int_equal(
	    fixture_dispose(fixture, lot, "MAC-0000001", DISPOSE_REWORK),
	    CAUSE_NONE);
	attempt = fixture_begin(fixture, lot, "1");
	assert_int_equal(fixture_gate(fixture, attempt, "", mac), CAUSE_NONE);
	assert_int_equal(
	    fixture_dispose(fixture, lot, "MAC-0000001", DISPOSE_SCRAP),
	    CAUSE_BAD_REQUEST); /* it is at work */
	assert_int_equal(
	    fixture_dispose(fixture, lot, "MAC-0000002", DISPOSE_SCRAP),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_dispose(fixture, lot, "MAC-0000002", DISPOSE_REWORK),
	    CAUSE_BAD_REQUEST);
	attempt = fixture_begin(fixture, lot, "2");
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "MAC", 2)),
	    CAUSE_QUARANTINED, "was scrapped on");
}

static void
test_next(void **state)
{
	struct fixture *fixture = *state;
	const struct message_gate_done *done = &fixture->answer.body.gate;
	uint64_t lot = fixture_open_lot(fixture, &by_next);
	uint64_t a = fixture_begin(fixture, lot, "1");
	uint64_t b = fixture_begin(fixture, lot, "2");
	uint64_t c;

	assert_int_equal(fixture_gate(fixture, a, "", BOARD_A), CAUSE_NONE);
	assert_string_equal(done->serial, "NEXT-0000000");
	assert_int_equal(fixture_gate(fixture, b, "", BOARD_B), CAUSE_NONE);
	assert_string_equal(done->serial, "NEXT-0000001");
	/* Returned, and the next one's. */
	assert_int_equal(
	    fixture_judge(fixture, a, VERDICT_FAIL, CAUSE_FLASH_ERROR),
	    CAUSE_NONE);
	c = fixture_begin(fixture, lot, "1");
	assert_int_equal(fixture_gate(fixture, c, "", BOARD_C), CAUSE_NONE);
	assert_string_equal(done->serial, "NEXT-0000000");
	/* Kept: a certificate may exist that names it. */
	assert_int_equal(
	    fixture_intend_key(fixture, b, INTENT_ISSUE, "kb"), CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, b, VERDICT_ERROR, CAUSE_CLOUD_UNSURE),
	    CAUSE_NONE);
	b = fixture_begin(fixture, lot, "2");
	assert_int_equal(fixture_gate(fixture, b, "", BOARD_B), CAUSE_NONE);
	assert_string_equal(done->serial, "NEXT-0000001");
	assert_int_equal(done->resumed, 1);
	a = fixture_begin(fixture, lot, "3");
	assert_int_equal(fixture_gate(fixture, a, "", BOARD_A), CAUSE_NONE);
	assert_string_equal(done->serial, "NEXT-0000002");
	assert_int_equal(
	    fixture_judge(fixture, a, VERDICT_ABORTED, CAUSE_ABORTED),
	    CAUSE_NONE);
	fixture_steps(fixture, b, PATTERN_CSR, "kb");
	assert_int_equal(
	    fixture_judge(fixture, b, VERDICT_PASS, CAUSE_NONE), CAUSE_NONE);
	b = fixture_begin(fixture, lot, "2");
	assert_refused(fixture, fixture_gate(fixture, b, "", BOARD_B),
	    CAUSE_ALREADY_MADE, "NEXT-0000001");
	a = fixture_begin(fixture, lot, "4");
	assert_refused(fixture, fixture_gate(fixture, a, "", ""),
	    CAUSE_HARDWARE_MISMATCH, "no hardware address");
}

static void
test_no_serial(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_next);
	char mac[MAC_LEN];
	uint64_t attempt;
	uint32_t i;

	/* All three rows are kept by boards that failed with an identity, so
	 * that the quantity is not reached. */
	for (i = 0; i < 3; i++) {
		char key[8];

		(void)snprintf(key, sizeof(key), "k%u", i);
		attempt = fixture_begin(fixture, lot, "1");
		assert_int_equal(fixture_gate(fixture, attempt, "",
				     fixture_mac(mac, "board", i)),
		    CAUSE_NONE);
		fixture_step(fixture, attempt, INTENT_ISSUE, key);
		assert_int_equal(fixture_judge(fixture, attempt, VERDICT_FAIL,
				     CAUSE_READBACK_MISMATCH),
		    CAUSE_NONE);
	}
	attempt = fixture_begin(fixture, lot, "1");
	assert_refused(fixture, fixture_gate(fixture, attempt, "", BOARD_A),
	    CAUSE_NO_SERIAL, "all 3 serials");
}

static void
test_scanned(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_scan);
	uint64_t attempt = fixture_begin(fixture, lot, "1");

	assert_refused(fixture, fixture_gate(fixture, attempt, "", BOARD_A),
	    CAUSE_BAD_REQUEST, "no serial was scanned");
	attempt = fixture_begin_scanned(fixture, lot, "1", "SCAN-0000001");
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "SCAN-0000002", ""),
	    CAUSE_SERIAL_MISMATCH, "SCAN-0000001 was scanned");
	attempt = fixture_begin_scanned(fixture, lot, "1", "SCAN-0000001");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", BOARD_A), CAUSE_NONE);
}

/* Before flashing by its MAC; afterwards by what its console says. */
static void
test_twice_asked(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_device);
	char mac[MAC_LEN], other[MAC_LEN];
	uint64_t attempt = fixture_begin(fixture, lot, "1");

	fixture_mac(mac, "DEV", 1);
	fixture_mac(other, "DEV", 2);
	assert_int_equal(fixture_gate(fixture, attempt, "", mac), CAUSE_NONE);
	assert_int_equal(fixture->answer.body.gate.bound, 0);
	assert_int_equal(fixture_counts(fixture, lot)->in_progress, 0);
	fixture_step(fixture, attempt, INTENT_FLASH, "");
	/* Nothing that names a serial before one is bound. */
	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k"),
	    CAUSE_INTERNAL);
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "DEV-0000001", other), CAUSE_SWAPPED,
	    other);
	attempt = fixture_begin(fixture, lot, "1");
	assert_int_equal(fixture_gate(fixture, attempt, "", mac), CAUSE_NONE);
	assert_int_equal(
	    fixture_gate(fixture, attempt, "DEV-0000001", mac), CAUSE_NONE);
	assert_int_equal(fixture->answer.body.gate.bound, 1);
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "DEV-0000002", mac),
	    CAUSE_SERIAL_MISMATCH, "DEV-0000002");
	/* A refused gate stops the journey. */
	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k"),
	    CAUSE_INTERNAL);
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_FAIL,
			     CAUSE_SERIAL_MISMATCH),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, lot)->failed, 1);
}

/* A MAC-only gate still refuses boards that are finished. */
static void
test_made_by_mac_alone(void **state)
{
	static const struct fixture_lot open = {.name = "OPEN",
	    .pattern = PATTERN_CSR,
	    .serial_from = SERIAL_FROM_DEVICE,
	    .rows = 3,
	    .without_macs = true};
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &open);
	uint64_t attempt = fixture_begin(fixture, lot, "1");

	assert_int_equal(
	    fixture_gate(fixture, attempt, "OPEN-0000001", BOARD_A),
	    CAUSE_NONE);
	fixture_steps(fixture, attempt, PATTERN_CSR, "k");
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
	attempt = fixture_begin(fixture, lot, "1");
	assert_refused(fixture, fixture_gate(fixture, attempt, "", BOARD_A),
	    CAUSE_ALREADY_MADE, "serial OPEN-0000001 was made");
	attempt = fixture_begin(fixture, lot, "1");
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "OPEN-0000001", BOARD_B),
	    CAUSE_HARDWARE_MISMATCH, "bound to board " BOARD_A);
	attempt = fixture_begin(fixture, lot, "1");
	assert_refused(fixture,
	    fixture_gate(fixture, attempt, "OPEN-0000002", BOARD_A),
	    CAUSE_ALREADY_MADE, "OPEN-0000001");
}

/* The same number gets the same answer, whatever has changed since. */
static void
test_resend(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &by_mac);
	uint64_t attempt = fixture_begin(fixture, lot, "1");
	struct ledger_answer first;
	struct message_gate body;
	struct message_intent intent = {.kind = INTENT_FLASH};

	memset(&body, 0, sizeof(body));
	fixture_mac(body.mac, "MAC", 1);
	assert_int_equal(fixture_ask_as(fixture, MESSAGE_GATE, attempt, 900,
			     &body, sizeof(body)),
	    CAUSE_NONE);
	first = fixture->answer;
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_ABORTED, CAUSE_ABORTED),
	    CAUSE_NONE);
	ledger_close(fixture->ledger);
	fixture_open(fixture);
	assert_int_equal(fixture_ask_as(fixture, MESSAGE_GATE, attempt, 900,
			     &body, sizeof(body)),
	    CAUSE_NONE);
	assert_memory_equal(&first.body, &fixture->answer.body, first.len);
	assert_int_equal(fixture_counts(fixture, lot)->in_progress, 0);
	/* Another request under that number is an error. */
	assert_int_equal(fixture_ask_as(fixture, MESSAGE_INTENT, attempt, 900,
			     &intent, sizeof(intent)),
	    CAUSE_INTERNAL);
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_bound),
	    TEST(test_not_in_manifest),
	    TEST(test_other_lot),
	    TEST(test_already_made),
	    TEST(test_twice_in_fixture),
	    TEST(test_lot_not_open),
	    TEST(test_over_quantity),
	    TEST(test_hardware_mismatch),
	    TEST(test_quarantined),
	    TEST(test_next),
	    TEST(test_no_serial),
	    TEST(test_scanned),
	    TEST(test_twice_asked),
	    TEST(test_made_by_mac_alone),
	    TEST(test_resend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
