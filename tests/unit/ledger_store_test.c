/* The file: made, checked, refused, full; lots and their manifests. */
#include "ledger_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>

#include "base/clock.h"

static const struct fixture_lot lot_a = {.name = "A",
    .pattern = PATTERN_CLAIM,
    .serial_from = SERIAL_FROM_MAC,
    .rows = 10};
static const struct fixture_lot lot_b = {.name = "B",
    .pattern = PATTERN_CSR,
    .serial_from = SERIAL_FROM_MAC,
    .rows = 7};

static void
assert_not_opened(struct fixture *fixture, const char *text)
{
	struct fault fault;
	struct ledger *ledger = ledger_open(fixture->path, "bench-1", &fault);

	assert_null(ledger);
	assert_int_equal(fault.cause, CAUSE_LEDGER_ERROR);
	if (strstr(fault.text, text) == NULL)
		fail_msg("\"%s\" has no \"%s\"", fault.text, text);
}

static void
rewrite(struct fixture *fixture, const char *sql)
{
	sqlite3 *database = NULL;

	assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(database);
}

static void
test_one_at_a_time(void **state)
{
	assert_not_opened(*state, "in use by another stationd");
}

static void
test_newer(void **state)
{
	struct fixture *fixture = *state;

	ledger_close(fixture->ledger);
	rewrite(fixture, "PRAGMA user_version = 3");
	assert_not_opened(fixture, "written by a newer station (schema 3");
	rewrite(fixture, "PRAGMA user_version = 0");
	assert_not_opened(fixture, "unknown schema 0");
	rewrite(fixture, "PRAGMA user_version = 2;"
			 "PRAGMA application_id = 7");
	assert_not_opened(fixture, "is not a ledger of station");
	rewrite(fixture, "PRAGMA application_id = 1398033457");
	fixture_open(fixture);
}

/* A ledger of the release before is brought up to date, and goes on. */
static void
test_upgrade(void **state)
{
	struct fixture *fixture = *state;
	struct message_lot body = {.lot = fixture_open_lot(fixture, &lot_a)};

	fixture_pass(fixture, body.lot, "A", PATTERN_CLAIM, 1);
	ledger_close(fixture->ledger);
	rewrite(fixture,
	    "DROP INDEX intent_bulk; DROP TABLE bulk_end; DROP TABLE bulk;"
	    "ALTER TABLE lot DROP COLUMN ending;"
	    "ALTER TABLE lot DROP COLUMN steps; PRAGMA user_version = 1");
	fixture_open(fixture);
	assert_int_equal(fixture_counts(fixture, body.lot)->passed, 1);
	fixture_pass(fixture, body.lot, "A", PATTERN_CLAIM, 2);
	assert_int_equal(fixture_counts(fixture, body.lot)->passed, 2);
}

static void
test_damaged(void **state)
{
	struct fixture *fixture = *state;
	uint8_t noise[64];
	char good[600], command[1200];
	int fd, page;

	fixture_open_lot(fixture, &lot_a);
	ledger_close(fixture->ledger);
	(void)snprintf(good, sizeof(good), "%s.good", fixture->path);
	(void)snprintf(
	    command, sizeof(command), "cp %s %s", fixture->path, good);
	assert_int_equal(system(command), 0);
	memset(noise, 0xa5, sizeof(noise));
	fd = open(fixture->path, O_WRONLY | O_CLOEXEC);
	for (page = 2; page < 12; page++)
		assert_int_equal(pwrite(fd, noise, sizeof(noise), page * 4096),
		    sizeof(noise));
	close(fd);
	assert_not_opened(fixture, "restore it from its backup");
	fd = open(fixture->path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, noise, sizeof(noise), 0), sizeof(noise));
	close(fd);
	assert_not_opened(fixture, "not a database");
	assert_int_equal(rename(good, fixture->path), 0);
	fixture_open(fixture);
	assert_int_equal(fixture_counts(fixture, 1)->missing, 10);
}

/* As a user who may only read it. */
static void
test_read_only(void **state)
{
	struct fixture *fixture = *state;
	char lock[600];
	pid_t child;
	int status;

	ledger_close(fixture->ledger);
	(void)snprintf(lock, sizeof(lock), "%s.lock", fixture->path);
	assert_int_equal(chmod(lock, 0666), 0);
	assert_int_equal(chmod(fixture->path, 0444), 0);
	assert_int_equal(chmod(scratch_folder, 0555), 0);
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		if (geteuid() == 0 &&
		    (setgroups(0, NULL) != 0 || setgid(65534) != 0 ||
			setuid(65534) != 0))
			_exit(70);
		assert_not_opened(fixture, "read-only");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(chmod(scratch_folder, 0755), 0);
	assert_int_equal(chmod(fixture->path, 0644), 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fixture_open(fixture);
}

static void
test_full(void **state)
{
	static const struct fixture_lot large = {.name = "LARGE",
	    .pattern = PATTERN_CSR,
	    .serial_from = SERIAL_FROM_MAC,
	    .rows = 20000};
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &lot_a);
	struct message_ledger_ready ready;

	assert_int_equal(store_script(&fixture->ledger->store,
			     "PRAGMA max_page_count = 100"),
	    0);
	assert_int_equal(fixture_open_lot_with(fixture, fixture_image(&large),
			     fixture_manifest(&large)),
	    CAUSE_LEDGER_ERROR);
	assert_non_null(
	    strstr(fixture->answer.body.fault.text, "make room on its disk"));
	/* Nothing of it is there; what was there still is and goes on. */
	assert_int_equal(fixture_counts(fixture, lot)->missing, 10);
	fixture_pass(fixture, lot, "A", PATTERN_CLAIM, 1);
	assert_int_equal(store_script(&fixture->ledger->store,
			     "PRAGMA max_page_count = 1000000"),
	    0);
	assert_int_equal(ledger_ready(fixture->ledger, &ready), 0);
	assert_int_equal(ready.lots, 1);
	fixture_open_lot(fixture, &large);
}

static void
message_set(struct message *message, enum message_type type, uint64_t attempt,
    const void *body, size_t len)
{
	memset(message, 0, sizeof(*message));
	message->header.type = (uint16_t)type;
	message->header.attempt = attempt;
	message->header.sequence = 1;
	memcpy(message->body.bytes, body, len);
	message->len = len;
}

/* Many in one transaction: all of it, or nothing. */
static void
test_group(void **state)
{
	struct fixture *fixture = *state;
	struct message *message = calloc(1, sizeof(*message));
	struct message_begin begin = {.slot = "1"};
	struct message_gate gate;
	struct message_intent poison = {.kind = INTENT_KIND_COUNT};
	uint64_t lot = fixture_open_lot(fixture, &lot_a);
	int round;
	uint32_t i;

	assert_non_null(message);
	begin.lot = lot;
	memset(&gate, 0, sizeof(gate));
	for (round = 0; round < 2; round++) {
		assert_int_equal(ledger_begin(fixture->ledger), 0);
		for (i = 0; i < 5; i++) {
			message_set(
			    message, MESSAGE_BEGIN, 0, &begin, sizeof(begin));
			assert_int_equal(ledger_handle(fixture->ledger, message,
					     &fixture->answer),
			    0);
			assert_int_equal(
			    fixture->answer.body.begin.attempt, i + 1);
			assert_int_equal(
			    fixture->answer.body.begin.number, i + 1);
			fixture_mac(gate.mac, "A", i);
			message_set(
			    message, MESSAGE_GATE, i + 1, &gate, sizeof(gate));
			assert_int_equal(ledger_handle(fixture->ledger, message,
					     &fixture->answer),
			    0);
			assert_int_equal(fixture->answer.body.gate.bound, 1);
		}
		/* One bad request among them harms no other. */
		message_set(
		    message, MESSAGE_INTENT, 1, &poison, sizeof(poison));
		message->header.sequence = 2;
		assert_int_equal(
		    ledger_handle(fixture->ledger, message, &fixture->answer),
		    0);
		assert_int_equal(
		    fixture->answer.body.fault.cause, CAUSE_INTERNAL);
		if (round == 0)
			ledger_rollback(fixture->ledger);
		else
			assert_int_equal(ledger_commit(fixture->ledger), 0);
		assert_int_equal(fixture_counts(fixture, lot)->in_progress,
		    round == 0 ? 0 : 5);
	}
	message_set(message, MESSAGE_VERDICT, 0, &poison, sizeof(poison));
	assert_int_equal(fixture_send(fixture, message), 0);
	assert_int_equal(fixture->answer.body.fault.cause, CAUSE_INTERNAL);
	free(message);
}

/* ---- lots ---- */

static void
test_same_lot(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &lot_a);
	struct lot_image *image = malloc(sizeof(*image));
	struct {
		struct digest *digest;
		const char *text;
	} parts[4];
	size_t i;

	assert_non_null(image);
	assert_int_equal(fixture_open_lot(fixture, &lot_a), lot);
	parts[0].digest = &image->lot_digest;
	parts[0].text = "another lot.yaml";
	parts[1].digest = &image->profile_digest;
	parts[1].text = "another profile";
	parts[2].digest = &image->firmware_digest;
	parts[2].text = "another firmware";
	parts[3].digest = &image->manifest_digest;
	parts[3].text = "another manifest.csv";
	for (i = 0; i < 4; i++) {
		fixture_image_fill(&lot_a, image);
		parts[i].digest->bytes[31] ^= 1;
		assert_int_equal(
		    fixture_open_lot_with(fixture,
			file_seal("lot", image, sizeof(*image), NULL),
			fixture_manifest(&lot_a)),
		    CAUSE_BAD_LOT);
		assert_non_null(
		    strstr(fixture->answer.body.fault.text, parts[i].text));
	}
	fixture_image_fill(&lot_a, image);
	text_copy(image->name, sizeof(image->name), "fresh");
	image->claim_limit = 0;
	assert_int_equal(fixture_open_lot_with(fixture,
			     file_seal("lot", image, sizeof(*image), NULL),
			     fixture_manifest(&lot_b)),
	    CAUSE_BAD_LOT);
	free(image);
}

/* A serial, or a board, stands in one lot only. */
static void
test_rows_twice(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot serials = lot_a;
	struct lot_image *image = malloc(sizeof(*image));

	assert_non_null(image);
	fixture_open_lot(fixture, &lot_a);
	fixture_open_lot(fixture, &lot_b);
	fixture_image_fill(&lot_a, image);
	text_copy(image->name, sizeof(image->name), "C");
	assert_int_equal(fixture_open_lot_with(fixture,
			     file_seal("lot", image, sizeof(*image), NULL),
			     fixture_manifest(&serials)),
	    CAUSE_BAD_LOT);
	assert_string_equal(fixture->answer.body.fault.text,
	    "manifest.csv line 2: serial A-0000000 is already in lot A, "
	    "line 2");
	assert_int_equal(fixture_counts(fixture, 1)->missing, 10);
	/* Rows that are free are still taken. */
	serials.name = "C";
	fixture_open_lot(fixture, &serials);
	free(image);
}

static void
test_list(void **state)
{
	struct fixture *fixture = *state;
	const struct message_lot_list_done *done =
	    &fixture->answer.body.lot_list;
	struct message_lot_list list = {.after = 0};
	struct message_lot close;
	uint64_t a = fixture_open_lot(fixture, &lot_a);
	uint64_t b = fixture_open_lot(fixture, &lot_b);
	uint64_t attempt;
	char mac[MAC_LEN];

	close.lot = a;
	attempt = fixture_begin(fixture, a, "1");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "A", 0)),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_LOT_CLOSE, 0, &close, sizeof(close)),
	    CAUSE_BAD_REQUEST);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_ABORTED, CAUSE_ABORTED),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_LOT_CLOSE, 0, &close, sizeof(close)),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_LOT_LIST, 0, &list, sizeof(list)),
	    CAUSE_NONE);
	assert_int_equal(done->count, 2);
	assert_int_equal(done->more, 0);
	assert_int_equal(done->lots[0].state, LOT_STATE_CLOSED);
	assert_string_equal(done->lots[0].name, "A");
	assert_string_equal(done->lots[0].folder, "/state/lots/x");
	assert_int_equal(done->lots[1].state, LOT_STATE_OPEN);
	assert_int_equal(done->lots[1].counts.rows, 7);
	list.after = a;
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_LOT_LIST, 0, &list, sizeof(list)),
	    CAUSE_NONE);
	assert_int_equal(done->count, 1);
	assert_int_equal(done->lots[0].lot, b);
}

static void
test_many_lots(void **state)
{
	struct fixture *fixture = *state;
	struct message_lot_list list = {.after = 0};
	struct fixture_lot lot = lot_a;
	char name[16];
	uint32_t i, seen = 0;

	lot.rows = 1;
	lot.without_macs = true;
	for (i = 0; i < LOT_LIST_MAX + 3; i++) {
		(void)snprintf(name, sizeof(name), "L%u", i);
		lot.name = name;
		fixture_open_lot(fixture, &lot);
	}
	do {
		assert_int_equal(fixture_ask(fixture, MESSAGE_LOT_LIST, 0,
				     &list, sizeof(list)),
		    CAUSE_NONE);
		seen += fixture->answer.body.lot_list.count;
		list.after = fixture->answer.body.lot_list
				 .lots[fixture->answer.body.lot_list.count - 1]
				 .lot;
	} while (fixture->answer.body.lot_list.more != 0);
	assert_int_equal(seen, LOT_LIST_MAX + 3);
}

/* A million shuffled rows, then a second lot beside them. */
static void
test_million(void **state)
{
	static const struct fixture_lot million = {.name = "M",
	    .pattern = PATTERN_CSR,
	    .serial_from = SERIAL_FROM_MAC,
	    .rows = 1000000,
	    .shuffled = true};
	static const struct fixture_lot next = {.name = "N",
	    .pattern = PATTERN_CSR,
	    .serial_from = SERIAL_FROM_NEXT,
	    .rows = 100000,
	    .shuffled = true,
	    .without_macs = true};
	struct fixture *fixture = *state;
	int image = fixture_image(&million);
	int manifest = fixture_manifest(&million);
	int64_t start = clock_monotonic_ms(), took;
	uint64_t lot;
	uint32_t i;

	assert_int_equal(
	    fixture_open_lot_with(fixture, image, manifest), CAUSE_NONE);
	print_message("1,000,000 rows: %lld ms\n",
	    (long long)(clock_monotonic_ms() - start));
	lot = fixture->answer.body.lot_open.counts.lot;
	assert_int_equal(fixture->answer.body.lot_open.counts.missing, 1000000);
	start = clock_monotonic_ms();
	fixture_open_lot(fixture, &next);
	print_message("100,000 rows beside them: %lld ms\n",
	    (long long)(clock_monotonic_ms() - start));
	start = clock_monotonic_ms();
	for (i = 0; i < 200; i++)
		fixture_pass(fixture, lot, "M", PATTERN_CSR, i * 4999);
	took = clock_monotonic_ms() - start;
	print_message("a unit, 13 commits: %lld us\n", (long long)took * 5);
	assert_int_equal(fixture_counts(fixture, lot)->passed, 200);
	ledger_close(fixture->ledger);
	start = clock_monotonic_ms();
	fixture_open(fixture);
	print_message("start with its check: %lld ms\n",
	    (long long)(clock_monotonic_ms() - start));
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_one_at_a_time),
	    TEST(test_newer),
	    TEST(test_upgrade),
	    TEST(test_damaged),
	    TEST(test_read_only),
	    TEST(test_full),
	    TEST(test_group),
	    TEST(test_same_lot),
	    TEST(test_rows_twice),
	    TEST(test_list),
	    TEST(test_many_lots),
	    TEST(test_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
