/* The helpers on text that buf.h declares. */
#include "base/buf.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

int
text_copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from), kept;

	if (size == 0)
		return -1;
	kept = len < size ? len : size - 1;
	memmove(to, from, kept);
	to[kept] = '\0';
	return kept == len ? 0 : -1;
}

bool
text_equal(const char *one, const char *other)
{
	if (one == NULL || other == NULL)
		return one == other;
	return strcmp(one, other) == 0;
}

void
hex_encode(char *to, const uint8_t *from, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		to[2 * i] = hex_digits[from[i] >> 4];
		to[2 * i + 1] = hex_digits[from[i] & 15];
	}
	to[2 * len] = '\0';
}

static int
hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

int
hex_decode(uint8_t *to, size_t len, const char *text)
{
	size_t i;
	int high, low;

	if (strlen(text) != 2 * len)
		return -1;
	for (i = 0; i < len; i++) {
		high = hex_value(text[2 * i]);
		low = hex_value(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return -1;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

void
text_escape(char *to, size_t size, const void *from, size_t len)
{
	const uint8_t *bytes = from;
	size_t i, at = 0;

	if (size == 0)
		return;
	for (i = 0; i < len; i++) {
		if (bytes[i] >= 0x20 && bytes[i] <= 0x7e && bytes[i] != '\\') {
			if (size - at < 2)
				break;
			to[at++] = (char)bytes[i];
			continue;
		}
		if (size - at < 5)
			break;
		to[at++] = '\\';
		to[at++] = 'x';
		to[at++] = hex_digits[bytes[i] >> 4];
		to[at++] = hex_digits[bytes[i] & 15];
	}
	to[at] = '\0';
}

/* Bytes that a first byte announces, or 0: RFC 3629, section 4. */
static size_t
utf8_announced(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

/* How many of the bytes, at most `announced`, go on a valid sequence. */
static size_t
utf8_good(const uint8_t *bytes, size_t announced, size_t len)
{
	uint8_t least = 0x80, most = 0xbf;
	size_t i;

	/* Overlong forms, surrogates and what lies above U+10FFFF. */
	if (bytes[0] == 0xe0)
		least = 0xa0;
	else if (bytes[0] == 0xed)
		most = 0x9f;
	else if (bytes[0] == 0xf0)
		least = 0x90;
	else if (bytes[0] == 0xf4)
		most = 0x8f;
	for (i = 1; i < announced && i < len; i++) {
		if (bytes[i] < least || bytes[i] > most)
			break;
		least = 0x80;
		most = 0xbf;
	}
	return i;
}

size_t
text_character_len(const char *text, size_t len)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t announced;

	if (len == 0 || bytes[0] < 0x20 || bytes[0] == 0x7f)
		return 0;
	announced = utf8_announced(bytes[0]);
	if (announced == 0 || utf8_good(bytes, announced, len) < announced)
		return 0;
	if (bytes[0] == 0xc2 && bytes[1] < 0xa0)
		return 0;
	return announced;
}

bool
text_is_cut(const char *text, size_t len)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t announced;

	if (len == 0)
		return false;
	announced = utf8_announced(bytes[0]);
	return len < announced && utf8_good(bytes, announced, len) == len;
}
