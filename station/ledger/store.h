/*
 * A thin layer over one SQLite connection: prepared statements by their
 * text, values that carry their type, transactions, and database errors as
 * faults. Used by the ledger's and the report's files only.
 *
 * Functions that touch the database return -1 and remember the first error
 * of the transaction; store_fault() turns it into CAUSE_LEDGER_ERROR. An
 * error after which the file must not be trusted (failed fsync, corruption)
 * stays until the store is closed.
 */
#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/file.h"

enum {
	STORE_STATEMENTS_MAX = 160,
	STORE_PATH_LEN = 512
};

struct store_statement {
	const char *sql; /* the literal's address is the key */
	sqlite3_stmt *statement;
};

struct store {
	sqlite3 *database;
	char path[STORE_PATH_LEN];
	struct store_statement statements[STORE_STATEMENTS_MAX];
	size_t statement_count;
	int error; /* SQLite's extended code, or SQLITE_OK */
	char error_text[200];
	bool broken;   /* the error is final for this file */
	int wal_pages; /* in the write-ahead log since the last checkpoint */
};

enum value_kind {
	VALUE_END,
	VALUE_NULL,
	VALUE_INTEGER,
	VALUE_TEXT,
	VALUE_BLOB
};
struct value {
	enum value_kind kind;
	int64_t integer;
	const void *bytes; /* borrowed until the statement is done */
	size_t len;
};
struct value value_null(void);
struct value value_integer(int64_t);
/* Null instead of 0, for references that may be absent. */
struct value value_reference(uint64_t);
struct value value_text(const char *);
struct value value_blob(const void *, size_t len);
struct value value_digest(const struct digest *);
/* The arguments of one statement, in the order of its parameters. */
#define VALUES(...) ((const struct value[]){__VA_ARGS__, {.kind = VALUE_END}})

/*
 * Opens for writing: WAL, synchronous=FULL, foreign keys on. The folder must
 * exist. The store stays closed on failure; store_close accepts that.
 */
int store_open(struct store *, const char *path, struct fault *);
/*
 * Opens for reading. `live`: a ledger role may be writing; otherwise a file
 * without a write-ahead log beside it is read as the fixed file it is, also
 * from a read-only folder.
 */
int
store_open_read(struct store *, const char *path, bool live, struct fault *);
void store_close(struct store *);

/*
 * Statements: `sql` must be a string that lives as long as the store, best a
 * literal. Values may be null for none.
 */
/* One that returns no rows. */
int store_run(struct store *, const char *sql, const struct value *);
/* 1: *row is on the first row; go on with store_next, or end with
 * store_done; 0: none; -1 error. */
int store_row(
    struct store *, const char *sql, const struct value *, sqlite3_stmt **row);
int store_next(struct store *, sqlite3_stmt *row);
void store_done(sqlite3_stmt *row);
/* The first column of the first row: 1, 0 none (number stays), -1. */
int store_number(
    struct store *, const char *sql, const struct value *, int64_t *number);
/* Several statements, unprepared. */
int store_script(struct store *, const char *sql);

/* Columns. Null reads as "" and zeros; texts are cut at size. */
void store_text(sqlite3_stmt *row, int column, char *to, size_t size);
void store_digest(sqlite3_stmt *row, int column, struct digest *);

int store_begin(struct store *);
int store_commit(struct store *);
void store_rollback(struct store *);
/* A part of the transaction that may be taken back alone. */
int store_mark(struct store *);
int store_mark_keep(struct store *);
/* -1 when the whole transaction is lost. Forgets the error otherwise. */
int store_mark_undo(struct store *);
/* Moves the write-ahead log into the file when it has grown. */
void store_checkpoint(struct store *);

/* CAUSE_LEDGER_ERROR with what the operator needs to know; returns -1. */
int store_fault(struct store *, struct fault *);

#endif
