/*
 * One request line, parsed and checked: shared by the server and its tests.
 */
#ifndef CONTROL_REQUEST_H
#define CONTROL_REQUEST_H

#include <jansson.h>
#include <stddef.h>

struct control_head {
	json_t *json;	     /* the object; owned */
	json_int_t id;	     /* 0 when it could not be read */
	const char *command; /* into json */
};

/*
 * Parses a line without its LF. 0, or -1 with a sentence of what is wrong in
 * error (plain ASCII, bounded); then json is null and id is what could be
 * read of it, so that the error can be sent under it. Duplicate members,
 * NULs, nesting deeper than 8 and other versions are errors.
 */
int control_head_parse(const char *line, size_t len, struct control_head *,
    char *error, size_t size);
void control_head_free(struct control_head *);

#endif
