#include "control/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/peer.h"
#include "control/pending.h"
#include "control/request.h"

enum {
	ACCEPT_PAUSE_MS = 500
};

struct control_server {
	struct loop *loop; /* borrowed */
	int listen_fd;
	struct loop_watch *watch;
	struct loop_timer *timer; /* the next snapshot */
	struct loop_timer *pause; /* accept again */
	struct control_server_setup setup;
	struct control_peer *peers;
	unsigned peer_count;
	char *snapshot; /* the newest line, shared by all queues; owned */
	size_t snapshot_len;
	int64_t snapshot_ms; /* when it was made */
	bool changed;	     /* since then */
};

/* ---- lines ---- */

char *
control_line(json_t *object, json_t *members, size_t *len)
{
	const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(15);
	char *line = NULL;
	size_t size;

	if (object == NULL ||
	    (members != NULL && json_object_update(object, members) == -1))
		goto out;
	size = json_dumpb(object, NULL, 0, flags);
	if (size == 0 || size >= CONTROL_LINE_MAX)
		goto out;
	line = malloc(size + 2);
	if (line == NULL)
		goto out;
	json_dumpb(object, line, size, flags);
	line[size] = '\n';
	line[size + 1] = '\0';
	*len = size + 1;
out:
	json_decref(object);
	json_decref(members);
	return line;
}

json_t *
control_text(const char *text)
{
	json_t *value = json_string(text);
	char escaped[2048];

	if (value != NULL)
		return value;
	text_escape(escaped, sizeof(escaped), text, strlen(text));
	return json_string(escaped);
}

/* ---- snapshots ---- */

static bool
snapshot_make(struct control_server *server)
{
	json_t *snapshot = server->setup.snapshot(server->setup.arg);
	char *line = NULL;
	size_t len = 0;

	server->snapshot_ms = clock_monotonic_ms();
	server->changed = false;
	if (snapshot != NULL)
		line = control_line(
		    json_pack("{s:i,s:s,s:o}", "v", CONTROL_VERSION, "event",
			"snapshot", "snapshot", snapshot),
		    NULL, &len);
	if (line == NULL) {
		log_error("the snapshot cannot be sent: out of memory, or "
			  "longer than %d bytes",
		    CONTROL_LINE_MAX);
		return false;
	}
	free(server->snapshot);
	server->snapshot = line;
	server->snapshot_len = len;
	return true;
}

static void
snapshot_due(void *arg)
{
	struct control_server *server = arg;
	bool wanted = false;

	for (struct control_peer *p = server->peers; p != NULL; p = p->next)
		wanted = wanted || p->wants_snapshots;
	/* Nobody looks: `changed` stays and the next subscriber gets it. */
	if (!wanted || !server->changed || !snapshot_make(server))
		return;
	for (struct control_peer *p = server->peers; p != NULL; p = p->next) {
		if (!p->wants_snapshots || p->closing)
			continue;
		p->snapshot_waits = true;
		control_peer_arm(p);
	}
}

void
control_server_touch(struct control_server *server)
{
	if (server->changed)
		return; /* the timer is set, or nobody looks */
	server->changed = true;
	loop_timer_set(
	    server->timer, server->snapshot_ms + CONTROL_SNAPSHOT_MS);
}

/* ---- events ---- */

static void
event_send(struct control_server *server, const char *event, const char *lot,
    json_t *members)
{
	char *line;
	size_t len = 0;

	line = control_line(
	    json_pack("{s:i,s:s}", "v", CONTROL_VERSION, "event", event),
	    members, &len);
	if (line == NULL) {
		log_error("a %s event cannot be sent: out of memory", event);
		return;
	}
	for (struct control_peer *p = server->peers; p != NULL; p = p->next) {
		if (!p->wants_verdicts)
			continue;
		if (p->lot[0] == '\0' ||
		    (lot != NULL && strcmp(p->lot, lot) == 0))
			control_peer_queue(p, line, len);
	}
	free(line);
}

void
control_server_event(struct control_server *server, const char *event,
    const char *lot, json_t *members)
{
	event_send(server, event, lot, members);
}

void
control_server_verdict(
    struct control_server *server, const char *lot, json_t *verdict)
{
	event_send(server, "verdict", lot, verdict);
	server->changed = true;
	loop_timer_set(server->timer, clock_monotonic_ms());
}

/* ---- the server's own commands ---- */

static void
status_handle(struct control_request *request, struct control_server *server)
{
	json_t *snapshot = server->setup.snapshot(server->setup.arg);

	if (snapshot == NULL)
		control_reply_error(request, "internal",
		    "the station is out of memory", "Call the engineer.", 70);
	else
		control_reply(
		    request, json_pack("{s:o}", "snapshot", snapshot));
}

/*
 * A fresh snapshot for a new subscriber alone: what was made last may be
 * old. The others still get theirs when it is due.
 */
static void
snapshot_first(struct control_peer *peer)
{
	struct control_server *server = peer->server;
	bool changed = server->changed;

	if (snapshot_make(server))
		peer->snapshot_waits = true;
	server->changed = changed;
	if (changed)
		loop_timer_set(
		    server->timer, clock_deadline(CONTROL_SNAPSHOT_MS));
	control_peer_arm(peer);
}

static void
subscribe_handle(struct control_request *request, struct control_peer *peer)
{
	const json_t *json = control_request_json(request);
	const char *lot = control_request_text(request, "lot");

	if (lot != NULL && strlen(lot) >= sizeof(peer->lot)) {
		control_reply_error(request, "bad-request",
		    "\"lot\" is too long to be a lot's name",
		    "Correct the command.", 64);
		return;
	}
	text_copy(peer->lot, sizeof(peer->lot), lot == NULL ? "" : lot);
	peer->wants_snapshots =
	    json_is_true(json_object_get(json, "snapshots"));
	peer->wants_verdicts = json_is_true(json_object_get(json, "verdicts"));
	control_reply(request, NULL);
	if (peer->wants_snapshots)
		snapshot_first(peer);
}

static const struct control_command *
command_find(const struct control_server *server, const char *name)
{
	for (const struct control_command *c = server->setup.commands;
	     c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static void
request_dispatch(struct control_peer *peer, struct control_request *request,
    const char *name)
{
	const struct control_command *command;

	if (strcmp(name, "status") == 0) {
		status_handle(request, peer->server);
		return;
	}
	if (strcmp(name, "subscribe") == 0) {
		subscribe_handle(request, peer);
		return;
	}
	command = command_find(peer->server, name);
	if (command == NULL)
		control_reply_error(request, "bad-request",
		    "the daemon does not know this command",
		    "Use a command of the daemon's version.", 64);
	else if (command->access > peer->access)
		control_reply_error(request, "not-permitted",
		    "this user may look, but not change anything",
		    "Use an account in the station's operator group.", 77);
	else
		command->handle(request, peer->server->setup.arg);
}

/* ---- peers ---- */

/* Frees a peer that is in no list any more. */
static void
peer_close(struct control_peer *peer)
{
	struct control_server *server = peer->server;

	control_pending_abandon(peer);
	if (peer->watch != NULL)
		loop_unwatch(server->loop, peer->watch);
	if (peer->timer != NULL)
		loop_timer_free(server->loop, peer->timer);
	if (peer->received_fd != -1)
		close(peer->received_fd);
	close(peer->fd);
	buf_free(&peer->in);
	buf_free(&peer->out);
	free(peer);
}

static void
peer_free(struct control_peer *peer)
{
	struct control_server *server = peer->server;
	struct control_peer **at = &server->peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	server->peer_count--;
	/* The next one in the backlog may come in now. */
	loop_watch_events(server->watch, POLLIN);
	peer_close(peer);
}

static void
line_take(struct control_peer *peer, const char *line, size_t len)
{
	struct control_head head;
	struct control_request *request;
	char error[256];

	if (control_head_parse(line, len, &head, error, sizeof(error)) == -1) {
		char *reply;
		size_t reply_len = 0;

		reply = control_error_line(head.id, "bad-request", error,
		    "Use the station command of the daemon's version.", 64,
		    &reply_len);
		if (reply == NULL) {
			peer->dead = true;
			return;
		}
		control_peer_queue(peer, reply, reply_len);
		free(reply);
		control_peer_farewell(peer, "a malformed request ends the "
					    "connection");
		return;
	}
	request = control_pending_new(peer, &head);
	if (request == NULL)
		peer->dead = true;
	else
		request_dispatch(peer, request, head.command);
}

/* Works the whole lines that are there, as far as replies keep up. */
static void
lines_take(struct control_peer *peer)
{
	while (!peer->closing && !peer->dead &&
	       peer->pending < CONTROL_PENDING_MAX && peer->in.len > 0) {
		char *end = memchr(peer->in.data, '\n', peer->in.len);
		size_t len;

		if (end == NULL) {
			if (peer->in.len == peer->in.max)
				control_peer_farewell(peer,
				    "the request is longer than 8192 bytes");
			break;
		}
		len = (size_t)(end - peer->in.data);
		line_take(peer, peer->in.data, len);
		buf_drop(&peer->in, len + 1);
	}
}

/* Frees a peer that is done with; else arms it. True when it is gone. */
static bool
peer_settle(struct control_peer *peer)
{
	bool sent = peer->sent == peer->out.len && !peer->snapshot_waits;
	bool subscribed = peer->wants_snapshots || peer->wants_verdicts;

	if (peer->dead || (peer->closing && sent) ||
	    (peer->ended && peer->pending == 0 && sent && !subscribed)) {
		peer_free(peer);
		return true;
	}
	control_peer_arm(peer);
	return false;
}

static void
peer_ready(void *arg, short revents)
{
	struct control_peer *peer = arg;
	struct control_server *server = peer->server;

	if ((revents & POLLIN) != 0) {
		control_peer_read(peer);
		lines_take(peer);
	} else if ((revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
		peer->dead = true;
	}
	if (!peer->dead && (revents & POLLOUT) != 0) {
		control_peer_write(peer);
		if (!peer->dead && peer->out.len == 0 && peer->snapshot_waits) {
			peer->snapshot_waits = false;
			control_peer_queue(
			    peer, server->snapshot, server->snapshot_len);
			control_peer_write(peer);
		}
	}
	peer_settle(peer);
}

/* Lines that waited for replies can go on, or the farewell was not taken. */
static void
peer_due(void *arg)
{
	struct control_peer *peer = arg;

	if (peer->closing)
		peer->dead = true;
	else
		lines_take(peer);
	peer_settle(peer);
}

void
control_peer_resume(struct control_peer *peer)
{
	if (!peer->closing)
		loop_timer_set(peer->timer, clock_monotonic_ms());
	control_peer_arm(peer);
}

static void
peer_new(struct control_server *server, int fd)
{
	struct control_peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL) {
		close(fd);
		return;
	}
	peer->server = server;
	peer->fd = fd;
	peer->received_fd = -1;
	buf_init(&peer->in, CONTROL_REQUEST_MAX);
	/* Room for what is sent already but not yet dropped, and a farewell. */
	buf_init(&peer->out, 2 * CONTROL_QUEUE_MAX + CONTROL_LINE_MAX);
	peer->access = control_peer_access(fd, server->setup.group, &peer->uid);
	peer->next = server->peers;
	server->peers = peer;
	server->peer_count++;
	peer->watch = loop_watch(server->loop, fd, POLLIN, peer_ready, peer);
	peer->timer = loop_timer(server->loop, peer_due, peer);
	if (peer->watch == NULL || peer->timer == NULL)
		peer_free(peer);
}

static void
server_ready(void *arg, short revents)
{
	struct control_server *server = arg;

	(void)revents;
	while (server->peer_count < CONTROL_CLIENTS_MAX) {
		int fd = accept4(server->listen_fd, NULL, NULL,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd == -1) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			if (errno == EAGAIN)
				return;
			/* No descriptors or memory: not in a tight loop. */
			log_warning("accept on the control socket: %s",
			    strerror(errno));
			loop_timer_set(
			    server->pause, clock_deadline(ACCEPT_PAUSE_MS));
			break;
		}
		peer_new(server, fd);
	}
	/* The others wait in the backlog until one leaves. */
	loop_watch_events(server->watch, 0);
}

static void
pause_over(void *arg)
{
	struct control_server *server = arg;

	loop_watch_events(server->watch, POLLIN);
}

struct control_server *
control_server_new(struct loop *loop, int listen_fd,
    const struct control_server_setup *setup, struct fault *fault)
{
	struct control_server *server = calloc(1, sizeof(*server));

	if (server == NULL) {
		close(listen_fd);
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		return NULL;
	}
	server->loop = loop;
	server->listen_fd = listen_fd;
	server->setup = *setup;
	server->snapshot_ms = clock_monotonic_ms() - CONTROL_SNAPSHOT_MS;
	server->watch =
	    loop_watch(loop, listen_fd, POLLIN, server_ready, server);
	server->timer = loop_timer(loop, snapshot_due, server);
	server->pause = loop_timer(loop, pause_over, server);
	if (server->watch == NULL || server->timer == NULL ||
	    server->pause == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		control_server_free(server);
		return NULL;
	}
	return server;
}

void
control_server_free(struct control_server *server)
{
	if (server == NULL)
		return;
	while (server->peers != NULL) {
		struct control_peer *peer = server->peers;

		server->peers = peer->next;
		peer_close(peer);
	}
	if (server->watch != NULL)
		loop_unwatch(server->loop, server->watch);
	if (server->timer != NULL)
		loop_timer_free(server->loop, server->timer);
	if (server->pause != NULL)
		loop_timer_free(server->loop, server->pause);
	close(server->listen_fd);
	free(server->snapshot);
	free(server);
}
