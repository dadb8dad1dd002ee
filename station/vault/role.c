#include "vault/role.h"

#include <poll.h>
#include <string.h>
#include <sysexits.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "pki/issue.h"
#include "vault/vault.h"

enum {
	ANSWERS_QUEUED_MAX = 256,
	/* Few: a slot's death must be seen between two grants. */
	LINE_MESSAGES_A_TURN = 8,
	/* More than the parent can have sent for slots that it started. */
	PARENT_MESSAGES_A_TURN = PAIRS_MAX,
	/* OpenSSL's own locked memory: one key and its PEM at a time. */
	OPENSSL_LOCKED_BYTES = 128 * 1024,
	OPENSSL_LOCKED_LEAST = 32,
};

static void parent_turn(struct vault *vault);

/* ---- messages ---- */

static int
sign_take(const struct vault *vault, const struct message *message,
    struct message_issue_done *done, struct fault *fault)
{
	const struct message_vault_sign *request =
	    (const void *)message->body.bytes;
	const struct held_key *held = key_find(vault, request->lot, KEY_CA);
	EVP_PKEY *key;
	int result;

	if (held == NULL)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the vault has no CA key for lot index %u", request->lot);
	key = key_load(held->secret.data, held->secret.len, fault);
	if (key == NULL)
		return -1;
	result = issue_certificate(
	    held->authority, request, sign_by_key, key, done, fault);
	EVP_PKEY_free(key);
	return result;
}

static void
answer_send(struct vault *vault, struct channel *channel,
    const struct message *request, const void *body, size_t len)
{
	struct message_header header = request->header;

	header.type++;
	if (channel_send(channel, &header, body, len, NULL, 0) == -1)
		loop_stop(vault->loop);
}

static void
message_unknown(const struct channel *channel, const struct message *message)
{
	log_error("%s sent a message of type %u", channel->peer,
	    message->header.type);
}

static void
line_message(struct vault *vault, struct message *message)
{
	struct message_issue_done issued;
	struct message_done done;

	memset(&done, 0, sizeof(done));
	switch (message->header.type) {
	case MESSAGE_VAULT_GRANT:
		(void)grant_take(vault, message, parent_turn, &done.fault);
		answer_send(vault, &vault->line, message, &done, sizeof(done));
		break;
	case MESSAGE_VAULT_SIGN:
		memset(&issued, 0, sizeof(issued));
		(void)sign_take(vault, message, &issued, &issued.fault);
		answer_send(
		    vault, &vault->line, message, &issued, sizeof(issued));
		break;
	default:
		message_unknown(&vault->line, message);
		break;
	}
}

static void
parent_message(struct vault *vault, struct message *message)
{
	const struct message_keys_forget *forget =
	    (const void *)message->body.bytes;
	struct message_done done;

	memset(&done, 0, sizeof(done));
	switch (message->header.type) {
	case MESSAGE_VAULT_PAIR:
		pair_take(vault, message);
		break;
	case MESSAGE_VAULT_CLOUD:
		cloud_pair_take(vault, message);
		break;
	case MESSAGE_KEYS_FORGET:
		keys_forget(vault, forget->lot);
		break;
	case MESSAGE_VAULT_KEY:
		(void)key_take(vault, message, &done.fault);
		answer_send(
		    vault, &vault->parent, message, &done, sizeof(done));
		break;
	default:
		message_unknown(&vault->parent, message);
		break;
	}
}

static void
channel_turn(struct vault *vault, struct channel *channel,
    struct loop_watch *watch, void (*take)(struct vault *, struct message *),
    int bound)
{
	struct message message;
	int got = channel_flush(channel) == -1 ? -1 : 1;

	for (int i = 0; i < bound && got == 1; i++) {
		got = channel_receive(channel, &message);
		if (got == 1) {
			take(vault, &message);
			message_close_fds(&message);
		}
	}
	if (got == -1)
		loop_stop(vault->loop);
	else
		loop_watch_events(watch, channel_events(channel));
}

static void
parent_turn(struct vault *vault)
{
	channel_turn(vault, &vault->parent, vault->parent_watch, parent_message,
	    PARENT_MESSAGES_A_TURN);
}

static void
parent_ready(void *arg, short revents)
{
	(void)revents;
	parent_turn(arg);
}

static void
line_ready(void *arg, short revents)
{
	struct vault *vault = arg;

	(void)revents;
	channel_turn(vault, &vault->line, vault->line_watch, line_message,
	    LINE_MESSAGES_A_TURN);
}

/* ---- start and end ---- */

/*
 * OpenSSL reads its configuration and seeds its generator when they are used
 * first; in the sandbox no file can be opened, so that happens here. Private
 * numbers of keys that it works with are in memory that it locks itself.
 */
static int
openssl_prepare(struct fault *fault)
{
	uint8_t byte;

	if (OPENSSL_init_crypto(
		OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
		NULL) != 1 ||
	    RAND_bytes(&byte, 1) != 1)
		return fault_set(
		    fault, CAUSE_VAULT_ERROR, "OpenSSL cannot be started");
	if (CRYPTO_secure_malloc_init(
		OPENSSL_LOCKED_BYTES, OPENSSL_LOCKED_LEAST) != 1)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "cannot lock %d bytes of memory for keys (RLIMIT_MEMLOCK)",
		    OPENSSL_LOCKED_BYTES);
	return 0;
}

static int
vault_open(struct vault *vault, struct fault *fault)
{
	channel_open(&vault->line, ROLE_FD_CHANNEL, "line", ANSWERS_QUEUED_MAX);
	channel_open(
	    &vault->parent, ROLE_FD_FIRST, "parent", ANSWERS_QUEUED_MAX);
	vault->loop = loop_new();
	if (vault->loop == NULL)
		return fault_set(fault, CAUSE_VAULT_ERROR, "out of memory");
	vault->line_watch =
	    loop_watch(vault->loop, ROLE_FD_CHANNEL, POLLIN, line_ready, vault);
	vault->parent_watch =
	    loop_watch(vault->loop, ROLE_FD_FIRST, POLLIN, parent_ready, vault);
	vault->deposit_timer = loop_timer(vault->loop, deposits_lapse, vault);
	if (vault->line_watch == NULL || vault->parent_watch == NULL ||
	    vault->deposit_timer == NULL)
		return fault_set(fault, CAUSE_VAULT_ERROR, "out of memory");
	if (openssl_prepare(fault) == -1 ||
	    secret_alloc(
		&vault->outgoing, sizeof(struct message_secret), fault) == -1)
		return -1;
	return sandbox_enter(ROLE_VAULT, NULL, fault);
}

static void
vault_close(struct vault *vault)
{
	if (vault->loop != NULL) {
		pairs_close(vault);
		cloud_pair_close(vault);
	}
	for (uint32_t i = 0; i < LOTS_OPEN_MAX; i++)
		keys_forget(vault, i);
	deposits_forget_all(vault);
	secret_free(&vault->outgoing);
	loop_free(vault->loop);
	channel_close(&vault->line);
	channel_close(&vault->parent);
}

int
vault_role(void)
{
	static struct vault vault;
	struct fault fault = {0};
	int status = EX_SOFTWARE;

	log_open("vault", LOG_LEVEL_INFO);
	if (vault_open(&vault, &fault) == -1) {
		log_error("%s", fault.text);
		goto out;
	}
	if (loop_run(vault.loop, NULL, NULL) == 0)
		status = EX_OK;
out:
	vault_close(&vault);
	return status;
}
