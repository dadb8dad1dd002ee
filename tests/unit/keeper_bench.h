/*
 * The vault or the hsm role in a process of its own, inside its real sandbox;
 * the test is its line, its parent, its slots and its cloud. Failures end the
 * test.
 */
#ifndef KEEPER_BENCH_H
#define KEEPER_BENCH_H

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/message.h"
#include "base/role.h"
#include "pki_make.h"

enum {
	TIMEOUT_MS = 20000,
	SILENCE_MS = 200,
	DAY_S = 86400,
};

struct bench {
	pid_t pid;
	struct channel line, parent;
	char folder[64];
	uint32_t sequence;
	struct fault fault; /* of the last answer */
	struct message message;
};

static inline void __attribute__((noreturn))
bench_role(int (*run)(void), int line, int parent, int job)
{
	line = fcntl(line, F_DUPFD, ROLE_FD_END);
	parent = fcntl(parent, F_DUPFD, ROLE_FD_END);
	job = job == -1 ? open("/dev/null", O_RDWR)
			: fcntl(job, F_DUPFD, ROLE_FD_END);
	if (dup2(line, ROLE_FD_CHANNEL) == -1 ||
	    dup2(parent, ROLE_FD_FIRST) == -1 || dup2(job, ROLE_FD_JOB) == -1)
		_exit(99);
	close(ROLE_FD_CONFIG);
	close(ROLE_FD_LINES);
	close_range(ROLE_FD_JOB + 1, ~0U, 0);
	_exit(run());
}

/* Starts the role; what the bench had before is over. job may be -1. */
static inline void
bench_start(struct bench *bench, int (*run)(void), int job)
{
	int line[2], parent[2];

	must(channel_pair(line) == 0 && channel_pair(parent) == 0, "pairs");
	bench->pid = fork();
	must(bench->pid >= 0, "a process");
	if (bench->pid == 0)
		bench_role(run, line[1], parent[1], job);
	close(line[1]);
	close(parent[1]);
	channel_open(&bench->line, line[0], "role", 8);
	channel_open(&bench->parent, parent[0], "role", 8);
}

/* It ends by itself, without a refused system call. */
static inline void
bench_stop(struct bench *bench)
{
	int status = -1;

	channel_close(&bench->line);
	channel_close(&bench->parent);
	assert_int_equal(waitpid(bench->pid, &status, 0), bench->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static inline struct bench *
bench_new(void)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	must(bench != NULL, "memory");
	strcpy(bench->folder, "/tmp/keeper-XXXXXX");
	must(mkdtemp(bench->folder) != NULL, "a folder");
	return bench;
}

static inline void
bench_free(struct bench *bench)
{
	char command[96];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", bench->folder);
	must(system(command) == 0, "order");
	free(bench);
}

/* A file of the folder: its path in one of four buffers. */
static inline const char *
bench_path(const struct bench *bench, const char *name)
{
	static char paths[4][128];
	static size_t next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, 128, "%s/%s", bench->folder, name);
	return path;
}

static inline const char *
bench_file(struct bench *bench, const char *name, const char *text, mode_t mode)
{
	const char *path = bench_path(bench, name);
	int fd;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(fd >= 0 &&
		 write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
		 fchmod(fd, mode) == 0 && close(fd) == 0,
	    name);
	return path;
}

/* The answer stays in bench->message, its fault in bench->fault. */
static inline enum fault_cause
bench_answer(struct bench *bench, struct channel *channel, uint16_t type,
    uint32_t sequence)
{
	struct fault fault = {0};

	if (channel_receive_wait(channel, &bench->message,
		clock_deadline(TIMEOUT_MS), &fault) != 0)
		fail_msg("%s", fault.text);
	assert_int_equal(bench->message.header.type, type);
	assert_int_equal(bench->message.header.sequence, sequence);
	memcpy(&bench->fault, bench->message.body.bytes, sizeof(bench->fault));
	return bench->fault.cause;
}

static inline enum fault_cause
bench_ask(struct bench *bench, struct channel *channel, uint16_t type,
    uint64_t attempt, const void *body, size_t len, const int *fds,
    size_t fd_count)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = type,
	    .attempt = attempt,
	    .sequence = ++bench->sequence};

	assert_int_equal(
	    channel_send(channel, &header, body, len, fds, fd_count), 0);
	return bench_answer(
	    bench, channel, (uint16_t)(type + 1), header.sequence);
}

static inline void
bench_tell(struct bench *bench, uint16_t type, uint64_t attempt,
    const void *body, size_t len, const int *fds, size_t fd_count)
{
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = type, .attempt = attempt};

	assert_int_equal(
	    channel_send(&bench->parent, &header, body, len, fds, fd_count), 0);
}

/* As the parent does: it opens the files and passes them on. */
static inline enum fault_cause
bench_key(struct bench *bench, const struct message_open_key *key)
{
	int fds[2];
	size_t count = 0;
	enum fault_cause cause;

	if (strncmp(key->path, "pkcs11:", 7) != 0)
		fds[count++] = open(key->path, O_RDONLY | O_CLOEXEC);
	if (key->secret_path[0] != '\0')
		fds[count++] = open(key->secret_path, O_RDONLY | O_CLOEXEC);
	cause = bench_ask(bench, &bench->parent, MESSAGE_VAULT_KEY, 0, key,
	    sizeof(*key), fds, count);
	while (count > 0)
		close(fds[--count]);
	return cause;
}

/* The description of a key, for bench_key. */
static inline struct message_open_key
key_of(uint32_t lot, enum key_kind kind, const char *path,
    const char *secret_path, const char *certificate)
{
	struct message_open_key key = {.lot = lot, .kind = kind};

	must(text_copy(key.path, sizeof(key.path), path) == 0, "a text");
	must(text_copy(key.secret_path, sizeof(key.secret_path), secret_path) ==
		 0,
	    "a text");
	must(text_copy(key.certificate, sizeof(key.certificate), certificate) ==
		 0,
	    "a text");
	return key;
}

static inline void
bench_forget(struct bench *bench, uint32_t lot)
{
	struct message_keys_forget forget = {.lot = lot};

	bench_tell(
	    bench, MESSAGE_KEYS_FORGET, 0, &forget, sizeof(forget), NULL, 0);
}

/* A request of unit UNIT-0007 to the lot's CA; the answer is the message. */
static inline enum fault_cause
bench_sign(struct bench *bench, uint32_t lot, const char *serial)
{
	static const char *const names[] = {"UNIT-0007", NULL};
	struct message_vault_sign sign = {.lot = lot,
	    .from_wall_ms = clock_wall_ms() - 1000,
	    .to_wall_ms = clock_wall_ms() + 1000000,
	    .part_count = 1,
	    .parts = {{.name = "CN", .value = "UNIT-0007"}}};
	EVP_PKEY *key = make_key("P-256", 0);
	char pem[PEM_MAX];

	make_request(key, key, EVP_sha256(), names, pem);
	must(text_copy(sign.csr, sizeof(sign.csr), pem) == 0, "a text");
	must(
	    text_copy(sign.serial, sizeof(sign.serial), serial) == 0, "a text");
	EVP_PKEY_free(key);
	return bench_ask(bench, &bench->line, MESSAGE_VAULT_SIGN, 7, &sign,
	    sizeof(sign), NULL, 0);
}

static inline X509 *
bench_x509(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	must(certificate != NULL, "a certificate of its PEM");
	return certificate;
}

/* The answer to bench_sign is a certificate of that authority. */
static inline void
assert_signed_by(const struct bench *bench, const char *authority)
{
	const struct message_issue_done *done =
	    (const void *)bench->message.body.bytes;
	X509 *made = bench_x509(done->certificate);
	X509 *root = bench_x509(authority);

	assert_int_equal(X509_verify(made, X509_get0_pubkey(root)), 1);
	assert_int_equal(strlen(done->certificate_id), 64);
	X509_free(made);
	X509_free(root);
}

#endif
