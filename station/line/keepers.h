/*
 * The parent's part in keys: it opens their files, hands them to the roles
 * that keep them (vault, hsm), and joins the vault with cloud. It reads none
 * of them.
 */
#ifndef LINE_KEEPERS_H
#define LINE_KEEPERS_H

#include "line/children.h"

void keepers_init(struct children *);
/*
 * A new channel for a role that is about to be started; *role_end is the
 * caller's. What the role's last process had is closed. -1 with errno.
 */
int keeper_open(struct keeper *, int *role_end);
void keeper_close(struct keeper *);
/* As channel_send; -1 also when the role is not there. */
int keeper_send(struct keeper *, const struct message_header *,
    const void *body, size_t len, const int *fds, size_t fd_count);

/* The line's requests. OPEN_KEY is answered when the keeper has answered. */
void keepers_open_key(struct children *, const struct message *);
void keepers_forget(struct children *, const struct message *);
void keepers_join_cloud(struct children *, const struct message *);

#endif
