#include "line/children.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "line/job.h"
#include "line/keepers.h"
#include "line/spawn.h"

enum {
	BACK_OFF_FIRST_MS = 100,
	BACK_OFF_MOST_MS = 10000,
	HEALTHY_MS = 60000, /* a role that lived so long starts afresh */
	LINE_QUEUE = 512,
};

static struct child *
child_find(struct children *children, pid_t pid)
{
	size_t i;

	for (i = 0; i < CHILDREN_MAX; i++)
		if (children->list[i].used && children->list[i].pid == pid)
			return &children->list[i];
	return NULL;
}

int
children_add(
    struct children *children, enum role role, uint32_t slot, pid_t pid)
{
	size_t i;

	for (i = 0; i < CHILDREN_MAX; i++) {
		struct child *child = &children->list[i];

		if (child->used)
			continue;
		child->used = true;
		child->role = role;
		child->slot = slot;
		child->pid = pid;
		return 0;
	}
	return -1;
}

/* Unasked and by-number answers to the line. */
void
children_tell_line(struct children *children, uint16_t type, uint32_t sequence,
    uint64_t attempt, const void *body, size_t len, const int *fds, size_t n)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = type,
	    .sequence = sequence,
	    .attempt = attempt};

	if (channel_send(&children->line, &header, body, len, fds, n) == -1)
		log_error("the line role does not take messages");
}

/* ---- the roles that live always ---- */

static void role_restart(void *arg);

/* Both keep keys, and hear of them from the parent. */
static struct keeper *
keeper_of(struct children *children, enum role role)
{
	if (role == ROLE_VAULT)
		return &children->vault;
	return role == ROLE_HSM ? &children->hsm : NULL;
}

static int
role_start(struct children *children, enum role role, struct fault *fault)
{
	struct child_role *entry = &children->roles[role];
	struct keeper *keeper = keeper_of(children, role);
	struct message_role_up up = {.role = role};
	struct spawn_fds fds;
	int pair[2] = {-1, -1}, keeper_end = -1;
	pid_t pid = -1;

	spawn_fds_clear(&fds);
	if (channel_pair(pair) == -1 ||
	    (keeper != NULL && keeper_open(keeper, &keeper_end) == -1)) {
		fault_set_errno(fault, CAUSE_INTERNAL, errno, "socket pair");
		goto out;
	}
	fds.fd[ROLE_FD_CHANNEL] = pair[1];
	fds.fd[ROLE_FD_CONFIG] = children->config_fd;
	fds.fd[ROLE_FD_FIRST] = keeper_end;
	if (role == ROLE_HSM) {
		fds.fd[ROLE_FD_CONFIG] = -1;
		fds.fd[ROLE_FD_JOB] = children->token_fd;
	}
	pid = spawn_role(role_name(role), &fds, fault);
	if (pid == -1 || children_add(children, role, 0, pid) == -1)
		goto out;
	entry->started_ms = clock_monotonic_ms();
	up.starts = ++entry->starts;
	children_tell_line(
	    children, MESSAGE_ROLE_UP, 0, 0, &up, sizeof(up), &pair[0], 1);
out:
	if (pair[0] != -1)
		close(pair[0]);
	if (pair[1] != -1)
		close(pair[1]);
	if (keeper_end != -1)
		close(keeper_end);
	return pid == -1 ? -1 : 0;
}

/* How it ended, for people. */
static void
status_tell(enum role role, int status)
{
	if (WIFSIGNALED(status))
		log_error("the %s role ended by signal %d (%s)",
		    role_name(role), WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		log_error("the %s role ended with status %d", role_name(role),
		    WEXITSTATUS(status));
}

static void
role_later(struct child_role *entry)
{
	if (clock_monotonic_ms() - entry->started_ms > HEALTHY_MS)
		entry->back_off_ms = BACK_OFF_FIRST_MS;
	loop_timer_set(entry->timer, clock_deadline(entry->back_off_ms));
	entry->back_off_ms *= 2;
	if (entry->back_off_ms > BACK_OFF_MOST_MS)
		entry->back_off_ms = BACK_OFF_MOST_MS;
}

static void
role_restart(void *arg)
{
	struct child_role *entry = arg;
	struct fault fault;

	fault_clear(&fault);
	if (entry->children->ending)
		return;
	log_warning(
	    "the %s role ended; it is started again", role_name(entry->role));
	if (role_start(entry->children, entry->role, &fault) == -1) {
		log_error("%s", fault.text);
		role_later(entry);
	}
}

/* ---- the line's requests ---- */

static void
handle_kill(struct children *children, const struct message *message)
{
	const struct message_kill *request = (const void *)message->body.bytes;

	/* Only a child of ours that has not been reaped: no other process
	 * can have its number. */
	if (child_find(children, request->pid) != NULL)
		kill(request->pid, request->signal);
}

static void
line_ready(void *arg, short revents)
{
	struct children *children = arg;
	struct message message;
	int got;

	(void)revents;
	channel_flush(&children->line);
	while ((got = channel_receive(&children->line, &message)) == 1) {
		switch (message.header.type) {
		case MESSAGE_SPAWN:
			job_spawn(children, &message);
			break;
		case MESSAGE_OPEN_KEY:
			keepers_open_key(children, &message);
			break;
		case MESSAGE_KEYS_FORGET:
			keepers_forget(children, &message);
			break;
		case MESSAGE_JOIN:
			keepers_join_cloud(children, &message);
			break;
		case MESSAGE_KILL:
			handle_kill(children, &message);
			break;
		default:
			log_error(
			    "the line sent message %u", message.header.type);
			break;
		}
		message_close_fds(&message);
	}
	if (got == -1) {
		children->ending = true;
		loop_watch_events(children->line_watch, 0);
		return; /* its end is reaped by SIGCHLD */
	}
	loop_watch_events(
	    children->line_watch, channel_events(&children->line));
}

static int
line_start(struct children *children, struct fault *fault)
{
	struct spawn_fds fds;
	int pair[2];
	pid_t pid;

	if (channel_pair(pair) == -1)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "socket pair");
	spawn_fds_clear(&fds);
	fds.fd[ROLE_FD_CHANNEL] = pair[1];
	fds.fd[ROLE_FD_CONFIG] = children->config_fd;
	fds.fd[ROLE_FD_FIRST] = children->listen_fd;
	pid = spawn_role("line", &fds, fault);
	close(pair[1]);
	channel_open(&children->line, pair[0], "line", LINE_QUEUE);
	if (pid == -1)
		return -1;
	children_add(children, ROLE_LINE, 0, pid);
	children->line_watch =
	    loop_watch(children->loop, pair[0], POLLIN, line_ready, children);
	return children->line_watch == NULL
		   ? fault_set(fault, CAUSE_INTERNAL, "out of memory")
		   : 0;
}

/* Makes the hsm's job where station.yaml names a PKCS #11 module. */
static int
token_prepare(struct children *children, struct fault *fault)
{
	const struct station_config *config = children->config;
	struct role_token token;

	_Static_assert((int)TOKEN_PATHS_MAX == (int)PKCS11_PATHS_MAX,
	    "all paths of the configuration reach the hsm");
	children->token_fd = -1;
	if (config->pkcs11_module[0] == '\0')
		return 0;
	memset(&token, 0, sizeof(token));
	memcpy(token.module, config->pkcs11_module, sizeof(token.module));
	memcpy(token.paths, config->pkcs11_paths, sizeof(token.paths));
	token.path_count = config->pkcs11_path_count;
	children->token_fd = file_seal("token", &token, sizeof(token), fault);
	return children->token_fd == -1 ? -1 : 0;
}

static int
lasting_start(struct children *children, enum role role, struct fault *fault)
{
	struct child_role *entry = &children->roles[role];

	entry->children = children;
	entry->role = role;
	entry->back_off_ms = BACK_OFF_FIRST_MS;
	entry->timer = loop_timer(children->loop, role_restart, entry);
	if (entry->timer == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	return role_start(children, role, fault);
}

int
children_start(struct children *children, struct loop *loop,
    const struct station_config *config, int config_fd, int listen_fd,
    void (*line_gone)(void *arg, int status), void *arg, struct fault *fault)
{
	static const enum role lasting[] = {
	    ROLE_LEDGER, ROLE_VAULT, ROLE_CLOUD, ROLE_HSM};
	size_t i;

	memset(children, 0, sizeof(*children));
	children->loop = loop;
	children->config = config;
	children->config_fd = config_fd;
	children->listen_fd = listen_fd;
	children->line_gone = line_gone;
	children->arg = arg;
	children->line.fd = -1;
	children->started = true;
	keepers_init(children);
	for (i = 0; i < SLOTS_MAX; i++)
		port_claim_init(&children->ports[i]);
	if (token_prepare(children, fault) == -1 ||
	    line_start(children, fault) == -1)
		return -1;
	for (i = 0; i < sizeof(lasting) / sizeof(lasting[0]); i++)
		if ((lasting[i] != ROLE_HSM || children->token_fd != -1) &&
		    lasting_start(children, lasting[i], fault) == -1)
			return -1;
	return 0;
}

/* A slot's next process may be there before its last one is gone. */
static bool
slot_has_child(const struct children *children, uint32_t slot)
{
	size_t i;

	for (i = 0; i < CHILDREN_MAX; i++)
		if (children->list[i].used &&
		    children->list[i].role == ROLE_SLOT &&
		    children->list[i].slot == slot)
			return true;
	return false;
}

static void
child_ended(struct children *children, struct child *child, int status)
{
	struct message_exited exited = {.role = child->role,
	    .slot = child->slot,
	    .pid = child->pid,
	    .status = status};
	enum role role = child->role;

	child->used = false;
	if (!children->ending || role == ROLE_LINE)
		status_tell(role, status);
	if (role == ROLE_LINE) {
		children->ending = true; /* nobody is left to tell */
		children->line_gone(children->arg, status);
		return;
	}
	if (role == ROLE_SLOT && !slot_has_child(children, child->slot))
		port_release(&children->ports[child->slot]);
	if (children->ending)
		return;
	children_tell_line(
	    children, MESSAGE_EXITED, 0, 0, &exited, sizeof(exited), NULL, 0);
	if (role == ROLE_LEDGER || role == ROLE_CLOUD || role == ROLE_VAULT ||
	    role == ROLE_HSM)
		role_later(&children->roles[role]);
}

void
children_reap(struct children *children)
{
	struct child *child;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		child = child_find(children, pid);
		if (child != NULL)
			child_ended(children, child, status);
	}
}

void
children_signal_line(struct children *children, enum control_signal signal)
{
	struct message_control control = {.signal = signal};

	children_tell_line(children, MESSAGE_CONTROL, 0, 0, &control,
	    sizeof(control), NULL, 0);
}

static bool
children_left(const struct children *children)
{
	size_t i;

	for (i = 0; i < CHILDREN_MAX; i++)
		if (children->list[i].used)
			return true;
	return false;
}

void
children_end(struct children *children)
{
	int64_t deadline = clock_deadline(5000);
	struct child *child;
	size_t i;
	pid_t pid;

	if (!children->started)
		return;
	children->ending = true;
	channel_close(&children->line);
	keeper_close(&children->vault);
	keeper_close(&children->hsm);
	if (children->token_fd != -1)
		close(children->token_fd);
	while (children_left(children)) {
		pid = waitpid(-1, NULL, WNOHANG);
		child = pid > 0 ? child_find(children, pid) : NULL;
		if (child != NULL)
			child->used = false;
		if (pid == -1 && errno == ECHILD)
			break;
		if (pid > 0)
			continue;
		if (clock_remaining_ms(deadline) == 0) {
			for (i = 0; i < CHILDREN_MAX; i++)
				if (children->list[i].used)
					kill(children->list[i].pid, SIGKILL);
			deadline = clock_deadline(1000);
		}
		clock_sleep_us(5000);
	}
	for (i = 0; i < SLOTS_MAX; i++)
		port_release(&children->ports[i]);
}
