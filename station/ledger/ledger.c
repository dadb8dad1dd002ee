#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ledger/answer.h"
#include "ledger/schema.h"
#include "lot/lot.h"

/* When a request leaves an entry. */
enum request_entry {
	ENTRY_NEVER,
	ENTRY_CARRIED_OUT, /* if it has no fault */
	ENTRY_ALWAYS,	   /* with its answer, under (attempt, sequence) */
};

static const struct request {
	uint16_t type;
	enum request_entry entry;
	const char *kind; /* as stored */
	size_t answer_len;
	int (*handle)(struct ledger *, const struct message *, void *answer);
} requests[] = {
    {MESSAGE_LOT_OPEN, ENTRY_CARRIED_OUT, "lot-open",
	sizeof(struct message_lot_open_done), ledger_open_lot},
    {MESSAGE_LOT_CLOSE, ENTRY_CARRIED_OUT, "lot-close",
	sizeof(struct message_counts_done), ledger_close_lot},
    {MESSAGE_LOT_LIST, ENTRY_NEVER, "lot-list",
	sizeof(struct message_lot_list_done), ledger_list_lots},
    {MESSAGE_COUNTS, ENTRY_NEVER, "counts", sizeof(struct message_counts_done),
	ledger_count_lot},
    {MESSAGE_BEGIN, ENTRY_CARRIED_OUT, "begin",
	sizeof(struct message_begin_done), ledger_begin_attempt},
    {MESSAGE_GATE, ENTRY_ALWAYS, "gate", sizeof(struct message_gate_done),
	ledger_gate},
    {MESSAGE_INTENT, ENTRY_ALWAYS, "intent", sizeof(struct message_intent_done),
	ledger_intend},
    {MESSAGE_OUTCOME, ENTRY_ALWAYS, "outcome", sizeof(struct message_done),
	ledger_outcome},
    {MESSAGE_VERDICT, ENTRY_ALWAYS, "verdict",
	sizeof(struct message_verdict_done), ledger_judge},
    {MESSAGE_RESOLVE, ENTRY_NEVER, "resolve",
	sizeof(struct message_resolve_done), ledger_resolve},
    {MESSAGE_DISPOSE, ENTRY_CARRIED_OUT, "dispose", sizeof(struct message_done),
	ledger_dispose},
    {MESSAGE_OBLIGATION, ENTRY_CARRIED_OUT, "obligation",
	sizeof(struct message_obligation_done), ledger_oblige},
    {MESSAGE_ARTICLES, ENTRY_NEVER, "articles",
	sizeof(struct message_articles_done), ledger_articles},
    {MESSAGE_BULK_BEGIN, ENTRY_CARRIED_OUT, "bulk-begin",
	sizeof(struct message_bulk_done), ledger_bulk_begin},
    {MESSAGE_BULK_RESULT, ENTRY_CARRIED_OUT, "bulk-result",
	sizeof(struct message_bulk_done), ledger_bulk_result},
};

static const struct request *
request_find(uint16_t type)
{
	size_t i;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].type == type)
			return &requests[i];
	return NULL;
}

/* ---- opening ---- */

/*
 * Entries are numbered by the one process that writes. A second stationd on
 * the same ledger must stop here and not at its first record.
 */
static int
ledger_lock(const char *path, struct fault *fault)
{
	char name[STORE_PATH_LEN + 8], folder[STORE_PATH_LEN];
	int fd;

	if (text_copy(folder, sizeof(folder), path) != 0)
		return fault_set(
		    fault, CAUSE_LEDGER_ERROR, "the ledger's path is too long");
	if (file_make_folders(dirname(folder), 0750, fault) != 0)
		return -1;
	snprintf(name, sizeof(name), "%s.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd == -1)
		return fault_set_errno(
		    fault, CAUSE_LEDGER_ERROR, errno, "%s", name);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		return fault_set(fault, CAUSE_LEDGER_ERROR,
		    "%s is in use by another stationd", path);
	}
	return fd;
}

struct ledger *
ledger_open(const char *path, const char *station, struct fault *fault)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (ledger == NULL) {
		fault_set(fault, CAUSE_LEDGER_ERROR, "out of memory");
		return NULL;
	}
	text_copy(ledger->station, sizeof(ledger->station), station);
	ledger->lock = ledger_lock(path, fault);
	ledger->image = calloc(1, sizeof(*ledger->image));
	if (ledger->lock == -1)
		goto fail;
	if (ledger->image == NULL) {
		fault_set(fault, CAUSE_LEDGER_ERROR, "out of memory");
		goto fail;
	}
	if (store_open(&ledger->store, path, fault) != 0 ||
	    schema_open(&ledger->store, false, fault) != 0)
		goto fail;
	return ledger;
fail:
	ledger_close(ledger);
	return NULL;
}

void
ledger_close(struct ledger *ledger)
{
	if (ledger == NULL)
		return;
	store_close(&ledger->store);
	if (ledger->lock != -1)
		close(ledger->lock);
	free(ledger->image);
	free(ledger);
}

/* ---- transactions ---- */

int
ledger_begin(struct ledger *ledger)
{
	int64_t last = 0;

	if (store_begin(&ledger->store) != 0)
		return -1;
	if (store_number(
		&ledger->store, "SELECT max(id) FROM entry", NULL, &last) < 0) {
		ledger_rollback(ledger);
		return -1;
	}
	ledger->last_entry = (uint64_t)last;
	return 0;
}

int
ledger_commit(struct ledger *ledger)
{
	if (store_commit(&ledger->store) == 0)
		return 0;
	ledger_rollback(ledger);
	return -1;
}

void
ledger_rollback(struct ledger *ledger)
{
	store_rollback(&ledger->store);
	/* They may have moved past rows that are free again. */
	memset(ledger->cursors, 0, sizeof(ledger->cursors));
	ledger->handed = 0;
}

void
ledger_refuse(const struct message_header *header, const struct fault *fault,
    struct ledger_answer *answer)
{
	const struct request *request = request_find(header->type);

	memset(answer, 0, sizeof(*answer));
	answer->header = *header;
	answer->header.type = (uint16_t)(header->type + 1);
	answer->fd = -1;
	answer->len =
	    request != NULL ? request->answer_len : sizeof(struct message_done);
	answer->body.fault = *fault;
}

int
ledger_entry_add(struct ledger *ledger, const char *kind)
{
	if (store_run(&ledger->store,
		"INSERT INTO entry (id, at, kind, attempt, sequence, answer)"
		" VALUES (?1, ?2, ?3, NULL, NULL, ?4)",
		VALUES(value_integer((int64_t)ledger->entry),
		    value_integer(ledger->now_ms), value_text(kind),
		    value_blob("", 0))) != 0)
		return -1;
	ledger->last_entry = ledger->entry++;
	return 0;
}

/* ---- requests ---- */

static int
request_record(struct ledger *ledger, const struct request *request,
    const struct message *message, const struct ledger_answer *answer)
{
	const struct message_obligation *poll =
	    (const void *)message->body.bytes;

	if (request->entry == ENTRY_NEVER)
		return 0;
	if (request->entry == ENTRY_CARRIED_OUT &&
	    answer->body.fault.cause != CAUSE_NONE)
		return 0;
	if (request->type == MESSAGE_OBLIGATION && poll->close == 0)
		return 0;
	if (answer_record(ledger, &message->header, request->kind, answer) != 0)
		return -1;
	ledger->last_entry = ledger->entry;
	return 0;
}

static int
request_carry_out(struct ledger *ledger, const struct request *request,
    const struct message *message, struct ledger_answer *answer)
{
	int found = 0;

	if (store_mark(&ledger->store) != 0)
		return -1;
	ledger->now_ms = clock_wall_ms();
	ledger->entry = ledger->last_entry + 1;
	ledger->answer_fd = -1;
	if (request->entry == ENTRY_ALWAYS)
		found = answer_find(
		    ledger, &message->header, request->kind, answer);
	if (found < 0)
		return -1;
	if (found == 0 &&
	    (request->handle(ledger, message, &answer->body) != 0 ||
		request_record(ledger, request, message, answer) != 0))
		return -1;
	answer->fd = ledger->answer_fd;
	ledger->answer_fd = -1;
	return store_mark_keep(&ledger->store);
}

int
ledger_handle(struct ledger *ledger, const struct message *message,
    struct ledger_answer *answer)
{
	const struct request *request = request_find(message->header.type);
	struct fault fault;

	fault_clear(&fault);
	ledger_refuse(&message->header, &fault, answer);
	if (request == NULL ||
	    (request->entry == ENTRY_ALWAYS && message->header.attempt == 0)) {
		fault_set(&answer->body.fault, CAUSE_INTERNAL,
		    "message %u is no request to the ledger",
		    message->header.type);
		return 0;
	}
	/* Attempt 0 asks for no answer to be kept. */
	if (request_carry_out(ledger, request, message, answer) == 0)
		return 0;
	if (ledger->answer_fd != -1)
		close(ledger->answer_fd);
	store_fault(&ledger->store, &fault);
	ledger_refuse(&message->header, &fault, answer);
	return store_mark_undo(&ledger->store);
}

int
ledger_ready(struct ledger *ledger, struct message_ledger_ready *ready)
{
	struct store *store = &ledger->store;
	sqlite3_stmt *row;
	int64_t lots = 0;
	int there;

	memset(ready, 0, sizeof(*ready));
	if (store_number(store,
		"SELECT count(*) FROM lot WHERE (SELECT open FROM opening"
		" WHERE lot = lot.id ORDER BY entry DESC LIMIT 1) = 1",
		NULL, &lots) < 0)
		return store_fault(store, &ready->fault);
	ready->lots = (uint32_t)lots;
	there = store_row(store,
	    "SELECT id FROM attempt AS a WHERE NOT EXISTS"
	    " (SELECT 1 FROM verdict AS v WHERE v.attempt = a.id)"
	    " ORDER BY id",
	    NULL, &row);
	for (; there == 1; there = store_next(store, row)) {
		if (ready->attempts == READY_ATTEMPTS_MAX) {
			store_done(row);
			return 0;
		}
		ready->attempt[ready->attempts++] =
		    (uint64_t)sqlite3_column_int64(row, 0);
	}
	return there < 0 ? store_fault(store, &ready->fault) : 0;
}
