#include "device/transform.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "device/encode.h"

enum {
	ARGUMENT_LEN = 64,
	DIGEST_LEN = 32
};

/* A value and where its successor goes. */
struct change {
	const char *argument;
	const uint8_t *from;
	size_t len;
	uint8_t *to;
	size_t size;
};

static long
change_copy(const struct change *change, size_t len)
{
	if (len > change->size)
		return -1;
	memcpy(change->to, change->from, len);
	return (long)len;
}

static long
to_sha256(const struct change *change)
{
	unsigned len = 0;

	if (change->size < DIGEST_LEN ||
	    EVP_Digest(change->from, change->len, change->to, &len,
		EVP_sha256(), NULL) != 1)
		return -1;
	return (long)len;
}

static long
to_hex(const struct change *change)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	if (change->len > change->size / 2)
		return -1;
	for (i = 0; i < change->len; i++) {
		change->to[2 * i] = (uint8_t)digits[change->from[i] >> 4];
		change->to[2 * i + 1] = (uint8_t)digits[change->from[i] & 15];
	}
	return (long)(2 * change->len);
}

static long
to_upper(const struct change *change)
{
	long len = change_copy(change, change->len), i;

	for (i = 0; i < len; i++)
		change->to[i] = (uint8_t)toupper(change->to[i]);
	return len;
}

static long
to_lower(const struct change *change)
{
	long len = change_copy(change, change->len), i;

	for (i = 0; i < len; i++)
		change->to[i] = (uint8_t)tolower(change->to[i]);
	return len;
}

static long
to_b64(const struct change *change)
{
	return base64_encode(
	    (char *)change->to, change->size, change->from, change->len);
}

static long
b64_decode(const struct change *change)
{
	return base64_decode(change->to, change->size,
	    (const char *)change->from, change->len, false);
}

static long
b64url_decode(const struct change *change)
{
	return base64_decode(change->to, change->size,
	    (const char *)change->from, change->len, true);
}

static long
to_trim(const struct change *change)
{
	struct change rest = *change;

	while (rest.len > 0 && isspace(rest.from[0])) {
		rest.from++;
		rest.len--;
	}
	while (rest.len > 0 && isspace(rest.from[rest.len - 1]))
		rest.len--;
	return change_copy(&rest, rest.len);
}

static long
to_nul(const struct change *change)
{
	long len = change_copy(change, change->len);

	if (len < 0 || (size_t)len == change->size)
		return -1;
	change->to[len] = 0;
	return len + 1;
}

static long
to_der(const struct change *change)
{
	return pem_to_der(
	    change->to, change->size, (const char *)change->from, change->len);
}

static long
to_pem(const struct change *change)
{
	return pem_encode((char *)change->to, change->size, change->argument,
	    change->from, change->len);
}

/* "SEPARATOR:INDEX" of a split; -1 when it is not of that form. */
static int
split_read(const char *argument, size_t *separator_len, size_t *index)
{
	const char *colon = strrchr(argument, ':'), *at;

	if (colon == NULL || colon == argument || colon[1] == '\0')
		return -1;
	*separator_len = (size_t)(colon - argument);
	*index = 0;
	for (at = colon + 1; *at != '\0'; at++) {
		if (!isdigit((unsigned char)*at) || *index > 99)
			return -1;
		*index = *index * 10 + (size_t)(*at - '0');
	}
	return 0;
}

static long
to_split(const struct change *change)
{
	struct change part = *change;
	size_t separator_len, index;
	const uint8_t *next;

	if (split_read(change->argument, &separator_len, &index) != 0)
		return -1;
	for (;; index--) {
		next = part.len == 0 ? NULL
				     : memmem(part.from, part.len,
					   change->argument, separator_len);
		if (index == 0)
			break;
		if (next == NULL)
			return -1;
		part.len -= (size_t)(next - part.from) + separator_len;
		part.from = next + separator_len;
	}
	if (next != NULL)
		part.len = (size_t)(next - part.from);
	return change_copy(&part, part.len);
}

/* Quoted, so that it matches itself in a pattern. */
static long
to_pattern(const struct change *change)
{
	size_t i, at = 0;
	uint8_t byte;

	for (i = 0; i < change->len; i++) {
		byte = change->from[i];
		if (change->size - at < 2 || byte == 0)
			return -1;
		if (!isalnum(byte) && byte != '_' && byte < 0x80)
			change->to[at++] = '\\';
		change->to[at++] = byte;
	}
	return (long)at;
}

static long
to_eol(const struct change *change)
{
	const char *end = "\n";
	size_t i, at = 0, end_len;

	if (strcmp(change->argument, "crlf") == 0)
		end = "\r\n";
	else if (strcmp(change->argument, "escaped") == 0)
		end = "\\n";
	end_len = strlen(end);
	for (i = 0; i < change->len; i++) {
		if (change->from[i] == '\r' && i + 1 < change->len &&
		    change->from[i + 1] == '\n')
			continue;
		if (change->size - at < end_len)
			return -1;
		if (change->from[i] == '\n') {
			memcpy(change->to + at, end, end_len);
			at += end_len;
		} else {
			change->to[at++] = change->from[i];
		}
	}
	return (long)at;
}

static bool
is_pem_label(const char *argument)
{
	return argument[0] != '\0' &&
	       argument[strspn(
		   argument, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ")] == '\0';
}

static bool
is_split(const char *argument)
{
	size_t separator_len, index;

	return split_read(argument, &separator_len, &index) == 0;
}

static bool
is_eol(const char *argument)
{
	return strcmp(argument, "lf") == 0 || strcmp(argument, "crlf") == 0 ||
	       strcmp(argument, "escaped") == 0;
}

static const struct transform {
	const char *name;
	long (*apply)(const struct change *);
	bool (*is_good)(const char *argument); /* null: takes none */
} transforms[] = {
    {"sha256", to_sha256, NULL},
    {"hex", to_hex, NULL},
    {"upper", to_upper, NULL},
    {"lower", to_lower, NULL},
    {"b64", to_b64, NULL},
    {"b64_decode", b64_decode, NULL},
    {"b64url_decode", b64url_decode, NULL},
    {"trim", to_trim, NULL},
    {"nul", to_nul, NULL},
    {"der", to_der, NULL},
    {"pem", to_pem, is_pem_label},
    {"split", to_split, is_split},
    {"re", to_pattern, NULL},
    {"eol", to_eol, is_eol},
};

/* Null when unknown or the argument is bad. */
static const struct transform *
transform_find(const char *spec, size_t spec_len, char argument[ARGUMENT_LEN])
{
	const char *colon = memchr(spec, ':', spec_len);
	size_t name_len, rest, i;

	name_len = colon != NULL ? (size_t)(colon - spec) : spec_len;
	rest = colon != NULL ? spec_len - name_len - 1 : 0;
	if (rest >= ARGUMENT_LEN)
		return NULL;
	if (colon != NULL)
		memcpy(argument, colon + 1, rest);
	argument[rest] = '\0';
	for (i = 0; i < sizeof(transforms) / sizeof(transforms[0]); i++) {
		if (strlen(transforms[i].name) != name_len ||
		    memcmp(transforms[i].name, spec, name_len) != 0)
			continue;
		if (transforms[i].is_good == NULL)
			return colon == NULL ? &transforms[i] : NULL;
		return colon != NULL && transforms[i].is_good(argument)
			   ? &transforms[i]
			   : NULL;
	}
	return NULL;
}

const char *
transform_error(const char *spec, size_t spec_len)
{
	char argument[ARGUMENT_LEN];

	if (transform_find(spec, spec_len, argument) != NULL)
		return NULL;
	return "unknown transform; accepted are sha256, hex, upper, lower, "
	       "b64, b64_decode, b64url_decode, trim, nul, der, pem:LABEL, "
	       "split:SEPARATOR:INDEX, re, eol:lf, eol:crlf, eol:escaped";
}

long
transform_apply(const char *spec, size_t spec_len, const uint8_t *from,
    size_t len, uint8_t *to, size_t size)
{
	char argument[ARGUMENT_LEN];
	const struct transform *transform;
	struct change change = {argument, from, len, to, size};

	transform = transform_find(spec, spec_len, argument);
	return transform != NULL ? transform->apply(&change) : -1;
}
