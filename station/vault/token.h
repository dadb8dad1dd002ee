/*
 * A signing key in a PKCS #11 token (OASIS, Cryptographic Token Interface
 * Base Specification 2.40), for the hsm role. The module is a library of the
 * token's maker: it is trusted with the keys and with nothing else.
 *
 * Calls block as long as the token takes. Cause VAULT_ERROR everywhere.
 */
#ifndef VAULT_TOKEN_H
#define VAULT_TOKEN_H

#include "pki/authority.h"
#include "pki/key.h"

struct token_module; /* opaque: the library, loaded and initialised */
struct token_key;    /* opaque: a session and a private key in it */

struct token_module *token_module_open(const char *path, struct fault *);
void token_module_close(struct token_module *);

/*
 * Finds the one token and the one private key that the RFC 7512 URI names,
 * and logs in with the PIN; one of len 0 is none. The module is borrowed and
 * the PIN copied, to log in again after the token was away.
 *
 * A PIN that the token has refused is not offered to it again, and none when
 * one try is left: a station that repeats would lock the token.
 */
struct token_key *token_key_open(struct token_module *, const char *uri,
    const struct secret *pin, struct fault *);
void token_key_close(struct token_key *);
/* A sign_call (pki/authority.h); its arg is the struct token_key. */
int token_key_sign(
    void *key, const struct sign_input *, struct sign_output *, struct fault *);

#endif
