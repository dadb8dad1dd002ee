/*
 * The parent: the one role that forks, opens ports, keys and transcripts and
 * passes descriptors. It starts the others, restarts those that die, and
 * parses nothing from outside: its configuration comes checked from a load
 * role.
 */
#ifndef LINE_PARENT_H
#define LINE_PARENT_H

/* The daemon's whole life; returns its exit status (sysexits). */
int parent_run(const char *config_path);

/*
 * `stationd --role config`: parses the configuration whose path is the
 * sealed text at ROLE_FD_JOB and answers with MESSAGE_CONTROL (descriptor 0
 * the sealed struct station_config); prints the problems otherwise.
 */
int config_role(void);

#endif
