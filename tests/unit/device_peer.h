/*
 * A scripted device for tests: the other end of a pty and of the socket that
 * stands for DTR and RTS, served by a thread.
 */
#ifndef TESTS_DEVICE_PEER_H
#define TESTS_DEVICE_PEER_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "device/port.h"

enum {
	PEER_LINES_LEN = 4096
};

struct peer {
	/* Called with what the station has sent. */
	void (*take)(struct peer *, const uint8_t *, size_t);
	/* Called when the lines change; may be null. */
	void (*lines_set)(struct peer *, bool dtr, bool rts);
	void *arg;
	char lines[PEER_LINES_LEN]; /* "D0R1 D1R0 " as they came */
	size_t lines_len;

	int master, slave;
	int lines_pair[2]; /* ours, the station's */
	int stop_pair[2];
	pthread_t thread;
	atomic_bool hung_up;
};

static inline void
peer_say(struct peer *peer, const void *bytes, size_t len)
{
	const char *at = bytes;
	ssize_t put;

	while (len > 0) {
		put = write(peer->master, at, len);
		if (put <= 0)
			return;
		at += put;
		len -= (size_t)put;
	}
}

static inline void
peer_say_text(struct peer *peer, const char *text)
{
	peer_say(peer, text, strlen(text));
}

static inline void
peer_lines(struct peer *peer)
{
	char message[8] = "";
	ssize_t got;

	got = recv(peer->lines_pair[0], message, sizeof(message) - 1, 0);
	if (got != 4)
		return;
	if (peer->lines_len + 6 < sizeof(peer->lines)) {
		memcpy(peer->lines + peer->lines_len, message, 4);
		peer->lines[peer->lines_len + 4] = ' ';
		peer->lines_len += 5;
	}
	if (peer->lines_set != NULL)
		peer->lines_set(peer, message[1] == '1', message[3] == '1');
	if (send(peer->lines_pair[0], message, 4, MSG_NOSIGNAL) != 4)
		perror("peer");
}

static inline void *
peer_run(void *arg)
{
	struct peer *peer = arg;
	uint8_t bytes[4096];
	ssize_t got;

	for (;;) {
		struct pollfd polled[3] = {
		    {.fd = peer->master, .events = POLLIN},
		    {.fd = peer->lines_pair[0], .events = POLLIN},
		    {.fd = peer->stop_pair[0], .events = POLLIN}};

		if (poll(polled, 3, -1) < 0)
			continue;
		if (polled[2].revents != 0)
			return NULL;
		if (polled[1].revents != 0)
			peer_lines(peer);
		if ((polled[0].revents & POLLIN) != 0) {
			got = read(peer->master, bytes, sizeof(bytes));
			if (got > 0 && peer->take != NULL)
				peer->take(peer, bytes, (size_t)got);
		}
		if (atomic_load(&peer->hung_up)) {
			close(peer->master);
			peer->master = -1;
			return NULL;
		}
	}
}

/* Starts the peer and attaches the port to it. */
static inline void
peer_open(struct peer *peer, struct port *port)
{
	struct termios raw;

	if (openpty(&peer->master, &peer->slave, NULL, NULL, NULL) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, peer->lines_pair) != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, peer->stop_pair) != 0) {
		perror("peer");
		exit(1);
	}
	tcgetattr(peer->slave, &raw);
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 1;
	cfsetspeed(&raw, B115200);
	tcsetattr(peer->slave, TCSANOW, &raw);
	fcntl(peer->slave, F_SETFL, O_NONBLOCK);
	port_attach(port, peer->slave, peer->lines_pair[1]);
	atomic_store(&peer->hung_up, false);
	if (pthread_create(&peer->thread, NULL, peer_run, peer) != 0) {
		perror("peer");
		exit(1);
	}
}

static inline void
peer_close(struct peer *peer)
{
	if (write(peer->stop_pair[1], "", 1) != 1)
		perror("peer");
	pthread_join(peer->thread, NULL);
	if (peer->master >= 0)
		close(peer->master);
	close(peer->slave);
	close(peer->lines_pair[0]);
	close(peer->lines_pair[1]);
	close(peer->stop_pair[0]);
	close(peer->stop_pair[1]);
}

#endif
