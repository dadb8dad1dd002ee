#include "line/keepers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	KEEPER_QUEUE = 256,
	KEY_FILE_MAX = 64 * 1024,
};

void
keepers_init(struct children *children)
{
	children->vault.children = children->hsm.children = children;
	children->vault.role = ROLE_VAULT;
	children->hsm.role = ROLE_HSM;
}

/* Answers to OPEN_KEY are all that a keeper says to the parent. */
static void
keeper_ready(void *arg, short revents)
{
	struct keeper *keeper = arg;
	struct message message;
	int got;

	(void)revents;
	channel_flush(&keeper->channel);
	while ((got = channel_receive(&keeper->channel, &message)) == 1) {
		if (message.header.type == MESSAGE_VAULT_KEY_DONE)
			children_tell_line(keeper->children,
			    MESSAGE_OPEN_KEY_DONE, message.header.sequence,
			    message.header.attempt, message.body.bytes,
			    message.len, NULL, 0);
		message_close_fds(&message);
	}
	/* SIGCHLD brings the role back; until then it is away. */
	if (got == -1)
		keeper_close(keeper);
	else
		loop_watch_events(
		    keeper->watch, channel_events(&keeper->channel));
}

void
keeper_close(struct keeper *keeper)
{
	if (keeper->watch == NULL)
		return;
	loop_unwatch(keeper->children->loop, keeper->watch);
	keeper->watch = NULL;
	channel_close(&keeper->channel);
}

int
keeper_open(struct keeper *keeper, int *role_end)
{
	int pair[2];

	keeper_close(keeper);
	if (channel_pair(pair) == -1)
		return -1;
	channel_open(
	    &keeper->channel, pair[0], role_name(keeper->role), KEEPER_QUEUE);
	keeper->watch = loop_watch(
	    keeper->children->loop, pair[0], POLLIN, keeper_ready, keeper);
	if (keeper->watch == NULL) {
		channel_close(&keeper->channel);
		close(pair[1]);
		errno = ENOMEM;
		return -1;
	}
	*role_end = pair[1];
	return 0;
}

int
keeper_send(struct keeper *keeper, const struct message_header *header,
    const void *body, size_t len, const int *fds, size_t fd_count)
{
	if (keeper->watch == NULL || channel_send(&keeper->channel, header,
					 body, len, fds, fd_count) == -1)
		return -1;
	loop_watch_events(keeper->watch, channel_events(&keeper->channel));
	return 0;
}

/* ---- keys ---- */

static int
key_file_open(const char *path, struct fault *fault)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;

	if (fd == -1)
		return fault_set_errno(
		    fault, CAUSE_VAULT_ERROR, errno, "%s", path);
	if (fstat(fd, &status) == -1 || !S_ISREG(status.st_mode) ||
	    status.st_size > KEY_FILE_MAX) {
		close(fd);
		return fault_set(
		    fault, CAUSE_VAULT_ERROR, "%s is not a key file", path);
	}
	return fd;
}

static struct keeper *
keeper_for(struct children *children, const struct message_open_key *request,
    struct fault *fault)
{
	if (strncmp(request->path, "pkcs11:", 7) != 0)
		return &children->vault;
	if (request->kind == KEY_CA && children->token_fd != -1)
		return &children->hsm;
	fault_set(fault, CAUSE_BAD_CONFIG,
	    request->kind != KEY_CA
		? "only a CA's key can be in a PKCS #11 token: %s"
		: "the station has no PKCS #11 module: station.yaml has no "
		  "`pkcs11:`, and the lot's key is %s",
	    request->path);
	return NULL;
}

static int
key_pass_on(struct children *children, const struct message *message,
    struct fault *fault)
{
	const struct message_open_key *request =
	    (const void *)message->body.bytes;
	struct message_header header = message->header;
	struct keeper *keeper = keeper_for(children, request, fault);
	int fds[2] = {-1, -1}, result = -1;
	size_t count = 0;

	if (keeper == NULL)
		return -1;
	if (keeper == &children->vault) {
		fds[count] = key_file_open(request->path, fault);
		if (fds[count++] == -1)
			goto out;
	}
	if (request->secret_path[0] != '\0') {
		fds[count] = key_file_open(request->secret_path, fault);
		if (fds[count++] == -1)
			goto out;
	}
	header.type = MESSAGE_VAULT_KEY;
	result =
	    keeper_send(keeper, &header, request, sizeof(*request), fds, count);
	if (result == -1)
		fault_set(fault, CAUSE_ROLE_DOWN, "the %s is not up",
		    role_name(keeper->role));
out:
	if (fds[0] != -1)
		close(fds[0]);
	if (fds[1] != -1)
		close(fds[1]);
	return result;
}

void
keepers_open_key(struct children *children, const struct message *message)
{
	struct message_done answer;

	memset(&answer, 0, sizeof(answer));
	if (key_pass_on(children, message, &answer.fault) == -1)
		children_tell_line(children, MESSAGE_OPEN_KEY_DONE,
		    message->header.sequence, message->header.attempt, &answer,
		    sizeof(answer), NULL, 0);
}

/* One that is not there has nothing to forget. */
void
keepers_forget(struct children *children, const struct message *message)
{
	(void)keeper_send(&children->vault, &message->header,
	    message->body.bytes, message->len, NULL, 0);
	(void)keeper_send(&children->hsm, &message->header, message->body.bytes,
	    message->len, NULL, 0);
}

/* ---- vault and cloud ---- */

void
keepers_join_cloud(struct children *children, const struct message *message)
{
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_VAULT_CLOUD};
	struct message_done answer;
	int pair[2] = {-1, -1};

	memset(&answer, 0, sizeof(answer));
	if (channel_pair(pair) == -1)
		fault_set_errno(
		    &answer.fault, CAUSE_INTERNAL, errno, "socket pair");
	else if (keeper_send(&children->vault, &header, NULL, 0, &pair[0], 1) ==
		 -1)
		fault_set(
		    &answer.fault, CAUSE_ROLE_DOWN, "the vault is not up");
	children_tell_line(children, MESSAGE_JOIN_DONE,
	    message->header.sequence, message->header.attempt, &answer,
	    sizeof(answer), &pair[1], answer.fault.cause == CAUSE_NONE ? 1 : 0);
	if (pair[0] != -1)
		close(pair[0]);
	if (pair[1] != -1)
		close(pair[1]);
}
