/*
 * jitp and jitr: AWS learns of the unit's certificate when the unit connects
 * (PENDING_ACTIVATION). With jitp the CA's template provisions it, with jitr
 * the customer's Lambda or, where the lot says so, this role: thing, policy,
 * principal, groups, then ACTIVE.
 *
 * Sources: "Just-in-time provisioning" and "Register a client certificate
 * when the client connects to AWS IoT (just-in-time registration)", AWS IoT
 * Core Developer Guide.
 */
#include "cloud/confirm.h"

#include <string.h>

#include "cloud/holder.h"
#include "cloud/thing.h"

/* ---- this role activates ---- */

static void
activated(struct task *task)
{
	if (!task_failed(task))
		confirm_done(task, task->request.bind.certificate_id);
}

static void
bound(struct task *task)
{
	call_start(&task->call, task->lot->account,
	    OPERATION_UPDATE_CERTIFICATE, task->request.bind.certificate_id);
	call_query(&task->call, "newStatus", "ACTIVE");
	call_settles(&task->call);
	task_call(task, activated);
}

/* ---- someone else activates ---- */

static void
things_read(struct task *task)
{
	const struct message_register *unit = &task->request.bind;
	size_t count;
	bool ours;

	if (task_failed(task))
		return;
	count = holder_things(&task->call, unit->thing, &ours);
	if (ours)
		confirm_done(task, unit->certificate_id);
	else if (count > 0)
		confirm_conflict(task,
		    "its certificate %s was provisioned for another thing "
		    "than %s",
		    unit->certificate_id, unit->thing);
	else
		confirm_wait(task,
		    "its certificate is ACTIVE, but attached to no thing");
}

static void
things_ask(struct task *task)
{
	struct call *call = &task->call;
	char arn[256] = "";

	account_certificate_arn(task->lot->account,
	    task->request.bind.certificate_id, arn, sizeof(arn));
	call_start(
	    call, task->lot->account, OPERATION_LIST_PRINCIPAL_THINGS, NULL);
	call_principal(call, arn);
	task_call(task, things_read);
}

/* ---- the look ---- */

static void
certificate_read(struct task *task)
{
	const struct lot_image *lot = task->lot->image;
	bool here = lot->pattern == PATTERN_JITR && lot->lambda_activates == 0;
	const char *status;

	if (call_refused_as(&task->call, "ResourceNotFound")) {
		confirm_wait(task, "AWS has not seen its certificate yet");
		return;
	}
	if (task_failed(task))
		return;
	status = confirm_status(&task->call);
	/* ACTIVE, too: an earlier request may have come as far. */
	if (here && (strcmp(status, "PENDING_ACTIVATION") == 0 ||
			strcmp(status, "ACTIVE") == 0))
		thing_bind(task, bound);
	else if (strcmp(status, "ACTIVE") == 0)
		things_ask(task);
	else if (strcmp(status, "REVOKED") == 0)
		confirm_conflict(task, "its certificate %s is REVOKED",
		    task->request.bind.certificate_id);
	else
		confirm_wait(task,
		    "its certificate is %.32s: the unit has connected, but "
		    "%s has not activated it",
		    status,
		    lot->pattern == PATTERN_JITP ? "the CA's template"
						 : "the Lambda");
}

void
certificate_look(struct task *task)
{
	call_start(&task->call, task->lot->account,
	    OPERATION_DESCRIBE_CERTIFICATE, task->request.bind.certificate_id);
	task_call(task, certificate_read);
}
