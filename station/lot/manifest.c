#include "lot/manifest.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/message.h"
#include "lot/manifest_index.h"
#include "lot/name.h"
#include "lot/source.h"

enum {
	POOL_MAX = 1 << 30,
	NO_COLUMN = CSV_FIELDS_MAX,
	POOL_EMPTY = 0,	   /* offset of "" */
	POOL_NO_EXTRA = 1, /* offset of "{}" */
	MAC_DIGITS = 12,
};

struct manifest_loader {
	const char *path;
	struct problems *problems;
	size_t reported;
	struct csv_reader csv;
	char columns[CSV_FIELDS_MAX][NAME_LEN];
	size_t column_count;
	size_t serial_column, mac_column; /* or NO_COLUMN */
	struct manifest_row *rows;	  /* owned */
	uint32_t row_count;
	size_t row_max;
	struct buf pool;
	struct buf extra;    /* of the row under way */
	uint32_t last_extra; /* offset of the row's before */
	struct manifest_index serials, macs;
};

/* ---- problems ---- */

static void __attribute__((format(printf, 3, 4)))
report(struct manifest_loader *loader, size_t column, const char *format, ...)
{
	char text[512];
	va_list arguments;

	if (++loader->reported > MANIFEST_PROBLEMS_MAX)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	problems_add(loader->problems, loader->path, loader->csv.line, column,
	    "%s", text);
}

/* A cell for a message: escaped and cut. */
static const char *
cell_text(const struct csv_field *field, char *to, size_t size)
{
	text_escape(to, size, field->text, field->len < 80 ? field->len : 80);
	return to;
}

/* ---- the header ---- */

static bool
column_is_there(const struct manifest_loader *loader, const char *name)
{
	for (size_t at = 0; at < loader->column_count; at++)
		if (text_equal(loader->columns[at], name))
			return true;
	return false;
}

static void
read_column(struct manifest_loader *loader, const struct csv_field *field)
{
	char shown[200];
	char *name = loader->columns[loader->column_count];

	if (!name_matches(NAME_COLUMN, field->text, field->len)) {
		report(loader, field->column,
		    "column name \"%s\" is not accepted; accepted are %s",
		    cell_text(field, shown, sizeof(shown)),
		    name_accepted(NAME_COLUMN));
		return;
	}
	memcpy(name, field->text, field->len);
	name[field->len] = '\0';
	if (column_is_there(loader, name)) {
		report(loader, field->column,
		    "column \"%s\" is there twice; accepted is one column a "
		    "name",
		    name);
		return;
	}
	if (text_equal(name, "serial"))
		loader->serial_column = loader->column_count;
	else if (text_equal(name, "mac"))
		loader->mac_column = loader->column_count;
	loader->column_count++;
}

static int
read_header(struct manifest_loader *loader)
{
	int result = csv_next(&loader->csv);

	loader->serial_column = NO_COLUMN;
	loader->mac_column = NO_COLUMN;
	if (result < 0) {
		report(
		    loader, loader->csv.error_column, "%s", loader->csv.error);
		return -1;
	}
	if (result == 0) {
		problems_add(loader->problems, loader->path, 1, 1,
		    "the file is empty; accepted is a header line with serial "
		    "or mac, then one row a unit");
		return -1;
	}
	for (size_t at = 0; at < loader->csv.count; at++)
		read_column(loader, &loader->csv.fields[at]);
	if (loader->reported > 0)
		return -1;
	if (loader->serial_column == NO_COLUMN &&
	    loader->mac_column == NO_COLUMN) {
		report(loader, 1,
		    "there is neither a column serial nor a column mac; "
		    "accepted is a header line with serial, mac or both, and "
		    "columns of your own");
		return -1;
	}
	return 0;
}

/* ---- cells ---- */

static uint32_t
pool_add(struct manifest_loader *loader, const char *text, size_t len)
{
	size_t at = loader->pool.len;

	buf_add(&loader->pool, text, len);
	buf_add(&loader->pool, "", 1);
	return (uint32_t)at;
}

static uint32_t
read_serial(struct manifest_loader *loader, const struct csv_field *field)
{
	char shown[200];
	uint32_t text, earlier = 0;

	if (!name_matches(NAME_SERIAL, field->text, field->len)) {
		report(loader, field->column,
		    "serial \"%s\" is not accepted; accepted are %s",
		    cell_text(field, shown, sizeof(shown)),
		    name_accepted(NAME_SERIAL));
		return POOL_EMPTY;
	}
	text = pool_add(loader, field->text, field->len);
	if (loader->pool.failed)
		return POOL_EMPTY;
	if (manifest_index_add(&loader->serials, loader->pool.data, text,
		field->len, loader->row_count, &earlier) != 0)
		report(loader, field->column,
		    "serial \"%.*s\" is there twice, first in line %u; "
		    "accepted is one row a serial",
		    (int)field->len, field->text, loader->rows[earlier].line);
	return text;
}

static int
hex_value(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte = (char)(byte | 0x20);
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Twelve digits, alone or in pairs; to: "24:6f:28:00:00:01". */
static bool
mac_normalise(const char *text, size_t len, char to[MAC_LEN])
{
	static const char digits[] = "0123456789abcdef";
	char separator = '\0';
	size_t at = 0;
	unsigned any = 0;
	int second;

	if (len == 17 && (text[2] == ':' || text[2] == '-'))
		separator = text[2];
	else if (len != MAC_DIGITS)
		return false;
	for (size_t pair = 0; pair < 6; pair++) {
		int high = hex_value(text[at]);
		int low = hex_value(text[at + 1]);

		if (high < 0 || low < 0)
			return false;
		to[3 * pair] = digits[high];
		to[3 * pair + 1] = digits[low];
		to[3 * pair + 2] = ':';
		any |= (unsigned)high | (unsigned)low;
		at += 2;
		if (separator != '\0' && pair < 5 && text[at++] != separator)
			return false;
	}
	to[MAC_LEN - 1] = '\0';
	/* The lowest bit of the first byte marks a group: no unit's own. */
	second = hex_value(to[1]);
	return any != 0 && (second & 1) == 0;
}

static uint32_t
read_mac(struct manifest_loader *loader, const struct csv_field *field)
{
	char shown[200];
	char mac[MAC_LEN];
	uint32_t text, earlier = 0;

	if (field->len == 0)
		return POOL_EMPTY;
	if (!mac_normalise(field->text, field->len, mac)) {
		report(loader, field->column,
		    "mac \"%s\" is not accepted; accepted is a unit's own "
		    "address as 24:6f:28:00:00:01, 24-6F-28-00-00-01 or "
		    "246F28000001",
		    cell_text(field, shown, sizeof(shown)));
		return POOL_EMPTY;
	}
	text = pool_add(loader, mac, MAC_LEN - 1);
	if (loader->pool.failed)
		return POOL_EMPTY;
	if (manifest_index_add(&loader->macs, loader->pool.data, text,
		MAC_LEN - 1, loader->row_count, &earlier) != 0)
		report(loader, field->column,
		    "mac \"%s\" is there twice, first in line %u; accepted is "
		    "one row a mac",
		    mac, loader->rows[earlier].line);
	return text;
}

/* For a file without a column serial. */
static uint32_t
serial_of_mac(struct manifest_loader *loader, uint32_t mac)
{
	char serial[MAC_DIGITS + 1];
	const char *text = loader->pool.data + mac;
	size_t len = 0;

	if (mac == POOL_EMPTY) {
		report(loader, 1,
		    "the row names no unit; accepted is a mac in every row of "
		    "a file without a column serial");
		return POOL_EMPTY;
	}
	for (size_t at = 0; at < MAC_LEN - 1; at++)
		if (text[at] != ':')
			serial[len++] = text[at];
	serial[len] = '\0';
	return pool_add(loader, serial, len);
}

/* Adds `"name":"value"` to the row's JSON object. */
static void
read_extra(struct manifest_loader *loader, size_t column)
{
	char shown[200];
	const struct csv_field *field = &loader->csv.fields[column];
	struct buf *extra = &loader->extra;
	size_t step;

	if (csv_is_formula(field->text, field->len)) {
		report(loader, field->column,
		    "cell \"%s\" is a formula to a spreadsheet; accepted is "
		    "text that does not begin with = + - @ TAB or CR",
		    cell_text(field, shown, sizeof(shown)));
		return;
	}
	buf_add_text(extra, extra->len == 1 ? "\"" : ",\"");
	buf_add_text(extra, loader->columns[column]);
	buf_add_text(extra, "\":\"");
	for (size_t at = 0; at < field->len; at += step) {
		step = text_character_len(field->text + at, field->len - at);
		if (step == 0) {
			report(loader, field->column + at,
			    "cell \"%s\" has a control character or is not "
			    "UTF-8; accepted is printable UTF-8",
			    cell_text(field, shown, sizeof(shown)));
			return;
		}
		if (field->text[at] == '"' || field->text[at] == '\\')
			buf_add(extra, "\\", 1);
		buf_add(extra, field->text + at, step);
	}
	buf_add(extra, "\"", 1);
}

static uint32_t
read_extras(struct manifest_loader *loader)
{
	struct buf *extra = &loader->extra;

	buf_reset(extra);
	buf_add(extra, "{", 1);
	for (size_t at = 0; at < loader->column_count; at++)
		if (at != loader->serial_column && at != loader->mac_column)
			read_extra(loader, at);
	buf_add(extra, "}", 1);
	if (extra->failed) {
		report(loader, 1,
		    "the row's further columns are too long; accepted are %d "
		    "bytes with their names",
		    EXTRA_LEN - 1);
		return POOL_NO_EXTRA;
	}
	/* Neighbours mostly agree: a revision, a batch of boards. */
	if (!text_equal(loader->pool.data + loader->last_extra, extra->data))
		loader->last_extra = pool_add(loader, extra->data, extra->len);
	return loader->pool.failed ? POOL_NO_EXTRA : loader->last_extra;
}

/* ---- rows ---- */

static void
read_row(struct manifest_loader *loader)
{
	struct csv_reader *csv = &loader->csv;
	struct manifest_row *row = &loader->rows[loader->row_count];

	if (csv->count != loader->column_count) {
		report(loader, 1,
		    "the row has %zu cells; accepted are %zu, as in the "
		    "header",
		    csv->count, loader->column_count);
		return;
	}
	row->line = (uint32_t)csv->line;
	row->mac = POOL_EMPTY;
	if (loader->mac_column != NO_COLUMN)
		row->mac = read_mac(loader, &csv->fields[loader->mac_column]);
	if (loader->serial_column != NO_COLUMN)
		row->serial =
		    read_serial(loader, &csv->fields[loader->serial_column]);
	else
		row->serial = serial_of_mac(loader, row->mac);
	row->extra = POOL_NO_EXTRA;
	if (csv->count > 2 || loader->mac_column == NO_COLUMN ||
	    loader->serial_column == NO_COLUMN)
		row->extra = read_extras(loader);
	loader->row_count++;
}

/* -1 when it makes no sense to go on. */
static int
read_record(struct manifest_loader *loader, int found)
{
	if (found < 0) {
		report(
		    loader, loader->csv.error_column, "%s", loader->csv.error);
	} else if (loader->row_count == loader->row_max) {
		report(loader, 1,
		    "there are more than %zu rows; accepted are 1 to %d",
		    loader->row_max, MANIFEST_ROWS_MAX);
		return -1;
	} else {
		read_row(loader);
	}
	if (loader->pool.failed) {
		report(loader, 1,
		    "the manifest needs more than %d MiB of memory; accepted "
		    "are shorter rows or fewer",
		    POOL_MAX >> 20);
		return -1;
	}
	if (loader->reported > MANIFEST_PROBLEMS_MAX) {
		problems_add(loader->problems, loader->path, loader->csv.line,
		    1,
		    "more is wrong from here on; the first %d problems are "
		    "listed",
		    MANIFEST_PROBLEMS_MAX);
		return -1;
	}
	return 0;
}

static void
read_rows(struct manifest_loader *loader)
{
	int found;

	while ((found = csv_next(&loader->csv)) != 0)
		if (read_record(loader, found) != 0)
			return;
	if (loader->row_count == 0 && loader->reported == 0)
		report(loader, 1,
		    "there is no row below the header; accepted is one row a "
		    "unit");
}

/* ---- the whole ---- */

/* At least as many as there are rows: no quoted line break adds one. */
static size_t
count_lines(const char *data, size_t len)
{
	size_t lines = 1;
	const char *at = data;
	const char *end = data + len;

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		lines++;
		at++;
	}
	return lines;
}

static int
loader_open(struct manifest_loader *loader, char *data, size_t len)
{
	loader->row_max = count_lines(data, len);
	if (loader->row_max > MANIFEST_ROWS_MAX)
		loader->row_max = MANIFEST_ROWS_MAX;
	csv_open(&loader->csv, data, len);
	buf_init(&loader->pool, POOL_MAX);
	buf_init(&loader->extra, EXTRA_LEN - 1);
	buf_add(&loader->pool, "\0{}", 4);
	loader->last_extra = POOL_NO_EXTRA;
	loader->rows = calloc(loader->row_max, sizeof(*loader->rows));
	if (loader->rows == NULL ||
	    manifest_index_open(&loader->serials, loader->row_max) != 0 ||
	    manifest_index_open(&loader->macs, loader->row_max) != 0) {
		problems_add(loader->problems, loader->path, 0, 0,
		    "out of memory for %zu rows", loader->row_max);
		return -1;
	}
	return 0;
}

static void
loader_close(struct manifest_loader *loader)
{
	manifest_index_close(&loader->serials);
	manifest_index_close(&loader->macs);
	buf_free(&loader->pool);
	buf_free(&loader->extra);
	free(loader->rows);
	free(loader);
}

static int
loader_seal(const struct manifest_loader *loader)
{
	size_t rows_len = loader->row_count * sizeof(*loader->rows);
	size_t len;
	char *file;
	int fd = -1;
	struct fault fault;
	struct manifest_header header = {.magic = MANIFEST_MAGIC,
	    .rows = loader->row_count,
	    .pool_offset = sizeof(header) + rows_len,
	    .pool_len = loader->pool.len};

	if (loader->serial_column != NO_COLUMN)
		header.columns |= MANIFEST_SERIAL;
	if (loader->mac_column != NO_COLUMN)
		header.columns |= MANIFEST_MAC;
	len = sizeof(header) + rows_len + loader->pool.len;
	file = malloc(len);
	fault_clear(&fault);
	if (file != NULL) {
		memcpy(file, &header, sizeof(header));
		memcpy(file + sizeof(header), loader->rows, rows_len);
		memcpy(file + header.pool_offset, loader->pool.data,
		    loader->pool.len);
		fd = file_seal("manifest", file, len, &fault);
	} else {
		fault_set(&fault, CAUSE_INTERNAL, "out of memory");
	}
	if (fd < 0)
		source_problem(loader->problems, loader->path, &fault);
	free(file);
	return fd;
}

int
manifest_convert(const char *path, char *data, size_t len, uint32_t *rows,
    struct problems *problems)
{
	int fd = -1;
	struct manifest_loader *loader = calloc(1, sizeof(*loader));

	*rows = 0;
	if (loader == NULL) {
		problems_add(problems, path, 0, 0, "out of memory");
		return -1;
	}
	loader->path = path;
	loader->problems = problems;
	if (loader_open(loader, data, len) == 0 && read_header(loader) == 0) {
		read_rows(loader);
		*rows = loader->row_count;
		if (loader->reported == 0)
			fd = loader_seal(loader);
	}
	loader_close(loader);
	return fd;
}

int
manifest_load(const char *path, uint32_t *rows, struct problems *problems)
{
	char *data = NULL;
	size_t len = 0;
	int fd;

	*rows = 0;
	if (source_read(
		path, MANIFEST_BYTES_MAX, &data, &len, NULL, problems) != 0)
		return -1;
	fd = manifest_convert(path, data, len, rows, problems);
	free(data);
	return fd;
}
