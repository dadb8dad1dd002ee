/*
 * Roles of one job each, started for the line: a slot with its port, its
 * sealed files and its pair with the vault; a load; a report with the
 * client's descriptor. Run by the parent.
 */
#ifndef LINE_JOB_H
#define LINE_JOB_H

#include "base/channel.h"
#include "line/children.h"

/* Carries out MESSAGE_SPAWN and answers it. */
void job_spawn(struct children *, const struct message *);

#endif
