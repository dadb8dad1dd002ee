/*
 * The slot role: one process, one attempt. Everything it works with was
 * handed to it (base/role.h); it opens nothing and reaches no network.
 */
#ifndef SLOT_ROLE_H
#define SLOT_ROLE_H

int slot_role(void);

#endif
