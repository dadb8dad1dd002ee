/*
 * The daemon's half of the control protocol (control/protocol.h), run by the
 * line role inside its loop.
 *
 * The server owns clients, lines, bounds, access and queues; the line owns
 * what commands mean. It gives a table of commands, a function that builds
 * the snapshot, and tells the server when something changed. The server
 * answers "status" and "subscribe" itself and paces the snapshots: at most
 * five a second, and at once after a verdict.
 *
 * A stalled client costs the daemon nothing but its queue: of snapshots only
 * the newest waits; other events never drop while the client is connected,
 * and a client that lets CONTROL_QUEUE_MAX of them wait is told so and
 * disconnected.
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fault.h"
#include "base/loop.h"
#include "control/protocol.h"

enum {
	CONTROL_QUEUE_MAX = 4 * 1024 * 1024, /* bytes that wait for a client */
	CONTROL_PENDING_MAX = 8,    /* requests of a client without a reply */
	CONTROL_SNAPSHOT_MS = 200,  /* between two snapshots */
	CONTROL_FAREWELL_MS = 2000, /* for a last error line to be taken */
};

/* What a peer may do, from its credentials when it connected. */
enum control_access {
	CONTROL_ACCESS_READ,
	CONTROL_ACCESS_WRITE, /* uid 0, the daemon's own, or in its group */
};

struct control_server;	/* opaque */
struct control_request; /* opaque; valid until it is replied to */

/*
 * One row of the line's table. The handler replies at once or keeps the
 * request and replies later; every request gets exactly one reply, also when
 * its client has left meanwhile (the reply is then dropped).
 */
struct control_command {
	const char *name;
	enum control_access access;
	void (*handle)(struct control_request *, void *arg);
};

struct control_server_setup {
	const struct control_command *commands; /* ends with a null name */
	gid_t group; /* whose members may write; (gid_t)-1 for none */
	/* The snapshot object, owned by the server; null when out of memory. */
	json_t *(*snapshot)(void *arg);
	void *arg; /* for snapshot and the handlers */
};

/*
 * A listening socket at the path, non-blocking and close-on-exec. A socket
 * that a live process serves is refused, a dead one replaced; the socket is
 * never reachable with wider rights than mode. `group` (a name, or empty)
 * becomes its group when it differs from the process's own. Called by the
 * parent, which may hold rights that the line does not. -1 and CAUSE_BAD_CONFIG
 * on failure.
 */
int control_listen(
    const char *path, mode_t mode, const char *group, struct fault *);
/* The id of a group by name; empty: -1 cast to gid_t. */
int control_group(const char *name, gid_t *, struct fault *);

/*
 * Takes the listening descriptor, also on failure. `setup` is copied, the
 * table of commands is borrowed.
 */
struct control_server *control_server_new(struct loop *, int listen_fd,
    const struct control_server_setup *, struct fault *);
/*
 * Closes every client. Requests that wait for a reply stay valid and are
 * freed by that reply. Does not unlink the socket.
 */
void control_server_free(struct control_server *);

/* ---- events ---- */

/* Something on the board changed: a snapshot follows when it is due. */
void control_server_touch(struct control_server *);
/*
 * A committed verdict: `verdict` holds the event's members without "v" and
 * "event" and is taken. Goes to every subscriber of verdicts whose lot it is;
 * a snapshot follows at once.
 */
void control_server_verdict(
    struct control_server *, const char *lot, json_t *verdict);
/*
 * Another event ("lot", "log"), members taken, for subscribers of verdicts;
 * lot null: for those who did not name a lot.
 */
void control_server_event(struct control_server *, const char *event,
    const char *lot, json_t *members);

/*
 * A JSON text of bytes that may be no UTF-8, which JSON cannot hold: then
 * everything outside printable ASCII is escaped. Null when out of memory.
 */
json_t *control_text(const char *);

/* ---- requests, for handlers ---- */

/* The whole request; borrowed. */
const json_t *control_request_json(const struct control_request *);
/* A text member; null when it is absent or no text. */
const char *
control_request_text(const struct control_request *, const char *name);
/*
 * The same for a text that must be there and be shorter than size; else the
 * request is replied to as bad, and null returned.
 */
const char *
control_request_need(struct control_request *, const char *name, size_t size);
/* The descriptor that came with it, now the caller's; -1 when there is none. */
int control_request_take_fd(struct control_request *);
uid_t control_request_uid(const struct control_request *);
/*
 * Calls gone(arg) once if the client leaves before the reply, so that work
 * in vain can end. The request still wants its reply.
 */
void control_request_watch(
    struct control_request *, void (*gone)(void *arg), void *arg);

/* Each of these ends the request. Members are taken; null for none. */
void control_reply(struct control_request *, json_t *members);
/* Cause, action and exit status come from the fault's row. */
void control_reply_fault(struct control_request *, const struct fault *);
/* The same with a longer text, such as a list of problems, one a line. */
void control_reply_problems(
    struct control_request *, const struct fault *, const char *text);
void control_reply_error(struct control_request *, const char *cause,
    const char *text, const char *action, int exit_status);
/* The sysexits(3) status of a command that ends with this cause. */
int control_exit_status(enum fault_cause);

#endif
