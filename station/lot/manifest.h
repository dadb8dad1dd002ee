/*
 * manifest.csv: the lot's allow-list, one row a unit. Header line first.
 *
 * Column `serial` names the unit; without it the MAC does, as twelve lower
 * case hex digits. Column `mac` is optional. Further columns travel along as
 * ${manifest.NAME}. A serial is never there twice, a MAC neither.
 *
 * Loaded into one sealed memory file: a struct manifest_header, then
 * `rows` struct manifest_row, then a pool of texts. Rows stand in file
 * order. A million rows load in about a second.
 */
#ifndef LOT_MANIFEST_H
#define LOT_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/problems.h"

enum {
	MANIFEST_MAGIC = 0x3154534d,
	MANIFEST_ROWS_MAX = 4000000,
	MANIFEST_BYTES_MAX = 512 << 20,
	MANIFEST_PROBLEMS_MAX = 100,
};

/* Which of the named columns the file has. */
enum manifest_columns {
	MANIFEST_SERIAL = 1,
	MANIFEST_MAC = 2
};

struct manifest_header {
	uint32_t magic;
	uint32_t rows;
	uint64_t pool_offset; /* from the file's start */
	uint64_t pool_len;
	uint32_t columns; /* enum manifest_columns, a bit each */
	uint32_t unused;
};
/* Offsets into the pool of NUL-terminated texts. */
struct manifest_row {
	uint32_t serial;
	uint32_t mac;	/* lower case with colons; an empty text when absent */
	uint32_t extra; /* JSON object text; "{}" when nothing is left */
	uint32_t line;	/* in the file */
};

/*
 * Checks and converts; reports at most MANIFEST_PROBLEMS_MAX problems with
 * line and column (duplicate serial or MAC, formula cells, bad characters,
 * too long). Returns a sealed memory file or -1.
 */
int manifest_load(const char *path, uint32_t *rows, struct problems *);
/* The same of a file's bytes, which are changed; path is for messages. */
int manifest_convert(const char *path, char *data, size_t len, uint32_t *rows,
    struct problems *);

/* A view on such a file, after its offsets have been checked. */
struct manifest_view {
	const struct manifest_header *header;
	const struct manifest_row *row;
	const char *pool;
	size_t len; /* of the mapping */
};
int manifest_map(int fd, struct manifest_view *, struct fault *);
void manifest_unmap(struct manifest_view *);

/*
 * The value of a further column, from a row's JSON object text: without
 * allocation and without opening anything, so that every role may call it.
 * Returns its length, or -1 when the text is no flat object of texts, has
 * no such column or the value does not fit.
 */
int manifest_extra_get(
    const char *extra, const char *column, char *to, size_t size);

#endif
