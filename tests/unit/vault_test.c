#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/message.h"
#include "base/role.h"
#include "vault/role.h"

/*
 * The real role in a process of its own, inside its real sandbox; the test
 * is its line, its parent and its slots.
 */
struct bench {
	pid_t pid;
	struct channel line, parent;
	char folder[64];
	char key_path[96];
	char key[4096], certificate[4096]; /* PEM; they belong together */
	uint32_t sequence;
};

enum {
	TIMEOUT_MS = 20000,
	SILENCE_MS = 200
};

static void
pem_take(BIO *bio, char *to, size_t size)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	assert_true(len > 0 && (size_t)len < size);
	memcpy(to, data, (size_t)len);
	to[len] = '\0';
	BIO_free(bio);
}

/* A key and a certificate for it that it has signed itself. */
static void
pair_make(char *key_pem, char *certificate_pem, size_t size)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());

	assert_non_null(key);
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
	    MBSTRING_ASC, (const unsigned char *)"claim", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	pem_take(bio, key_pem, size);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, certificate);
	pem_take(bio, certificate_pem, size);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static void
key_file_put(struct bench *bench, const char *text, mode_t mode)
{
	int fd;

	unlink(bench->key_path);
	fd = open(
	    bench->key_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void __attribute__((noreturn)) role_run(int line, int parent)
{
	line = fcntl(line, F_DUPFD, ROLE_FD_END);
	parent = fcntl(parent, F_DUPFD, ROLE_FD_END);
	if (dup2(line, ROLE_FD_CHANNEL) == -1 ||
	    dup2(parent, ROLE_FD_FIRST) == -1)
		_exit(99);
	close(ROLE_FD_CONFIG);
	close_range(ROLE_FD_FIRST + 1, ~0U, 0);
	log_open("vault", LOG_LEVEL_ERROR);
	_exit(vault_role());
}

static int
bench_open(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int line[2], parent[2];

	assert_non_null(bench);
	*state = bench;
	strcpy(bench->folder, "/tmp/vault-XXXXXX");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->key_path, sizeof(bench->key_path), "%s/claim.key",
	    bench->folder);
	pair_make(bench->key, bench->certificate, sizeof(bench->key));
	key_file_put(bench, bench->key, 0600);
	assert_int_equal(channel_pair(line), 0);
	assert_int_equal(channel_pair(parent), 0);
	bench->pid = fork();
	assert_true(bench->pid >= 0);
	if (bench->pid == 0)
		role_run(line[1], parent[1]);
	close(line[1]);
	close(parent[1]);
	channel_open(&bench->line, line[0], "vault", 8);
	channel_open(&bench->parent, parent[0], "vault", 8);
	return 0;
}

static int
bench_close(void **state)
{
	struct bench *bench = *state;
	int status = -1;

	channel_close(&bench->line);
	channel_close(&bench->parent);
	assert_int_equal(waitpid(bench->pid, &status, 0), bench->pid);
	unlink(bench->key_path);
	rmdir(bench->folder);
	free(bench);
	/* It ended by itself, without a refused system call. */
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

static enum fault_cause
answer_wait(struct channel *channel, uint16_t type, uint32_t sequence,
    char *text, size_t size)
{
	static struct message message;
	const struct message_done *done = (const void *)message.body.bytes;
	struct fault fault = {0};

	assert_int_equal(channel_receive_wait(channel, &message,
			     clock_deadline(TIMEOUT_MS), &fault),
	    0);
	assert_int_equal(message.header.type, type);
	assert_int_equal(message.header.sequence, sequence);
	if (text != NULL)
		snprintf(text, size, "%s", done->fault.text);
	return done->fault.cause;
}

static enum fault_cause
key_give(struct bench *bench, uint32_t lot, const char *certificate, char *text,
    size_t size)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_VAULT_KEY,
	    .sequence = ++bench->sequence};
	struct message_open_key body = {.lot = lot};
	int fd = open(bench->key_path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	snprintf(body.path, sizeof(body.path), "%s", bench->key_path);
	snprintf(body.certificate, sizeof(body.certificate), "%s", certificate);
	assert_int_equal(
	    channel_send(&bench->parent, &header, &body, sizeof(body), &fd, 1),
	    0);
	close(fd);
	return answer_wait(&bench->parent, MESSAGE_VAULT_KEY_DONE,
	    header.sequence, text, size);
}

/* Joins the vault with a slot; returns the slot's end. */
static int
pair_give(struct bench *bench, uint64_t attempt)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_VAULT_PAIR,
	    .attempt = attempt};
	int pair[2];

	assert_int_equal(channel_pair(pair), 0);
	assert_int_equal(
	    channel_send(&bench->parent, &header, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	return pair[0];
}

static enum fault_cause
grant_with(
    struct bench *bench, uint32_t lot, uint64_t attempt, uint32_t sequence)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_VAULT_GRANT,
	    .attempt = attempt,
	    .sequence = sequence};
	struct message_vault_grant body = {.lot = lot};

	assert_int_equal(
	    channel_send(&bench->line, &header, &body, sizeof(body), NULL, 0),
	    0);
	return answer_wait(
	    &bench->line, MESSAGE_VAULT_GRANT_DONE, sequence, NULL, 0);
}

static enum fault_cause
grant(struct bench *bench, uint32_t lot, uint64_t attempt)
{
	return grant_with(bench, lot, attempt, ++bench->sequence);
}

/* The pair has exactly one message, and it is that key. */
static void
assert_key_came(int slot, const char *key)
{
	static struct message message;
	const struct message_secret *secret = (const void *)message.body.bytes;
	struct pollfd poller = {slot, POLLIN, 0};
	struct channel channel;
	struct fault fault = {0};

	channel_open(&channel, slot, "vault", 1);
	assert_int_equal(channel_receive_wait(&channel, &message,
			     clock_deadline(TIMEOUT_MS), &fault),
	    0);
	assert_int_equal(message.header.type, MESSAGE_SECRET);
	assert_int_equal(secret->len, strlen(key));
	assert_memory_equal(secret->pem, key, secret->len);
	assert_int_equal(poll(&poller, 1, SILENCE_MS), 0);
}

static void
assert_silence(int slot)
{
	struct pollfd poller = {slot, POLLIN, 0};

	assert_int_equal(poll(&poller, 1, SILENCE_MS), 0);
}

static void
test_key_goes_out_once_a_grant(void **state)
{
	struct bench *bench = *state;
	int slot, other;

	assert_int_equal(
	    key_give(bench, 3, bench->certificate, NULL, 0), CAUSE_NONE);
	slot = pair_give(bench, 17);
	other = pair_give(bench, 18);
	assert_silence(slot);
	assert_int_equal(grant(bench, 3, 17), CAUSE_NONE);
	assert_key_came(slot, bench->key);
	/* The same grant again is answered, and no more. */
	assert_int_equal(grant_with(bench, 3, 17, bench->sequence), CAUSE_NONE);
	assert_silence(slot);
	assert_silence(other);
	assert_int_equal(grant(bench, 3, 17), CAUSE_NONE);
	assert_key_came(slot, bench->key);
	close(slot);
	close(other);
}

static void
test_nothing_without_key_or_slot(void **state)
{
	struct bench *bench = *state;
	int slot = pair_give(bench, 17);

	assert_int_equal(grant(bench, 0, 17), CAUSE_VAULT_ERROR);
	assert_int_equal(grant(bench, 4000000, 17), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_NONE);
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

	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_NONE);
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

	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_NONE);
	for (uint64_t attempt = 1; attempt <= 500; attempt++) {
		int slot = pair_give(bench, attempt);

		assert_int_equal(grant(bench, 0, attempt), CAUSE_NONE);
		close(slot);
	}
}

static void
test_keys_that_are_refused(void **state)
{
	struct bench *bench = *state;
	char other_key[4096], other_certificate[4096], text[400];
	char twice[8192];

	pair_make(other_key, other_certificate, sizeof(other_key));
	assert_int_equal(
	    key_give(bench, 0, other_certificate, NULL, 0), CAUSE_VAULT_ERROR);
	assert_int_equal(key_give(bench, 0, "", NULL, 0), CAUSE_VAULT_ERROR);
	key_file_put(bench, bench->key, 0640);
	assert_int_equal(
	    key_give(bench, 0, bench->certificate, text, sizeof(text)),
	    CAUSE_VAULT_ERROR);
	assert_non_null(strstr(text, "chmod 600"));
	assert_non_null(strstr(text, bench->key_path));
	key_file_put(bench, bench->certificate, 0600);
	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_VAULT_ERROR);
	snprintf(twice, sizeof(twice), "%s%s", bench->key, other_key);
	key_file_put(bench, twice, 0600);
	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_VAULT_ERROR);
	key_file_put(bench,
	    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBK"
	    "\n-----END ENCRYPTED PRIVATE KEY-----\n",
	    0600);
	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_VAULT_ERROR);
	key_file_put(bench, "", 0600);
	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_VAULT_ERROR);
	assert_int_equal(grant(bench, 0, 17), CAUSE_VAULT_ERROR);
	/* A refused key leaves the one that was there. */
	key_file_put(bench, bench->key, 0400);
	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_NONE);
	key_file_put(bench, "nonsense", 0600);
	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    grant(bench, 0, pair_give(bench, 17) > 0 ? 17 : 0), CAUSE_NONE);
}

/* Only the parent brings keys and pairs, only the line grants. */
static void
test_channels_have_their_own_words(void **state)
{
	struct bench *bench = *state;
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_VAULT_GRANT,
	    .attempt = 17,
	    .sequence = 9};
	struct message_vault_grant body = {.lot = 0};
	int slot = pair_give(bench, 17);

	assert_int_equal(
	    key_give(bench, 0, bench->certificate, NULL, 0), CAUSE_NONE);
	assert_int_equal(
	    channel_send(&bench->parent, &header, &body, sizeof(body), NULL, 0),
	    0);
	assert_silence(slot);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
