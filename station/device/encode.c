#include "device/encode.h"

#include <stdio.h>
#include <string.h>

enum {
	PEM_LINE_BYTES = 48,
	BAD_DIGIT = -1
};

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

long
base64_encode(char *to, size_t size, const uint8_t *from, size_t len)
{
	size_t at = 0, i;
	uint32_t group;

	if (len > SIZE_MAX / 2 || size < (len + 2) / 3 * 4)
		return -1;
	for (i = 0; i < len; i += 3) {
		group = (uint32_t)from[i] << 16;
		if (i + 1 < len)
			group |= (uint32_t)from[i + 1] << 8;
		if (i + 2 < len)
			group |= from[i + 2];
		to[at++] = digits[group >> 18 & 63];
		to[at++] = digits[group >> 12 & 63];
		to[at++] = i + 1 < len ? digits[group >> 6 & 63] : '=';
		to[at++] = i + 2 < len ? digits[group & 63] : '=';
	}
	return (long)at;
}

static int
digit_value(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	if (c == (url ? '_' : '/'))
		return 63;
	return BAD_DIGIT;
}

long
base64_decode(uint8_t *to, size_t size, const char *from, size_t len, bool url)
{
	size_t at = 0, i, count = 0, padding = 0;
	uint32_t group = 0;
	int value;

	for (i = 0; i < len; i++) {
		if (strchr("\r\n\t ", from[i]) != NULL && from[i] != '\0')
			continue;
		if (from[i] == '=') {
			padding++;
			continue;
		}
		value = digit_value(from[i], url);
		if (value == BAD_DIGIT || padding > 0)
			return -1;
		group = group << 6 | (uint32_t)value;
		count++;
		if (count % 4 == 0) {
			if (size - at < 3)
				return -1;
			to[at++] = (uint8_t)(group >> 16);
			to[at++] = (uint8_t)(group >> 8);
			to[at++] = (uint8_t)group;
		}
	}
	if (count % 4 == 1 || padding > 2 ||
	    (padding > 0 && (count + padding) % 4 != 0))
		return -1;
	/* Two digits left carry one byte, three carry two. */
	if (count % 4 != 0) {
		if (size - at < count % 4 - 1)
			return -1;
		group <<= 6 * (4 - count % 4);
		to[at++] = (uint8_t)(group >> 16);
		if (count % 4 == 3)
			to[at++] = (uint8_t)(group >> 8);
	}
	return (long)at;
}

/* memmem(3) for texts. */
static const char *
find(const char *in, size_t len, const char *what)
{
	return memmem(in, len, what, strlen(what));
}

long
pem_to_der(uint8_t *to, size_t size, const char *from, size_t len)
{
	const char *begin, *body, *end, *stop = from + len;

	begin = find(from, len, "-----BEGIN ");
	if (begin == NULL)
		return -1;
	body = memchr(begin, '\n', (size_t)(stop - begin));
	if (body == NULL)
		return -1;
	body++;
	end = find(body, (size_t)(stop - body), "-----END ");
	if (end == NULL)
		return -1;
	return base64_decode(to, size, body, (size_t)(end - body), false);
}

long
pem_encode(
    char *to, size_t size, const char *label, const uint8_t *from, size_t len)
{
	size_t at, i, part;
	long written;
	int head;

	head = snprintf(to, size, "-----BEGIN %s-----\n", label);
	if (head < 0 || (size_t)head >= size)
		return -1;
	at = (size_t)head;
	for (i = 0; i < len; i += part) {
		part = len - i < PEM_LINE_BYTES ? len - i : PEM_LINE_BYTES;
		written = base64_encode(to + at, size - at, from + i, part);
		if (written < 0 || size - at - (size_t)written < 1)
			return -1;
		at += (size_t)written;
		to[at++] = '\n';
	}
	head = snprintf(to + at, size - at, "-----END %s-----\n", label);
	if (head < 0 || (size_t)head >= size - at)
		return -1;
	return (long)(at + (size_t)head);
}
