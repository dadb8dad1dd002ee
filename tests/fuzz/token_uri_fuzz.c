/*
 * A URI of a lot that names a key in a token. What is accepted names a key,
 * and every text of it is one that ends and can be shown.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "pki/token_uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
text_check(const char *text, size_t size)
{
	size_t len = strnlen(text, size), at = 0, step;

	if (len == size)
		abort();
	for (; at < len; at += step) {
		step = text_character_len(text + at, len - at);
		if (step == 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);
	struct token_uri uri;
	const char *wrong;

	if (text == NULL)
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	wrong = token_uri_parse(text, &uri);
	if (wrong == NULL) {
		if (!token_uri_is(text) ||
		    (uri.object[0] == '\0' && uri.id_len == 0) ||
		    uri.id_len > sizeof(uri.id))
			abort();
		text_check(uri.token, sizeof(uri.token));
		text_check(uri.manufacturer, sizeof(uri.manufacturer));
		text_check(uri.model, sizeof(uri.model));
		text_check(uri.serial, sizeof(uri.serial));
		text_check(uri.object, sizeof(uri.object));
	} else if (wrong[0] == '\0') {
		abort();
	}
	free(text);
	return 0;
}
