/*
 * The cloud role's end of its private pair with the vault: signatures with
 * keys that never come here, and keys that AWS made on their way out.
 *
 * role.c takes the descriptor of MESSAGE_CLOUD_VAULT; prove.c asks for
 * signatures, the patterns deposit. base/message.h has the protocol.
 *
 * Both calls wait for the answer. The vault is a process of this host that
 * does nothing else and answers within a millisecond, and OpenSSL's key
 * callbacks cannot return before they have a signature; should the vault
 * stand still all the same, the role stands for VAULT_TIMEOUT_MS and the pair
 * is given up, so that it happens once.
 */
#ifndef CLOUD_VAULT_PAIR_H
#define CLOUD_VAULT_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/fault.h"

enum {
	VAULT_TIMEOUT_MS = 5000
};

/* Zero at the start: not joined. */
struct vault_pair {
	struct channel channel;
	bool joined;
	uint32_t sequence;
};

/* A key that the vault holds. */
struct vault_key {
	uint32_t lot;	  /* the line's index */
	bool deposit;	  /* the attempt's deposited key, not the lot's claim */
	uint64_t attempt; /* with deposit */
};

/* Takes the descriptor; a pair that was there is closed: it is the older. */
void vault_pair_join(struct vault_pair *, int fd);
void vault_pair_close(struct vault_pair *);

/*
 * The signature of `input`, as struct message_prove describes it. Writes at
 * most PROVE_SIGNATURE_MAX bytes and their number. ROLE_DOWN when the vault
 * is not there or has not the key, VAULT_ERROR when it refuses.
 */
int vault_pair_prove(struct vault_pair *, const struct vault_key *,
    const void *input, size_t len, uint8_t *signature, size_t *signature_len,
    struct fault *);

/*
 * Gives the vault the key of one unit: len bytes of PEM that belong to the
 * PEM certificate. The caller wipes its own copy. Causes as for a proof.
 */
int vault_pair_deposit(struct vault_pair *, uint32_t lot, uint64_t attempt,
    const char *key, size_t len, const char *certificate, struct fault *);
/* The vault forgets the attempt's key; that it cannot is of no consequence:
 * it forgets by itself. */
void vault_pair_forget(struct vault_pair *, uint32_t lot, uint64_t attempt);

#endif
