/* Any bytes as a manifest; what is accepted must be a whole memory file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lot/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems;
	struct manifest_view view;
	struct fault fault;
	uint32_t rows;
	char value[64];
	char *copy = malloc(size + 1);
	int fd;

	if (copy == NULL)
		return 0;
	if (size > 0)
		memcpy(copy, data, size);
	copy[size] = '\0';
	problems_init(&problems);
	fd = manifest_convert("m.csv", copy, size, &rows, &problems);
	if ((fd >= 0) != (problems.count == 0))
		abort();
	if (fd >= 0) {
		if (manifest_map(fd, &view, &fault) != 0 ||
		    view.header->rows != rows || rows == 0)
			abort();
		for (uint32_t at = 0; at < rows; at++) {
			const struct manifest_row *row = &view.row[at];

			if (view.pool[row->serial] == '\0' ||
			    view.pool[row->extra] != '{')
				abort();
			(void)manifest_extra_get(view.pool + row->extra, "rev",
			    value, sizeof(value));
		}
		manifest_unmap(&view);
		close(fd);
	}
	/* The same bytes as the JSON that another role may be given. */
	if (size > 0)
		memcpy(copy, data, size);
	(void)manifest_extra_get(copy, "rev", value, sizeof(value));
	problems_free(&problems);
	free(copy);
	return 0;
}
