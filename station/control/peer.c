#include "control/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* ---- who it is ---- */

static bool
groups_hold(int fd, gid_t wanted)
{
	socklen_t len = 64 * sizeof(gid_t);
	gid_t *groups = NULL;
	bool found = false;

	groups = malloc(len);
	if (groups == NULL)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1) {
		gid_t *more;

		/* ERANGE: len is now what they need. */
		if (errno != ERANGE)
			goto out;
		more = realloc(groups, len);
		if (more == NULL)
			goto out;
		groups = more;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) ==
		    -1)
			goto out;
	}
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		found = found || groups[i] == wanted;
out:
	free(groups);
	return found;
}

enum control_access
control_peer_access(int fd, gid_t writers, uid_t *uid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	*uid = (uid_t)-1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		return CONTROL_ACCESS_READ;
	*uid = peer.uid;
	if (peer.uid == 0 || peer.uid == geteuid())
		return CONTROL_ACCESS_WRITE;
	if (writers == (gid_t)-1)
		return CONTROL_ACCESS_READ;
	if (peer.gid == writers || groups_hold(fd, writers))
		return CONTROL_ACCESS_WRITE;
	return CONTROL_ACCESS_READ;
}

/* ---- bytes in ---- */

/* Keeps the first descriptor and closes the others. */
static void
descriptors_take(struct control_peer *peer, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL;
	     c = CMSG_NXTHDR(message, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (peer->received_fd == -1)
				peer->received_fd = fd;
			else
				close(fd);
		}
	}
}

void
control_peer_read(struct control_peer *peer)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
	char bytes[CONTROL_REQUEST_MAX];
	struct iovec part = {.iov_base = bytes};
	struct msghdr message = {
	    .msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control),
	};
	ssize_t got;

	part.iov_len = peer->in.max - peer->in.len;
	if (part.iov_len > sizeof(bytes))
		part.iov_len = sizeof(bytes);
	if (part.iov_len == 0)
		return;
	got = recvmsg(peer->fd, &message, MSG_CMSG_CLOEXEC);
	if (got == -1) {
		if (errno != EAGAIN && errno != EINTR)
			peer->dead = true;
		return;
	}
	descriptors_take(peer, &message);
	if (got == 0)
		peer->ended = true;
	else
		buf_add(&peer->in, bytes, (size_t)got);
	if (peer->in.failed)
		peer->dead = true;
}

/* ---- bytes out ---- */

void
control_peer_write(struct control_peer *peer)
{
	while (peer->sent < peer->out.len) {
		ssize_t put = send(peer->fd, peer->out.data + peer->sent,
		    peer->out.len - peer->sent, MSG_NOSIGNAL);

		if (put == -1) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				peer->dead = true;
			return;
		}
		peer->sent += (size_t)put;
	}
	buf_reset(&peer->out);
	peer->sent = 0;
}

/*
 * Takes back every line of which nothing has been sent; the rest of a line
 * that has begun stays, so that the peer reads no torn line.
 */
static void
unsent_drop(struct control_peer *peer)
{
	const char *end = NULL;
	size_t keep = peer->sent;

	if (peer->sent > 0 && peer->out.data[peer->sent - 1] != '\n') {
		end = memchr(peer->out.data + peer->sent, '\n',
		    peer->out.len - peer->sent);
		if (end != NULL)
			keep = (size_t)(end - peer->out.data) + 1;
	}
	peer->out.len = keep;
	if (peer->out.data != NULL)
		peer->out.data[keep] = '\0';
	peer->out.failed = false;
}

void
control_peer_farewell(struct control_peer *peer, const char *text)
{
	/* The texts are ours: nothing in them needs escaping. */
	buf_add_format(&peer->out,
	    "{\"v\":%d,\"event\":\"error\",\"text\":\"%s\"}\n", CONTROL_VERSION,
	    text);
	if (peer->out.failed)
		peer->dead = true;
	peer->closing = true;
	loop_timer_set(peer->timer, clock_deadline(CONTROL_FAREWELL_MS));
	control_peer_arm(peer);
}

void
control_peer_queue(struct control_peer *peer, const char *line, size_t len)
{
	if (peer->closing || peer->dead)
		return;
	if (peer->out.len - peer->sent + len > CONTROL_QUEUE_MAX) {
		unsent_drop(peer);
		control_peer_farewell(
		    peer, "this client reads too slowly and is disconnected");
		return;
	}
	/* What is gone makes room, but not by a move for every line. */
	if (peer->sent > CONTROL_QUEUE_MAX) {
		buf_drop(&peer->out, peer->sent);
		peer->sent = 0;
	}
	buf_add(&peer->out, line, len);
	if (peer->out.failed)
		peer->dead = true;
	control_peer_arm(peer);
}

void
control_peer_arm(struct control_peer *peer)
{
	short events = 0;

	if (!peer->ended && !peer->closing &&
	    peer->pending < CONTROL_PENDING_MAX)
		events |= POLLIN;
	if (peer->sent < peer->out.len || peer->snapshot_waits)
		events |= POLLOUT;
	loop_watch_events(peer->watch, events);
	/* Only the peer's own callbacks free it; one of them is due now. */
	if (peer->dead)
		loop_timer_set(peer->timer, clock_monotonic_ms());
}
