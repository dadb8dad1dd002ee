/*
 * A ledger in a scratch folder, lots with manifests made in memory, and one
 * function a request, for the tests of ledger and report.
 */
#ifndef TESTS_LEDGER_FIXTURE_H
#define TESTS_LEDGER_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <time.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "ledger/ledger.h"
#include "ledger/rebuild.h"
#include "lot/lot.h"
#include "lot/manifest.h"
#include "lot/plan.h"
#include "scratch.h"

struct fixture {
	struct ledger *ledger;
	char path[512];
	uint32_t sequence;
	struct ledger_answer answer;
};

/* What differs from lot to lot. */
struct fixture_lot {
	const char *name;
	enum pattern pattern;
	enum serial_source serial_from;
	uint32_t rows;
	enum ending ending;
	enum certificate_form form;
	bool erases, at_issue;
	uint32_t quantity;    /* 0: rows */
	uint32_t claim_limit; /* 0: twice the quantity */
	bool without_macs;
	bool shuffled;
};

static SCRATCH_UNUSED const char *
fixture_serial(char text[SERIAL_LEN], const char *lot, uint32_t row)
{
	(void)snprintf(text, SERIAL_LEN, "%s-%07u", lot, row);
	return text;
}

static SCRATCH_UNUSED uint32_t
fixture_lot_number(const char *lot)
{
	uint32_t number = 0;

	for (; *lot != '\0'; lot++)
		number = number * 31 + (unsigned char)*lot;
	return number % 251;
}

static SCRATCH_UNUSED const char *
fixture_mac(char text[MAC_LEN], const char *lot, uint32_t row)
{
	(void)snprintf(text, MAC_LEN, "24:6f:%02x:%02x:%02x:%02x",
	    fixture_lot_number(lot), row >> 16 & 255, row >> 8 & 255,
	    row & 255);
	return text;
}

/* A manifest as the load role makes it: rows 0 to rows - 1. */
static SCRATCH_UNUSED int
fixture_manifest(const struct fixture_lot *lot)
{
	size_t text_len = SERIAL_LEN + MAC_LEN + 24, at;
	struct manifest_header *header;
	struct manifest_row *row;
	char *data, *pool;
	uint32_t i, number;
	int fd;

	at = sizeof(*header) + lot->rows * sizeof(*row);
	data = calloc(1, at + 8 + lot->rows * text_len);
	assert_non_null(data);
	header = (void *)data;
	row = (void *)(data + sizeof(*header));
	pool = data + at;
	header->magic = MANIFEST_MAGIC;
	header->rows = lot->rows;
	header->pool_offset = at;
	at = 1;
	for (i = 0; i < lot->rows; i++) {
		/* 611953 is a prime above any test's rows. */
		number = lot->shuffled
			     ? (uint32_t)((uint64_t)i * 611953 % lot->rows)
			     : i;
		row[i].line = i + 2;
		row[i].serial = (uint32_t)at;
		fixture_serial(pool + at, lot->name, number);
		at += strlen(pool + at) + 1;
		row[i].mac = (uint32_t)at;
		if (!lot->without_macs)
			fixture_mac(pool + at, lot->name, number);
		at += strlen(pool + at) + 1;
		row[i].extra = (uint32_t)at;
		(void)snprintf(pool + at, 24, "{\"rev\":\"B2\"}");
		at += strlen(pool + at) + 1;
	}
	header->pool_len = at;
	fd = file_seal("manifest", data, (size_t)(pool - data) + at, NULL);
	free(data);
	assert_int_not_equal(fd, -1);
	return fd;
}

static SCRATCH_UNUSED void
fixture_image_fill(const struct fixture_lot *lot, struct lot_image *image)
{
	memset(image, 0, sizeof(*image));
	image->magic = LOT_MAGIC;
	image->size = sizeof(*image);
	text_copy(image->name, sizeof(image->name), lot->name);
	text_copy(image->product, sizeof(image->product), "lamp");
	text_copy(image->frozen, sizeof(image->frozen), "/state/lots/x");
	image->quantity = lot->quantity != 0 ? lot->quantity : lot->rows;
	image->pattern = lot->pattern;
	image->ending = lot->ending;
	image->form = lot->form;
	image->claim_erase = lot->erases;
	image->activate_at_issue = lot->at_issue;
	image->steps = plan_steps(image);
	image->serial_from = lot->serial_from;
	text_copy(
	    image->thing_rule, sizeof(image->thing_rule), "lamp-${serial}");
	text_copy(
	    image->firmware_version, sizeof(image->firmware_version), "1.2.0");
	image->claim_limit =
	    lot->claim_limit != 0 ? lot->claim_limit : 2 * image->quantity;
	digest_bytes(lot, sizeof(lot->pattern), &image->profile_digest);
	digest_bytes(lot->name, strlen(lot->name), &image->lot_digest);
	digest_bytes("firmware", 8, &image->firmware_digest);
	digest_bytes("manifest", 8, &image->manifest_digest);
}

static SCRATCH_UNUSED int
fixture_image(const struct fixture_lot *lot)
{
	struct lot_image *image = malloc(sizeof(*image));
	int fd;

	assert_non_null(image);
	fixture_image_fill(lot, image);
	fd = file_seal("lot", image, sizeof(*image), NULL);
	free(image);
	assert_int_not_equal(fd, -1);
	return fd;
}

/* ---- requests ---- */

/* One request, one transaction; -1 when it was lost. */
static SCRATCH_UNUSED int
fixture_send(struct fixture *fixture, const struct message *message)
{
	struct fault fault;

	if (ledger_begin(fixture->ledger) == 0 &&
	    ledger_handle(fixture->ledger, message, &fixture->answer) == 0 &&
	    ledger_commit(fixture->ledger) == 0)
		return 0;
	ledger_rollback(fixture->ledger);
	store_fault(&fixture->ledger->store, &fault);
	ledger_refuse(&message->header, &fault, &fixture->answer);
	return -1;
}

static SCRATCH_UNUSED enum fault_cause
fixture_ask_as(struct fixture *fixture, enum message_type type,
    uint64_t attempt, uint32_t sequence, const void *body, size_t len)
{
	struct message *message = calloc(1, sizeof(*message));

	assert_non_null(message);
	message->header.version = MESSAGE_VERSION;
	message->header.type = (uint16_t)type;
	message->header.attempt = attempt;
	message->header.sequence = sequence;
	if (len > 0)
		memcpy(message->body.bytes, body, len);
	message->len = len;
	assert_true(message_check((uint16_t)type, message->body.bytes, len));
	(void)fixture_send(fixture, message);
	free(message);
	assert_int_equal(fixture->answer.header.type, type + 1);
	assert_true(message_check(fixture->answer.header.type,
	    &fixture->answer.body, fixture->answer.len));
	return fixture->answer.body.fault.cause;
}

static SCRATCH_UNUSED enum fault_cause
fixture_ask(struct fixture *fixture, enum message_type type, uint64_t attempt,
    const void *body, size_t len)
{
	return fixture_ask_as(
	    fixture, type, attempt, ++fixture->sequence, body, len);
}

static SCRATCH_UNUSED enum fault_cause
fixture_open_lot_with(struct fixture *fixture, int image, int manifest)
{
	struct message *message = calloc(1, sizeof(*message));
	struct message_lot_open *body;

	assert_non_null(message);
	body = (void *)message->body.bytes;
	message->header.type = MESSAGE_LOT_OPEN;
	text_copy(body->operator, sizeof(body->operator), "ann");
	message->len = sizeof(*body);
	message->fds[0] = image;
	message->fds[1] = manifest;
	message->fd_count = 2;
	(void)fixture_send(fixture, message);
	free(message);
	close(image);
	close(manifest);
	return fixture->answer.body.fault.cause;
}

static SCRATCH_UNUSED uint64_t
fixture_open_lot(struct fixture *fixture, const struct fixture_lot *lot)
{
	enum fault_cause cause = fixture_open_lot_with(
	    fixture, fixture_image(lot), fixture_manifest(lot));

	if (cause != CAUSE_NONE)
		print_error("%s\n", fixture->answer.body.fault.text);
	assert_int_equal(cause, CAUSE_NONE);
	return fixture->answer.body.lot_open.counts.lot;
}

static SCRATCH_UNUSED uint64_t
fixture_begin_scanned(struct fixture *fixture, uint64_t lot, const char *slot,
    const char *scanned)
{
	struct message_begin body;

	memset(&body, 0, sizeof(body));
	body.lot = lot;
	text_copy(body.slot, sizeof(body.slot), slot);
	text_copy(body.operator, sizeof(body.operator), "ann");
	text_copy(body.scanned, sizeof(body.scanned), scanned);
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_BEGIN, 0, &body, sizeof(body)),
	    CAUSE_NONE);
	return fixture->answer.body.begin.attempt;
}

static SCRATCH_UNUSED uint64_t
fixture_begin(struct fixture *fixture, uint64_t lot, const char *slot)
{
	return fixture_begin_scanned(fixture, lot, slot, "");
}

static SCRATCH_UNUSED enum fault_cause
fixture_gate(struct fixture *fixture, uint64_t attempt, const char *serial,
    const char *mac)
{
	struct message_gate body;

	memset(&body, 0, sizeof(body));
	text_copy(body.serial, sizeof(body.serial), serial);
	text_copy(body.mac, sizeof(body.mac), mac);
	return fixture_ask(fixture, MESSAGE_GATE, attempt, &body, sizeof(body));
}

static SCRATCH_UNUSED enum fault_cause
fixture_intend_key(struct fixture *fixture, uint64_t attempt,
    enum intent_kind kind, const char *key)
{
	struct message_intent body;

	memset(&body, 0, sizeof(body));
	body.kind = kind;
	digest_bytes(key, strlen(key), &body.digest);
	return fixture_ask(
	    fixture, MESSAGE_INTENT, attempt, &body, sizeof(body));
}

static SCRATCH_UNUSED enum fault_cause
fixture_intend(struct fixture *fixture, uint64_t attempt, enum intent_kind kind)
{
	return fixture_intend_key(fixture, attempt, kind, "");
}

static SCRATCH_UNUSED enum fault_cause
fixture_outcome_as(struct fixture *fixture, uint64_t attempt,
    enum intent_kind kind, bool done, bool unverified, const char *certificate)
{
	struct message_outcome *body = calloc(1, sizeof(*body));
	enum fault_cause cause;

	assert_non_null(body);
	body->kind = kind;
	body->done = done ? 1 : 0;
	body->unverified = unverified ? 1 : 0;
	if (kind == INTENT_ISSUE && done) {
		text_copy(
		    body->certificate_id, CERTIFICATE_ID_LEN, certificate);
		text_copy(body->certificate, CERTIFICATE_LEN, "PEM");
		(void)snprintf(
		    body->arn, sizeof(body->arn), "arn:%s", certificate);
		text_copy(
		    body->cloud_state, sizeof(body->cloud_state), "INACTIVE");
	}
	if (kind == INTENT_ACTIVATE && done)
		text_copy(
		    body->cloud_state, sizeof(body->cloud_state), "ACTIVE");
	cause =
	    fixture_ask(fixture, MESSAGE_OUTCOME, attempt, body, sizeof(*body));
	free(body);
	return cause;
}

static SCRATCH_UNUSED enum fault_cause
fixture_outcome(
    struct fixture *fixture, uint64_t attempt, enum intent_kind kind)
{
	char certificate[CERTIFICATE_ID_LEN];

	(void)snprintf(certificate, sizeof(certificate), "cert-%llu",
	    (unsigned long long)attempt);
	return fixture_outcome_as(
	    fixture, attempt, kind, true, false, certificate);
}

static SCRATCH_UNUSED void
fixture_step(struct fixture *fixture, uint64_t attempt, enum intent_kind kind,
    const char *key)
{
	enum fault_cause cause =
	    fixture_intend_key(fixture, attempt, kind, key);

	if (cause != CAUSE_NONE)
		print_error("%s\n", fixture->answer.body.fault.text);
	assert_int_equal(cause, CAUSE_NONE);
	assert_int_equal(fixture_outcome(fixture, attempt, kind), CAUSE_NONE);
}

static SCRATCH_UNUSED enum fault_cause
fixture_judge(struct fixture *fixture, uint64_t attempt, enum verdict verdict,
    enum fault_cause cause)
{
	struct message_verdict body;

	memset(&body, 0, sizeof(body));
	body.verdict = verdict;
	body.step = STEP_VERDICT;
	if (cause != CAUSE_NONE)
		fault_set(&body.fault, cause, "a test made this happen");
	return fixture_ask(
	    fixture, MESSAGE_VERDICT, attempt, &body, sizeof(body));
}

static SCRATCH_UNUSED enum resolve_action
fixture_resolve(struct fixture *fixture, uint64_t attempt)
{
	struct message_resolve body = {.cause = CAUSE_STATION_CRASH};

	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_RESOLVE, attempt, &body, sizeof(body)),
	    CAUSE_NONE);
	return (enum resolve_action)fixture->answer.body.resolve.action;
}

static SCRATCH_UNUSED enum fault_cause
fixture_dispose(struct fixture *fixture, uint64_t lot, const char *serial,
    enum dispose_kind kind)
{
	struct message_dispose body;

	memset(&body, 0, sizeof(body));
	body.lot = lot;
	body.kind = kind;
	text_copy(body.serial, sizeof(body.serial), serial);
	text_copy(body.operator, sizeof(body.operator), "ann");
	text_copy(body.reason, sizeof(body.reason), "cracked");
	return fixture_ask(fixture, MESSAGE_DISPOSE, 0, &body, sizeof(body));
}

static SCRATCH_UNUSED const struct lot_counts *
fixture_counts(struct fixture *fixture, uint64_t lot)
{
	struct message_lot body = {.lot = lot};
	const struct lot_counts *counts = &fixture->answer.body.counts.counts;

	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_COUNTS, 0, &body, sizeof(body)),
	    CAUSE_NONE);
	assert_int_equal(counts->passed + counts->failed + counts->staged +
			     counts->quarantined + counts->scrapped +
			     counts->in_progress + counts->missing,
	    counts->rows);
	return counts;
}

/* ---- whole journeys ---- */

static SCRATCH_UNUSED void
fixture_steps(struct fixture *fixture, uint64_t attempt, enum pattern pattern,
    const char *key)
{
	if (pattern == PATTERN_CLAIM) {
		assert_int_equal(
		    fixture_intend(fixture, attempt, INTENT_HANDOUT),
		    CAUSE_NONE);
		fixture_step(fixture, attempt, INTENT_INJECT, "");
		fixture_step(fixture, attempt, INTENT_PREREGISTER, "");
		return;
	}
	fixture_step(fixture, attempt, INTENT_ISSUE, key);
	fixture_step(fixture, attempt, INTENT_BIND, "");
	fixture_step(fixture, attempt, INTENT_WRITE, "");
	fixture_step(fixture, attempt, INTENT_ACTIVATE, "");
}

/* Row `row` of a lot whose serials come from the MAC passes. */
static SCRATCH_UNUSED uint64_t
fixture_pass(struct fixture *fixture, uint64_t lot, const char *name,
    enum pattern pattern, uint32_t row)
{
	char mac[MAC_LEN], key[64];
	uint64_t attempt = fixture_begin(fixture, lot, "1");

	(void)snprintf(key, sizeof(key), "key %s %u", name, row);
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, name, row)),
	    CAUSE_NONE);
	fixture_step(fixture, attempt, INTENT_FLASH, "");
	fixture_steps(fixture, attempt, pattern, key);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
	return attempt;
}

/* ---- the computed tables ---- */

static SCRATCH_UNUSED int
fixture_dump_row(void *arg, int count, char **values, char **names)
{
	struct buf *dump = arg;
	int i;

	(void)names;
	for (i = 0; i < count; i++)
		buf_add_format(
		    dump, "%s|", values[i] != NULL ? values[i] : "null");
	buf_add_text(dump, "\n");
	return 0;
}

static SCRATCH_UNUSED void
fixture_dump(struct fixture *fixture, struct buf *dump)
{
	static const char *const queries[] = {
	    "SELECT * FROM unit ORDER BY manifest",
	    ("SELECT hex(digest), manifest, mac, passed FROM unit_key"
	     " ORDER BY digest"),
	    "SELECT * FROM judged ORDER BY lot, unit",
	    "SELECT * FROM tally ORDER BY lot, kind, name",
	    "SELECT * FROM due ORDER BY obligation"};
	size_t i;

	buf_init(dump, (size_t)64 << 20);
	for (i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		buf_add_format(dump, "-- %s\n", queries[i]);
		assert_int_equal(sqlite3_exec(fixture->ledger->store.database,
				     queries[i], fixture_dump_row, dump, NULL),
		    SQLITE_OK);
	}
	assert_false(dump->failed);
}

/* The computed tables follow from the records. */
static SCRATCH_UNUSED void
fixture_check_rebuild(struct fixture *fixture)
{
	struct buf before, after;
	struct fault fault;

	fixture_dump(fixture, &before);
	if (ledger_rebuild(fixture->ledger, &fault) != 0)
		fail_msg("%s", fault.text);
	fixture_dump(fixture, &after);
	assert_string_equal(before.data, after.data);
	buf_free(&before);
	buf_free(&after);
}

/* ---- setup ---- */

static SCRATCH_UNUSED void
fixture_open(struct fixture *fixture)
{
	struct fault fault;

	fixture->ledger = ledger_open(fixture->path, "bench-1", &fault);
	if (fixture->ledger == NULL)
		fail_msg("%s", fault.text);
}

static SCRATCH_UNUSED int
fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	scratch_open();
	(void)snprintf(fixture->path, sizeof(fixture->path), "%s/ledger.db",
	    scratch_folder);
	fixture_open(fixture);
	*state = fixture;
	return 0;
}

static SCRATCH_UNUSED int
fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	fixture_check_rebuild(fixture);
	ledger_close(fixture->ledger);
	free(fixture);
	scratch_close();
	return 0;
}

#endif
