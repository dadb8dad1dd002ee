#include "device/transcript.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"

enum {
	LINE_MAX_LEN = 512,	  /* of escaped bytes on one line */
	ITEM_MAX_LEN = 96,	  /* what one byte or one secret becomes */
	PENDING_SIZE = 48 * 1024, /* more than the longest secret */
	SECRET_VALUE_MAX = 16 * 1024,
	SECRETS_BYTES = 256 * 1024,
	SECRET_MIN = 4,
	WINDOW_LEN = 12, /* bytes of a secret that already tell */
	PART_MIN = 4,	 /* bytes of a secret's beginning that stay hidden */
};

struct secret_value {
	char name[33];
	const uint8_t *bytes; /* into secret memory */
	size_t len;
};

/* What came in one direction and is not written yet. */
struct stream {
	char mark;
	uint8_t pending[PENDING_SIZE]; /* may yet become a secret */
	size_t pending_len;
	char line[LINE_MAX_LEN]; /* decided and escaped */
	size_t line_len;
	bool binary;	 /* it is no text: LF means nothing */
	int64_t line_us; /* when its first byte came */
};

struct transcript {
	int fd;
	size_t max, used;
	bool full;
	int64_t start_us;
	struct secret_value secrets[TRANSCRIPT_SECRETS_MAX];
	size_t secret_count;
	bool first[256]; /* some secret begins with this byte */
	uint8_t *store;	 /* secret memory of SECRETS_BYTES */
	size_t store_len;
	struct stream streams[2]; /* by enum port_direction */
};

struct transcript *
transcript_new(int fd, size_t max)
{
	/* Pending bytes may be parts of secrets: all of it is secret. */
	struct transcript *transcript = locked_new(sizeof(*transcript));

	if (transcript == NULL)
		return NULL;
	transcript->store = locked_new(SECRETS_BYTES);
	if (transcript->store == NULL) {
		locked_free(transcript);
		return NULL;
	}
	transcript->fd = fd;
	transcript->max = max;
	transcript->start_us = clock_monotonic_us();
	transcript->streams[PORT_SENT].mark = '>';
	transcript->streams[PORT_RECEIVED].mark = '<';
	return transcript;
}

/* One line of the file; a failed write ends the transcript. */
static void
line_put(struct transcript *transcript, int64_t at_us, char mark,
    const char *text, size_t len)
{
	static const char over[] =
	    "         # the transcript is full: the rest is left out\n";
	char head[32];
	int64_t ms = (at_us - transcript->start_us) / 1000;
	int head_len;

	if (transcript->full || transcript->fd < 0)
		return;
	head_len = snprintf(head, sizeof(head), "%8lld.%03lld %c ",
	    (long long)(ms / 1000), (long long)(ms % 1000), mark);
	if (transcript->used + (size_t)head_len + len + 1 > transcript->max) {
		transcript->full = true;
		(void)file_write_all(transcript->fd, over, sizeof(over) - 1);
		return;
	}
	transcript->used += (size_t)head_len + len + 1;
	if (file_write_all(transcript->fd, head, (size_t)head_len) != 0 ||
	    file_write_all(transcript->fd, text, len) != 0 ||
	    file_write_all(transcript->fd, "\n", 1) != 0)
		transcript->full = true;
}

static void
stream_line_end(struct transcript *transcript, struct stream *stream)
{
	char quoted[LINE_MAX_LEN + 2];

	if (stream->line_len == 0)
		return;
	quoted[0] = '"';
	memcpy(quoted + 1, stream->line, stream->line_len);
	quoted[stream->line_len + 1] = '"';
	line_put(transcript, stream->line_us, stream->mark, quoted,
	    stream->line_len + 2);
	stream->line_len = 0;
	stream->binary = false;
}

static void
stream_text(
    struct transcript *transcript, struct stream *stream, const char *text)
{
	struct stream *other = stream == &transcript->streams[PORT_SENT]
				   ? &transcript->streams[PORT_RECEIVED]
				   : &transcript->streams[PORT_SENT];
	size_t len = strlen(text);

	/* Keeps the order of a conversation. */
	stream_line_end(transcript, other);
	if (stream->line_len + len > sizeof(stream->line))
		stream_line_end(transcript, stream);
	if (stream->line_len == 0)
		stream->line_us = clock_monotonic_us();
	memcpy(stream->line + stream->line_len, text, len);
	stream->line_len += len;
}

static void
stream_byte(struct transcript *transcript, struct stream *stream, uint8_t byte)
{
	char text[8];

	switch (byte) {
	case '\n':
		stream_text(transcript, stream, "\\n");
		if (!stream->binary)
			stream_line_end(transcript, stream);
		return;
	case '\r':
		stream_text(transcript, stream, "\\r");
		return;
	case '"':
		stream_text(transcript, stream, "\\\"");
		return;
	case '\\':
		stream_text(transcript, stream, "\\\\");
		return;
	default:
		if (byte >= 0x80)
			stream->binary = true;
		snprintf(text, sizeof(text),
		    byte >= 0x20 && byte <= 0x7e ? "%c" : "\\x%02x", byte);
		stream_text(transcript, stream, text);
	}
}

static void
stream_secret(struct transcript *transcript, struct stream *stream,
    const struct secret_value *secret, size_t len)
{
	char text[ITEM_MAX_LEN];

	if (len == secret->len)
		snprintf(text, sizeof(text), "‹secret %s %zu bytes›",
		    secret->name, len);
	else
		snprintf(text, sizeof(text), "‹part of secret %s %zu bytes›",
		    secret->name, len);
	stream_text(transcript, stream, text);
}

/*
 * The longest secret that bytes begin with, or the one of which they may be
 * the beginning (*partial).
 */
static const struct secret_value *
secret_find(const struct transcript *transcript, const uint8_t *bytes,
    size_t len, const struct secret_value **partial)
{
	const struct secret_value *found = NULL, *secret;
	size_t i;

	*partial = NULL;
	if (!transcript->first[bytes[0]])
		return NULL;
	for (i = 0; i < transcript->secret_count; i++) {
		secret = &transcript->secrets[i];
		if (secret->len <= len) {
			if ((found == NULL || secret->len > found->len) &&
			    memcmp(secret->bytes, bytes, secret->len) == 0)
				found = secret;
		} else if (*partial == NULL &&
			   memcmp(secret->bytes, bytes, len) == 0) {
			*partial = secret;
		}
	}
	return found;
}

/* Decides about pending bytes; with `all` nothing is held back. */
static void
stream_decide(struct transcript *transcript, struct stream *stream, bool all)
{
	const struct secret_value *secret, *partial;
	size_t at = 0, left;

	while (at < stream->pending_len) {
		left = stream->pending_len - at;
		secret = secret_find(
		    transcript, stream->pending + at, left, &partial);
		if (partial != NULL && !all)
			break;
		if (secret == NULL && partial != NULL && left >= PART_MIN) {
			stream_secret(transcript, stream, partial, left);
			at += left;
		} else if (secret != NULL) {
			stream_secret(transcript, stream, secret, secret->len);
			at += secret->len;
		} else {
			stream_byte(transcript, stream, stream->pending[at++]);
		}
	}
	stream->pending_len -= at;
	memmove(stream->pending, stream->pending + at, stream->pending_len);
}

void
transcript_bytes(
    void *arg, enum port_direction direction, const void *from, size_t len)
{
	struct transcript *transcript = arg;
	struct stream *stream = &transcript->streams[direction];
	const uint8_t *bytes = from;
	size_t part;

	if (transcript->full || transcript->fd < 0)
		return;
	while (len > 0) {
		part = sizeof(stream->pending) - stream->pending_len;
		if (part > len)
			part = len;
		memcpy(stream->pending + stream->pending_len, bytes, part);
		stream->pending_len += part;
		bytes += part;
		len -= part;
		stream_decide(transcript, stream, false);
	}
}

void
transcript_note(struct transcript *transcript, const char *format, ...)
{
	char raw[400], text[LINE_MAX_LEN];
	va_list arguments;
	size_t i, len;

	if (transcript == NULL)
		return;
	stream_line_end(transcript, &transcript->streams[PORT_SENT]);
	stream_line_end(transcript, &transcript->streams[PORT_RECEIVED]);
	va_start(arguments, format);
	(void)vsnprintf(raw, sizeof(raw), format, arguments);
	va_end(arguments);
	len = strlen(raw);
	for (i = 0; i < len; i++)
		text[i] = (char)((unsigned char)raw[i] < 0x20 || raw[i] == 0x7f
				     ? '?'
				     : raw[i]);
	line_put(transcript, clock_monotonic_us(), '#', text, len);
}

void
transcript_flush(struct transcript *transcript)
{
	int i;

	if (transcript == NULL)
		return;
	for (i = 0; i < 2; i++) {
		stream_decide(transcript, &transcript->streams[i], true);
		stream_line_end(transcript, &transcript->streams[i]);
	}
}

void
transcript_free(struct transcript *transcript)
{
	if (transcript == NULL)
		return;
	transcript_flush(transcript);
	locked_free(transcript->store);
	locked_free(transcript);
}

static int
secret_add(struct transcript *transcript, const char *name,
    const uint8_t *value, size_t len, struct fault *fault)
{
	struct secret_value *secret;
	size_t i;

	for (i = 0; i < transcript->secret_count; i++)
		if (transcript->secrets[i].len == len &&
		    memcmp(transcript->secrets[i].bytes, value, len) == 0)
			return 0;
	if (transcript->secret_count == TRANSCRIPT_SECRETS_MAX ||
	    len > SECRETS_BYTES - transcript->store_len)
		return fault_set(
		    fault, CAUSE_INTERNAL, "too many secrets in one attempt");
	secret = &transcript->secrets[transcript->secret_count++];
	snprintf(secret->name, sizeof(secret->name), "%s", name);
	memcpy(transcript->store + transcript->store_len, value, len);
	secret->bytes = transcript->store + transcript->store_len;
	secret->len = len;
	transcript->store_len += len;
	transcript->first[value[0]] = true;
	return 0;
}

int
transcript_hide(struct transcript *transcript, const char *name,
    const void *value, size_t len, struct fault *fault)
{
	const uint8_t *bytes = value, *line, *end;
	size_t line_len;

	if (transcript == NULL)
		return 0;
	if (len < SECRET_MIN || len > SECRET_VALUE_MAX)
		return fault_set(fault, CAUSE_INTERNAL,
		    "secret %s has %zu bytes; %d to %d can be hidden", name,
		    len, SECRET_MIN, SECRET_VALUE_MAX);
	if (secret_add(transcript, name, bytes, len, fault) != 0)
		return -1;
	/* Consoles take and echo long values line by line. The frame of a
	 * PEM is no secret: hiding it would hide it everywhere. */
	for (line = bytes; line < bytes + len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(bytes + len - line));
		if (end == NULL)
			end = bytes + len;
		line_len = (size_t)(end - line);
		if (line_len > 0 && line[line_len - 1] == '\r')
			line_len--;
		if (line_len >= SECRET_LINE_MIN && line_len < len &&
		    memcmp(line, "-----", 5) != 0 &&
		    secret_add(transcript, name, line, line_len, fault) != 0)
			return -1;
	}
	return 0;
}

bool
transcript_holds_secret(
    const struct transcript *transcript, const void *text, size_t len)
{
	const struct secret_value *secret;
	size_t i, at, window;

	for (i = 0; i < transcript->secret_count; i++) {
		secret = &transcript->secrets[i];
		window = secret->len < WINDOW_LEN ? secret->len : WINDOW_LEN;
		/* Of several lines each is listed, but a PEM's frame: that
		 * is no secret. */
		if (memchr(secret->bytes, '\n', secret->len) != NULL)
			window = secret->len;
		for (at = 0; at + window <= secret->len; at++)
			if (memmem(text, len, secret->bytes + at, window) !=
			    NULL)
				return true;
	}
	return false;
}
