/*
 * Making a unit's thing, or taking the one that is there when it is ours.
 *
 * Ours is a thing whose attributes `serial` and `lot` say so: these two are
 * on every thing that a station makes. `station` and `firmware` are there as
 * well where the lot has a thing type; without one AWS takes three
 * attributes a thing (50 with one).
 */
#ifndef CLOUD_THING_H
#define CLOUD_THING_H

#include <jansson.h>

#include "base/fault.h"
#include "cloud/task.h"

enum {
	ATTRIBUTES_PLAIN_MAX = 3, /* of a thing without a type */
	ATTRIBUTES_TYPED_MAX = 50,
};

/*
 * The attributes of a unit's thing as an owned JSON object of texts; null
 * with CAUSE_BAD_LOT when a rule cannot be expanded, gives what AWS does not
 * take, or contradicts what is built in. Empty values are left out: AWS
 * takes them as a wish to remove the attribute.
 */
json_t *thing_attributes(const struct lot_image *, const char *station,
    const struct message_register *, struct fault *);

/*
 * Makes the thing of task->request.bind with its type and attributes, then
 * goes on with made(task). A thing that is there already is left alone or
 * updated (only what is ours, merged) when it is this unit's; else the task
 * ends with CAUSE_CLOUD_CONFLICT. With `adopt` that holds for another
 * station's thing too, without it such a thing is left as it is.
 */
void thing_make(struct task *, bool adopt, void (*made)(struct task *));

/* Adds it to the lot's groups one by one, then goes on with made(task). */
void thing_group(struct task *, void (*made)(struct task *));

/*
 * Makes all that a certificate needs in the cloud, of task->request.bind:
 * its thing (by thing_make, with `adopt`), the lot's policy, the principal,
 * the groups; in this order a certificate has rights only when its thing is
 * known. Goes on with bound(task). A repeat changes nothing.
 */
void thing_bind(struct task *, void (*bound)(struct task *));

#endif
