/*
 * Bulk registration: which units go into it, and what came of it.
 *
 * A unit that was staged has its certificate request in the outcome of its
 * intent STAGE. BULK_BEGIN makes an intent ISSUE for each of them, under the
 * key of the object that their parameters are uploaded as, and writes that
 * object; asked again before its end it gives the same object again, so that
 * whoever died on the way can go on. BULK_RESULT makes the outcomes: AWS's
 * report names no unit, but a certificate is for a key, and a key for a unit.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ledger/attempt.h"
#include "ledger/ledger.h"
#include "ledger/manifest.h"
#include "ledger/obligation.h"
#include "ledger/unit.h"
#include "lot/lot.h"
#include "pki/certificate.h"

enum {
	BULK_NOTE_LEN = 32,
	/* Of the input file: AWS takes lines up to 256 KB; ours are shorter. */
	BULK_LINE_MAX = 64 * 1024,
	BULK_REPORT_MAX = 512 * 1024 * 1024,
};

struct bulk {
	struct ledger *ledger;
	const struct lot_image *lot;
	uint64_t id, lot_id;
	char key[384];
	char note[BULK_NOTE_LEN];
	struct fault *fault;
};

static void
bulk_name(struct bulk *bulk, uint64_t id)
{
	bulk->id = id;
	snprintf(bulk->note, sizeof(bulk->note), "bulk %llu",
	    (unsigned long long)id);
}

/* ---- beginning ---- */

/* 1 when one of the lot has no end yet. */
static int
bulk_find_open(struct bulk *bulk)
{
	sqlite3_stmt *row;
	int there = store_row(&bulk->ledger->store,
	    "SELECT id, key FROM bulk AS b WHERE lot = ?1 AND NOT EXISTS"
	    " (SELECT 1 FROM bulk_end AS n WHERE n.bulk = b.id)"
	    " ORDER BY id LIMIT 1",
	    VALUES(value_integer((int64_t)bulk->lot_id)), &row);

	if (there != 1)
		return there;
	bulk_name(bulk, (uint64_t)sqlite3_column_int64(row, 0));
	store_text(row, 1, bulk->key, sizeof(bulk->key));
	store_done(row);
	return 1;
}

/* An intent ISSUE for one staged unit, in the attempt that staged it. */
static int
bulk_intend(struct bulk *bulk, uint64_t attempt_id, const struct digest *key)
{
	struct ledger *ledger = bulk->ledger;
	struct attempt attempt;

	if (attempt_read(&ledger->store, attempt_id, &attempt, NULL) != 1 ||
	    store_run(&ledger->store,
		"INSERT INTO intent (entry, attempt, kind, digest, note)"
		" VALUES (?1, ?2, 'issue', ?3, ?4)",
		VALUES(value_integer((int64_t)ledger->entry),
		    value_integer((int64_t)attempt_id), value_digest(key),
		    value_text(bulk->note))) != 0 ||
	    binding_intent(&ledger->store, &attempt, INTENT_ISSUE, key) != 0)
		return -1;
	return ledger_entry_add(ledger, "bulk-intent");
}

/* Every unit that is staged now and has no certificate: by its last stage. */
static int
bulk_take_units(struct bulk *bulk)
{
	struct digest key;
	sqlite3_stmt *row;
	int there;

	there = store_row(&bulk->ledger->store,
	    "SELECT max(i.entry), i.attempt, i.digest FROM unit AS u"
	    " JOIN gate AS g ON g.manifest = u.manifest AND g.bound = 1"
	    " JOIN intent AS i ON i.attempt = g.attempt AND i.kind = 'stage'"
	    " WHERE u.lot = ?1 AND u.state = 'staged' AND NOT EXISTS"
	    " (SELECT 1 FROM gate AS h JOIN outcome AS o"
	    " ON o.attempt = h.attempt AND o.kind = 'issue' AND o.done = 1"
	    " WHERE h.manifest = u.manifest AND h.bound = 1"
	    " AND o.digest = i.digest) GROUP BY u.manifest ORDER BY u.manifest",
	    VALUES(value_integer((int64_t)bulk->lot_id)), &row);
	for (; there == 1; there = store_next(&bulk->ledger->store, row)) {
		store_digest(row, 2, &key);
		if (bulk_intend(bulk, (uint64_t)sqlite3_column_int64(row, 1),
			&key) != 0) {
			store_done(row);
			return -1;
		}
	}
	return there;
}

/* 0; 1 with a fault; -1. Asked before anything is recorded. */
static int
bulk_allowed(struct bulk *bulk)
{
	struct store *store = &bulk->ledger->store;
	int64_t staged = 0, in_hand = 0;

	if (store_number(store,
		"SELECT count(*) FROM unit AS u WHERE u.lot = ?1"
		" AND u.state = 'staged' AND NOT EXISTS (SELECT 1"
		" FROM gate AS h JOIN outcome AS o ON o.attempt = h.attempt"
		" AND o.kind = 'issue' AND o.done = 1"
		" WHERE h.manifest = u.manifest AND h.bound = 1)",
		VALUES(value_integer((int64_t)bulk->lot_id)), &staged) < 0 ||
	    store_number(store,
		"SELECT count(*) FROM obligation WHERE id = ?1 AND lot = ?2",
		VALUES(value_integer((int64_t)bulk->ledger->handed),
		    value_integer((int64_t)bulk->lot_id)),
		&in_hand) < 0)
		return -1;
	if (staged == 0)
		fault_set(bulk->fault, CAUSE_BAD_REQUEST,
		    "lot %s has no staged unit that lacks its certificate",
		    bulk->lot->name);
	else if (in_hand > 0)
		fault_set(bulk->fault, CAUSE_BAD_REQUEST,
		    "a stray certificate of lot %s is being looked for; try "
		    "again in a minute",
		    bulk->lot->name);
	return staged == 0 || in_hand > 0 ? 1 : 0;
}

static int
bulk_add(struct bulk *bulk, const char *operator)
{
	struct store *store = &bulk->ledger->store;
	char when[CLOCK_TEXT_LEN];
	int64_t last = 0;
	int len;

	if (store_number(store, "SELECT max(id) FROM bulk", NULL, &last) < 0)
		return -1;
	bulk_name(bulk, (uint64_t)last + 1);
	clock_format(bulk->ledger->now_ms, when);
	/* StartThingRegistrationTask takes no colon in a key. */
	for (char *at = strchr(when, ':'); at != NULL; at = strchr(at, ':'))
		*at = '-';
	/* Unique: the station, its bulk's number, and when; no object of
	 * another intent is ever overwritten. */
	len = snprintf(bulk->key, sizeof(bulk->key), "%s%s-%s-%llu-%s.json",
	    bulk->lot->bulk.prefix, bulk->lot->name, bulk->ledger->station,
	    (unsigned long long)bulk->id, when);
	if (len < 0 || (size_t)len >= sizeof(bulk->key))
		return -1; /* each part is bounded when the lot is read */
	return store_run(store,
	    "INSERT INTO bulk (id, entry, lot, key, operator)"
	    " VALUES (?1, ?2, ?3, ?4, ?5)",
	    VALUES(value_integer((int64_t)bulk->id),
		value_integer((int64_t)bulk->ledger->entry),
		value_integer((int64_t)bulk->lot_id), value_text(bulk->key),
		value_text(operator)));
}

/* ---- the object ---- */

static int
bulk_write_line(struct bulk *bulk, int fd, const struct lot_unit *unit)
{
	struct buf line;
	int status = -1;

	buf_init(&line, BULK_LINE_MAX);
	if (lot_parameters_write(bulk->lot, unit, &line, bulk->fault) != 0)
		goto out;
	buf_add_text(&line, "\n");
	if (line.failed) {
		fault_set(bulk->fault, CAUSE_BAD_LOT,
		    "serial %s: its parameters have more than %d bytes",
		    unit->serial, BULK_LINE_MAX);
		goto out;
	}
	if (file_write_all(fd, line.data, line.len) != 0) {
		fault_set(bulk->fault, CAUSE_LEDGER_ERROR,
		    "the parameter file does not fit the memory");
		goto out;
	}
	status = 0;
out:
	buf_free(&line);
	return status;
}

/* 0; 1 with a fault; -1 database. */
static int
bulk_write_units(struct bulk *bulk, int fd, uint32_t *units)
{
	struct store *store = &bulk->ledger->store;
	char serial[SERIAL_LEN], mac[MAC_LEN], extra[EXTRA_LEN];
	char csr[CERTIFICATE_LEN];
	struct lot_unit unit = {.station = bulk->ledger->station,
	    .serial = serial,
	    .mac = mac,
	    .extra = extra,
	    .csr = csr};
	sqlite3_stmt *row;
	int there;

	*units = 0;
	there = store_row(store,
	    "SELECT m.serial, g.mac, m.extra, o.certificate FROM intent AS i"
	    " JOIN gate AS g ON g.attempt = i.attempt AND g.bound = 1"
	    " JOIN manifest AS m ON m.id = g.manifest"
	    " JOIN outcome AS o ON o.attempt = i.attempt AND o.kind = 'stage'"
	    " AND o.done = 1 AND o.digest = i.digest"
	    " WHERE i.note = ?1 AND i.kind = 'issue' GROUP BY i.entry"
	    " ORDER BY i.entry",
	    VALUES(value_text(bulk->note)), &row);
	for (; there == 1; there = store_next(store, row)) {
		store_text(row, 0, serial, sizeof(serial));
		store_text(row, 1, mac, sizeof(mac));
		store_text(row, 2, extra, sizeof(extra));
		store_text(row, 3, csr, sizeof(csr));
		if (bulk_write_line(bulk, fd, &unit) != 0) {
			store_done(row);
			return 1;
		}
		(*units)++;
	}
	return there;
}

static int
bulk_write(struct bulk *bulk, uint32_t *units)
{
	int fd = file_seal_begin("bulk", bulk->fault);
	int result;

	if (fd == -1)
		return 1;
	result = bulk_write_units(bulk, fd, units);
	if (result == 0 && file_seal_end(fd, bulk->fault) != 0)
		result = 1;
	if (result == 0)
		bulk->ledger->answer_fd = fd;
	else
		close(fd);
	return result;
}

/* 0; 1 with a fault; -1 database. */
static int
bulk_begin(
    struct bulk *bulk, const char *operator, struct message_bulk_done * done)
{
	int there = bulk_find_open(bulk);

	if (there < 0)
		return -1;
	if (there == 0) {
		there = bulk_allowed(bulk);
		if (there != 0)
			return there;
		if (bulk_add(bulk, operator) != 0 ||
		    ledger_entry_add(bulk->ledger, "bulk") != 0 ||
		    bulk_take_units(bulk) != 0)
			return -1;
	}
	done->resumed = (uint32_t)there;
	done->bulk = bulk->id;
	text_copy(done->key, sizeof(done->key), bulk->key);
	return bulk_write(bulk, &done->units);
}

int
ledger_bulk_begin(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_bulk *body = (const void *)request->body.bytes;
	struct message_bulk_done *done = answer;
	struct bulk bulk = {
	    .ledger = ledger, .lot_id = body->lot, .fault = &done->fault};
	const void *image = NULL;
	size_t len = 0;
	int result;

	if (request->fd_count < 1) {
		fault_set(&done->fault, CAUSE_INTERNAL,
		    "the bulk registration came without its lot");
		return 0;
	}
	if (file_map_sealed(request->fds[0], sizeof(struct lot_image),
		sizeof(struct lot_image), &image, &len, &done->fault) != 0)
		return 0;
	bulk.lot = image;
	result = bulk_begin(&bulk, body->operator, done);
	munmap((void *)(uintptr_t)image, len);
	return result < 0 ? -1 : 0;
}

/* ---- the end ---- */

/* The unit of a certificate is that of its key. */
static int
bulk_match(struct bulk *bulk, const char *pem, const char *arn,
    struct message_bulk_done *done)
{
	struct ledger *ledger = bulk->ledger;
	struct message_outcome *outcome;
	struct certificate certificate;
	struct attempt attempt;
	struct fault ignored;
	uint64_t intent, id;
	sqlite3_stmt *row;
	int there;

	if (certificate_parse(pem, strlen(pem), CAUSE_CLOUD_ANSWER,
		&certificate, &ignored) != 0)
		return 0;
	there = store_row(&ledger->store,
	    "SELECT i.entry, i.attempt FROM intent AS i WHERE i.note = ?1"
	    " AND i.kind = 'issue' AND i.digest = ?2 AND NOT EXISTS"
	    " (SELECT 1 FROM outcome AS o WHERE o.intent = i.entry)",
	    VALUES(value_text(bulk->note), value_digest(&certificate.spki)),
	    &row);
	if (there != 1)
		return there;
	intent = (uint64_t)sqlite3_column_int64(row, 0);
	id = (uint64_t)sqlite3_column_int64(row, 1);
	store_done(row);
	if (attempt_read(&ledger->store, id, &attempt, NULL) != 1)
		return -1;
	outcome = calloc(1, sizeof(*outcome));
	if (outcome == NULL)
		return -1;
	outcome->kind = INTENT_ISSUE;
	outcome->done = 1;
	outcome->digest = certificate.spki;
	text_copy(outcome->certificate_id, sizeof(outcome->certificate_id),
	    certificate.id);
	text_copy(outcome->certificate, sizeof(outcome->certificate), pem);
	text_copy(outcome->arn, sizeof(outcome->arn), arn);
	text_copy(
	    outcome->cloud_state, sizeof(outcome->cloud_state), "INACTIVE");
	there = outcome_record(ledger, &attempt, outcome, intent);
	free(outcome);
	if (there != 0 || ledger_entry_add(ledger, "bulk-outcome") != 0)
		return -1;
	done->issued++;
	return 0;
}

/* One line of RESULTS: {"response": {"CertificatePem", "ResourceArns"}}. */
static int
bulk_take_line(struct bulk *bulk, const char *line, size_t len,
    struct message_bulk_done *done)
{
	json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *response = json_object_get(json, "response");
	const char *pem =
	    json_string_value(json_object_get(response, "CertificatePem"));
	const char *found = "", *key;
	json_t *arns = json_object_get(response, "ResourceArns"), *arn;
	int result = 0;

	json_object_foreach (arns, key, arn)
		if (json_is_string(arn) &&
		    strstr(json_string_value(arn), ":cert/") != NULL)
			found = json_string_value(arn);
	if (pem != NULL)
		result = bulk_match(bulk, pem, found, done);
	json_decref(json);
	return result;
}

static int
bulk_take_results(struct bulk *bulk, const char *data, size_t len,
    struct message_bulk_done *done)
{
	const char *end = data + len, *line_end;
	int result = 0;

	for (; data < end && result == 0; data = line_end + 1) {
		line_end = memchr(data, '\n', (size_t)(end - data));
		if (line_end == NULL)
			line_end = end;
		if (line_end - data <= BULK_LINE_MAX)
			result = bulk_take_line(
			    bulk, data, (size_t)(line_end - data), done);
	}
	return result;
}

/*
 * Units without a certificate: AWS's documents do not say what their report
 * means for what was made, so each is looked for by its key.
 */
static int
bulk_take_rest(struct bulk *bulk, struct message_bulk_done *done)
{
	struct ledger *ledger = bulk->ledger;
	struct attempt attempt;
	sqlite3_stmt *row;
	int there;

	there = store_row(&ledger->store,
	    "SELECT i.attempt FROM intent AS i WHERE i.note = ?1"
	    " AND i.kind = 'issue' AND NOT EXISTS"
	    " (SELECT 1 FROM outcome AS o WHERE o.intent = i.entry)",
	    VALUES(value_text(bulk->note)), &row);
	for (; there == 1; there = store_next(&ledger->store, row)) {
		done->refused++;
		if (attempt_read(&ledger->store,
			(uint64_t)sqlite3_column_int64(row, 0), &attempt,
			NULL) != 1 ||
		    obligation_unanswered(ledger, &attempt) != 0) {
			store_done(row);
			return -1;
		}
	}
	return there;
}

/* The first line of ERRORS, for people; its form is not documented. */
static void
bulk_first_error(const char *data, size_t len, char *text, size_t size)
{
	const char *end = memchr(data, '\n', len);

	text_escape(text, size, data, end != NULL ? (size_t)(end - data) : len);
}

static int
bulk_end(struct bulk *bulk, const struct message *request,
    const struct message_bulk *body, struct message_bulk_done *done)
{
	const void *results = NULL, *errors = NULL;
	size_t results_len = 0, errors_len = 0;
	int result = 1;

	if (file_map_sealed(request->fds[0], 0, BULK_REPORT_MAX, &results,
		&results_len, &done->fault) != 0 ||
	    file_map_sealed(request->fds[1], 0, BULK_REPORT_MAX, &errors,
		&errors_len, &done->fault) != 0)
		goto out;
	if (errors_len > 0)
		bulk_first_error(
		    errors, errors_len, done->text, sizeof(done->text));
	result = bulk_take_results(bulk, results, results_len, done);
	if (result == 0)
		result = bulk_take_rest(bulk, done);
	if (result == 0)
		result = store_run(&bulk->ledger->store,
		    "INSERT INTO bulk_end (entry, bulk, task, status, issued,"
		    " refused) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		    VALUES(value_integer((int64_t)bulk->ledger->entry),
			value_integer((int64_t)bulk->id),
			value_text(body->task), value_text(body->status),
			value_integer(done->issued),
			value_integer(done->refused)));
out:
	if (results_len > 0)
		munmap((void *)(uintptr_t)results, results_len);
	if (errors_len > 0)
		munmap((void *)(uintptr_t)errors, errors_len);
	return result;
}

int
ledger_bulk_result(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_bulk *body = (const void *)request->body.bytes;
	struct message_bulk_done *done = answer;
	struct bulk bulk = {
	    .ledger = ledger, .lot_id = body->lot, .fault = &done->fault};
	int there = bulk_find_open(&bulk);

	if (there < 0)
		return -1;
	if (there == 0 || bulk.id != body->bulk)
		return 0; /* a resend: it has its end */
	if (request->fd_count < 2) {
		fault_set(&done->fault, CAUSE_INTERNAL,
		    "a bulk registration ended without its reports");
		return 0;
	}
	return bulk_end(&bulk, request, body, done) < 0 ? -1 : 0;
}
