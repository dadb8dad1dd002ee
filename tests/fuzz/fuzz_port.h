/*
 * A port for fuzz targets: what the station sends calls back, and the target
 * answers in the same thread. When it has nothing more to say the unit is
 * unplugged, so that no run waits for a deadline.
 */
#ifndef TESTS_FUZZ_PORT_H
#define TESTS_FUZZ_PORT_H

#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/port.h"

enum {
	FUZZ_SPAN_MS = 40
};

struct fuzz_port {
	int master, slave;
	const uint8_t *data; /* what is left to say */
	size_t len;
};

/* The lines' other end: echoes for the whole life of the process. */
static inline void *
fuzz_lines_run(void *arg)
{
	char message[8];
	int fd = *(const int *)arg;
	ssize_t got;

	while ((got = recv(fd, message, sizeof(message), 0)) > 0)
		if (send(fd, message, (size_t)got, 0) < 0)
			break;
	return NULL;
}

static inline int
fuzz_lines(void)
{
	static int pair[2] = {-1, -1};
	pthread_t thread;

	if (pair[0] >= 0)
		return pair[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0 ||
	    pthread_create(&thread, NULL, fuzz_lines_run, &pair[0]) != 0)
		abort();
	return pair[1];
}

static inline void
fuzz_port_open(struct fuzz_port *fuzz, struct port *port, const uint8_t *data,
    size_t len, void (*sink)(void *, enum port_direction, const void *, size_t))
{
	struct termios raw;

	if (openpty(&fuzz->master, &fuzz->slave, NULL, NULL, NULL) != 0)
		abort();
	tcgetattr(fuzz->slave, &raw);
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 1;
	tcsetattr(fuzz->slave, TCSANOW, &raw);
	fcntl(fuzz->slave, F_SETFL, O_NONBLOCK);
	fcntl(fuzz->master, F_SETFL, O_NONBLOCK);
	fuzz->data = data;
	fuzz->len = len;
	port_attach(port, fuzz->slave, fuzz_lines());
	port->deadline_ms = clock_deadline(FUZZ_SPAN_MS);
	port->sink = sink;
	port->sink_arg = fuzz;
}

/* Says bytes, or leaves when there is nothing more. */
static inline void
fuzz_port_say(struct fuzz_port *fuzz, const uint8_t *bytes, size_t len)
{
	uint8_t sent[4096];

	if (fuzz->master < 0)
		return;
	while (read(fuzz->master, sent, sizeof(sent)) > 0)
		continue;
	if (len > 0 && write(fuzz->master, bytes, len) < 0)
		perror("fuzz_port");
}

static inline void
fuzz_port_leave(struct fuzz_port *fuzz)
{
	if (fuzz->master >= 0)
		close(fuzz->master);
	fuzz->master = -1;
}

static inline void
fuzz_port_close(struct fuzz_port *fuzz)
{
	fuzz_port_leave(fuzz);
	close(fuzz->slave);
}

/* The next piece of the input: a length byte and that many bytes. */
static inline size_t
fuzz_port_next(struct fuzz_port *fuzz, const uint8_t **piece)
{
	size_t len;

	if (fuzz->len == 0)
		return 0;
	len = fuzz->data[0];
	if (len > fuzz->len - 1)
		len = fuzz->len - 1;
	*piece = fuzz->data + 1;
	fuzz->data += 1 + len;
	fuzz->len -= 1 + len;
	return len;
}

#endif
