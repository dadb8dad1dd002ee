#include "slot/claim.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "device/inject.h"
#include "pki/key.h"

enum {
	HANDOUT_MS = 30000
};

static int
secret_receive(struct journey *journey, struct message *message,
    const struct message_secret **secret, struct fault *fault)
{
	struct channel pair;
	int status;

	channel_open(&pair, journey->vault_fd, "vault", 1);
	status = channel_receive_wait(
	    &pair, message, clock_deadline(HANDOUT_MS), fault);
	channel_close(&pair);
	journey->vault_fd = -1;
	if (status == -1)
		return -1;
	message_close_fds(message);
	*secret = (const void *)message->body.bytes;
	if (message->header.type != MESSAGE_SECRET ||
	    (*secret)->len >= sizeof((*secret)->pem))
		return fault_set(
		    fault, CAUSE_VAULT_ERROR, "the vault sent no secret");
	return 0;
}

/*
 * One counted hand-out: the line answers after the ledger has committed it
 * and the vault has sent the secrets on the pair that only the two hold.
 */
static int
secrets_take(struct journey *journey, const char *key_name,
    struct message_claim_done *done, struct fault *fault)
{
	static struct message message; /* wiped below */
	const struct message_secret *secret;
	int status = -1;

	if (link_request(journey->link, MESSAGE_CLAIM_KEY, NULL, 0, done,
		sizeof(*done), fault) == -1)
		return -1;
	if (secret_receive(journey, &message, &secret, fault) == -1)
		goto out;
	if (secret->len > 0 && engine_set(journey->engine, key_name,
				   secret->pem, secret->len, true, fault) == -1)
		goto out;
	if (secret->wifi_password[0] != '\0' &&
	    engine_set(journey->engine, "wifi_password", secret->wifi_password,
		strlen(secret->wifi_password), true, fault) == -1)
		goto out;
	status = 0;
out:
	OPENSSL_cleanse(&message, sizeof(message));
	return status;
}

int
claim_take(struct journey *journey, struct fault *fault)
{
	struct message_claim_done *done = calloc(1, sizeof(*done));
	const char *own;
	int status = -1;

	if (done == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	if (secrets_take(journey, "claim_key", done, fault) == 0) {
		own = done->certificate[0] != '\0'
			  ? done->certificate
			  : journey->lot->claim_certificate;
		text_copy(journey->claim_certificate,
		    sizeof(journey->claim_certificate), own);
		status = engine_set(journey->engine, "claim_cert", own,
		    strlen(own), false, fault);
	}
	free(done);
	return status;
}

int
device_key_take(struct journey *journey, struct fault *fault)
{
	struct message_claim_done *done = calloc(1, sizeof(*done));
	int status;

	if (done == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	status = secrets_take(journey, "device_key", done, fault);
	free(done);
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
	buf_add_text(&text, journey->claim_certificate);
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
images_write(struct journey *journey, bool *verified, struct fault *fault)
{
	const struct profile *profile = &journey->lot->profile;
	bool each = false;
	uint32_t i;

	*verified = true;
	for (i = 0; i < profile->inject_count; i++) {
		if (image_write(journey, &profile->injects[i], &each, fault) ==
		    -1)
			return -1;
		*verified = *verified && each;
	}
	return 0;
}

int
claim_inject(struct journey *journey, bool *verified, struct fault *fault)
{
	struct digest digest;

	journey->lent = journey->lot->pattern == PATTERN_TRUSTED_USER;
	if (credentials_digest(journey, &digest, fault) == -1 ||
	    journey_intent(
		journey, INTENT_INJECT, &digest, "credentials", fault) == -1 ||
	    images_write(journey, verified, fault) == -1)
		return -1;
	return journey_outcome(
	    journey, INTENT_INJECT, &digest, *verified, fault);
}

/* Erased flash reads as FF. */
static int
image_erase(struct journey *journey, const struct inject_layout *layout,
    struct fault *fault)
{
	uint8_t *blank = malloc(layout->size);
	bool verified = false;
	int status = -1;

	if (blank == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	memset(blank, 0xff, layout->size);
	if (esp_write_image(journey->session, "erasure", layout->offset, blank,
		layout->size, &verified, fault) == 0)
		status = verified ? 0
				  : fault_set(fault, CAUSE_FLASH_ERROR,
					"the erasure cannot be read back");
	free(blank);
	return status;
}

void
claim_withdraw(struct journey *journey, struct fault *fault)
{
	const struct profile *profile = &journey->lot->profile;
	struct esp_identity identity;
	struct fault why, ignored;
	uint32_t i;
	int status;

	if (!journey->lent || journey->confirmed)
		return;
	transcript_note(journey->transcript, "its claim is taken back");
	status = esp_connect(journey->session, &identity, &why);
	if (status == 0 && strcmp(identity.mac, journey->identity.mac) != 0)
		status = fault_set(&why, CAUSE_SWAPPED,
		    "the unit is %s now, and was %s", identity.mac,
		    journey->identity.mac);
	for (i = 0; i < profile->inject_count && status == 0; i++)
		status = image_erase(journey, &profile->injects[i], &why);
	if (status == 0) {
		(void)esp_run(journey->session, &ignored);
		return;
	}
	ignored = *fault;
	fault_set(fault, CAUSE_CLAIM_EXPIRED,
	    "serial %s holds a claim that runs out and could not be erased "
	    "(%s); before that: %s",
	    journey->gate.serial, why.text, ignored.text);
}
