#include "slot/claim.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/clock.h"
#include "device/inject.h"
#include "pki/key.h"

enum {
	HANDOUT_MS = 30000
};

/*
 * One counted hand-out: the line answers after the ledger has committed it
 * and the vault has sent the key on the pair that only the two hold.
 */
static int
claim_key_take(struct journey *journey, struct secret *key, struct fault *fault)
{
	static struct message message; /* wiped below */
	struct channel pair;
	struct message_done done;
	const struct message_secret *secret;
	int status = -1;

	if (link_request(journey->link, MESSAGE_CLAIM_KEY, NULL, 0, &done,
		sizeof(done), fault) == -1)
		return -1;
	channel_open(&pair, journey->vault_fd, "vault", 1);
	if (channel_receive_wait(
		&pair, &message, clock_deadline(HANDOUT_MS), fault) == -1)
		goto out;
	message_close_fds(&message);
	secret = (const void *)message.body.bytes;
	if (message.header.type != MESSAGE_SECRET || secret->len == 0 ||
	    secret->len >= sizeof(secret->pem)) {
		fault_set(
		    fault, CAUSE_VAULT_ERROR, "the vault sent no claim key");
		goto out;
	}
	if (secret_alloc(key, secret->len + 1, fault) == -1)
		goto out;
	memcpy(key->data, secret->pem, secret->len);
	key->len = secret->len;
	status = 0;
out:
	OPENSSL_cleanse(&message, sizeof(message));
	channel_close(&pair);
	journey->vault_fd = -1;
	return status;
}

static int
expand_call(void *arg, const char *rule, char *to, size_t size, size_t *len,
    struct fault *fault)
{
	struct journey *journey = arg;

	return engine_expand(journey->engine, rule, to, size, len, fault);
}

static int
image_write(struct journey *journey, const struct inject_layout *layout,
    bool *verified, struct fault *fault)
{
	const char *name =
	    layout->kind == INJECT_NVS ? "NVS image" : "esp_secure_cert";
	struct secret image = {0};
	int status = -1;

	if (secret_alloc(&image, layout->size, fault) == -1)
		return -1;
	if (inject_build(layout, expand_call, journey, (uint8_t *)image.data,
		fault) == 0)
		status = esp_write_image(journey->session, name, layout->offset,
		    (const uint8_t *)image.data, layout->size, verified, fault);
	secret_free(&image);
	return status;
}

/* What is public of the credentials stands for them in the ledger. */
static int
credentials_digest(
    const struct journey *journey, struct digest *digest, struct fault *fault)
{
	struct buf text;
	int status;

	buf_init(&text, 64 * 1024);
	buf_add_text(&text, journey->lot->claim_certificate);
	buf_add_text(&text, journey->lot->root_ca);
	buf_add_format(&text, "%s\n%s\n%s\n", journey->gate.serial,
	    journey->lot->endpoint, journey->lot->template_name);
	status = text.failed ? -1 : digest_bytes(text.data, text.len, digest);
	buf_free(&text);
	if (status == -1)
		return fault_set(fault, CAUSE_INTERNAL, "SHA-256 failed");
	return 0;
}

int
claim_inject(struct journey *journey, bool *verified, struct fault *fault)
{
	const struct profile *profile = &journey->lot->profile;
	struct secret key = {0};
	struct digest digest;
	bool each = false;
	uint32_t i;
	int status = -1;

	*verified = true;
	if (credentials_digest(journey, &digest, fault) == -1)
		return -1;
	if (journey->vault_fd != -1) {
		if (claim_key_take(journey, &key, fault) == -1)
			return -1;
		if (engine_set(journey->engine, "claim_key", key.data, key.len,
			true, fault) == -1)
			goto out;
	}
	if (journey_intent(
		journey, INTENT_INJECT, &digest, "credentials", fault) == -1)
		goto out;
	for (i = 0; i < profile->inject_count; i++) {
		if (image_write(journey, &profile->injects[i], &each, fault) ==
		    -1)
			goto out;
		*verified = *verified && each;
	}
	status =
	    journey_outcome(journey, INTENT_INJECT, &digest, *verified, fault);
out:
	secret_free(&key);
	return status;
}
