/*
 * What the files that read lot.yaml share.
 */
#ifndef LOT_LOT_PARTS_H
#define LOT_LOT_PARTS_H

#include "base/yaml.h"
#include "lot/bundle.h"
#include "lot/template.h"

struct lot_reader {
	const struct station_config *config;
	const char *folder;
	bool frozen;
	bool pattern_known;  /* pattern and ending were read */
	char path[PATH_LEN]; /* of lot.yaml */
	char manifest_path[PATH_LEN];
	struct yaml_document *document;
	struct problems *problems;
	struct lot_bundle *bundle;
	struct lot_image *image;   /* the bundle's */
	struct template *template; /* owned; null: the lot names no file */
	char hook_path[PATH_LEN];  /* source of the template's hook; or empty */
};

/*
 * The path of a readable file that lot.yaml names at `key`: in a frozen
 * copy the file of the fixed name. Results as of yaml_get_text.
 */
int lot_get_path(struct lot_reader *, struct yaml_node *map, const char *key,
    bool required, const char *frozen_name, char *to, size_t size);
/*
 * The path of a file with a secret, which the vault alone reads: only its
 * place is looked at. `what` is for messages: "the claim's private key".
 */
int lot_get_secret(struct lot_reader *, struct yaml_node *map, const char *key,
    bool required, const char *what, char to[PATH_LEN]);
/*
 * Reads the file at map[key] whole into `to` and notes it for the frozen
 * copy; its path into path. Results as of yaml_get_text.
 */
int lot_get_file(struct lot_reader *, struct yaml_node *map, const char *key,
    bool required, const char *frozen_name, char path[PATH_LEN], char *to,
    size_t size);

/*
 * True when the lot's pattern and ending have that key of lot.yaml; one that
 * is there all the same is reported with where it belongs.
 */
bool
lot_key_belongs(struct lot_reader *, struct yaml_node *root, const char *key);

/* In the order in which they are called. */
void lot_read_profile(struct lot_reader *, struct yaml_node *root);
/* pattern, ending, serial_from, activate, activation, keys, confirm_timeout */
void lot_read_pattern(struct lot_reader *, struct yaml_node *root);
/* thing: name, type, groups, policy, attributes. */
void lot_read_thing(struct lot_reader *, struct yaml_node *root);
/* root_ca, claim, wifi */
void lot_read_credentials(struct lot_reader *, struct yaml_node *root);
/* ca, readback */
void lot_read_authorities(struct lot_reader *, struct yaml_node *root);
void lot_read_bulk(struct lot_reader *, struct yaml_node *root);
void lot_read_template(struct lot_reader *, struct yaml_node *root);

/* template.hook */
void lot_read_hook(struct lot_reader *, struct yaml_node *template_map);

/* The profile serves what pattern and ending ask for. */
void lot_check_profile(struct lot_reader *, struct yaml_node *root);
/* The template is one for this lot. */
void lot_check_template(struct lot_reader *);
/* Hook and profile call the template's parameters by their names. */
void lot_check_names(struct lot_reader *);
/*
 * Holds what the rules make of every row against AWS's own: the thing's name,
 * by the lot and by its template, attributes, parameters, subject.
 */
void lot_check_rows(struct lot_reader *);

#endif
