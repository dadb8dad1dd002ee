/*
 * How a role finds what it was given. stationd re-executes itself as
 * `stationd --role NAME` with these descriptors open and no other; a role
 * of which one is absent has /dev/null there.
 */
#ifndef BASE_ROLE_H
#define BASE_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/message.h"

enum {
	ROLE_FD_CHANNEL = 3,  /* to the line; the line's own: to the parent */
	ROLE_FD_CONFIG = 4,   /* sealed struct station_config; load: unused */
	ROLE_FD_FIRST = 5,    /* vault, hsm: channel to the parent; report:
				 output; slot: its port */
	ROLE_FD_LINES = 6,    /* slot: socket that stands for DTR and RTS */
	ROLE_FD_JOB = 7,      /* slot: sealed struct slot_job; hsm: sealed
				 struct role_token */
	ROLE_FD_LOT = 8,      /* slot: sealed struct lot_image */
	ROLE_FD_FIRMWARE = 9, /* slot: sealed device/firmware.h file */
	ROLE_FD_TRANSCRIPT = 10, /* slot: append-only file */
	ROLE_FD_VAULT = 11,	 /* slot: private pair with the vault */
	ROLE_FD_END = 12,
};

enum {
	TOKEN_PATHS_MAX = 4
};
/* What the hsm role opens: the PKCS #11 module, and what that needs. */
struct role_token {
	char module[PATH_LEN];
	uint32_t path_count;
	char paths[TOKEN_PATHS_MAX][PATH_LEN]; /* files and folders */
};

/*
 * Each role's main function; declared in the folder's role header
 * (ledger/role.h: int ledger_role(void)). It maps what it needs, enters its
 * sandbox before it reads the first message, runs until its channel ends
 * and returns an exit status of sysexits(3).
 */

/* False when fd is closed or the null device that stands for absence. */
bool role_fd_given(int fd);

#endif
