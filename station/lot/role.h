/*
 * The load role: parses a lot's files, which people and other systems
 * wrote, in a process of its own that can do nothing else.
 *
 * ROLE_FD_CONFIG: sealed struct station_config. ROLE_FD_CHANNEL: the line,
 * which sends MESSAGE_LOAD_LOT and gets MESSAGE_LOAD_LOT_DONE.
 */
#ifndef LOT_ROLE_H
#define LOT_ROLE_H

/* Runs until the channel ends; the exit status is one of sysexits(3). */
int load_role(void);

#endif
