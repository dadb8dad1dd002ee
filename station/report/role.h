/*
 * The report role: one job, one process. It reads the ledger's file in one
 * snapshot, so that the line goes on meanwhile, and streams to its
 * descriptor.
 */
#ifndef REPORT_ROLE_H
#define REPORT_ROLE_H

/*
 * As base/role.h says: channel, configuration, and ROLE_FD_FIRST for the
 * output. Takes one MESSAGE_REPORT and ends after its answer.
 */
int report_role(void);

#endif
