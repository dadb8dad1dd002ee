/*
 * May a unit have a certificate that AWS knows already?
 *
 * For patterns where the unit brought its certificate along: a registration
 * whose answer was lost, or one by someone else.
 */
#ifndef CLOUD_HOLDER_H
#define CLOUD_HOLDER_H

#include "cloud/task.h"

/*
 * Describes task->certificate_id and lists its things. free_for_us(task) when
 * it is INACTIVE (or ACTIVE where the lot's template makes it so) and
 * attached to no thing but task->request.issue.thing; absent(task) when AWS
 * has no such certificate; else the task ends with CAUSE_CLOUD_CONFLICT.
 */
void holder_check(struct task *, void (*free_for_us)(struct task *),
    void (*absent)(struct task *));

/* The things of a ListPrincipalThings answer: how many, and is that one
 * among them? An unread page counts as one more. */
size_t holder_things(const struct call *, const char *thing, bool *among);

#endif
