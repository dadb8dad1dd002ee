/*
 * A serial port, in two halves.
 *
 * The parent role opens: it may open(2), and it alone. It passes the
 * descriptors on and keeps the claim until the slot's process has ended.
 * The slot role works on descriptors it was given, with deadlines on the
 * monotonic clock, and never opens anything.
 *
 * libserialport opens and configures a real tty; a pty, which it refuses,
 * is the port of a bench without hardware. A pty has no modem lines:
 * there a SOCK_SEQPACKET socket stands for them. A message `D1R0` asserts
 * DTR and releases RTS in one act and is answered by the same text.
 */
#ifndef DEVICE_PORT_H
#define DEVICE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fault.h"

enum {
	PORT_NODE_LEN = 512,
	PORT_LOCK_LEN = 96,
	PORT_BAUD_START = 115200, /* of ROM loaders and of port_open */
	PORT_SEQUENCE_LEN = 96,	  /* text of a line sequence, with its NUL */
};

/* ---- the parent's half ---- */

struct port_claim {
	int fd;	      /* 115200 8N1, raw, non-blocking, close-on-exec; or -1 */
	int lines_fd; /* socket that stands for the lines; or -1 */
	char node[PORT_NODE_LEN]; /* the real path */
	char lock[PORT_LOCK_LEN]; /* UUCP lock file that is ours; or empty */
};

/* All descriptors -1, all texts empty. */
void port_claim_init(struct port_claim *);
/*
 * Opens node (a symbolic link is followed) for this station alone: UUCP
 * lock file where the folder can be written, flock and TIOCEXCL; HUPCL is
 * cleared, because a close that drops DTR and RTS resets the board.
 * lines is the socket's path, or null or empty for the tty's own lines.
 * CAUSE_UNPLUGGED when the node is gone, CAUSE_PORT_BUSY with the holder's
 * process when another program has it, else CAUSE_PORT_ERROR.
 */
int port_open(
    const char *node, const char *lines, struct port_claim *, struct fault *);
/* Closes what is still open and removes the lock file. Once the descriptors
 * have been passed on, the holder may close them early and set them to -1;
 * the lock file stays until port_release. */
void port_release(struct port_claim *);

/* ---- the slot's half ---- */

enum port_direction {
	PORT_SENT,
	PORT_RECEIVED
};

struct port {
	int fd;	      /* borrowed */
	int lines_fd; /* borrowed; -1: the tty's own lines */
	uint32_t baud;
	bool dtr, rts; /* asserted; as set last */
	uint64_t bytes_sent, bytes_received;
	int64_t deadline_ms; /* of the whole attempt; 0 none: past it every
				wait fails with CAUSE_DEADLINE */
	/*
	 * A further descriptor that every wait watches: when it is readable,
	 * interrupt(arg) is called and may end the wait by returning -1 with
	 * the fault filled. -1: none.
	 */
	int interrupt_fd;
	int (*interrupt)(void *arg, struct fault *);
	void *interrupt_arg;
	/* Sees every byte that passes, unless quiet is set. May be null. */
	void (*sink)(void *arg, enum port_direction, const void *, size_t len);
	void *sink_arg;
	bool quiet; /* bulk or secret data pass: the sink is not called */
};

/* Borrows both descriptors; lines_fd -1 where the tty has lines. Everything
 * optional is off. */
void port_attach(struct port *, int fd, int lines_fd);

/*
 * Reads what is there, waiting until the deadline for the first byte.
 * Returns the count, 0 when the deadline passed without a byte, -1 with
 * CAUSE_UNPLUGGED (hang-up), CAUSE_PORT_ERROR, CAUSE_DEADLINE or the
 * interrupt's own fault.
 */
ssize_t port_read(
    struct port *, void *to, size_t size, int64_t deadline_ms, struct fault *);
/* All of it. A port that takes nothing until the deadline is a
 * CAUSE_PORT_ERROR. */
int port_write(struct port *, const void *from, size_t len, int64_t deadline_ms,
    struct fault *);
/* Waits, minding the interrupt, the hang-up and the attempt's deadline. */
int port_wait_us(struct port *, int64_t us, struct fault *);
/* Waits until the kernel has passed every written byte to the adapter. */
int port_drain(struct port *, int64_t deadline_ms, struct fault *);
/* Drops what was received and not yet read. */
int port_flush(struct port *, struct fault *);
/* Any rate (BOTHER), 8N1; drains first. */
int port_set_baud(struct port *, uint32_t baud, struct fault *);
/* Both modem lines in one act. */
int port_set_lines(struct port *, bool dtr, bool rts, struct fault *);

/*
 * A line sequence in esptool's language: steps joined by `|`. `D0`, `D1`
 * release or assert DTR, `R0`, `R1` RTS, `U1,0` DTR and RTS at once, `W0.1`
 * waits 0.1 s (at most 10 s).
 */
int port_run_sequence(struct port *, const char *sequence, struct fault *);
/* Null when the text is a good sequence, else what is wrong with it. */
const char *port_sequence_error(const char *sequence);

#endif
