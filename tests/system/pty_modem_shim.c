/*
 * LD_PRELOAD: gives a pty modem lines, so that libserialport opens one that
 * stands for a USB adapter under umockdev. TIOCMGET, TIOCMSET, TIOCMBIS and
 * TIOCMBIC on a pty are answered here; every other request goes on.
 *
 * $MODEM_LOG	a file that gets one line "DTR RTS" a change
 * $MODEM_LINES	a folder of bench-devices' links to their ptys, with a socket
 *		LINK.lines beside each, which is told of every change. A
 *		process that is executed with a pty open (a slot) is joined
 *		to it before main: later it may open and connect nothing.
 *		A port is opened without umockdev's server for ioctl(2),
 *		which a made-up sysfs of plain files does not have.
 *
 * The parent's rights are to the real /dev, where the ptys are, whatever
 * umockdev puts in its place.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...);
int open(const char *path, int flags, ...);
int __open_2(const char *path, int flags);

enum {
	/* devices.txt of Linux: the slaves of Unix98 ptys. */
	PTY_MAJOR_FIRST = 136,
	PTY_MAJOR_LAST = 143,
	INHERITED_FIRST = 3, /* below are a person's terminals */
	INHERITED_LAST = 31,
};

static int lines;
static int lines_fd = -1;

/* By its number: a slot may not look at paths. */
static int
is_pty(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) &&
	       major(status.st_rdev) >= PTY_MAJOR_FIRST &&
	       major(status.st_rdev) <= PTY_MAJOR_LAST;
}

static void
note(void)
{
	const char *log = getenv("MODEM_LOG");
	char text[16];
	int fd, len;

	if (log == NULL)
		return;
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	len = snprintf(text, sizeof(text), "%d %d\n", (lines & TIOCM_DTR) != 0,
	    (lines & TIOCM_RTS) != 0);
	if (len > 0 && write(fd, text, (size_t)len) != len)
		perror("pty_modem_shim");
	close(fd);
}

/* The bench-device's own words; its answer says that it has seen them. */
static void
tell(void)
{
	char text[8];

	if (lines_fd == -1)
		return;
	(void)snprintf(text, sizeof(text), "D%dR%d", (lines & TIOCM_DTR) != 0,
	    (lines & TIOCM_RTS) != 0);
	if (send(lines_fd, text, 4, MSG_NOSIGNAL) != 4 ||
	    recv(lines_fd, text, 4, 0) != 4) {
		close(lines_fd);
		lines_fd = -1;
	}
}

static void
join(const char *folder, const char *link)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int len, fd;

	len = snprintf(address.sun_path, sizeof(address.sun_path),
	    "%s/%s.lines", folder, link);
	if (len < 0 || (size_t)len >= sizeof(address.sun_path))
		return;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) ==
	    0)
		lines_fd = fd;
	else
		close(fd);
}

/* The link of the folder that leads to this pty. */
static void
device_find(const char *folder, const struct stat *pty)
{
	struct dirent *entry;
	struct stat status;
	DIR *listed = opendir(folder);

	if (listed == NULL)
		return;
	while (lines_fd == -1 && (entry = readdir(listed)) != NULL)
		if (entry->d_type == DT_LNK &&
		    fstatat(dirfd(listed), entry->d_name, &status, 0) == 0 &&
		    S_ISCHR(status.st_mode) && status.st_rdev == pty->st_rdev)
			join(folder, entry->d_name);
	closedir(listed);
}

static __attribute__((constructor)) void
start(void)
{
	const char *folder = getenv("MODEM_LINES");
	struct stat status;
	int fd;

	for (fd = INHERITED_FIRST; folder != NULL && fd <= INHERITED_LAST; fd++)
		if (is_pty(fd) && fstat(fd, &status) == 0) {
			/* As the driver leaves them at an open. */
			lines = TIOCM_DTR | TIOCM_RTS;
			device_find(folder, &status);
			break;
		}
}

/* True when the open is done here. */
static bool
open_own(const char *path, int flags, int *fd)
{
	const char *folder = getenv("UMOCKDEV_DIR");
	char made_up[PATH_MAX];

	if (strcmp(path, "/dev") == 0 && (flags & O_PATH) != 0) {
		*fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags);
		return true;
	}
	if (folder == NULL || getenv("MODEM_LINES") == NULL ||
	    strncmp(path, "/dev/ttyUSB", 11) != 0)
		return false;
	(void)snprintf(made_up, sizeof(made_up), "%s%s", folder, path);
	*fd = (int)syscall(SYS_openat, AT_FDCWD, made_up, flags);
	return true;
}

int
open(const char *path, int flags, ...)
{
	static int (*next)(const char *, int, ...);
	va_list arguments;
	mode_t mode = 0;
	int fd;

	if (open_own(path, flags, &fd))
		return fd;
	if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "open");
	return next(path, flags, mode);
}

/* What a fortified libserialport calls instead. */
int
__open_2(const char *path, int flags)
{
	static int (*next)(const char *, int);
	int fd;

	if (open_own(path, flags, &fd))
		return fd;
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "__open_2");
	return next(path, flags);
}

int
ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int, unsigned long, void *);
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "ioctl");
	if (request != TIOCMGET && request != TIOCMSET && request != TIOCMBIS &&
	    request != TIOCMBIC)
		return next(fd, request, argument);
	if (!is_pty(fd))
		return next(fd, request, argument);
	switch (request) {
	case TIOCMGET:
		*(int *)argument = lines;
		return 0;
	case TIOCMSET:
		lines = *(const int *)argument;
		break;
	case TIOCMBIS:
		lines |= *(const int *)argument;
		break;
	default:
		lines &= ~*(const int *)argument;
	}
	note();
	tell();
	return 0;
}
