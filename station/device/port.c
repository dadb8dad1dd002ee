/* The slot's half: works on descriptors it was given. */
#include "device/port.h"

#include <asm/termbits.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	LINES_TIMEOUT_MS = 1000,
	DRAIN_STEP_US = 500,
	DRAIN_STEP_MOST_US = 20000,
	BITS_A_BYTE = 10, /* 8N1 */
};

void
port_attach(struct port *port, int fd, int lines_fd)
{
	int lines;

	*port = (struct port){
	    .fd = fd,
	    .lines_fd = lines_fd,
	    .baud = PORT_BAUD_START,
	    .interrupt_fd = -1,
	};
	if (lines_fd < 0 && ioctl(fd, TIOCMGET, &lines) == 0) {
		port->dtr = (lines & TIOCM_DTR) != 0;
		port->rts = (lines & TIOCM_RTS) != 0;
	}
}

static int
unplugged(struct fault *fault)
{
	return fault_set(fault, CAUSE_UNPLUGGED, "the unit's port is gone");
}

static int
attempt_over(struct fault *fault)
{
	return fault_set(fault, CAUSE_DEADLINE, "the attempt's time is over");
}

/*
 * Waits for events on fd (the port's own or its lines). 1 ready, 0 the
 * deadline passed. A hang-up counts as ready while there is still something
 * to read.
 */
static int
port_poll(struct port *port, int fd, short events, int64_t deadline_ms,
    struct fault *fault)
{
	struct pollfd polled[2];
	int64_t until = deadline_ms;
	int count;

	if (port->deadline_ms != 0 && port->deadline_ms < until)
		until = port->deadline_ms;
	for (;;) {
		polled[0] = (struct pollfd){.fd = fd, .events = events};
		polled[1] =
		    (struct pollfd){.fd = port->interrupt_fd, .events = POLLIN};
		count = poll(polled, 2, clock_remaining_ms(until));
		if (count < 0 && errno != EINTR)
			return fault_set_errno(fault, CAUSE_PORT_ERROR, errno,
			    "waiting for the port");
		if (count > 0 && polled[1].revents != 0 &&
		    port->interrupt != NULL &&
		    port->interrupt(port->interrupt_arg, fault) != 0)
			return -1;
		if (count > 0 && (polled[0].revents & events) != 0)
			return 1;
		if (count > 0 && polled[0].revents != 0)
			return unplugged(fault);
		if (clock_remaining_ms(until) > 0)
			continue;
		if (until != deadline_ms)
			return attempt_over(fault);
		return 0;
	}
}

ssize_t
port_read(struct port *port, void *to, size_t size, int64_t deadline_ms,
    struct fault *fault)
{
	ssize_t got;
	int ready;

	for (;;) {
		ready = port_poll(port, port->fd, POLLIN, deadline_ms, fault);
		if (ready <= 0)
			return ready;
		got = read(port->fd, to, size);
		if (got > 0)
			break;
		if (got == 0 || errno == EIO || errno == ENXIO ||
		    errno == ENODEV)
			return unplugged(fault);
		if (errno != EAGAIN && errno != EINTR)
			return fault_set_errno(fault, CAUSE_PORT_ERROR, errno,
			    "reading from the port");
	}
	port->bytes_received += (uint64_t)got;
	if (port->sink != NULL && !port->quiet)
		port->sink(port->sink_arg, PORT_RECEIVED, to, (size_t)got);
	return got;
}

int
port_write(struct port *port, const void *from, size_t len, int64_t deadline_ms,
    struct fault *fault)
{
	const char *bytes = from;
	size_t at = 0;
	ssize_t put;
	int ready;

	while (at < len) {
		put = write(port->fd, bytes + at, len - at);
		if (put > 0) {
			at += (size_t)put;
			continue;
		}
		if (put < 0 &&
		    (errno == EIO || errno == ENXIO || errno == ENODEV))
			return unplugged(fault);
		if (put < 0 && errno != EAGAIN && errno != EINTR)
			return fault_set_errno(fault, CAUSE_PORT_ERROR, errno,
			    "writing to the port");
		ready = port_poll(port, port->fd, POLLOUT, deadline_ms, fault);
		if (ready < 0)
			return -1;
		if (ready == 0)
			return fault_set(fault, CAUSE_PORT_ERROR,
			    "the port takes no more bytes (%zu of %zu "
			    "written)",
			    at, len);
	}
	port->bytes_sent += len;
	if (port->sink != NULL && !port->quiet)
		port->sink(port->sink_arg, PORT_SENT, from, len);
	return 0;
}

int
port_wait_us(struct port *port, int64_t us, struct fault *fault)
{
	int64_t until_us = clock_monotonic_us() + us, left_us;

	/* poll(2) counts in milliseconds: the rest is slept. */
	if (us >= 1000 && port_poll(port, port->fd, 0,
			      clock_monotonic_ms() + us / 1000, fault) < 0)
		return -1;
	left_us = until_us - clock_monotonic_us();
	if (left_us > 0)
		clock_sleep_us(left_us);
	return 0;
}

int
port_drain(struct port *port, int64_t deadline_ms, struct fault *fault)
{
	int waiting = 0;
	int64_t step_us;

	for (;;) {
		if (ioctl(port->fd, TIOCOUTQ, &waiting) != 0)
			return errno == EIO
				   ? unplugged(fault)
				   : fault_set_errno(fault, CAUSE_PORT_ERROR,
					 errno,
					 "asking the port for unsent bytes");
		if (waiting <= 0)
			return 0;
		if (clock_remaining_ms(deadline_ms) == 0)
			return fault_set(fault, CAUSE_PORT_ERROR,
			    "the port keeps %d bytes unsent", waiting);
		step_us = (int64_t)waiting * BITS_A_BYTE * 1000000 /
			  (port->baud != 0 ? port->baud : PORT_BAUD_START);
		if (step_us < DRAIN_STEP_US)
			step_us = DRAIN_STEP_US;
		if (step_us > DRAIN_STEP_MOST_US)
			step_us = DRAIN_STEP_MOST_US;
		if (port_wait_us(port, step_us, fault) != 0)
			return -1;
	}
}

int
port_flush(struct port *port, struct fault *fault)
{
	if (ioctl(port->fd, TCFLSH, TCIFLUSH) == 0)
		return 0;
	if (errno == EIO || errno == ENODEV)
		return unplugged(fault);
	return fault_set_errno(
	    fault, CAUSE_PORT_ERROR, errno, "dropping the port's input");
}

int
port_set_baud(struct port *port, uint32_t baud, struct fault *fault)
{
	struct termios2 settings;

	/* Some adapters lose bytes at a set that changes nothing. */
	if (baud == port->baud)
		return 0;
	if (port_drain(port, clock_deadline(LINES_TIMEOUT_MS), fault) != 0)
		return -1;
	if (ioctl(port->fd, TCGETS2, &settings) != 0)
		goto failed;
	settings.c_cflag &= ~(tcflag_t)(CBAUD | (tcflag_t)CBAUD << IBSHIFT);
	settings.c_cflag |= BOTHER | (tcflag_t)BOTHER << IBSHIFT;
	settings.c_ispeed = baud;
	settings.c_ospeed = baud;
	if (ioctl(port->fd, TCSETS2, &settings) != 0)
		goto failed;
	port->baud = baud;
	return 0;
failed:
	if (errno == EIO || errno == ENODEV)
		return unplugged(fault);
	return fault_set_errno(
	    fault, CAUSE_PORT_ERROR, errno, "setting %u baud", (unsigned)baud);
}

/* One message to the socket that stands for the lines, and its echo. */
static int
lines_ask(struct port *port, bool dtr, bool rts, struct fault *fault)
{
	char ask[] = "D0R0", answer[8];
	int64_t deadline = clock_deadline(LINES_TIMEOUT_MS);
	ssize_t got;
	int ready;

	/* The answer of a wait that was interrupted is not for this one. */
	while (recv(port->lines_fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		continue;
	ask[1] = dtr ? '1' : '0';
	ask[3] = rts ? '1' : '0';
	if (send(port->lines_fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) < 0) {
		if (errno == EPIPE || errno == ECONNRESET)
			return unplugged(fault);
		return fault_set_errno(fault, CAUSE_PORT_ERROR, errno,
		    "sending %s to the port's lines", ask);
	}
	do {
		ready =
		    port_poll(port, port->lines_fd, POLLIN, deadline, fault);
		if (ready < 0)
			return -1;
		if (ready == 0)
			return fault_set(fault, CAUSE_PORT_ERROR,
			    "the port's lines did not answer %s in %d ms", ask,
			    LINES_TIMEOUT_MS);
		got = recv(port->lines_fd, answer, sizeof(answer), 0);
	} while (got < 0 && (errno == EAGAIN || errno == EINTR));
	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return unplugged(fault);
	if (got != (ssize_t)sizeof(ask) - 1 ||
	    memcmp(answer, ask, sizeof(ask) - 1) != 0)
		return fault_set(fault, CAUSE_PORT_ERROR,
		    "the port's lines did not take %s", ask);
	return 0;
}

int
port_set_lines(struct port *port, bool dtr, bool rts, struct fault *fault)
{
	int lines = 0;

	if (port->lines_fd >= 0) {
		if (lines_ask(port, dtr, rts, fault) != 0)
			return -1;
	} else {
		if (ioctl(port->fd, TIOCMGET, &lines) != 0)
			goto failed;
		lines &= ~(TIOCM_DTR | TIOCM_RTS);
		lines |= dtr ? TIOCM_DTR : 0;
		lines |= rts ? TIOCM_RTS : 0;
		if (ioctl(port->fd, TIOCMSET, &lines) != 0)
			goto failed;
	}
	port->dtr = dtr;
	port->rts = rts;
	return 0;
failed:
	if (errno == EIO || errno == ENODEV)
		return unplugged(fault);
	return fault_set_errno(
	    fault, CAUSE_PORT_ERROR, errno, "setting DTR and RTS");
}
