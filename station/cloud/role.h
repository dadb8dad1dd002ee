/*
 * The cloud role: the only one with AWS credentials and a network.
 *
 * stationd starts it as `--role cloud` with the channel to the line and the
 * sealed configuration. The line names the open lots (CLOUD_LOT) before it
 * asks anything for them; each request is a task (task.h), and many run at
 * once. A request whose (attempt, sequence) is under way already is taken as
 * a resend and gets the one answer.
 */
#ifndef CLOUD_ROLE_H
#define CLOUD_ROLE_H

/* Runs until its channel ends; an exit status of sysexits(3). */
int cloud_role(void);

#endif
