#include "device/port_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"

enum {
	LOCK_TRIES = 3
};

/* The process that a lock file names; 0 when it cannot be told. */
static pid_t
lock_holder(const char *path)
{
	char text[32] = "";
	ssize_t got;
	long pid;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return 0;
	pid = strtol(text, NULL, 10);
	return pid > 0 && pid < 1 << 30 ? (pid_t)pid : 0;
}

static void
process_name(pid_t pid, char *name, size_t size)
{
	char path[40];
	ssize_t got = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		got = read(fd, name, size - 1);
		close(fd);
	}
	name[got > 0 ? got : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

/* proc_locks(5): "1: FLOCK ADVISORY WRITE 12 00:1c:5 0 EOF", the device in
 * hexadecimal. 0 when nobody is named. */
static pid_t
flock_holder(const struct stat *file)
{
	unsigned device_major, device_minor;
	unsigned long long inode;
	char line[256];
	pid_t pid = 0;
	FILE *locks;
	int found;

	locks = fopen("/proc/locks", "re");
	if (locks == NULL)
		return 0;
	while (pid == 0 && fgets(line, sizeof(line), locks) != NULL) {
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &found,
			&device_major, &device_minor, &inode) == 4 &&
		    makedev(device_major, device_minor) == file->st_dev &&
		    inode == file->st_ino)
			pid = found;
	}
	fclose(locks);
	return pid;
}

void
port_lock_describe(const struct stat *file, char *to, size_t size)
{
	pid_t pid = flock_holder(file);
	char name[32];

	if (pid <= 0) {
		snprintf(to, size, "another program");
		return;
	}
	process_name(pid, name, sizeof(name));
	snprintf(to, size, "process %d (%s)", (int)pid,
	    name[0] != '\0' ? name : "unknown");
}

static int
lock_busy(const char *path, pid_t pid, struct fault *fault)
{
	char name[32];

	process_name(pid, name, sizeof(name));
	return fault_set(fault, CAUSE_PORT_BUSY,
	    "process %d (%s) holds the port by %s", (int)pid,
	    name[0] != '\0' ? name : "unknown", path);
}

/*
 * A complete lock file appears at once: it is written under a name of its
 * own and then linked. 0 taken, 1 somebody has it, -1 not possible here.
 */
static int
lock_link(const char *folder, const char *path)
{
	char own[128], text[16];
	int fd, len, result = -1;

	len = snprintf(own, sizeof(own), "%s/LTMP.%d", folder, (int)getpid());
	if (len < 0 || (size_t)len >= sizeof(own))
		return -1;
	(void)unlink(own);
	fd = open(own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	len = snprintf(text, sizeof(text), "%10d\n", (int)getpid());
	if (file_write_all(fd, text, (size_t)len) == 0) {
		if (link(own, path) == 0)
			result = 0;
		else if (errno == EEXIST)
			result = 1;
	}
	close(fd);
	(void)unlink(own);
	return result;
}

int
port_lock_take(const char *folder, const char *name, char *path, size_t size,
    struct fault *fault)
{
	pid_t pid;
	int i, len, result;

	len = snprintf(path, size, "%s/LCK..%s", folder, name);
	if (len < 0 || (size_t)len >= size) {
		path[0] = '\0';
		return 0;
	}
	for (i = 0; i < LOCK_TRIES; i++) {
		result = lock_link(folder, path);
		if (result == 0)
			return 0;
		if (result < 0)
			break;
		pid = lock_holder(path);
		/* Our own lock of an attempt that was not released. */
		if (pid != 0 && pid != getpid() &&
		    (kill(pid, 0) == 0 || errno == EPERM)) {
			lock_busy(path, pid, fault);
			path[0] = '\0';
			return -1;
		}
		if (unlink(path) != 0 && errno != ENOENT)
			break;
	}
	path[0] = '\0';
	return 0;
}

void
port_lock_drop(const char *path)
{
	if (path[0] != '\0')
		(void)unlink(path);
}
