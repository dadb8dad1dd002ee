/*
 * The ledger role: SQLite and nothing else. It answers the line's requests,
 * many in one transaction when many wait, and never loses one that it has
 * answered.
 */
#ifndef LEDGER_ROLE_H
#define LEDGER_ROLE_H

/* As base/role.h says: channel and configuration; nothing else. */
int ledger_role(void);

#endif
