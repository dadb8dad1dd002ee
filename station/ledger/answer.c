#include "ledger/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* A gap of fewer zeros costs more as a run of its own than as bytes. */
enum {
	GAP_MIN = 8,
	RUN_HEADER_LEN = 4
};

static size_t
zeros_at(const uint8_t *from, size_t at, size_t len)
{
	size_t end = at;

	while (end < len && from[end] == 0)
		end++;
	return end - at;
}

static size_t
run_put(uint8_t *to, size_t skip, const uint8_t *from, size_t len)
{
	to[0] = (uint8_t)skip;
	to[1] = (uint8_t)(skip >> 8);
	to[2] = (uint8_t)len;
	to[3] = (uint8_t)(len >> 8);
	memcpy(to + RUN_HEADER_LEN, from, len);
	return RUN_HEADER_LEN + len;
}

size_t
answer_pack(const void *body, size_t len, uint8_t *to)
{
	const uint8_t *from = body;
	size_t at = 0, packed = 0, skip, start, gap;

	while (at < len) {
		skip = zeros_at(from, at, len);
		start = at + skip;
		at = start;
		while (at < len) {
			gap = zeros_at(from, at, len);
			if (gap >= GAP_MIN || at + gap == len)
				break;
			at += gap + 1;
		}
		if (at > start)
			packed += run_put(
			    to + packed, skip, from + start, at - start);
		else
			at = len;
	}
	return packed;
}

int
answer_unpack(const uint8_t *from, size_t from_len, void *body, size_t len)
{
	uint8_t *to = body;
	size_t at = 0, skip, run;

	memset(to, 0, len);
	while (from_len > 0) {
		if (from_len < RUN_HEADER_LEN)
			return -1;
		skip = from[0] | (size_t)from[1] << 8;
		run = from[2] | (size_t)from[3] << 8;
		from += RUN_HEADER_LEN;
		from_len -= RUN_HEADER_LEN;
		if (run > from_len || skip + run > len - at)
			return -1;
		memcpy(to + at + skip, from, run);
		at += skip + run;
		from += run;
		from_len -= run;
	}
	return 0;
}

int
answer_find(struct ledger *ledger, const struct message_header *header,
    const char *kind, struct ledger_answer *answer)
{
	sqlite3_stmt *row;
	char found[32];
	int there, result;

	there = store_row(&ledger->store,
	    "SELECT kind, answer FROM entry WHERE attempt = ?1"
	    " AND sequence = ?2",
	    VALUES(value_integer((int64_t)header->attempt),
		value_integer(header->sequence)),
	    &row);
	if (there != 1)
		return there;
	store_text(row, 0, found, sizeof(found));
	result = answer_unpack(sqlite3_column_blob(row, 1),
	    (size_t)sqlite3_column_bytes(row, 1), &answer->body, answer->len);
	store_done(row);
	if (!text_equal(found, kind)) {
		memset(&answer->body, 0, answer->len);
		fault_set(&answer->body.fault, CAUSE_INTERNAL,
		    "request %u of attempt %llu was a %s and is a %s now",
		    header->sequence, (unsigned long long)header->attempt,
		    found, kind);
	} else if (result != 0) {
		fault_set(&answer->body.fault, CAUSE_LEDGER_ERROR,
		    "the answer of request %u of attempt %llu is damaged",
		    header->sequence, (unsigned long long)header->attempt);
	}
	return 1;
}

int
answer_record(struct ledger *ledger, const struct message_header *header,
    const char *kind, const struct ledger_answer *answer)
{
	bool resent = header->attempt != 0;
	uint8_t *packed = NULL;
	size_t len = 0;
	int result;

	if (resent) {
		packed =
		    malloc(answer->len +
			   RUN_HEADER_LEN * (answer->len / (GAP_MIN + 1) + 1));
		if (packed == NULL)
			return -1;
		len = answer_pack(&answer->body, answer->len, packed);
	}
	result = store_run(&ledger->store,
	    "INSERT INTO entry (id, at, kind, attempt, sequence, answer)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	    VALUES(value_integer((int64_t)ledger->entry),
		value_integer(ledger->now_ms), value_text(kind),
		value_reference(header->attempt),
		resent ? value_integer(header->sequence) : value_null(),
		value_blob(packed != NULL ? (const void *)packed : "", len)));
	free(packed);
	return result;
}
