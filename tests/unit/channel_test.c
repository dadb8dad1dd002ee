#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/message.h"

enum {
	QUEUED_MAX = 40,
	PATIENCE_MS = 10000
};

struct scene {
	struct channel here, there;
	struct message got;
	size_t fds_before;
};

/* Descriptors that this process has open: none may leak. */
static size_t
fds_count(void)
{
	DIR *folder = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(folder);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

static int
scene_open(void **state)
{
	static struct scene scene;
	int fds[2];

	scene.fds_before = fds_count();
	if (channel_pair(fds) < 0)
		return -1;
	channel_open(&scene.here, fds[0], "there", QUEUED_MAX);
	channel_open(&scene.there, fds[1], "here", QUEUED_MAX);
	*state = &scene;
	return 0;
}

static int
scene_close(void **state)
{
	struct scene *scene = *state;

	channel_close(&scene->here);
	channel_close(&scene->there);
	return fds_count() == scene->fds_before ? 0 : -1;
}

static int
send_counts(struct channel *channel, uint32_t sequence)
{
	const struct message_header header = {.type = MESSAGE_COUNTS,
	    .sequence = sequence,
	    .attempt = 7,
	    .deadline_ms = 123456};
	const struct message_lot body = {.lot = sequence + 1000};

	return channel_send(channel, &header, &body, sizeof(body), NULL, 0);
}

/* The largest body there is. */
static int
send_large(struct channel *channel, uint32_t sequence)
{
	static struct message_lot_list_done body;
	const struct message_header header = {
	    .type = MESSAGE_LOT_LIST_DONE, .sequence = sequence};

	return channel_send(channel, &header, &body, sizeof(body), NULL, 0);
}

static void
test_message_arrives_whole(void **state)
{
	struct scene *scene = *state;
	struct message_lot lot;

	assert_int_equal(channel_receive(&scene->there, &scene->got), 0);
	assert_int_equal(send_counts(&scene->here, 5), 0);
	assert_int_equal(channel_events(&scene->here), POLLIN);
	assert_int_equal(channel_receive(&scene->there, &scene->got), 1);
	assert_int_equal(scene->got.header.version, MESSAGE_VERSION);
	assert_int_equal(scene->got.header.type, MESSAGE_COUNTS);
	assert_int_equal(scene->got.header.sequence, 5);
	assert_int_equal(scene->got.header.attempt, 7);
	assert_int_equal(scene->got.header.deadline_ms, 123456);
	assert_int_equal(scene->got.len, sizeof(lot));
	assert_int_equal(scene->got.fd_count, 0);
	memcpy(&lot, scene->got.body.bytes, sizeof(lot));
	assert_int_equal(lot.lot, 1005);
	assert_int_equal(channel_receive(&scene->there, &scene->got), 0);
}

static void
test_descriptors_travel(void **state)
{
	const struct message_header header = {.type = MESSAGE_VAULT_PAIR};
	struct scene *scene = *state;
	struct stat status, expected;
	int fds[CHANNEL_FDS_MAX];
	size_t i;

	assert_int_equal(fstat(scene->here.fd, &expected), 0);
	for (i = 0; i < CHANNEL_FDS_MAX; i++)
		fds[i] = scene->here.fd;
	assert_int_equal(
	    channel_send(&scene->here, &header, NULL, 0, fds, CHANNEL_FDS_MAX),
	    0);
	assert_int_equal(channel_receive(&scene->there, &scene->got), 1);
	assert_int_equal(scene->got.fd_count, CHANNEL_FDS_MAX);
	for (i = 0; i < CHANNEL_FDS_MAX; i++) {
		assert_int_equal(fstat(scene->got.fds[i], &status), 0);
		assert_int_equal(status.st_ino, expected.st_ino);
		assert_true(
		    (fcntl(scene->got.fds[i], F_GETFD) & FD_CLOEXEC) != 0);
	}
	message_close_fds(&scene->got);
	assert_int_equal(scene->got.fd_count, 0);
	message_close_fds(&scene->got);
}

/* What does not fit waits, in order, with its descriptors, up to the cap. */
static void
test_queue_and_its_cap(void **state)
{
	const struct message_header header = {
	    .type = MESSAGE_VAULT_PAIR, .sequence = 4242};
	struct scene *scene = *state;
	uint32_t sent = 0, got = 0;
	struct stat status;
	int other;

	while (scene->here.queued < QUEUED_MAX - 1)
		assert_int_equal(send_large(&scene->here, sent++), 0);
	assert_true(sent > QUEUED_MAX);
	assert_int_equal(channel_events(&scene->here), POLLIN | POLLOUT);
	other = memfd_create("travels", MFD_CLOEXEC);
	assert_true(other >= 0);
	assert_int_equal(
	    channel_send(&scene->here, &header, NULL, 0, &other, 1), 0);
	/* The caller's own is its own: the queue has a copy. */
	close(other);
	assert_int_equal(send_large(&scene->here, sent), -1);
	assert_false(scene->here.failed);
	while (channel_receive(&scene->there, &scene->got) == 1 &&
	       scene->got.header.type == MESSAGE_LOT_LIST_DONE) {
		assert_int_equal(scene->got.header.sequence, got++);
		assert_int_equal(channel_flush(&scene->here), 0);
	}
	assert_int_equal(got, sent);
	assert_int_equal(scene->got.header.sequence, 4242);
	assert_int_equal(scene->got.fd_count, 1);
	assert_int_equal(fstat(scene->got.fds[0], &status), 0);
	message_close_fds(&scene->got);
	assert_int_equal(scene->here.queued, 0);
	assert_int_equal(channel_events(&scene->here), POLLIN);
	assert_int_equal(send_large(&scene->here, sent), 0);
}

/* Closing frees what waits; the teardown counts the descriptors. */
static void
test_close_with_a_queue(void **state)
{
	const struct message_header header = {.type = MESSAGE_VAULT_PAIR};
	struct scene *scene = *state;
	uint32_t sent = 0;

	while (scene->here.queued < 3)
		assert_int_equal(send_large(&scene->here, sent++), 0);
	assert_int_equal(
	    channel_send(&scene->here, &header, NULL, 0, &scene->there.fd, 1),
	    0);
	channel_close(&scene->here);
	assert_int_equal(send_counts(&scene->here, 1), -1);
}

static void
test_peer_ends(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(send_counts(&scene->there, 1), 0);
	channel_close(&scene->there);
	/* What was sent before the end still arrives. */
	assert_int_equal(channel_receive(&scene->here, &scene->got), 1);
	assert_int_equal(channel_receive(&scene->here, &scene->got), -1);
	assert_true(scene->here.failed);
	assert_int_equal(channel_receive(&scene->here, &scene->got), -1);
	assert_int_equal(send_counts(&scene->here, 1), -1);
	assert_int_equal(channel_flush(&scene->here), -1);
}

static void
test_send_to_an_ended_peer(void **state)
{
	struct scene *scene = *state;

	channel_close(&scene->there);
	assert_int_equal(send_counts(&scene->here, 1), -1);
	assert_true(scene->here.deaf);
	assert_int_equal(channel_flush(&scene->here), -1);
	assert_int_equal(channel_receive(&scene->here, &scene->got), -1);
	assert_true(scene->here.failed);
}

/*
 * A slot that sends its verdict and ends without reading what waits for it
 * must not take the verdict with it, whether or not its peer sends first.
 */
static void
test_last_words_arrive(void **state)
{
	struct scene *scene = *state;
	uint32_t sent;
	int sends;

	for (sends = 0; sends < 2; sends++) {
		scene_close(state);
		assert_int_equal(scene_open(state), 0);
		assert_int_equal(send_counts(&scene->here, 1), 0);
		for (sent = 0; sent < 3; sent++)
			assert_int_equal(send_counts(&scene->there, sent), 0);
		channel_close(&scene->there);
		if (sends > 0)
			assert_int_equal(send_counts(&scene->here, 2), -1);
		assert_int_equal(channel_events(&scene->here), POLLIN);
		for (sent = 0; sent < 3; sent++) {
			assert_int_equal(
			    channel_receive(&scene->here, &scene->got), 1);
			assert_int_equal(scene->got.header.sequence, sent);
		}
		assert_int_equal(
		    channel_receive(&scene->here, &scene->got), -1);
	}
}

static void
test_malformed_is_not_sent(void **state)
{
	struct message_header header = {.type = MESSAGE_COUNTS};
	struct scene *scene = *state;
	struct message_lot body = {0};
	int fds[CHANNEL_FDS_MAX + 1] = {0};

	assert_int_equal(
	    channel_send(&scene->here, &header, &body, 3, NULL, 0), -1);
	assert_int_equal(channel_send(&scene->here, &header, &body,
			     sizeof(body), fds, CHANNEL_FDS_MAX + 1),
	    -1);
	header.type = 0;
	assert_int_equal(
	    channel_send(&scene->here, &header, NULL, 0, NULL, 0), -1);
	/* A mistake of this side is no failure of the other. */
	assert_false(scene->here.failed);
	assert_int_equal(send_counts(&scene->here, 1), 0);
}

/* Sends raw bytes as a role that was taken over could, with descriptors. */
static void
send_raw(int fd, const void *bytes, size_t len, size_t fd_count)
{
	char control[CMSG_SPACE(sizeof(int) * 64)];
	char copy[MESSAGE_MAX + 64];
	struct iovec part = {copy, len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *attached;
	size_t i;

	memset(copy, 0, sizeof(copy));
	memcpy(copy, bytes, len < sizeof(copy) ? len : sizeof(copy));
	memset(control, 0, sizeof(control));
	if (fd_count > 0) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		attached = CMSG_FIRSTHDR(&message);
		attached->cmsg_level = SOL_SOCKET;
		attached->cmsg_type = SCM_RIGHTS;
		attached->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		for (i = 0; i < fd_count; i++)
			memcpy(CMSG_DATA(attached) + i * sizeof(int), &fd,
			    sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &message, 0), (ssize_t)len);
}

/* Each of them fails the channel, and takes no descriptor with it. */
static void
test_broken_messages(void **state)
{
	struct bytes {
		struct message_header header;
		char body[MESSAGE_MAX + 64 - sizeof(struct message_header)];
	};
	static struct bytes good = {
	    {.version = MESSAGE_VERSION, .type = MESSAGE_COUNTS}, ""};
	const size_t good_len =
	    sizeof(struct message_header) + sizeof(struct message_lot);
	static const struct {
		uint16_t version, type;
		int longer;
		size_t fd_count;
		int result;
	} rows[] = {
	    {MESSAGE_VERSION, MESSAGE_COUNTS, 0, 0, 1},
	    {MESSAGE_VERSION, MESSAGE_COUNTS, 0, 12, 1},
	    {MESSAGE_VERSION, MESSAGE_COUNTS, 0, 13, -1},
	    {MESSAGE_VERSION, MESSAGE_COUNTS, 0, 60, -1},
	    {MESSAGE_VERSION + 1, MESSAGE_COUNTS, 0, 1, -1},
	    {0, MESSAGE_COUNTS, 0, 0, -1},
	    {MESSAGE_VERSION, MESSAGE_COUNTS, 1, 1, -1},
	    {MESSAGE_VERSION, MESSAGE_COUNTS, -1, 1, -1},
	    {MESSAGE_VERSION, MESSAGE_COUNTS, -20, 1, -1},
	    {MESSAGE_VERSION, MESSAGE_GATE, 0, 1, -1},
	    {MESSAGE_VERSION, 0, 0, 0, -1},
	    {MESSAGE_VERSION, UINT16_MAX, 0, 0, -1},
	    {MESSAGE_VERSION, MESSAGE_COUNTS, MESSAGE_MAX - 32, 1, -1},
	};
	struct scene *scene = *state;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		scene_close(state);
		assert_int_equal(scene_open(state), 0);
		good.header.version = rows[i].version;
		good.header.type = rows[i].type;
		send_raw(scene->there.fd, &good,
		    (size_t)((ssize_t)good_len + rows[i].longer),
		    rows[i].fd_count);
		assert_int_equal(
		    channel_receive(&scene->here, &scene->got), rows[i].result);
		assert_int_equal(scene->here.failed, rows[i].result < 0);
		assert_int_equal(scene->got.fd_count,
		    rows[i].result < 0 ? 0 : rows[i].fd_count);
		message_close_fds(&scene->got);
	}
}

static void
test_receive_has_a_deadline(void **state)
{
	struct scene *scene = *state;
	struct fault fault = {0};
	int64_t deadline_ms = clock_deadline(20);

	assert_int_equal(channel_receive_wait(
			     &scene->here, &scene->got, deadline_ms, &fault),
	    -1);
	assert_true(clock_monotonic_ms() >= deadline_ms);
	assert_int_equal(fault.cause, CAUSE_DEADLINE);
	assert_string_equal(fault.text, "there: no answer before the deadline");
	assert_false(scene->here.failed);
	/* What is there already is taken even when the time is over. */
	assert_int_equal(send_counts(&scene->there, 9), 0);
	assert_int_equal(channel_receive_wait(
			     &scene->here, &scene->got, deadline_ms, &fault),
	    0);
	assert_int_equal(scene->got.header.sequence, 9);
	channel_close(&scene->there);
	assert_int_equal(
	    channel_receive_wait(&scene->here, &scene->got, 0, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_ROLE_DOWN);
}

static int
send_large_wait(
    struct channel *channel, int64_t deadline_ms, struct fault *fault)
{
	static struct message_lot_list_done body;
	const struct message_header header = {.type = MESSAGE_LOT_LIST_DONE};

	return channel_send_wait(
	    channel, &header, &body, sizeof(body), NULL, 0, deadline_ms, fault);
}

static void
test_send_has_a_deadline(void **state)
{
	struct scene *scene = *state;
	struct fault fault = {0};
	int64_t deadline_ms;

	do
		deadline_ms = clock_deadline(20);
	while (send_large_wait(&scene->here, deadline_ms, &fault) == 0);
	assert_true(clock_monotonic_ms() >= deadline_ms);
	assert_int_equal(fault.cause, CAUSE_DEADLINE);
	assert_string_equal(fault.text, "there: no room before the deadline");
	assert_int_equal(scene->here.queued, 0);
	assert_false(scene->here.failed);
	channel_close(&scene->there);
	assert_int_equal(send_large_wait(&scene->here, 0, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_ROLE_DOWN);
}

/* Two processes, each waiting for the other, neither for ever. */
static void
test_two_processes(void **state)
{
	struct scene *scene = *state;
	struct fault fault = {0};
	int64_t deadline_ms = clock_deadline(PATIENCE_MS);
	int status, i;
	pid_t pid;

	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		channel_close(&scene->here);
		for (i = 0; i < 100; i++)
			if (channel_receive_wait(&scene->there, &scene->got,
				deadline_ms, &fault) < 0 ||
			    send_large_wait(
				&scene->there, deadline_ms, &fault) < 0)
				_exit(1);
		_exit(0);
	}
	/* One ahead: both sides' sockets would be full with many. */
	for (i = 0; i <= 100; i++) {
		if (i < 100)
			assert_int_equal(
			    send_large_wait(&scene->here, deadline_ms, &fault),
			    0);
		if (i > 0)
			assert_int_equal(channel_receive_wait(&scene->here,
					     &scene->got, deadline_ms, &fault),
			    0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int
main(void)
{
#define CHANNEL_TEST(test) \
	cmocka_unit_test_setup_teardown(test, scene_open, scene_close)
	const struct CMUnitTest tests[] = {
	    CHANNEL_TEST(test_message_arrives_whole),
	    CHANNEL_TEST(test_descriptors_travel),
	    CHANNEL_TEST(test_queue_and_its_cap),
	    CHANNEL_TEST(test_close_with_a_queue),
	    CHANNEL_TEST(test_peer_ends),
	    CHANNEL_TEST(test_send_to_an_ended_peer),
	    CHANNEL_TEST(test_last_words_arrive),
	    CHANNEL_TEST(test_malformed_is_not_sent),
	    CHANNEL_TEST(test_broken_messages),
	    CHANNEL_TEST(test_receive_has_a_deadline),
	    CHANNEL_TEST(test_send_has_a_deadline),
	    CHANNEL_TEST(test_two_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
