/*
 * Where a private key is in a PKCS #11 token: the part of RFC 7512 that a lot
 * names one by, such as "pkcs11:token=station;object=lot-ca". Used by the hsm
 * role and by the check of a lot.
 */
#ifndef PKI_TOKEN_URI_H
#define PKI_TOKEN_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* Fields of CK_TOKEN_INFO, with a NUL; they are padded with blanks. */
	TOKEN_LABEL_LEN = 33,
	TOKEN_SERIAL_LEN = 17,
	TOKEN_OBJECT_LEN = 256,
	TOKEN_ID_MAX = 255,
};

/* What the URI does not name is empty: it may be anything. */
struct token_uri {
	char token[TOKEN_LABEL_LEN];
	char manufacturer[TOKEN_LABEL_LEN];
	char model[TOKEN_SERIAL_LEN];
	char serial[TOKEN_SERIAL_LEN];
	char object[TOKEN_OBJECT_LEN]; /* label of the key */
	uint8_t id[TOKEN_ID_MAX];      /* CKA_ID of the key */
	size_t id_len;
};

/* True for a text that has the scheme, whatever follows. */
bool token_uri_is(const char *text);
/*
 * Null and *uri filled, or what is wrong: a static text to put behind "the
 * URI". The key must be named, by object or id or both. Attributes of a
 * query (pin-value, module-path, ...) are refused: PIN and module are for the
 * station's own configuration to say.
 */
const char *token_uri_parse(const char *text, struct token_uri *uri);

#endif
