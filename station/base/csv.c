#include "base/csv.h"

#include <stdio.h>
#include <string.h>

_Static_assert(CSV_FIELDS_MAX == 64 && CSV_FIELD_LEN_MAX == 1024,
    "the texts of errors name both limits");

static const char byte_order_mark[] = "\xef\xbb\xbf";

void
csv_open(struct csv_reader *reader, char *data, size_t len)
{
	const size_t mark = sizeof(byte_order_mark) - 1;

	memset(reader, 0, sizeof(*reader));
	reader->data = data;
	reader->len = len;
	reader->next_line = 1;
	if (len >= mark && memcmp(data, byte_order_mark, mark) == 0)
		reader->at = mark;
}

/* Notes the error and goes on behind the line that it stands in. */
static int
csv_fail(struct csv_reader *reader, size_t column, const char *what)
{
	size_t left = reader->len - reader->at;
	char *end = NULL;

	(void)snprintf(reader->error, sizeof(reader->error), "%s", what);
	reader->line = reader->next_line;
	reader->error_column = column;
	reader->count = 0;
	if (left > 0)
		end = memchr(reader->data + reader->at, '\n', left);
	reader->at =
	    end == NULL ? reader->len : (size_t)(end - reader->data) + 1;
	reader->next_line++;
	return -1;
}

/* Bytes of the line end here: 0 when there is none, 1 or 2. */
static size_t
csv_line_end(const struct csv_reader *reader)
{
	const char *at = reader->data + reader->at;
	size_t left = reader->len - reader->at;

	if (left > 0 && at[0] == '\n')
		return 1;
	if (left > 1 && at[0] == '\r' && at[1] == '\n')
		return 2;
	return 0;
}

/* An unquoted field; null or what is wrong at reader->at. */
static const char *
csv_plain(struct csv_reader *reader, struct csv_field *field)
{
	size_t start = reader->at;

	field->text = reader->data + start;
	for (; reader->at < reader->len; reader->at++) {
		char byte = reader->data[reader->at];

		if (byte == ',' || byte == '\n')
			break;
		if (byte == '\r') {
			if (csv_line_end(reader) == 0)
				return "a carriage return inside a line; "
				       "quote the field";
			break;
		}
		if (byte == '"')
			return "a quote inside an unquoted field; quote the "
			       "field and double the quote";
		if (byte == '\0')
			return "a NUL byte; the file must be text";
	}
	field->len = reader->at - start;
	return NULL;
}

/* A quoted field; doubled quotes are joined in place. */
static const char *
csv_quoted(
    struct csv_reader *reader, struct csv_field *field, size_t *line_start)
{
	char *data = reader->data;
	size_t start = ++reader->at, to = start;

	for (;; reader->at++) {
		if (reader->at >= reader->len)
			return "the file ends inside a quoted field; its "
			       "closing quote is missing";
		if (data[reader->at] == '\0')
			return "a NUL byte; the file must be text";
		if (data[reader->at] == '"') {
			if (reader->at + 1 >= reader->len ||
			    data[reader->at + 1] != '"')
				break;
			reader->at++;
		}
		if (data[reader->at] == '\n') {
			reader->next_line++;
			*line_start = reader->at + 1;
		}
		data[to++] = data[reader->at];
	}
	reader->at++;
	field->text = data + start;
	field->len = to - start;
	if (reader->at < reader->len && data[reader->at] != ',' &&
	    csv_line_end(reader) == 0)
		return "text behind a closing quote; a comma or the line's "
		       "end is accepted";
	return NULL;
}

/*
 * Reads one field and what ends it: 1 another follows, 0 the record ends,
 * -1 malformed. *line_start moves when a quoted field goes over lines.
 */
static int
csv_field_next(struct csv_reader *reader, size_t *line_start)
{
	struct csv_field *field;
	const char *wrong;

	if (reader->count == CSV_FIELDS_MAX)
		return csv_fail(reader, reader->at - *line_start + 1,
		    "more than 64 fields in a record; 64 are accepted");
	field = &reader->fields[reader->count];
	field->column = reader->at - *line_start + 1;
	if (reader->at < reader->len && reader->data[reader->at] == '"')
		wrong = csv_quoted(reader, field, line_start);
	else
		wrong = csv_plain(reader, field);
	if (wrong != NULL)
		return csv_fail(reader, reader->at - *line_start + 1, wrong);
	if (field->len > CSV_FIELD_LEN_MAX)
		return csv_fail(reader, field->column,
		    "a field of more than 1024 bytes; 1024 are accepted");
	reader->count++;
	if (reader->at < reader->len && reader->data[reader->at] == ',') {
		reader->at++;
		return 1;
	}
	reader->at += csv_line_end(reader);
	return 0;
}

int
csv_next(struct csv_reader *reader)
{
	size_t line_start, end;
	int more;

	reader->count = 0;
	reader->error[0] = '\0';
	reader->error_column = 0;
	while ((end = csv_line_end(reader)) > 0) {
		reader->at += end;
		reader->next_line++;
	}
	if (reader->at >= reader->len)
		return 0;
	reader->line = reader->next_line;
	line_start = reader->at;
	do
		more = csv_field_next(reader, &line_start);
	while (more > 0);
	if (more < 0)
		return -1;
	reader->next_line++;
	return 1;
}

bool
csv_is_formula(const char *text, size_t len)
{
	return len > 0 && text[0] != '\0' &&
	       strchr("=+-@\t\r", text[0]) != NULL;
}

void
csv_add_cell(struct buf *buf, const char *text, bool first)
{
	size_t len = strlen(text);
	bool quoted = strpbrk(text, ",\"\r\n") != NULL;

	if (!first)
		buf_add(buf, ",", 1);
	if (quoted)
		buf_add(buf, "\"", 1);
	if (csv_is_formula(text, len))
		buf_add(buf, "'", 1);
	for (; *text != '\0'; text++) {
		if (*text == '"')
			buf_add(buf, "\"", 1);
		buf_add(buf, text, 1);
	}
	if (quoted)
		buf_add(buf, "\"", 1);
}

void
csv_end_record(struct buf *buf)
{
	buf_add(buf, "\r\n", 2);
}
