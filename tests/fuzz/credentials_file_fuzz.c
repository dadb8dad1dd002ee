/* A shared credentials or config file that somebody else has written. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/credentials_file.h"

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

static void
parse(const char *text, size_t len, enum credentials_file_kind kind,
    const char *profile)
{
	static struct credentials_profile found;
	static const struct credentials_profile none;
	struct fault fault = {0};
	int result =
	    credentials_parse("file", text, len, kind, profile, &found, &fault);

	if ((result == -1) != (fault.cause == CAUSE_CLOUD_CREDENTIALS) ||
	    (found.keys.access_key[0] != '\0') !=
		(found.keys.secret_key[0] != '\0'))
		abort();
	if ((result == -1 || !found.present) &&
	    memcmp(&found, &none, sizeof(none)) != 0)
		abort();
	key_check(found.keys.access_key, sizeof(found.keys.access_key));
	key_check(found.keys.secret_key, sizeof(found.keys.secret_key));
	key_check(found.keys.session_token, sizeof(found.keys.session_token));
	if (strnlen(
		found.credential_process, sizeof(found.credential_process)) ==
	    sizeof(found.credential_process))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);

	if (text == NULL)
		abort();
	memcpy(text, data, len);
	text[len] = '\0';
	parse(text, len, CREDENTIALS_FILE_SHARED, "default");
	parse(text, len, CREDENTIALS_FILE_SHARED, "bench");
	parse(text, len, CREDENTIALS_FILE_CONFIG, "bench");
	free(text);
	return 0;
}
