/*
 * First articles: which of a lot's first passed units were seen at their
 * first connection, and what the cloud needs to look for the others.
 */
#include "base/buf.h"
#include "ledger/attempt.h"
#include "ledger/ledger.h"
#include "ledger/manifest.h"

static int
article_read(
    struct store *store, uint64_t id, struct message_articles_done *done)
{
	struct attempt attempt;
	struct step_state confirm;
	struct manifest_entry row;
	struct message_register *unit;
	int64_t sequence = 0;

	if (attempt_read(store, id, &attempt, NULL) != 1 ||
	    step_read(store, &attempt, INTENT_CONFIRM, &confirm) < 0)
		return -1;
	done->passed++;
	if (confirm.done) {
		done->confirmed++;
		return 0;
	}
	if (done->waiting_count ==
	    sizeof(done->waiting) / sizeof(done->waiting[0]))
		return 0;
	if (store_number(store,
		"SELECT max(sequence) FROM entry WHERE attempt = ?1",
		VALUES(value_integer((int64_t)id)), &sequence) < 0 ||
	    manifest_find(store, attempt.manifest, &row) != 1)
		return -1;
	unit = &done->waiting[done->waiting_count].unit;
	done->waiting[done->waiting_count].attempt = id;
	done->waiting[done->waiting_count++].next_sequence =
	    (uint32_t)sequence + 1;
	text_copy(unit->serial, sizeof(unit->serial), attempt.serial);
	text_copy(unit->thing, sizeof(unit->thing), attempt.thing);
	text_copy(unit->mac, sizeof(unit->mac), attempt.mac);
	text_copy(unit->extra, sizeof(unit->extra), row.extra);
	return 0;
}

int
ledger_articles(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_articles *body = (const void *)request->body.bytes;
	struct message_articles_done *done = answer;
	sqlite3_stmt *row;
	int there;

	there = store_row(&ledger->store,
	    "SELECT a.id FROM attempt AS a JOIN verdict AS v"
	    " ON v.attempt = a.id AND v.verdict = 'PASS' WHERE a.lot = ?1"
	    " ORDER BY v.entry LIMIT ?2",
	    VALUES(value_integer((int64_t)body->lot),
		value_integer(
		    body->count < ARTICLES_MAX ? body->count : ARTICLES_MAX)),
	    &row);
	for (; there == 1; there = store_next(&ledger->store, row)) {
		if (article_read(&ledger->store,
			(uint64_t)sqlite3_column_int64(row, 0), done) != 0) {
			store_done(row);
			return -1;
		}
	}
	return there;
}
