#include "line/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/* Above every descriptor that a role is given. */
enum {
	SPAWN_FD_SAFE = 32,
	ENVIRONMENT_MAX = 256
};

static int program_fd = -1;

int
spawn_prepare(struct fault *fault)
{
	int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);

	if (fd == -1)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "/proc/self/exe");
	program_fd = fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_FD_SAFE);
	close(fd);
	if (program_fd == -1)
		return fault_set_errno(fault, CAUSE_INTERNAL, errno, "dup");
	return 0;
}

void
spawn_fds_clear(struct spawn_fds *fds)
{
	size_t i;

	for (i = 0; i < ROLE_FD_END; i++)
		fds->fd[i] = -1;
}

/* Credentials of the cloud are for no other role's eyes. */
static bool
variable_is_kept(const char *variable, const char *role)
{
	static const char *const secrets[] = {"AWS_ACCESS_KEY_ID=",
	    "AWS_SECRET_ACCESS_KEY=", "AWS_SESSION_TOKEN=",
	    "AWS_SECURITY_TOKEN=", "AWS_CONTAINER_AUTHORIZATION_TOKEN="};
	size_t i;

	if (strncmp(variable, "AWS_", 4) != 0 || strcmp(role, "cloud") == 0)
		return true;
	/* A credential_process is run as the AWS tools run it, but it gives
	 * keys and needs none. */
	if (strcmp(role, "tool") != 0)
		return false;
	for (i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (strncmp(variable, secrets[i], strlen(secrets[i])) == 0)
			return false;
	return true;
}

static void
environment_fill(char **to, const char *role)
{
	size_t n = 0;
	char **variable;

	for (variable = environ; *variable != NULL; variable++) {
		if (!variable_is_kept(*variable, role))
			continue;
		if (n < ENVIRONMENT_MAX - 1)
			to[n++] = *variable;
	}
	to[n] = NULL;
}

static int
descriptors_place(const struct spawn_fds *fds)
{
	int safe[ROLE_FD_END], i, none;

	none = open("/dev/null", O_RDWR);
	if (none == -1)
		return -1;
	for (i = ROLE_FD_CHANNEL; i < ROLE_FD_END; i++) {
		safe[i] = fcntl(fds->fd[i] == -1 ? none : fds->fd[i], F_DUPFD,
		    SPAWN_FD_SAFE);
		if (safe[i] == -1)
			return -1;
	}
	if (dup2(none, STDIN_FILENO) == -1)
		return -1;
	for (i = ROLE_FD_CHANNEL; i < ROLE_FD_END; i++)
		if (dup2(safe[i], i) == -1)
			return -1;
	return 0;
}

static void
child_execute(const char *name, const struct spawn_fds *fds, char **environment)
{
	char program[] = "stationd", option[] = "--role", role[32];
	char *arguments[] = {program, option, role, NULL};
	sigset_t none;
	int program_copy;

	strncpy(role, name, sizeof(role) - 1);
	role[sizeof(role) - 1] = '\0';
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (descriptors_place(fds) == -1)
		_exit(71);
	program_copy = fcntl(program_fd, F_DUPFD_CLOEXEC, 1000);
	if (program_copy == -1)
		program_copy = program_fd;
	/* Everything else ends here, whatever a library left open. */
	syscall(SYS_close_range, ROLE_FD_END, program_copy - 1, 0);
	syscall(SYS_close_range, program_copy + 1, ~0U, 0);
	syscall(SYS_execveat, program_copy, "", arguments, environment,
	    AT_EMPTY_PATH);
	_exit(71);
}

pid_t
spawn_role(const char *name, const struct spawn_fds *fds, struct fault *fault)
{
	char *environment[ENVIRONMENT_MAX];
	pid_t pid;

	environment_fill(environment, name);
	pid = fork();
	if (pid == -1)
		return fault_set_errno(fault, CAUSE_INTERNAL, errno, "fork");
	if (pid == 0)
		child_execute(name, fds, environment);
	return pid;
}
