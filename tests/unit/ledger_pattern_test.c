/* What each pattern demands, how it recovers, and what it leaves behind. */
#include "ledger_fixture.h"

#include <sys/mman.h>

#include "pki_make.h"

#include "ledger/unit.h"
#include "pki/certificate.h"

static uint64_t
begin_gated(struct fixture *fixture, const struct fixture_lot *lot, uint64_t id,
    uint32_t row)
{
	char mac[MAC_LEN];
	uint64_t attempt = fixture_begin(fixture, id, "1");

	assert_int_equal(fixture_gate(fixture, attempt, "",
			     fixture_mac(mac, lot->name, row)),
	    CAUSE_NONE);
	return attempt;
}

/* ---- the plan of every pattern is what a PASS demands ---- */

static const struct fixture_lot lots[] = {
    {.name = "CF", .pattern = PATTERN_CLAIM, .ending = ENDING_FIELD},
    {.name = "CB", .pattern = PATTERN_CLAIM, .ending = ENDING_BENCH},
    {.name = "CE",
	.pattern = PATTERN_CLAIM,
	.ending = ENDING_BENCH,
	.erases = true},
    {.name = "CP", .pattern = PATTERN_CLAIM, .ending = ENDING_PROXY},
    {.name = "TB", .pattern = PATTERN_TRUSTED_USER, .ending = ENDING_BENCH},
    {.name = "TP", .pattern = PATTERN_TRUSTED_USER, .ending = ENDING_PROXY},
    {.name = "CS", .pattern = PATTERN_CSR},
    {.name = "RC", .pattern = PATTERN_REGISTER_THING, .form = FORM_CSR},
    {.name = "RA",
	.pattern = PATTERN_REGISTER_THING,
	.form = FORM_CSR,
	.at_issue = true},
    {.name = "RI", .pattern = PATTERN_REGISTER_THING, .form = FORM_ID},
    {.name = "RP", .pattern = PATTERN_REGISTER_THING, .form = FORM_PEM},
    {.name = "RB", .pattern = PATTERN_READBACK},
    {.name = "JX", .pattern = PATTERN_JITP, .ending = ENDING_FIELD},
    {.name = "JB", .pattern = PATTERN_JITP, .ending = ENDING_BENCH},
    {.name = "JR", .pattern = PATTERN_JITR, .ending = ENDING_BENCH},
};
enum {
	LOTS = sizeof(lots) / sizeof(lots[0])
};

static const enum intent_kind order[] = {INTENT_INJECT, INTENT_PREREGISTER,
    INTENT_ISSUE, INTENT_BIND, INTENT_WRITE, INTENT_ACTIVATE, INTENT_CONFIRM,
    INTENT_ERASE};
enum {
	ORDER = sizeof(order) / sizeof(order[0])
};

static struct fixture_lot
lot_of(size_t i)
{
	struct fixture_lot lot = lots[i];

	lot.serial_from = SERIAL_FROM_MAC;
	lot.rows = 8;
	return lot;
}

static uint32_t
steps_of(const struct fixture_lot *lot)
{
	struct lot_image *image = malloc(sizeof(*image));
	uint32_t steps;

	assert_non_null(image);
	fixture_image_fill(lot, image);
	steps = image->steps;
	free(image);
	return steps;
}

static void
take_step(struct fixture *fixture, uint64_t attempt, enum intent_kind kind)
{
	char key[32];

	if (kind == INTENT_INJECT)
		assert_int_equal(
		    fixture_intend(fixture, attempt, INTENT_HANDOUT),
		    CAUSE_NONE);
	(void)snprintf(
	    key, sizeof(key), "key %llu", (unsigned long long)attempt);
	fixture_step(fixture, attempt, kind, kind == INTENT_ISSUE ? key : "");
}

/* With one step left out there is no PASS; with all there is. */
static void
test_demands(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot;
	uint64_t id, attempt;
	uint32_t steps, row;
	size_t i, left_out, k;

	for (i = 0; i < LOTS; i++) {
		lot = lot_of(i);
		lot.rows = ORDER + 1;
		steps = steps_of(&lot);
		assert_int_not_equal(steps, 0);
		id = fixture_open_lot(fixture, &lot);
		for (left_out = 0, row = 0; left_out <= ORDER; left_out++) {
			if (left_out < ORDER &&
			    (steps & PLAN_STEP(order[left_out])) == 0)
				continue;
			attempt = begin_gated(fixture, &lot, id, row++);
			for (k = 0; k < ORDER && k < left_out; k++)
				if ((steps & PLAN_STEP(order[k])) != 0)
					take_step(fixture, attempt, order[k]);
			assert_int_equal(fixture_judge(fixture, attempt,
					     VERDICT_PASS, CAUSE_NONE),
			    left_out < ORDER ? CAUSE_INTERNAL : CAUSE_NONE);
		}
		assert_int_equal(fixture_counts(fixture, id)->passed, 1);
	}
}

/* A step of another pattern is refused. */
static void
test_foreign_steps(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot;
	uint64_t id, attempt;
	uint32_t steps;
	size_t i, k;

	for (i = 0; i < LOTS; i++) {
		lot = lot_of(i);
		steps = steps_of(&lot);
		id = fixture_open_lot(fixture, &lot);
		attempt = begin_gated(fixture, &lot, id, 0);
		for (k = 0; k < ORDER; k++)
			if ((steps & PLAN_STEP(order[k])) == 0)
				assert_int_equal(
				    fixture_intend(fixture, attempt, order[k]),
				    CAUSE_INTERNAL);
		assert_int_equal(fixture_intend(fixture, attempt, INTENT_STAGE),
		    CAUSE_INTERNAL);
	}
}

/* ---- recovery: the slot dies behind every step ---- */

static bool
slots_own(enum intent_kind kind)
{
	return kind == INTENT_INJECT || kind == INTENT_WRITE ||
	       kind == INTENT_ERASE;
}

static bool
slots_step_is_left(uint32_t steps, size_t from)
{
	for (; from < ORDER; from++)
		if ((steps & PLAN_STEP(order[from])) != 0 &&
		    slots_own(order[from]))
			return true;
	return false;
}

static enum resolve_action
action_of(enum intent_kind kind)
{
	switch (kind) {
	case INTENT_PREREGISTER:
		return RESOLVE_PREREGISTER;
	case INTENT_BIND:
		return RESOLVE_BIND;
	case INTENT_ACTIVATE:
		return RESOLVE_ACTIVATE;
	case INTENT_CONFIRM:
		return RESOLVE_CONFIRM;
	default:
		return RESOLVE_CLOSE;
	}
}

/*
 * While the unit still lacks something the attempt is closed; when only the
 * cloud's part is left, that is done without the unit.
 */
static void
test_recovery(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot;
	enum resolve_action action, wanted;
	uint64_t id, attempt;
	uint32_t steps, row;
	size_t i, k, done;

	for (i = 0; i < LOTS; i++) {
		lot = lot_of(i);
		steps = steps_of(&lot);
		id = fixture_open_lot(fixture, &lot);
		for (done = 0, row = 0; done <= ORDER; done++) {
			if (done < ORDER &&
			    (steps & PLAN_STEP(order[done])) == 0)
				continue;
			attempt = begin_gated(fixture, &lot, id, row++);
			for (k = 0; k < done; k++)
				if ((steps & PLAN_STEP(order[k])) != 0)
					take_step(fixture, attempt, order[k]);
			wanted = done == ORDER ? RESOLVE_PASS
				 : slots_step_is_left(steps, done)
				     ? RESOLVE_CLOSE
				     : action_of(order[done]);
			/* Nobody has begun to wait for it. */
			if (done < ORDER && order[done] == INTENT_CONFIRM)
				wanted = RESOLVE_CLOSE;
			action = fixture_resolve(fixture, attempt);
			if (action != wanted)
				print_error(
				    "lot %s, %zu steps done\n", lot.name, done);
			assert_int_equal(action, wanted);
		}
	}
}

/* A write whose end nobody knows waits for its unit. */
static void
test_recovery_waits(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot;
	uint64_t id, attempt;
	uint32_t steps, row;
	size_t i, k, at;

	for (i = 0; i < LOTS; i++) {
		lot = lot_of(i);
		steps = steps_of(&lot);
		id = fixture_open_lot(fixture, &lot);
		for (at = 0, row = 0; at < ORDER; at++) {
			if ((steps & PLAN_STEP(order[at])) == 0 ||
			    !slots_own(order[at]))
				continue;
			attempt = begin_gated(fixture, &lot, id, row++);
			for (k = 0; k < at; k++)
				if ((steps & PLAN_STEP(order[k])) != 0)
					take_step(fixture, attempt, order[k]);
			if (order[at] == INTENT_INJECT)
				assert_int_equal(fixture_intend(fixture,
						     attempt, INTENT_HANDOUT),
				    CAUSE_NONE);
			assert_int_equal(
			    fixture_intend(fixture, attempt, order[at]),
			    CAUSE_NONE);
			assert_int_equal(
			    fixture_resolve(fixture, attempt), RESOLVE_CLOSE);
			assert_int_equal(
			    fixture->answer.body.resolve.verdict.fault.cause,
			    CAUSE_WAIT_UNIT);
		}
	}
}

/* A wait for the first connection that was begun is begun again. */
static void
test_recovery_confirm(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot = lot_of(1);
	uint64_t id = fixture_open_lot(fixture, &lot);
	uint64_t attempt = begin_gated(fixture, &lot, id, 0);

	take_step(fixture, attempt, INTENT_INJECT);
	take_step(fixture, attempt, INTENT_PREREGISTER);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_CONFIRM), CAUSE_NONE);
	assert_int_equal(fixture_resolve(fixture, attempt), RESOLVE_CONFIRM);
}

/* ---- what is left behind ---- */

static struct message_obligation_done *
next_obligation(struct fixture *fixture)
{
	struct message_obligation body = {.close = 0};

	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_OBLIGATION, 0, &body, sizeof(body)),
	    CAUSE_NONE);
	return &fixture->answer.body.obligation;
}

/* What the lot's CA signed is revoked with its bytes; the next one is new. */
static void
test_rejected_revoked(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot = lot_of(12);
	uint64_t id = fixture_open_lot(fixture, &lot);
	uint64_t attempt = begin_gated(fixture, &lot, id, 0);
	const struct message_obligation_done *done;

	fixture_step(fixture, attempt, INTENT_ISSUE, "k");
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_FAIL,
			     CAUSE_READBACK_MISMATCH),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, id)->obligations, 1);
	done = next_obligation(fixture);
	assert_int_not_equal(done->obligation, 0);
	assert_string_equal(done->discard.revoke, "PEM");
	assert_memory_equal(done->discard.certificate_id, "cert-", 5);

	attempt = begin_gated(fixture, &lot, id, 0);
	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k"),
	    CAUSE_NONE);
	assert_string_equal(fixture->answer.body.intent.known_id, "");
}

/* A request that the vault never answered left nothing anywhere. */
static void
test_signed_unanswered(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot = lot_of(12);
	uint64_t id = fixture_open_lot(fixture, &lot);
	uint64_t attempt = begin_gated(fixture, &lot, id, 0);

	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k"),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_ERROR, CAUSE_VAULT_ERROR),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, id)->obligations, 0);
}

/* What a template made ACTIVE at once does not stay with a failed unit. */
static void
test_active_at_issue(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot = lot_of(8);
	uint64_t id = fixture_open_lot(fixture, &lot);
	uint64_t attempt = begin_gated(fixture, &lot, id, 0);

	fixture_step(fixture, attempt, INTENT_ISSUE, "k");
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_FAIL, CAUSE_CONSOLE_ERROR),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, id)->obligations, 1);
	assert_string_equal(next_obligation(fixture)->discard.revoke, "");
}

static void
confirm(struct fixture *fixture, uint64_t attempt, const char *certificate,
    const char *other)
{
	struct message_outcome *body = calloc(1, sizeof(*body));

	assert_non_null(body);
	assert_int_equal(
	    fixture_intend(fixture, attempt, INTENT_CONFIRM), CAUSE_NONE);
	body->kind = INTENT_CONFIRM;
	body->done = 1;
	text_copy(body->certificate_id, CERTIFICATE_ID_LEN, certificate);
	text_copy(body->others[0], CERTIFICATE_ID_LEN, other);
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_OUTCOME, attempt, body, sizeof(*body)),
	    CAUSE_NONE);
	free(body);
}

/* A unit that provisioned itself twice keeps the newer certificate only. */
static void
test_confirm_others(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot = lot_of(1);
	uint64_t id = fixture_open_lot(fixture, &lot);
	uint64_t attempt = begin_gated(fixture, &lot, id, 0);

	take_step(fixture, attempt, INTENT_INJECT);
	take_step(fixture, attempt, INTENT_PREREGISTER);
	confirm(fixture, attempt, "cert-new", "cert-old");
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, id)->obligations, 1);
	assert_string_equal(
	    next_obligation(fixture)->discard.certificate_id, "cert-old");
	assert_string_equal(
	    fixture->answer.body.obligation.discard.keep_id, "cert-new");
}

/* A unit that fails when it has connected loses what it got. */
static void
test_confirmed_rejected(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot = lot_of(2);
	uint64_t id = fixture_open_lot(fixture, &lot);
	uint64_t attempt = begin_gated(fixture, &lot, id, 0);

	take_step(fixture, attempt, INTENT_INJECT);
	take_step(fixture, attempt, INTENT_PREREGISTER);
	confirm(fixture, attempt, "cert-new", "");
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_FAIL,
			     CAUSE_READBACK_MISMATCH),
	    CAUSE_NONE);
	assert_string_equal(
	    next_obligation(fixture)->discard.certificate_id, "cert-new");
}

/* A unit whose claim ran out cannot be saved. */
static void
test_claim_expired(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot = lot_of(4);
	uint64_t id = fixture_open_lot(fixture, &lot);
	uint64_t attempt = begin_gated(fixture, &lot, id, 0);
	char mac[MAC_LEN];

	take_step(fixture, attempt, INTENT_INJECT);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_FAIL, CAUSE_CLAIM_EXPIRED),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, id)->quarantined, 1);
	attempt = fixture_begin(fixture, id, "1");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, lot.name, 0)),
	    CAUSE_QUARANTINED);
}

/* Keys that AWS makes are not known before: two units may ask for one. */
static void
test_keys_by_cloud(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot = lot_of(3);
	uint64_t id = fixture_open_lot(fixture, &lot);
	struct message_intent body = {.kind = INTENT_ISSUE};
	uint32_t row;
	uint64_t attempt;

	for (row = 0; row < 2; row++) {
		attempt = begin_gated(fixture, &lot, id, row);
		take_step(fixture, attempt, INTENT_PREREGISTER);
		assert_int_equal(fixture_ask(fixture, MESSAGE_INTENT, attempt,
				     &body, sizeof(body)),
		    CAUSE_NONE);
		assert_int_equal(fixture_judge(fixture, attempt, VERDICT_ERROR,
				     CAUSE_CLOUD_UNSURE),
		    CAUSE_NONE);
	}
	/* AWS deletes what nobody provisions with. */
	assert_int_equal(fixture_counts(fixture, id)->obligations, 0);
}

/* ---- first articles ---- */

static void
test_articles(void **state)
{
	struct fixture *fixture = *state;
	struct fixture_lot lot = lot_of(0);
	uint64_t id = fixture_open_lot(fixture, &lot), attempt[3];
	struct message_articles body = {.lot = id, .count = 2};
	const struct message_articles_done *done =
	    &fixture->answer.body.articles;
	uint32_t row;

	for (row = 0; row < 3; row++) {
		attempt[row] = begin_gated(fixture, &lot, id, row);
		take_step(fixture, attempt[row], INTENT_INJECT);
		take_step(fixture, attempt[row], INTENT_PREREGISTER);
		/* Not before it has passed. */
		assert_int_equal(
		    fixture_intend(fixture, attempt[row], INTENT_CONFIRM),
		    CAUSE_INTERNAL);
		assert_int_equal(fixture_judge(fixture, attempt[row],
				     VERDICT_PASS, CAUSE_NONE),
		    CAUSE_NONE);
	}
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_ARTICLES, 0, &body, sizeof(body)),
	    CAUSE_NONE);
	assert_int_equal(done->passed, 2);
	assert_int_equal(done->confirmed, 0);
	assert_int_equal(done->waiting_count, 2);
	assert_int_equal(done->waiting[0].attempt, attempt[0]);
	confirm(fixture, attempt[0], "cert-field", "");
	assert_int_equal(
	    fixture_ask(fixture, MESSAGE_ARTICLES, 0, &body, sizeof(body)),
	    CAUSE_NONE);
	assert_int_equal(done->confirmed, 1);
	assert_int_equal(done->waiting_count, 1);
	assert_int_equal(done->waiting[0].attempt, attempt[1]);
}

/* ---- bulk ---- */

enum {
	BULK_UNITS = 3
};
static const struct fixture_lot bulk = {.name = "BULK",
    .pattern = PATTERN_BULK,
    .serial_from = SERIAL_FROM_MAC,
    .rows = BULK_UNITS};

/* Stages a row with a request for that key. */
static uint64_t
stage(struct fixture *fixture, uint64_t id, uint32_t row,
    const struct digest *key)
{
	struct message_intent intent = {.kind = INTENT_STAGE, .digest = *key};
	struct message_outcome *outcome = calloc(1, sizeof(*outcome));
	uint64_t attempt = begin_gated(fixture, &bulk, id, row);

	assert_non_null(outcome);
	fixture_step(fixture, attempt, INTENT_FLASH, "");
	/* Not staged before its request is there. */
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_STAGED, CAUSE_STAGED),
	    CAUSE_INTERNAL);
	assert_int_equal(fixture_ask(fixture, MESSAGE_INTENT, attempt, &intent,
			     sizeof(intent)),
	    CAUSE_NONE);
	outcome->kind = INTENT_STAGE;
	outcome->done = 1;
	outcome->digest = *key;
	(void)snprintf(outcome->certificate, CERTIFICATE_LEN, "CSR of %u", row);
	assert_int_equal(fixture_ask(fixture, MESSAGE_OUTCOME, attempt, outcome,
			     sizeof(*outcome)),
	    CAUSE_NONE);
	free(outcome);
	assert_int_equal(fixture_resolve(fixture, attempt), RESOLVE_CLOSE);
	assert_int_equal(
	    fixture->answer.body.resolve.verdict.verdict, VERDICT_STAGED);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_STAGED, CAUSE_STAGED),
	    CAUSE_NONE);
	return attempt;
}

static int
bulk_image(void)
{
	struct lot_image *image = malloc(sizeof(*image));
	int fd;

	assert_non_null(image);
	fixture_image_fill(&bulk, image);
	text_copy(image->bulk.prefix, sizeof(image->bulk.prefix), "lots/");
	image->parameter_count = 2;
	text_copy(image->parameters[0].name, THING_LEN, "SerialNumber");
	text_copy(image->parameters[0].rule, PARAMETER_RULE_LEN, "${serial}");
	text_copy(image->parameters[1].name, THING_LEN, "CSR");
	text_copy(image->parameters[1].rule, PARAMETER_RULE_LEN, "${csr}");
	fd = file_seal("lot", image, sizeof(*image), NULL);
	free(image);
	return fd;
}

/* The parameter file's text, owned; null with the cause. */
static char *
bulk_begin(struct fixture *fixture, uint64_t id, enum fault_cause *cause)
{
	struct message *message = calloc(1, sizeof(*message));
	struct message_bulk *body;
	const void *data = NULL;
	char *text = NULL;
	size_t len = 0;

	assert_non_null(message);
	body = (void *)message->body.bytes;
	message->header.type = MESSAGE_BULK_BEGIN;
	body->lot = id;
	text_copy(body->operator, sizeof(body->operator), "ann");
	message->len = sizeof(*body);
	message->fds[0] = bulk_image();
	message->fd_count = 1;
	(void)fixture_send(fixture, message);
	close(message->fds[0]);
	free(message);
	*cause = fixture->answer.body.fault.cause;
	if (fixture->answer.fd == -1)
		return NULL;
	assert_int_equal(
	    file_map_sealed(fixture->answer.fd, 1, 1 << 20, &data, &len, NULL),
	    0);
	text = strndup(data, len);
	munmap((void *)(uintptr_t)data, len);
	close(fixture->answer.fd);
	return text;
}

static enum fault_cause
bulk_result(struct fixture *fixture, uint64_t id, uint64_t which,
    const char *results, const char *errors)
{
	struct message *message = calloc(1, sizeof(*message));
	struct message_bulk *body;

	assert_non_null(message);
	body = (void *)message->body.bytes;
	message->header.type = MESSAGE_BULK_RESULT;
	body->lot = id;
	body->bulk = which;
	text_copy(body->task, sizeof(body->task), "task-1");
	text_copy(body->status, sizeof(body->status), "Completed");
	message->len = sizeof(*body);
	message->fds[0] = file_seal("r", results, strlen(results), NULL);
	message->fds[1] = file_seal("e", errors, strlen(errors), NULL);
	message->fd_count = 2;
	(void)fixture_send(fixture, message);
	close(message->fds[0]);
	close(message->fds[1]);
	free(message);
	return fixture->answer.body.fault.cause;
}

struct pki_pair {
	char certificate[PEM_MAX];
	struct digest spki;
};

static void
pki_pair_make(struct pki_pair *pair)
{
	EVP_PKEY *key = make_key("P-256", 0);
	struct certificate parsed;
	struct fault fault;

	make_certificate(key, "unit", false, -60, 3600, pair->certificate);
	assert_int_equal(
	    certificate_parse(pair->certificate, strlen(pair->certificate),
		CAUSE_INTERNAL, &parsed, &fault),
	    0);
	pair->spki = parsed.spki;
	EVP_PKEY_free(key);
}

/* A certificate in AWS's report, as JSON keeps its line ends. */
static void
result_add(struct buf *results, const char *pem)
{
	buf_add_text(results, "{\"response\":{\"CertificatePem\":\"");
	for (; *pem != '\0'; pem++)
		if (*pem == '\n')
			buf_add_text(results, "\\n");
		else
			buf_add(results, pem, 1);
	buf_add_text(results,
	    "\",\"ResourceArns\":{\"certificate\":"
	    "\"arn:aws:iot:eu-west-1:123456789012:cert/x\"}}}\n");
}

static void
test_bulk(void **state)
{
	struct fixture *fixture = *state;
	uint64_t id = fixture_open_lot(fixture, &bulk), which, attempt;
	static struct pki_pair pairs[BULK_UNITS];
	struct message_bulk_done *done = &fixture->answer.body.bulk;
	enum fault_cause cause;
	char mac[MAC_LEN], *text, *again;
	struct buf results;
	uint32_t row;

	free(bulk_begin(fixture, id, &cause));
	assert_int_equal(cause, CAUSE_BAD_REQUEST);
	for (row = 0; row < BULK_UNITS; row++) {
		pki_pair_make(&pairs[row]);
		(void)stage(fixture, id, row, &pairs[row].spki);
	}
	assert_int_equal(fixture_counts(fixture, id)->staged, BULK_UNITS);
	/* Staged and not registered: not yet. */
	attempt = fixture_begin(fixture, id, "1");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "BULK", 0)),
	    CAUSE_NOT_REGISTERED);
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_REFUSED,
			     CAUSE_NOT_REGISTERED),
	    CAUSE_NONE);

	text = bulk_begin(fixture, id, &cause);
	assert_int_equal(cause, CAUSE_NONE);
	assert_int_equal(done->units, BULK_UNITS);
	assert_int_equal(done->resumed, 0);
	which = done->bulk;
	assert_memory_equal(done->key, "lots/BULK-", 10);
	assert_non_null(strstr(text, "\"BULK-0000001\""));
	assert_non_null(strstr(text, "\"CSR of 2\""));
	/* Asked again before its end: the same, byte for byte. */
	again = bulk_begin(fixture, id, &cause);
	assert_int_equal(done->resumed, 1);
	assert_int_equal(done->bulk, which);
	assert_string_equal(text, again);
	free(text);
	free(again);

	/* Two of three have their certificates. */
	buf_init(&results, 1 << 20);
	result_add(&results, pairs[1].certificate);
	result_add(&results, pairs[0].certificate);
	buf_add_text(&results, "not JSON at all\n");
	assert_int_equal(bulk_result(fixture, id, which, results.data,
			     "{\"error\":\"no\"}\n"),
	    CAUSE_NONE);
	assert_int_equal(done->issued, 2);
	assert_int_equal(done->refused, 1);
	assert_string_equal(done->text, "{\"error\":\"no\"}");
	buf_free(&results);
	assert_int_equal(fixture_counts(fixture, id)->obligations, 1);

	/* The second visit: known by its key, nothing is issued again. */
	attempt = fixture_begin(fixture, id, "1");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "BULK", 0)),
	    CAUSE_NONE);
	assert_int_equal(fixture->answer.body.gate.issued, 1);
	{
		struct message_intent intent = {
		    .kind = INTENT_ISSUE, .digest = pairs[0].spki};

		assert_int_equal(fixture_ask(fixture, MESSAGE_INTENT, attempt,
				     &intent, sizeof(intent)),
		    CAUSE_NONE);
	}
	assert_string_equal(fixture->answer.body.intent.known_certificate,
	    pairs[0].certificate);
	assert_int_equal(
	    fixture_outcome(fixture, attempt, INTENT_ISSUE), CAUSE_NONE);
	fixture_step(fixture, attempt, INTENT_WRITE, "");
	fixture_step(fixture, attempt, INTENT_ACTIVATE, "");
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_PASS, CAUSE_NONE),
	    CAUSE_NONE);
	assert_int_equal(fixture_counts(fixture, id)->passed, 1);
	assert_int_equal(fixture_counts(fixture, id)->staged, 2);

	/* The one that was refused goes into the next one. */
	free(bulk_begin(fixture, id, &cause));
	assert_int_equal(cause, CAUSE_NONE);
	assert_int_equal(done->resumed, 0);
	assert_int_equal(done->units, 1);
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_demands),
	    TEST(test_foreign_steps),
	    TEST(test_recovery),
	    TEST(test_recovery_waits),
	    TEST(test_recovery_confirm),
	    TEST(test_rejected_revoked),
	    TEST(test_signed_unanswered),
	    TEST(test_active_at_issue),
	    TEST(test_confirm_others),
	    TEST(test_confirmed_rejected),
	    TEST(test_claim_expired),
	    TEST(test_keys_by_cloud),
	    TEST(test_articles),
	    TEST(test_bulk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
