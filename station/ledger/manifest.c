#include "ledger/manifest.h"

#include <string.h>

static int
manifest_fill(int there, sqlite3_stmt *row, struct manifest_entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	if (there != 1)
		return there;
	entry->id = (uint64_t)sqlite3_column_int64(row, 0);
	entry->lot = (uint64_t)sqlite3_column_int64(row, 1);
	entry->line = (uint32_t)sqlite3_column_int64(row, 2);
	store_text(row, 3, entry->serial, sizeof(entry->serial));
	store_text(row, 4, entry->mac, sizeof(entry->mac));
	store_text(row, 5, entry->extra, sizeof(entry->extra));
	store_done(row);
	return 1;
}

int
manifest_find(struct store *store, uint64_t id, struct manifest_entry *entry)
{
	sqlite3_stmt *row;
	int there = store_row(store,
	    "SELECT id, lot, line, serial, mac, extra FROM manifest"
	    " WHERE id = ?1",
	    VALUES(value_integer((int64_t)id)), &row);

	return manifest_fill(there, row, entry);
}

int
manifest_find_serial(
    struct store *store, const char *serial, struct manifest_entry *entry)
{
	sqlite3_stmt *row;
	int there = store_row(store,
	    "SELECT id, lot, line, serial, mac, extra FROM manifest"
	    " WHERE serial = ?1",
	    VALUES(value_text(serial)), &row);

	return manifest_fill(there, row, entry);
}

int
manifest_find_mac(
    struct store *store, const char *mac, struct manifest_entry *entry)
{
	sqlite3_stmt *row;
	int there = store_row(store,
	    "SELECT id, lot, line, serial, mac, extra FROM manifest"
	    " WHERE mac = ?1 AND mac <> ''",
	    VALUES(value_text(mac)), &row);

	return manifest_fill(there, row, entry);
}

/* The lot's cursor; the one with the oldest lot gives way to a new one. */
static struct ledger_cursor *
manifest_cursor(struct ledger *ledger, uint64_t lot, uint64_t first_row)
{
	struct ledger_cursor *cursor, *oldest = &ledger->cursors[0];
	size_t i;

	for (i = 0; i < LEDGER_CURSORS_MAX; i++) {
		cursor = &ledger->cursors[i];
		if (cursor->lot == lot)
			return cursor;
		if (cursor->lot < oldest->lot)
			oldest = cursor;
	}
	oldest->lot = lot;
	oldest->row = first_row;
	return oldest;
}

void
manifest_row_freed(struct ledger *ledger, uint64_t lot, uint64_t row)
{
	size_t i;

	for (i = 0; i < LEDGER_CURSORS_MAX; i++)
		if (ledger->cursors[i].lot == lot &&
		    ledger->cursors[i].row > row)
			ledger->cursors[i].row = row;
}

int
manifest_find_free(struct ledger *ledger, uint64_t lot, uint64_t first_row,
    uint64_t rows, struct manifest_entry *entry)
{
	struct ledger_cursor *cursor = manifest_cursor(ledger, lot, first_row);
	sqlite3_stmt *row;
	int there = store_row(&ledger->store,
	    "SELECT m.id, m.lot, m.line, m.serial, m.mac, m.extra"
	    " FROM manifest AS m WHERE m.id >= ?1 AND m.id < ?2"
	    " AND m.mac = '' AND NOT EXISTS"
	    " (SELECT 1 FROM unit AS u WHERE u.manifest = m.id)"
	    " ORDER BY m.id LIMIT 1",
	    VALUES(value_integer((int64_t)cursor->row),
		value_integer((int64_t)(first_row + rows))),
	    &row);

	there = manifest_fill(there, row, entry);
	if (there == 1)
		cursor->row = entry->id;
	return there;
}

int
lot_name_read(struct store *store, uint64_t lot, char name[NAME_LEN])
{
	sqlite3_stmt *row;
	int there = store_row(store, "SELECT name FROM lot WHERE id = ?1",
	    VALUES(value_integer((int64_t)lot)), &row);

	name[0] = '\0';
	if (there == 1) {
		store_text(row, 0, name, NAME_LEN);
		store_done(row);
	}
	return there;
}
