/* What token.c and token_module.c share: the loaded module. */
#ifndef VAULT_TOKEN_MODULE_H
#define VAULT_TOKEN_MODULE_H

/* Types and constants of PKCS #11 alone; nothing of p11-kit is linked. */
#define CRYPTOKI_GNU 1
#include <p11-kit-1/p11-kit/pkcs11.h>
#include <stdbool.h>

#include "base/file.h"
#include "vault/token.h"

enum {
	PINS_REFUSED_MAX = 16
};

struct token_module {
	void *library;
	struct ck_function_list *calls;
	bool initialized;
	struct digest refused[PINS_REFUSED_MAX]; /* of token and PIN */
	size_t refused_count;
};

/* VAULT_ERROR: the call's name, the code, and what it means. Returns -1. */
int token_refused(struct fault *, const char *call, ck_rv_t);

void token_pin_refused(struct token_module *, const struct ck_token_info *,
    const struct secret *pin);
bool token_pin_was_refused(const struct token_module *,
    const struct ck_token_info *, const struct secret *pin);

/* CKM_ECDSA gives r and s, one behind the other: makes DER of them. */
int token_signature_encode(struct sign_output *, struct fault *);

#endif
