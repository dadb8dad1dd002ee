/*
 * A strict, bounded YAML tree with positions, on libyaml.
 *
 * One document; no anchors, aliases, tags or merge keys; no duplicate keys;
 * depth <= 16, nodes <= 20,000, file <= 1 MiB. Scalars keep their text; the
 * getters below turn them into values, report what is wrong to the
 * problems list with file:line:column, and mark the key as known.
 * yaml_map_finish() then reports every key that nobody asked for, so an
 * unknown key is always an error.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/problems.h"

enum yaml_kind {
	YAML_KIND_SCALAR,
	YAML_KIND_LIST,
	YAML_KIND_MAP
};

struct yaml_node {
	enum yaml_kind kind;
	size_t line, column; /* from 1 */
	const char *text;    /* scalar: its text, without NULs inside */
	size_t len;
	bool plain;	 /* scalar: written without quotes */
	const char *key; /* its key when the parent is a map */
	size_t key_line, key_column;
	bool known;		 /* a getter asked for this key */
	struct yaml_node *child; /* first child of a list or map */
	struct yaml_node *next;	 /* next sibling */
	size_t children;
	/* the tree's own */
	struct yaml_asked *asked;
	char *owned_text, *owned_key;
};

struct yaml_document; /* owns all nodes */
struct yaml_asked;

/*
 * Null when the text is not acceptable YAML, or its top is not a map; the
 * problem is in the list. file is the name that problems are reported with.
 */
struct yaml_document *
yaml_parse(const char *file, const char *data, size_t len, struct problems *);
/* Not called yaml_free: libyaml exports, and itself calls, that name. */
void yaml_close(struct yaml_document *);
struct yaml_node *yaml_root(struct yaml_document *);
const char *yaml_file(const struct yaml_document *);

/*
 * Getters on a map. Each returns 0 when the value was there and good, 1 when
 * the key is absent (the target is left as it was) and -1 when it is bad
 * (reported). "required" ones report absence too and return -1. Those that
 * return a node return null in both cases. A null map is one whose absence
 * was reported already: its getters return -1, or null, in silence.
 */
struct yaml_node *yaml_get(struct yaml_node *map, const char *key);
struct yaml_node *yaml_get_map(struct yaml_document *, struct yaml_node *map,
    const char *key, bool required, struct problems *);
struct yaml_node *yaml_get_list(struct yaml_document *, struct yaml_node *map,
    const char *key, bool required, struct problems *);
/*
 * A scalar of at most size - 1 bytes. "" is a text, a value left out after
 * its key and a bare null or ~ are not.
 */
int yaml_get_text(struct yaml_document *, struct yaml_node *map,
    const char *key, bool required, char *to, size_t size, struct problems *);
/* Decimal digits without quotes or leading zeros, - for negative ones. */
int
yaml_get_integer(struct yaml_document *, struct yaml_node *map, const char *key,
    bool required, int64_t least, int64_t most, int64_t *, struct problems *);
/*
 * Digits with an optional point and up to three more; value, least and most
 * are times 1000.
 */
int
yaml_get_milli(struct yaml_document *, struct yaml_node *map, const char *key,
    bool required, int64_t least, int64_t most, int64_t *, struct problems *);
/* true or false, without quotes. */
int yaml_get_boolean(struct yaml_document *, struct yaml_node *map,
    const char *key, bool required, bool *, struct problems *);
/* "300ms", "5s", "2m", "1h". */
int yaml_get_span(struct yaml_document *, struct yaml_node *map,
    const char *key, bool required, int64_t *ms, struct problems *);
/* One of names (null-terminated), as its index; the message lists all. */
int
yaml_get_choice(struct yaml_document *, struct yaml_node *map, const char *key,
    bool required, const char *const *names, int *, struct problems *);
/*
 * A list of texts, or one text; calls each in order. each() returns 0, or -1
 * when it has reported the text, which does not end the walk. A required
 * list has at least one.
 */
int yaml_each_text(struct yaml_document *, struct yaml_node *map,
    const char *key, bool required, int (*each)(void *arg, struct yaml_node *),
    void *arg, struct problems *);
/* Reports at a node's own place. */
void yaml_problem(struct yaml_document *, const struct yaml_node *,
    struct problems *, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Reports unknown keys with all that getters have asked this map for. */
void yaml_map_finish(
    struct yaml_document *, struct yaml_node *map, struct problems *);

#endif
