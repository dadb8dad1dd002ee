#include "vault/role.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "base/channel.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/message.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "pki/key.h"

enum {
	KEYS_MAX = 64,
	PAIRS_MAX = 2 * SLOTS_MAX,
	ANSWERS_QUEUED_MAX = 256,
	/* Few: a slot's death must be seen between two grants. */
	GRANTS_A_TURN = 8,
	/* More than the parent can have sent for slots that it started. */
	PARENT_MESSAGES_A_TURN = PAIRS_MAX,
};

struct vault;

static void parent_turn(struct vault *vault);

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
	struct channel line, parent;
	struct loop_watch *line_watch, *parent_watch;
	struct secret keys[KEYS_MAX]; /* PEM, by the line's index of the lot */
	struct secret outgoing;	      /* one struct message_secret */
	struct pair pairs[PAIRS_MAX];
};

/* ---- pairs ---- */

static void
pair_close(struct pair *pair)
{
	if (pair->attempt == 0)
		return;
	loop_unwatch(pair->vault->loop, pair->watch);
	close(pair->fd);
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

static struct pair *
pair_find(struct vault *vault, uint64_t attempt)
{
	for (size_t i = 0; i < PAIRS_MAX; i++) {
		if (vault->pairs[i].attempt == attempt)
			return &vault->pairs[i];
	}
	return NULL;
}

/* Takes the descriptor out of the message. */
static void
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

/* ---- keys ---- */

static int
key_check_file(int fd, const char *path, struct fault *fault)
{
	struct stat status;

	if (fstat(fd, &status) == -1)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "key file %s cannot be examined", path);
	if (!S_ISREG(status.st_mode))
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "key file %s is not a regular file", path);
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "key file %s has mode %04o, so others than its owner can "
		    "use it; run: chmod 600 %s",
		    path, (unsigned)status.st_mode & 07777, path);
	return 0;
}

static int
key_take(
    struct vault *vault, const struct message *message, struct fault *fault)
{
	const struct message_open_key *request =
	    (const void *)message->body.bytes;
	struct secret key = {0};

	if (request->lot >= KEYS_MAX || message->fd_count != 1)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "a key came without file, or for lot index %u",
		    request->lot);
	if (key_check_file(message->fds[0], request->path, fault) == -1)
		return -1;
	if (secret_read_fd(&key, message->fds[0], request->path,
		sizeof(((struct message_secret *)NULL)->pem) - 1, fault) == -1)
		return -1;
	if (key_check(key.data, key.len, request->certificate,
		strlen(request->certificate), fault) == -1) {
		secret_free(&key);
		return fault_prefix(fault, "key file %s", request->path);
	}
	secret_free(&vault->keys[request->lot]);
	vault->keys[request->lot] = key;
	return 0;
}

/* ---- grants ---- */

/*
 * Straight onto the socket: a message that had to wait would leave copies
 * of the key in memory that is not locked.
 */
static int
secret_send(struct vault *vault, const struct pair *pair,
    const struct secret *key, struct fault *fault)
{
	struct message_secret *body = (void *)vault->outgoing.data;
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_SECRET,
	    .attempt = pair->attempt};
	struct channel channel;
	int result;

	body->len = (uint32_t)key->len;
	memcpy(body->pem, key->data, key->len);
	channel_open(&channel, pair->fd, "slot", 0);
	result = channel_send(&channel, &header, body, sizeof(*body), NULL, 0);
	OPENSSL_cleanse(vault->outgoing.data, vault->outgoing.size);
	if (result == -1)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the slot of attempt %llu does not take its key",
		    (unsigned long long)pair->attempt);
	return 0;
}

static int
grant_take(
    struct vault *vault, const struct message *message, struct fault *fault)
{
	const struct message_vault_grant *grant =
	    (const void *)message->body.bytes;
	const struct message_header *header = &message->header;
	struct pair *pair = NULL;

	if (grant->lot >= KEYS_MAX || vault->keys[grant->lot].data == NULL)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the vault has no key for lot index %u", grant->lot);
	/* The parent joins a slot before it starts it, so the pair of a grant
	 * was sent before the grant; over two channels it may come later. */
	if (header->attempt != 0)
		pair = pair_find(vault, header->attempt);
	if (header->attempt != 0 && pair == NULL) {
		parent_turn(vault);
		pair = pair_find(vault, header->attempt);
	}
	if (pair == NULL)
		return fault_set(fault, CAUSE_ROLE_DOWN,
		    "attempt %llu has no slot here any more",
		    (unsigned long long)header->attempt);
	if (pair->granted && pair->sequence == header->sequence)
		return 0;
	if (secret_send(vault, pair, &vault->keys[grant->lot], fault) == -1)
		return -1;
	pair->granted = true;
	pair->sequence = header->sequence;
	return 0;
}

/* ---- messages ---- */

/* Which channel may say what, and who does it. */
static void
message_take(
    struct vault *vault, struct channel *channel, struct message *message)
{
	struct message_header header = message->header;
	struct message_done answer;
	bool parent = channel == &vault->parent;

	memset(&answer, 0, sizeof(answer));
	if (parent && header.type == MESSAGE_VAULT_PAIR) {
		pair_take(vault, message);
		return;
	}
	if (parent && header.type == MESSAGE_VAULT_KEY) {
		key_take(vault, message, &answer.fault);
	} else if (!parent && header.type == MESSAGE_VAULT_GRANT) {
		grant_take(vault, message, &answer.fault);
	} else {
		log_error(
		    "%s sent a message of type %u", channel->peer, header.type);
		return;
	}
	header.type++;
	if (channel_send(channel, &header, &answer, sizeof(answer), NULL, 0) ==
	    -1)
		loop_stop(vault->loop);
}

static void
channel_turn(struct vault *vault, struct channel *channel,
    struct loop_watch *watch, int bound)
{
	struct message message;
	int got = channel_flush(channel) == -1 ? -1 : 1;

	for (int i = 0; i < bound && got == 1; i++) {
		got = channel_receive(channel, &message);
		if (got == 1) {
			message_take(vault, channel, &message);
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
	channel_turn(
	    vault, &vault->parent, vault->parent_watch, PARENT_MESSAGES_A_TURN);
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
	channel_turn(vault, &vault->line, vault->line_watch, GRANTS_A_TURN);
}

/* ---- start and end ---- */

/*
 * OpenSSL reads its configuration when it is used first; in the sandbox no
 * file can be opened, so that happens here.
 */
static int
openssl_prepare(struct fault *fault)
{
	if (OPENSSL_init_crypto(
		OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
		NULL) != 1)
		return fault_set(
		    fault, CAUSE_VAULT_ERROR, "OpenSSL cannot be started");
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
	if (vault->line_watch == NULL || vault->parent_watch == NULL)
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
	for (size_t i = 0; i < PAIRS_MAX; i++)
		pair_close(&vault->pairs[i]);
	for (size_t i = 0; i < KEYS_MAX; i++)
		secret_free(&vault->keys[i]);
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
