/* Lots: opened with their manifest, closed, listed and counted. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "ledger/counts.h"
#include "ledger/ledger.h"
#include "ledger/schema.h"
#include "lot/lot.h"
#include "lot/manifest.h"
#include "lot/plan.h"
#include "ledger/attempt.h"

/* What the file's records already hold of a lot of that name. */
struct lot_known {
	uint64_t id;
	struct digest lot, profile, firmware, manifest;
	bool open;
};

static int
lot_find(struct store *store, const char *name, struct lot_known *known)
{
	sqlite3_stmt *row;
	int there;

	there = store_row(store,
	    "SELECT id, lot_digest, profile_digest, firmware_digest,"
	    " manifest_digest, (SELECT open FROM opening WHERE lot = lot.id"
	    " ORDER BY entry DESC LIMIT 1) FROM lot WHERE name = ?1",
	    VALUES(value_text(name)), &row);
	if (there != 1)
		return there;
	known->id = (uint64_t)sqlite3_column_int64(row, 0);
	store_digest(row, 1, &known->lot);
	store_digest(row, 2, &known->profile);
	store_digest(row, 3, &known->firmware);
	store_digest(row, 4, &known->manifest);
	known->open = sqlite3_column_int(row, 5) != 0;
	store_done(row);
	return 1;
}

static bool
digest_equal(const struct digest *one, const struct digest *other)
{
	return memcmp(one->bytes, other->bytes, sizeof(one->bytes)) == 0;
}

/* The first part that differs from what was recorded, or null. */
static const char *
lot_difference(const struct lot_known *known, const struct lot_image *image)
{
	if (!digest_equal(&known->lot, &image->lot_digest))
		return "lot.yaml";
	if (!digest_equal(&known->profile, &image->profile_digest))
		return "profile";
	if (!digest_equal(&known->firmware, &image->firmware_digest))
		return "firmware";
	if (!digest_equal(&known->manifest, &image->manifest_digest))
		return "manifest.csv";
	return NULL;
}

static int
opening_add(struct ledger *ledger, uint64_t lot, bool open,
    const char *operator, const struct digest * program)
{
	return store_run(&ledger->store,
	    "INSERT INTO opening (entry, lot, open, operator, program)"
	    " VALUES (?1, ?2, ?3, ?4, ?5)",
	    VALUES(value_integer((int64_t)ledger->entry),
		value_integer((int64_t)lot), value_integer(open),
		value_text(operator),
		program != NULL ? value_digest(program) : value_null()));
}

static int
lot_add(struct ledger *ledger, const struct lot_image *image, uint64_t lot,
    uint64_t first_row, uint32_t rows)
{
	char steps[PLAN_TEXT_LEN];

	plan_write(image->steps, steps);
	return store_run(&ledger->store,
	    "INSERT INTO lot (id, entry, name, product, part_number, quantity,"
	    " pattern, serial_from, cloud, account, endpoint, thing_rule,"
	    " template, claim_limit, profile, firmware_version, lot_digest,"
	    " profile_digest, firmware_digest, manifest_digest, frozen,"
	    " first_row, rows, ending, steps) VALUES (?1, ?2, ?3, ?4, ?5, ?6,"
	    " ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,"
	    " ?20, ?21, ?22, ?23, ?24, ?25)",
	    VALUES(value_integer((int64_t)lot),
		value_integer((int64_t)ledger->entry), value_text(image->name),
		value_text(image->product), value_text(image->part_number),
		value_integer(image->quantity),
		value_text(pattern_name((enum pattern)image->pattern)),
		value_text(
		    serial_source_name((enum serial_source)image->serial_from)),
		value_text(image->cloud), value_text(image->account),
		value_text(image->endpoint), value_text(image->thing_rule),
		value_text(image->template_name),
		value_integer(image->claim_limit),
		value_text(image->profile.name),
		value_text(image->firmware_version),
		value_digest(&image->lot_digest),
		value_digest(&image->profile_digest),
		value_digest(&image->firmware_digest),
		value_digest(&image->manifest_digest),
		value_text(image->frozen), value_integer((int64_t)first_row),
		value_integer(rows),
		value_text(ending_name((enum ending)image->ending)),
		value_text(steps)));
}

/* ---- the manifest ---- */

/*
 * One row's place in another lot, if it has one: 1 with a fault. A serial or
 * a hardware address stands in one lot of a ledger only, or the gate could
 * not tell whose a unit is.
 */
static int
manifest_row_known(struct store *store, const char *serial, const char *mac,
    uint32_t line, struct fault *fault)
{
	char lot[NAME_LEN];
	sqlite3_stmt *row;
	int there;

	there = store_row(store,
	    "SELECT l.name, m.line, m.serial = ?1 FROM manifest AS m"
	    " JOIN lot AS l ON l.id = m.lot"
	    " WHERE m.serial = ?1 OR (m.mac = ?2 AND m.mac <> '')",
	    VALUES(value_text(serial), value_text(mac)), &row);
	if (there != 1)
		return there;
	store_text(row, 0, lot, sizeof(lot));
	if (sqlite3_column_int(row, 2) != 0)
		fault_set(fault, CAUSE_BAD_LOT,
		    "manifest.csv line %u: serial %s is already in lot %s, "
		    "line %d",
		    line, serial, lot, sqlite3_column_int(row, 1));
	else
		fault_set(fault, CAUSE_BAD_LOT,
		    "manifest.csv line %u: MAC %s is already in lot %s, "
		    "line %d",
		    line, mac, lot, sqlite3_column_int(row, 1));
	store_done(row);
	return 1;
}

/* 0 when no row is known; 1 with a fault; -1. */
static int
manifest_known(
    struct store *store, const struct manifest_view *view, struct fault *fault)
{
	const struct manifest_row *own;
	uint32_t i;
	int known = 0;

	for (i = 0; known == 0 && i < view->header->rows; i++) {
		own = &view->row[i];
		known = manifest_row_known(store, view->pool + own->serial,
		    view->pool + own->mac, own->line, fault);
	}
	return known;
}

static int
manifest_add(struct store *store, const struct manifest_view *view,
    uint64_t lot, uint64_t first_row)
{
	const struct manifest_row *own;
	uint32_t i;

	for (i = 0; i < view->header->rows; i++) {
		own = &view->row[i];
		if (store_run(store,
			"INSERT INTO manifest (id, lot, line, serial, mac,"
			" extra) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
			VALUES(value_integer((int64_t)(first_row + i)),
			    value_integer((int64_t)lot),
			    value_integer(own->line),
			    value_text(view->pool + own->serial),
			    value_text(view->pool + own->mac),
			    value_text(view->pool + own->extra))) != 0)
			return -1;
	}
	return 0;
}

/*
 * Inserting into an index in random order costs several times the sort that
 * makes it at once, so a lot that is greater than all before it is loaded
 * without the indexes.
 */
static int
manifest_ingest(struct ledger *ledger, const struct manifest_view *view,
    uint64_t lot, uint64_t first_row, struct fault *fault)
{
	struct store *store = &ledger->store;
	bool sort = view->header->rows >= first_row;
	int known = first_row > 1 ? manifest_known(store, view, fault) : 0;

	if (known != 0)
		return known;
	if (sort && schema_manifest_indexes(store, false) != 0)
		return -1;
	if (manifest_add(store, view, lot, first_row) != 0)
		return -1;
	if (sort && schema_manifest_indexes(store, true) != 0)
		return -1;
	return 0;
}

/* ---- opening ---- */

static int
lot_check(const struct lot_image *image, const struct manifest_view *view,
    struct fault *fault)
{
	if (image->pattern >= PATTERN_COUNT ||
	    image->serial_from > SERIAL_FROM_NEXT)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "lot %s: its pattern or serial_from is unknown",
		    image->name);
	if (image->steps == 0)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "lot %s: its pattern %s with ending \"%s\" has no steps",
		    image->name, pattern_name((enum pattern)image->pattern),
		    ending_name((enum ending)image->ending));
	if (image->pattern == PATTERN_CLAIM && plan_injects_claim(image) &&
	    image->claim_limit == 0)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "lot %s: pattern claim needs a limit for the hand-outs of "
		    "the claim key",
		    image->name);
	if (image->quantity > view->header->rows)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "lot %s: quantity is %u, but its manifest has %u rows",
		    image->name, image->quantity, view->header->rows);
	return 0;
}

/* 0 with the lot's id; 1 with a fault; -1. */
static int
lot_record(struct ledger *ledger, const struct lot_image *image,
    const struct manifest_view *view, uint64_t *lot, struct fault *fault)
{
	struct store *store = &ledger->store;
	int64_t last_lot = 0, last_row = 0;
	int known;

	if (lot_check(image, view, fault) != 0)
		return 1;
	if (store_number(store, "SELECT max(id) FROM lot", NULL, &last_lot) <
		0 ||
	    store_number(
		store, "SELECT max(id) FROM manifest", NULL, &last_row) < 0)
		return -1;
	*lot = (uint64_t)last_lot + 1;
	known =
	    manifest_ingest(ledger, view, *lot, (uint64_t)last_row + 1, fault);
	if (known != 0)
		return known;
	return lot_add(
	    ledger, image, *lot, (uint64_t)last_row + 1, view->header->rows);
}

/* As lot_record, for a lot that may be known already. */
static int
lot_enter(struct ledger *ledger, const struct lot_image *image,
    const struct manifest_view *view, const struct message_lot_open *body,
    struct message_lot_open_done *done)
{
	struct lot_known known = {.id = 0};
	const char *different;
	int there = lot_find(&ledger->store, image->name, &known);

	if (there < 0)
		return -1;
	if (there == 1) {
		different = lot_difference(&known, image);
		if (different != NULL) {
			fault_set(&done->fault, CAUSE_BAD_LOT,
			    "lot %s was opened before with another %s: give "
			    "the changed lot a new name",
			    image->name, different);
			return 0;
		}
	} else {
		there =
		    lot_record(ledger, image, view, &known.id, &done->fault);
		if (there != 0)
			return there < 0 ? -1 : 0;
	}
	if (!known.open && opening_add(ledger, known.id, true,
			       body->operator, & body->program) != 0)
		return -1;
	return counts_read(&ledger->store, known.id, &done->counts);
}

int
ledger_open_lot(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_lot_open *body = (const void *)request->body.bytes;
	struct message_lot_open_done *done = answer;
	struct manifest_view view = {.header = NULL};
	const void *image = NULL;
	size_t len = 0;
	int result = 0;

	if (request->fd_count < 2) {
		fault_set(&done->fault, CAUSE_INTERNAL,
		    "the lot came without its image and manifest");
		return 0;
	}
	if (file_map_sealed(request->fds[0], sizeof(struct lot_image),
		sizeof(struct lot_image), &image, &len, &done->fault) != 0 ||
	    manifest_map(request->fds[1], &view, &done->fault) != 0)
		goto out;
	if (((const struct lot_image *)image)->magic != LOT_MAGIC) {
		fault_set(&done->fault, CAUSE_INTERNAL,
		    "the lot's image is of another version");
		goto out;
	}
	result = lot_enter(ledger, image, &view, body, done);
out:
	if (view.header != NULL)
		manifest_unmap(&view);
	if (image != NULL)
		munmap((void *)(uintptr_t)image, len);
	return result;
}

/* ---- closing, listing, counting ---- */

static int
lot_state(struct store *store, uint64_t lot, char name[NAME_LEN], bool *open)
{
	sqlite3_stmt *row;
	int there;

	there = store_row(store,
	    "SELECT name, (SELECT open FROM opening WHERE lot = ?1"
	    " ORDER BY entry DESC LIMIT 1) FROM lot WHERE id = ?1",
	    VALUES(value_integer((int64_t)lot)), &row);
	if (there != 1)
		return there;
	store_text(row, 0, name, NAME_LEN);
	*open = sqlite3_column_int(row, 1) != 0;
	store_done(row);
	return 1;
}

static int
lot_unknown(struct fault *fault, uint64_t lot)
{
	fault_set(fault, CAUSE_INTERNAL, "the ledger has no lot %llu",
	    (unsigned long long)lot);
	return 0;
}

int
ledger_close_lot(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_lot *body = (const void *)request->body.bytes;
	struct message_counts_done *done = answer;
	char name[NAME_LEN];
	int64_t busy = 0;
	bool open = false;
	int there = lot_state(&ledger->store, body->lot, name, &open);

	if (there < 0)
		return -1;
	if (there == 0)
		return lot_unknown(&done->fault, body->lot);
	if (store_number(&ledger->store,
		"SELECT count(*) FROM unit WHERE lot = ?1"
		" AND attempt IS NOT NULL",
		VALUES(value_integer((int64_t)body->lot)), &busy) < 0)
		return -1;
	if (busy > 0) {
		fault_set(&done->fault, CAUSE_BAD_REQUEST,
		    "lot %s has %lld units at work: wait for their verdicts, "
		    "or abort them",
		    name, (long long)busy);
		return 0;
	}
	if (open && opening_add(ledger, body->lot, false, "", NULL) != 0)
		return -1;
	return counts_read(&ledger->store, body->lot, &done->counts);
}

int
ledger_count_lot(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_lot *body = (const void *)request->body.bytes;
	struct message_counts_done *done = answer;
	char name[NAME_LEN];
	bool open;
	int there = lot_state(&ledger->store, body->lot, name, &open);

	if (there < 0)
		return -1;
	if (there == 0)
		return lot_unknown(&done->fault, body->lot);
	return counts_read(&ledger->store, body->lot, &done->counts);
}

int
ledger_list_lots(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_lot_list *body = (const void *)request->body.bytes;
	struct message_lot_list_done *done = answer;
	struct lot_row *lot;
	sqlite3_stmt *row;
	uint32_t i;
	int there;

	there = store_row(&ledger->store,
	    "SELECT id, name, frozen, (SELECT open FROM opening"
	    " WHERE lot = lot.id ORDER BY entry DESC LIMIT 1) FROM lot"
	    " WHERE id > ?1 ORDER BY id",
	    VALUES(value_integer((int64_t)body->after)), &row);
	for (; there == 1; there = store_next(&ledger->store, row)) {
		if (done->count == LOT_LIST_MAX) {
			done->more = 1;
			store_done(row);
			there = 0;
			break;
		}
		lot = &done->lots[done->count++];
		lot->lot = (uint64_t)sqlite3_column_int64(row, 0);
		store_text(row, 1, lot->name, sizeof(lot->name));
		store_text(row, 2, lot->folder, sizeof(lot->folder));
		lot->state = sqlite3_column_int(row, 3) != 0 ? LOT_STATE_OPEN
							     : LOT_STATE_CLOSED;
	}
	for (i = 0; there == 0 && i < done->count; i++)
		there = counts_read(
		    &ledger->store, done->lots[i].lot, &done->lots[i].counts);
	return there;
}
