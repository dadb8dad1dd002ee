/* The parent's half: opens ports and claims them for this station. */
#include <errno.h>
#include <fcntl.h>
#include <libserialport.h>
#include <linux/serial.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "device/port.h"
#include "device/port_lock.h"

#define LOCK_FOLDER "/run/lock"

void
port_claim_init(struct port_claim *claim)
{
	*claim = (struct port_claim){.fd = -1, .lines_fd = -1};
}

void
port_release(struct port_claim *claim)
{
	if (claim->fd >= 0)
		close(claim->fd);
	if (claim->lines_fd >= 0)
		close(claim->lines_fd);
	port_lock_drop(claim->lock);
	port_claim_init(claim);
}

static int
open_fault(int error, const char *node, struct fault *fault)
{
	enum fault_cause cause = CAUSE_PORT_ERROR;
	struct stat file;
	char holder[64];

	if (error == ENOENT || error == ENODEV || error == ENXIO ||
	    error == EIO)
		cause = CAUSE_UNPLUGGED;
	else if (error == EBUSY)
		cause = CAUSE_PORT_BUSY;
	if (error == EBUSY && stat(node, &file) == 0) {
		port_lock_describe(&file, holder, sizeof(holder));
		return fault_set(
		    fault, cause, "%s holds %s for itself", holder, node);
	}
	return fault_set_errno(fault, cause, error, "opening %s", node);
}

/*
 * 115200 8N1, raw. VMIN is 1: with libserialport's 0 a read of 0 bytes could
 * not be told from a hang-up. HUPCL off: see port.h.
 */
static int
settings_raw(int fd)
{
	struct termios settings;

	if (tcgetattr(fd, &settings) != 0)
		return -1;
	cfmakeraw(&settings);
	settings.c_cflag &= ~(tcflag_t)(HUPCL | CRTSCTS | CSTOPB | PARENB);
	settings.c_cflag |= CLOCAL | CREAD | CS8;
	settings.c_cc[VMIN] = 1;
	settings.c_cc[VTIME] = 0;
	if (cfsetispeed(&settings, B115200) != 0 ||
	    cfsetospeed(&settings, B115200) != 0)
		return -1;
	return tcsetattr(fd, TCSANOW, &settings);
}

/* FTDI's chips gather input for 16 ms unless they are told otherwise.
 * Other drivers and unprivileged users get an error that means nothing. */
static void
latency_lower(int fd)
{
	struct serial_struct serial;

	memset(&serial, 0, sizeof(serial));
	if (ioctl(fd, TIOCGSERIAL, &serial) != 0)
		return;
	serial.flags |= (int)ASYNC_LOW_LATENCY;
	(void)ioctl(fd, TIOCSSERIAL, &serial);
}

/* Every field: an open with one left unset fails on some ttys. */
static enum sp_return
library_configure(struct sp_port *port)
{
	struct sp_port_config *config = NULL;
	enum sp_return result;

	result = sp_new_config(&config);
	if (result != SP_OK)
		return result;
	if ((result = sp_set_config_baudrate(config, PORT_BAUD_START)) ==
		SP_OK &&
	    (result = sp_set_config_bits(config, 8)) == SP_OK &&
	    (result = sp_set_config_parity(config, SP_PARITY_NONE)) == SP_OK &&
	    (result = sp_set_config_stopbits(config, 1)) == SP_OK &&
	    (result = sp_set_config_rts(config, SP_RTS_ON)) == SP_OK &&
	    (result = sp_set_config_cts(config, SP_CTS_IGNORE)) == SP_OK &&
	    (result = sp_set_config_dtr(config, SP_DTR_ON)) == SP_OK &&
	    (result = sp_set_config_dsr(config, SP_DSR_IGNORE)) == SP_OK &&
	    (result = sp_set_config_xon_xoff(config, SP_XONXOFF_DISABLED)) ==
		SP_OK)
		result = sp_set_config(port, config);
	sp_free_config(config);
	return result;
}

/* A real tty: through libserialport, of whose handle we keep a duplicate. */
static int
tty_open(const char *node, struct fault *fault)
{
	struct sp_port *port = NULL;
	enum sp_return result;
	int handle = -1, fd = -1, error;

	result = sp_get_port_by_name(node, &port);
	if (result != SP_OK) {
		fault_set(
		    fault, CAUSE_PORT_ERROR, "%s is not a serial port", node);
		goto out;
	}
	result = sp_open(port, SP_MODE_READ_WRITE);
	if (result != SP_OK) {
		error = sp_last_error_code();
		open_fault(error != 0 ? error : EIO, node, fault);
		goto out;
	}
	/* Its errors here are of lines that a tty may not have; what matters
	 * is set again on the handle. */
	(void)library_configure(port);
	result = sp_get_port_handle(port, &handle);
	if (result == SP_OK)
		fd = fcntl(handle, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		open_fault(errno, node, fault);
	(void)sp_close(port);
out:
	sp_free_port(port);
	return fd;
}

static int
port_claim_fd(struct port_claim *claim, bool pty, struct fault *fault)
{
	struct stat file;
	char holder[64];

	if (flock(claim->fd, LOCK_EX | LOCK_NB) != 0) {
		if (fstat(claim->fd, &file) != 0)
			return open_fault(errno, claim->node, fault);
		port_lock_describe(&file, holder, sizeof(holder));
		return fault_set(fault, CAUSE_PORT_BUSY, "%s has locked %s",
		    holder, claim->node);
	}
	/* On a pty it would outlive the last close and shut us out, too. */
	if (!pty && ioctl(claim->fd, TIOCEXCL) != 0)
		return open_fault(errno, claim->node, fault);
	if (settings_raw(claim->fd) != 0)
		return open_fault(errno, claim->node, fault);
	if (!pty)
		latency_lower(claim->fd);
	(void)tcflush(claim->fd, TCIOFLUSH);
	return 0;
}

static int
lines_open(const char *path, struct fault *fault)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (text_copy(address.sun_path, sizeof(address.sun_path), path) != 0)
		return fault_set(fault, CAUSE_PORT_ERROR,
		    "the path of the lines is too long: %s", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return open_fault(errno, path, fault);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) !=
	    0) {
		/* A socket that nobody listens on is a unit that left. */
		open_fault(errno == ECONNREFUSED ? ENOENT : errno, path, fault);
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * The kernel's own name of the port: libserialport takes no other. "/dev/NAME"
 * is one already; other links, of by-path or of a bench, are followed.
 */
static int
node_resolve(const char *node, char to[PORT_NODE_LEN], struct fault *fault)
{
	char *real = NULL;
	int result = 0;

	if (strlen(node) >= PORT_NODE_LEN)
		return fault_set(
		    fault, CAUSE_PORT_ERROR, "the port's path is too long");
	if (strncmp(node, "/dev/", 5) == 0 && strchr(node + 5, '/') == NULL) {
		if (access(node, F_OK) != 0)
			return open_fault(errno, node, fault);
		return text_copy(to, PORT_NODE_LEN, node);
	}
	real = realpath(node, NULL);
	if (real == NULL)
		return open_fault(errno, node, fault);
	if (text_copy(to, PORT_NODE_LEN, real) != 0)
		result = fault_set(
		    fault, CAUSE_PORT_ERROR, "the port's path is too long");
	free(real);
	return result;
}

int
port_open(const char *node, const char *lines, struct port_claim *claim,
    struct fault *fault)
{
	const char *name;
	bool pty;

	port_claim_init(claim);
	if (node_resolve(node, claim->node, fault) != 0)
		goto out;
	pty = strncmp(claim->node, "/dev/pts/", 9) == 0;
	name = strrchr(claim->node, '/');
	if (!pty && name != NULL &&
	    port_lock_take(LOCK_FOLDER, name + 1, claim->lock,
		sizeof(claim->lock), fault) != 0)
		goto out;
	if (pty) {
		claim->fd = open(
		    claim->node, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (claim->fd < 0)
			open_fault(errno, node, fault);
	} else {
		claim->fd = tty_open(claim->node, fault);
	}
	if (claim->fd < 0 || port_claim_fd(claim, pty, fault) != 0)
		goto out;
	if (lines != NULL && lines[0] != '\0') {
		claim->lines_fd = lines_open(lines, fault);
		if (claim->lines_fd < 0)
			goto out;
	}
	return 0;
out:
	port_release(claim);
	return -1;
}
