/*
 * What config.c, config_slots.c and config_clouds.c share while they read
 * station.yaml.
 */
#ifndef LOT_CONFIG_PARTS_H
#define LOT_CONFIG_PARTS_H

#include "base/yaml.h"
#include "lot/config.h"

struct config_reader {
	struct yaml_document *document;
	struct problems *problems;
	struct station_config *config;
	char folder[PATH_LEN]; /* of the file; absolute, no symbolic links */
};

/* Makes a path absolute against the file's folder; -1 when too long. */
int config_path_resolve(
    const struct config_reader *, const char *name, char *to, size_t size);
/* Results as of yaml_get_text. */
int config_get_path(struct config_reader *, struct yaml_node *map,
    const char *key, bool required, char *to, size_t size);
/* Reports a path that is surely absent or of the wrong kind. */
int config_check_exists(struct config_reader *, struct yaml_node *map,
    const char *key, const char *path, bool folder);

void config_read_slots(struct config_reader *, struct yaml_node *root);
void config_read_clouds(struct config_reader *, struct yaml_node *root);

#endif
