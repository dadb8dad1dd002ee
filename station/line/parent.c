#include "line/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/sandbox.h"
#include "control/server.h"
#include "line/children.h"
#include "line/notify.h"
#include "line/spawn.h"
#include "line/transcripts.h"
#include "lot/config.h"

enum {
	PRUNE_MS = 10 * 60 * 1000
};

struct parent {
	struct loop *loop;
	struct loop_timer *prune_timer;
	const struct station_config *config;
	struct children children;
	int signal_fd;
	int lock_fd;
	bool stopping;
	int status; /* the daemon's exit status */
	char config_path[PATH_LEN];
};

static void
parent_quit(struct parent *parent, int status)
{
	parent->status = status;
	loop_stop(parent->loop);
}

/* ---- the configuration, parsed by a role of its own ---- */

/*
 * Waits for the config role's answer; it prints what is wrong by itself.
 * Returns the sealed configuration or -1.
 */
static int
config_receive(int channel_fd, struct fault *fault)
{
	struct channel channel;
	struct message *message = calloc(1, sizeof(*message));
	int fd = -1;

	channel_open(&channel, channel_fd, "config", 4);
	if (message == NULL)
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
	else if (channel_receive_wait(
		     &channel, message, clock_deadline(60000), fault) == 0 &&
		 message->header.type == MESSAGE_CONTROL &&
		 message->fd_count == 1) {
		fd = message->fds[0];
		message->fd_count = 0;
	}
	if (message != NULL)
		message_close_fds(message);
	free(message);
	channel_close(&channel);
	return fd;
}

static int
config_fetch(const char *path, struct fault *fault)
{
	struct spawn_fds fds;
	int pair[2] = {-1, -1}, job = -1, fd = -1, status;
	char *full = realpath(path, NULL);
	pid_t pid = -1;

	if (full == NULL) {
		fault_set_errno(fault, CAUSE_BAD_CONFIG, errno, "%s", path);
		return -1;
	}
	spawn_fds_clear(&fds);
	job = file_seal("config-path", full, strlen(full) + 1, fault);
	if (job == -1 || channel_pair(pair) == -1)
		goto out;
	fds.fd[ROLE_FD_CHANNEL] = pair[1];
	fds.fd[ROLE_FD_JOB] = job;
	pid = spawn_role("config", &fds, fault);
	if (pid == -1)
		goto out;
	close(pair[1]);
	pair[1] = -1;
	fd = config_receive(pair[0], fault);
	pair[0] = -1; /* the channel closed it */
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (fd == -1 && fault->cause == CAUSE_NONE)
		fault_set(fault, CAUSE_BAD_CONFIG,
		    "%s has errors (they are listed above)", path);
out:
	free(full);
	if (job != -1)
		close(job);
	if (pair[0] != -1)
		close(pair[0]);
	if (pair[1] != -1)
		close(pair[1]);
	return fd;
}

/* ---- becoming the station's user ---- */

static int
user_become(const struct station_config *config, struct fault *fault)
{
	struct passwd *user;

	if (config->user[0] == '\0' || geteuid() != 0)
		return 0;
	user = getpwnam(config->user);
	if (user == NULL)
		return fault_set(fault, CAUSE_BAD_CONFIG,
		    "user %s does not exist", config->user);
	if (chown(config->state, user->pw_uid, user->pw_gid) == -1 ||
	    initgroups(user->pw_name, user->pw_gid) == -1 ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) == -1 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) == -1)
		return fault_set_errno(fault, CAUSE_BAD_CONFIG, errno,
		    "cannot become user %s", config->user);
	return 0;
}

static void
folder_of(char *to, size_t size, const char *path)
{
	char *slash;

	text_copy(to, size, path);
	slash = strrchr(to, '/');
	if (slash != NULL && slash != to)
		*slash = '\0';
}

/* One daemon a state folder: the lock lives as long as this process. */
static int
state_lock(struct parent *parent, const struct station_config *config,
    struct fault *fault)
{
	char path[PATH_LEN + 16];
	int64_t deadline = clock_deadline(3000);

	snprintf(path, sizeof(path), "%s/lock", config->state);
	parent->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (parent->lock_fd == -1)
		return fault_set_errno(
		    fault, CAUSE_BAD_CONFIG, errno, "%s", path);
	/* A killed predecessor may need a moment to be gone for good. */
	while (flock(parent->lock_fd, LOCK_EX | LOCK_NB) == -1) {
		if (clock_remaining_ms(deadline) == 0)
			return fault_set(fault, CAUSE_BAD_CONFIG,
			    "%s is locked: another stationd works on this "
			    "state folder; stop it first",
			    path);
		clock_sleep_us(20000);
	}
	return 0;
}

static int
folders_make(const struct station_config *config, struct fault *fault)
{
	char path[PATH_LEN + 16];

	if (file_make_folders(config->state, 0750, fault) == -1)
		return -1;
	snprintf(path, sizeof(path), "%s/lots", config->state);
	if (file_make_folders(path, 0750, fault) == -1)
		return -1;
	snprintf(path, sizeof(path), "%s/transcripts", config->state);
	if (file_make_folders(path, 0750, fault) == -1)
		return -1;
	folder_of(path, sizeof(path), config->ledger);
	if (file_make_folders(path, 0750, fault) == -1)
		return -1;
	folder_of(path, sizeof(path), config->socket);
	return file_make_folders(path, 0755, fault);
}

static int
parent_confine(const struct station_config *config, struct fault *fault)
{
	char ledger[PATH_LEN], socket[PATH_LEN];
	struct sandbox_paths paths;
	uint32_t i;

	memset(&paths, 0, sizeof(paths));
	folder_of(ledger, sizeof(ledger), config->ledger);
	folder_of(socket, sizeof(socket), config->socket);
	paths.write[0] = config->state;
	paths.write[1] = ledger;
	paths.write[2] = socket;
	paths.write[3] = "/dev";
	paths.write[4] = "/run/lock";
	/* The hsm inherits what its parent has, and no more. */
	for (i = 0; i < config->pkcs11_path_count; i++)
		paths.write[5 + i] = config->pkcs11_paths[i];
	return sandbox_enter(ROLE_PARENT, &paths, fault);
}

/* ---- signals ---- */

static void
signals_ready(void *arg, short revents)
{
	struct parent *parent = arg;
	struct signalfd_siginfo info;

	(void)revents;
	while (read(parent->signal_fd, &info, sizeof(info)) ==
	       (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			children_reap(&parent->children);
			break;
		case SIGTERM:
		case SIGINT:
			notify_state("STOPPING=1");
			/* The first one lets running units come to an end. */
			if (parent->stopping)
				parent_quit(parent, EX_OK);
			else
				children_signal_line(
				    &parent->children, CONTROL_DRAIN);
			parent->stopping = true;
			break;
		default:
			break;
		}
	}
}

static int
signals_open(struct parent *parent, struct fault *fault)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	parent->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (parent->signal_fd == -1 ||
	    loop_watch(parent->loop, parent->signal_fd, POLLIN, signals_ready,
		parent) == NULL)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "signalfd");
	return 0;
}

static void
prune_due(void *arg)
{
	struct parent *parent = arg;

	transcripts_prune(parent->config);
	loop_timer_set(parent->prune_timer, clock_deadline(PRUNE_MS));
}

static int
prune_start(struct parent *parent, const struct station_config *config,
    struct fault *fault)
{
	parent->config = config;
	parent->prune_timer = loop_timer(parent->loop, prune_due, parent);
	if (parent->prune_timer == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	prune_due(parent);
	return 0;
}

/* The line has ended: nothing can go on without it. */
static void
line_gone(void *arg, int status)
{
	struct parent *parent = arg;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		parent_quit(parent, EX_OK);
		return;
	}
	log_error("the line role ended unexpectedly; the daemon stops and "
		  "recovers at its next start");
	parent_quit(parent, EX_SOFTWARE);
}

static int
parent_start(struct parent *parent, int *config_fd, int *listen_fd,
    const struct station_config **config, struct fault *fault)
{
	size_t len;
	const void *data;

	*config_fd = config_fetch(parent->config_path, fault);
	if (*config_fd == -1 || file_map_sealed(*config_fd, sizeof(**config),
				    sizeof(**config), &data, &len, fault) == -1)
		return -1;
	*config = data;
	if ((*config)->magic != CONFIG_MAGIC ||
	    (*config)->size != sizeof(**config))
		return fault_set(fault, CAUSE_INTERNAL,
		    "the configuration is of another program version");
	if (folders_make(*config, fault) == -1 ||
	    user_become(*config, fault) == -1 ||
	    state_lock(parent, *config, fault) == -1)
		return -1;
	*listen_fd = control_listen((*config)->socket, (*config)->socket_mode,
	    (*config)->socket_group, fault);
	if (*listen_fd == -1 || parent_confine(*config, fault) == -1 ||
	    signals_open(parent, fault) == -1 ||
	    prune_start(parent, *config, fault) == -1)
		return -1;
	return children_start(&parent->children, parent->loop, *config,
	    *config_fd, *listen_fd, line_gone, parent, fault);
}

int
parent_run(const char *config_path)
{
	struct parent parent;
	const struct station_config *config = NULL;
	struct fault fault;
	int config_fd = -1, listen_fd = -1;

	memset(&parent, 0, sizeof(parent));
	fault_clear(&fault);
	parent.signal_fd = parent.lock_fd = -1;
	parent.status = EX_CONFIG;
	text_copy(parent.config_path, sizeof(parent.config_path), config_path);
	log_open("parent", LOG_LEVEL_INFO);
	umask(027);
	parent.loop = loop_new();
	if (parent.loop == NULL || spawn_prepare(&fault) == -1 ||
	    parent_start(&parent, &config_fd, &listen_fd, &config, &fault) ==
		-1) {
		log_error("%s", fault.text);
		goto out;
	}
	notify_state("READY=1");
	loop_run(parent.loop, NULL, NULL);
	unlink(config->socket);
out:
	children_end(&parent.children);
	if (listen_fd != -1)
		close(listen_fd);
	if (config_fd != -1)
		close(config_fd);
	if (parent.signal_fd != -1)
		close(parent.signal_fd);
	if (parent.lock_fd != -1)
		close(parent.lock_fd);
	loop_free(parent.loop);
	return parent.status;
}
