#include "line/role.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "line/line.h"

enum {
	DRAIN_POLL_MS = 100
};

static void
drain_due(void *arg)
{
	struct line *line = arg;
	static struct loop_timer *timer;

	if (line->attempts == NULL) {
		loop_stop(line->loop);
		return;
	}
	if (timer == NULL)
		timer = loop_timer(line->loop, drain_due, line);
	if (timer != NULL)
		loop_timer_set(timer, clock_deadline(DRAIN_POLL_MS));
}

static void
parent_control(struct line *line, const struct message *message)
{
	const struct message_control *control =
	    (const void *)message->body.bytes;

	if (control->signal != CONTROL_DRAIN || line->draining)
		return;
	line->draining = true;
	if (line->attempts != NULL)
		board_note(line, RING_NOTICE,
		    "stopping: units at work come to their end first");
	drain_due(line);
}

bool
parent_message(struct line *line, struct message *message)
{
	const struct message_role_up *up;
	const struct message_exited *exited;

	switch (message->header.type) {
	case MESSAGE_ROLE_UP:
		up = (const void *)message->body.bytes;
		if (message->fd_count == 1 && up->role < ROLE_COUNT) {
			message->fd_count = 0;
			peer_up(line, (enum role)up->role, message->fds[0],
			    up->starts);
		}
		return true;
	case MESSAGE_EXITED:
		exited = (const void *)message->body.bytes;
		if (exited->role == ROLE_SLOT)
			attempt_exited(line, exited);
		return true;
	case MESSAGE_CONTROL:
		parent_control(line, message);
		return true;
	default:
		return false;
	}
}

static int
line_prepare(struct line *line, struct fault *fault)
{
	const void *data;
	size_t len, i;

	if (file_map_sealed(ROLE_FD_CONFIG, sizeof(*line->config),
		sizeof(*line->config), &data, &len, fault) == -1)
		return -1;
	line->config = data;
	line->started_ms = clock_monotonic_ms();
	/* Unique with its attempt also across restarts of the daemon. */
	line->sequence = (uint32_t)(clock_wall_ms() / 10);
	if (digest_file("/proc/self/exe", &line->program, fault) == -1)
		return -1;
	for (i = 0; i < LOTS_OPEN_MAX; i++) {
		line->lots[i].line = line;
		line->lots[i].index = (uint32_t)i;
		line->lots[i].image_fd = line->lots[i].firmware_fd =
		    line->lots[i].manifest_fd = -1;
	}
	for (i = 0; i < line->config->slot_count; i++) {
		line->slots[i].line = line;
		line->slots[i].index = (uint32_t)i;
		line->slots[i].config = &line->config->slots[i];
	}
	line->loop = loop_new();
	if (line->loop == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	return 0;
}

int
line_role(void)
{
	static struct line line; /* one process, one line */
	struct fault fault;
	int listen_fd = ROLE_FD_FIRST;

	log_open("line", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	setlocale(LC_ALL, "C");
	/* Jansson seeds its hashes from /dev/urandom when it is first used. */
	json_object_seed(0);
	fault_clear(&fault);
	if (line_prepare(&line, &fault) == -1 ||
	    board_start(&line, listen_fd, &fault) == -1 ||
	    presence_start(&line, &fault) == -1 ||
	    sandbox_enter(ROLE_LINE, NULL, &fault) == -1) {
		log_error("%s", fault.text);
		return EX_SOFTWARE;
	}
	peer_up(&line, ROLE_PARENT, ROLE_FD_CHANNEL, 0);
	obligations_start(&line);
	loop_run(line.loop, NULL, NULL);
	return EX_OK;
}
