/*
 * Texts with variables: `${name}` and `${name|transform|transform:argument}`.
 * The parser checks them, the engine expands them; device/program.h lists
 * the transforms.
 */
#ifndef DEVICE_EXPAND_H
#define DEVICE_EXPAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

/* One part of a text: either literal bytes or a reference. */
struct expand_part {
	const char *literal;
	size_t literal_len;
	const char *name; /* null: literal */
	size_t name_len;
	const char *transforms; /* behind the first bar; null for none */
	size_t transforms_len;
};

/*
 * Takes the next part off *text. 1 there, 0 the end, -1 malformed (a `${`
 * without `}` or an empty name).
 */
int expand_next(const char **text, struct expand_part *);

/* Null when every transform of the part is known and its argument good. */
const char *expand_transforms_error(const struct expand_part *);

struct expand_calls {
	/* Null when the name is not defined. */
	const char *(*look_up)(void *arg, const char *name, size_t name_len,
	    size_t *len, bool *secret);
	/* What a secret became by its transforms; null for none. */
	int (*secret_made)(void *arg, const char *name, size_t name_len,
	    const void *value, size_t len, struct fault *);
	void *arg;
	uint8_t *scratch[2]; /* EXPAND_VALUE_MAX bytes of secret memory each */
};
enum {
	EXPAND_VALUE_MAX = 32768
};

/*
 * Expands text into `to`, a NUL behind *len bytes; *secret (may be null)
 * tells that a secret went in. CAUSE_INTERNAL when a name is not defined or
 * the result is too long, CAUSE_CONSOLE_ERROR when a transform does not apply
 * to what the unit said; the fault never shows a value.
 */
int expand_text(const struct expand_calls *, const char *text, char *to,
    size_t size, size_t *len, bool *secret, struct fault *);

#endif
