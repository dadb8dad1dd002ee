/*
 * The tool role: runs one credential_process and ends.
 *
 * stationd starts it as `--role tool` with the channel to the line, the write
 * end of the cloud role's pipe (ROLE_FD_FIRST) and its job, a sealed struct
 * message_tool (ROLE_FD_JOB). The job names a profile, never a command: what
 * is executed stands in the AWS config file of the daemon's user, which the
 * role reads itself and which nobody else may be able to write. So not even a
 * cloud role that was taken over chooses what runs.
 *
 * The command has /dev/null for input, the pipe for output, a process group
 * of its own and TOOL_TIMEOUT_MS; then, or when the station ends, the group
 * is killed. What it says on standard error is logged up to a bound. How it
 * ended goes to the line as MESSAGE_TOOL_DONE. It has the daemon's
 * environment without AWS's secret variables (line/spawn.c).
 */
#ifndef CLOUD_TOOL_H
#define CLOUD_TOOL_H

/* An exit status of sysexits(3). */
int tool_role(void);

#endif
