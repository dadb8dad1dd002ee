#include "vault/role.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "pki/issue.h"
#include "vault/key_file.h"
#include "vault/token.h"

enum {
	ANSWERS_QUEUED_MAX = 256,
	MESSAGES_A_TURN = 4,
	PIN_MAX = 255,
	/* A token that takes longer than that is not going to answer. */
	TOKEN_SECONDS = 30,
};

/* The CA of an open lot. */
struct hsm_key {
	struct authority *authority;
	struct token_key *key; /* null: not in use */
};

struct hsm {
	struct loop *loop;
	struct channel line, parent;
	struct loop_watch *line_watch, *parent_watch;
	const struct role_token *token; /* mapped */
	struct token_module *module;	/* loaded when a key is asked for */
	struct hsm_key keys[LOTS_OPEN_MAX];
};

/* ---- keys ---- */

static void
key_forget(struct hsm_key *key)
{
	token_key_close(key->key);
	authority_free(key->authority);
	memset(key, 0, sizeof(*key));
}

static int
pin_read(struct secret *pin, const struct message *message, struct fault *fault)
{
	const struct message_open_key *request =
	    (const void *)message->body.bytes;

	if (message->fd_count == 0)
		return 0;
	return key_file_read_line(
	    pin, message->fds[0], request->secret_path, 1, PIN_MAX, fault);
}

static int
key_open(struct hsm *hsm, struct hsm_key *key,
    const struct message_open_key *request, const struct secret *pin,
    struct fault *fault)
{
	if (hsm->module == NULL)
		hsm->module = token_module_open(hsm->token->module, fault);
	if (hsm->module == NULL)
		return -1;
	key->authority = authority_new(request->certificate, fault);
	if (key->authority == NULL)
		return -1;
	key->key = token_key_open(hsm->module, request->path, pin, fault);
	if (key->key == NULL)
		return -1;
	return authority_prove(key->authority, token_key_sign, key->key, fault);
}

static int
key_take(struct hsm *hsm, const struct message *message, struct fault *fault)
{
	const struct message_open_key *request =
	    (const void *)message->body.bytes;
	struct hsm_key key = {0};
	struct secret pin = {0};
	int result = -1;

	if (request->lot >= LOTS_OPEN_MAX || request->kind != KEY_CA)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "a key came of kind %u, or for lot index %u", request->kind,
		    request->lot);
	if (pin_read(&pin, message, fault) == 0)
		result = key_open(hsm, &key, request, &pin, fault);
	secret_free(&pin);
	if (result == -1) {
		key_forget(&key);
		return fault_prefix(fault, "%s", request->path);
	}
	key_forget(&hsm->keys[request->lot]);
	hsm->keys[request->lot] = key;
	return 0;
}

static int
sign_take(const struct hsm *hsm, const struct message *message,
    struct message_issue_done *done, struct fault *fault)
{
	const struct message_vault_sign *request =
	    (const void *)message->body.bytes;
	const struct hsm_key *key;

	if (request->lot >= LOTS_OPEN_MAX ||
	    hsm->keys[request->lot].key == NULL)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "no token has a CA key for lot index %u", request->lot);
	key = &hsm->keys[request->lot];
	return issue_certificate(
	    key->authority, request, token_key_sign, key->key, done, fault);
}

/* ---- messages ---- */

/*
 * The library of a token may never return, and nothing else can be done in
 * this process then: its end is seen, named and followed by a fresh start.
 */
static void
token_hangs(int signal_number)
{
	static const char text[] =
	    "<3>hsm: the token does not answer; the role ends\n";

	(void)signal_number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EX_UNAVAILABLE);
	_exit(EX_UNAVAILABLE);
}

static void
message_take(struct hsm *hsm, struct channel *channel, struct message *message)
{
	const struct message_keys_forget *forget =
	    (const void *)message->body.bytes;
	struct message_header header = message->header;
	struct message_issue_done issued;
	struct message_done done;
	bool parent = channel == &hsm->parent;
	const void *answer = &done;
	size_t len = sizeof(done);

	memset(&done, 0, sizeof(done));
	memset(&issued, 0, sizeof(issued));
	if (parent && header.type == MESSAGE_KEYS_FORGET) {
		if (forget->lot < LOTS_OPEN_MAX)
			key_forget(&hsm->keys[forget->lot]);
		return;
	}
	if (parent && header.type == MESSAGE_VAULT_KEY) {
		(void)key_take(hsm, message, &done.fault);
	} else if (!parent && header.type == MESSAGE_VAULT_SIGN) {
		(void)sign_take(hsm, message, &issued, &issued.fault);
		answer = &issued;
		len = sizeof(issued);
	} else {
		log_error(
		    "%s sent a message of type %u", channel->peer, header.type);
		return;
	}
	header.type++;
	if (channel_send(channel, &header, answer, len, NULL, 0) == -1)
		loop_stop(hsm->loop);
}

static void
channel_turn(struct hsm *hsm, struct channel *channel, struct loop_watch *watch)
{
	struct message message;
	int got = channel_flush(channel) == -1 ? -1 : 1;

	for (int i = 0; i < MESSAGES_A_TURN && got == 1; i++) {
		got = channel_receive(channel, &message);
		if (got != 1)
			break;
		(void)alarm(TOKEN_SECONDS);
		message_take(hsm, channel, &message);
		(void)alarm(0);
		message_close_fds(&message);
	}
	if (got == -1)
		loop_stop(hsm->loop);
	else
		loop_watch_events(watch, channel_events(channel));
}

static void
parent_ready(void *arg, short revents)
{
	struct hsm *hsm = arg;

	(void)revents;
	channel_turn(hsm, &hsm->parent, hsm->parent_watch);
}

static void
line_ready(void *arg, short revents)
{
	struct hsm *hsm = arg;

	(void)revents;
	channel_turn(hsm, &hsm->line, hsm->line_watch);
}

/* ---- start and end ---- */

/* The module is code of another maker: it is loaded in the sandbox. */
static int
hsm_confine(const struct hsm *hsm, struct fault *fault)
{
	struct sandbox_paths paths;

	memset(&paths, 0, sizeof(paths));
	paths.read[0] = hsm->token->module;
	for (uint32_t i = 0; i < hsm->token->path_count && i < TOKEN_PATHS_MAX;
	     i++)
		paths.write[i] = hsm->token->paths[i];
	return sandbox_enter(ROLE_HSM, &paths, fault);
}

static int
hsm_open(struct hsm *hsm, struct fault *fault)
{
	const void *data;
	uint8_t byte;
	size_t len;

	channel_open(&hsm->line, ROLE_FD_CHANNEL, "line", ANSWERS_QUEUED_MAX);
	channel_open(&hsm->parent, ROLE_FD_FIRST, "parent", ANSWERS_QUEUED_MAX);
	if (file_map_sealed(ROLE_FD_JOB, sizeof(*hsm->token),
		sizeof(*hsm->token), &data, &len, fault) == -1)
		return -1;
	hsm->token = data;
	hsm->loop = loop_new();
	if (hsm->loop == NULL)
		return fault_set(fault, CAUSE_VAULT_ERROR, "out of memory");
	hsm->line_watch =
	    loop_watch(hsm->loop, ROLE_FD_CHANNEL, POLLIN, line_ready, hsm);
	hsm->parent_watch =
	    loop_watch(hsm->loop, ROLE_FD_FIRST, POLLIN, parent_ready, hsm);
	if (hsm->line_watch == NULL || hsm->parent_watch == NULL)
		return fault_set(fault, CAUSE_VAULT_ERROR, "out of memory");
	signal(SIGALRM, token_hangs);
	/* Its configuration is not among the paths of the sandbox. */
	if (OPENSSL_init_crypto(
		OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
		NULL) != 1 ||
	    RAND_bytes(&byte, 1) != 1)
		return fault_set(
		    fault, CAUSE_VAULT_ERROR, "OpenSSL cannot be started");
	return hsm_confine(hsm, fault);
}

static void
hsm_close(struct hsm *hsm)
{
	(void)alarm(TOKEN_SECONDS);
	for (size_t i = 0; i < LOTS_OPEN_MAX; i++)
		key_forget(&hsm->keys[i]);
	token_module_close(hsm->module);
	(void)alarm(0);
	loop_free(hsm->loop);
	channel_close(&hsm->line);
	channel_close(&hsm->parent);
	if (hsm->token != NULL)
		(void)munmap(
		    (void *)(uintptr_t)hsm->token, sizeof(*hsm->token));
}

int
hsm_role(void)
{
	static struct hsm hsm;
	struct fault fault = {0};
	int status = EX_SOFTWARE;

	log_open("hsm", LOG_LEVEL_INFO);
	if (hsm_open(&hsm, &fault) == -1) {
		log_error("%s", fault.text);
		goto out;
	}
	if (loop_run(hsm.loop, NULL, NULL) == 0)
		status = EX_OK;
out:
	hsm_close(&hsm);
	return status;
}
