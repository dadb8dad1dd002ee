/*
 * A folder for one test, made below TMPDIR and removed with all it holds,
 * and small helpers on texts for tables of bad files.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_UNUSED __attribute__((unused))

static char scratch_folder[256];

/* Ends the test program when the folder cannot be made. */
static SCRATCH_UNUSED void
scratch_open(void)
{
	const char *parent = getenv("TMPDIR");
	char *real;

	(void)snprintf(scratch_folder, sizeof(scratch_folder),
	    "%s/station-test-XXXXXX", parent == NULL ? "/tmp" : parent);
	if (mkdtemp(scratch_folder) == NULL) {
		perror(scratch_folder);
		exit(1);
	}
	real = realpath(scratch_folder, NULL);
	if (real != NULL && strlen(real) < sizeof(scratch_folder))
		strcpy(scratch_folder, real);
	free(real);
}

static SCRATCH_UNUSED int
scratch_remove(
    const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static SCRATCH_UNUSED void
scratch_close(void)
{
	(void)nftw(scratch_folder, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a name in the folder; one of 64 buffers in turn. */
static SCRATCH_UNUSED const char *
scratch_path(const char *name)
{
	static char paths[64][512];
	static unsigned next;
	char *path = paths[next++ % 64];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", scratch_folder, name);
	return path;
}

/* Writes a file and the folders above it. */
static SCRATCH_UNUSED const char *
scratch_write(const char *name, const void *data, size_t len)
{
	const char *path = scratch_path(name);
	char folder[512];
	FILE *file;

	(void)snprintf(folder, sizeof(folder), "%s", path);
	for (char *at = folder + strlen(scratch_folder) + 1;
	     (at = strchr(at, '/')) != NULL; *at++ = '/') {
		*at = '\0';
		(void)mkdir(folder, 0755);
	}
	file = fopen(path, "wb");
	if (file == NULL || fwrite(data, 1, len, file) != len ||
	    fclose(file) != 0) {
		perror(path);
		exit(1);
	}
	return path;
}

static SCRATCH_UNUSED const char *
scratch_text(const char *name, const char *text)
{
	return scratch_write(name, text, strlen(text));
}

/* The text with the first `find` replaced; it must be there. Owned. */
static SCRATCH_UNUSED char *
text_replaced(const char *text, const char *find, const char *with)
{
	const char *found = strstr(text, find);
	char *result;

	if (found == NULL) {
		(void)fprintf(stderr, "\"%s\" is not in the text\n", find);
		exit(1);
	}
	if (asprintf(&result, "%.*s%s%s", (int)(found - text), text, with,
		found + strlen(find)) < 0)
		exit(1);
	return result;
}

/* Cuts `prefix` from the beginning of each line, in place. */
static SCRATCH_UNUSED char *
lines_stripped(char *text, const char *prefix)
{
	size_t len = strlen(prefix);
	char *from = text;
	char *to = text;

	while (*from != '\0') {
		size_t line = strcspn(from, "\n");

		line += from[line] == '\n';
		if (strncmp(from, prefix, len) == 0) {
			from += len;
			line -= len;
		}
		memmove(to, from, line);
		to += line;
		from += line;
	}
	*to = '\0';
	return text;
}

#endif
