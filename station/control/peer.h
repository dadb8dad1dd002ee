/*
 * One connected client as the server sees it: its bytes in both directions.
 * Private to control/; peer.c moves bytes, server.c gives them meaning.
 */
#ifndef CONTROL_PEER_H
#define CONTROL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/message.h"
#include "control/server.h"

struct control_peer {
	struct control_peer *next;
	struct control_server *server; /* borrowed */
	int fd;
	struct loop_watch *watch;
	struct loop_timer *timer; /* lines that wait, or the farewell */
	enum control_access access;
	uid_t uid;

	struct buf in;
	int received_fd; /* came with the bytes in `in`; -1 none */
	struct control_request *requests; /* without a reply */
	unsigned pending;		  /* their number */

	struct buf out; /* whole lines; the first `sent` bytes are gone */
	size_t sent;
	bool snapshot_waits; /* the newest goes out when `out` is empty */

	bool wants_snapshots;
	bool wants_verdicts;
	char lot[NAME_LEN]; /* only verdicts of this one; empty: all */

	bool ended;   /* sends no more; replies still go out */
	bool closing; /* reads no more; ends when `out` is sent */
	bool dead;    /* the connection is of no use */
};

/* Credentials of the connected process; READ when they cannot be had. */
enum control_access control_peer_access(int fd, gid_t writers, uid_t *uid);

/*
 * Reads what is there, at most once; keeps a descriptor that came along.
 * Sets `ended` or `dead`.
 */
void control_peer_read(struct control_peer *);
/* Sends what the socket takes. Sets `dead`. */
void control_peer_write(struct control_peer *);
/*
 * Queues a whole line. When the queue is past its bound everything that has
 * not begun to be sent is replaced by a last error line, and the peer closes.
 */
void control_peer_queue(struct control_peer *, const char *line, size_t len);
/* Queues an error event as the last line, and closes after it. */
void control_peer_farewell(struct control_peer *, const char *text);
/* Sets what the loop waits for, from the state above. */
void control_peer_arm(struct control_peer *);

#endif
