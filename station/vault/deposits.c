#include "vault/vault.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static void
deposit_free(struct deposit *deposit)
{
	secret_free(&deposit->secret);
	memset(deposit, 0, sizeof(*deposit));
}

/* The attempt's own place, or a free one; null when there is none. */
static struct deposit *
deposit_place(struct vault *vault, uint64_t attempt)
{
	struct deposit *free_place = NULL, *each;

	for (size_t i = 0; i < DEPOSITS_MAX; i++) {
		each = &vault->deposits[i];
		if (each->attempt == attempt)
			return each;
		if (each->attempt == 0 && free_place == NULL)
			free_place = each;
	}
	return free_place;
}

/*
 * Makes room: the oldest key whose attempt has no slot here any more, or
 * never had one, is the one that is least likely to be asked for.
 */
static struct deposit *
deposit_drop_oldest(struct vault *vault)
{
	struct deposit *oldest = NULL, *each;

	for (size_t i = 0; i < DEPOSITS_MAX; i++) {
		each = &vault->deposits[i];
		if (pair_find(vault, each->attempt) == NULL &&
		    (oldest == NULL || each->deadline_ms < oldest->deadline_ms))
			oldest = each;
	}
	if (oldest != NULL) {
		log_warning("%d deposited keys are here: that of attempt %llu "
			    "is forgotten",
		    DEPOSITS_MAX, (unsigned long long)oldest->attempt);
		deposit_free(oldest);
	}
	return oldest;
}

static void
deposit_timer_arm(struct vault *vault)
{
	int64_t first_ms = 0;
	const struct deposit *each;

	for (size_t i = 0; i < DEPOSITS_MAX; i++) {
		each = &vault->deposits[i];
		if (each->attempt != 0 &&
		    (first_ms == 0 || each->deadline_ms < first_ms))
			first_ms = each->deadline_ms;
	}
	loop_timer_set(vault->deposit_timer, first_ms);
}

void
deposits_lapse(void *arg)
{
	struct vault *vault = arg;
	struct deposit *each;

	for (size_t i = 0; i < DEPOSITS_MAX; i++) {
		each = &vault->deposits[i];
		if (each->attempt != 0 &&
		    clock_remaining_ms(each->deadline_ms) == 0)
			deposit_free(each);
	}
	deposit_timer_arm(vault);
}

int
deposit_take(struct vault *vault, uint64_t attempt,
    const struct message_deposit *request, struct fault *fault)
{
	struct deposit *place;
	struct secret secret = {0};

	if (attempt == 0 || request->lot >= LOTS_OPEN_MAX)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "a key was deposited for no attempt, or for lot index %u",
		    request->lot);
	if (request->len == 0) {
		deposit_forget(vault, attempt);
		return 0;
	}
	if (key_check(request->pem, request->len, request->certificate,
		strlen(request->certificate), fault) == -1)
		return -1;
	place = deposit_place(vault, attempt);
	if (place == NULL)
		place = deposit_drop_oldest(vault);
	if (place == NULL)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "more than %d deposited keys are in use", DEPOSITS_MAX);
	if (secret_alloc(&secret, (size_t)request->len + 1, fault) == -1)
		return -1;
	memcpy(secret.data, request->pem, request->len);
	secret.len = request->len;
	deposit_free(place);
	place->attempt = attempt;
	place->lot = request->lot;
	place->secret = secret;
	place->deadline_ms = clock_deadline(DEPOSIT_LIFE_MS);
	deposit_timer_arm(vault);
	return 0;
}

const struct deposit *
deposit_find(const struct vault *vault, uint64_t attempt, uint32_t lot)
{
	for (size_t i = 0; attempt != 0 && i < DEPOSITS_MAX; i++)
		if (vault->deposits[i].attempt == attempt &&
		    vault->deposits[i].lot == lot)
			return &vault->deposits[i];
	return NULL;
}

void
deposit_forget(struct vault *vault, uint64_t attempt)
{
	for (size_t i = 0; attempt != 0 && i < DEPOSITS_MAX; i++)
		if (vault->deposits[i].attempt == attempt)
			deposit_free(&vault->deposits[i]);
}

void
deposits_forget_lot(struct vault *vault, uint32_t lot)
{
	for (size_t i = 0; i < DEPOSITS_MAX; i++)
		if (vault->deposits[i].attempt != 0 &&
		    vault->deposits[i].lot == lot)
			deposit_free(&vault->deposits[i]);
}

void
deposits_forget_all(struct vault *vault)
{
	for (size_t i = 0; i < DEPOSITS_MAX; i++)
		deposit_free(&vault->deposits[i]);
}
