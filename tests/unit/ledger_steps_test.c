/* The order of steps, keys, claim hand-outs, verdicts and obligations. */
#include "ledger_fixture.h"

#include "ledger/answer.h"
#include "ledger/schema.h"
#include "ledger/unit.h"

static const struct fixture_lot claim = {.name = "CLAIM",
    .pattern = PATTERN_CLAIM,
    .serial_from = SERIAL_FROM_MAC,
    .rows = 6,
    .claim_limit = 3};
static const struct fixture_lot csr = {.name = "CSR",
    .pattern = PATTERN_CSR,
    .serial_from = SERIAL_FROM_MAC,
    .rows = 6};

static uint64_t
gated(struct fixture *fixture, uint64_t lot, const struct fixture_lot *own,
    uint32_t row)
{
	char mac[MAC_LEN];
	uint64_t attempt = fixture_begin(fixture, lot, "1");

	assert_int_equal(fixture_gate(fixture, attempt, "",
			     fixture_mac(mac, own->name, row)),
	    CAUSE_NONE);
	return attempt;
}

static void
assert_text(struct fixture *fixture, const char *text)
{
	if (strstr(fixture->answer.body.fault.text, text) == NULL)
		fail_msg("\"%s\" has no \"%s\"",
		    fixture->answer.body.fault.text, text);
}

static void
test_nothing_before_the_gate(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = fixture_begin(fixture, lot, "1");
	int kind;

	for (kind = 0; kind < INTENT_KIND_COUNT; kind++)
		assert_int_equal(
		    fixture_intend(fixture, attempt, (enum intent_kind)kind),
		    CAUSE_INTERNAL);
	assert_int_equal(
	    fixture_intend(fixture, attempt + 1, INTENT_FLASH), CAUSE_INTERNAL);
	assert_text(fixture, "no attempt");
}

/* Each step of the pattern, tried at every point of its journey. */
static void
try_all(struct fixture *fixture, uint64_t attempt, uint32_t allowed)
{
	static const enum intent_kind harmless[] = {INTENT_BIND, INTENT_WRITE,
	    INTENT_PREREGISTER, INTENT_ACTIVATE, INTENT_LOCK};
	enum fault_cause cause;
	size_t i;

	for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		if ((allowed & (1U << harmless[i])) != 0)
			continue;
		cause = fixture_intend(fixture, attempt, harmless[i]);
		if (cause != CAUSE_INTERNAL)
			fail_msg("%s was allowed", intent_name(harmless[i]));
	}
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_INTERNAL);
}

static void
test_csr_order(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = gated(fixture, lot, &csr, 0);
	uint32_t after_issue = 1U << INTENT_BIND | 1U << INTENT_WRITE;

	try_all(fixture, attempt, 0);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_HANDOUT), CAUSE_INTERNAL);
	assert_text(fixture, "no such step");
	fixture_step(fixture, attempt, INTENT_ISSUE, "k");
	try_all(fixture, attempt, after_issue);
	fixture_step(fixture, attempt, INTENT_BIND, "");
	try_all(fixture, attempt, after_issue);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_WRITE), CAUSE_NONE);
	try_all(fixture, attempt, after_issue);
	/* Written, but the read-back is owed: this lot can read back. */
	assert_int_equal(
	    fixture_outcome_as(fixture, attempt, INTENT_WRITE, true, true, ""),
	    CAUSE_NONE);
	try_all(fixture, attempt, after_issue);
	fixture_step(fixture, attempt, INTENT_WRITE, "");
	try_all(fixture, attempt, after_issue | 1U << INTENT_ACTIVATE);
	fixture_step(fixture, attempt, INTENT_ACTIVATE, "");
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_LOCK), CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_INTERNAL);
	assert_text(fixture, "lock was begun");
	assert_int_equal(
	    fixture_outcome(fixture, attempt, INTENT_LOCK), CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
	assert_int_equal(fixture->answer.body.verdict.counts.passed, 1);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_FAIL, CAUSE_GARBAGE),
	    CAUSE_INTERNAL);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_FLASH), CAUSE_INTERNAL);
	assert_text(fixture, "verdict already");
}

/* A certificate that is issued again is not the one that was written. */
static void
test_overtaken(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = gated(fixture, lot, &csr, 0);

	fixture_step(fixture, attempt, INTENT_FLASH, "");
	fixture_step(fixture, attempt, INTENT_ISSUE, "k1");
	fixture_step(fixture, attempt, INTENT_BIND, "");
	fixture_step(fixture, attempt, INTENT_WRITE, "");
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_FLASH), CAUSE_INTERNAL);
	assert_text(fixture, "would be erased");
	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k2"),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_outcome_as(fixture, attempt, INTENT_ISSUE, true, false, ""),
	    CAUSE_INTERNAL);
	assert_text(fixture, "without a certificate");
	assert_int_equal(
	    fixture_outcome(fixture, attempt, INTENT_ISSUE), CAUSE_NONE);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_ACTIVATE), CAUSE_INTERNAL);
	fixture_step(fixture, attempt, INTENT_BIND, "");
	fixture_step(fixture, attempt, INTENT_WRITE, "");
	fixture_step(fixture, attempt, INTENT_ACTIVATE, "");
	fixture_step(fixture, attempt, INTENT_WRITE, "");
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_INTERNAL);
	assert_text(fixture, "activate is not done");
	fixture_step(fixture, attempt, INTENT_ACTIVATE, "");
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
}

static void
test_claim_order(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &claim);
	uint64_t attempt = gated(fixture, lot, &claim, 0);

	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k"),
	    CAUSE_INTERNAL);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_INJECT), CAUSE_INTERNAL);
	assert_text(fixture, "not handed out");
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_FLASH), CAUSE_NONE);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_HANDOUT), CAUSE_INTERNAL);
	assert_text(fixture, "flash was begun");
	assert_int_equal(
	    fixture_outcome(fixture, attempt, INTENT_FLASH), CAUSE_NONE);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_HANDOUT), CAUSE_NONE);
	try_all(fixture, attempt, 0);
	fixture_step(fixture, attempt, INTENT_INJECT, "");
	try_all(fixture, attempt, 1U << INTENT_PREREGISTER);
	fixture_step(fixture, attempt, INTENT_PREREGISTER, "");
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
}

/* Where no read-back exists the gate says so, and the outcome stands. */
static void
test_unverified(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &claim);
	uint64_t attempt = fixture_begin(fixture, lot, "1");
	struct message_gate body;

	memset(&body, 0, sizeof(body));
	fixture_mac(body.mac, "CLAIM", 0);
	body.unverified = 1;
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_GATE, attempt, &body, sizeof(body)),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_HANDOUT), CAUSE_NONE);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_INJECT), CAUSE_NONE);
	assert_int_equal(
	    fixture_outcome_as(fixture, attempt, INTENT_INJECT, true, true, ""),
	    CAUSE_NONE);
	fixture_step(fixture, attempt, INTENT_PREREGISTER, "");
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
}

static void
test_claim_limit(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &claim);
	uint64_t attempt = gated(fixture, lot, &claim, 0);
	int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(
		    fixture_intend(fixture, attempt, INTENT_HANDOUT),
		    CAUSE_NONE);
	assert_int_equal(fixture_intend(fixture, attempt, INTENT_HANDOUT),
	    CAUSE_CLAIM_EXHAUSTED);
	assert_text(fixture, "handed out 3 times, and its limit is 3");
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_ERROR,
			     CAUSE_CLAIM_EXHAUSTED),
	    CAUSE_NONE);
	/* A resend uses nothing up. */
	ledger_close(fixture->ledger);
	fixture_open(fixture);
	attempt = gated(fixture, lot, &claim, 1);
	assert_int_equal(fixture_intend(fixture, attempt, INTENT_HANDOUT),
	    CAUSE_CLAIM_EXHAUSTED);
}

static void
test_keys(void **state)
{
	struct fixture *fixture = *state;
	const struct message_intent_done *done = &fixture->answer.body.intent;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t one = gated(fixture, lot, &csr, 0), other;

	assert_int_equal(
	    fixture_intend_key(fixture, one, INTENT_ISSUE, "k"), CAUSE_NONE);
	assert_int_equal(done->look_up, 0);
	assert_string_equal(done->known_id, "");
	other = gated(fixture, lot, &csr, 1);
	assert_int_equal(fixture_intend_key(fixture, other, INTENT_ISSUE, "k"),
	    CAUSE_KEY_REUSED);
	assert_text(fixture, "has the key of serial CSR-0000000");
	/* Its answer was lost: the next one must look first. */
	assert_int_equal(
	    fixture_intend_key(fixture, one, INTENT_ISSUE, "k"), CAUSE_NONE);
	assert_int_equal(done->look_up, 1);
	assert_int_equal(
	    fixture_outcome(fixture, one, INTENT_ISSUE), CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, one, VERDICT_ERROR, CAUSE_CLOUD_UNAVAILABLE),
	    CAUSE_NONE);
	/* The same unit and key again: no call is needed. */
	one = gated(fixture, lot, &csr, 0);
	assert_int_equal(fixture->answer.body.gate.resumed, 1);
	assert_int_equal(
	    fixture_intend_key(fixture, one, INTENT_ISSUE, "k"), CAUSE_NONE);
	assert_string_equal(done->known_id, "cert-1");
	assert_string_equal(done->known_certificate, "PEM");
	assert_string_equal(done->arn, "arn:cert-1");
	assert_int_equal(fixture_outcome_as(
			     fixture, one, INTENT_ISSUE, true, false, "cert-1"),
	    CAUSE_NONE);
	fixture_step(fixture, one, INTENT_BIND, "");
	fixture_step(fixture, one, INTENT_WRITE, "");
	fixture_step(fixture, one, INTENT_ACTIVATE, "");
	assert_int_equal(
	    fixture_judge(fixture, one, VERDICT_PASS, CAUSE_NONE), CAUSE_NONE);
	/* One issue was never answered. */
	assert_int_equal(fixture_counts(fixture, lot)->obligations, 1);
	assert_int_equal(
	    fixture_dispose(fixture, lot, "CSR-0000000", DISPOSE_REWORK),
	    CAUSE_NONE);
	one = gated(fixture, lot, &csr, 0);
	assert_int_equal(fixture_intend_key(fixture, one, INTENT_ISSUE, "k"),
	    CAUSE_KEY_REUSED);
	assert_text(fixture, "passed with this key before");
}

/* ---- obligations ---- */

static const struct message_obligation_done *
oblige(struct fixture *fixture, uint64_t close, uint32_t scans_clean)
{
	struct message_obligation body = {
	    .close = close, .scans_clean = scans_clean};

	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_OBLIGATION, 0, &body, sizeof(body)),
	    CAUSE_NONE);
	return &fixture->answer.body.obligation;
}

static void
test_superseded(void **state)
{
	struct fixture *fixture = *state;
	const struct message_obligation_done *done;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = gated(fixture, lot, &csr, 0);
	uint64_t first;

	assert_int_equal(oblige(fixture, 0, 0)->obligation, 0);
	fixture_step(fixture, attempt, INTENT_ISSUE, "k1");
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_FAIL,
			     CAUSE_READBACK_MISMATCH),
	    CAUSE_NONE);
	/* It may still be that unit's. */
	assert_int_equal(fixture_counts(fixture, lot)->obligations, 0);
	attempt = gated(fixture, lot, &csr, 0);
	fixture_steps(fixture, attempt, PATTERN_CSR, "k2");
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, lot)->obligations, 1);
	done = oblige(fixture, 0, 0);
	first = done->obligation;
	assert_int_not_equal(first, 0);
	assert_int_equal(done->lot, lot);
	assert_string_equal(done->discard.certificate_id, "cert-1");
	assert_string_equal(done->discard.keep_id, "cert-2");
	assert_string_equal(done->discard.thing, "lamp-CSR-0000000");
	assert_int_equal(oblige(fixture, first, 0)->obligation, 0);
	assert_int_equal(oblige(fixture, first, 0)->obligation, 0);
	assert_int_equal(fixture_counts(fixture, lot)->obligations, 0);
	/* Scrapped: nobody holds its certificate. */
	assert_int_equal(
	    fixture_dispose(fixture, lot, "CSR-0000000", DISPOSE_SCRAP),
	    CAUSE_NONE);
	done = oblige(fixture, 0, 0);
	assert_string_equal(done->discard.certificate_id, "cert-2");
	assert_string_equal(done->discard.keep_id, "");
	assert_int_equal(fixture_counts(fixture, lot)->scrapped, 1);
}

static void
shift_time(struct fixture *fixture, int64_t ms)
{
	char sql[200];

	/* Time passes: what was recorded moves into the past. */
	(void)snprintf(sql, sizeof(sql),
	    "DROP TRIGGER entry_keep; UPDATE entry SET at = at - %lld;"
	    "UPDATE due SET at = at - %lld, clean_at = clean_at - %lld;",
	    (long long)ms, (long long)ms, (long long)ms);
	assert_int_equal(store_script(&fixture->ledger->store, sql), 0);
	assert_int_equal(
	    store_script(&fixture->ledger->store,
		"CREATE TRIGGER entry_keep BEFORE UPDATE ON entry BEGIN"
		" SELECT RAISE(ABORT, 'records are append-only'); END"),
	    0);
}

static void
test_unanswered(void **state)
{
	struct fixture *fixture = *state;
	const struct message_obligation_done *done;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = gated(fixture, lot, &csr, 0);
	uint64_t id;
	struct digest key;

	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k"),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_ERROR, CAUSE_CLOUD_UNSURE),
	    CAUSE_NONE);
	done = oblige(fixture, 0, 0);
	id = done->obligation;
	digest_bytes("k", 1, &key);
	assert_memory_equal(&done->discard.spki, &key, sizeof(key));
	assert_string_equal(done->discard.certificate_id, "");
	assert_true(done->due_wall_ms > fixture->ledger->now_ms);
	shift_time(fixture, 2 * 60 * 1000);
	done = oblige(fixture, 0, 0);
	assert_true(done->due_wall_ms <= fixture->ledger->now_ms);
	/* While it is being looked for, the key must rest. */
	attempt = gated(fixture, lot, &csr, 0);
	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k"),
	    CAUSE_CLOUD_UNSURE);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_ERROR, CAUSE_CLOUD_UNSURE),
	    CAUSE_NONE);
	/* One clean scan is not enough, nor are two at once. */
	done = oblige(fixture, id, 1);
	assert_int_equal(done->obligation, id);
	assert_true(
	    done->due_wall_ms > fixture->ledger->now_ms + 9 * 60 * 1000);
	done = oblige(fixture, id, 1);
	assert_int_equal(done->obligation, id);
	shift_time(fixture, 11 * 60 * 1000);
	assert_int_equal(oblige(fixture, id, 1)->obligation, 0);
	assert_int_equal(fixture_counts(fixture, lot)->obligations, 0);
}

/* An answer that comes after the verdict. */
static void
test_late_outcome(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t one = gated(fixture, lot, &csr, 0), other;

	assert_int_equal(
	    fixture_intend_key(fixture, one, INTENT_ISSUE, "k1"), CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, one, VERDICT_ERROR, CAUSE_STATION_CRASH),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, lot)->obligations, 1);
	assert_int_equal(
	    fixture_outcome(fixture, one, INTENT_ISSUE), CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, lot)->obligations, 0);
	/* The same, when the unit was finished with another one meanwhile. */
	one = gated(fixture, lot, &csr, 1);
	assert_int_equal(
	    fixture_intend_key(fixture, one, INTENT_ISSUE, "k2"), CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, one, VERDICT_ERROR, CAUSE_STATION_CRASH),
	    CAUSE_NONE);
	other = gated(fixture, lot, &csr, 1);
	fixture_steps(fixture, other, PATTERN_CSR, "k3");
	assert_int_equal(
	    fixture_judge(fixture, other, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
	assert_int_equal(fixture_outcome_as(
			     fixture, one, INTENT_ISSUE, true, false, "stray"),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, lot)->obligations, 1);
	assert_string_equal(
	    oblige(fixture, 0, 0)->discard.certificate_id, "stray");
	assert_int_equal(
	    fixture_outcome(fixture, one, INTENT_BIND), CAUSE_INTERNAL);
	assert_text(fixture, "without an intent");
}

/* ---- small parts ---- */

static void
check_pack(const uint8_t *body, size_t len)
{
	uint8_t packed[2048], again[512];
	size_t packed_len = answer_pack(body, len, packed), cut;

	assert_true(packed_len <= len + 4 * (len / 9 + 1));
	assert_int_equal(answer_unpack(packed, packed_len, again, len), 0);
	assert_memory_equal(body, again, len);
	for (cut = 1; cut < packed_len && cut < 4; cut++)
		assert_int_equal(answer_unpack(packed, cut, again, len), -1);
	if (packed_len > 0)
		assert_int_equal(
		    answer_unpack(packed, packed_len, again, 0), -1);
}

static void
test_answer_pack(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	uint8_t body[512] = {0};
	size_t len, i;
	int round;

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	check_pack(body, sizeof(body));
	for (round = 0; round < 2000; round++) {
		len = (size_t)rand() % sizeof(body) + 1;
		memset(body, 0, sizeof(body));
		for (i = 0; i < len; i += (size_t)(rand() % 14))
			body[i % len] = (uint8_t)rand();
		check_pack(body, len);
	}
}

static void
test_append_only(void **state)
{
	static const char *const tables[] = {"entry", "lot", "opening",
	    "manifest", "attempt", "gate", "intent", "outcome", "verdict"};
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	sqlite3 *database = fixture->ledger->store.database;
	char sql[200];
	size_t i;

	fixture_pass(fixture, lot, "CSR", PATTERN_CSR, 0);
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		(void)snprintf(sql, sizeof(sql), "DELETE FROM %s", tables[i]);
		assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL),
		    SQLITE_CONSTRAINT_TRIGGER);
		(void)snprintf(
		    sql, sizeof(sql), "UPDATE %s SET rowid = rowid", tables[i]);
		assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL),
		    SQLITE_CONSTRAINT_TRIGGER);
	}
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_nothing_before_the_gate),
	    TEST(test_csr_order),
	    TEST(test_overtaken),
	    TEST(test_claim_order),
	    TEST(test_unverified),
	    TEST(test_claim_limit),
	    TEST(test_keys),
	    TEST(test_superseded),
	    TEST(test_unanswered),
	    TEST(test_late_outcome),
	    cmocka_unit_test(test_answer_pack),
	    TEST(test_append_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
