#include "cloud/vault_pair.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/message.h"
#include "pki/key.h"

void
vault_pair_join(struct vault_pair *pair, int fd)
{
	vault_pair_close(pair);
	channel_open(&pair->channel, fd, "vault", 0);
	pair->joined = true;
}

void
vault_pair_close(struct vault_pair *pair)
{
	if (pair->joined)
		channel_close(&pair->channel);
	pair->joined = false;
}

/* The answer to that request; what is left of an earlier one is passed over. */
static int
answer_wait(struct vault_pair *pair, const struct message_header *request,
    struct message *message, struct fault *fault)
{
	do {
		if (channel_receive_wait(&pair->channel, message,
			request->deadline_ms, fault) == -1)
			return -1;
		message_close_fds(message);
	} while (message->header.type != request->type + 1 ||
		 message->header.sequence != request->sequence ||
		 message->header.attempt != request->attempt);
	return 0;
}

static int
exchange(struct vault_pair *pair, uint16_t type, uint64_t attempt,
    const void *body, size_t len, struct message *message, struct fault *fault)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = type,
	    .attempt = attempt,
	    .deadline_ms = clock_deadline(VAULT_TIMEOUT_MS)};
	const struct message_done *done = (const void *)message->body.bytes;

	if (!pair->joined) {
		fault_set(fault, CAUSE_ROLE_DOWN,
		    "the vault is not there: it is starting anew");
		return -1;
	}
	header.sequence = ++pair->sequence;
	if (channel_send_wait(&pair->channel, &header, body, len, NULL, 0,
		header.deadline_ms, fault) == -1 ||
	    answer_wait(pair, &header, message, fault) == -1) {
		vault_pair_close(pair);
		fault->cause = CAUSE_ROLE_DOWN;
		return -1;
	}
	/* Both answers begin with their fault. */
	if (done->fault.cause == CAUSE_NONE)
		return 0;
	*fault = done->fault;
	return -1;
}

int
vault_pair_prove(struct vault_pair *pair, const struct vault_key *key,
    const void *input, size_t len, uint8_t *signature, size_t *signature_len,
    struct fault *fault)
{
	struct message_prove body = {
	    .lot = key->lot, .deposit = key->deposit ? 1 : 0};
	const struct message_prove_done *done;
	struct message message;

	if (len > sizeof(body.input))
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "%zu bytes are too many to be signed", len);
	body.len = (uint32_t)len;
	memcpy(body.input, input, len);
	if (exchange(pair, MESSAGE_PROVE, key->deposit ? key->attempt : 0,
		&body, sizeof(body), &message, fault) == -1)
		return -1;
	done = (const void *)message.body.bytes;
	if (done->len == 0 || done->len > sizeof(done->signature))
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the vault answered with a signature of %u bytes",
		    done->len);
	memcpy(signature, done->signature, done->len);
	*signature_len = done->len;
	return 0;
}

/* In locked memory, as the key itself; len 0: the key is to be forgotten. */
static int
deposit(struct vault_pair *pair, uint32_t lot, uint64_t attempt,
    const char *key, size_t len, const char *certificate, struct fault *fault)
{
	struct secret secret = {0};
	struct message_deposit *body;
	struct message message;
	int result = -1;

	if (secret_alloc(&secret, sizeof(*body), fault) == -1)
		return -1;
	body = (void *)secret.data;
	body->lot = lot;
	body->len = (uint32_t)len;
	if (len >= sizeof(body->pem) ||
	    text_copy(body->certificate, sizeof(body->certificate),
		certificate) == -1) {
		fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "a key of %zu bytes, or its certificate, is too long", len);
		goto out;
	}
	memcpy(body->pem, key, len);
	result = exchange(pair, MESSAGE_DEPOSIT, attempt, body, sizeof(*body),
	    &message, fault);
out:
	secret_free(&secret);
	return result;
}

int
vault_pair_deposit(struct vault_pair *pair, uint32_t lot, uint64_t attempt,
    const char *key, size_t len, const char *certificate, struct fault *fault)
{
	return deposit(pair, lot, attempt, key, len, certificate, fault);
}

void
vault_pair_forget(struct vault_pair *pair, uint32_t lot, uint64_t attempt)
{
	struct fault fault = {0};

	if (pair->joined &&
	    deposit(pair, lot, attempt, "", 0, "", &fault) == -1)
		log_warning("%s", fault.text);
}
