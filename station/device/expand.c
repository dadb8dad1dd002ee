#include "device/expand.h"

#include <openssl/crypto.h>
#include <string.h>

#include "device/transform.h"

int
expand_next(const char **text, struct expand_part *part)
{
	const char *at = *text, *open, *close, *bar;

	memset(part, 0, sizeof(*part));
	if (*at == '\0')
		return 0;
	open = strstr(at, "${");
	if (open != at) {
		part->literal = at;
		part->literal_len =
		    open != NULL ? (size_t)(open - at) : strlen(at);
		*text = at + part->literal_len;
		return 1;
	}
	at += 2;
	close = strchr(at, '}');
	if (close == NULL || close == at)
		return -1;
	bar = memchr(at, '|', (size_t)(close - at));
	part->name = at;
	part->name_len = (size_t)((bar != NULL ? bar : close) - at);
	if (bar != NULL) {
		part->transforms = bar + 1;
		part->transforms_len = (size_t)(close - bar - 1);
	}
	*text = close + 1;
	return part->name_len > 0 ? 1 : -1;
}

/* Takes the next transform off the part; false at the end. */
static bool
transform_next(struct expand_part *part, const char **spec, size_t *len)
{
	const char *bar;

	if (part->transforms == NULL)
		return false;
	*spec = part->transforms;
	bar = memchr(part->transforms, '|', part->transforms_len);
	if (bar == NULL) {
		*len = part->transforms_len;
		part->transforms = NULL;
	} else {
		*len = (size_t)(bar - part->transforms);
		part->transforms = bar + 1;
		part->transforms_len -= *len + 1;
	}
	return true;
}

const char *
expand_transforms_error(const struct expand_part *part)
{
	struct expand_part rest = *part;
	const char *spec, *why = NULL;
	size_t len;

	while (why == NULL && transform_next(&rest, &spec, &len))
		why = transform_error(spec, len);
	return why;
}

/* The value of a reference, after its transforms, in *value. */
static int
reference_expand(const struct expand_calls *calls, struct expand_part part,
    const uint8_t **value, size_t *len, bool *secret, struct fault *fault)
{
	const char *spec;
	size_t spec_len;
	unsigned turn = 0;
	long made;

	*value = (const uint8_t *)calls->look_up(
	    calls->arg, part.name, part.name_len, len, secret);
	if (*value == NULL)
		return fault_set(fault, CAUSE_INTERNAL,
		    "${%.*s} is not known at this step", (int)part.name_len,
		    part.name);
	while (transform_next(&part, &spec, &spec_len)) {
		made = transform_apply(spec, spec_len, *value, *len,
		    calls->scratch[turn], EXPAND_VALUE_MAX);
		if (made < 0)
			return fault_set(fault, CAUSE_CONSOLE_ERROR,
			    "${%.*s}: %.*s does not apply to its value",
			    (int)part.name_len, part.name, (int)spec_len, spec);
		*value = calls->scratch[turn];
		*len = (size_t)made;
		turn ^= 1;
	}
	return 0;
}

static int
part_expand(const struct expand_calls *calls, const struct expand_part *part,
    char *to, size_t room, size_t *len, bool *secret, struct fault *fault)
{
	const uint8_t *value = (const uint8_t *)part->literal;
	bool is_secret = false;

	*len = part->literal_len;
	if (part->name != NULL &&
	    reference_expand(calls, *part, &value, len, &is_secret, fault) != 0)
		return -1;
	if (*len >= room)
		return fault_set(fault, CAUSE_INTERNAL,
		    "a text with variables becomes too long");
	memcpy(to, value, *len);
	*secret = *secret || is_secret;
	if (is_secret && part->transforms != NULL && calls->secret_made != NULL)
		return calls->secret_made(
		    calls->arg, part->name, part->name_len, to, *len, fault);
	return 0;
}

int
expand_text(const struct expand_calls *calls, const char *text, char *to,
    size_t size, size_t *len, bool *secret, struct fault *fault)
{
	struct expand_part part;
	bool any_secret = false;
	size_t part_len;
	int more, result = 0;

	*len = 0;
	while (result == 0 && (more = expand_next(&text, &part)) != 0) {
		if (more < 0) {
			result = fault_set(fault, CAUSE_INTERNAL,
			    "a text has \"${\" without a name and \"}\"");
			break;
		}
		result = part_expand(calls, &part, to + *len, size - *len,
		    &part_len, &any_secret, fault);
		if (result == 0)
			*len += part_len;
	}
	to[*len] = '\0';
	if (secret != NULL)
		*secret = any_secret;
	if (any_secret) {
		OPENSSL_cleanse(calls->scratch[0], EXPAND_VALUE_MAX);
		OPENSSL_cleanse(calls->scratch[1], EXPAND_VALUE_MAX);
	}
	return result;
}
