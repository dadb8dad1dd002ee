/*
 * Typed messages between roles, on SOCK_SEQPACKET socket pairs.
 *
 * A message is a header and one fixed struct of base/message.h, at most
 * MESSAGE_MAX bytes together, with up to CHANNEL_FDS_MAX descriptors. What
 * is larger goes as a sealed memory file. Version, type and length are
 * checked on receipt; a peer that breaks them is a failed peer.
 */
#ifndef BASE_CHANNEL_H
#define BASE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

enum {
	MESSAGE_MAX = 32768,
	CHANNEL_FDS_MAX = 12,
	MESSAGE_VERSION = 1
};

struct message_header {
	uint16_t version;
	uint16_t type;	     /* enum message_type */
	uint32_t sequence;   /* with attempt: unique; a resend is harmless */
	uint64_t attempt;    /* 0 where none is meant */
	int64_t deadline_ms; /* monotonic; 0 none */
};

struct message {
	struct message_header header;
	union {
		char bytes[MESSAGE_MAX - sizeof(struct message_header)];
		max_align_t align;
	} body;
	size_t len; /* of the body */
	int fds[CHANNEL_FDS_MAX];
	size_t fd_count;
};

struct channel_queued; /* a message that waits for room */
struct channel {
	int fd;
	const char *peer; /* for logs; borrowed */
	struct channel_queued *head, *tail;
	size_t queued;	   /* messages */
	size_t queued_max; /* of them */
	bool deaf;   /* the peer takes nothing more; it may have sent some */
	bool failed; /* end-of-file, error or a broken message */
};

/*
 * Takes the descriptor. Up to queued_max messages wait here when the socket
 * has no room; a role that uses the blocking forms alone gives 0.
 */
void
channel_open(struct channel *, int fd, const char *peer, size_t queued_max);
/* Closes the descriptor and frees what waits. */
void channel_close(struct channel *);

/*
 * Sends or queues; never blocks. Descriptors are duplicated by the kernel
 * at once when sent and duplicated here when queued; the caller keeps its
 * own. -1 when the channel is `failed` or `deaf`, its queue is full, or the
 * body is not one that message_check admits: that one is logged. What a deaf
 * peer sent before it ended is still there to be received.
 */
int channel_send(struct channel *, const struct message_header *,
    const void *body, size_t len, const int *fds, size_t fd_count);
/* Sends what waits, as far as there is room; -1 when failed or deaf. */
int channel_flush(struct channel *);
/* POLLIN, and POLLOUT when something waits. */
short channel_events(const struct channel *);
/*
 * 1 a message, 0 nothing there now, -1 failed. The message's descriptors
 * are the caller's (close-on-exec); message_close_fds drops them.
 */
int channel_receive(struct channel *, struct message *);
void message_close_fds(struct message *);

/*
 * Blocking forms for roles of straight-line code; deadline_ms 0 waits for
 * ever. Cause DEADLINE when the time is over (nothing was sent or taken),
 * ROLE_DOWN when the channel failed, INTERNAL for a body that is not one.
 */
int channel_send_wait(struct channel *, const struct message_header *,
    const void *body, size_t len, const int *fds, size_t fd_count,
    int64_t deadline_ms, struct fault *);
int channel_receive_wait(
    struct channel *, struct message *, int64_t deadline_ms, struct fault *);

/* A connected, close-on-exec SEQPACKET pair with room for MESSAGE_MAX. */
int channel_pair(int fds[2]);

#endif
