/*
 * The parent's children: which roles live, how they are joined, what they
 * are handed, and when one that died is started again.
 */
#ifndef LINE_CHILDREN_H
#define LINE_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/channel.h"
#include "base/loop.h"
#include "base/message.h"
#include "device/port.h"
#include "lot/config.h"

enum {
	CHILDREN_MAX = SLOTS_MAX + 16
};

struct child {
	bool used;
	enum role role;
	uint32_t slot;
	pid_t pid;
};

/* One of ledger, cloud, vault, hsm: lives always. */
struct child_role {
	uint32_t starts;
	struct loop_timer *timer; /* until it is started again */
	int64_t back_off_ms;
	int64_t started_ms;
	struct children *children;
	enum role role;
};

/* The parent's channel to a role that keeps keys: vault or hsm. */
struct keeper {
	struct children *children;
	enum role role;
	struct channel channel;
	struct loop_watch *watch; /* null: the role is not there */
};

struct children {
	struct loop *loop;
	const struct station_config *config; /* borrowed */
	int config_fd, listen_fd;	     /* borrowed */
	int token_fd; /* the hsm's job, or -1 when the station has no token */
	struct channel line;
	struct loop_watch *line_watch;
	struct keeper vault, hsm;
	struct child list[CHILDREN_MAX];
	struct child_role roles[ROLE_COUNT];
	struct port_claim ports[SLOTS_MAX];
	void (*line_gone)(void *arg, int status);
	void *arg;
	bool started, ending;
};

/* Starts line, ledger, cloud, vault, and hsm where a token is configured.
 * line_gone is called when the line role has ended. */
int children_start(struct children *, struct loop *,
    const struct station_config *, int config_fd, int listen_fd,
    void (*line_gone)(void *arg, int status), void *arg, struct fault *);
/* Notes a process that was started; -1 when there are too many. */
int children_add(struct children *, enum role, uint32_t slot, pid_t);
/* A message to the line, unasked or as an answer by its number. */
void children_tell_line(struct children *, uint16_t type, uint32_t sequence,
    uint64_t attempt, const void *body, size_t len, const int *fds, size_t n);
/* Reaps all that ended; to be called on SIGCHLD. */
void children_reap(struct children *);
void children_signal_line(struct children *, enum control_signal);
/* Ends all of them and waits: first by end-of-file, after 5 s by SIGKILL. */
void children_end(struct children *);

#endif
