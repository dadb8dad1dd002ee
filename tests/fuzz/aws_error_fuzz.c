/*
 * An answer of AWS, or of whatever stands between: first a line with the
 * status, then a line with the header x-amzn-ErrorType, then the body.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/aws_error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The text before the next line break as a C string; owned. */
static char *
line_take(const uint8_t **data, size_t *len)
{
	const uint8_t *end = *len > 0 ? memchr(*data, '\n', *len) : NULL;
	size_t line_len = end != NULL ? (size_t)(end - *data) : *len;
	char *line = strndup((const char *)*data, line_len);

	*len -= end != NULL ? line_len + 1 : line_len;
	*data += end != NULL ? line_len + 1 : line_len;
	return line;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *status = line_take(&data, &len);
	char *header = line_take(&data, &len);
	char *body = malloc(len > 0 ? len : 1);
	struct aws_error error;
	char text[13];

	/* A copy of exactly that size: one byte too far is seen. */
	if (status == NULL || header == NULL || body == NULL)
		abort();
	memcpy(body, data, len);
	aws_error_read(&error, strtol(status, NULL, 10),
	    header[0] != '\0' ? header : NULL, body, len);
	if (error.cause == CAUSE_NONE || error.cause >= CAUSE_COUNT ||
	    strlen(error.name) >= sizeof(error.name) ||
	    strlen(error.message) >= sizeof(error.message) ||
	    strlen(error.request_id) >= sizeof(error.request_id))
		abort();
	for (const char *at = error.message; *at != '\0'; at++) {
		if (*at < 0x20 || *at > 0x7e)
			abort();
	}
	(void)aws_xml_text(body, len, "Account", text, sizeof(text));
	free(status);
	free(header);
	free(body);
	return 0;
}
