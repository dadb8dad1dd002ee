#include "line/line.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"

enum {
	PEER_QUEUE = 1024,
	RESTARTS_MOST = 5, /* in RESTARTS_SPAN_MS: then the line pauses */
	RESTARTS_SPAN_MS = 600000,
};

static void
call_free(struct call *call)
{
	size_t i;

	for (i = 0; i < call->fd_count; i++)
		close(call->fds[i]);
	free(call->body);
	free(call);
}

/*
 * A role that was started again must know the open lots before it hears of
 * their units: until then what is for it waits here.
 */
static bool
call_must_wait(const struct line *line, const struct call *call)
{
	const struct open_lot *lot;
	size_t i;

	if (!line->peers[call->target].up)
		return true;
	if (call->target == ROLE_CLOUD &&
	    call->header.type == MESSAGE_CLOUD_LOT)
		return false;
	for (i = 0; i < LOTS_OPEN_MAX; i++) {
		lot = &line->lots[i];
		if (lot->stage != LOT_STAGE_OPEN)
			continue;
		if (!lot_role_ready(lot, call->target))
			return true;
	}
	return false;
}

static void
call_put(struct line *line, struct call *call)
{
	struct peer *peer = &line->peers[call->target];

	if (call->sent || call_must_wait(line, call))
		return;
	call->sent = true;
	if (call->timeout_ms != 0)
		call->header.deadline_ms = clock_deadline(call->timeout_ms);
	if (channel_send(&peer->channel, &call->header, call->body, call->len,
		call->fds, call->fd_count) == -1)
		log_warning("the %s role does not take messages",
		    role_name(call->target));
	else
		loop_watch_events(peer->watch, channel_events(&peer->channel));
}

void
calls_flush(struct line *line, enum role target)
{
	struct call *call;

	for (call = line->calls; call != NULL; call = call->next)
		if (call->target == target)
			call_put(line, call);
}

void
line_call(struct line *line, enum role target, uint16_t type, uint64_t attempt,
    int64_t timeout_ms, const void *body, size_t len, const int *fds,
    size_t fd_count, call_done *done, void *arg)
{
	struct call *call = calloc(1, sizeof(*call)), **end;
	size_t i;

	if (call == NULL || (call->body = malloc(len == 0 ? 1 : len)) == NULL) {
		log_error("out of memory");
		abort();
	}
	call->target = target;
	call->header.version = MESSAGE_VERSION;
	call->header.type = type;
	call->header.sequence = ++line->sequence;
	call->header.attempt = attempt;
	call->timeout_ms = timeout_ms;
	if (len != 0)
		memcpy(call->body, body, len);
	call->len = len;
	for (i = 0; i < fd_count && i < 3; i++) {
		call->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, ROLE_FD_END);
		if (call->fds[i] != -1)
			call->fd_count++;
	}
	call->done = done;
	call->arg = arg;
	for (end = &line->calls; *end != NULL; end = &(*end)->next)
		;
	*end = call;
	call_put(line, call);
}

void
peer_tell(struct line *line, enum role role, uint16_t type, const void *body,
    size_t len)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = type,
	    .sequence = ++line->sequence};
	struct peer *peer = &line->peers[role];

	if (peer->up &&
	    channel_send(&peer->channel, &header, body, len, NULL, 0) == 0)
		loop_watch_events(peer->watch, channel_events(&peer->channel));
}

bool
call_is_open(const struct line *line, uint16_t type, const void *arg)
{
	const struct call *call;

	for (call = line->calls; call != NULL; call = call->next)
		if (call->header.type == type && call->arg == arg &&
		    call->done != NULL)
			return true;
	return false;
}

void
calls_forget(struct line *line, void *arg)
{
	struct call *call;

	for (call = line->calls; call != NULL; call = call->next)
		if (call->arg == arg)
			call->done = NULL;
}

void
calls_withdraw(struct line *line, uint16_t type, const void *arg)
{
	struct call **at = &line->calls, *call;

	while ((call = *at) != NULL) {
		if (call->header.type != type || call->arg != arg) {
			at = &call->next;
			continue;
		}
		*at = call->next;
		call_free(call);
	}
}

/*
 * Only an answer to a call that is still open, from the role it was made
 * to, is looked at; everything else is a late or repeated one.
 */
static void
call_answered(struct line *line, enum role from, struct message *message)
{
	struct call **at, *call;

	for (at = &line->calls; (call = *at) != NULL; at = &call->next)
		if (call->target == from &&
		    call->header.sequence == message->header.sequence &&
		    call->header.attempt == message->header.attempt &&
		    call->header.type + 1 == message->header.type)
			break;
	if (call == NULL)
		return;
	*at = call->next;
	if (call->done != NULL)
		call->done(call->arg, message);
	call_free(call);
}

void
call_fault(const struct message *answer, struct fault *fault)
{
	fault_clear(fault);
	if (answer == NULL || answer->len < sizeof(*fault))
		fault_set(
		    fault, CAUSE_ROLE_DOWN, "a part of the station ended");
	else
		memcpy(fault, answer->body.bytes, sizeof(*fault));
}

static void
peer_message(struct peer *peer, struct message *message)
{
	struct line *line = peer->line;

	switch (message->header.type) {
	case MESSAGE_CLOUD_STATE:
		if (peer->role != ROLE_CLOUD)
			break;
		line_cloud_changed(line, (const void *)message->body.bytes);
		board_changed(line);
		break;
	case MESSAGE_TOOL:
		if (peer->role == ROLE_CLOUD)
			tool_start(line, message);
		break;
	case MESSAGE_LEDGER_READY:
		if (peer->role == ROLE_LEDGER)
			recover_ready(line, (const void *)message->body.bytes);
		break;
	default:
		call_answered(line, peer->role, message);
		break;
	}
}

static void
peer_down(struct peer *peer)
{
	loop_unwatch(peer->line->loop, peer->watch);
	peer->watch = NULL;
	channel_close(&peer->channel);
	peer->up = false;
	/* Its end of the pair went with it. */
	if (peer->role == ROLE_VAULT || peer->role == ROLE_CLOUD)
		peer->line->join.done = false;
	if (peer->role == ROLE_PARENT) {
		/* Nobody is left to work for: every role ends by end-of-file.
		 */
		loop_stop(peer->line->loop);
		return;
	}
	board_note(peer->line, RING_WARNING,
	    "the %s role ended; it is being started again",
	    role_name(peer->role));
}

static void
peer_ready(void *arg, short revents)
{
	struct peer *peer = arg;
	struct message message;
	int got = 0, turn;

	(void)revents;
	channel_flush(&peer->channel);
	/* A bounded number a turn: no peer starves the others. */
	for (turn = 0; turn < 32; turn++) {
		got = channel_receive(&peer->channel, &message);
		if (got != 1)
			break;
		if (peer->role == ROLE_PARENT &&
		    parent_message(peer->line, &message))
			; /* done */
		else
			peer_message(peer, &message);
		message_close_fds(&message);
	}
	if (got == -1)
		peer_down(peer);
	else
		loop_watch_events(peer->watch, channel_events(&peer->channel));
}

static void
restarts_count(struct peer *peer)
{
	int64_t now = clock_monotonic_ms();
	size_t i, recent = 0;

	peer->restarts_ms[peer->restart_next++ % 8] = now;
	for (i = 0; i < 8; i++)
		if (peer->restarts_ms[i] != 0 &&
		    now - peer->restarts_ms[i] < RESTARTS_SPAN_MS)
			recent++;
	if (recent >= RESTARTS_MOST) {
		board_note(peer->line, RING_ERROR,
		    "the %s role ended %zu times in ten minutes",
		    role_name(peer->role), recent);
		line_hold(peer->line, "a part of the station keeps failing");
	}
}

void
peer_up(struct line *line, enum role role, int fd, uint32_t starts)
{
	struct peer *peer = &line->peers[role];
	struct call *call;
	bool keeps_keys = role == ROLE_VAULT || role == ROLE_HSM;

	if (peer->up)
		peer_down(peer);
	peer->line = line;
	peer->role = role;
	channel_open(&peer->channel, fd, role_name(role), PEER_QUEUE);
	peer->watch = loop_watch(line->loop, fd, POLLIN, peer_ready, peer);
	if (peer->watch == NULL) {
		channel_close(&peer->channel);
		return;
	}
	peer->up = true;
	peer->starts = starts;
	if (starts > 1)
		restarts_count(peer);
	for (call = line->calls; call != NULL; call = call->next)
		if (call->target == role ||
		    (keeps_keys && call->header.type == MESSAGE_OPEN_KEY))
			call->sent = false; /* its answer died with it */
	if (role == ROLE_CLOUD || keeps_keys)
		lot_role_up(line, role);
	if (keeps_keys)
		calls_flush(line, ROLE_PARENT);
	calls_flush(line, role);
	board_changed(line);
}
