#include "ledger/store.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

enum {
	/* The write-ahead log is moved when it has this many pages: 16 MiB
	 * of 4 KiB pages, so that a checkpoint's fsync is rare beside the
	 * commits'. */
	CHECKPOINT_PAGES = 4096,
	BUSY_TIMEOUT_MS = 2000, /* a reader's recovery of the log */
};

struct value
value_null(void)
{
	return (struct value){.kind = VALUE_NULL};
}

struct value
value_integer(int64_t integer)
{
	return (struct value){.kind = VALUE_INTEGER, .integer = integer};
}

struct value
value_reference(uint64_t id)
{
	return id == 0 ? value_null() : value_integer((int64_t)id);
}

struct value
value_text(const char *text)
{
	return (struct value){
	    .kind = VALUE_TEXT, .bytes = text, .len = strlen(text)};
}

struct value
value_blob(const void *bytes, size_t len)
{
	return (struct value){.kind = VALUE_BLOB, .bytes = bytes, .len = len};
}

struct value
value_digest(const struct digest *digest)
{
	return value_blob(digest->bytes, sizeof(digest->bytes));
}

/* Remembers the first error, which is the one that explains the others. */
static int
store_failed(struct store *store, int code)
{
	int primary = code & 0xff;

	if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC ||
	    primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB)
		store->broken = true;
	if (store->error == SQLITE_OK) {
		store->error = code;
		snprintf(store->error_text, sizeof(store->error_text), "%s",
		    store->database != NULL ? sqlite3_errmsg(store->database)
					    : sqlite3_errstr(code));
	}
	return -1;
}

static int
store_logged_pages(void *arg, sqlite3 *database, const char *name, int pages)
{
	struct store *store = arg;

	(void)database;
	(void)name;
	store->wal_pages = pages;
	return SQLITE_OK;
}

static int
store_connect(struct store *store, const char *name, int flags)
{
	int code;

	code = sqlite3_open_v2(name, &store->database,
	    flags | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOMUTEX |
		SQLITE_OPEN_PRIVATECACHE,
	    NULL);
	if (code != SQLITE_OK)
		return store_failed(store, code);
	sqlite3_busy_timeout(store->database, BUSY_TIMEOUT_MS);
	/* The schema is not to be trusted with functions, see SQLite's
	 * "Defense Against The Dark Arts". */
	sqlite3_db_config(
	    store->database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
	sqlite3_db_config(
	    store->database, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	return 0;
}

int
store_open(struct store *store, const char *path, struct fault *fault)
{
	memset(store, 0, sizeof(*store));
	if (text_copy(store->path, sizeof(store->path), path) != 0)
		return fault_set(
		    fault, CAUSE_LEDGER_ERROR, "the ledger's path is too long");
	if (store_connect(
		store, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) != 0)
		goto fail;
	/* SQLite falls back to reading without a word. */
	if (sqlite3_db_readonly(store->database, "main") == 1) {
		fault_set(fault, CAUSE_LEDGER_ERROR,
		    "%s is read-only for the station's user", path);
		store_close(store);
		return -1;
	}
	/* FULL: a commit is on the disk before it is answered. */
	if (store_script(store,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
		"PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 0") !=
	    0)
		goto fail;
	sqlite3_wal_hook(store->database, store_logged_pages, store);
	return 0;
fail:
	store_fault(store, fault);
	store_close(store);
	return -1;
}

/* A file name as a URI's path: RFC 3986, 2.1. */
static int
store_uri(char *to, size_t size, const char *path, const char *query)
{
	static const char plain[] = "/-._~0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t at = (size_t)snprintf(to, size, "file:");
	int len;

	for (; *path != '\0'; path++) {
		len = snprintf(to + at, size - at,
		    strchr(plain, *path) != NULL ? "%c" : "%%%02X",
		    (unsigned char)*path);
		at += (size_t)len;
		if (at >= size)
			return -1;
	}
	len = snprintf(to + at, size - at, "?%s", query);
	return at + (size_t)len < size ? 0 : -1;
}

int
store_open_read(
    struct store *store, const char *path, bool live, struct fault *fault)
{
	char log[STORE_PATH_LEN + 8], uri[3 * STORE_PATH_LEN + 64];
	const char *query = "mode=ro";

	memset(store, 0, sizeof(*store));
	if (text_copy(store->path, sizeof(store->path), path) != 0)
		return fault_set(
		    fault, CAUSE_LEDGER_ERROR, "the ledger's path is too long");
	snprintf(log, sizeof(log), "%s-wal", path);
	if (!live && access(log, F_OK) != 0)
		query = "mode=ro&immutable=1";
	if (store_uri(uri, sizeof(uri), path, query) != 0)
		return fault_set(
		    fault, CAUSE_LEDGER_ERROR, "the ledger's path is too long");
	if (store_connect(store, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI) !=
		0 ||
	    store_script(store,
		"PRAGMA query_only = ON; PRAGMA temp_store = MEMORY") != 0) {
		store_fault(store, fault);
		store_close(store);
		return -1;
	}
	return 0;
}

void
store_close(struct store *store)
{
	size_t i;

	for (i = 0; i < store->statement_count; i++)
		sqlite3_finalize(store->statements[i].statement);
	store->statement_count = 0;
	if (store->database != NULL)
		sqlite3_close(store->database);
	store->database = NULL;
}

/* ---- statements ---- */

static sqlite3_stmt *
store_statement(struct store *store, const char *sql)
{
	struct store_statement *own;
	size_t i;
	int code;

	for (i = 0; i < store->statement_count; i++) {
		if (store->statements[i].sql == sql)
			return store->statements[i].statement;
	}
	if (i == STORE_STATEMENTS_MAX) {
		store_failed(store, SQLITE_NOMEM);
		return NULL;
	}
	own = &store->statements[i];
	code = sqlite3_prepare_v3(store->database, sql, -1,
	    SQLITE_PREPARE_PERSISTENT, &own->statement, NULL);
	if (code != SQLITE_OK) {
		store_failed(store, code);
		return NULL;
	}
	own->sql = sql;
	store->statement_count++;
	return own->statement;
}

static int
store_bind(sqlite3_stmt *statement, int at, const struct value *value)
{
	if (value->len > INT_MAX)
		return SQLITE_TOOBIG;
	switch (value->kind) {
	case VALUE_INTEGER:
		return sqlite3_bind_int64(statement, at, value->integer);
	case VALUE_TEXT:
		return sqlite3_bind_text(statement, at, value->bytes,
		    (int)value->len, SQLITE_STATIC);
	case VALUE_BLOB:
		return sqlite3_bind_blob(statement, at, value->bytes,
		    (int)value->len, SQLITE_STATIC);
	case VALUE_NULL:
	case VALUE_END:
		break;
	}
	return sqlite3_bind_null(statement, at);
}

int
store_row(struct store *store, const char *sql, const struct value *values,
    sqlite3_stmt **row)
{
	sqlite3_stmt *statement = store_statement(store, sql);
	int at, code;

	*row = NULL;
	if (statement == NULL)
		return -1;
	for (at = 0; values != NULL && values[at].kind != VALUE_END; at++) {
		code = store_bind(statement, at + 1, &values[at]);
		if (code != SQLITE_OK)
			return store_failed(store, code);
	}
	*row = statement;
	return store_next(store, statement);
}

int
store_next(struct store *store, sqlite3_stmt *row)
{
	int code = sqlite3_step(row);

	if (code == SQLITE_ROW)
		return 1;
	if (code != SQLITE_DONE)
		store_failed(store, code);
	store_done(row);
	return code == SQLITE_DONE ? 0 : -1;
}

void
store_done(sqlite3_stmt *row)
{
	if (row == NULL)
		return;
	sqlite3_reset(row);
	sqlite3_clear_bindings(row);
}

int
store_run(struct store *store, const char *sql, const struct value *values)
{
	sqlite3_stmt *row;
	int there = store_row(store, sql, values, &row);

	if (there == 1)
		store_done(row);
	return there < 0 ? -1 : 0;
}

int
store_number(struct store *store, const char *sql, const struct value *values,
    int64_t *number)
{
	sqlite3_stmt *row;
	int there = store_row(store, sql, values, &row);

	if (there == 1) {
		*number = sqlite3_column_int64(row, 0);
		store_done(row);
	}
	return there;
}

int
store_script(struct store *store, const char *sql)
{
	int code = sqlite3_exec(store->database, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : store_failed(store, code);
}

void
store_text(sqlite3_stmt *row, int column, char *to, size_t size)
{
	const unsigned char *text = sqlite3_column_text(row, column);

	snprintf(to, size, "%s", text != NULL ? (const char *)text : "");
}

void
store_digest(sqlite3_stmt *row, int column, struct digest *digest)
{
	const void *bytes = sqlite3_column_blob(row, column);

	memset(digest, 0, sizeof(*digest));
	if (bytes != NULL &&
	    sqlite3_column_bytes(row, column) == sizeof(digest->bytes))
		memcpy(digest->bytes, bytes, sizeof(digest->bytes));
}

/* ---- transactions ---- */

int
store_begin(struct store *store)
{
	if (store->broken)
		return -1;
	store->error = SQLITE_OK;
	return store_run(store, "BEGIN IMMEDIATE", NULL);
}

int
store_commit(struct store *store)
{
	return store_run(store, "COMMIT", NULL);
}

void
store_rollback(struct store *store)
{
	/* Full disks and I/O errors may have rolled back already. */
	if (store->database != NULL &&
	    sqlite3_get_autocommit(store->database) == 0)
		sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
}

int
store_mark(struct store *store)
{
	return store_run(store, "SAVEPOINT request", NULL);
}

int
store_mark_keep(struct store *store)
{
	return store_run(store, "RELEASE request", NULL);
}

int
store_mark_undo(struct store *store)
{
	int primary = store->error & 0xff;

	/* Only what is wrong with the request alone may be taken back
	 * alone; what the disk refuses to one it refuses to all. */
	if (store->broken || sqlite3_get_autocommit(store->database) != 0 ||
	    (primary != SQLITE_OK && primary != SQLITE_CONSTRAINT))
		return -1;
	if (sqlite3_exec(store->database,
		"ROLLBACK TO request; "
		"RELEASE request",
		NULL, NULL, NULL) != SQLITE_OK)
		return -1;
	store->error = SQLITE_OK;
	return 0;
}

void
store_checkpoint(struct store *store)
{
	int code;

	if (store->broken || store->wal_pages < CHECKPOINT_PAGES)
		return;
	store->wal_pages = 0;
	code = sqlite3_wal_checkpoint_v2(
	    store->database, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY)
		return;
	log_error(
	    "%s: checkpoint: %s", store->path, sqlite3_errmsg(store->database));
	store_failed(store, code);
}

int
store_fault(struct store *store, struct fault *fault)
{
	int primary = store->error & 0xff;
	const char *hint = "";

	if (primary == SQLITE_FULL)
		hint = ": make room on its disk";
	else if (primary == SQLITE_READONLY || primary == SQLITE_CANTOPEN ||
		 primary == SQLITE_PERM)
		hint = ": check the rights of the file and its folder";
	else if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB)
		hint = ": restore it from its backup";
	else if (store->broken)
		hint = ": its disk fails; the file is not written any more";
	return fault_set(fault, CAUSE_LEDGER_ERROR, "%s: %s%s", store->path,
	    store->error_text[0] != '\0' ? store->error_text
					 : "database failure",
	    hint);
}
