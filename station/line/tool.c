/* External commands for the cloud role, each run by a tool role of its own. */
#include "line/line.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

enum {
	TOOLS_MAX = 8 /* at work at once */
};

/* One command: the line knows the profile that it belongs to, no more. */
struct line_tool {
	struct line_tool *next;
	struct line *line;
	struct message_header header; /* of the cloud's request */
	struct channel channel;	      /* to the tool role */
	struct loop_watch *watch;
};

/* Answers the cloud. One that was started anew meanwhile ignores it. */
static void
tool_answer(struct line *line, const struct message_header *request,
    const struct fault *fault)
{
	struct peer *cloud = &line->peers[ROLE_CLOUD];
	struct message_header header = *request;
	struct message_done answer;

	memset(&answer, 0, sizeof(answer));
	answer.fault = *fault;
	header.type = MESSAGE_TOOL_DONE;
	if (cloud->up && channel_send(&cloud->channel, &header, &answer,
			     sizeof(answer), NULL, 0) == 0)
		loop_watch_events(
		    cloud->watch, channel_events(&cloud->channel));
}

static void
tool_end(struct line_tool *tool, const struct fault *fault)
{
	struct line_tool **at = &tool->line->tools;

	while (*at != NULL && *at != tool)
		at = &(*at)->next;
	if (*at != NULL)
		*at = tool->next;
	tool_answer(tool->line, &tool->header, fault);
	if (tool->watch != NULL) {
		loop_unwatch(tool->line->loop, tool->watch);
		channel_close(&tool->channel);
	}
	free(tool);
}

static void
tool_ready(void *arg, short revents)
{
	struct line_tool *tool = arg;
	struct message message;
	struct fault fault;
	int got;

	(void)revents;
	got = channel_receive(&tool->channel, &message);
	if (got == 0)
		return;
	if (got == -1 || message.header.type != MESSAGE_TOOL_DONE) {
		fault_set(&fault, CAUSE_ROLE_DOWN,
		    "the tool role ended without an answer");
		tool_end(tool, &fault);
		return;
	}
	call_fault(&message, &fault);
	message_close_fds(&message);
	tool_end(tool, &fault);
}

static void
tool_spawned(void *arg, struct message *answer)
{
	struct line_tool *tool = arg;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause == CAUSE_NONE && answer->fd_count != 1)
		fault_set(&fault, CAUSE_INTERNAL, "no tool role");
	if (fault.cause != CAUSE_NONE) {
		tool_end(tool, &fault);
		return;
	}
	channel_open(&tool->channel, answer->fds[0], "tool", 1);
	answer->fd_count = 0;
	tool->watch = loop_watch(
	    tool->line->loop, tool->channel.fd, POLLIN, tool_ready, tool);
	if (tool->watch != NULL)
		return;
	channel_close(&tool->channel);
	fault_set(&fault, CAUSE_INTERNAL, "out of memory");
	tool_end(tool, &fault);
}

static struct line_tool *
tool_new(struct line *line, const struct message *message)
{
	struct line_tool *tool;
	size_t count = 0;

	for (tool = line->tools; tool != NULL; tool = tool->next)
		count++;
	if (count >= TOOLS_MAX)
		return NULL;
	tool = calloc(1, sizeof(*tool));
	if (tool == NULL)
		return NULL;
	tool->line = line;
	tool->header = message->header;
	tool->next = line->tools;
	line->tools = tool;
	return tool;
}

void
tool_start(struct line *line, const struct message *message)
{
	struct message_spawn spawn;
	struct line_tool *tool;
	struct fault fault;
	int fds[2];

	fault_clear(&fault);
	if (message->fd_count != 1) {
		log_error("the cloud role asked for a tool without a pipe");
		return;
	}
	fds[0] = message->fds[0];
	fds[1] =
	    file_seal("tool-job", message->body.bytes, message->len, &fault);
	tool = fds[1] == -1 ? NULL : tool_new(line, message);
	if (tool == NULL) {
		if (fault.cause == CAUSE_NONE)
			fault_set(&fault, CAUSE_INTERNAL,
			    "%d external commands are at work already",
			    TOOLS_MAX);
		tool_answer(line, &message->header, &fault);
	} else {
		memset(&spawn, 0, sizeof(spawn));
		spawn.role = ROLE_TOOL;
		line_call(line, ROLE_PARENT, MESSAGE_SPAWN, 0, 0, &spawn,
		    sizeof(spawn), fds, 2, tool_spawned, tool);
	}
	if (fds[1] != -1)
		close(fds[1]);
}
