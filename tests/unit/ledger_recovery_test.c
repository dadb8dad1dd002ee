/* What becomes of attempts whose slot, ledger or station is gone. */
#include "ledger_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/role.h"
#include "ledger/role.h"
#include "ledger/unit.h"
#include "lot/config.h"

static const struct fixture_lot claim = {.name = "CLAIM",
    .pattern = PATTERN_CLAIM,
    .serial_from = SERIAL_FROM_MAC,
    .rows = 20};
static const struct fixture_lot csr = {.name = "CSR",
    .pattern = PATTERN_CSR,
    .serial_from = SERIAL_FROM_MAC,
    .rows = 20};

static uint64_t
gated(struct fixture *fixture, uint64_t lot, const char *name, uint32_t row)
{
	char mac[MAC_LEN];
	uint64_t attempt = fixture_begin(fixture, lot, "3");

	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, name, row)),
	    CAUSE_NONE);
	return attempt;
}

static void
assert_close(struct fixture *fixture, uint64_t attempt, enum fault_cause cause,
    enum verdict verdict)
{
	const struct message_resolve_done *done = &fixture->answer.body.resolve;
	struct message_verdict body;

	assert_int_equal(fixture_resolve(fixture, attempt), RESOLVE_CLOSE);
	assert_int_equal(done->verdict.fault.cause, cause);
	assert_int_equal(done->verdict.verdict, verdict);
	assert_string_equal(done->slot, "3");
	body = done->verdict;
	fixture->sequence = done->next_sequence;
	assert_int_equal(fixture_ask_as(fixture, MESSAGE_VERDICT, attempt,
			     fixture->sequence, &body, sizeof(body)),
	    CAUSE_NONE);
	assert_int_equal(fixture_resolve(fixture, attempt), RESOLVE_NOTHING);
}

static void
test_nothing_written(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = fixture_begin(fixture, lot, "3");
	char mac[MAC_LEN];

	assert_close(fixture, attempt, CAUSE_STATION_CRASH, VERDICT_ERROR);
	attempt = gated(fixture, lot, "CSR", 0);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_FLASH), CAUSE_NONE);
	assert_close(fixture, attempt, CAUSE_STATION_CRASH, VERDICT_ERROR);
	/* The lease is returned: another board may have the serial. */
	attempt = gated(fixture, lot, "CSR", 0);
	assert_int_equal(fixture->answer.body.gate.resumed, 0);
	/* A refusal that the slot did not live to report stays one. */
	attempt = fixture_begin(fixture, lot, "3");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "CSR", 0)),
	    CAUSE_TWICE_IN_FIXTURE);
	assert_close(fixture, attempt, CAUSE_TWICE_IN_FIXTURE, VERDICT_REFUSED);
}

static void
test_issue_unanswered(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = gated(fixture, lot, "CSR", 0);

	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k"),
	    CAUSE_NONE);
	assert_close(fixture, attempt, CAUSE_STATION_CRASH, VERDICT_ERROR);
	assert_int_equal(fixture_counts(fixture, lot)->obligations, 1);
	gated(fixture, lot, "CSR", 0);
	assert_int_equal(fixture->answer.body.gate.resumed, 1);
}

static void
test_write_unanswered(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = gated(fixture, lot, "CSR", 0);

	fixture_step(fixture, attempt, INTENT_ISSUE, "k");
	fixture_step(fixture, attempt, INTENT_BIND, "");
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_WRITE), CAUSE_NONE);
	assert_close(fixture, attempt, CAUSE_WAIT_UNIT, VERDICT_ERROR);
	/* Never activated, and kept. */
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_ACTIVATE), CAUSE_INTERNAL);
	gated(fixture, lot, "CSR", 0);
	assert_int_equal(fixture->answer.body.gate.resumed, 1);
}

static void
test_write_known(void **state)
{
	struct fixture *fixture = *state;
	const struct message_resolve_done *done = &fixture->answer.body.resolve;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = gated(fixture, lot, "CSR", 4);
	char mac[MAC_LEN];

	fixture_step(fixture, attempt, INTENT_ISSUE, "k");
	fixture_step(fixture, attempt, INTENT_WRITE, "");
	assert_int_equal(fixture_resolve(fixture, attempt), RESOLVE_BIND);
	assert_int_equal(done->lot, lot);
	assert_string_equal(done->bind.serial, "CSR-0000004");
	assert_string_equal(done->bind.thing, "lamp-CSR-0000004");
	assert_string_equal(done->bind.certificate_id, "cert-1");
	assert_string_equal(done->bind.arn, "arn:cert-1");
	assert_string_equal(done->bind.mac, fixture_mac(mac, "CSR", 4));
	assert_string_equal(done->bind.extra, "{\"rev\":\"B2\"}");
	fixture->sequence = done->next_sequence;
	fixture_step(fixture, attempt, INTENT_BIND, "");
	assert_int_equal(fixture_resolve(fixture, attempt), RESOLVE_ACTIVATE);
	fixture_step(fixture, attempt, INTENT_ACTIVATE, "");
	assert_int_equal(fixture_resolve(fixture, attempt), RESOLVE_PASS);
	assert_int_equal(done->verdict.verdict, VERDICT_PASS);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
	assert_int_equal(fixture_resolve(fixture, attempt), RESOLVE_NOTHING);
}

static void
test_claim_recovery(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &claim);
	uint64_t attempt = gated(fixture, lot, "CLAIM", 0);

	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_HANDOUT), CAUSE_NONE);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_INJECT), CAUSE_NONE);
	assert_close(fixture, attempt, CAUSE_WAIT_UNIT, VERDICT_ERROR);
	attempt = gated(fixture, lot, "CLAIM", 0);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_HANDOUT), CAUSE_NONE);
	fixture_step(fixture, attempt, INTENT_INJECT, "");
	assert_int_equal(
	    fixture_resolve(fixture, attempt), RESOLVE_PREREGISTER);
	fixture->sequence = fixture->answer.body.resolve.next_sequence;
	fixture_step(fixture, attempt, INTENT_PREREGISTER, "");
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_LOCK), CAUSE_NONE);
	assert_close(fixture, attempt, CAUSE_WAIT_UNIT, VERDICT_ERROR);
}

/* A unit that was swapped after its write is never passed without it. */
static void
test_swapped_is_not_passed(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t attempt = gated(fixture, lot, "CSR", 0);
	char mac[MAC_LEN];

	fixture_step(fixture, attempt, INTENT_ISSUE, "k");
	fixture_step(fixture, attempt, INTENT_BIND, "");
	fixture_step(fixture, attempt, INTENT_WRITE, "");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "CSR", 1)),
	    CAUSE_SWAPPED);
	assert_close(fixture, attempt, CAUSE_SWAPPED, VERDICT_FAIL);
}

static void
test_ready(void **state)
{
	struct fixture *fixture = *state;
	struct message_ledger_ready ready;
	uint64_t lot = fixture_open_lot(fixture, &csr);
	uint64_t one = gated(fixture, lot, "CSR", 0);
	uint64_t other = fixture_begin(fixture, lot, "4");

	fixture_pass(fixture, lot, "CSR", PATTERN_CSR, 7);
	ledger_close(fixture->ledger);
	fixture_open(fixture);
	assert_int_equal(ledger_ready(fixture->ledger, &ready), 0);
	assert_int_equal(ready.lots, 1);
	assert_int_equal(ready.attempts, 2);
	assert_int_equal(ready.attempt[0], one);
	assert_int_equal(ready.attempt[1], other);
}

/* ---- the role itself, killed at random moments ---- */

enum {
	UNITS = 20,
	KILLS = 12,
	SLOWNESS_MOST = 6,
	KILL_SPAN_US = 30000
};

/* What has been acknowledged: it must never be missing again. */
struct promise {
	uint64_t attempt;
	enum verdict verdict;
	uint32_t row;
};

/* A request whose answer came: its records are there for ever. */
struct receipt {
	uint64_t attempt;
	uint32_t sequence;
};

struct station {
	struct fixture *fixture;
	struct channel channel;
	pid_t pid;
	unsigned seed;
	uint64_t lot;
	uint32_t sequence;
	struct promise *promises;
	size_t promised, refused;
	struct receipt *receipts;
	size_t received;
	struct message reply;
	unsigned slowness; /* doublings of a life's span */
};

static int
station_config_seal(const struct station *station)
{
	struct station_config *config = calloc(1, sizeof(*config));
	int fd;

	assert_non_null(config);
	config->magic = CONFIG_MAGIC;
	config->size = sizeof(*config);
	text_copy(config->station, sizeof(config->station), "bench-1");
	text_copy(
	    config->ledger, sizeof(config->ledger), station->fixture->path);
	fd = file_seal("config", config, sizeof(*config), NULL);
	free(config);
	assert_int_not_equal(fd, -1);
	return fd;
}

/* The child's descriptors are moved out of the way of the role's numbers. */
static _Noreturn void
station_child(int channel, int config, rlim_t file_max)
{
	struct rlimit limit = {.rlim_cur = file_max, .rlim_max = file_max};
	int own = fcntl(channel, F_DUPFD, 64);
	int given = fcntl(config, F_DUPFD, 64);

	if (file_max != 0) {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
	}
	if (dup2(own, ROLE_FD_CHANNEL) < 0 || dup2(given, ROLE_FD_CONFIG) < 0)
		_exit(70);
	_exit(ledger_role());
}

static void
station_start(struct station *station, rlim_t file_max)
{
	int pair[2], config = station_config_seal(station);

	assert_int_equal(channel_pair(pair), 0);
	station->pid = fork();
	assert_int_not_equal(station->pid, -1);
	if (station->pid == 0) {
		/* Its own copy would hide the end of the channel. */
		close(pair[0]);
		station_child(pair[1], config, file_max);
	}
	close(pair[1]);
	close(config);
	channel_open(&station->channel, pair[0], "ledger", 64);
}

static void
station_stop(struct station *station)
{
	int status;

	channel_close(&station->channel);
	assert_int_equal(waitpid(station->pid, &status, 0), station->pid);
}

/* Any other end than the one that was asked for is a failure. */
static void
station_kill(struct station *station)
{
	int status = 0;

	kill(station->pid, SIGKILL);
	assert_int_equal(waitpid(station->pid, &status, 0), station->pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	channel_close(&station->channel);
}

static int
station_wait_ready(struct station *station)
{
	struct fault fault;

	if (channel_receive_wait(&station->channel, &station->reply,
		clock_deadline(60000), &fault) != 0)
		return -1;
	assert_int_equal(station->reply.header.type, MESSAGE_LEDGER_READY);
	return 0;
}

static enum fault_cause
station_cause(const struct station *station)
{
	return ((const struct message_done *)(const void *)
		    station->reply.body.bytes)
	    ->fault.cause;
}

static void
station_receipt(struct station *station, const struct message_header *header)
{
	if (header->attempt == 0 ||
	    station_cause(station) == CAUSE_LEDGER_ERROR)
		return;
	station->receipts = reallocarray(station->receipts,
	    station->received + 1, sizeof(*station->receipts));
	assert_non_null(station->receipts);
	station->receipts[station->received].attempt = header->attempt;
	station->receipts[station->received++].sequence = header->sequence;
}

static int
station_ask(struct station *station, enum message_type type, uint64_t attempt,
    const void *body, size_t len, const int *fds, size_t fd_count)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = (uint16_t)type,
	    .sequence = ++station->sequence,
	    .attempt = attempt};
	struct fault fault;

	if (channel_send_wait(&station->channel, &header, body, len, fds,
		fd_count, clock_deadline(60000), &fault) != 0 ||
	    channel_receive_wait(&station->channel, &station->reply,
		clock_deadline(60000), &fault) != 0)
		return -1;
	assert_int_equal(station->reply.header.sequence, header.sequence);
	assert_int_equal(station->reply.header.type, type + 1);
	station_receipt(station, &header);
	return 0;
}

static int
station_open_lot(struct station *station, const struct fixture_lot *lot)
{
	struct message_lot_open body;
	int fds[2] = {fixture_image(lot), fixture_manifest(lot)};
	int result;

	memset(&body, 0, sizeof(body));
	result = station_ask(
	    station, MESSAGE_LOT_OPEN, 0, &body, sizeof(body), fds, 2);
	close(fds[0]);
	close(fds[1]);
	if (result != 0)
		return -1;
	if (station_cause(station) == CAUSE_NONE)
		station->lot =
		    ((const struct message_lot_open_done *)(const void *)
			    station->reply.body.bytes)
			->counts.lot;
	return 0;
}

static int
station_step(struct station *station, uint64_t attempt, enum intent_kind kind,
    const char *key)
{
	struct message_intent intent = {.kind = kind};
	static struct message_outcome outcome;

	digest_bytes(key, strlen(key), &intent.digest);
	if (station_ask(station, MESSAGE_INTENT, attempt, &intent,
		sizeof(intent), NULL, 0) != 0)
		return -1;
	if (station_cause(station) != CAUSE_NONE)
		return 1;
	memset(&outcome, 0, sizeof(outcome));
	outcome.kind = kind;
	/* Now and then a call's answer is lost. */
	if (rand_r(&station->seed) % 8 == 0)
		return 1;
	outcome.done = 1;
	(void)snprintf(outcome.certificate_id, CERTIFICATE_ID_LEN, "c-%llu",
	    (unsigned long long)attempt);
	if (station_ask(station, MESSAGE_OUTCOME, attempt, &outcome,
		sizeof(outcome), NULL, 0) != 0)
		return -1;
	return station_cause(station) == CAUSE_NONE ? 0 : 1;
}

static int
station_judge(struct station *station, uint64_t attempt, uint32_t row,
    const struct message_verdict *body)
{
	struct promise *promise;

	if (station_ask(station, MESSAGE_VERDICT, attempt, body, sizeof(*body),
		NULL, 0) != 0)
		return -1;
	if (station_cause(station) != CAUSE_NONE) {
		station->refused++;
		return 0;
	}
	station->promises = reallocarray(station->promises,
	    station->promised + 1, sizeof(*station->promises));
	assert_non_null(station->promises);
	promise = &station->promises[station->promised++];
	promise->attempt = attempt;
	promise->verdict = (enum verdict)body->verdict;
	promise->row = row;
	return 0;
}

/* One unit's journey; -1 when the ledger died. */
static int
station_unit(struct station *station, uint32_t row)
{
	static const enum intent_kind steps[] = {INTENT_FLASH, INTENT_ISSUE,
	    INTENT_BIND, INTENT_WRITE, INTENT_ACTIVATE};
	struct message_begin begin = {.lot = station->lot, .slot = "1"};
	struct message_gate gate;
	struct message_verdict verdict = {.verdict = VERDICT_PASS};
	char key[32];
	uint64_t attempt;
	size_t i;
	int result = 0;

	memset(&gate, 0, sizeof(gate));
	fixture_mac(gate.mac, csr.name, row);
	if (station_ask(
		station, MESSAGE_BEGIN, 0, &begin, sizeof(begin), NULL, 0) != 0)
		return -1;
	if (station_cause(station) != CAUSE_NONE)
		return 0;
	attempt = ((const struct message_begin_done *)(const void *)
		       station->reply.body.bytes)
		      ->attempt;
	(void)snprintf(key, sizeof(key), "k-%llu", (unsigned long long)attempt);
	if (station_ask(station, MESSAGE_GATE, attempt, &gate, sizeof(gate),
		NULL, 0) != 0)
		return -1;
	if (station_cause(station) != CAUSE_NONE) {
		verdict.verdict = VERDICT_REFUSED;
		verdict.fault.cause = station_cause(station);
		return station_judge(station, attempt, row, &verdict);
	}
	for (i = 0; result == 0 && i < 5; i++)
		result = station_step(station, attempt, steps[i], key);
	if (result < 0)
		return -1;
	if (result > 0) {
		verdict.verdict = rand_r(&station->seed) % 2 == 0
				      ? VERDICT_FAIL
				      : VERDICT_ERROR;
		verdict.fault.cause = CAUSE_CONSOLE_ERROR;
	}
	return station_judge(station, attempt, row, &verdict);
}

/* A killer of its own, so that the moment does not follow the requests. */
static pid_t
station_doom(struct station *station, unsigned after_us)
{
	pid_t killer = fork();

	assert_int_not_equal(killer, -1);
	if (killer == 0) {
		clock_sleep_us(after_us);
		kill(station->pid, SIGKILL);
		_exit(0);
	}
	return killer;
}

static void
station_life(struct station *station)
{
	unsigned after_us = (unsigned)rand_r(&station->seed) %
			    (KILL_SPAN_US << station->slowness);
	size_t promised = station->promised;
	pid_t killer;
	int status;

	station_start(station, 0);
	killer = station_doom(station, after_us);
	if (station_wait_ready(station) == 0 &&
	    station_open_lot(station, &csr) == 0)
		while (station_unit(station,
			   (uint32_t)rand_r(&station->seed) % UNITS) == 0)
			;
	assert_int_equal(waitpid(killer, &status, 0), killer);
	station_kill(station);
	/* A machine that is busy gets as far in a longer life. */
	if (station->promised == promised && station->slowness < SLOWNESS_MOST)
		station->slowness++;
}

/* What was acknowledged is there. */
static void
station_check_receipts(struct station *station)
{
	struct store *store = &station->fixture->ledger->store;
	const struct receipt *receipt;
	const struct promise *promise;
	struct attempt attempt;
	int64_t found;
	size_t i;

	for (i = 0; i < station->received; i++) {
		receipt = &station->receipts[i];
		assert_int_equal(
		    store_number(store,
			"SELECT count(*) FROM entry WHERE attempt = ?1"
			" AND sequence = ?2",
			VALUES(value_integer((int64_t)receipt->attempt),
			    value_integer(receipt->sequence)),
			&found),
		    1);
		assert_int_equal(found, 1);
	}
	for (i = 0; i < station->promised; i++) {
		promise = &station->promises[i];
		assert_int_equal(
		    attempt_read(store, promise->attempt, &attempt, NULL), 1);
		assert_int_equal(attempt.verdict, promise->verdict);
	}
}

/* An attempt without its slot comes to its verdict. */
static void
station_recover(struct fixture *fixture, uint64_t attempt)
{
	struct message_verdict verdict;
	enum resolve_action action;

	fixture->sequence = 1U << 24;
	action = fixture_resolve(fixture, attempt);
	if (action == RESOLVE_BIND)
		fixture_step(fixture, attempt, INTENT_BIND, "");
	if (action == RESOLVE_BIND || action == RESOLVE_ACTIVATE)
		fixture_step(fixture, attempt, INTENT_ACTIVATE, "");
	action = fixture_resolve(fixture, attempt);
	assert_true(action == RESOLVE_CLOSE || action == RESOLVE_PASS);
	verdict = fixture->answer.body.resolve.verdict;
	assert_int_equal(fixture_ask(fixture, MESSAGE_VERDICT, attempt,
			     &verdict, sizeof(verdict)),
	    CAUSE_NONE);
}

/* What is there keeps the rules. */
static void
station_check(struct station *station)
{
	struct fixture *fixture = station->fixture;
	struct message_ledger_ready ready;
	int64_t twice = -1;
	uint32_t i;

	fixture_open(fixture);
	station_check_receipts(station);
	assert_int_equal(ledger_ready(fixture->ledger, &ready), 0);
	for (i = 0; i < ready.attempts; i++)
		station_recover(fixture, ready.attempt[i]);
	assert_int_equal(
	    store_number(&fixture->ledger->store,
		"SELECT count(*) FROM (SELECT g.manifest FROM verdict AS v"
		" JOIN gate AS g ON g.attempt = v.attempt AND g.bound = 1"
		" WHERE v.verdict = 'PASS' GROUP BY g.manifest"
		" HAVING count(DISTINCT v.attempt) > 1)",
		NULL, &twice),
	    1);
	assert_int_equal(twice, 0);
	if (station->lot != 0)
		(void)fixture_counts(fixture, station->lot);
	fixture_check_rebuild(fixture);
	ledger_close(fixture->ledger);
}

static unsigned
test_seed(void)
{
	const char *given = getenv("STATION_TEST_SEED");
	unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10)
				      : (unsigned)time(NULL);

	print_message("STATION_TEST_SEED=%u\n", seed);
	return seed;
}

static void
test_killed(void **state)
{
	struct fixture *fixture = *state;
	struct station *station = calloc(1, sizeof(*station));
	int i;

	assert_non_null(station);
	station->fixture = fixture;
	station->seed = test_seed();
	ledger_close(fixture->ledger);
	for (i = 0; i < KILLS; i++) {
		station_life(station);
		station_check(station);
	}
	print_message("%zu verdicts were acknowledged\n", station->promised);
	assert_int_not_equal(station->promised, 0);
	free(station->promises);
	free(station->receipts);
	free(station);
	fixture_open(fixture);
}

/* Many that wait at once are answered in their order. */
static void
test_batched(void **state)
{
	enum {
		WAITING = 60
	};
	struct fixture *fixture = *state;
	struct station *station = calloc(1, sizeof(*station));
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_BEGIN};
	struct message_begin begin = {.slot = "1"};
	struct fault fault;
	uint32_t i;

	assert_non_null(station);
	station->fixture = fixture;
	ledger_close(fixture->ledger);
	station_start(station, 0);
	assert_int_equal(station_wait_ready(station), 0);
	assert_int_equal(station_open_lot(station, &csr), 0);
	begin.lot = station->lot;
	for (i = 0; i < WAITING; i++) {
		header.sequence = 1000 + i;
		assert_int_equal(
		    channel_send_wait(&station->channel, &header, &begin,
			sizeof(begin), NULL, 0, clock_deadline(60000), &fault),
		    0);
	}
	for (i = 0; i < WAITING; i++) {
		assert_int_equal(
		    channel_receive_wait(&station->channel, &station->reply,
			clock_deadline(60000), &fault),
		    0);
		assert_int_equal(station->reply.header.sequence, 1000 + i);
		assert_int_equal(station_cause(station), CAUSE_NONE);
		assert_int_equal(
		    ((const struct message_begin_done *)(const void *)
			    station->reply.body.bytes)
			->attempt,
		    i + 1);
	}
	station_stop(station);
	station_check(station);
	free(station->promises);
	free(station->receipts);
	free(station);
	fixture_open(fixture);
}

/* A ledger that cannot be opened answers, and says why. */
static void
test_no_ledger(void **state)
{
	struct fixture *fixture = *state;
	struct station *station = calloc(1, sizeof(*station));
	const struct message_ledger_ready *ready;

	assert_non_null(station);
	station->fixture = fixture;
	/* The test's own ledger holds the lock. */
	station_start(station, 0);
	assert_int_equal(station_wait_ready(station), 0);
	ready = (const void *)station->reply.body.bytes;
	assert_int_equal(ready->fault.cause, CAUSE_LEDGER_ERROR);
	assert_int_equal(station_open_lot(station, &csr), 0);
	assert_int_equal(station_cause(station), CAUSE_LEDGER_ERROR);
	assert_non_null(strstr(((const struct message_done *)(const void *)
				       station->reply.body.bytes)
				   ->fault.text,
	    "in use by another stationd"));
	station_stop(station);
	free(station->receipts);
	free(station);
}

/* ---- a disk that is full ---- */

static void
test_full_disk(void **state)
{
	struct fixture *fixture = *state;
	struct station *station = calloc(1, sizeof(*station));
	size_t before;
	uint32_t row;

	assert_non_null(station);
	station->fixture = fixture;
	station->seed = 1;
	ledger_close(fixture->ledger);
	/* The log may grow to this: some units fit, and then none. */
	station_start(station, 700 * 1024);
	assert_int_equal(station_wait_ready(station), 0);
	assert_int_equal(station_open_lot(station, &csr), 0);
	assert_int_equal(station_cause(station), CAUSE_NONE);
	for (row = 0; row < 40; row++)
		assert_int_equal(station_unit(station, row % UNITS), 0);
	assert_int_not_equal(station->promised, 0);
	/* It still answers, and says what is wrong. */
	assert_int_equal(station_open_lot(station, &claim), 0);
	assert_int_equal(station_cause(station), CAUSE_LEDGER_ERROR);
	before = station->promised;
	station_stop(station);
	station_check(station);
	/* With room again it goes on. */
	station_start(station, 0);
	assert_int_equal(station_wait_ready(station), 0);
	for (row = 0; row < UNITS; row++)
		assert_int_equal(station_unit(station, row), 0);
	assert_int_equal(station->promised, before + UNITS);
	station_stop(station);
	station_check(station);
	free(station->promises);
	free(station->receipts);
	free(station);
	fixture_open(fixture);
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_nothing_written),
	    TEST(test_issue_unanswered),
	    TEST(test_write_unanswered),
	    TEST(test_write_known),
	    TEST(test_claim_recovery),
	    TEST(test_swapped_is_not_passed),
	    TEST(test_ready),
	    TEST(test_killed),
	    TEST(test_batched),
	    TEST(test_no_ledger),
	    TEST(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
