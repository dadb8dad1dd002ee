#include "cloud/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "cloud/command_line.h"
#include "cloud/credentials_file.h"
#include "cloud/tools.h"

enum {
	COMPLAINT_MAX = 4096, /* of standard error, in the log */
	EXIT_NOT_STARTED = 127,
};

struct tool {
	struct credentials_environment environment;
	struct credentials_profile profile;
	struct message_tool job;
	struct command_line command;
	struct channel channel;
	pid_t pid;
	int process_fd, complaint_fd;
	char complaint[COMPLAINT_MAX];
	size_t complaint_len;
};

static int
job_read(struct tool *tool, struct fault *fault)
{
	const void *data;
	size_t len;

	if (file_map_sealed(ROLE_FD_JOB, sizeof(tool->job), sizeof(tool->job),
		&data, &len, fault) == -1)
		return -1;
	if (!message_check(MESSAGE_TOOL, data, len)) {
		munmap((void *)(uintptr_t)data, len);
		return fault_set(fault, CAUSE_INTERNAL, "the job is not one");
	}
	memcpy(&tool->job, data, sizeof(tool->job));
	munmap((void *)(uintptr_t)data, len);
	return 0;
}

/* Who can write the file can run anything as the daemon's user. */
static int
file_guard(const char *path, struct fault *fault)
{
	struct stat status;

	if (stat(path, &status) == -1)
		return fault_set_errno(
		    fault, CAUSE_CLOUD_CREDENTIALS, errno, "%s", path);
	if ((status.st_uid != geteuid() && status.st_uid != 0) ||
	    (status.st_mode & 022) != 0)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s is another user's, or others may write it; no command "
		    "of it is run",
		    path);
	return 0;
}

static int
command_read(struct tool *tool, struct fault *fault)
{
	const char *path = tool->environment.config_file;

	if (file_guard(path, fault) == -1 ||
	    credentials_file_read(path, CREDENTIALS_FILE_CONFIG,
		tool->job.profile, &tool->profile, fault) == -1)
		return -1;
	if (tool->profile.credential_process[0] == '\0')
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "profile %s of %s has no credential_process",
		    tool->job.profile, path);
	return command_line_split(
	    &tool->command, tool->profile.credential_process, fault);
}

/* In the child; what goes wrong is said on its standard error. */
static void __attribute__((noreturn))
command_execute(struct tool *tool, int complaint_fd)
{
	struct rlimit seconds = {
	    TOOL_TIMEOUT_MS / 1000, TOOL_TIMEOUT_MS / 1000};

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CPU, &seconds);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(ROLE_FD_FIRST, STDOUT_FILENO) != -1 &&
	    dup2(complaint_fd, STDERR_FILENO) != -1 &&
	    close_range(STDERR_FILENO + 1, ~0U, 0) == 0)
		execvp(tool->command.words[0], tool->command.words);
	dprintf(
	    STDERR_FILENO, "%s: %s\n", tool->command.words[0], strerror(errno));
	_exit(EXIT_NOT_STARTED);
}

static int
command_start(struct tool *tool, struct fault *fault)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) == -1)
		return fault_set_errno(fault, CAUSE_INTERNAL, errno, "pipe");
	tool->complaint_fd = ends[0];
	tool->pid = fork();
	if (tool->pid == 0)
		command_execute(tool, ends[1]);
	close(ends[1]);
	/* The cloud role sees the end of the pipe when the command ends. */
	close(ROLE_FD_FIRST);
	if (tool->pid == -1)
		return fault_set_errno(fault, CAUSE_INTERNAL, errno, "fork");
	/* On both sides, so that it holds whoever runs first. */
	setpgid(tool->pid, tool->pid);
	tool->process_fd = pidfd_open(tool->pid, 0);
	return tool->process_fd != -1
		   ? 0
		   : fault_set_errno(fault, CAUSE_INTERNAL, errno, "pidfd");
}

/* Reads on behind the bound, so that the command does not stand still. */
static bool
complaint_read(struct tool *tool)
{
	char bytes[1024];
	ssize_t got = read(tool->complaint_fd, bytes, sizeof(bytes));
	size_t room = COMPLAINT_MAX - tool->complaint_len;

	if (got <= 0)
		return got == -1 && errno == EINTR;
	if (room > (size_t)got)
		room = (size_t)got;
	memcpy(tool->complaint + tool->complaint_len, bytes, room);
	tool->complaint_len += room;
	return true;
}

/* Line by line; bytes that are no text are escaped by the log. */
static void
complaint_log(const struct tool *tool)
{
	const char *at = tool->complaint;
	const char *end = at + tool->complaint_len;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((stop != NULL ? stop : end) - at);

		if (len > 0)
			log_warning("%.*s", (int)len, at);
		at += len + 1;
	}
}

/* Waits for the command's end; CAUSE_NONE when it was a good one. */
static void
command_await(struct tool *tool, struct fault *fault)
{
	int64_t deadline_ms = clock_deadline(TOOL_TIMEOUT_MS);
	struct pollfd polled[3] = {{.fd = tool->process_fd, .events = POLLIN},
	    {.fd = tool->complaint_fd, .events = POLLIN},
	    {.fd = tool->channel.fd}};

	for (;;) {
		int ready = poll(polled, 3, clock_remaining_ms(deadline_ms));

		if (ready == -1 && errno == EINTR)
			continue;
		if (ready <= 0) {
			fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
			    "it did not end within %d s and was killed",
			    TOOL_TIMEOUT_MS / 1000);
			return;
		}
		if ((polled[2].revents & (POLLHUP | POLLERR)) != 0) {
			fault_set(fault, CAUSE_ROLE_DOWN, "the line ended");
			return;
		}
		if (polled[1].revents != 0 && !complaint_read(tool))
			polled[1].fd = -1;
		else if (polled[0].revents != 0)
			return;
	}
}

/* Reaps it and what it left behind, and says how it ended. */
static void
command_end(struct tool *tool, struct fault *fault)
{
	int status = 0;

	kill(-tool->pid, SIGKILL);
	while (waitpid(tool->pid, &status, 0) == -1 && errno == EINTR)
		;
	if (fault->cause != CAUSE_NONE)
		return;
	if (WIFSIGNALED(status))
		fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "it was ended by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == EXIT_NOT_STARTED)
		fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s cannot be started", tool->command.words[0]);
	else if (WEXITSTATUS(status) != 0)
		fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "it ended with status %d; what it said is in the log",
		    WEXITSTATUS(status));
}

static void
tool_run(struct tool *tool, struct fault *fault)
{
	/* Where commands send what nobody wants to read. */
	static const struct sandbox_paths paths = {.write = {"/dev/null"}};

	if (sandbox_enter(ROLE_TOOL, &paths, fault) == -1 ||
	    command_start(tool, fault) == -1)
		return;
	command_await(tool, fault);
	command_end(tool, fault);
	complaint_log(tool);
}

int
tool_role(void)
{
	static struct tool tool;
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_TOOL_DONE,
	    .sequence = 1};
	struct message_done answer;

	log_open("tool", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	memset(&answer, 0, sizeof(answer));
	channel_open(&tool.channel, ROLE_FD_CHANNEL, "line", 0);
	if (job_read(&tool, &answer.fault) == 0 &&
	    credentials_environment_take(&tool.environment, &answer.fault) ==
		0 &&
	    command_read(&tool, &answer.fault) == 0)
		tool_run(&tool, &answer.fault);
	credentials_profile_wipe(&tool.profile);
	command_line_free(&tool.command);
	channel_send_wait(&tool.channel, &header, &answer, sizeof(answer), NULL,
	    0, clock_deadline(1000), NULL);
	channel_close(&tool.channel);
	return EX_OK;
}
