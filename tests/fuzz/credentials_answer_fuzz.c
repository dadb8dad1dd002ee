/*
 * What a source of credentials may answer. The first byte chooses the source.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/credentials_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What goes into a header cannot end it. */
static void
key_check(const char *key, size_t size)
{
	size_t len = strnlen(key, size);

	if (len == size)
		abort();
	for (size_t i = 0; i < len; i++) {
		if (key[i] <= ' ' || key[i] > '~')
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct credentials found;
	static const struct credentials none;
	struct fault fault = {0};
	char *text;
	int result;

	if (len == 0)
		return 0;
	/* Not a byte more than there is. */
	text = malloc(len > 1 ? len - 1 : 1);
	if (text == NULL)
		abort();
	memcpy(text, data + 1, len - 1);
	result = credentials_answer((enum credentials_answer_kind)(data[0] & 3),
	    text, len - 1, &found, &fault);
	if ((result == -1) != (fault.cause == CAUSE_CLOUD_CREDENTIALS))
		abort();
	if (result == -1 && memcmp(&found, &none, sizeof(none)) != 0)
		abort();
	if (result == 0 &&
	    (found.access_key[0] == '\0' || found.secret_key[0] == '\0'))
		abort();
	key_check(found.access_key, sizeof(found.access_key));
	key_check(found.secret_key, sizeof(found.secret_key));
	key_check(found.session_token, sizeof(found.session_token));
	free(text);
	return 0;
}
