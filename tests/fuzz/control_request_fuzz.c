/* A request line from any client. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_head head;
	char error[256] = "";
	const char *line = (const char *)data;

	if (control_head_parse(line, size, &head, error, sizeof(error)) == -1) {
		/* An error is always said, in bytes that JSON can hold. */
		if (error[0] == '\0' || head.json != NULL)
			abort();
		for (const char *c = error; *c != '\0'; c++)
			if (*c < 0x20 || *c > 0x7e)
				abort();
		return 0;
	}
	if (head.id < 1 || head.command == NULL || strlen(head.command) > size)
		abort();
	control_head_free(&head);
	return 0;
}
