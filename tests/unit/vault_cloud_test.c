#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/uio.h>

#include "keeper_bench.h"
#include "vault/role.h"
#include "vault/vault.h"

/*
 * The vault's private pair with cloud: proofs and deposits. The test is also
 * cloud.
 */

struct joined {
	struct bench *bench;
	struct channel cloud;
};

static EVP_PKEY *keys[3]; /* P-256, RSA, P-384 */
static char pems[3][PEM_MAX], certificates[3][PEM_MAX];
enum {
	P256,
	RSA_2048,
	P384,
};

static int
keys_make(void **state)
{
	static const char *const kinds[] = {"P-256", "RSA", "P-384"};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		keys[i] = make_key(kinds[i], 2048);
		key_pem(keys[i], NULL, pems[i]);
		make_certificate(
		    keys[i], "claim", false, -DAY_S, DAY_S, certificates[i]);
	}
	return 0;
}

static int
keys_free(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

static void
join(struct joined *joined)
{
	int pair[2];

	assert_int_equal(channel_pair(pair), 0);
	bench_tell(joined->bench, MESSAGE_VAULT_CLOUD, 0, NULL, 0, &pair[1], 1);
	close(pair[1]);
	channel_open(&joined->cloud, pair[0], "vault", 300);
}

static int
joined_open(void **state)
{
	struct joined *joined = calloc(1, sizeof(*joined));

	must(joined != NULL, "memory");
	joined->bench = bench_new();
	bench_start(joined->bench, vault_role, -1);
	join(joined);
	*state = joined;
	return 0;
}

static int
joined_close(void **state)
{
	struct joined *joined = *state;

	channel_close(&joined->cloud);
	bench_stop(joined->bench);
	bench_free(joined->bench);
	free(joined);
	return 0;
}

static enum fault_cause
claim_give(struct joined *joined, uint32_t lot, int which, bool proves)
{
	struct message_open_key key = key_of(lot, KEY_CLAIM,
	    bench_file(joined->bench, "claim.key", pems[which], 0600), "",
	    certificates[which]);

	key.proves = proves;
	return bench_key(joined->bench, &key);
}

/* The answer stays in the bench's message. */
static enum fault_cause
ask_proof(struct joined *joined, uint32_t lot, uint64_t attempt, bool deposit,
    const void *input, size_t len)
{
	struct message_prove body = {
	    .lot = lot, .deposit = deposit, .len = (uint32_t)len};

	memcpy(body.input, input, len);
	return bench_ask(joined->bench, &joined->cloud, MESSAGE_PROVE, attempt,
	    &body, sizeof(body), NULL, 0);
}

static const struct message_prove_done *
proved(const struct joined *joined)
{
	return (const void *)joined->bench->message.body.bytes;
}

static enum fault_cause
deposit(struct joined *joined, uint32_t lot, uint64_t attempt, const char *pem,
    const char *certificate)
{
	struct message_deposit body = {
	    .lot = lot, .len = (uint32_t)strlen(pem)};

	assert_int_equal(text_copy(body.pem, sizeof(body.pem), pem), 0);
	assert_int_equal(
	    text_copy(body.certificate, sizeof(body.certificate), certificate),
	    0);
	return bench_ask(joined->bench, &joined->cloud, MESSAGE_DEPOSIT,
	    attempt, &body, sizeof(body), NULL, 0);
}

/* A proof is there exactly as long as the key is. */
static enum fault_cause
deposit_proves(struct joined *joined, uint32_t lot, uint64_t attempt)
{
	uint8_t digest[32] = "0123456789abcdef0123456789abcde";

	return ask_proof(joined, lot, attempt, true, digest, sizeof(digest));
}

static int
pair_give(struct joined *joined, uint64_t attempt)
{
	int pair[2];

	assert_int_equal(channel_pair(pair), 0);
	bench_tell(
	    joined->bench, MESSAGE_VAULT_PAIR, attempt, NULL, 0, &pair[1], 1);
	close(pair[1]);
	return pair[0];
}

static enum fault_cause
grant(struct joined *joined, uint32_t lot, uint64_t attempt, bool of_deposit)
{
	struct message_vault_grant body = {.lot = lot, .deposit = of_deposit};

	return bench_ask(joined->bench, &joined->bench->line,
	    MESSAGE_VAULT_GRANT, attempt, &body, sizeof(body), NULL, 0);
}

static void
assert_secret_came(int slot, const char *key)
{
	static struct message message;
	const struct message_secret *secret = (const void *)message.body.bytes;
	struct channel channel;
	struct fault fault = {0};

	channel_open(&channel, slot, "vault", 1);
	assert_int_equal(channel_receive_wait(&channel, &message,
			     clock_deadline(TIMEOUT_MS), &fault),
	    0);
	assert_string_equal(secret->pem, key);
}

/* ---- proofs ---- */

static void
test_ec_keys_sign_digests(void **state)
{
	struct joined *joined = *state;
	static const struct {
		int which;
		size_t len;
	} rows[] = {{P256, 32}, {P256, 48}, {P256, 64}, {P384, 48}, {P384, 20}};
	uint8_t digest[PROVE_INPUT_MAX];
	size_t i;

	memset(digest, 0x5a, sizeof(digest));
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EVP_PKEY_CTX *context =
		    EVP_PKEY_CTX_new(keys[rows[i].which], NULL);

		assert_int_equal(
		    claim_give(joined, 2, rows[i].which, true), CAUSE_NONE);
		assert_int_equal(
		    ask_proof(joined, 2, 0, false, digest, rows[i].len),
		    CAUSE_NONE);
		EVP_PKEY_verify_init(context);
		assert_int_equal(
		    EVP_PKEY_verify(context, proved(joined)->signature,
			proved(joined)->len, digest, rows[i].len),
		    1);
		EVP_PKEY_CTX_free(context);
	}
	assert_int_equal(
	    ask_proof(joined, 2, 0, false, digest, 19), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    ask_proof(joined, 2, 0, false, digest, 65), CAUSE_VAULT_ERROR);
	assert_int_equal(proved(joined)->len, 0);
}

/* What the public key makes of a signature: the block that was signed. */
static void
assert_block_signed(
    const struct joined *joined, const uint8_t *block, int padding, size_t len)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(keys[RSA_2048], NULL);
	uint8_t back[PROVE_SIGNATURE_MAX];
	size_t back_len = sizeof(back);

	assert_int_equal(proved(joined)->len, 256);
	EVP_PKEY_verify_recover_init(context);
	EVP_PKEY_CTX_set_rsa_padding(context, padding);
	assert_int_equal(EVP_PKEY_verify_recover(context, back, &back_len,
			     proved(joined)->signature, proved(joined)->len),
	    1);
	assert_int_equal(back_len, len);
	assert_memory_equal(back, block, len);
	EVP_PKEY_CTX_free(context);
}

static void
test_rsa_keys_sign_blocks(void **state)
{
	struct joined *joined = *state;
	uint8_t block[PROVE_INPUT_MAX];

	assert_int_equal(claim_give(joined, 0, RSA_2048, true), CAUSE_NONE);
	/* As of PSS: anything that ends so. */
	memset(block, 0x5a, sizeof(block));
	block[255] = 0xbc;
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, block, 256), CAUSE_NONE);
	assert_block_signed(joined, block, RSA_NO_PADDING, 256);
	/* As of PKCS #1 v1.5, padded by who asks, or here. */
	memset(block, 0xff, sizeof(block));
	block[0] = 0;
	block[1] = 1;
	block[204] = 0;
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, block, 256), CAUSE_NONE);
	assert_block_signed(joined, block, RSA_NO_PADDING, 256);
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, block + 205, 51), CAUSE_NONE);
	assert_block_signed(joined, block + 205, RSA_PKCS1_PADDING, 51);
	/* A ciphertext is not deciphered, nor anything longer signed. */
	memset(block, 0x5a, sizeof(block));
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, block, 256), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, block, 257), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, block, 250), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, block, 0), CAUSE_VAULT_ERROR);
}

static void
test_only_keys_for_it_are_proved(void **state)
{
	struct joined *joined = *state;
	uint8_t digest[32] = {0};
	int slot = pair_give(joined, 17);

	assert_int_equal(
	    ask_proof(joined, 0, 17, false, digest, 32), CAUSE_ROLE_DOWN);
	assert_int_equal(
	    ask_proof(joined, 4000000, 17, false, digest, 32), CAUSE_ROLE_DOWN);
	/* For units: it goes to them and is proved by them. */
	assert_int_equal(claim_give(joined, 0, P256, false), CAUSE_NONE);
	assert_int_equal(
	    ask_proof(joined, 0, 17, false, digest, 32), CAUSE_VAULT_ERROR);
	assert_int_equal(grant(joined, 0, 17, false), CAUSE_NONE);
	assert_secret_came(slot, pems[P256]);
	/* For proofs: no unit ever has it. */
	assert_int_equal(claim_give(joined, 0, P256, true), CAUSE_NONE);
	assert_int_equal(
	    ask_proof(joined, 0, 17, false, digest, 32), CAUSE_NONE);
	assert_int_equal(grant(joined, 0, 17, false), CAUSE_VAULT_ERROR);
	close(slot);
}

/* ---- deposits ---- */

static void
test_deposit_goes_to_its_slot_once(void **state)
{
	struct joined *joined = *state;
	int slot = pair_give(joined, 17), other = pair_give(joined, 18);

	assert_int_equal(grant(joined, 1, 17, true), CAUSE_ROLE_DOWN);
	assert_int_equal(
	    deposit(joined, 1, 17, pems[P256], certificates[P256]), CAUSE_NONE);
	assert_int_equal(deposit_proves(joined, 1, 17), CAUSE_NONE);
	/* It is of one attempt of one lot. */
	assert_int_equal(deposit_proves(joined, 1, 18), CAUSE_ROLE_DOWN);
	assert_int_equal(deposit_proves(joined, 2, 17), CAUSE_ROLE_DOWN);
	assert_int_equal(deposit_proves(joined, 1, 0), CAUSE_ROLE_DOWN);
	assert_int_equal(grant(joined, 1, 18, true), CAUSE_ROLE_DOWN);
	assert_int_equal(grant(joined, 2, 17, true), CAUSE_ROLE_DOWN);
	assert_int_equal(grant(joined, 1, 17, true), CAUSE_NONE);
	assert_secret_came(slot, pems[P256]);
	/* It is gone; the same grant again is answered nevertheless. */
	assert_int_equal(deposit_proves(joined, 1, 17), CAUSE_ROLE_DOWN);
	joined->bench->sequence -= 2;
	assert_int_equal(grant(joined, 1, 17, true), CAUSE_NONE);
	joined->bench->sequence++;
	assert_int_equal(grant(joined, 1, 17, true), CAUSE_ROLE_DOWN);
	close(slot);
	close(other);
}

static void
test_deposits_are_checked(void **state)
{
	struct joined *joined = *state;

	assert_int_equal(deposit(joined, 1, 17, pems[P256], certificates[P384]),
	    CAUSE_VAULT_ERROR);
	assert_int_equal(
	    deposit(joined, 1, 17, certificates[P256], certificates[P256]),
	    CAUSE_VAULT_ERROR);
	assert_int_equal(deposit(joined, 1, 0, pems[P256], certificates[P256]),
	    CAUSE_VAULT_ERROR);
	assert_int_equal(
	    deposit(joined, 4000000, 17, pems[P256], certificates[P256]),
	    CAUSE_VAULT_ERROR);
	assert_int_equal(deposit_proves(joined, 1, 17), CAUSE_ROLE_DOWN);
	/* A refused one leaves the one that was there; a good one takes its
	 * place. */
	assert_int_equal(
	    deposit(joined, 1, 17, pems[P256], certificates[P256]), CAUSE_NONE);
	assert_int_equal(deposit(joined, 1, 17, "nonsense", certificates[P256]),
	    CAUSE_VAULT_ERROR);
	assert_int_equal(deposit_proves(joined, 1, 17), CAUSE_NONE);
	assert_int_equal(
	    deposit(joined, 3, 17, pems[P384], certificates[P384]), CAUSE_NONE);
	assert_int_equal(deposit_proves(joined, 1, 17), CAUSE_ROLE_DOWN);
	assert_int_equal(deposit_proves(joined, 3, 17), CAUSE_NONE);
}

static void
test_deposits_are_forgotten(void **state)
{
	struct joined *joined = *state;
	int slot = pair_give(joined, 17), i;

	/* When cloud says so. */
	assert_int_equal(
	    deposit(joined, 1, 17, pems[P256], certificates[P256]), CAUSE_NONE);
	assert_int_equal(
	    deposit(joined, 1, 18, pems[P256], certificates[P256]), CAUSE_NONE);
	assert_int_equal(deposit(joined, 1, 17, "", ""), CAUSE_NONE);
	assert_int_equal(deposit_proves(joined, 1, 17), CAUSE_ROLE_DOWN);
	assert_int_equal(deposit_proves(joined, 1, 18), CAUSE_NONE);
	/* When the slot ends. */
	assert_int_equal(
	    deposit(joined, 1, 17, pems[P256], certificates[P256]), CAUSE_NONE);
	close(slot);
	for (i = 0; deposit_proves(joined, 1, 17) != CAUSE_ROLE_DOWN; i++)
		assert_true(i < 1000);
	assert_int_equal(deposit_proves(joined, 1, 18), CAUSE_NONE);
	/* When its lot is closed. */
	assert_int_equal(
	    deposit(joined, 2, 19, pems[P256], certificates[P256]), CAUSE_NONE);
	bench_forget(joined->bench, 1);
	assert_int_equal(claim_give(joined, 5, P256, false), CAUSE_NONE);
	assert_int_equal(deposit_proves(joined, 1, 18), CAUSE_ROLE_DOWN);
	assert_int_equal(deposit_proves(joined, 2, 19), CAUSE_NONE);
	/* Not when cloud was started anew. */
	channel_close(&joined->cloud);
	join(joined);
	assert_int_equal(deposit_proves(joined, 2, 19), CAUSE_NONE);
}

static void
test_deposits_are_bounded(void **state)
{
	struct joined *joined = *state;
	int slot = pair_give(joined, 1);
	uint64_t attempt;

	for (attempt = 1; attempt <= DEPOSITS_MAX + 2; attempt++)
		assert_int_equal(
		    deposit(joined, 0, attempt, pems[P256], certificates[P256]),
		    CAUSE_NONE);
	/* The first has a slot; the oldest without one had to go. */
	assert_int_equal(deposit_proves(joined, 0, 1), CAUSE_NONE);
	assert_int_equal(deposit_proves(joined, 0, 2), CAUSE_ROLE_DOWN);
	assert_int_equal(deposit_proves(joined, 0, 3), CAUSE_ROLE_DOWN);
	for (attempt = 4; attempt <= DEPOSITS_MAX + 2; attempt++)
		assert_int_equal(
		    deposit_proves(joined, 0, attempt), CAUSE_NONE);
	close(slot);
}

/* Of the state alone, without its process: nobody waits 15 minutes here. */
static void
test_deposits_lapse(void **state)
{
	static struct vault vault;
	static struct message_deposit body;
	struct fault fault = {0};
	uint64_t attempt;

	(void)state;
	vault.loop = loop_new();
	vault.deposit_timer = loop_timer(vault.loop, deposits_lapse, &vault);
	body.len = (uint32_t)strlen(pems[P256]);
	strcpy(body.pem, pems[P256]);
	strcpy(body.certificate, certificates[P256]);
	for (attempt = 1; attempt <= 3; attempt++)
		assert_int_equal(
		    deposit_take(&vault, attempt, &body, &fault), 0);
	assert_in_range(clock_remaining_ms(vault.deposits[0].deadline_ms),
	    DEPOSIT_LIFE_MS - TIMEOUT_MS, DEPOSIT_LIFE_MS);
	deposits_lapse(&vault);
	assert_non_null(deposit_find(&vault, 2, 0));
	vault.deposits[1].deadline_ms = clock_monotonic_ms() - 1;
	deposits_lapse(&vault);
	assert_non_null(deposit_find(&vault, 1, 0));
	assert_null(deposit_find(&vault, 2, 0));
	assert_non_null(deposit_find(&vault, 3, 0));
	deposits_forget_all(&vault);
	assert_null(deposit_find(&vault, 1, 0));
	loop_timer_free(vault.loop, vault.deposit_timer);
	loop_free(vault.loop);
}

/* ---- the pair ---- */

static void
assert_ended(int fd)
{
	struct pollfd poller = {fd, POLLIN, 0};

	assert_int_equal(poll(&poller, 1, TIMEOUT_MS), 1);
	assert_true(poller.revents & POLLHUP);
}

static void
test_newest_pair_counts(void **state)
{
	struct joined *joined = *state;
	struct channel old = joined->cloud;
	uint8_t digest[32] = {0};

	assert_int_equal(claim_give(joined, 0, P256, true), CAUSE_NONE);
	join(joined);
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, digest, 32), CAUSE_NONE);
	assert_ended(old.fd);
	channel_close(&old);
}

/* Whatever cloud says, its pair is all that it loses. */
static void
test_cloud_that_speaks_wrongly(void **state)
{
	struct joined *joined = *state;
	struct message_vault_grant body = {.lot = 0};
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_VAULT_GRANT,
	    .attempt = 17};
	uint8_t digest[32] = {0};
	int slot = pair_give(joined, 17);

	assert_int_equal(claim_give(joined, 0, P256, false), CAUSE_NONE);
	assert_int_equal(
	    channel_send(&joined->cloud, &header, &body, sizeof(body), NULL, 0),
	    0);
	assert_ended(joined->cloud.fd);
	channel_close(&joined->cloud);
	join(joined);
	assert_int_equal(write(joined->cloud.fd, "prove", 5), 5);
	assert_ended(joined->cloud.fd);
	channel_close(&joined->cloud);
	join(joined);
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, digest, 32), CAUSE_VAULT_ERROR);
	assert_int_equal(grant(joined, 0, 17, false), CAUSE_NONE);
	assert_secret_came(slot, pems[P256]);
	close(slot);
}

/* One that does not read is cut off; the vault goes on. */
static void
test_cloud_that_does_not_listen(void **state)
{
	struct joined *joined = *state;
	struct message_prove body = {.lot = 0, .len = 32};
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_PROVE};
	struct pollfd poller = {joined->cloud.fd, POLLOUT, 0};
	int64_t deadline = clock_deadline(TIMEOUT_MS);

	assert_int_equal(claim_give(joined, 0, P256, true), CAUSE_NONE);
	while (clock_remaining_ms(deadline) > 0) {
		struct iovec parts[2] = {
		    {&header, sizeof(header)}, {&body, sizeof(body)}};

		if (writev(joined->cloud.fd, parts, 2) == -1 && errno != EAGAIN)
			break;
		poller.revents = 0;
		assert_true(poll(&poller, 1, TIMEOUT_MS) >= 0);
	}
	assert_true(clock_remaining_ms(deadline) > 0);
	channel_close(&joined->cloud);
	join(joined);
	assert_int_equal(
	    ask_proof(joined, 0, 0, false, body.input, 32), CAUSE_NONE);
}

/* ---- what is left of a key that is forgotten ---- */

/* True when the text stands in the memory of the process. */
static bool
memory_has(pid_t pid, const char *text)
{
	char path[64], line[512];
	char *part = malloc(1 << 22);
	unsigned long from, to;
	bool found = false;
	FILE *maps;
	int memory;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "r");
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	must(maps != NULL && memory >= 0 && part != NULL, "a look inside");
	while (!found && fgets(line, sizeof(line), maps) != NULL) {
		ssize_t got;

		if (sscanf(line, "%lx-%lx r", &from, &to) != 2 ||
		    to - from > 1 << 22 || strstr(line, "[v") != NULL)
			continue;
		got = pread(memory, part, to - from, (off_t)from);
		found = got > 0 &&
			memmem(part, (size_t)got, text, strlen(text)) != NULL;
	}
	(void)fclose(maps);
	close(memory);
	free(part);
	return found;
}

/* Keys that were made after the role's process, which is a copy of this. */
struct fresh_key {
	char pem[PEM_MAX], certificate[PEM_MAX];
	char line[65]; /* of the PEM: has the private number's start */
};

static void
fresh_key_make(struct fresh_key *fresh)
{
	EVP_PKEY *key = make_key("P-256", 0);

	key_pem(key, NULL, fresh->pem);
	make_certificate(key, "unit", false, -DAY_S, DAY_S, fresh->certificate);
	memcpy(fresh->line, strchr(fresh->pem, '\n') + 1, 64);
	fresh->line[64] = '\0';
	EVP_PKEY_free(key);
}

static void
test_nothing_stays_in_memory(void **state)
{
	struct joined *joined = *state;
	struct bench *bench = joined->bench;
	static struct fresh_key claim, unit;
	struct message_open_key key;

#ifdef STATION_SANITIZED /* whose runtime keeps what is freed */
	skip();
#endif
	if (geteuid() != 0)
		skip(); /* the role's memory is closed to its own user */
	fresh_key_make(&claim);
	fresh_key_make(&unit);
	key = key_of(0, KEY_CLAIM,
	    bench_file(bench, "fresh.key", claim.pem, 0600), "",
	    claim.certificate);
	key.proves = 1;
	assert_int_equal(bench_key(bench, &key), CAUSE_NONE);
	assert_int_equal(
	    deposit(joined, 0, 17, unit.pem, unit.certificate), CAUSE_NONE);
	assert_int_equal(deposit_proves(joined, 0, 17), CAUSE_NONE);
	assert_true(memory_has(bench->pid, unit.line));
	assert_true(memory_has(bench->pid, claim.line));
	assert_int_equal(deposit(joined, 0, 17, "", ""), CAUSE_NONE);
	assert_false(memory_has(bench->pid, unit.line));
	bench_forget(bench, 0);
	assert_int_equal(claim_give(joined, 1, P384, true), CAUSE_NONE);
	assert_false(memory_has(bench->pid, claim.line));
}

int
main(void)
{
#define JOINED_TEST(test) \
	cmocka_unit_test_setup_teardown(test, joined_open, joined_close)
	const struct CMUnitTest tests[] = {
	    JOINED_TEST(test_ec_keys_sign_digests),
	    JOINED_TEST(test_rsa_keys_sign_blocks),
	    JOINED_TEST(test_only_keys_for_it_are_proved),
	    JOINED_TEST(test_deposit_goes_to_its_slot_once),
	    JOINED_TEST(test_deposits_are_checked),
	    JOINED_TEST(test_deposits_are_forgotten),
	    JOINED_TEST(test_deposits_are_bounded),
	    cmocka_unit_test(test_deposits_lapse),
	    JOINED_TEST(test_newest_pair_counts),
	    JOINED_TEST(test_cloud_that_speaks_wrongly),
	    JOINED_TEST(test_cloud_that_does_not_listen),
	    JOINED_TEST(test_nothing_stays_in_memory),
	};

	return cmocka_run_group_tests(tests, keys_make, keys_free);
}
