/*
 * What the files that read lot.yaml share.
 */
#ifndef LOT_LOT_PARTS_H
#define LOT_LOT_PARTS_H

#include "base/yaml.h"
#include "lot/bundle.h"

struct lot_reader {
	const struct station_config *config;
	const char *folder;
	bool frozen;
	char path[PATH_LEN]; /* of lot.yaml */
	char manifest_path[PATH_LEN];
	struct yaml_document *document;
	struct problems *problems;
	struct lot_bundle *bundle;
	struct lot_image *image; /* the bundle's */
};

/*
 * The path of a readable file that lot.yaml names at `key`: in a frozen
 * copy the file of the fixed name. Results as of yaml_get_text.
 */
int lot_get_path(struct lot_reader *, struct yaml_node *map, const char *key,
    bool required, const char *frozen_name, char *to, size_t size);

/* thing: name, type, groups, policy, attributes. */
void lot_read_thing(struct lot_reader *, struct yaml_node *root);
/* root_ca, and claim: certificate, key, template, limit. */
void lot_read_credentials(struct lot_reader *, struct yaml_node *root);

#endif
