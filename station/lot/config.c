#include "lot/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/yaml.h"
#include "lot/config_parts.h"
#include "lot/name.h"
#include "lot/source.h"

enum {
	CONFIG_BYTES_MAX = 1 << 20
};

/* ---- what the parts share ---- */

int
config_path_resolve(
    const struct config_reader *reader, const char *name, char *to, size_t size)
{
	char folder[PATH_LEN];

	if (name[0] == '/')
		return text_copy(to, size, name);
	if (text_copy(folder, sizeof(folder), reader->folder) != 0)
		return -1;
	/* The folder has no symbolic link in it: its parents may be cut. */
	for (;;) {
		if (strncmp(name, "./", 2) == 0) {
			name += 2;
		} else if (strncmp(name, "../", 3) == 0) {
			char *slash = strrchr(folder, '/');

			if (slash != NULL)
				*slash = '\0';
			name += 3;
		} else {
			break;
		}
	}
	return file_join(to, size, folder[0] == '\0' ? "/" : folder, name);
}

int
config_get_path(struct config_reader *reader, struct yaml_node *map,
    const char *key, bool required, char *to, size_t size)
{
	char name[PATH_LEN];
	int result = yaml_get_text(reader->document, map, key, required, name,
	    sizeof(name), reader->problems);

	if (result != 0)
		return result;
	if (name[0] != '\0' && config_path_resolve(reader, name, to, size) == 0)
		return 0;
	yaml_problem(reader->document, yaml_get(map, key), reader->problems,
	    "%s \"%s\" is not accepted; accepted is a path of 1 to %zu bytes",
	    key, name, size - 1);
	return -1;
}

int
config_check_exists(struct config_reader *reader, struct yaml_node *map,
    const char *key, const char *path, bool folder)
{
	struct stat status;
	const struct yaml_node *node = yaml_get(map, key);

	if (node == NULL)
		node = map;
	if (stat(path, &status) != 0) {
		/* What the reader may not see is for its user to check. */
		if (errno != ENOENT && errno != ENOTDIR)
			return 0;
		yaml_problem(reader->document, node, reader->problems,
		    "%s: there is no %s; accepted is a %s that exists", key,
		    path, folder ? "folder" : "file");
		return -1;
	}
	if (folder ? S_ISDIR(status.st_mode) : S_ISREG(status.st_mode))
		return 0;
	yaml_problem(reader->document, node, reader->problems,
	    "%s: %s is not a %s", key, path,
	    folder ? "folder" : "regular file");
	return -1;
}

/* ---- the file's own keys ---- */

static void
read_folders(struct config_reader *reader, struct yaml_node *root)
{
	struct station_config *config = reader->config;

	text_copy(config->state, sizeof(config->state), "/var/lib/station");
	config_get_path(
	    reader, root, "state", false, config->state, sizeof(config->state));
	file_join(
	    config->ledger, sizeof(config->ledger), config->state, "ledger.db");
	config_get_path(reader, root, "ledger", false, config->ledger,
	    sizeof(config->ledger));

	config_path_resolve(reader, "lots", config->lots, sizeof(config->lots));
	if (config_get_path(reader, root, "lots", false, config->lots,
		sizeof(config->lots)) >= 0)
		config_check_exists(reader, root, "lots", config->lots, true);
	config_path_resolve(
	    reader, "profiles", config->profiles, sizeof(config->profiles));
	if (config_get_path(reader, root, "profiles", false, config->profiles,
		sizeof(config->profiles)) >= 0)
		config_check_exists(
		    reader, root, "profiles", config->profiles, true);
}

static void
read_socket_mode(struct config_reader *reader, struct yaml_node *map)
{
	char text[16];
	char *end;
	unsigned long mode;

	if (yaml_get_text(reader->document, map, "mode", false, text,
		sizeof(text), reader->problems) != 0)
		return;
	mode = strtoul(text, &end, 8);
	if (text[0] >= '0' && text[0] <= '7' && *end == '\0' && mode <= 0777 &&
	    (mode & 0600) == 0600) {
		reader->config->socket_mode = (uint32_t)mode;
		return;
	}
	yaml_problem(reader->document, yaml_get(map, "mode"), reader->problems,
	    "mode \"%s\" is not accepted; accepted are 0600 to 0777 in octal, "
	    "the owner's read and write included",
	    text);
}

static void
read_control(struct config_reader *reader, struct yaml_node *root)
{
	struct station_config *config = reader->config;
	struct yaml_node *map = yaml_get_map(
	    reader->document, root, "control", false, reader->problems);

	text_copy(config->socket, sizeof(config->socket),
	    "/run/station/control.sock");
	config->socket_mode = 0660;
	if (map == NULL)
		return;
	if (config_get_path(reader, map, "socket", false, config->socket,
		sizeof(config->socket)) == 0 &&
	    strlen(config->socket) >=
		sizeof(((struct sockaddr_un *)NULL)->sun_path))
		yaml_problem(reader->document, yaml_get(map, "socket"),
		    reader->problems,
		    "socket path %s has %zu bytes; accepted are up to %zu",
		    config->socket, strlen(config->socket),
		    sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	read_socket_mode(reader, map);
	name_get(reader->document, map, "group", false, NAME_PLAIN,
	    config->socket_group, sizeof(config->socket_group),
	    reader->problems);
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
read_transcripts(struct config_reader *reader, struct yaml_node *root)
{
	int64_t mib = 1024;
	int64_t days = 90;
	struct yaml_node *map = yaml_get_map(
	    reader->document, root, "transcripts", false, reader->problems);

	if (map != NULL) {
		yaml_get_integer(reader->document, map, "mib", false, 1,
		    1 << 20, &mib, reader->problems);
		yaml_get_integer(reader->document, map, "days", false, 1, 3650,
		    &days, reader->problems);
		yaml_map_finish(reader->document, map, reader->problems);
	}
	reader->config->transcript_mib = (uint32_t)mib;
	reader->config->transcript_days = (uint32_t)days;
}

static void
read_alarm(struct config_reader *reader, struct yaml_node *root)
{
	int64_t percent_milli = 5000;
	int64_t window = 100;
	int64_t minimum = 20;
	bool hold = false;
	struct config_alarm *alarm = &reader->config->alarm;
	struct yaml_node *map = yaml_get_map(
	    reader->document, root, "alarm", false, reader->problems);

	if (map != NULL) {
		yaml_get_milli(reader->document, map, "percent", false, 100,
		    100000, &percent_milli, reader->problems);
		yaml_get_integer(reader->document, map, "window", false, 1,
		    1000, &window, reader->problems);
		yaml_get_integer(reader->document, map, "minimum", false, 1,
		    1000, &minimum, reader->problems);
		yaml_get_boolean(reader->document, map, "hold", false, &hold,
		    reader->problems);
		if (minimum > window)
			yaml_problem(reader->document, map, reader->problems,
			    "minimum %lld is more than window %lld; the alarm "
			    "would never ring; accepted are 1 to window",
			    (long long)minimum, (long long)window);
		yaml_map_finish(reader->document, map, reader->problems);
	}
	alarm->ratio_milli = (uint32_t)(percent_milli / 100);
	alarm->window = (uint32_t)window;
	alarm->minimum = (uint32_t)minimum;
	alarm->hold = hold;
}

/* A path that the token's module reads; a folder or a file. */
static int
read_pkcs11_path(void *arg, struct yaml_node *node)
{
	struct config_reader *reader = arg;
	struct station_config *config = reader->config;
	char *to;

	if (config->pkcs11_path_count == PKCS11_PATHS_MAX) {
		yaml_problem(reader->document, node, reader->problems,
		    "path \"%s\" is one too many; accepted are up to %d",
		    node->text, PKCS11_PATHS_MAX);
		return -1;
	}
	to = config->pkcs11_paths[config->pkcs11_path_count];
	if (node->len == 0 ||
	    config_path_resolve(reader, node->text, to, PATH_LEN) != 0) {
		yaml_problem(reader->document, node, reader->problems,
		    "path \"%s\" is not accepted; accepted is a path of 1 to "
		    "%d bytes",
		    node->text, PATH_LEN - 1);
		return -1;
	}
	config->pkcs11_path_count++;
	if (access(to, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
		return 0;
	yaml_problem(reader->document, node, reader->problems,
	    "paths: there is no %s; accepted is what the token's module reads",
	    to);
	return -1;
}

static void
read_pkcs11(struct config_reader *reader, struct yaml_node *root)
{
	struct station_config *config = reader->config;
	struct yaml_node *map = yaml_get_map(
	    reader->document, root, "pkcs11", false, reader->problems);

	if (map == NULL)
		return;
	if (config_get_path(reader, map, "module", true, config->pkcs11_module,
		sizeof(config->pkcs11_module)) == 0)
		config_check_exists(
		    reader, map, "module", config->pkcs11_module, false);
	yaml_each_text(reader->document, map, "paths", false, read_pkcs11_path,
	    reader, reader->problems);
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
read_root(struct config_reader *reader, struct yaml_node *root)
{
	int64_t schema = 1;
	int64_t takt_ms = 0;
	struct station_config *config = reader->config;

	yaml_get_integer(reader->document, root, "schema", true, 1, 1, &schema,
	    reader->problems);
	name_get(reader->document, root, "station", true, NAME_PLAIN,
	    config->station, sizeof(config->station), reader->problems);
	name_get(reader->document, root, "site", true, NAME_PLAIN, config->site,
	    sizeof(config->site), reader->problems);
	name_get(reader->document, root, "user", false, NAME_PLAIN,
	    config->user, sizeof(config->user), reader->problems);
	yaml_get_span(
	    reader->document, root, "takt", false, &takt_ms, reader->problems);
	if (takt_ms >= 0 && takt_ms <= UINT32_MAX)
		config->takt_ms = (uint32_t)takt_ms;
	read_folders(reader, root);
	read_control(reader, root);
	read_transcripts(reader, root);
	read_alarm(reader, root);
	read_pkcs11(reader, root);
	config_read_slots(reader, root);
	config_read_clouds(reader, root);
	yaml_map_finish(reader->document, root, reader->problems);
}

/* The file's absolute path, and its folder without symbolic links. */
static int
find_folder(struct config_reader *reader, const char *path)
{
	char real[PATH_MAX];
	char *slash;

	if (realpath(path, real) == NULL) {
		problems_add(reader->problems, path, 0, 0, "cannot be read: %s",
		    strerror(errno));
		return -1;
	}
	if (text_copy(reader->config->file, sizeof(reader->config->file),
		real) != 0) {
		problems_add(reader->problems, path, 0, 0,
		    "the path is too long; accepted are up to %d bytes",
		    PATH_LEN - 1);
		return -1;
	}
	slash = strrchr(real, '/');
	*slash = '\0';
	text_copy(reader->folder, sizeof(reader->folder), real);
	return 0;
}

int
config_load(
    const char *path, struct station_config *config, struct problems *problems)
{
	size_t before = problems->count;
	size_t len = 0;
	char *data = NULL;
	struct config_reader reader = {.config = config, .problems = problems};

	memset(config, 0, sizeof(*config));
	config->magic = CONFIG_MAGIC;
	config->size = sizeof(*config);
	if (find_folder(&reader, path) != 0)
		return -1;
	if (source_read(path, CONFIG_BYTES_MAX, &data, &len, NULL, problems) !=
	    0)
		return -1;
	reader.document = yaml_parse(path, data, len, problems);
	if (reader.document == NULL)
		goto out;
	read_root(&reader, yaml_root(reader.document));
out:
	yaml_close(reader.document);
	free(data);
	return problems->count == before ? 0 : -1;
}

int
config_to_memfd(const char *path, struct problems *problems)
{
	int fd = -1;
	struct fault fault;
	struct station_config *config = malloc(sizeof(*config));

	if (config == NULL) {
		problems_add(problems, path, 0, 0, "out of memory");
		return -1;
	}
	if (config_load(path, config, problems) == 0) {
		fd = file_seal("config", config, sizeof(*config), &fault);
		if (fd < 0)
			problems_add(problems, path, 0, 0, "%s", fault.text);
	}
	free(config);
	return fd;
}

const struct config_cloud *
config_cloud_find(const struct station_config *config, const char *name)
{
	for (uint32_t at = 0; at < config->cloud_count; at++)
		if (text_equal(config->clouds[at].name, name))
			return &config->clouds[at];
	return NULL;
}
