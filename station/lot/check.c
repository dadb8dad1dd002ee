#include "lot/check.h"

#include <dirent.h>
#include <errno.h>
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
 * Adds the problems that are not in the list yet: those of a profile come
 * with every lot that uses it.
 */
static void
merge_problems(struct problems *to, const struct problems *from)
{
	const char *line = from->text.data;
	size_t listed = 0;

	for (; line != NULL && *line != '\0'; listed++) {
		size_t len = strcspn(line, "\n") + 1;

		if (to->text.data == NULL ||
		    memmem(to->text.data, to->text.len, line, len) == NULL) {
			buf_add(&to->text, line, len);
			to->count++;
		}
		line += len;
	}
	to->count += from->count - listed;
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
