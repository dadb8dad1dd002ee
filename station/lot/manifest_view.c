#include "lot/manifest.h"

#include <string.h>
#include <sys/mman.h>

#include "base/file.h"

enum {
	MANIFEST_FILE_LEAST = sizeof(struct manifest_header) + 1
};

static bool
view_is_whole(const struct manifest_view *view)
{
	const struct manifest_header *header = view->header;
	uint64_t rows_end = sizeof(*header) + (uint64_t)header->rows *
						  sizeof(struct manifest_row);

	if (header->magic != MANIFEST_MAGIC ||
	    header->rows > MANIFEST_ROWS_MAX ||
	    header->pool_offset != rows_end || rows_end >= view->len ||
	    header->pool_len != view->len - rows_end ||
	    view->pool[header->pool_len - 1] != '\0')
		return false;
	for (uint32_t at = 0; at < header->rows; at++) {
		const struct manifest_row *row = &view->row[at];

		if (row->serial >= header->pool_len ||
		    row->mac >= header->pool_len ||
		    row->extra >= header->pool_len)
			return false;
	}
	return true;
}

int
manifest_map(int fd, struct manifest_view *view, struct fault *fault)
{
	const void *data = NULL;
	const char *bytes;
	size_t len = 0;

	memset(view, 0, sizeof(*view));
	if (file_map_sealed(fd, MANIFEST_FILE_LEAST, (size_t)1 << 32, &data,
		&len, fault) != 0)
		return -1;
	bytes = data;
	view->header = data;
	view->row = (const void *)(bytes + sizeof(*view->header));
	view->len = len;
	/* Compared with rows_end before anything behind it is looked at. */
	if (view->header->pool_offset < len)
		view->pool = bytes + view->header->pool_offset;
	if (view->pool != NULL && view_is_whole(view))
		return 0;
	manifest_unmap(view);
	return fault_set(fault, CAUSE_INTERNAL,
	    "the loaded manifest is not as the load role makes it");
}

void
manifest_unmap(struct manifest_view *view)
{
	if (view->header != NULL)
		munmap((void *)(uintptr_t)view->header, view->len);
	memset(view, 0, sizeof(*view));
}
