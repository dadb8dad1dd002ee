/*
 * An answer of fleet provisioning: first a byte for the operation and for
 * accepted or rejected, then the payload.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/fleet_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
line_check(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text > 0x7e)
			abort();
}

static void
accepted_check(
    enum fleet_operation operation, const struct fleet_answer *answer)
{
	if (operation == FLEET_PROVISION) {
		if (answer->thing[0] == '\0')
			abort();
		return;
	}
	if (answer->token[0] == '\0' || answer->certificate[0] == '\0' ||
	    strlen(answer->made.id) != CERTIFICATE_ID_LEN - 1 ||
	    (operation == FLEET_CREATE_KEYS) != (answer->key[0] != '\0'))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fleet_answer *answer = malloc(sizeof(*answer));
	struct fault fault = {0};
	enum fleet_operation operation;
	char *text;
	int result;

	if (answer == NULL)
		abort();
	if (len == 0) {
		free(answer);
		return 0;
	}
	operation = (enum fleet_operation)(data[0] / 2 % FLEET_OPERATION_COUNT);
	/* A copy of exactly that size: one byte too far is seen. */
	text = malloc(len > 1 ? len - 1 : 1);
	if (text == NULL)
		abort();
	memcpy(text, data + 1, len - 1);
	result = fleet_answer_read(
	    operation, data[0] % 2 != 0, text, len - 1, answer, &fault);
	if ((result == 0) != (fault.cause == CAUSE_NONE) ||
	    answer->accepted != (data[0] % 2 != 0))
		abort();
	if (result == 0 && answer->accepted)
		accepted_check(operation, answer);
	line_check(answer->code);
	line_check(answer->message);
	free(text);
	free(answer);
	return 0;
}
