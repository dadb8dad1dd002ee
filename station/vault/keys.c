#include "vault/vault.h"

#include <string.h>

#include "vault/key_file.h"

enum {
	PASSPHRASE_MAX = 1023,
	WIFI_PASSWORD_LEAST = 8, /* IEEE 802.11, J.4.1: 8 to 63 of ASCII */
};

static void
held_free(struct held_key *held)
{
	secret_free(&held->secret);
	authority_free(held->authority);
	memset(held, 0, sizeof(*held));
}

/* A claim key, in memory as it stands in its file. */
static int
claim_read(struct held_key *held, const struct message_open_key *request,
    int fd, struct fault *fault)
{
	if (key_file_read(
		&held->secret, fd, request->path, SECRET_PEM_MAX, fault) == -1)
		return -1;
	if (key_check(held->secret.data, held->secret.len, request->certificate,
		strlen(request->certificate), fault) == -1)
		return fault_prefix(fault, "key file %s", request->path);
	held->proves = request->proves != 0;
	return 0;
}

/*
 * A CA key stays without its passphrase from here on: deriving a key from
 * one takes long on purpose, and every unit needs a signature.
 */
static int
authority_key_hold(struct held_key *held,
    const struct message_open_key *request, const struct secret *file,
    const struct secret *passphrase, struct fault *fault)
{
	EVP_PKEY *key =
	    key_load_encrypted(file->data, file->len, passphrase->data, fault);
	int result = -1;

	if (key == NULL || key_fits(key, request->certificate,
			       strlen(request->certificate), fault) == -1)
		goto out;
	held->authority = authority_new(request->certificate, fault);
	if (held->authority == NULL ||
	    authority_prove(held->authority, sign_by_key, key, fault) == -1 ||
	    key_write(key, SECRET_PEM_MAX, &held->secret, fault) == -1)
		goto out;
	result = 0;
out:
	EVP_PKEY_free(key);
	return result;
}

static int
authority_read(struct held_key *held, const struct message_open_key *request,
    const struct message *message, struct fault *fault)
{
	struct secret file = {0}, passphrase = {0};
	int result = -1;

	if (key_file_read(&file, message->fds[0], request->path, SECRET_PEM_MAX,
		fault) == -1)
		goto out;
	if (message->fd_count > 1 &&
	    key_file_read_line(&passphrase, message->fds[1],
		request->secret_path, 1, PASSPHRASE_MAX, fault) == -1)
		goto out;
	result = authority_key_hold(held, request, &file, &passphrase, fault);
	if (result == -1)
		fault_prefix(fault, "key file %s", request->path);
out:
	secret_free(&passphrase);
	secret_free(&file);
	return result;
}

static int
wifi_read(struct held_key *held, const struct message_open_key *request, int fd,
    struct fault *fault)
{
	if (key_file_read_line(&held->secret, fd, request->path,
		WIFI_PASSWORD_LEAST, WIFI_PASSWORD_LEN - 1, fault) == -1)
		return -1;
	for (size_t i = 0; i < held->secret.len; i++)
		if ((unsigned char)held->secret.data[i] > '~')
			return fault_set(fault, CAUSE_VAULT_ERROR,
			    "%s: a Wi-Fi password has characters of ASCII only",
			    request->path);
	return 0;
}

int
key_take(
    struct vault *vault, const struct message *message, struct fault *fault)
{
	const struct message_open_key *request =
	    (const void *)message->body.bytes;
	struct held_key held = {0}, *place;
	int result = -1;

	if (request->lot >= LOTS_OPEN_MAX || request->kind >= KEY_KIND_COUNT ||
	    message->fd_count < 1)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "a key came without file, or for lot index %u",
		    request->lot);
	switch ((enum key_kind)request->kind) {
	case KEY_CLAIM:
		result = claim_read(&held, request, message->fds[0], fault);
		break;
	case KEY_CA:
		result = authority_read(&held, request, message, fault);
		break;
	default:
		result = wifi_read(&held, request, message->fds[0], fault);
		break;
	}
	if (result == -1) {
		held_free(&held);
		return -1;
	}
	place = &vault->keys[request->lot][request->kind];
	held_free(place);
	*place = held;
	return 0;
}

const struct held_key *
key_find(const struct vault *vault, uint32_t lot, enum key_kind kind)
{
	if (lot >= LOTS_OPEN_MAX || vault->keys[lot][kind].secret.data == NULL)
		return NULL;
	return &vault->keys[lot][kind];
}

void
keys_forget(struct vault *vault, uint32_t lot)
{
	if (lot >= LOTS_OPEN_MAX)
		return;
	for (size_t kind = 0; kind < KEY_KIND_COUNT; kind++)
		held_free(&vault->keys[lot][kind]);
	deposits_forget_lot(vault, lot);
}
