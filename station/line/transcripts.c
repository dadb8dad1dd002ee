#include "line/transcripts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

struct entry {
	char *name;
	int64_t bytes, seconds; /* on disk; last written */
};

struct entries {
	struct entry *list;
	size_t count, room;
};

static int
entry_older(const void *a, const void *b)
{
	const struct entry *one = a, *other = b;

	if (one->seconds != other->seconds)
		return one->seconds < other->seconds ? -1 : 1;
	return strcmp(one->name, other->name);
}

static int
entries_add(struct entries *entries, const char *name, const struct stat *file)
{
	size_t room = entries->room == 0 ? 256 : entries->room * 2;
	struct entry *list;

	if (entries->count == entries->room) {
		list = realloc(entries->list, room * sizeof(*list));
		if (list == NULL)
			return -1;
		entries->list = list;
		entries->room = room;
	}
	entries->list[entries->count].name = strdup(name);
	if (entries->list[entries->count].name == NULL)
		return -1;
	entries->list[entries->count].bytes = file->st_blocks * 512;
	entries->list[entries->count].seconds = file->st_mtim.tv_sec;
	entries->count++;
	return 0;
}

static void
entries_read(struct entries *entries, DIR *folder)
{
	struct dirent *found;
	struct stat file;

	while ((found = readdir(folder)) != NULL)
		if (found->d_name[0] != '.' &&
		    fstatat(dirfd(folder), found->d_name, &file,
			AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(file.st_mode) &&
		    entries_add(entries, found->d_name, &file) != 0)
			break;
}

void
transcripts_prune(const struct station_config *config)
{
	int64_t limit = (int64_t)config->transcript_mib << 20, bytes = 0;
	int64_t oldest = clock_wall_ms() / 1000 -
			 (int64_t)config->transcript_days * 24 * 3600;
	struct entries entries = {0};
	char path[PATH_LEN];
	size_t i;
	DIR *folder;

	if (file_join(path, sizeof(path), config->state, "transcripts") != 0 ||
	    (folder = opendir(path)) == NULL)
		return;
	entries_read(&entries, folder);
	/* Without an entry there is no list, and qsort takes no null. */
	if (entries.count > 1)
		qsort(entries.list, entries.count, sizeof(*entries.list),
		    entry_older);
	for (i = 0; i < entries.count; i++)
		bytes += entries.list[i].bytes;
	for (i = 0; i < entries.count; i++) {
		const struct entry *entry = &entries.list[i];

		if (bytes <= limit && entry->seconds >= oldest)
			break;
		if (unlinkat(dirfd(folder), entry->name, 0) != 0)
			log_warning(
			    "%s/%s: %s", path, entry->name, strerror(errno));
		bytes -= entry->bytes;
	}
	for (i = 0; i < entries.count; i++)
		free(entries.list[i].name);
	free(entries.list);
	closedir(folder);
}
