/*
 * What each role may do: one table (sandbox.c), one call at its start.
 *
 * no_new_privs, dumpable=0, no core files, rlimits, Landlock for paths and
 * TCP, seccomp for system calls. slot, line and vault have an allow-list;
 * roles whose libraries need more (curl's resolver threads, SQLite) forbid
 * exec, fork, ptrace, process_vm_* and other escapes instead. A refused
 * call is logged with its name and ends the role (SIGSYS). A build with
 * sanitizers (STATION_SANITIZED) admits what their runtimes need; a release
 * has no switch for it.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include "base/fault.h"
#include "base/message.h"

enum {
	SANDBOX_PATHS_MAX = 32
};

struct sandbox_paths {
	const char *read[SANDBOX_PATHS_MAX]; /* null-terminated lists; a */
	const char
	    *write[SANDBOX_PATHS_MAX]; /* path that is absent is skipped */
};

/*
 * Enters the sandbox of the role for good. `paths` are what its
 * configuration adds to the table's own paths; null for none. A kernel
 * without Landlock is reported once as a warning; without seccomp it is
 * a fault.
 */
int sandbox_enter(enum role, const struct sandbox_paths *, struct fault *);

#endif
