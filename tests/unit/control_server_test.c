/*
 * The daemon's half of the control protocol, over real sockets in a folder
 * of its own: one loop, with raw clients in the same process.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "control/peer.h"
#include "control/server.h"

enum {
	WAIT_MS = 10000
};

struct bench {
	char folder[64];
	char path[96];
	struct loop *loop;
	struct control_server *server;
	struct control_request *kept; /* by the "later" command */
	unsigned gone;
	unsigned snapshots; /* built */
	char text[64];	    /* in the snapshot */
	int fd;		    /* that came with the last request */
	bool done;	    /* of a condition that pump waits for */
};

/* ---- the line's part ---- */

static void
echo_handle(struct control_request *request, void *arg)
{
	const char *text = control_request_need(request, "text", 16);

	(void)arg;
	if (text != NULL)
		control_reply(request, json_pack("{s:s}", "text", text));
}

static void
client_gone(void *arg)
{
	struct bench *bench = arg;

	bench->gone++;
}

static void
later_handle(struct control_request *request, void *arg)
{
	struct bench *bench = arg;

	assert_null(bench->kept);
	bench->kept = request;
	control_request_watch(request, client_gone, bench);
}

static void
fd_handle(struct control_request *request, void *arg)
{
	struct bench *bench = arg;

	bench->fd = control_request_take_fd(request);
	control_reply(request, NULL);
}

static void
fault_handle(struct control_request *request, void *arg)
{
	struct fault fault = {.cause = CAUSE_NONE};

	(void)arg;
	fault_set(&fault, CAUSE_BAD_LOT, "lot x is bad");
	control_reply_problems(request, &fault, "a:1: one\nb:2: two\xff");
}

static const struct control_command commands[] = {
    {"echo", CONTROL_ACCESS_READ, echo_handle},
    {"later", CONTROL_ACCESS_READ, later_handle},
    {"fd", CONTROL_ACCESS_READ, fd_handle},
    {"fault", CONTROL_ACCESS_WRITE, fault_handle},
    {NULL, CONTROL_ACCESS_READ, NULL},
};

static json_t *
snapshot_build(void *arg)
{
	struct bench *bench = arg;

	bench->snapshots++;
	return json_pack("{s:s}", "text", bench->text);
}

/* ---- a bench a test ---- */

static int
setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct control_server_setup server_setup = {
	    .commands = commands,
	    .group = (gid_t)-1,
	    .snapshot = snapshot_build,
	    .arg = bench,
	};
	struct fault fault = {.cause = CAUSE_NONE};
	int fd;

	strcpy(bench->folder, "/tmp/control-test.XXXXXX");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->path, sizeof(bench->path), "%s/socket", bench->folder);
	strcpy(bench->text, "first");
	bench->fd = -1;
	bench->loop = loop_new();
	fd = control_listen(bench->path, 0600, "", &fault);
	assert_int_not_equal(fd, -1);
	bench->server =
	    control_server_new(bench->loop, fd, &server_setup, &fault);
	assert_non_null(bench->server);
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *bench = *state;

	control_server_free(bench->server);
	loop_free(bench->loop);
	unlink(bench->path);
	assert_int_equal(rmdir(bench->folder), 0);
	free(bench);
	return 0;
}

/* ---- clients ---- */

struct raw {
	int fd;
	struct buf in;
};

static void
raw_open(struct bench *bench, struct raw *raw)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, bench->path);
	buf_init(&raw->in, 64 * 1024 * 1024);
	raw->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(raw->fd, (const struct sockaddr *)&address,
			     sizeof(address)),
	    0);
	assert_int_equal(fcntl(raw->fd, F_SETFL, O_NONBLOCK), 0);
}

static void
raw_close(struct raw *raw)
{
	close(raw->fd);
	buf_free(&raw->in);
}

static void
raw_send(struct raw *raw, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(send(raw->fd, text, len, MSG_NOSIGNAL), len);
}

/* ---- the pump: turns of the loop until a condition holds ---- */

struct pump {
	struct bench *bench;
	bool (*met)(void *arg);
	void *arg;
	bool ok;
};

static void
pump_idle(void *arg)
{
	struct pump *pump = arg;

	if (pump->met(pump->arg)) {
		pump->ok = true;
		loop_stop(pump->bench->loop);
	}
}

static void
pump_stop(void *arg)
{
	loop_stop(arg);
}

static void
pump_again(void *arg, short revents)
{
	(void)arg;
	(void)revents;
}

/* fd: when it becomes readable the condition is looked at again; or -1. */
static bool
pump(struct bench *bench, int fd, bool (*met)(void *arg), void *arg)
{
	struct pump pump = {bench, met, arg, false};
	struct loop_timer *timer =
	    loop_timer(bench->loop, pump_stop, bench->loop);
	struct loop_watch *watch = NULL;

	if (fd != -1)
		watch = loop_watch(bench->loop, fd, POLLIN, pump_again, NULL);
	loop_timer_set(timer, clock_deadline(WAIT_MS));
	loop_run(bench->loop, pump_idle, &pump);
	if (watch != NULL)
		loop_unwatch(bench->loop, watch);
	loop_timer_free(bench->loop, timer);
	return pump.ok;
}

static bool
line_is_there(void *arg)
{
	struct raw *raw = arg;
	char bytes[65536];
	ssize_t got = recv(raw->fd, bytes, sizeof(bytes), 0);

	if (got > 0)
		buf_add(&raw->in, bytes, (size_t)got);
	return raw->in.len > 0 &&
	       memchr(raw->in.data, '\n', raw->in.len) != NULL;
}

static json_t *
raw_line(struct bench *bench, struct raw *raw)
{
	char *end;
	size_t len;
	json_t *json;

	assert_true(pump(bench, raw->fd, line_is_there, raw));
	end = memchr(raw->in.data, '\n', raw->in.len);
	len = (size_t)(end - raw->in.data);
	json = json_loadb(raw->in.data, len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	assert_int_equal(json_integer_value(json_object_get(json, "v")), 1);
	buf_drop(&raw->in, len + 1);
	return json;
}

static bool
is_closed(void *arg)
{
	struct raw *raw = arg;
	char byte;
	ssize_t got = recv(raw->fd, &byte, 1, 0);

	return got == 0 || (got == -1 && errno != EAGAIN);
}

/* The next line is an error reply of that cause and exit status. */
static void
expect_error(struct bench *bench, struct raw *raw, json_int_t id,
    const char *cause, int exit_status)
{
	json_t *line = raw_line(bench, raw);
	json_t *error = json_object_get(line, "error");

	assert_true(json_is_false(json_object_get(line, "ok")));
	assert_int_equal(json_integer_value(json_object_get(line, "id")), id);
	assert_string_equal(
	    json_string_value(json_object_get(error, "cause")), cause);
	assert_int_equal(
	    json_integer_value(json_object_get(error, "exit")), exit_status);
	assert_true(json_is_string(json_object_get(error, "text")));
	assert_true(json_is_string(json_object_get(error, "action")));
	json_decref(line);
}

static void
expect_ok(struct bench *bench, struct raw *raw, json_int_t id)
{
	json_t *line = raw_line(bench, raw);

	assert_true(json_is_true(json_object_get(line, "ok")));
	assert_int_equal(json_integer_value(json_object_get(line, "id")), id);
	json_decref(line);
}

static void
expect_event(struct bench *bench, struct raw *raw, const char *event)
{
	json_t *line = raw_line(bench, raw);

	assert_string_equal(
	    json_string_value(json_object_get(line, "event")), event);
	json_decref(line);
}

static void
expect_snapshot(struct bench *bench, struct raw *raw, const char *text)
{
	json_t *line = raw_line(bench, raw);
	json_t *snapshot = json_object_get(line, "snapshot");

	assert_non_null(snapshot);
	assert_string_equal(
	    json_string_value(json_object_get(snapshot, "text")), text);
	json_decref(line);
}

/* ---- requests ---- */

static void
test_replies_by_id(void **state)
{
	struct bench *bench = *state;
	struct raw raw;
	json_t *line;

	raw_open(bench, &raw);
	raw_send(&raw,
	    "{\"v\":1,\"id\":7,\"command\":\"echo\",\"text\":\"a\"}\n"
	    "{\"v\":1,\"id\":9,\"command\":\"echo\"}\n"
	    "{\"v\":1,\"id\":10,\"command\":\"echo\",\"text\":"
	    "\"0123456789abcdef\"}\n"
	    "{\"v\":1,\"id\":11,\"command\":\"none\"}\n"
	    "{\"v\":1,\"id\":12,\"command\":\"fault\"}\n");
	line = raw_line(bench, &raw);
	assert_int_equal(json_integer_value(json_object_get(line, "id")), 7);
	assert_string_equal(
	    json_string_value(json_object_get(line, "text")), "a");
	json_decref(line);
	expect_error(bench, &raw, 9, "bad-request", 64);
	expect_error(bench, &raw, 10, "bad-request", 64);
	expect_error(bench, &raw, 11, "bad-request", 64);
	expect_error(bench, &raw, 12, "bad-lot", 78);
	raw_close(&raw);
}

static void
test_malformed_ends(void **state)
{
	static const struct {
		const char *line;
		json_int_t id;
	} bad[] = {
	    {"hello\n", 0},
	    {"[]\n", 0},
	    {"{\"v\":1,\"command\":\"echo\"}\n", 0},
	    {"{\"v\":1,\"id\":0,\"command\":\"echo\"}\n", 0},
	    {"{\"v\":2,\"id\":5,\"command\":\"echo\"}\n", 5},
	    {"{\"v\":1,\"id\":5}\n", 5},
	    {"{\"v\":1,\"id\":5,\"id\":6,\"command\":\"echo\"}\n", 0},
	    {"{\"v\":1,\"id\":5,\"command\":\"a\\u0000b\"}\n", 0},
	    {"{\"v\":1,\"id\":5,\"x\":[[[[[[[[[[]]]]]]]]]]}\n", 0},
	};
	struct bench *bench = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct raw raw;

		raw_open(bench, &raw);
		raw_send(&raw, bad[i].line);
		expect_error(bench, &raw, bad[i].id, "bad-request", 64);
		expect_event(bench, &raw, "error");
		assert_true(pump(bench, raw.fd, is_closed, &raw));
		raw_close(&raw);
	}
}

static void
test_longest_request(void **state)
{
	struct bench *bench = *state;
	char line[CONTROL_REQUEST_MAX + 2];
	struct raw raw;
	int len;

	/* As long as may be: answered. */
	len = snprintf(line, sizeof(line),
	    "{\"v\":1,\"id\":3,\"command\":\"fd\",\"x\":\"");
	memset(line + len, 'x', sizeof(line) - (size_t)len);
	strcpy(line + CONTROL_REQUEST_MAX - 3, "\"}\n");
	raw_open(bench, &raw);
	raw_send(&raw, line);
	expect_ok(bench, &raw, 3);
	raw_close(&raw);

	/* One byte more without an end: the connection ends. */
	raw_open(bench, &raw);
	memset(line, ' ', CONTROL_REQUEST_MAX);
	line[CONTROL_REQUEST_MAX] = '\0';
	raw_send(&raw, line);
	expect_event(bench, &raw, "error");
	assert_true(pump(bench, raw.fd, is_closed, &raw));
	raw_close(&raw);
}

static bool
has_kept(void *arg)
{
	return ((struct bench *)arg)->kept != NULL;
}

static bool
has_gone(void *arg)
{
	return ((struct bench *)arg)->gone > 0;
}

static void
test_deferred(void **state)
{
	struct bench *bench = *state;
	struct raw raw;

	raw_open(bench, &raw);
	raw_send(&raw, "{\"v\":1,\"id\":1,\"command\":\"later\"}\n"
		       "{\"v\":1,\"id\":2,\"command\":\"fd\"}\n");
	assert_true(pump(bench, -1, has_kept, bench));
	/* The second is answered before the first. */
	expect_ok(bench, &raw, 2);
	control_reply(bench->kept, NULL);
	bench->kept = NULL;
	expect_ok(bench, &raw, 1);
	assert_int_equal(bench->gone, 0);

	raw_send(&raw, "{\"v\":1,\"id\":3,\"command\":\"later\"}\n");
	assert_true(pump(bench, -1, has_kept, bench));
	raw_close(&raw);
	assert_true(pump(bench, -1, has_gone, bench));
	assert_int_equal(bench->gone, 1);
	/* Still wants its reply, which goes nowhere. */
	assert_string_equal(
	    control_request_text(bench->kept, "command"), "later");
	control_reply(bench->kept, json_pack("{s:i}", "x", 1));
	bench->kept = NULL;
}

static void
test_half_closed_client_gets_its_reply(void **state)
{
	struct bench *bench = *state;
	struct raw raw;

	raw_open(bench, &raw);
	raw_send(&raw, "{\"v\":1,\"id\":1,\"command\":\"later\"}\n");
	assert_int_equal(shutdown(raw.fd, SHUT_WR), 0);
	assert_true(pump(bench, -1, has_kept, bench));
	control_reply(bench->kept, NULL);
	bench->kept = NULL;
	expect_ok(bench, &raw, 1);
	assert_true(pump(bench, raw.fd, is_closed, &raw));
	raw_close(&raw);
}

static void
test_descriptor(void **state)
{
	static char line[] = "{\"v\":1,\"id\":1,\"command\":\"fd\"}\n";
	struct bench *bench = *state;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {
	    0};
	struct iovec part = {line, sizeof(line) - 1};
	struct msghdr message = {
	    .msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int pipes[2];
	struct raw raw;
	char byte;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	raw_open(bench, &raw);
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(2 * sizeof(int));
	/* Two come; one is kept, the other closed. */
	memcpy(CMSG_DATA(header), (int[]){pipes[1], pipes[1]}, 2 * sizeof(int));
	assert_int_equal(sendmsg(raw.fd, &message, 0), sizeof(line) - 1);
	close(pipes[1]);
	expect_ok(bench, &raw, 1);
	assert_int_not_equal(bench->fd, -1);
	assert_int_equal(fcntl(bench->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(bench->fd, "x", 1), 1);
	close(bench->fd);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	/* End of file: nobody else holds the other end. */
	assert_int_equal(read(pipes[0], &byte, 1), 0);
	close(pipes[0]);
	/* A request without one has none. */
	raw_send(&raw, "{\"v\":1,\"id\":2,\"command\":\"fd\"}\n");
	expect_ok(bench, &raw, 2);
	assert_int_equal(bench->fd, -1);
	raw_close(&raw);
}

/* ---- events ---- */

static void
test_subscribe(void **state)
{
	struct bench *bench = *state;
	struct raw all;
	struct raw one;

	raw_open(bench, &all);
	raw_open(bench, &one);
	raw_send(&all, "{\"v\":1,\"id\":1,\"command\":\"subscribe\","
		       "\"snapshots\":true,\"verdicts\":true}\n");
	expect_ok(bench, &all, 1);
	expect_snapshot(bench, &all, "first");
	raw_send(&one, "{\"v\":1,\"id\":1,\"command\":\"subscribe\","
		       "\"verdicts\":true,\"lot\":\"b\"}\n");
	expect_ok(bench, &one, 1);

	strcpy(bench->text, "second");
	control_server_verdict(bench->server, "a", json_pack("{s:i}", "n", 1));
	control_server_verdict(bench->server, "b", json_pack("{s:i}", "n", 2));
	control_server_event(bench->server, "log", NULL, json_object());
	expect_event(bench, &all, "verdict");
	expect_event(bench, &all, "verdict");
	expect_event(bench, &all, "log");
	/* After the verdicts that it counts. */
	expect_snapshot(bench, &all, "second");
	expect_event(bench, &one, "verdict");
	control_server_event(bench->server, "lot", "b", json_object());
	expect_event(bench, &one, "lot");
	raw_close(&all);
	raw_close(&one);
}

static void
test_status(void **state)
{
	struct bench *bench = *state;
	struct raw raw;

	raw_open(bench, &raw);
	raw_send(&raw, "{\"v\":1,\"id\":4,\"command\":\"status\"}\n");
	expect_snapshot(bench, &raw, "first");
	raw_close(&raw);
}

/* Changes while nobody looks, or faster than the pace, cost nothing. */
static void
test_snapshots_are_paced(void **state)
{
	struct bench *bench = *state;
	struct raw raw;
	int64_t from_ms;

	control_server_touch(bench->server);
	control_server_touch(bench->server);
	raw_open(bench, &raw);
	raw_send(&raw, "{\"v\":1,\"id\":1,\"command\":\"subscribe\","
		       "\"snapshots\":true}\n");
	expect_ok(bench, &raw, 1);
	expect_snapshot(bench, &raw, "first");
	from_ms = clock_monotonic_ms();
	bench->snapshots = 0;
	for (int i = 0; i < 1000; i++)
		control_server_touch(bench->server);
	strcpy(bench->text, "second");
	expect_snapshot(bench, &raw, "second");
	assert_int_equal(bench->snapshots, 1);
	assert_true(clock_monotonic_ms() - from_ms >= CONTROL_SNAPSHOT_MS / 2);
	raw_close(&raw);
}

/* A client that does not read: of snapshots only the newest waits. */
static void
test_snapshots_coalesce(void **state)
{
	struct bench *bench = *state;
	struct raw raw;
	unsigned received = 0;
	bool newest = false;

	raw_open(bench, &raw);
	raw_send(&raw, "{\"v\":1,\"id\":1,\"command\":\"subscribe\","
		       "\"snapshots\":true,\"verdicts\":true}\n");
	expect_ok(bench, &raw, 1);
	expect_snapshot(bench, &raw, "first");
	/* Fill the socket, so that what follows waits in the queue. */
	for (int i = 0; i < 3000; i++) {
		char text[900];

		memset(text, 'x', sizeof(text) - 1);
		text[sizeof(text) - 1] = '\0';
		snprintf(bench->text, sizeof(bench->text), "%d", i);
		control_server_verdict(bench->server, "a",
		    json_pack("{s:i,s:s}", "n", i, "x", text));
	}
	for (int verdicts = 0; verdicts < 3000 || !newest;) {
		json_t *line = raw_line(bench, &raw);
		json_t *snapshot = json_object_get(line, "snapshot");

		if (snapshot != NULL) {
			received++;
			newest = strcmp(json_string_value(
					    json_object_get(snapshot, "text")),
				     "2999") == 0;
		} else {
			/* None is lost and their order stays. */
			assert_int_equal(
			    json_integer_value(json_object_get(line, "n")),
			    verdicts);
			verdicts++;
		}
		json_decref(line);
	}
	assert_true(received < 50);
	raw_close(&raw);
}

static bool
ends_in_error(struct raw *raw)
{
	const char *last;

	if (raw->in.len < 2)
		return false;
	last = memrchr(raw->in.data, '\n', raw->in.len - 1);
	return last != NULL && strstr(last, "\"event\":\"error\"") != NULL;
}

static bool
reads_to_the_end(void *arg)
{
	struct raw *raw = arg;
	char bytes[65536];
	ssize_t got;

	while ((got = recv(raw->fd, bytes, sizeof(bytes), 0)) > 0)
		buf_add(&raw->in, bytes, (size_t)got);
	return got == 0;
}

static void
test_slow_client_is_disconnected(void **state)
{
	struct bench *bench = *state;
	struct raw slow;
	struct raw other;
	char text[60000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	raw_open(bench, &slow);
	raw_open(bench, &other);
	raw_send(&slow, "{\"v\":1,\"id\":1,\"command\":\"subscribe\","
			"\"verdicts\":true}\n");
	expect_ok(bench, &slow, 1);
	for (int i = 0; i < 200; i++) {
		control_server_verdict(
		    bench->server, "a", json_pack("{s:s}", "x", text));
		/* The loop goes on meanwhile, for the others too. */
		raw_send(&other, "{\"v\":1,\"id\":2,\"command\":\"fd\"}\n");
		expect_ok(bench, &other, 2);
	}
	assert_true(pump(bench, slow.fd, reads_to_the_end, &slow));
	assert_true(ends_in_error(&slow));
	assert_true(slow.in.len < 200 * sizeof(text) / 2 + CONTROL_QUEUE_MAX);
	raw_close(&slow);
	raw_close(&other);
}

static void
test_many_clients(void **state)
{
	struct bench *bench = *state;
	struct raw raws[CONTROL_CLIENTS_MAX + 1];

	for (size_t i = 0; i <= CONTROL_CLIENTS_MAX; i++) {
		raw_open(bench, &raws[i]);
		raw_send(&raws[i], "{\"v\":1,\"id\":1,\"command\":\"fd\"}\n");
	}
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		expect_ok(bench, &raws[i], 1);
	assert_false(line_is_there(&raws[CONTROL_CLIENTS_MAX]));
	/* One leaves: the one that waits comes in. */
	raw_close(&raws[0]);
	expect_ok(bench, &raws[CONTROL_CLIENTS_MAX], 1);
	for (size_t i = 1; i <= CONTROL_CLIENTS_MAX; i++)
		raw_close(&raws[i]);
}

/* ---- the socket ---- */

static void
test_listen(void **state)
{
	struct bench *bench = *state;
	struct fault fault = {.cause = CAUSE_NONE};
	char path[128];
	char longer[200];
	struct stat status;
	int fd;

	assert_int_equal(stat(bench->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	/* A live one is refused. */
	assert_int_equal(control_listen(bench->path, 0600, "", &fault), -1);
	assert_non_null(strstr(fault.text, "in use"));
	/* A dead one is replaced. */
	snprintf(path, sizeof(path), "%s/other", bench->folder);
	fd = control_listen(path, 0600, "", &fault);
	assert_int_not_equal(fd, -1);
	close(fd);
	fd = control_listen(path, 0660, "", &fault);
	assert_int_not_equal(fd, -1);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
	close(fd);
	unlink(path);
	/* Another kind of file stays. */
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(control_listen(path, 0600, "", &fault), -1);
	assert_non_null(strstr(fault.text, "not a socket"));
	assert_int_equal(unlink(path), 0);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(control_listen(longer, 0600, "", &fault), -1);
	assert_int_equal(
	    control_listen(path, 0600, "no-such-group", &fault), -1);
	assert_non_null(strstr(fault.text, "no-such-group"));
}

static void
test_access_of_own_user(void **state)
{
	int fds[2];
	uid_t uid = (uid_t)-1;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(
	    control_peer_access(fds[0], (gid_t)-1, &uid), CONTROL_ACCESS_WRITE);
	assert_int_equal(uid, geteuid());
	close(fds[0]);
	close(fds[1]);
}

/* A child that is nobody, with that supplementary group; connects. */
static void
nobody_connect(const struct bench *bench, gid_t group)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char byte;

	strcpy(address.sun_path, bench->path);
	if (setgroups(1, &group) == -1 || setgid(65534) == -1 ||
	    setuid(65534) == -1 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) ==
		-1)
		_exit(1);
	/* Until the test has looked. */
	_exit(read(fd, &byte, 1) == 0 ? 0 : 1);
}

static void
test_access_of_others(void **state)
{
	struct bench *bench = *state;
	struct fault fault = {.cause = CAUSE_NONE};
	const gid_t group = 54321;
	int status = -1;
	uid_t uid = 0;
	int listener;
	pid_t child;
	int fd;

	if (geteuid() != 0)
		skip(); /* only root can be somebody else */
	control_server_free(bench->server);
	bench->server = NULL;
	assert_int_equal(chmod(bench->folder, 0711), 0);
	listener = control_listen(bench->path, 0666, "", &fault);
	assert_int_not_equal(listener, -1);
	assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
	child = fork();
	if (child == 0)
		nobody_connect(bench, group);
	fd = accept(listener, NULL, NULL);
	assert_int_not_equal(fd, -1);
	assert_int_equal(
	    control_peer_access(fd, (gid_t)-1, &uid), CONTROL_ACCESS_READ);
	assert_int_equal(uid, 65534);
	assert_int_equal(
	    control_peer_access(fd, 54320, &uid), CONTROL_ACCESS_READ);
	/* Its first group, and a supplementary one. */
	assert_int_equal(
	    control_peer_access(fd, 65534, &uid), CONTROL_ACCESS_WRITE);
	assert_int_equal(
	    control_peer_access(fd, group, &uid), CONTROL_ACCESS_WRITE);
	close(fd);
	close(listener);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
test_exit_statuses(void **state)
{
	(void)state;
	assert_int_equal(control_exit_status(CAUSE_NONE), 0);
	assert_int_equal(control_exit_status(CAUSE_BAD_REQUEST), 64);
	assert_int_equal(control_exit_status(CAUSE_BAD_LOT), 78);
	assert_int_equal(control_exit_status(CAUSE_ROLE_DOWN), 75);
	assert_int_equal(control_exit_status(CAUSE_LEDGER_ERROR), 74);
	for (int i = 1; i < CAUSE_COUNT; i++) {
		int status = control_exit_status((enum fault_cause)i);

		assert_true(status >= 64 && status <= 78);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_replies_by_id),
	    TEST(test_malformed_ends),
	    TEST(test_longest_request),
	    TEST(test_deferred),
	    TEST(test_half_closed_client_gets_its_reply),
	    TEST(test_descriptor),
	    TEST(test_subscribe),
	    TEST(test_status),
	    TEST(test_snapshots_are_paced),
	    TEST(test_snapshots_coalesce),
	    TEST(test_slow_client_is_disconnected),
	    TEST(test_many_clients),
	    TEST(test_listen),
	    cmocka_unit_test(test_access_of_own_user),
	    TEST(test_access_of_others),
	    cmocka_unit_test(test_exit_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
