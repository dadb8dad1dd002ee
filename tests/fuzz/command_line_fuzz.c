/* A credential_process as somebody may have written it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/command_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);
	struct command_line line;
	struct fault fault = {0};
	size_t sum = 0;

	if (text == NULL)
		abort();
	memcpy(text, data, len);
	text[len] = '\0';
	if (command_line_split(&line, text, &fault) == -1) {
		if (fault.cause != CAUSE_CLOUD_CREDENTIALS || line.text != NULL)
			abort();
	} else {
		if (line.count == 0 || line.words[line.count] != NULL)
			abort();
		for (size_t i = 0; i < line.count; i++)
			sum += strlen(line.words[i]) + 1;
		/* No word has more than was written. */
		if (sum > strlen(text) + 1)
			abort();
		command_line_free(&line);
	}
	free(text);
	return 0;
}
