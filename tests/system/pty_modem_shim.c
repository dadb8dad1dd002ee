/*
 * LD_PRELOAD: gives a pty modem lines, so that libserialport opens one that
 * stands for a USB adapter under umockdev. TIOCMGET, TIOCMSET, TIOCMBIS and
 * TIOCMBIC on a pty are answered here and written to $MODEM_LOG, one line
 * "DTR RTS" a change; every other request goes on.
 *
 * Built as a shared object by usb_positions_test.sh.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...);

static int lines;

static int
is_pty(int fd)
{
	char link[64], path[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len <= 0)
		return 0;
	path[len] = '\0';
	return strncmp(path, "/dev/pts/", 9) == 0;
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
	return 0;
}
