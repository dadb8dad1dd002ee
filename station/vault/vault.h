/*
 * The vault role's own state, shared by the files of this folder that make it
 * up. One process, one thread; nothing of it is ever on a disk.
 *
 *	role.c        start, the channels to line and parent, signing
 *	keys.c        the open lots' keys
 *	deposits.c    keys that AWS made for one unit each
 *	pairs.c       the private pairs with slots: grants
 *	cloud_pair.c  the private pair with cloud: proofs, deposits
 *	prove.c       one signature for TLS
 *	key_file.c    reading a file that the parent has opened
 */
#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/loop.h"
#include "base/message.h"
#include "pki/authority.h"
#include "pki/key.h"

enum {
	PAIRS_MAX = 2 * SLOTS_MAX,
	DEPOSIT_LIFE_MS = 15 * 60 * 1000,
	SECRET_PEM_MAX = CERTIFICATE_LEN - 1, /* a struct message_secret's */
};

/* A key of an open lot. */
struct held_key {
	struct secret secret; /* PEM, not encrypted; or the Wi-Fi password */
	struct authority *authority; /* of KEY_CA */
	bool proves;
};

struct deposit {
	uint64_t attempt; /* 0: not in use */
	uint32_t lot;
	struct secret secret; /* PEM */
	int64_t deadline_ms;
};

/* The private pair with the slot that works an attempt. */
struct pair {
	struct vault *vault;
	uint64_t attempt; /* 0: not in use */
	int fd;
	struct loop_watch *watch;
	bool granted;
	uint32_t sequence; /* of the last grant */
};

struct vault {
	struct loop *loop;
	struct channel line, parent, cloud;
	struct loop_watch *line_watch, *parent_watch;
	struct loop_watch *cloud_watch; /* null: not joined with cloud */
	struct held_key keys[LOTS_OPEN_MAX][KEY_KIND_COUNT];
	struct deposit deposits[DEPOSITS_MAX];
	struct loop_timer *deposit_timer;
	struct secret outgoing; /* one struct message_secret */
	struct pair pairs[PAIRS_MAX];
};

/* keys.c */
/* VAULT_KEY: reads the files of its descriptors, which stay the message's. */
int key_take(struct vault *, const struct message *, struct fault *);
/* Null when the lot has none of that kind, or there is no such lot. */
const struct held_key *
key_find(const struct vault *, uint32_t lot, enum key_kind);
void keys_forget(struct vault *, uint32_t lot);

/* deposits.c */
/* The timer must be there. */
int deposit_take(struct vault *, uint64_t attempt,
    const struct message_deposit *, struct fault *);
/* Null when that attempt of that lot has none. */
const struct deposit *
deposit_find(const struct vault *, uint64_t attempt, uint32_t lot);
void deposit_forget(struct vault *, uint64_t attempt);
void deposits_forget_lot(struct vault *, uint32_t lot);
void deposits_forget_all(struct vault *);
/* The timer's call; arg is the vault. */
void deposits_lapse(void *arg);

/* pairs.c */
/* VAULT_PAIR: takes the descriptor out of the message. */
void pair_take(struct vault *, struct message *);
/* Null when the attempt has none. */
struct pair *pair_find(struct vault *, uint64_t attempt);
/* VAULT_GRANT. parent_turn may be called: a pair may still be under way. */
int grant_take(struct vault *, const struct message *,
    void (*parent_turn)(struct vault *), struct fault *);
void pairs_close(struct vault *);

/* cloud_pair.c */
/* VAULT_CLOUD: takes the descriptor; the pair that was there ends. */
void cloud_pair_take(struct vault *, struct message *);
void cloud_pair_close(struct vault *);

/* prove.c */
/* The signature of the PEM key as base/message.h says of PROVE. */
int prove(const struct secret *pem, const struct message_prove *,
    struct message_prove_done *, struct fault *);

#endif
