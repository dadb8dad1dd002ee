/*
 * Requests between their dispatch and their reply, and how replies are
 * written. Private to control/.
 */
#ifndef CONTROL_PENDING_H
#define CONTROL_PENDING_H

#include <jansson.h>
#include <stddef.h>

#include "control/peer.h"
#include "control/request.h"

/* Takes the head and the descriptor that the peer sent; null: no memory. */
struct control_request *
control_pending_new(struct control_peer *, struct control_head *);
/* The peer leaves: its requests lose their client and are told so. */
void control_pending_abandon(struct control_peer *);

/*
 * One line with its LF, owned by the caller, of an object and further
 * members; both are taken, null members are none. Null when it would be
 * longer than CONTROL_LINE_MAX or memory is out.
 */
char *control_line(json_t *object, json_t *members, size_t *len);
char *control_error_line(json_int_t id, const char *cause, const char *text,
    const char *action, int exit_status, size_t *len);

/* A reply made room: the peer's lines that waited may go on. */
void control_peer_resume(struct control_peer *);

#endif
