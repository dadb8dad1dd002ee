/*
 * Ends one role of stationd by SIGKILL at an exact point of its work: just
 * before or after its n-th durable write (fdatasync, fsync) or its n-th sent
 * message. Loaded by LD_PRELOAD; told by KILL_SHIM=ROLE:WHAT:N where ROLE is
 * a role's name or `all` (the ledger's point, the whole daemon), and WHAT is
 * before-sync, after-sync, before-send or after-send. It happens once: the
 * file KILL_SHIM_MARK, which must exist and be empty, is opened before the
 * role confines itself and gets a byte when the kill is due.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int fdatasync(int fd);
int fsync(int fd);

static bool armed, whole, at_sync, before;
static long left, seen;
static int mark_fd = -1;

static void
role_read(char *role, size_t size)
{
	char line[256];
	ssize_t got;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	role[0] = '\0';
	if (fd == -1)
		return;
	got = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (got <= 0)
		return;
	line[got] = '\0';
	for (char *at = line; at < line + got; at += strlen(at) + 1)
		if (strcmp(at, "--role") == 0 && at + 7 < line + got)
			snprintf(role, size, "%s", at + 7);
}

__attribute__((constructor)) static void
shim_start(void)
{
	const char *order = getenv("KILL_SHIM");
	char role[32], wanted[32], what[32];

	if (order == NULL ||
	    sscanf(order, "%31[^:]:%31[^:]:%ld", wanted, what, &left) != 3)
		return;
	role_read(role, sizeof(role));
	whole = strcmp(wanted, "all") == 0;
	if (strcmp(role, whole ? "ledger" : wanted) != 0)
		return;
	mark_fd = open(getenv("KILL_SHIM_MARK"), O_RDWR | O_CLOEXEC);
	if (mark_fd == -1)
		return;
	before = strncmp(what, "before", 6) == 0;
	at_sync = strstr(what, "sync") != NULL;
	armed = true;
}

static void
die(void)
{
	char byte;

	if (lseek(mark_fd, 0, SEEK_SET) != 0 || read(mark_fd, &byte, 1) != 0 ||
	    write(mark_fd, "x", 1) != 1) {
		armed = false; /* another process was the one */
		return;
	}
	if (whole)
		kill(getppid(), SIGKILL); /* PDEATHSIG takes the others */
	raise(SIGKILL);
}

static void
point(bool sync, bool now_before)
{
	if (!armed || sync != at_sync || now_before != before)
		return;
	seen++;
	if (left > 0 && seen == left)
		die();
}

int
fdatasync(int fd)
{
	int (*real)(int);
	int status;

	*(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
	point(true, true);
	status = real(fd);
	point(true, false);
	return status;
}

int
fsync(int fd)
{
	int (*real)(int);
	int status;

	*(void **)&real = dlsym(RTLD_NEXT, "fsync");
	point(true, true);
	status = real(fd);
	point(true, false);
	return status;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int);
	ssize_t status;

	*(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
	point(false, true);
	status = real(fd, message, flags);
	point(false, false);
	return status;
}
