/*
 * RFC 4180 in both directions. The reader works on a whole buffer in one
 * pass without copying, accepts CRLF and LF and a UTF-8 byte order mark, and
 * reports line and column. The writer ends records with CRLF and
 * neutralises cells that a spreadsheet would run as a formula (CWE-1236):
 * a cell that starts with = + - @ TAB or CR gets a leading apostrophe.
 */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum {
	CSV_FIELDS_MAX = 64,
	CSV_FIELD_LEN_MAX = 1024
};

struct csv_field {
	const char *text; /* into the reader's buffer; not NUL-terminated */
	size_t len;
	size_t column; /* of its first byte, from 1 */
};

struct csv_reader {
	char *data; /* borrowed; quoted fields are unescaped in place */
	size_t len;
	size_t at;
	size_t line; /* of the record read last, from 1 */
	size_t next_line;
	struct csv_field fields[CSV_FIELDS_MAX];
	size_t count;
	char error[120]; /* why csv_next returned -1 */
	size_t error_column;
};

void csv_open(struct csv_reader *, char *data, size_t len);
/*
 * 1 a record, 0 the end, -1 malformed (error, line, error_column; line is
 * then the error's own). Empty lines are no records. After -1 the next call
 * goes on with the line behind the error, so that all can be reported.
 */
int csv_next(struct csv_reader *);
/* True for a cell that a manifest must not hold. */
bool csv_is_formula(const char *text, size_t len);

void csv_add_cell(struct buf *, const char *text, bool first);
void csv_end_record(struct buf *);

#endif
