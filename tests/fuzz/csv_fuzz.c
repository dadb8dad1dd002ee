/*
 * Any bytes as a CSV file, and what was read written and read again: the
 * second reading is the first one, but for the apostrophes of formulas.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
write_record(struct buf *buf, const struct csv_reader *reader)
{
	char text[CSV_FIELD_LEN_MAX + 1];
	size_t i;

	for (i = 0; i < reader->count; i++) {
		memcpy(text, reader->fields[i].text, reader->fields[i].len);
		text[reader->fields[i].len] = '\0';
		csv_add_cell(buf, text, i == 0);
	}
	csv_end_record(buf);
}

static void
compare(const struct csv_reader *first, struct buf *buf)
{
	struct csv_reader again;
	size_t i, added;

	csv_open(&again, buf->data, buf->len);
	if (csv_next(&again) != 1) {
		/* One empty cell alone is written as an empty line; a cell of
		 * the greatest length has no room for an apostrophe. */
		for (i = 0; i < first->count; i++)
			if (first->fields[i].len == CSV_FIELD_LEN_MAX)
				return;
		if (first->count == 1 && first->fields[0].len == 0)
			return;
		abort();
	}
	if (again.count != first->count)
		abort();
	for (i = 0; i < first->count; i++) {
		added =
		    csv_is_formula(first->fields[i].text, first->fields[i].len);
		if (again.fields[i].len != first->fields[i].len + added ||
		    memcmp(again.fields[i].text + added, first->fields[i].text,
			first->fields[i].len) != 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char mark[] = "\xef\xbb\xbf";
	struct csv_reader reader;
	size_t line = 0, lines = 1, i;
	struct buf buf;
	char *copy = malloc(len + 1);
	int more;

	if (copy == NULL)
		return 0;
	for (i = 0; i < len; i++)
		lines += data[i] == '\n';
	memcpy(copy, data, len);
	csv_open(&reader, copy, len);
	while ((more = csv_next(&reader)) != 0) {
		if (reader.line <= line || reader.line > lines)
			abort();
		line = reader.line;
		if (more < 0) {
			if (reader.error[0] == '\0' || reader.error_column == 0)
				abort();
			continue;
		}
		if (reader.count == 0 || reader.count > CSV_FIELDS_MAX)
			abort();
		/* A mark in the first cell would be taken for the file's. */
		if (reader.fields[0].len >= 3 &&
		    memcmp(reader.fields[0].text, mark, 3) == 0)
			continue;
		buf_init(&buf, 1024 * 1024);
		write_record(&buf, &reader);
		compare(&reader, &buf);
		buf_free(&buf);
	}
	free(copy);
	return 0;
}
