#include "vault/vault.h"

#include <poll.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/log.h"

enum {
	ANSWERS_WAITING_MAX = 64,
	REQUESTS_A_TURN = 8,
};

void
cloud_pair_close(struct vault *vault)
{
	if (vault->cloud_watch == NULL)
		return;
	loop_unwatch(vault->loop, vault->cloud_watch);
	vault->cloud_watch = NULL;
	channel_close(&vault->cloud);
}

static int
prove_take(const struct vault *vault, const struct message *message,
    struct message_prove_done *done, struct fault *fault)
{
	const struct message_prove *request = (const void *)message->body.bytes;
	const struct held_key *claim;
	const struct deposit *deposit;

	if (request->deposit != 0) {
		deposit =
		    deposit_find(vault, message->header.attempt, request->lot);
		if (deposit == NULL)
			return fault_set(fault, CAUSE_ROLE_DOWN,
			    "the key that was made for attempt %llu is not "
			    "here any more; make the unit again",
			    (unsigned long long)message->header.attempt);
		return prove(&deposit->secret, request, done, fault);
	}
	claim = key_find(vault, request->lot, KEY_CLAIM);
	if (claim == NULL)
		return fault_set(fault, CAUSE_ROLE_DOWN,
		    "the vault has no claim key for lot index %u",
		    request->lot);
	if (!claim->proves)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the claim key of lot index %u is for units only",
		    request->lot);
	return prove(&claim->secret, request, done, fault);
}

/* -1 when the pair is of no use any more. */
static int
request_take(struct vault *vault, struct message *message)
{
	struct message_header header = message->header;
	struct message_prove_done proved;
	struct message_done done;
	const void *answer = &done;
	size_t len = sizeof(done);

	memset(&done, 0, sizeof(done));
	memset(&proved, 0, sizeof(proved));
	switch (header.type) {
	case MESSAGE_PROVE:
		(void)prove_take(vault, message, &proved, &proved.fault);
		answer = &proved;
		len = sizeof(proved);
		break;
	case MESSAGE_DEPOSIT:
		(void)deposit_take(vault, header.attempt,
		    (const void *)message->body.bytes, &done.fault);
		OPENSSL_cleanse(&message->body, sizeof(message->body));
		break;
	default:
		log_error(
		    "cloud sent a message of type %u on its pair", header.type);
		return -1;
	}
	header.type++;
	return channel_send(&vault->cloud, &header, answer, len, NULL, 0);
}

/*
 * Whatever cloud does, its pair is all that ends: slots go on to get their
 * keys.
 */
static void
cloud_ready(void *arg, short revents)
{
	struct vault *vault = arg;
	struct message message;
	int got = channel_flush(&vault->cloud) == -1 ? -1 : 1;

	(void)revents;
	for (int i = 0; i < REQUESTS_A_TURN && got == 1; i++) {
		got = channel_receive(&vault->cloud, &message);
		if (got != 1)
			break;
		if (request_take(vault, &message) == -1)
			got = -1;
		message_close_fds(&message);
	}
	if (got == -1)
		cloud_pair_close(vault);
	else
		loop_watch_events(
		    vault->cloud_watch, channel_events(&vault->cloud));
}

void
cloud_pair_take(struct vault *vault, struct message *message)
{
	if (message->fd_count != 1) {
		log_error("a pair with cloud came without descriptor");
		return;
	}
	cloud_pair_close(vault);
	vault->cloud_watch = loop_watch(
	    vault->loop, message->fds[0], POLLIN, cloud_ready, vault);
	if (vault->cloud_watch == NULL) {
		log_error("out of memory");
		return;
	}
	channel_open(
	    &vault->cloud, message->fds[0], "cloud", ANSWERS_WAITING_MAX);
	message->fd_count = 0;
}
