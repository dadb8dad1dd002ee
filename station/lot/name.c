#include "lot/name.h"

#include <string.h>

struct name_rule {
	size_t least, most;
	bool letters;	   /* A-Z a-z */
	bool alnum_first;  /* must begin with a letter or digit */
	const char *extra; /* accepted besides digits */
	const char *accepted;
};

static const struct name_rule rules[NAME_KIND_COUNT] = {
    [NAME_PLAIN] = {1, 64, true, true, "._-",
	"1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit"},
    [NAME_LABEL] = {1, 64, true, true, "_.,@/:#-",
	"1 to 64 of A-Z a-z 0-9 _ . , @ / : # -, the first a letter or digit"},
    [NAME_SERIAL] = {1, 64, true, true, "._:-",
	"1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit"},
    [NAME_COLUMN] = {1, 64, true, true, "_-",
	"1 to 64 of A-Z a-z 0-9 _ -, the first a letter or digit"},
    [NAME_VERSION] = {1, 31, true, true, "._-",
	"1 to 31 of A-Z a-z 0-9 . _ -, the first a letter or digit"},
    [NAME_THING] = {1, 128, true, false, ":_-",
	"1 to 128 of A-Z a-z 0-9 : _ -"},
    [NAME_POLICY] = {1, 128, true, false, "_+=,.@-",
	"1 to 128 of A-Z a-z 0-9 _ + = , . @ -"},
    [NAME_ATTRIBUTE] = {1, 128, true, false, "_.,@/:#-",
	"1 to 128 of A-Z a-z 0-9 _ . , @ / : # -"},
    [NAME_ATTRIBUTE_VALUE] = {1, 800, true, false, "_.,@/:#=[]-",
	"1 to 800 of A-Z a-z 0-9 _ . , @ / : # = [ ] - (no spaces)"},
    [NAME_TEMPLATE] = {1, 36, true, false, "_-", "1 to 36 of 0-9 A-Z a-z _ -"},
    [NAME_ACCOUNT] = {12, 12, false, false, "", "12 digits"},
    [NAME_REGION] = {4, 31, true, true, "-", "a Region such as eu-central-1"},
    [NAME_HOST] = {1, 255, true, true, ".:-",
	"a host name without scheme or path, such as "
	"example-ats.iot.eu-central-1.amazonaws.com"},
    [NAME_BUCKET] = {3, 63, false, true, "abcdefghijklmnopqrstuvwxyz.-",
	"3 to 63 of a-z 0-9 . -, the first a letter or digit"},
    [NAME_PREFIX] = {1, 127, true, true, "!_.*'()/-",
	"1 to 127 of A-Z a-z 0-9 ! _ . * ' ( ) / -, the first a letter or "
	"digit"},
};

static bool
is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* Not isalpha(3): that depends on the locale. */
static bool
is_letter(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

bool
name_matches(enum name_kind kind, const char *text, size_t len)
{
	const struct name_rule *rule = &rules[kind];

	if (len < rule->least || len > rule->most)
		return false;
	if (rule->alnum_first && !is_letter(text[0]) && !is_digit(text[0]))
		return false;
	for (size_t at = 0; at < len; at++) {
		if (is_digit(text[at]))
			continue;
		if (rule->letters && is_letter(text[at]))
			continue;
		if (text[at] == '\0' || strchr(rule->extra, text[at]) == NULL)
			return false;
	}
	return true;
}

const char *
name_accepted(enum name_kind kind)
{
	return rules[kind].accepted;
}

int
name_get(struct yaml_document *document, struct yaml_node *map, const char *key,
    bool required, enum name_kind kind, char *to, size_t size,
    struct problems *problems)
{
	int result =
	    yaml_get_text(document, map, key, required, to, size, problems);

	if (result != 0)
		return result;
	if (name_matches(kind, to, strlen(to)))
		return 0;
	yaml_problem(document, yaml_get(map, key), problems,
	    "%s \"%s\" is not accepted; accepted are %s", key, to,
	    name_accepted(kind));
	return -1;
}
