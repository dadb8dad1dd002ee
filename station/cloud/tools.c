#include "cloud/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum {
	/* The role kills what is late; this is for a role that is stuck. */
	GRACE_MS = 10000
};

static void
run_unlink(struct tool_run *run)
{
	struct tool_run **at = &run->tools->runs;

	while (*at != NULL && *at != run)
		at = &(*at)->next;
	if (*at != NULL)
		*at = run->next;
}

/* Lets go of everything but output and fault. */
static void
run_close(struct tool_run *run)
{
	if (run->tools == NULL)
		return;
	run_unlink(run);
	loop_unwatch(run->tools->loop, run->watch);
	loop_timer_free(run->tools->loop, run->timer);
	if (run->fd != -1)
		close(run->fd);
	run->tools = NULL;
	run->watch = NULL;
	run->timer = NULL;
	run->fd = -1;
}

void
tool_run_end(struct tool_run *run)
{
	run_close(run);
	secret_free(&run->output);
}

static void
run_finish(struct tool_run *run)
{
	run_close(run);
	run->done(run->arg);
}

/* A fault is enough to end; a success needs the whole output as well. */
static void
run_consider(struct tool_run *run)
{
	if (run->fault.cause != CAUSE_NONE || (run->ended && run->closed))
		run_finish(run);
}

static void
run_ready(void *arg, short revents)
{
	struct tool_run *run = arg;
	struct secret *output = &run->output;
	ssize_t got;

	(void)revents;
	do {
		got = read(run->fd, output->data + output->len,
		    output->size - 1 - output->len);
		if (got > 0)
			output->len += (size_t)got;
	} while (got > 0 && output->len < output->size - 1);
	if (got > 0)
		fault_set(&run->fault, CAUSE_CLOUD_CREDENTIALS,
		    "it wrote more than %d bytes", TOOL_OUTPUT_MAX);
	else if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	else
		run->closed = true;
	loop_unwatch(run->tools->loop, run->watch);
	run->watch = NULL;
	run_consider(run);
}

static void
run_late(void *arg)
{
	struct tool_run *run = arg;

	fault_set(&run->fault, CAUSE_CLOUD_CREDENTIALS,
	    "it did not end within %d s", (TOOL_TIMEOUT_MS + GRACE_MS) / 1000);
	run_finish(run);
}

int
tool_run_start(struct tools *tools, struct tool_run *run, const char *profile,
    void (*done)(void *arg), void *arg, struct fault *fault)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_TOOL,
	    .sequence = ++tools->sequence};
	struct message_tool request;
	int ends[2] = {-1, -1};

	memset(run, 0, sizeof(*run));
	memset(&request, 0, sizeof(request));
	text_copy(request.profile, sizeof(request.profile), profile);
	run->fd = -1;
	if (secret_alloc(&run->output, TOOL_OUTPUT_MAX + 1, fault) == -1)
		return -1;
	if (pipe2(ends, O_CLOEXEC) == -1 ||
	    fcntl(ends[0], F_SETFL, O_NONBLOCK) == -1) {
		fault_set_errno(fault, CAUSE_INTERNAL, errno, "pipe");
		goto fail;
	}
	run->timer = loop_timer(tools->loop, run_late, run);
	run->watch = loop_watch(tools->loop, ends[0], POLLIN, run_ready, run);
	if (run->timer == NULL || run->watch == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto fail;
	}
	run->tools = tools;
	run->fd = ends[0];
	run->sequence = header.sequence;
	run->done = done;
	run->arg = arg;
	run->next = tools->runs;
	tools->runs = run;
	loop_timer_set(run->timer, clock_deadline(TOOL_TIMEOUT_MS + GRACE_MS));
	tools->send(tools->arg, &header, &request, ends[1]);
	close(ends[1]);
	return 0;
fail:
	loop_unwatch(tools->loop, run->watch);
	loop_timer_free(tools->loop, run->timer);
	if (ends[0] != -1) {
		close(ends[0]);
		close(ends[1]);
	}
	secret_free(&run->output);
	return -1;
}

void
tools_answer(struct tools *tools, const struct message_header *header,
    const struct message_done *answer)
{
	struct tool_run *run = tools->runs;

	while (run != NULL && run->sequence != header->sequence)
		run = run->next;
	if (run == NULL)
		return;
	run->ended = true;
	run->fault = answer->fault;
	run_consider(run);
}
