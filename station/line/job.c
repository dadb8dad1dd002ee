#include "line/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "line/keepers.h"
#include "line/spawn.h"

static int
transcript_open(
    struct children *children, const char *name, struct fault *fault)
{
	char path[PATH_LEN * 2 + 16];
	int fd;

	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL)
		return fault_set(
		    fault, CAUSE_INTERNAL, "bad name of a transcript");
	snprintf(path, sizeof(path), "%s/transcripts/%s",
	    children->config->state, name);
	fd = open(
	    path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd == -1)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "%s", path);
	return fd;
}

static int
slot_port_open(struct children *children, const struct message_spawn *request,
    struct fault *fault)
{
	const struct config_slot *slot =
	    &children->config->slots[request->slot];
	struct port_claim *claim = &children->ports[request->slot];
	const char *node = slot->port;

	/* The line found the position's node; only device nodes are opened. */
	if (node[0] == '\0')
		node = request->port;
	if (slot->port[0] == '\0' &&
	    (strncmp(node, "/dev/", 5) != 0 || strstr(node, "..") != NULL))
		return fault_set(fault, CAUSE_INTERNAL,
		    "slot %s: not a device node", slot->name);
	port_release(claim);
	if (port_open(node, slot->lines, claim, fault) == -1) {
		fault_prefix(fault, "slot %s", slot->name);
		return -1;
	}
	return 0;
}

/* Joins the slot with the vault: the line never holds either end. */
static int
slot_vault_pair(struct children *children, uint64_t attempt, int *slot_end,
    struct fault *fault)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_VAULT_PAIR,
	    .attempt = attempt};
	int pair[2];

	if (channel_pair(pair) == -1)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "socket pair");
	if (keeper_send(&children->vault, &header, NULL, 0, &pair[0], 1) ==
	    -1) {
		close(pair[0]);
		close(pair[1]);
		return fault_set(fault, CAUSE_ROLE_DOWN, "the vault is not up");
	}
	close(pair[0]);
	*slot_end = pair[1];
	return 0;
}

static int
spawn_slot_fds(struct children *children, const struct message *message,
    const struct message_spawn *request, struct spawn_fds *fds,
    struct fault *fault)
{
	struct port_claim *claim;

	if (request->slot >= children->config->slot_count ||
	    message->fd_count != 3)
		return fault_set(fault, CAUSE_INTERNAL, "bad slot request");
	fds->fd[ROLE_FD_JOB] = message->fds[0];
	fds->fd[ROLE_FD_LOT] = message->fds[1];
	fds->fd[ROLE_FD_FIRMWARE] = message->fds[2];
	fds->fd[ROLE_FD_TRANSCRIPT] =
	    transcript_open(children, request->transcript, fault);
	if (fds->fd[ROLE_FD_TRANSCRIPT] == -1 ||
	    slot_port_open(children, request, fault) == -1)
		return -1;
	claim = &children->ports[request->slot];
	fds->fd[ROLE_FD_FIRST] = claim->fd;
	fds->fd[ROLE_FD_LINES] = claim->lines_fd;
	if (request->vault_pair != 0 &&
	    slot_vault_pair(children, message->header.attempt,
		&fds->fd[ROLE_FD_VAULT], fault) == -1)
		return -1;
	return 0;
}

/* The slot's process holds the port from here on; the claim's lock stays. */
static void
claim_handed_over(struct port_claim *claim)
{
	if (claim->fd != -1)
		close(claim->fd);
	if (claim->lines_fd != -1)
		close(claim->lines_fd);
	claim->fd = claim->lines_fd = -1;
}

static pid_t
job_start(struct children *children, const struct message *message,
    const struct message_spawn *request, int channel_end, struct fault *fault)
{
	struct spawn_fds fds;
	pid_t pid = -1;

	spawn_fds_clear(&fds);
	fds.fd[ROLE_FD_CHANNEL] = channel_end;
	fds.fd[ROLE_FD_CONFIG] = children->config_fd;
	if (request->role == ROLE_SLOT &&
	    spawn_slot_fds(children, message, request, &fds, fault) == -1)
		goto out;
	if (request->role == ROLE_REPORT && message->fd_count == 1)
		fds.fd[ROLE_FD_FIRST] = message->fds[0];
	if (request->role == ROLE_TOOL && message->fd_count == 2) {
		fds.fd[ROLE_FD_FIRST] = message->fds[0];
		fds.fd[ROLE_FD_JOB] = message->fds[1];
	}
	pid = spawn_role(role_name((enum role)request->role), &fds, fault);
	if (pid != -1 && children_add(children, (enum role)request->role,
			     request->slot, pid) == -1) {
		kill(pid, SIGKILL);
		pid = fault_set(fault, CAUSE_INTERNAL, "too many processes");
	}
out:
	if (request->role == ROLE_SLOT &&
	    request->slot < children->config->slot_count) {
		claim_handed_over(&children->ports[request->slot]);
		if (pid == -1)
			port_release(&children->ports[request->slot]);
	}
	if (fds.fd[ROLE_FD_TRANSCRIPT] != -1)
		close(fds.fd[ROLE_FD_TRANSCRIPT]);
	if (fds.fd[ROLE_FD_VAULT] != -1)
		close(fds.fd[ROLE_FD_VAULT]);
	return pid;
}

void
job_spawn(struct children *children, const struct message *message)
{
	const struct message_spawn *request = (const void *)message->body.bytes;
	struct message_spawned answer;
	int pair[2] = {-1, -1};
	pid_t pid = -1;

	memset(&answer, 0, sizeof(answer));
	answer.role = request->role;
	answer.slot = request->slot;
	if (request->role != ROLE_SLOT && request->role != ROLE_LOAD &&
	    request->role != ROLE_REPORT && request->role != ROLE_TOOL)
		fault_set(&answer.fault, CAUSE_INTERNAL, "bad role");
	else if (channel_pair(pair) == -1)
		fault_set_errno(
		    &answer.fault, CAUSE_INTERNAL, errno, "socket pair");
	else
		pid = job_start(
		    children, message, request, pair[1], &answer.fault);
	answer.pid = pid;
	children_tell_line(children, MESSAGE_SPAWNED, message->header.sequence,
	    message->header.attempt, &answer, sizeof(answer), &pair[0],
	    pid == -1 ? 0 : 1);
	if (pair[0] != -1)
		close(pair[0]);
	if (pair[1] != -1)
		close(pair[1]);
}
