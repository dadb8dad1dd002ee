/*
 * What the files that read and evaluate provisioning templates share.
 */
#ifndef LOT_TEMPLATE_PARTS_H
#define LOT_TEMPLATE_PARTS_H

#include <jansson.h>

#include "lot/template.h"

struct template
{
	char *name; /* owned; before problems */
	char *body; /* owned; to find places in */
	json_t *root;
	struct template_facts facts;
	/* Owned: parameters that are named inside a Fn::Sub only. */
	json_t *names;
};

/*
 * Reports at the first place where the body mentions the text in quotes: the
 * JSON library keeps no positions of values.
 */
void template_problem(const struct template *, struct problems *,
    const char *mention, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void template_warning(const struct template *, struct problems *,
    const char *mention, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * A function is an object with the one member Ref or Fn::NAME: its name, and
 * *argument borrowed; null for every other value.
 */
const char *template_function(const json_t *, const json_t **argument);
/* "Ref" and the five Fn:: ones. */
bool template_function_known(const char *name);
/* The one resource of that type, its logical name in *name; or null. */
const json_t *
template_resource(const struct template *, const char *type, const char **name);

/*
 * Walks ${NAME} of a text for Fn::Sub: takes what stands before the next one
 * into *literal and *len, its name into name. 1 a name was taken, 0 the text
 * ends with the literal, -1 a name does not end or is too long.
 */
int template_sub_next(
    const char **text, const char **literal, size_t *len, char name[THING_LEN]);

/* The part of a subject that a parameter of JITP shows; null: none. */
const char *template_subject_name(const char *parameter);
/* Null when the lot's subject has no such part. */
const struct subject_part *
template_subject_find(const struct lot_image *, const char *name);

/* Functions and references in what the template says, with their problems. */
void template_check_functions(struct template *, struct problems *);
/* Resources; fills the facts. */
void template_check_resources(struct template *, struct problems *);

#endif
