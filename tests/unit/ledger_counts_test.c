/* Counts, first-pass yield and Pareto; random journeys keep their sums. */
#include "ledger_fixture.h"

#include "ledger/unit.h"

static const struct fixture_lot csr = {.name = "CSR",
    .pattern = PATTERN_CSR,
    .serial_from = SERIAL_FROM_MAC,
    .rows = 12};

/* An attempt on a row that ends with this verdict right after the gate. */
static void
attempt_ends(struct fixture *fixture, uint64_t lot, const char *mac,
    enum verdict verdict, enum fault_cause cause)
{
	uint64_t attempt = fixture_begin(fixture, lot, "1");

	if (mac[0] != '\0')
		assert_int_equal(
		    fixture_gate(fixture, attempt, "", mac), CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, attempt, verdict, cause), CAUSE_NONE);
}

static void
test_states(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	const struct lot_counts *counts;
	uint64_t attempt;
	char mac[MAC_LEN];

	fixture_pass(fixture, lot, "CSR", PATTERN_CSR, 0);
	fixture_pass(fixture, lot, "CSR", PATTERN_CSR, 1);
	attempt_ends(fixture, lot, fixture_mac(mac, "CSR", 2), VERDICT_FAIL,
	    CAUSE_FLASH_MISMATCH);
	attempt_ends(fixture, lot, fixture_mac(mac, "CSR", 3), VERDICT_ERROR,
	    CAUSE_CLOUD_DENIED);
	attempt_ends(fixture, lot, fixture_mac(mac, "CSR", 4), VERDICT_ABORTED,
	    CAUSE_ABORTED);
	assert_int_equal(
	    fixture_dispose(fixture, lot, "CSR-0000001", DISPOSE_SCRAP),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_dispose(fixture, lot, "CSR-0000005", DISPOSE_QUARANTINE),
	    CAUSE_NONE);
	attempt = fixture_begin(fixture, lot, "1");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "CSR", 6)),
	    CAUSE_NONE);
	counts = fixture_counts(fixture, lot);
	assert_int_equal(counts->rows, 12);
	assert_int_equal(counts->quantity, 12);
	assert_int_equal(counts->passed, 1);
	assert_int_equal(counts->failed, 2);
	assert_int_equal(counts->scrapped, 1);
	assert_int_equal(counts->quarantined, 1);
	assert_int_equal(counts->in_progress, 1);
	assert_int_equal(counts->staged, 0);
	assert_int_equal(counts->missing, 6);
	assert_int_equal(counts->attempts, 5);
	assert_int_equal(counts->refused, 0);
}

/* First attempts of distinct units, without faults that are not theirs. */
static void
test_first_pass(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	const struct lot_counts *counts;
	char mac[MAC_LEN];

	fixture_pass(fixture, lot, "CSR", PATTERN_CSR, 0);
	/* FAIL, then PASS: failed at first. */
	attempt_ends(fixture, lot, fixture_mac(mac, "CSR", 1), VERDICT_FAIL,
	    CAUSE_FLASH_ERROR);
	fixture_pass(fixture, lot, "CSR", PATTERN_CSR, 1);
	/* The station's fault, then PASS: passed at first. */
	attempt_ends(fixture, lot, fixture_mac(mac, "CSR", 2), VERDICT_ERROR,
	    CAUSE_STATION_CRASH);
	fixture_pass(fixture, lot, "CSR", PATTERN_CSR, 2);
	/* Stopped: no attempt that counts. */
	attempt_ends(fixture, lot, fixture_mac(mac, "CSR", 3), VERDICT_ABORTED,
	    CAUSE_ABORTED);
	/* Fails twice: one unit. */
	attempt_ends(fixture, lot, fixture_mac(mac, "CSR", 4), VERDICT_FAIL,
	    CAUSE_FLASH_ERROR);
	attempt_ends(fixture, lot, mac, VERDICT_FAIL, CAUSE_RESET_LOOP);
	/* Never said who it is: in the Pareto, in no yield. */
	attempt_ends(fixture, lot, "", VERDICT_FAIL, CAUSE_NO_ANSWER);
	attempt_ends(fixture, lot, "", VERDICT_FAIL, CAUSE_NO_ANSWER);
	counts = fixture_counts(fixture, lot);
	assert_int_equal(counts->first_passed, 2);
	assert_int_equal(counts->first_total, 4);
	assert_int_equal(counts->pareto[0].cause, CAUSE_NO_ANSWER);
	assert_int_equal(counts->pareto[0].count, 2);
	assert_int_equal(counts->pareto[1].cause, CAUSE_RESET_LOOP);
	assert_int_equal(counts->pareto[1].count, 1);
	assert_int_equal(counts->pareto[2].count, 0);
	assert_int_equal(counts->passed, 3);
	assert_int_equal(counts->failed, 1);
}

/* ---- random journeys ---- */

enum {
	ROUNDS = 1500,
	ROWS = 9,
	SLOTS = 4
};

struct model {
	unsigned seed;
	uint64_t lot;
	uint64_t attempt[SLOTS];
	bool passed[ROWS];
	int row[SLOTS];
};

static unsigned
roll(struct model *model, unsigned sides)
{
	return (unsigned)rand_r(&model->seed) % sides;
}

static void
model_begin(struct fixture *fixture, struct model *model, unsigned slot)
{
	char name[8], mac[MAC_LEN];
	unsigned row = roll(model, ROWS);
	enum fault_cause cause;

	(void)snprintf(name, sizeof(name), "%u", slot);
	model->attempt[slot] = fixture_begin(fixture, model->lot, name);
	cause = fixture_gate(
	    fixture, model->attempt[slot], "", fixture_mac(mac, "R", row));
	if (model->passed[row])
		assert_true(
		    cause == CAUSE_ALREADY_MADE || cause == CAUSE_QUARANTINED);
	model->row[slot] = cause == CAUSE_NONE ? (int)row : -1;
}

static void
model_step(struct fixture *fixture, struct model *model, unsigned slot)
{
	char key[16];
	enum intent_kind kind =
	    (enum intent_kind)roll(model, INTENT_KIND_COUNT);

	(void)snprintf(key, sizeof(key), "%u", roll(model, 40));
	if (fixture_intend_key(fixture, model->attempt[slot], kind, key) ==
		CAUSE_NONE &&
	    roll(model, 4) != 0)
		(void)fixture_outcome_as(fixture, model->attempt[slot], kind,
		    roll(model, 5) != 0, false, key);
}

static void
model_end(struct fixture *fixture, struct model *model, unsigned slot)
{
	static const enum fault_cause causes[] = {CAUSE_NONE, CAUSE_NONE,
	    CAUSE_FLASH_ERROR, CAUSE_STATION_CRASH, CAUSE_ABORTED,
	    CAUSE_OTHER_LOT};
	unsigned verdict = roll(model, VERDICT_REFUSED) + 1;

	if (fixture_judge(fixture, model->attempt[slot], (enum verdict)verdict,
		causes[verdict]) != CAUSE_NONE)
		return;
	if (verdict == VERDICT_PASS) {
		assert_int_not_equal(model->row[slot], -1);
		assert_false(model->passed[model->row[slot]]);
		model->passed[model->row[slot]] = true;
	}
	model->attempt[slot] = 0;
}

static void
model_finish(struct fixture *fixture, struct model *model, unsigned slot)
{
	static const enum intent_kind steps[] = {INTENT_FLASH, INTENT_ISSUE,
	    INTENT_BIND, INTENT_WRITE, INTENT_ACTIVATE};
	char key[32];
	size_t i;

	(void)snprintf(key, sizeof(key), "own %llu",
	    (unsigned long long)model->attempt[slot]);
	for (i = 0; i < 5; i++)
		if (fixture_intend_key(fixture, model->attempt[slot], steps[i],
			key) == CAUSE_NONE)
			(void)fixture_outcome(
			    fixture, model->attempt[slot], steps[i]);
}

static void
model_dispose(struct fixture *fixture, struct model *model)
{
	char serial[SERIAL_LEN];
	unsigned row = roll(model, ROWS);
	enum dispose_kind kind = roll(model, 12) == 0
				     ? DISPOSE_SCRAP
				     : (enum dispose_kind)(roll(model, 2) + 1);

	if (fixture_dispose(fixture, model->lot,
		fixture_serial(serial, "R", row), kind) == CAUSE_NONE &&
	    kind == DISPOSE_REWORK)
		model->passed[row] = false;
}

static void
model_oblige(struct fixture *fixture, struct model *model)
{
	struct message_obligation body = {.close = 0};

	(void)fixture_ask(fixture, MESSAGE_OBLIGATION, 0, &body, sizeof(body));
	body.close = fixture->answer.body.obligation.obligation;
	body.scans_clean = roll(model, 2);
	if (body.close != 0)
		(void)fixture_ask(
		    fixture, MESSAGE_OBLIGATION, 0, &body, sizeof(body));
}

static void
model_round(struct fixture *fixture, struct model *model)
{
	unsigned slot = roll(model, SLOTS), act = roll(model, 20);

	if (act == 0)
		model_dispose(fixture, model);
	else if (act == 1)
		model_oblige(fixture, model);
	else if (model->attempt[slot] == 0)
		model_begin(fixture, model, slot);
	else if (act < 12)
		model_step(fixture, model, slot);
	else if (act < 15)
		model_finish(fixture, model, slot);
	else
		model_end(fixture, model, slot);
}

static void
test_random(void **state)
{
	static const struct fixture_lot lot = {.name = "R",
	    .pattern = PATTERN_CSR,
	    .serial_from = SERIAL_FROM_MAC,
	    .rows = ROWS};
	const char *given = getenv("STATION_TEST_SEED");
	struct fixture *fixture = *state;
	struct model model;
	const struct lot_counts *counts;
	uint32_t passed = 0;
	int i;

	memset(&model, 0, sizeof(model));
	model.seed = given != NULL ? (unsigned)strtoul(given, NULL, 10)
				   : (unsigned)time(NULL);
	print_message("STATION_TEST_SEED=%u\n", model.seed);
	/* The rules are looked at, not the disk. */
	assert_int_equal(
	    store_script(&fixture->ledger->store, "PRAGMA synchronous = OFF"),
	    0);
	model.lot = fixture_open_lot(fixture, &lot);
	for (i = 0; i < ROUNDS; i++) {
		model_round(fixture, &model);
		(void)fixture_counts(fixture, model.lot);
		if (i % 100 == 0)
			fixture_check_rebuild(fixture);
	}
	counts = fixture_counts(fixture, model.lot);
	for (i = 0; i < ROWS; i++)
		passed += model.passed[i];
	assert_true(counts->passed <= passed);
	assert_true(
	    counts->passed + counts->scrapped + counts->quarantined >= passed);
	assert_int_not_equal(counts->attempts, 0);
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_states),
	    TEST(test_first_pass),
	    TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
