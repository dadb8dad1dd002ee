/*
 * The client's half of the control protocol. The other end of the socket is
 * a child process that answers with lines that the test wrote, so that also
 * what no good daemon says can be said.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/client.h"

enum {
	WAIT_MS = 10000
};

struct bench {
	char folder[64];
	char path[96];
	pid_t child;
};

static struct control_failure failure;

static int
setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	strcpy(bench->folder, "/tmp/client-test.XXXXXX");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->path, sizeof(bench->path), "%s/socket", bench->folder);
	memset(&failure, 0, sizeof(failure));
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *bench = *state;

	if (bench->child > 0) {
		kill(bench->child, SIGKILL);
		waitpid(bench->child, NULL, 0);
	}
	unlink(bench->path);
	assert_int_equal(rmdir(bench->folder), 0);
	free(bench);
	return 0;
}

/*
 * Accepts one client; for each line that it sends, sends the next answer;
 * null ends the connection. Null-terminated.
 */
static void
child_serve(int listener, const char *const *answers)
{
	char bytes[CONTROL_REQUEST_MAX];
	int fd = accept(listener, NULL, NULL);

	for (; *answers != NULL; answers++) {
		if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
			_exit(1);
		if (send(fd, *answers, strlen(*answers), MSG_NOSIGNAL) == -1)
			_exit(1);
	}
	close(fd);
	_exit(0);
}

static void
serve(struct bench *bench, const char *const *answers)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, bench->path);
	assert_int_equal(
	    bind(listener, (const struct sockaddr *)&address, sizeof(address)),
	    0);
	assert_int_equal(listen(listener, 1), 0);
	bench->child = fork();
	assert_int_not_equal(bench->child, -1);
	if (bench->child == 0)
		child_serve(listener, answers);
	close(listener);
}

static json_t *
call(struct control_client *client)
{
	return control_call(
	    client, "test", NULL, -1, clock_deadline(WAIT_MS), &failure);
}

/* ---- connecting ---- */

static void
test_no_daemon(void **state)
{
	struct bench *bench = *state;

	assert_null(control_connect(bench->path, &failure));
	assert_int_equal(failure.exit_status, EX_UNAVAILABLE);
	assert_true(failure.lost);
	assert_non_null(strstr(failure.text, bench->path));
	assert_non_null(strstr(failure.action, "systemctl start"));
}

static void
test_path_too_long(void **state)
{
	char path[200];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_null(control_connect(path, &failure));
	assert_int_equal(failure.exit_status, EX_USAGE);
	assert_false(failure.lost);
}

static void
test_socket_path(void **state)
{
	(void)state;
	unsetenv("STATION_SOCKET");
	assert_string_equal(control_socket_path(NULL), CONTROL_SOCKET_DEFAULT);
	setenv("STATION_SOCKET", "/somewhere", 1);
	assert_string_equal(control_socket_path(NULL), "/somewhere");
	assert_string_equal(control_socket_path("/flag"), "/flag");
	unsetenv("STATION_SOCKET");
}

/* ---- calls ---- */

static void
test_call_and_events(void **state)
{
	static const char *const answers[] = {
	    "{\"v\":1,\"event\":\"snapshot\",\"n\":1}\n"
	    "{\"v\":1,\"event\":\"verdict\", \"n\":2}\n"
	    "{\"v\":1,\"event\":\"snapshot\",\"n\":3}\n"
	    "{\"v\":1,\"id\":1,\"ok\":true,\"x\":5}\n",
	    "{\"v\":1,\"id\":2,\"ok\":false,\"error\":{\"cause\":\"bad-lot\","
	    "\"text\":\"a\\nb\",\"action\":\"Do.\",\"exit\":78}}\n",
	    NULL,
	};
	struct bench *bench = *state;
	struct control_message message = {NULL, NULL};
	struct control_client *client;
	json_t *reply;

	serve(bench, answers);
	client = control_connect(bench->path, &failure);
	assert_non_null(client);
	reply = call(client);
	assert_non_null(reply);
	assert_int_equal(json_integer_value(json_object_get(reply, "x")), 5);
	json_decref(reply);

	/* Events come in order; the older snapshot has gone. */
	assert_int_equal(control_next(client, 0, &message, &failure), 1);
	assert_true(control_message_is(&message, "verdict"));
	/* Exactly as it came. */
	assert_string_equal(
	    message.line, "{\"v\":1,\"event\":\"verdict\", \"n\":2}");
	control_message_free(&message);
	assert_int_equal(control_next(client, 0, &message, &failure), 1);
	assert_int_equal(
	    json_integer_value(json_object_get(message.json, "n")), 3);
	control_message_free(&message);
	assert_int_equal(control_next(client, 0, &message, &failure), 0);

	assert_null(call(client));
	assert_int_equal(failure.exit_status, 78);
	assert_string_equal(failure.cause, "bad-lot");
	assert_string_equal(failure.text, "a\nb");
	assert_string_equal(failure.action, "Do.");
	assert_false(failure.lost);

	assert_int_equal(
	    control_next(client, clock_deadline(WAIT_MS), &message, &failure),
	    -1);
	assert_true(failure.lost);
	control_client_free(client);
}

static void
test_forget_snapshots(void **state)
{
	static const char *const answers[] = {
	    "{\"v\":1,\"event\":\"snapshot\"}\n"
	    "{\"v\":1,\"event\":\"verdict\"}\n"
	    "{\"v\":1,\"id\":1,\"ok\":true}\n",
	    "",
	    NULL,
	};
	struct bench *bench = *state;
	struct control_message message = {NULL, NULL};
	struct control_client *client;

	serve(bench, answers);
	client = control_connect(bench->path, &failure);
	json_decref(call(client));
	control_forget_snapshots(client);
	assert_int_equal(control_next(client, 0, &message, &failure), 1);
	assert_true(control_message_is(&message, "verdict"));
	control_message_free(&message);
	assert_int_equal(control_next(client, 0, &message, &failure), 0);
	control_client_free(client);
}

/* What no good daemon says ends the call with a failure, and no crash. */
static void
test_bad_daemons(void **state)
{
	static const struct {
		const char *answer;
		int exit_status;
		bool lost;
	} bad[] = {
	    {"hello\n", EX_PROTOCOL, false},
	    {"[]\n", EX_PROTOCOL, false},
	    {"{\"v\":2,\"id\":1,\"ok\":true}\n", EX_PROTOCOL, false},
	    {"{\"id\":1,\"ok\":true}\n", EX_PROTOCOL, false},
	    {"{\"v\":1,\"id\":1,\"ok\":false}\n", EX_SOFTWARE, false},
	    {"{\"v\":1,\"id\":1}\n", EX_SOFTWARE, false},
	    {"{\"v\":1,\"id\":1,\"ok\":false,\"error\":{\"exit\":0}}\n",
		EX_SOFTWARE, false},
	    {"{\"v\":1,\"id\":1,\"ok\":tr", EX_UNAVAILABLE, true},
	};
	struct bench *bench = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const answers[] = {bad[i].answer, NULL};
		struct control_client *client;

		serve(bench, answers);
		client = control_connect(bench->path, &failure);
		assert_non_null(client);
		assert_null(call(client));
		assert_int_equal(failure.exit_status, bad[i].exit_status);
		assert_int_equal(failure.lost, bad[i].lost);
		assert_true(failure.text[0] != '\0');
		control_client_free(client);
		waitpid(bench->child, NULL, 0);
		bench->child = 0;
		unlink(bench->path);
	}
}

static void
test_line_too_long(void **state)
{
	char *line = malloc(2 * CONTROL_LINE_MAX);
	const char *const answers[] = {line, NULL};
	struct bench *bench = *state;
	struct control_client *client;

	memset(line, ' ', 2 * CONTROL_LINE_MAX);
	line[2 * CONTROL_LINE_MAX - 1] = '\0';
	serve(bench, answers);
	client = control_connect(bench->path, &failure);
	assert_null(call(client));
	assert_int_equal(failure.exit_status, EX_PROTOCOL);
	control_client_free(client);
	free(line);
}

static void
test_deadline(void **state)
{
	static const char *const answers[] = {"", "", NULL};
	struct bench *bench = *state;
	struct control_client *client;

	serve(bench, answers);
	client = control_connect(bench->path, &failure);
	assert_null(control_call(
	    client, "test", NULL, -1, clock_deadline(50), &failure));
	assert_int_equal(failure.exit_status, EX_TEMPFAIL);
	control_client_free(client);
}

static void
test_request_too_long(void **state)
{
	static const char *const answers[] = {"", NULL};
	char text[CONTROL_REQUEST_MAX];
	struct bench *bench = *state;
	struct control_client *client;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	serve(bench, answers);
	client = control_connect(bench->path, &failure);
	assert_null(
	    control_call(client, "test", json_pack("{s:s}", "text", text), -1,
		clock_deadline(WAIT_MS), &failure));
	assert_int_equal(failure.exit_status, EX_USAGE);
	control_client_free(client);
}

static void
test_wake(void **state)
{
	static const char *const answers[] = {"", NULL};
	struct bench *bench = *state;
	struct control_message message = {NULL, NULL};
	struct control_client *client;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	serve(bench, answers);
	client = control_connect(bench->path, &failure);
	control_client_wake(client, fds[0]);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(control_next(client, clock_deadline(WAIT_MS * 6),
			     &message, &failure),
	    0);
	control_client_free(client);
	close(fds[0]);
	close(fds[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_no_daemon),
	    TEST(test_path_too_long),
	    TEST(test_socket_path),
	    TEST(test_call_and_events),
	    TEST(test_forget_snapshots),
	    TEST(test_bad_daemons),
	    TEST(test_line_too_long),
	    TEST(test_deadline),
	    TEST(test_request_too_long),
	    TEST(test_wake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
