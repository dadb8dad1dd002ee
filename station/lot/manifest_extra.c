#include "lot/manifest.h"

#include <stdbool.h>
#include <string.h>

struct json_text {
	const char *at;
	char *to; /* null: only skipped */
	size_t size;
	size_t len;
};

static void
skip_space(const char **at)
{
	*at += strspn(*at, " \t\r\n");
}

static bool
put_byte(struct json_text *text, unsigned byte)
{
	if (text->to == NULL)
		return true;
	if (text->len + 1 >= text->size)
		return false;
	text->to[text->len++] = (char)byte;
	return true;
}

static bool
put_character(struct json_text *text, unsigned code)
{
	if (code < 0x80)
		return put_byte(text, code);
	if (code < 0x800)
		return put_byte(text, 0xc0 | code >> 6) &&
		       put_byte(text, 0x80 | (code & 0x3f));
	if (code < 0x10000)
		return put_byte(text, 0xe0 | code >> 12) &&
		       put_byte(text, 0x80 | (code >> 6 & 0x3f)) &&
		       put_byte(text, 0x80 | (code & 0x3f));
	return put_byte(text, 0xf0 | code >> 18) &&
	       put_byte(text, 0x80 | (code >> 12 & 0x3f)) &&
	       put_byte(text, 0x80 | (code >> 6 & 0x3f)) &&
	       put_byte(text, 0x80 | (code & 0x3f));
}

/* Four hex digits behind "\u". */
static bool
read_unit(struct json_text *text, unsigned *unit)
{
	uint8_t bytes[2];
	char digits[5];

	if (strnlen(text->at, 4) < 4)
		return false;
	memcpy(digits, text->at, 4);
	digits[4] = '\0';
	if (hex_decode(bytes, sizeof(bytes), digits) != 0)
		return false;
	text->at += 4;
	*unit = (unsigned)bytes[0] << 8 | bytes[1];
	return true;
}

static bool
read_escaped_unicode(struct json_text *text)
{
	unsigned code, low;

	if (!read_unit(text, &code) || code == 0)
		return false;
	if (code >= 0xdc00 && code < 0xe000)
		return false;
	if (code >= 0xd800 && code < 0xdc00) {
		if (strncmp(text->at, "\\u", 2) != 0)
			return false;
		text->at += 2;
		if (!read_unit(text, &low) || low < 0xdc00 || low >= 0xe000)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	return put_character(text, code);
}

static bool
read_escape(struct json_text *text)
{
	static const char from[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (*text->at == 'u') {
		text->at++;
		return read_escaped_unicode(text);
	}
	found = *text->at == '\0' ? NULL : strchr(from, *text->at);
	if (found == NULL)
		return false;
	text->at++;
	return put_byte(text, (unsigned char)meant[found - from]);
}

/* A JSON text with its quotes, into text->to when that is not null. */
static bool
read_text(struct json_text *text)
{
	if (*text->at++ != '"')
		return false;
	while (*text->at != '"') {
		if ((unsigned char)*text->at < 0x20)
			return false;
		if (*text->at == '\\') {
			text->at++;
			if (!read_escape(text))
				return false;
		} else if (!put_byte(text, (unsigned char)*text->at++)) {
			return false;
		}
	}
	text->at++;
	if (text->to != NULL)
		text->to[text->len] = '\0';
	return true;
}

int
manifest_extra_get(const char *extra, const char *column, char *to, size_t size)
{
	char name[128];
	struct json_text key = {.to = name, .size = sizeof(name)};
	struct json_text value = {.to = NULL};
	bool found;

	skip_space(&extra);
	if (*extra++ != '{')
		return -1;
	for (;;) {
		skip_space(&extra);
		key.at = extra;
		key.len = 0;
		if (!read_text(&key))
			return -1;
		skip_space(&key.at);
		if (*key.at++ != ':')
			return -1;
		skip_space(&key.at);
		found = text_equal(name, column);
		value.at = key.at;
		value.to = found ? to : NULL;
		value.size = size;
		if (!read_text(&value))
			return -1;
		if (found)
			return (int)value.len;
		extra = value.at;
		skip_space(&extra);
		if (*extra++ != ',')
			return -1;
	}
}
