/*
 * What all ways of getting a certificate share: judging it, answering with
 * it, and finding out what became of a call whose answer was lost.
 *
 * Calls that issue make another certificate each time, so none is repeated
 * blindly: the station looks for a certificate of the unit's key, twice with
 * a pause because lists lag behind writes, and only then asks again. What may
 * be left behind is counted in task->stray, and the answer says how much.
 */
#ifndef CLOUD_ISSUE_H
#define CLOUD_ISSUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "cloud/task.h"

enum {
	ISSUES_MAX = 3, /* calls for one request */
};

/*
 * Checks the request once more, because the slot that brings it may have been
 * taken over by its device: that it is one, that it names the serial, and
 * that its key is the one that was announced. False, and the task has ended,
 * when it is not.
 */
bool issue_check_csr(struct task *);
/*
 * The same for a certificate that the unit holds; its id is in
 * task->certificate_id then.
 */
bool issue_check_certificate(struct task *);

/*
 * Answers with a certificate that exists, after checking that it is for the
 * request's key under the id that its bytes give. arn null: made from the
 * id. CAUSE_CLOUD_ANSWER otherwise.
 */
void
issue_take(struct task *, const char *id, const char *pem, const char *arn);

/*
 * Ends the task with that fault and the number of strays. While one is
 * unaccounted for, no fault is final: the cause becomes CLOUD_UNSURE, so that
 * the ledger keeps looking.
 */
void issue_fail(struct task *, const struct fault *);
/* With the call's fault. */
void issue_fail_call(struct task *);

/*
 * Looks for a certificate of the request's key that was made since then (0:
 * at any time), then goes on with found(task), which reads task->lookup, or
 * absent(task). A look that fails ends the task.
 */
void issue_look(struct task *, int64_t since_wall_ms,
    void (*found)(struct task *), void (*absent)(struct task *));
/* The same for the call that was lost just now. */
void issue_look_lost(
    struct task *, void (*found)(struct task *), void (*absent)(struct task *));
/* The same for an earlier request's, as message_issue.look_up asks. */
void issue_look_earlier(
    struct task *, void (*found)(struct task *), void (*absent)(struct task *));

#endif
