/*
 * A client's half of the control protocol (control/protocol.h): connect,
 * request, and take replies and events in the order they come, each with a
 * deadline.
 *
 * The connection is non-blocking underneath, so that the dashboard can poll
 * control_client_fd() beside its keyboard, while commands simply wait.
 */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/protocol.h"

#define CONTROL_SOCKET_DEFAULT "/run/station/control.sock"

struct control_client; /* opaque */

/* Why a call failed, for the person at the terminal. */
struct control_failure {
	int exit_status; /* of sysexits(3) */
	bool lost;	 /* the connection is gone: connecting again may help */
	char cause[48];	 /* as the daemon named it, or empty */
	char action[240]; /* what to do, or empty */
	char text[16384]; /* a list of problems fits; several lines */
};

/* One line from the daemon. */
struct control_message {
	json_t *json; /* owned */
	char *line;   /* exactly as it came, without its LF; owned */
};
void control_message_free(struct control_message *);
/* True when it is the event of that name. */
bool control_message_is(const struct control_message *, const char *event);

/* The flag, else $STATION_SOCKET, else the default; borrowed. */
const char *control_socket_path(const char *flag);

/*
 * Null and a failure: 69 when no daemon answers, 77 without permission,
 * 64 for a path that is too long.
 */
struct control_client *
control_connect(const char *path, struct control_failure *);
void control_client_free(struct control_client *);
int control_client_fd(const struct control_client *);
/*
 * A descriptor that ends every wait early when it becomes readable, such as
 * a signalfd; -1 for none. Borrowed.
 */
void control_client_wake(struct control_client *, int fd);

/*
 * Sends a command with its members (taken; null for none) and, unless -1, a
 * descriptor (borrowed). Returns the request's id, or -1.
 */
json_int_t control_send(struct control_client *, const char *command,
    json_t *members, int fd, int64_t deadline_ms, struct control_failure *);
/*
 * The next message: 1, 0 when the deadline passed or the wake descriptor is
 * readable, -1 when the connection is lost or the daemon's line is
 * unacceptable. Deadline 0: do not wait.
 */
int control_next(struct control_client *, int64_t deadline_ms,
    struct control_message *, struct control_failure *);
/*
 * Sends and waits for the reply, in which "ok" is true. Events that come
 * meanwhile are kept for control_next, of snapshots only the newest. The
 * reply is the caller's (json_decref). Returns null on failure: also the
 * daemon's error reply, 75 when the deadline passes. The wake descriptor
 * does not end this wait: an answer that is under way is worth having.
 */
json_t *control_call(struct control_client *, const char *command,
    json_t *members, int fd, int64_t deadline_ms, struct control_failure *);
/*
 * Drops the snapshots that were kept by control_call: they are older than
 * its reply.
 */
void control_forget_snapshots(struct control_client *);
/* Fills the failure from a reply whose "ok" is not true. */
void control_failure_read(struct control_failure *, const json_t *reply);

#endif
