#include "vault/vault.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/log.h"

static void
pair_close(struct pair *pair)
{
	if (pair->attempt == 0)
		return;
	loop_unwatch(pair->vault->loop, pair->watch);
	close(pair->fd);
	/* Nobody is left who could be given the attempt's own key. */
	deposit_forget(pair->vault, pair->attempt);
	memset(pair, 0, sizeof(*pair));
	pair->fd = -1;
}

/*
 * A slot only listens on its pair: an end is its death, and bytes are a
 * slot that was taken over.
 */
static void
pair_ready(void *arg, short revents)
{
	struct pair *pair = arg;

	if (!(revents & (POLLHUP | POLLERR)))
		log_warning("the slot of attempt %llu spoke on its pair",
		    (unsigned long long)pair->attempt);
	pair_close(pair);
}

struct pair *
pair_find(struct vault *vault, uint64_t attempt)
{
	for (size_t i = 0; i < PAIRS_MAX; i++) {
		if (vault->pairs[i].attempt == attempt)
			return &vault->pairs[i];
	}
	return NULL;
}

void
pair_take(struct vault *vault, struct message *message)
{
	uint64_t attempt = message->header.attempt;
	struct pair *pair;

	if (attempt == 0 || message->fd_count != 1) {
		log_error("a pair came without attempt or descriptor");
		return;
	}
	pair = pair_find(vault, attempt);
	if (pair != NULL)
		pair_close(pair);
	pair = pair_find(vault, 0);
	if (pair == NULL) {
		log_error("more than %d pairs are open", PAIRS_MAX);
		return;
	}
	pair->watch =
	    loop_watch(vault->loop, message->fds[0], POLLIN, pair_ready, pair);
	if (pair->watch == NULL) {
		log_error("out of memory");
		return;
	}
	pair->vault = vault;
	pair->attempt = attempt;
	pair->fd = message->fds[0];
	message->fd_count = 0;
}

void
pairs_close(struct vault *vault)
{
	for (size_t i = 0; i < PAIRS_MAX; i++)
		pair_close(&vault->pairs[i]);
}

/* ---- grants ---- */

/*
 * What the grant is of: a key, a Wi-Fi password, or both. A claim key that is
 * proved here has no business in a unit.
 */
static int
grant_find(const struct vault *vault, uint64_t attempt,
    const struct message_vault_grant *grant, const struct secret **key,
    const struct secret **wifi, struct fault *fault)
{
	const struct held_key *claim = key_find(vault, grant->lot, KEY_CLAIM);
	const struct held_key *password = key_find(vault, grant->lot, KEY_WIFI);
	const struct deposit *deposit =
	    deposit_find(vault, attempt, grant->lot);

	*wifi = password == NULL ? NULL : &password->secret;
	*key = NULL;
	if (grant->deposit != 0) {
		if (deposit == NULL)
			return fault_set(fault, CAUSE_ROLE_DOWN,
			    "the key that was made for attempt %llu is not "
			    "here any more; make the unit again",
			    (unsigned long long)attempt);
		*key = &deposit->secret;
		return 0;
	}
	if (claim != NULL && claim->proves)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the claim key of lot index %u stays in the vault",
		    grant->lot);
	if (claim == NULL && password == NULL)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the vault has no key for lot index %u", grant->lot);
	if (claim != NULL)
		*key = &claim->secret;
	return 0;
}

/*
 * Straight onto the socket: a message that had to wait would leave copies
 * of the key in memory that is not locked.
 */
static int
secret_send(struct vault *vault, const struct pair *pair,
    const struct secret *key, const struct secret *wifi, struct fault *fault)
{
	struct message_secret *body = (void *)vault->outgoing.data;
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_SECRET,
	    .attempt = pair->attempt};
	struct channel channel;
	int result;

	if (key != NULL) {
		body->len = (uint32_t)key->len;
		memcpy(body->pem, key->data, key->len);
	}
	if (wifi != NULL)
		memcpy(body->wifi_password, wifi->data, wifi->len);
	channel_open(&channel, pair->fd, "slot", 0);
	result = channel_send(&channel, &header, body, sizeof(*body), NULL, 0);
	OPENSSL_cleanse(vault->outgoing.data, vault->outgoing.size);
	if (result == -1)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the slot of attempt %llu does not take its key",
		    (unsigned long long)pair->attempt);
	return 0;
}

int
grant_take(struct vault *vault, const struct message *message,
    void (*parent_turn)(struct vault *), struct fault *fault)
{
	const struct message_vault_grant *grant =
	    (const void *)message->body.bytes;
	const struct message_header *header = &message->header;
	const struct secret *key, *wifi;
	struct pair *pair = NULL;

	/* The parent joins a slot before it starts it, so the pair of a grant
	 * was sent before the grant; over two channels it may come later. */
	if (header->attempt != 0)
		pair = pair_find(vault, header->attempt);
	if (header->attempt != 0 && pair == NULL) {
		parent_turn(vault);
		pair = pair_find(vault, header->attempt);
	}
	/* Its key may be forgotten, as it was sent. */
	if (pair != NULL && pair->granted && pair->sequence == header->sequence)
		return 0;
	if (grant_find(vault, header->attempt, grant, &key, &wifi, fault) == -1)
		return -1;
	if (pair == NULL)
		return fault_set(fault, CAUSE_ROLE_DOWN,
		    "attempt %llu has no slot here any more",
		    (unsigned long long)header->attempt);
	if (secret_send(vault, pair, key, wifi, fault) == -1)
		return -1;
	if (grant->deposit != 0)
		deposit_forget(vault, header->attempt);
	pair->granted = true;
	pair->sequence = header->sequence;
	return 0;
}
