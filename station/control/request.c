#include "control/request.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "control/protocol.h"

enum {
	DEPTH_MAX = 8
};

/*
 * Jansson's own limit is 2048 levels; a request has no business beyond a
 * few, and a look at the bytes is cheaper than building the tree.
 */
static bool
is_too_deep(const char *line, size_t len)
{
	int depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char c = line[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '['))
			depth++;
		else if (!quoted && (c == '}' || c == ']'))
			depth--;
		if (depth > DEPTH_MAX)
			return true;
	}
	return false;
}

static const char *
head_check(struct control_head *head)
{
	json_t *id = json_object_get(head->json, "id");
	json_t *version = json_object_get(head->json, "v");

	if (!json_is_object(head->json))
		return "the request is no JSON object";
	if (!json_is_integer(id) || json_integer_value(id) < 1)
		return "\"id\" must be a whole number above 0";
	head->id = json_integer_value(id);
	if (!json_is_integer(version))
		return "\"v\" must be the version of the protocol";
	if (json_integer_value(version) != CONTROL_VERSION)
		return "this daemon speaks another version of the protocol";
	head->command =
	    json_string_value(json_object_get(head->json, "command"));
	if (head->command == NULL)
		return "\"command\" must be a text";
	return NULL;
}

int
control_head_parse(const char *line, size_t len, struct control_head *head,
    char *error, size_t size)
{
	const char *wrong = NULL;
	json_error_t where;

	memset(head, 0, sizeof(*head));
	if (is_too_deep(line, len)) {
		wrong = "the request is nested too deeply";
	} else {
		head->json =
		    json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
		if (head->json == NULL) {
			/* Jansson quotes the input: escape what it quotes. */
			text_escape(
			    error, size, where.text, strlen(where.text));
			return -1;
		}
		wrong = head_check(head);
	}
	if (wrong == NULL)
		return 0;
	snprintf(error, size, "%s", wrong);
	control_head_free(head);
	return -1;
}

void
control_head_free(struct control_head *head)
{
	json_decref(head->json);
	head->json = NULL;
	head->command = NULL;
}
