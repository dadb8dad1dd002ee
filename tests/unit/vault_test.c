#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "keeper_bench.h"
#include "vault/role.h"

/* A claim key and its certificate, made once: they belong together. */
static EVP_PKEY *claim;
static char claim_pem[PEM_MAX], claim_certificate[PEM_MAX];
static EVP_PKEY *other;
static char other_pem[PEM_MAX], other_certificate[PEM_MAX];

static int
keys_make(void **state)
{
	(void)state;
	claim = make_key("P-256", 0);
	other = make_key("P-256", 0);
	key_pem(claim, NULL, claim_pem);
	key_pem(other, NULL, other_pem);
	make_certificate(
	    claim, "claim", false, -DAY_S, DAY_S, claim_certificate);
	make_certificate(
	    other, "other", false, -DAY_S, DAY_S, other_certificate);
	return 0;
}

static int
keys_free(void **state)
{
	(void)state;
	EVP_PKEY_free(claim);
	EVP_PKEY_free(other);
	return 0;
}

static int
bench_open(void **state)
{
	struct bench *bench = bench_new();

	bench_file(bench, "claim.key", claim_pem, 0600);
	bench_start(bench, vault_role, -1);
	*state = bench;
	return 0;
}

static int
bench_close(void **state)
{
	bench_stop(*state);
	bench_free(*state);
	return 0;
}

static enum fault_cause
claim_give_file(struct bench *bench, uint32_t lot, const char *path,
    const char *certificate, bool proves)
{
	struct message_open_key key =
	    key_of(lot, KEY_CLAIM, path, "", certificate);

	key.proves = proves;
	return bench_key(bench, &key);
}

static enum fault_cause
claim_give(struct bench *bench, uint32_t lot)
{
	return claim_give_file(bench, lot, bench_path(bench, "claim.key"),
	    claim_certificate, false);
}

static enum fault_cause
wifi_give(struct bench *bench, uint32_t lot, const char *text)
{
	const char *path = bench_file(bench, "wifi.password", text, 0600);
	struct message_open_key key = key_of(lot, KEY_WIFI, path, "", "");

	return bench_key(bench, &key);
}

/* Joins the vault with a slot; returns the slot's end. */
static int
pair_give(struct bench *bench, uint64_t attempt)
{
	int pair[2];

	assert_int_equal(channel_pair(pair), 0);
	bench_tell(bench, MESSAGE_VAULT_PAIR, attempt, NULL, 0, &pair[1], 1);
	close(pair[1]);
	return pair[0];
}

static enum fault_cause
grant_of(struct bench *bench, uint32_t lot, uint64_t attempt, bool deposit)
{
	struct message_vault_grant body = {.lot = lot, .deposit = deposit};

	return bench_ask(bench, &bench->line, MESSAGE_VAULT_GRANT, attempt,
	    &body, sizeof(body), NULL, 0);
}

static enum fault_cause
grant(struct bench *bench, uint32_t lot, uint64_t attempt)
{
	return grant_of(bench, lot, attempt, false);
}

/* The last grant once more, as after a restart of the line's peer. */
static enum fault_cause
grant_again(struct bench *bench, uint32_t lot, uint64_t attempt, bool deposit)
{
	bench->sequence--;
	return grant_of(bench, lot, attempt, deposit);
}

static void
assert_silence(int slot)
{
	struct pollfd poller = {slot, POLLIN, 0};

	assert_int_equal(poll(&poller, 1, SILENCE_MS), 0);
}

/* The pair has exactly one message: that key ("" for none) and password. */
static void
assert_secret_came(int slot, const char *key, const char *password)
{
	static struct message message;
	const struct message_secret *secret = (const void *)message.body.bytes;
	struct channel channel;
	struct fault fault = {0};

	channel_open(&channel, slot, "vault", 1);
	assert_int_equal(channel_receive_wait(&channel, &message,
			     clock_deadline(TIMEOUT_MS), &fault),
	    0);
	assert_int_equal(message.header.type, MESSAGE_SECRET);
	assert_int_equal(secret->len, strlen(key));
	assert_string_equal(secret->pem, key);
	assert_string_equal(secret->wifi_password, password);
	assert_silence(slot);
}

/* ---- claim keys ---- */

static void
test_key_goes_out_once_a_grant(void **state)
{
	struct bench *bench = *state;
	int slot, another;

	assert_int_equal(claim_give(bench, 3), CAUSE_NONE);
	slot = pair_give(bench, 17);
	another = pair_give(bench, 18);
	assert_silence(slot);
	assert_int_equal(grant(bench, 3, 17), CAUSE_NONE);
	assert_secret_came(slot, claim_pem, "");
	/* The same grant again is answered, and no more. */
	assert_int_equal(grant_again(bench, 3, 17, false), CAUSE_NONE);
	assert_silence(slot);
	assert_silence(another);
	assert_int_equal(grant(bench, 3, 17), CAUSE_NONE);
	assert_secret_came(slot, claim_pem, "");
	close(slot);
	close(another);
}

static void
test_nothing_without_key_or_slot(void **state)
{
	struct bench *bench = *state;
	int slot = pair_give(bench, 17);

	assert_int_equal(grant(bench, 0, 17), CAUSE_VAULT_ERROR);
	assert_int_equal(grant(bench, 4000000, 17), CAUSE_VAULT_ERROR);
	assert_int_equal(claim_give(bench, 0), CAUSE_NONE);
	assert_int_equal(grant(bench, 1, 17), CAUSE_VAULT_ERROR);
	assert_int_equal(grant(bench, 0, 18), CAUSE_ROLE_DOWN);
	assert_int_equal(grant(bench, 0, 0), CAUSE_ROLE_DOWN);
	assert_silence(slot);
	close(slot);
	/* A slot that is gone: the grant says so, sooner or later. */
	for (int i = 0; grant(bench, 0, 17) != CAUSE_ROLE_DOWN; i++)
		assert_true(i < 100);
}

static void
test_slot_that_speaks_is_cut_off(void **state)
{
	struct bench *bench = *state;
	struct pollfd poller;
	int slot = pair_give(bench, 17);

	assert_int_equal(claim_give(bench, 0), CAUSE_NONE);
	assert_int_equal(write(slot, "give", 4), 4);
	poller = (struct pollfd){slot, POLLIN, 0};
	assert_int_equal(poll(&poller, 1, TIMEOUT_MS), 1);
	assert_true(poller.revents & POLLHUP);
	assert_int_equal(grant(bench, 0, 17), CAUSE_ROLE_DOWN);
	close(slot);
}

static void
test_pairs_are_given_back(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(claim_give(bench, 0), CAUSE_NONE);
	for (uint64_t attempt = 1; attempt <= 500; attempt++) {
		int slot = pair_give(bench, attempt);

		assert_int_equal(grant(bench, 0, attempt), CAUSE_NONE);
		close(slot);
	}
}

static enum fault_cause
claim_give_text(struct bench *bench, const char *text, mode_t mode)
{
	return claim_give_file(bench, 0,
	    bench_file(bench, "try.key", text, mode), claim_certificate, false);
}

static void
test_keys_that_are_refused(void **state)
{
	struct bench *bench = *state;
	const char *path = bench_path(bench, "claim.key");
	char twice[2 * PEM_MAX];
	int slot;

	assert_int_equal(
	    claim_give_file(bench, 0, path, other_certificate, false),
	    CAUSE_VAULT_ERROR);
	assert_int_equal(
	    claim_give_file(bench, 0, path, "", false), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    claim_give_text(bench, claim_pem, 0640), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "chmod 600"));
	assert_non_null(
	    strstr(bench->fault.text, bench_path(bench, "try.key")));
	assert_int_equal(
	    claim_give_text(bench, claim_certificate, 0600), CAUSE_VAULT_ERROR);
	(void)snprintf(twice, sizeof(twice), "%s%s", claim_pem, other_pem);
	assert_int_equal(
	    claim_give_text(bench, twice, 0600), CAUSE_VAULT_ERROR);
	key_pem(claim, "a passphrase", twice);
	assert_int_equal(
	    claim_give_text(bench, twice, 0600), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "is encrypted"));
	assert_int_equal(claim_give_text(bench, "", 0600), CAUSE_VAULT_ERROR);
	assert_int_equal(grant(bench, 0, 17), CAUSE_VAULT_ERROR);
	/* A refused key leaves the one that was there. */
	assert_int_equal(claim_give_text(bench, claim_pem, 0400), CAUSE_NONE);
	assert_int_equal(
	    claim_give_text(bench, "nonsense", 0600), CAUSE_VAULT_ERROR);
	slot = pair_give(bench, 17);
	assert_int_equal(grant(bench, 0, 17), CAUSE_NONE);
	assert_secret_came(slot, claim_pem, "");
	close(slot);
}

/* Only the parent brings keys and pairs, only the line grants. */
static void
test_channels_have_their_own_words(void **state)
{
	struct bench *bench = *state;
	struct message_vault_grant body = {.lot = 0};
	struct message_keys_forget forget = {.lot = 0};
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_KEYS_FORGET};
	int slot = pair_give(bench, 17);

	assert_int_equal(claim_give(bench, 0), CAUSE_NONE);
	bench_tell(
	    bench, MESSAGE_VAULT_GRANT, 17, &body, sizeof(body), NULL, 0);
	assert_silence(slot);
	assert_int_equal(channel_send(&bench->line, &header, &forget,
			     sizeof(forget), NULL, 0),
	    0);
	assert_int_equal(grant(bench, 0, 17), CAUSE_NONE);
	assert_secret_came(slot, claim_pem, "");
	close(slot);
}

/* ---- Wi-Fi passwords ---- */

static void
test_password_goes_along(void **state)
{
	struct bench *bench = *state;
	int slot = pair_give(bench, 17);

	assert_int_equal(
	    wifi_give(bench, 1, "correct horse battery staple\n"), CAUSE_NONE);
	/* Alone: the lot has no claim key. */
	assert_int_equal(grant(bench, 1, 17), CAUSE_NONE);
	assert_secret_came(slot, "", "correct horse battery staple");
	/* And with one; other lots have their own. */
	assert_int_equal(claim_give(bench, 1), CAUSE_NONE);
	assert_int_equal(claim_give(bench, 2), CAUSE_NONE);
	assert_int_equal(grant(bench, 1, 17), CAUSE_NONE);
	assert_secret_came(slot, claim_pem, "correct horse battery staple");
	assert_int_equal(grant(bench, 2, 17), CAUSE_NONE);
	assert_secret_came(slot, claim_pem, "");
	close(slot);
}

static void
test_passwords_that_are_refused(void **state)
{
	static const char longest[] = "0123456789012345678901234567890123456789"
				      "01234567890123456789012";
	struct bench *bench = *state;
	const char *path;
	char text[80];
	struct message_open_key key;
	int slot;

	assert_int_equal(wifi_give(bench, 0, "1234567"), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "8 to 63 characters"));
	assert_int_equal(wifi_give(bench, 0, "1234567\n"), CAUSE_VAULT_ERROR);
	(void)snprintf(text, sizeof(text), "%s3\n", longest);
	assert_int_equal(wifi_give(bench, 0, text), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    wifi_give(bench, 0, "12345678\n12345678\n"), CAUSE_VAULT_ERROR);
	assert_int_equal(wifi_give(bench, 0, "1234\t5678"), CAUSE_VAULT_ERROR);
	assert_int_equal(wifi_give(bench, 0,
			     "Stra\xc3\x9f"
			     "e 77"),
	    CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "ASCII"));
	path = bench_file(bench, "wifi.password", "12345678", 0604);
	key = key_of(0, KEY_WIFI, path, "", "");
	assert_int_equal(bench_key(bench, &key), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "chmod 600"));
	(void)snprintf(text, sizeof(text), "%s\r\n", longest);
	assert_int_equal(wifi_give(bench, 0, text), CAUSE_NONE);
	slot = pair_give(bench, 17);
	assert_int_equal(grant(bench, 0, 17), CAUSE_NONE);
	assert_secret_came(slot, "", longest);
	close(slot);
}

/* ---- CA keys ---- */

static void
test_authority_signs(void **state)
{
	struct bench *bench = *state;
	const struct message_issue_done *done =
	    (const void *)bench->message.body.bytes;
	EVP_PKEY *key = make_key("P-384", 0);
	char pem[PEM_MAX], certificate[PEM_MAX], first[CERTIFICATE_ID_LEN];
	struct message_open_key give;
	int slot = pair_give(bench, 17);

	key_pem(key, NULL, pem);
	make_certificate(key, "maker", true, -DAY_S, DAY_S, certificate);
	give = key_of(
	    5, KEY_CA, bench_file(bench, "ca.key", pem, 0600), "", certificate);
	assert_int_equal(bench_sign(bench, 5, "UNIT-0007"), CAUSE_VAULT_ERROR);
	assert_int_equal(bench_key(bench, &give), CAUSE_NONE);
	assert_int_equal(bench_sign(bench, 5, "UNIT-0007"), CAUSE_NONE);
	assert_signed_by(bench, certificate);
	strcpy(first, done->certificate_id);
	assert_int_equal(bench_sign(bench, 5, "UNIT-0007"), CAUSE_NONE);
	assert_string_not_equal(first, done->certificate_id);
	assert_int_equal(bench_sign(bench, 5, "UNIT-0008"), CAUSE_CSR_SUBJECT);
	assert_string_equal(done->certificate, "");
	assert_int_equal(bench_sign(bench, 4, "UNIT-0007"), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    bench_sign(bench, 4000000, "UNIT-0007"), CAUSE_VAULT_ERROR);
	/* It is nobody's to have. */
	assert_int_equal(grant(bench, 5, 17), CAUSE_VAULT_ERROR);
	assert_silence(slot);
	/* A unit's certificate is no authority's. */
	give = key_of(
	    5, KEY_CA, bench_path(bench, "claim.key"), "", claim_certificate);
	assert_int_equal(bench_key(bench, &give), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "CA:TRUE"));
	assert_int_equal(bench_sign(bench, 5, "UNIT-0007"), CAUSE_NONE);
	close(slot);
	EVP_PKEY_free(key);
}

static void
test_passphrases(void **state)
{
	struct bench *bench = *state;
	EVP_PKEY *key = make_key("RSA", 2048);
	char pem[PEM_MAX], certificate[PEM_MAX], path[128];
	struct message_open_key give;

	key_pem(key, "open sesame", pem);
	make_certificate(key, "maker", true, -DAY_S, DAY_S, certificate);
	strcpy(path, bench_file(bench, "ca.key", pem, 0600));
	give = key_of(0, KEY_CA, path, "", certificate);
	assert_int_equal(bench_key(bench, &give), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "is encrypted"));
	give = key_of(0, KEY_CA, path,
	    bench_file(bench, "wrong", "open barley\n", 0600), certificate);
	assert_int_equal(bench_key(bench, &give), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "cannot be decrypted"));
	assert_null(strstr(bench->fault.text, "barley"));
	give = key_of(0, KEY_CA, path,
	    bench_file(bench, "open", "open sesame\n", 0644), certificate);
	assert_int_equal(bench_key(bench, &give), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "chmod 600"));
	give = key_of(0, KEY_CA, path,
	    bench_file(bench, "right", "open sesame\n", 0600), certificate);
	assert_int_equal(bench_key(bench, &give), CAUSE_NONE);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_NONE);
	assert_signed_by(bench, certificate);
	EVP_PKEY_free(key);
}

static void
test_closed_lots_are_forgotten(void **state)
{
	struct bench *bench = *state;
	int slot = pair_give(bench, 17);

	assert_int_equal(claim_give(bench, 0), CAUSE_NONE);
	assert_int_equal(wifi_give(bench, 0, "12345678"), CAUSE_NONE);
	assert_int_equal(claim_give(bench, 1), CAUSE_NONE);
	bench_forget(bench, 0);
	bench_forget(bench, 7);
	/* Keys that follow come to an empty place. */
	assert_int_equal(claim_give(bench, 2), CAUSE_NONE);
	assert_int_equal(grant(bench, 0, 17), CAUSE_VAULT_ERROR);
	assert_silence(slot);
	assert_int_equal(grant(bench, 1, 17), CAUSE_NONE);
	assert_secret_came(slot, claim_pem, "");
	assert_int_equal(claim_give(bench, 0), CAUSE_NONE);
	assert_int_equal(grant(bench, 0, 17), CAUSE_NONE);
	assert_secret_came(slot, claim_pem, "");
	close(slot);
}

int
main(void)
{
#define BENCH_TEST(test) \
	cmocka_unit_test_setup_teardown(test, bench_open, bench_close)
	const struct CMUnitTest tests[] = {
	    BENCH_TEST(test_key_goes_out_once_a_grant),
	    BENCH_TEST(test_nothing_without_key_or_slot),
	    BENCH_TEST(test_slot_that_speaks_is_cut_off),
	    BENCH_TEST(test_pairs_are_given_back),
	    BENCH_TEST(test_keys_that_are_refused),
	    BENCH_TEST(test_channels_have_their_own_words),
	    BENCH_TEST(test_password_goes_along),
	    BENCH_TEST(test_passwords_that_are_refused),
	    BENCH_TEST(test_authority_signs),
	    BENCH_TEST(test_passphrases),
	    BENCH_TEST(test_closed_lots_are_forgotten),
	};

	return cmocka_run_group_tests(tests, keys_make, keys_free);
}
