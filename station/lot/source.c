#include "lot/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
source_problem(
    struct problems *problems, const char *path, const struct fault *fault)
{
	const char *text = fault->text;
	size_t len = strlen(path);

	/* The file stands before the colon already. */
	if (strncmp(text, path, len) == 0 && strncmp(text + len, ": ", 2) == 0)
		text += len + 2;
	problems_add(problems, path, 0, 0, "%s", text);
}

int
source_read(const char *path, size_t max, char **data, size_t *len,
    struct digest *digest, struct problems *problems)
{
	struct fault fault;

	*data = NULL;
	fault_clear(&fault);
	if (access(path, R_OK) != 0) {
		problems_add(problems, path, 0, 0,
		    "cannot be read: %s; accepted is a file that the station "
		    "may read",
		    strerror(errno));
		return -1;
	}
	if (file_read(path, max, data, len, &fault) != 0) {
		*data = NULL;
		source_problem(problems, path, &fault);
		return -1;
	}
	if (digest == NULL || digest_bytes(*data, *len, digest) == 0)
		return 0;
	problems_add(problems, path, 0, 0, "its SHA-256 cannot be computed");
	free(*data);
	*data = NULL;
	return -1;
}
