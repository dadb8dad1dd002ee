#include "slot/link.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

enum {
	PROGRESS_MS = 100,
	LINK_QUEUE = 16,
	REQUEST_MS = 900000
};

static int
link_gone(struct link *link, struct fault *fault)
{
	link->ended = true;
	return fault_set(fault, CAUSE_ROLE_DOWN, "the line role is gone");
}

static void
link_take_abort(struct link *link, const struct message *message)
{
	link->aborted = true;
	memcpy(&link->abort, message->body.bytes, sizeof(link->abort));
}

/* Called from any wait of the port: something came from the line. */
static int
link_interrupt(void *arg, struct fault *fault)
{
	struct link *link = arg;
	struct message message;
	int got;

	got = channel_receive(&link->channel, &message);
	if (got == -1)
		return link_gone(link, fault);
	if (got == 0)
		return 0;
	message_close_fds(&message);
	if (message.header.type != MESSAGE_ABORT)
		return 0; /* the late answer of an earlier request */
	link_take_abort(link, &message);
	*fault = link->abort;
	return -1;
}

void
link_open(struct link *link, int fd, uint64_t attempt, struct port *port)
{
	memset(link, 0, sizeof(*link));
	channel_open(&link->channel, fd, "line", LINK_QUEUE);
	link->attempt = attempt;
	link->port = port;
	port->interrupt_fd = fd;
	port->interrupt = link_interrupt;
	port->interrupt_arg = link;
}

static int
link_await(struct link *link, uint16_t type, void *answer, size_t answer_len,
    int64_t deadline_ms, struct fault *fault)
{
	struct message message;

	for (;;) {
		if (channel_receive_wait(
			&link->channel, &message, deadline_ms, fault) == -1)
			return link_gone(link, fault);
		message_close_fds(&message);
		if (message.header.type == MESSAGE_ABORT) {
			/* What is under way outside comes to its end by
			 * itself; the slot's part stops here. */
			link_take_abort(link, &message);
			*fault = link->abort;
			return -1;
		}
		if (message.header.type == type &&
		    message.header.sequence == link->sequence &&
		    message.len == answer_len)
			break;
	}
	memcpy(answer, message.body.bytes, answer_len);
	return 0;
}

int
link_request(struct link *link, enum message_type type, const void *body,
    size_t len, void *answer, size_t answer_len, struct fault *fault)
{
	int64_t deadline = clock_deadline(REQUEST_MS);
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = (uint16_t)type,
	    .attempt = link->attempt,
	    .deadline_ms = deadline};
	struct fault refused;

	if (link->ended)
		return link_gone(link, fault);
	if (link->aborted) {
		*fault = link->abort;
		return -1;
	}
	header.sequence = ++link->sequence;
	if (channel_send_wait(&link->channel, &header, body, len, NULL, 0,
		deadline, fault) == -1)
		return link_gone(link, fault);
	if (link_await(link, (uint16_t)(type + 1), answer, answer_len, deadline,
		fault) == -1)
		return -1;
	memcpy(&refused, answer, sizeof(refused));
	if (refused.cause == CAUSE_NONE)
		return 0;
	*fault = refused;
	return -1;
}

void
link_progress(
    struct link *link, enum step_name step, uint32_t permille, const char *note)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_PROGRESS,
	    .attempt = link->attempt};
	int64_t now = clock_monotonic_ms();
	bool first = link->progress.step != (uint32_t)step;

	if (permille < link->progress.permille)
		permille = link->progress.permille;
	link->progress.step = step;
	link->progress.permille = permille;
	text_copy(link->progress.note, sizeof(link->progress.note), note);
	if (link->ended || (!first && now - link->progress_ms < PROGRESS_MS))
		return;
	link->progress_ms = now;
	/* It coalesces: what does not fit now is overtaken by the next. */
	if (link->channel.queued == 0)
		channel_send(&link->channel, &header, &link->progress,
		    sizeof(link->progress), NULL, 0);
}

void
link_closing(struct link *link)
{
	link->aborted = false;
}
