#include "lot/lot_freeze.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lot/manifest.h"
#include "lot/source.h"

#define HASHES_NAME "frozen.sha256"
#define ORIGIN_NAME "origin"

enum {
	FOLDER_MODE = 0750,
	FILE_MODE = 0640,
	HASHES_MAX = LOT_FILES_MAX * (DIGEST_TEXT_LEN + PATH_LEN),
	FOLDERS_OPEN_MAX = 16,
};

int
lot_frozen_folder(const struct station_config *config, struct lot_image *image)
{
	char lots[PATH_LEN];

	if (file_join(lots, sizeof(lots), config->state, "lots") != 0)
		return -1;
	return file_join(
	    image->frozen, sizeof(image->frozen), lots, image->name);
}

/* ---- the list of hashes ---- */

/* One line a file, by name: "HEX  NAME\n". */
static int
hashes_make(const struct lot_bundle *bundle, struct buf *hashes)
{
	char text[DIGEST_TEXT_LEN];

	buf_init(hashes, HASHES_MAX);
	for (size_t at = 0; at < bundle->file_count; at++) {
		digest_text(&bundle->files[at].digest, text);
		buf_add_format(
		    hashes, "%s  %s\n", text, bundle->files[at].name);
	}
	return hashes->failed ? -1 : 0;
}

/* Compares the copy's list with the bundle's: 1 equal, 0 not, -1 failed. */
static int
hashes_equal(const struct lot_bundle *bundle, const char *folder,
    struct problems *problems)
{
	char path[PATH_LEN];
	char *data = NULL;
	size_t len = 0;
	int result = -1;
	struct buf hashes;

	if (hashes_make(bundle, &hashes) == 0 &&
	    file_join(path, sizeof(path), folder, HASHES_NAME) == 0 &&
	    source_read(path, HASHES_MAX, &data, &len, NULL, problems) == 0)
		result =
		    len == hashes.len && memcmp(data, hashes.data, len) == 0;
	buf_free(&hashes);
	free(data);
	return result;
}

/* ---- verifying ---- */

static bool
name_is_inside(const char *name)
{
	return name[0] != '\0' && name[0] != '/' &&
	       strncmp(name, "../", 3) != 0 && strstr(name, "/../") == NULL;
}

static void
verify_line(const char *folder, const char *list, size_t number, char *line,
    struct problems *problems)
{
	char path[PATH_LEN];
	char *name = line + DIGEST_TEXT_LEN + 1;
	struct digest stated = {{0}}, found = {{0}};
	struct fault fault;

	fault_clear(&fault);
	if (strlen(line) <= DIGEST_TEXT_LEN + 1 ||
	    memcmp(line + DIGEST_TEXT_LEN - 1, "  ", 2) != 0 ||
	    !name_is_inside(name) ||
	    file_join(path, sizeof(path), folder, name) != 0) {
		problems_add(problems, list, number, 1,
		    "not a line of sha256sum; accepted are 64 hex digits, two "
		    "spaces and a file's name");
		return;
	}
	line[DIGEST_TEXT_LEN - 1] = '\0';
	if (hex_decode(stated.bytes, sizeof(stated.bytes), line) != 0)
		problems_add(problems, list, number, 1,
		    "\"%s\" is no SHA-256; accepted are 64 hex digits", line);
	else if (digest_file(path, &found, &fault) != 0)
		source_problem(problems, path, &fault);
	else if (memcmp(&stated, &found, sizeof(found)) != 0)
		problems_add(problems, path, 0, 0,
		    "the file was changed after the lot was frozen; accepted "
		    "is the SHA-256 in %s",
		    list);
}

static int
read_origin(
    const char *folder, char *origin, size_t size, struct problems *problems)
{
	char path[PATH_LEN];
	char *data = NULL;
	size_t len = 0;
	int result = -1;

	if (file_join(path, sizeof(path), folder, ORIGIN_NAME) != 0 ||
	    source_read(path, PATH_LEN, &data, &len, NULL, problems) != 0)
		return -1;
	data[strcspn(data, "\n")] = '\0';
	if (data[0] == '/' && text_copy(origin, size, data) == 0)
		result = 0;
	else
		problems_add(problems, path, 1, 1,
		    "\"%s\" is not accepted; accepted is one absolute path",
		    data);
	free(data);
	return result;
}

int
lot_frozen_verify(
    const char *folder, char *origin, size_t size, struct problems *problems)
{
	char list[PATH_LEN];
	char *data = NULL;
	char *rest;
	char *line;
	size_t len = 0;
	size_t before = problems->count;

	if (file_join(list, sizeof(list), folder, HASHES_NAME) != 0 ||
	    source_read(list, HASHES_MAX, &data, &len, NULL, problems) != 0)
		return -1;
	rest = data;
	for (size_t number = 1; (line = strsep(&rest, "\n")) != NULL; number++)
		if (line[0] != '\0')
			verify_line(folder, list, number, line, problems);
	free(data);
	if (read_origin(folder, origin, size, problems) != 0)
		return -1;
	return problems->count == before ? 0 : -1;
}

int
lot_frozen_match(const struct lot_bundle *bundle, struct problems *problems)
{
	int equal = hashes_equal(bundle, bundle->image.frozen, problems);

	if (equal == 0)
		problems_add(problems, bundle->image.frozen, 0, 0,
		    "its files are not those of its " HASHES_NAME
		    "; accepted is the copy as it was frozen");
	return equal == 1 ? 0 : -1;
}

/* ---- copying ---- */

static int
folder_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return -1;
	result = fsync(fd);
	close(fd);
	return result;
}

/* Copies what was checked: the bytes must still have the same digest. */
static int
copy_file(
    const struct lot_file *file, const char *folder, struct problems *problems)
{
	char path[PATH_LEN];
	char parent[PATH_LEN];
	char *data = NULL;
	size_t len = 0;
	int result = -1;
	struct digest digest;
	struct fault fault;

	fault_clear(&fault);
	if (source_read(file->path, MANIFEST_BYTES_MAX, &data, &len, &digest,
		problems) != 0)
		return -1;
	if (memcmp(&digest, &file->digest, sizeof(digest)) != 0) {
		problems_add(problems, file->path, 0, 0,
		    "the file changed while the lot was opened; accepted is a "
		    "lot at rest");
		goto out;
	}
	if (file_join(path, sizeof(path), folder, file->name) != 0) {
		problems_add(problems, file->path, 0, 0,
		    "its path in the frozen copy is too long; accepted are %d "
		    "bytes",
		    PATH_LEN - 1);
		goto out;
	}
	text_copy(parent, sizeof(parent), path);
	*strrchr(parent, '/') = '\0';
	if (file_make_folders(parent, FOLDER_MODE, &fault) != 0 ||
	    file_write(path, data, len, FILE_MODE, &fault) != 0) {
		source_problem(problems, path, &fault);
		goto out;
	}
	result = 0;
out:
	free(data);
	return result;
}

static int
write_text(const char *folder, const char *name, const char *text, size_t len,
    struct problems *problems)
{
	char path[PATH_LEN];
	struct fault fault;

	fault_clear(&fault);
	if (file_join(path, sizeof(path), folder, name) == 0 &&
	    file_write(path, text, len, FILE_MODE, &fault) == 0)
		return 0;
	source_problem(problems, folder, &fault);
	return -1;
}

static int
write_origin(const struct lot_bundle *bundle, const char *folder,
    struct problems *problems)
{
	char text[PATH_LEN + 1];
	int len = snprintf(text, sizeof(text), "%s\n", bundle->origin);

	return write_text(folder, ORIGIN_NAME, text, (size_t)len, problems);
}

static int
copy_all(const struct lot_bundle *bundle, const char *folder,
    struct problems *problems)
{
	struct buf hashes;
	int result = -1;

	for (size_t at = 0; at < bundle->file_count; at++)
		if (copy_file(&bundle->files[at], folder, problems) != 0)
			return -1;
	if (hashes_make(bundle, &hashes) == 0)
		result = write_text(
		    folder, HASHES_NAME, hashes.data, hashes.len, problems);
	buf_free(&hashes);
	if (result != 0)
		return -1;
	return write_origin(bundle, folder, problems);
}

static int
remove_one(
    const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

/* What an earlier process left when it was stopped in the middle. */
static void
remove_leftovers(const char *lots, const char *name)
{
	char path[PATH_LEN];
	char prefix[NAME_LEN + 8];
	struct dirent *entry;
	DIR *folder = opendir(lots);

	if (folder == NULL)
		return;
	(void)snprintf(prefix, sizeof(prefix), "%s.tmp-", name);
	while ((entry = readdir(folder)) != NULL)
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
		    file_join(path, sizeof(path), lots, entry->d_name) == 0)
			(void)nftw(path, remove_one, FOLDERS_OPEN_MAX,
			    FTW_DEPTH | FTW_PHYS);
	closedir(folder);
}

/* 0 also when a copy with the same contents was there first. */
static int
copy_into_place(const struct lot_bundle *bundle, const char *lots,
    struct problems *problems)
{
	char temporary[PATH_LEN];
	const char *frozen = bundle->image.frozen;
	int result = -1;

	if (snprintf(temporary, sizeof(temporary), "%s.tmp-XXXXXX", frozen) >=
	    (int)sizeof(temporary)) {
		problems_add(problems, frozen, 0, 0,
		    "the path is too long; accepted are %d bytes",
		    PATH_LEN - 13);
		return -1;
	}
	remove_leftovers(lots, bundle->image.name);
	if (mkdtemp(temporary) == NULL) {
		problems_add(problems, temporary, 0, 0, "cannot be made: %s",
		    strerror(errno));
		return -1;
	}
	if (chmod(temporary, FOLDER_MODE) == 0 &&
	    copy_all(bundle, temporary, problems) == 0) {
		if (folder_sync(temporary) == 0 &&
		    rename(temporary, frozen) == 0 && folder_sync(lots) == 0)
			result = 0;
		else
			problems_add(problems, frozen, 0, 0,
			    "cannot be made durable: %s", strerror(errno));
	}
	if (result != 0)
		(void)nftw(temporary, remove_one, FOLDERS_OPEN_MAX,
		    FTW_DEPTH | FTW_PHYS);
	return result;
}

/* A copy is there: it must be whole and hold the same. */
static int
keep_copy(const struct lot_bundle *bundle, struct problems *problems)
{
	char origin[PATH_LEN];
	const char *frozen = bundle->image.frozen;
	int equal;

	if (lot_frozen_verify(frozen, origin, sizeof(origin), problems) != 0)
		return -1;
	equal = hashes_equal(bundle, frozen, problems);
	if (equal == 0)
		problems_add(problems, bundle->image.folder, 0, 0,
		    "lot %s was opened before with other contents; close it "
		    "and give the changed lot a new name",
		    bundle->image.name);
	if (equal != 1)
		return -1;
	if (text_equal(origin, bundle->origin))
		return 0;
	return write_origin(bundle, frozen, problems);
}

int
lot_freeze(const struct station_config *config, struct lot_bundle *bundle,
    struct problems *problems)
{
	char lots[PATH_LEN];
	struct fault fault;
	struct stat status;

	fault_clear(&fault);
	if (file_join(lots, sizeof(lots), config->state, "lots") != 0 ||
	    lot_frozen_folder(config, &bundle->image) != 0) {
		problems_add(problems, config->state, 0, 0,
		    "the path is too long; accepted are %d bytes with "
		    "lots/NAME",
		    PATH_LEN - 1);
		return -1;
	}
	if (file_make_folders(lots, FOLDER_MODE, &fault) != 0) {
		source_problem(problems, lots, &fault);
		return -1;
	}
	if (folder_sync(config->state) != 0) {
		problems_add(problems, config->state, 0, 0,
		    "cannot be made durable: %s", strerror(errno));
		return -1;
	}
	if (stat(bundle->image.frozen, &status) == 0)
		return keep_copy(bundle, problems);
	return copy_into_place(bundle, lots, problems);
}
