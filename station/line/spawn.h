/*
 * Starting a role: fork, put its descriptors where base/role.h says, drop
 * all others, and execute the very same program file again.
 */
#ifndef LINE_SPAWN_H
#define LINE_SPAWN_H

#include <sys/types.h>

#include "base/fault.h"
#include "base/message.h"
#include "base/role.h"

/* Once, before anything else is opened: keeps the program file. */
int spawn_prepare(struct fault *);

/* fds[n] for n in ROLE_FD_CHANNEL..ROLE_FD_END-1; -1 gives /dev/null. */
struct spawn_fds {
	int fd[ROLE_FD_END];
};
void spawn_fds_clear(struct spawn_fds *);

/*
 * Starts `stationd --role name`. AWS_* variables of the environment go to
 * the cloud role only. Returns the process id or -1. The descriptors stay
 * the caller's.
 */
pid_t spawn_role(const char *name, const struct spawn_fds *, struct fault *);

#endif
