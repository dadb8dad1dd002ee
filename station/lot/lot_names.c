/*
 * The names of a template's parameters, compared by their case with what the
 * pre-provisioning hook and the profile call them: AWS takes `serialNumber`
 * and `SerialNumber` for two parameters, and the one that nobody gave is the
 * usual reason why a unit is not provisioned.
 *
 * A hook is a program and a profile a dialogue: what looks like a name need
 * not be one, so these are warnings.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lot/lot_parts.h"
#include "lot/source.h"

enum {
	HOOK_FILE_MAX = 1024 * 1024,
	WORD_MAX = 128,
};

/* True when two names differ in case and underscores only. */
static bool
names_alike(const char *name, const char *word, size_t len)
{
	size_t at = 0;

	for (; *name != '\0'; name++) {
		if (*name == '_')
			continue;
		while (at < len && word[at] == '_')
			at++;
		if (at == len || tolower((unsigned char)*name) !=
				     tolower((unsigned char)word[at]))
			return false;
		at++;
	}
	while (at < len && word[at] == '_')
		at++;
	return at == len;
}

/* The parameter that the word was meant for; null: none, or it is one. */
static const char *
name_meant(const struct lot_reader *reader, const char *word, size_t len)
{
	const struct template_facts *facts =
	    reader->template != NULL ? template_facts(reader->template) : NULL;
	uint32_t count = facts != NULL ? facts->parameter_count
				       : reader->image->parameter_count;
	const char *meant = NULL, *name;

	for (uint32_t at = 0; at < count; at++) {
		name = facts != NULL ? facts->parameters[at].name
				     : reader->image->parameters[at].name;
		if (strlen(name) == len && memcmp(name, word, len) == 0)
			return NULL;
		if (names_alike(name, word, len))
			meant = name;
	}
	return meant;
}

static bool
is_word(char byte)
{
	return isalnum((unsigned char)byte) || byte == '_';
}

/*
 * Every word of a text; with `quoted` only those that stand alone between
 * quotes, as a program writes the names of members.
 */
static void
words_check(struct lot_reader *reader, const char *path, const char *data,
    size_t len, bool quoted)
{
	size_t line = 1, begin = 0, from, at = 0;
	const char *meant;
	bool whole;

	while (at < len) {
		if (data[at] == '\n') {
			line++;
			begin = at + 1;
		}
		if (!is_word(data[at])) {
			at++;
			continue;
		}
		for (from = at; at < len && is_word(data[at]);)
			at++;
		whole = from > 0 && at < len && data[from - 1] == data[at] &&
			(data[at] == '"' || data[at] == '\'');
		/* ${name} of a profile is a variable of its own. */
		if ((quoted && !whole) || at - from > WORD_MAX ||
		    (!quoted && from > 1 && data[from - 1] == '{'))
			continue;
		meant = name_meant(reader, data + from, at - from);
		if (meant != NULL)
			problems_warn(reader->problems, path, line,
			    from - begin + 1,
			    "\"%.*s\" is not the template's parameter %s: AWS "
			    "IoT counts names by their case",
			    (int)(at - from), data + from, meant);
	}
}

static void
file_check(struct lot_reader *reader, const char *path, bool quoted)
{
	char *data = NULL;
	size_t len = 0;

	if (source_read(
		path, HOOK_FILE_MAX, &data, &len, NULL, reader->problems) == 0)
		words_check(reader, path, data, len, quoted);
	free(data);
}

void
lot_read_hook(struct lot_reader *reader, struct yaml_node *map)
{
	struct digest digest;
	char *data = NULL;
	size_t len = 0;

	if (lot_get_path(reader, map, "hook", false, FROZEN_HOOK,
		reader->hook_path, sizeof(reader->hook_path)) != 0) {
		reader->hook_path[0] = '\0';
		return;
	}
	if (source_read(reader->hook_path, HOOK_FILE_MAX, &data, &len, &digest,
		reader->problems) == 0)
		lot_bundle_add(
		    reader->bundle, reader->hook_path, FROZEN_HOOK, &digest);
	free(data);
}

void
lot_check_names(struct lot_reader *reader)
{
	const struct lot_bundle *bundle = reader->bundle;

	if (reader->image->pattern != PATTERN_CLAIM &&
	    reader->image->pattern != PATTERN_TRUSTED_USER)
		return;
	if (reader->hook_path[0] != '\0')
		file_check(reader, reader->hook_path, true);
	for (size_t at = 0; at < bundle->file_count; at++)
		if (text_equal(bundle->files[at].name, FROZEN_PROFILE))
			file_check(reader, bundle->files[at].path, false);
}
