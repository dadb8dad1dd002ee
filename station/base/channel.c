#include "base/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/message.h"

/* Room for several of the largest messages with the kernel's overhead. */
enum {
	CHANNEL_SEND_BYTES = 256 * 1024
};

struct channel_queued {
	struct channel_queued *next;
	struct message_header header;
	size_t len;
	size_t fd_count;
	int fds[CHANNEL_FDS_MAX]; /* own copies */
	max_align_t body[];
};

union channel_control {
	char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
	struct cmsghdr align;
};

void
channel_open(
    struct channel *channel, int fd, const char *peer, size_t queued_max)
{
	memset(channel, 0, sizeof(*channel));
	channel->fd = fd;
	channel->peer = peer;
	channel->queued_max = queued_max;
}

static void
fds_close(int *fds, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void
queued_free(struct channel_queued *queued)
{
	if (queued == NULL)
		return;
	fds_close(queued->fds, queued->fd_count);
	/* A body may be a secret on its way to a slot. */
	explicit_bzero(queued->body, queued->len);
	free(queued);
}

static void
channel_pop(struct channel *channel)
{
	struct channel_queued *queued = channel->head;

	channel->head = queued->next;
	if (channel->head == NULL)
		channel->tail = NULL;
	channel->queued--;
	queued_free(queued);
}

void
channel_close(struct channel *channel)
{
	while (channel->head != NULL)
		channel_pop(channel);
	if (channel->fd >= 0)
		close(channel->fd);
	channel->fd = -1;
	channel->failed = true;
}

/* 1 sent, 0 no room now, -1 failed. */
static int
channel_transmit(struct channel *channel, const struct message_header *header,
    const void *body, size_t len, const int *fds, size_t fd_count)
{
	union channel_control control;
	struct message_header sent = *header;
	struct iovec parts[2];
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	struct cmsghdr *attached;
	ssize_t put;

	sent.version = MESSAGE_VERSION;
	parts[0].iov_base = &sent;
	parts[0].iov_len = sizeof(sent);
	memcpy(&parts[1].iov_base, &body, sizeof(body)); /* sendmsg reads it */
	parts[1].iov_len = len;
	if (fd_count > 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		attached = CMSG_FIRSTHDR(&message);
		attached->cmsg_level = SOL_SOCKET;
		attached->cmsg_type = SCM_RIGHTS;
		attached->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(attached), fds, sizeof(int) * fd_count);
	}
	do
		put =
		    sendmsg(channel->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	if (put >= 0)
		return 1;
	if (errno == EAGAIN || errno == ENOBUFS)
		return 0;
	log_warning("%s: cannot send message type %u: %s", channel->peer,
	    (unsigned)header->type, strerror(errno));
	channel->deaf = true;
	return -1;
}

/* False, and in the log, for what the peer would not accept either. */
static bool
channel_admits(const struct channel *channel,
    const struct message_header *header, const void *body, size_t len,
    size_t fd_count)
{
	if (fd_count <= CHANNEL_FDS_MAX &&
	    message_check(header->type, body, len))
		return true;
	log_error("%s: message type %u with %zu bytes and %zu descriptors "
		  "is malformed and is not sent",
	    channel->peer, (unsigned)header->type, len, fd_count);
	return false;
}

static int
channel_queue(struct channel *channel, const struct message_header *header,
    const void *body, size_t len, const int *fds, size_t fd_count)
{
	struct channel_queued *queued;

	if (channel->queued >= channel->queued_max)
		return -1;
	queued = calloc(1, sizeof(*queued) + len);
	if (queued == NULL)
		return -1;
	queued->header = *header;
	queued->len = len;
	if (len > 0)
		memcpy(queued->body, body, len);
	while (queued->fd_count < fd_count) {
		int fd = fcntl(fds[queued->fd_count], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			queued_free(queued);
			return -1;
		}
		queued->fds[queued->fd_count++] = fd;
	}
	if (channel->tail == NULL)
		channel->head = queued;
	else
		channel->tail->next = queued;
	channel->tail = queued;
	channel->queued++;
	return 0;
}

int
channel_send(struct channel *channel, const struct message_header *header,
    const void *body, size_t len, const int *fds, size_t fd_count)
{
	int sent;

	if (channel->failed ||
	    !channel_admits(channel, header, body, len, fd_count) ||
	    channel_flush(channel) < 0)
		return -1;
	if (channel->head == NULL) {
		sent =
		    channel_transmit(channel, header, body, len, fds, fd_count);
		if (sent != 0)
			return sent < 0 ? -1 : 0;
	}
	return channel_queue(channel, header, body, len, fds, fd_count);
}

int
channel_flush(struct channel *channel)
{
	int sent;

	while (!channel->failed && !channel->deaf && channel->head != NULL) {
		struct channel_queued *first = channel->head;

		sent = channel_transmit(channel, &first->header, first->body,
		    first->len, first->fds, first->fd_count);
		if (sent == 0)
			return 0;
		if (sent > 0)
			channel_pop(channel);
	}
	return channel->failed || channel->deaf ? -1 : 0;
}

short
channel_events(const struct channel *channel)
{
	return channel->head == NULL || channel->deaf ? POLLIN
						      : POLLIN | POLLOUT;
}

/* Takes all descriptors, so that none leaks when the message is bad. */
static void
message_take_fds(struct message *message, struct msghdr *received)
{
	struct cmsghdr *attached;
	size_t count;

	for (attached = CMSG_FIRSTHDR(received); attached != NULL;
	     attached = CMSG_NXTHDR(received, attached)) {
		if (attached->cmsg_level != SOL_SOCKET ||
		    attached->cmsg_type != SCM_RIGHTS)
			continue;
		count = (attached->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (count > CHANNEL_FDS_MAX - message->fd_count)
			count = CHANNEL_FDS_MAX - message->fd_count;
		memcpy(message->fds + message->fd_count, CMSG_DATA(attached),
		    count * sizeof(int));
		message->fd_count += count;
	}
}

/* Null, or what is wrong with it. */
static const char *
message_fault(const struct message *message, int flags, size_t len)
{
	if ((flags & MSG_TRUNC) != 0)
		return "it is too long";
	if ((flags & MSG_CTRUNC) != 0)
		return "it has too many descriptors";
	if (len < sizeof(message->header))
		return "it is shorter than its header";
	if (message->header.version != MESSAGE_VERSION)
		return "it has another version";
	if (!message_check(message->header.type, message->body.bytes,
		len - sizeof(message->header)))
		return "its body does not fit its type";
	return NULL;
}

int
channel_receive(struct channel *channel, struct message *message)
{
	union channel_control control;
	struct iovec parts[2] = {
	    {&message->header, sizeof(message->header)},
	    {message->body.bytes, sizeof(message->body.bytes)},
	};
	struct msghdr received = {.msg_iov = parts,
	    .msg_iovlen = 2,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	const char *wrong;
	ssize_t got;

	message->fd_count = 0;
	message->len = 0;
	if (channel->failed)
		return -1;
	memset(&message->header, 0, sizeof(message->header));
	/* A peer that ended with messages unread resets the connection. Linux
	 * reports that once, ahead of what the peer had sent. */
	do
		got = recvmsg(
		    channel->fd, &received, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got <= 0) {
		if (got < 0)
			log_warning("%s: cannot receive: %s", channel->peer,
			    strerror(errno));
		channel->failed = true;
		return -1;
	}
	message_take_fds(message, &received);
	wrong = message_fault(message, received.msg_flags, (size_t)got);
	if (wrong != NULL) {
		log_error("%s: refused message type %u with %zd bytes: %s",
		    channel->peer, (unsigned)message->header.type, got, wrong);
		message_close_fds(message);
		channel->failed = true;
		return -1;
	}
	message->len = (size_t)got - sizeof(message->header);
	return 1;
}

void
message_close_fds(struct message *message)
{
	fds_close(message->fds, message->fd_count);
	message->fd_count = 0;
}

/* Waits for the events or the deadline; 0 when something happened. */
static int
channel_wait(struct channel *channel, short events, int64_t deadline_ms,
    struct fault *fault)
{
	struct pollfd polled = {.fd = channel->fd, .events = events};
	int timeout_ms, ready;

	for (;;) {
		timeout_ms =
		    deadline_ms == 0 ? -1 : clock_remaining_ms(deadline_ms);
		ready = poll(&polled, 1, timeout_ms);
		if (ready > 0)
			return 0;
		if (ready == 0 && timeout_ms == 0)
			return fault_set(fault, CAUSE_DEADLINE,
			    "%s: %s before the deadline", channel->peer,
			    (events & POLLIN) != 0 ? "no answer" : "no room");
		if (ready < 0 && errno != EINTR) {
			channel->failed = true;
			return fault_set_errno(fault, CAUSE_INTERNAL, errno,
			    "%s: cannot wait", channel->peer);
		}
	}
}

static int
channel_ended(const struct channel *channel, struct fault *fault)
{
	return fault_set(
	    fault, CAUSE_ROLE_DOWN, "%s: its channel has ended", channel->peer);
}

int
channel_send_wait(struct channel *channel, const struct message_header *header,
    const void *body, size_t len, const int *fds, size_t fd_count,
    int64_t deadline_ms, struct fault *fault)
{
	int sent = 0;

	if (!channel_admits(channel, header, body, len, fd_count))
		return fault_set(fault, CAUSE_INTERNAL,
		    "%s: a message of type %u is malformed", channel->peer,
		    (unsigned)header->type);
	for (;;) {
		if (channel_flush(channel) == 0 && channel->head == NULL)
			sent = channel_transmit(
			    channel, header, body, len, fds, fd_count);
		if (channel->failed || channel->deaf)
			return channel_ended(channel, fault);
		if (sent > 0)
			return 0;
		if (channel_wait(channel, POLLOUT, deadline_ms, fault) < 0)
			return -1;
	}
}

int
channel_receive_wait(struct channel *channel, struct message *message,
    int64_t deadline_ms, struct fault *fault)
{
	int got;

	for (;;) {
		(void)channel_flush(channel);
		got = channel_receive(channel, message);
		if (got > 0)
			return 0;
		if (got < 0)
			return channel_ended(channel, fault);
		if (channel_wait(channel, channel_events(channel), deadline_ms,
			fault) < 0)
			return -1;
	}
}

int
channel_pair(int fds[2])
{
	int pair[2], size = CHANNEL_SEND_BYTES, error, i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, pair) < 0)
		return -1;
	for (i = 0; i < 2; i++)
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size,
			sizeof(size)) < 0) {
			error = errno;
			fds_close(pair, 2);
			errno = error;
			return -1;
		}
	fds[0] = pair[0];
	fds[1] = pair[1];
	return 0;
}
