#include "control/client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

/* An event that came while a reply was awaited. */
struct kept {
	struct kept *next;
	struct control_message message;
};

struct control_client {
	int fd;
	int wake_fd; /* borrowed; -1 none */
	json_int_t last_id;
	struct buf in;
	size_t taken; /* bytes of in that are used up */
	struct kept *first;
	struct kept **last;
};

/* ---- failures ---- */

static int failure_set(struct control_failure *failure, int exit_status,
    const char *action, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int
failure_set(struct control_failure *failure, int exit_status,
    const char *action, const char *format, ...)
{
	va_list args;

	memset(failure, 0, sizeof(*failure));
	failure->exit_status = exit_status;
	text_copy(failure->action, sizeof(failure->action), action);
	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	return -1;
}

static int
failure_lost(struct control_failure *failure, const char *what)
{
	failure_set(failure, EX_UNAVAILABLE,
	    "see 'systemctl status stationd', then try again", "%s", what);
	failure->lost = true;
	return -1;
}

static int
failure_memory(struct control_failure *failure)
{
	return failure_set(
	    failure, EX_OSERR, "free some, then try again", "out of memory");
}

void
control_failure_read(struct control_failure *failure, const json_t *reply)
{
	const json_t *error = json_object_get(reply, "error");
	const char *text = json_string_value(json_object_get(error, "text"));
	const char *cause = json_string_value(json_object_get(error, "cause"));
	const char *action =
	    json_string_value(json_object_get(error, "action"));
	json_int_t status = json_integer_value(json_object_get(error, "exit"));

	if (status < 1 || status > 125)
		status = EX_SOFTWARE;
	failure_set(failure, (int)status, action == NULL ? "" : action, "%s",
	    text == NULL ? "the daemon refused without a reason" : text);
	text_copy(
	    failure->cause, sizeof(failure->cause), cause == NULL ? "" : cause);
}

/* ---- messages ---- */

void
control_message_free(struct control_message *message)
{
	json_decref(message->json);
	free(message->line);
	message->json = NULL;
	message->line = NULL;
}

bool
control_message_is(const struct control_message *message, const char *event)
{
	const char *name =
	    json_string_value(json_object_get(message->json, "event"));

	return name != NULL && strcmp(name, event) == 0;
}

/* ---- the connection ---- */

const char *
control_socket_path(const char *flag)
{
	const char *path = flag != NULL ? flag : getenv("STATION_SOCKET");

	return path != NULL && path[0] != '\0' ? path : CONTROL_SOCKET_DEFAULT;
}

static int
failure_connect(struct control_failure *failure, const char *path, int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		failure_set(failure, EX_UNAVAILABLE,
		    "start it with 'systemctl start stationd', or name its "
		    "socket with --socket",
		    "no station daemon answers at %s", path);
		failure->lost = true;
		return -1;
	case EAGAIN:
		failure_set(failure, EX_TEMPFAIL,
		    "close a dashboard that nobody needs, then try again",
		    "the station daemon has too many clients");
		failure->lost = true;
		return -1;
	case EACCES:
	case EPERM:
		return failure_set(failure, EX_NOPERM,
		    "use an account in the station's operator group",
		    "this user may not connect to %s", path);
	default:
		return failure_set(failure, EX_UNAVAILABLE,
		    "check the path of the socket", "%s: %s", path,
		    strerror(error));
	}
}

struct control_client *
control_connect(const char *path, struct control_failure *failure)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct control_client *client = NULL;

	if (text_copy(address.sun_path, sizeof(address.sun_path), path) == -1) {
		failure_set(failure, EX_USAGE, "use a shorter path",
		    "the socket's path %s is too long", path);
		return NULL;
	}
	client = calloc(1, sizeof(*client));
	if (client == NULL) {
		failure_memory(failure);
		return NULL;
	}
	client->wake_fd = -1;
	client->last = &client->first;
	/* A line that is used up may still be there when the next comes. */
	buf_init(&client->in, (size_t)2 * CONTROL_LINE_MAX);
	client->fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A Unix socket connects at once or not at all. */
	if (client->fd == -1 ||
	    connect(client->fd, (const struct sockaddr *)&address,
		sizeof(address)) == -1) {
		failure_connect(failure, path, errno);
		control_client_free(client);
		return NULL;
	}
	return client;
}

void
control_client_free(struct control_client *client)
{
	if (client == NULL)
		return;
	while (client->first != NULL) {
		struct kept *kept = client->first;

		client->first = kept->next;
		control_message_free(&kept->message);
		free(kept);
	}
	if (client->fd != -1)
		close(client->fd);
	buf_free(&client->in);
	free(client);
}

int
control_client_fd(const struct control_client *client)
{
	return client->fd;
}

void
control_client_wake(struct control_client *client, int fd)
{
	client->wake_fd = fd;
}

/*
 * Waits until the socket has one of the events: 1, 0 for the deadline or,
 * when it may wake, the wake descriptor.
 */
static int
client_wait(struct control_client *client, short events, int64_t deadline_ms,
    bool may_wake)
{
	struct pollfd fds[2] = {
	    {.fd = client->fd, .events = events},
	    {.fd = may_wake ? client->wake_fd : -1, .events = POLLIN},
	};

	for (;;) {
		int left =
		    deadline_ms == 0 ? 0 : clock_remaining_ms(deadline_ms);
		int count = poll(fds, 2, left);

		if (count > 0)
			return fds[0].revents != 0 ? 1 : 0;
		if (count == 0 && left == 0)
			return 0;
		if (count == -1 && errno != EINTR && errno != EAGAIN)
			return 0;
	}
}

/* ---- sending ---- */

static ssize_t
bytes_send(int socket, const char *bytes, size_t len, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {.iov_len = len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	/* sendmsg(2) reads only; its type cannot say so. */
	memcpy(&part.iov_base, &bytes, sizeof(bytes));
	if (fd != -1) {
		struct cmsghdr *header;

		memset(control, 0, sizeof(control));
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL);
}

static int
line_send(struct control_client *client, const char *line, size_t len, int fd,
    int64_t deadline_ms, struct control_failure *failure)
{
	while (len > 0) {
		ssize_t put = bytes_send(client->fd, line, len, fd);

		if (put > 0) {
			line += put;
			len -= (size_t)put;
			fd = -1; /* it went with the first byte */
			continue;
		}
		if (put == -1 && errno == EINTR)
			continue;
		if (put == -1 && errno != EAGAIN)
			return failure_lost(failure,
			    "the station daemon closed the connection");
		if (client_wait(client, POLLOUT, deadline_ms, false) == 0)
			return failure_lost(failure,
			    "the station daemon does not take the request");
	}
	return 0;
}

json_int_t
control_send(struct control_client *client, const char *command,
    json_t *members, int fd, int64_t deadline_ms,
    struct control_failure *failure)
{
	json_int_t id = ++client->last_id;
	json_t *request = json_pack("{s:i,s:I,s:s}", "v", CONTROL_VERSION, "id",
	    id, "command", command);
	char *text = NULL;
	char *line = NULL;
	size_t len;
	json_int_t rc = -1;

	if (request == NULL ||
	    (members != NULL && json_object_update(request, members) == -1)) {
		failure_memory(failure);
		goto out;
	}
	text = json_dumps(request, JSON_COMPACT);
	if (text == NULL) {
		failure_memory(failure);
		goto out;
	}
	len = strlen(text) + 1;
	if (len > CONTROL_REQUEST_MAX) {
		failure_set(failure, EX_USAGE, "shorten its arguments",
		    "the request is longer than %d bytes", CONTROL_REQUEST_MAX);
		goto out;
	}
	line = malloc(len);
	if (line == NULL) {
		failure_memory(failure);
		goto out;
	}
	memcpy(line, text, len - 1);
	line[len - 1] = '\n';
	if (line_send(client, line, len, fd, deadline_ms, failure) == 0)
		rc = id;
out:
	free(line);
	free(text);
	json_decref(request);
	json_decref(members);
	return rc;
}

/* ---- receiving ---- */

static int
message_check_version(const json_t *json, struct control_failure *failure)
{
	const json_t *version = json_object_get(json, "v");

	if (json_is_integer(version) &&
	    json_integer_value(version) == CONTROL_VERSION)
		return 0;
	return failure_set(failure, EX_PROTOCOL,
	    "install the station command of the daemon's version",
	    "the daemon speaks version %lld of the protocol, not %d",
	    (long long)json_integer_value(version), CONTROL_VERSION);
}

/* Cuts one whole line from what was received: 1, 0 none yet, -1 bad. */
static int
line_cut(struct control_client *client, struct control_message *message,
    struct control_failure *failure)
{
	char *start;
	char *end = NULL;
	size_t left = client->in.len - client->taken;
	size_t len;

	if (left == 0)
		return 0;
	start = client->in.data + client->taken;
	end = memchr(start, '\n', left);
	if (end == NULL) {
		if (left >= CONTROL_LINE_MAX)
			return failure_set(failure, EX_PROTOCOL,
			    "restart stationd",
			    "the daemon sent a line of more than %d bytes",
			    CONTROL_LINE_MAX);
		return 0;
	}
	len = (size_t)(end - start);
	message->json = json_loadb(start, len, JSON_REJECT_DUPLICATES, NULL);
	message->line = strndup(start, len);
	client->taken += len + 1;
	if (message->line == NULL || !json_is_object(message->json)) {
		failure_set(failure, EX_PROTOCOL,
		    "check what listens at the socket",
		    "the daemon sent a line that is no JSON object");
		goto bad;
	}
	if (message_check_version(message->json, failure) == -1)
		goto bad;
	return 1;
bad:
	control_message_free(message);
	return -1;
}

static int
bytes_receive(struct control_client *client, struct control_failure *failure)
{
	char bytes[16384];
	ssize_t got = recv(client->fd, bytes, sizeof(bytes), 0);

	if (got > 0) {
		buf_drop(&client->in, client->taken);
		client->taken = 0;
		buf_add(&client->in, bytes, (size_t)got);
		return client->in.failed ? failure_memory(failure) : 0;
	}
	if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return failure_lost(
	    failure, "the station daemon closed the connection");
}

static int
message_receive(struct control_client *client, int64_t deadline_ms,
    bool may_wake, struct control_message *message,
    struct control_failure *failure)
{
	for (;;) {
		int rc = line_cut(client, message, failure);

		if (rc != 0)
			return rc;
		if (client_wait(client, POLLIN, deadline_ms, may_wake) == 0)
			return 0;
		if (bytes_receive(client, failure) == -1)
			return -1;
	}
}

int
control_next(struct control_client *client, int64_t deadline_ms,
    struct control_message *message, struct control_failure *failure)
{
	struct kept *kept = client->first;

	if (kept == NULL)
		return message_receive(
		    client, deadline_ms, true, message, failure);
	client->first = kept->next;
	if (client->first == NULL)
		client->last = &client->first;
	*message = kept->message;
	free(kept);
	return 1;
}

void
control_forget_snapshots(struct control_client *client)
{
	struct kept **at = &client->first;

	while (*at != NULL) {
		struct kept *kept = *at;

		if (control_message_is(&kept->message, "snapshot")) {
			*at = kept->next;
			control_message_free(&kept->message);
			free(kept);
		} else {
			at = &kept->next;
		}
	}
	client->last = at;
}

/*
 * Takes the message, to the end of the queue: a snapshot must not overtake
 * a verdict that it already counts.
 */
static int
message_keep(struct control_client *client, struct control_message *message,
    struct control_failure *failure)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (kept == NULL) {
		control_message_free(message);
		return failure_memory(failure);
	}
	if (control_message_is(message, "snapshot"))
		control_forget_snapshots(client);
	kept->message = *message;
	*client->last = kept;
	client->last = &kept->next;
	return 0;
}

json_t *
control_call(struct control_client *client, const char *command,
    json_t *members, int fd, int64_t deadline_ms,
    struct control_failure *failure)
{
	json_int_t id =
	    control_send(client, command, members, fd, deadline_ms, failure);

	if (id == -1)
		return NULL;
	for (;;) {
		struct control_message message = {NULL, NULL};
		json_t *reply;
		int rc = message_receive(
		    client, deadline_ms, false, &message, failure);

		if (rc == -1)
			return NULL;
		if (rc == 0) {
			failure_set(failure, EX_TEMPFAIL,
			    "look at 'station status', then try again",
			    "the station daemon did not answer %s in time",
			    command);
			return NULL;
		}
		if (json_object_get(message.json, "event") != NULL) {
			if (message_keep(client, &message, failure) == -1)
				return NULL;
			continue;
		}
		reply = json_incref(message.json);
		control_message_free(&message);
		if (json_integer_value(json_object_get(reply, "id")) == id &&
		    json_is_true(json_object_get(reply, "ok")))
			return reply;
		if (json_integer_value(json_object_get(reply, "id")) == id ||
		    json_integer_value(json_object_get(reply, "id")) == 0) {
			control_failure_read(failure, reply);
			json_decref(reply);
			return NULL;
		}
		json_decref(reply); /* of a call that was given up */
	}
}
