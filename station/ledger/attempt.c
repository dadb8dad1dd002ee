#include "ledger/attempt.h"

#include <string.h>

#include "base/buf.h"
#include "lot/plan.h"

static const char *const serial_source_names[] = {
    [SERIAL_FROM_DEVICE] = "device",
    [SERIAL_FROM_MAC] = "mac",
    [SERIAL_FROM_SCAN] = "scan",
    [SERIAL_FROM_NEXT] = "next",
};

const char *
serial_source_name(enum serial_source source)
{
	return serial_source_names[source];
}

static enum serial_source
serial_source_by_name(const char *name)
{
	int source;

	for (source = SERIAL_FROM_NEXT; source > SERIAL_FROM_DEVICE; source--)
		if (text_equal(name, serial_source_names[source]))
			break;
	return (enum serial_source)source;
}

static enum pattern
pattern_by_name(const char *name)
{
	int pattern;

	for (pattern = PATTERN_COUNT - 1; pattern > PATTERN_CLAIM; pattern--)
		if (text_equal(name, pattern_name((enum pattern)pattern)))
			break;
	return (enum pattern)pattern;
}

static enum ending
ending_by_name(const char *name)
{
	int ending;

	for (ending = ENDING_COUNT - 1; ending > ENDING_NONE; ending--)
		if (text_equal(name, ending_name((enum ending)ending)))
			break;
	return (enum ending)ending;
}

/* A lot of the schema before this one has no plan in its row. */
static uint32_t
steps_of(const char *text, enum pattern pattern)
{
	if (text[0] != '\0')
		return plan_read(text);
	return plan_read(pattern == PATTERN_CSR ? "issue bind write activate"
						: "inject preregister");
}

static enum verdict
verdict_by_name(const char *name)
{
	int verdict;

	for (verdict = VERDICT_STAGED; verdict > VERDICT_NONE; verdict--)
		if (text_equal(name, verdict_name((enum verdict)verdict)))
			break;
	return (enum verdict)verdict;
}

/* Later gates know more: each adds to what the ones before it told. */
static int
attempt_read_gates(
    struct store *store, uint64_t before, struct attempt *attempt)
{
	sqlite3_stmt *row;
	int there;

	there = store_row(store,
	    "SELECT cause = 'none', unverified, bound, manifest, serial, mac,"
	    " thing, told_serial, told_mac FROM gate WHERE attempt = ?1"
	    " AND entry < ?2 ORDER BY entry",
	    VALUES(
		value_reference(attempt->id), value_integer((int64_t)before)),
	    &row);
	for (; there == 1; there = store_next(store, row)) {
		attempt->gated = sqlite3_column_int(row, 0) != 0;
		attempt->unverified = sqlite3_column_int(row, 1) != 0;
		if (sqlite3_column_int(row, 2) != 0) {
			attempt->manifest =
			    (uint64_t)sqlite3_column_int64(row, 3);
			store_text(row, 4, attempt->serial, SERIAL_LEN);
			store_text(row, 5, attempt->mac, MAC_LEN);
			store_text(row, 6, attempt->thing, THING_LEN);
			continue;
		}
		if (attempt->serial[0] == '\0')
			store_text(row, 7, attempt->serial, SERIAL_LEN);
		if (attempt->mac[0] == '\0')
			store_text(row, 8, attempt->mac, MAC_LEN);
	}
	return there;
}

int
attempt_read_before(struct store *store, uint64_t id, uint64_t entry,
    struct attempt *attempt, struct fault *fault)
{
	sqlite3_stmt *row;
	char text[32], plan[PLAN_TEXT_LEN];
	int there;

	memset(attempt, 0, sizeof(*attempt));
	there = store_row(store,
	    "SELECT a.slot, a.scanned, v.verdict, a.lot,"
	    " coalesce(l.name, a.lot_name),"
	    " (SELECT open FROM opening WHERE lot = a.lot"
	    " ORDER BY entry DESC LIMIT 1),"
	    " l.pattern, l.serial_from, l.quantity, l.claim_limit,"
	    " l.first_row, l.rows, l.ending, l.steps FROM attempt AS a"
	    " LEFT JOIN lot AS l ON l.id = a.lot"
	    " LEFT JOIN verdict AS v ON v.attempt = a.id WHERE a.id = ?1",
	    VALUES(value_integer((int64_t)id)), &row);
	if (there == 0)
		fault_set(fault, CAUSE_INTERNAL,
		    "the ledger has no attempt %llu", (unsigned long long)id);
	if (there != 1)
		return there;
	attempt->id = id;
	store_text(row, 0, attempt->slot, NAME_LEN);
	store_text(row, 1, attempt->scanned, SERIAL_LEN);
	store_text(row, 2, text, sizeof(text));
	attempt->verdict = verdict_by_name(text);
	attempt->lot = (uint64_t)sqlite3_column_int64(row, 3);
	store_text(row, 4, attempt->lot_name, NAME_LEN);
	attempt->lot_open = sqlite3_column_int(row, 5) != 0;
	store_text(row, 6, text, sizeof(text));
	attempt->pattern = pattern_by_name(text);
	store_text(row, 7, text, sizeof(text));
	attempt->serial_from = serial_source_by_name(text);
	attempt->quantity = (uint32_t)sqlite3_column_int64(row, 8);
	attempt->claim_limit = (uint32_t)sqlite3_column_int64(row, 9);
	attempt->first_row = (uint64_t)sqlite3_column_int64(row, 10);
	attempt->rows = (uint64_t)sqlite3_column_int64(row, 11);
	store_text(row, 12, text, sizeof(text));
	attempt->ending = ending_by_name(text);
	store_text(row, 13, plan, sizeof(plan));
	attempt->steps = steps_of(plan, attempt->pattern);
	store_done(row);
	return attempt_read_gates(store, entry, attempt) < 0 ? -1 : 1;
}

int
attempt_read(struct store *store, uint64_t id, struct attempt *attempt,
    struct fault *fault)
{
	return attempt_read_before(store, id, INT64_MAX, attempt, fault);
}

int
step_read(struct store *store, const struct attempt *attempt,
    enum intent_kind kind, struct step_state *state)
{
	sqlite3_stmt *row;
	int there;
	bool unverified;

	memset(state, 0, sizeof(*state));
	there = store_row(store,
	    "SELECT i.entry, e.at, i.digest, o.done, o.unverified,"
	    " o.certificate_id, o.arn, o.cloud_state FROM intent AS i"
	    " JOIN entry AS e ON e.id = i.entry"
	    " LEFT JOIN outcome AS o ON o.intent = i.entry"
	    " WHERE i.attempt = ?1 AND i.kind = ?2"
	    " ORDER BY i.entry DESC, o.entry DESC LIMIT 1",
	    VALUES(value_reference(attempt->id), value_text(intent_name(kind))),
	    &row);
	if (there != 1)
		return there;
	state->intended = true;
	state->intent = (uint64_t)sqlite3_column_int64(row, 0);
	state->at_ms = sqlite3_column_int64(row, 1);
	store_digest(row, 2, &state->digest);
	state->answered = sqlite3_column_type(row, 3) != SQLITE_NULL;
	state->carried_out = sqlite3_column_int(row, 3) != 0;
	unverified = sqlite3_column_int(row, 4) != 0;
	state->done =
	    state->carried_out && (!unverified || attempt->unverified);
	store_text(row, 5, state->certificate_id, CERTIFICATE_ID_LEN);
	store_text(row, 6, state->arn, sizeof(state->arn));
	store_text(row, 7, state->cloud_state, sizeof(state->cloud_state));
	store_done(row);
	return 1;
}

uint32_t
attempt_demands(const struct attempt *attempt)
{
	return attempt->steps & ~PLAN_STEP(INTENT_STAGE);
}
