#include "lot/check.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lot/bundle.h"

struct check {
	struct station_config config;
	struct profile profile;
	struct problems *problems;
};

static void
check_profile(struct check *check, const char *path, const char *name)
{
	char expected[NAME_LEN + 8];
	struct digest digest;

	if (profile_load(path, &check->profile, &digest, check->problems) != 0)
		return;
	(void)snprintf(
	    expected, sizeof(expected), "%s.yaml", check->profile.name);
	if (!text_equal(expected, name))
		problems_add(check->problems, path, 0, 0,
		    "profile \"%s\" stands in the file %s; accepted is %s",
		    check->profile.name, name, expected);
}

/*
 * Adds the lines that are not in the list yet: those of a profile come with
 * every lot that uses it. Lines past the cap of a text have no line here.
 */
static void
merge_lines(
    struct buf *to, size_t *to_count, const struct buf *from, size_t from_count)
{
	const char *line = from->data;
	size_t listed = 0;

	for (; line != NULL && *line != '\0'; listed++) {
		size_t len = strcspn(line, "\n") + 1;

		if (to->data == NULL ||
		    memmem(to->data, to->len, line, len) == NULL) {
			buf_add(to, line, len);
			(*to_count)++;
		}
		line += len;
	}
	*to_count += from_count - listed;
}

static void
merge_problems(struct problems *to, const struct problems *from)
{
	merge_lines(&to->text, &to->count, &from->text, from->count);
	merge_lines(&to->warnings, &to->warning_count, &from->warnings,
	    from->warning_count);
}

static void
check_lot(struct check *check, const char *path, const char *name)
{
	char file[PATH_LEN];
	struct problems problems;

	(void)name;
	/* What has no lot.yaml is no lot: a README, a work in progress. */
	if (file_join(file, sizeof(file), path, FROZEN_LOT) != 0 ||
	    access(file, F_OK) != 0)
		return;
	problems_init(&problems);
	lot_bundle_free(
	    lot_bundle_load(&check->config, path, false, &problems));
	merge_problems(check->problems, &problems);
	problems_free(&problems);
}

static int
is_profile(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 &&
	       text_equal(entry->d_name + len - 5, ".yaml");
}

static int
is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* In the order of the names: the same problems in the same order. */
static void
check_folder(struct check *check, const char *folder,
    int (*filter)(const struct dirent *),
    void (*one)(struct check *, const char *path, const char *name))
{
	char path[PATH_LEN];
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, filter, alphasort);

	if (count < 0)
		problems_add(check->problems, folder, 0, 0,
		    "cannot be read: %s", strerror(errno));
	for (int at = 0; at < count; at++) {
		if (file_join(
			path, sizeof(path), folder, entries[at]->d_name) == 0)
			one(check, path, entries[at]->d_name);
		else
			problems_add(check->problems, folder, 0, 0,
			    "%s: the path is too long; accepted are %d bytes",
			    entries[at]->d_name, PATH_LEN - 1);
		free(entries[at]);
	}
	free(entries);
}

int
lot_check_all(const char *config_path, struct problems *problems)
{
	size_t before = problems->count;
	struct check *check = calloc(1, sizeof(*check));

	if (check == NULL) {
		problems_add(problems, config_path, 0, 0, "out of memory");
		return -1;
	}
	check->problems = problems;
	/* Without its folders and accounts nothing else can be judged. */
	if (config_load(config_path, &check->config, problems) == 0) {
		check_folder(
		    check, check->config.profiles, is_profile, check_profile);
		check_folder(check, check->config.lots, is_visible, check_lot);
	}
	free(check);
	return problems->count == before ? 0 : -1;
}

/* ---- one lot ---- */

/* The lot's folder without symbolic links; -1 when it was reported. */
static int
find_lot(const struct check *check, const char *lot, char path[PATH_MAX])
{
	char named[PATH_LEN];
	bool is_path = strchr(lot, '/') != NULL;

	if (!is_path &&
	    file_join(named, sizeof(named), check->config.lots, lot) == 0 &&
	    realpath(named, path) != NULL)
		return 0;
	if (realpath(lot, path) != NULL)
		return 0;
	problems_add(check->problems, lot, 0, 0,
	    "the lot cannot be found: %s; accepted is the name of a folder in "
	    "%s or a folder's path",
	    strerror(errno), check->config.lots);
	return -1;
}

int
lot_check_one(
    const char *config_path, const char *lot, struct problems *problems)
{
	char path[PATH_MAX];
	size_t before = problems->count;
	struct check *check = calloc(1, sizeof(*check));

	if (check == NULL) {
		problems_add(problems, config_path, 0, 0, "out of memory");
		return -1;
	}
	check->problems = problems;
	if (config_load(config_path, &check->config, problems) == 0 &&
	    find_lot(check, lot, path) == 0)
		lot_bundle_free(
		    lot_bundle_load(&check->config, path, false, problems));
	free(check);
	return problems->count == before ? 0 : -1;
}
