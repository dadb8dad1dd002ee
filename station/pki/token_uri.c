#include "pki/token_uri.h"

#include <string.h>

#include "base/buf.h"

static const char scheme[] = "pkcs11:";

enum {
	VALUE_MAX = TOKEN_ID_MAX,
	NAME_MOST = 16,
};

/* A value without its percent signs: bytes, of which none need be text. */
struct value {
	uint8_t bytes[VALUE_MAX];
	size_t len;
};

bool
token_uri_is(const char *text)
{
	return strncmp(text, scheme, strlen(scheme)) == 0;
}

/* RFC 7512, 2.3: pk11-pchar without pct-encoded. */
static bool
is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') ||
	       (c != '\0' && strchr("-._~:[]@!$'()*+,=&", c) != NULL);
}

static bool
value_decode(const char *from, size_t len, struct value *value)
{
	char pair[3] = "";
	size_t i = 0;

	value->len = 0;
	while (i < len) {
		if (value->len == sizeof(value->bytes))
			return false;
		if (from[i] == '%') {
			if (len - i < 3)
				return false;
			memcpy(pair, from + i + 1, 2);
			if (hex_decode(&value->bytes[value->len], 1, pair) ==
			    -1)
				return false;
			i += 3;
		} else if (is_plain(from[i])) {
			value->bytes[value->len] = (uint8_t)from[i++];
		} else {
			return false;
		}
		value->len++;
	}
	return value->len > 0;
}

/* Texts of a token are UTF-8 without control characters. */
static bool
value_text(const struct value *value, char *to, size_t size)
{
	const char *from = (const char *)value->bytes;
	size_t len;

	if (value->len >= size || to[0] != '\0')
		return false;
	for (size_t i = 0; i < value->len; i += len) {
		len = text_character_len(from + i, value->len - i);
		if (len == 0)
			return false;
	}
	memcpy(to, from, value->len);
	to[value->len] = '\0';
	return true;
}

static const char *
attribute_set(
    struct token_uri *uri, const char *name, const struct value *value)
{
	static const char wrong[] =
	    "has an attribute that is empty, there twice, or too long";
	struct {
		const char *name;
		char *to;
		size_t size;
	} const texts[] = {
	    {"token", uri->token, sizeof(uri->token)},
	    {"manufacturer", uri->manufacturer, sizeof(uri->manufacturer)},
	    {"model", uri->model, sizeof(uri->model)},
	    {"serial", uri->serial, sizeof(uri->serial)},
	    {"object", uri->object, sizeof(uri->object)},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].name, name) == 0)
			return value_text(value, texts[i].to, texts[i].size)
				   ? NULL
				   : wrong;
	if (strcmp(name, "id") == 0) {
		if (uri->id_len != 0)
			return wrong;
		memcpy(uri->id, value->bytes, value->len);
		uri->id_len = value->len;
		return NULL;
	}
	if (strcmp(name, "type") == 0)
		return value->len == 7 &&
			       memcmp(value->bytes, "private", 7) == 0
			   ? NULL
			   : "names something else than a private key: "
			     "type=private is accepted";
	return "has an attribute that is not known; token, manufacturer, "
	       "model, serial, object, id and type are";
}

static const char *
attribute_parse(struct token_uri *uri, const char *from, size_t len)
{
	const char *equals = memchr(from, '=', len);
	char name[NAME_MOST + 1] = "";
	struct value value;
	size_t name_len;

	if (equals == NULL)
		return "has an attribute without \"=\"";
	name_len = (size_t)(equals - from);
	if (name_len > NAME_MOST)
		return attribute_set(uri, "", &(struct value){.len = 0});
	memcpy(name, from, name_len);
	if (!value_decode(equals + 1, len - name_len - 1, &value))
		return "has an attribute that is empty, too long, or of bytes "
		       "that want a percent sign";
	return attribute_set(uri, name, &value);
}

const char *
token_uri_parse(const char *text, struct token_uri *uri)
{
	const char *at, *end, *wrong;

	memset(uri, 0, sizeof(*uri));
	if (!token_uri_is(text))
		return "does not begin with \"pkcs11:\"";
	if (strchr(text, '?') != NULL)
		return "has a query; the PIN comes from pin_file, the module "
		       "from station.yaml";
	at = text + strlen(scheme);
	do {
		end = at + strcspn(at, ";");
		wrong = attribute_parse(uri, at, (size_t)(end - at));
		if (wrong != NULL)
			return wrong;
		at = end + 1;
	} while (*end != '\0');
	if (uri->object[0] == '\0' && uri->id_len == 0)
		return "names no key: object= or id= does";
	return NULL;
}
