#include "cloud/holder.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cloud/issue.h"

static void
holder_conflict(struct task *task, const char *why)
{
	struct fault fault = {0};

	fault_set(&fault, CAUSE_CLOUD_CONFLICT,
	    "certificate %s of %s is known to AWS and not free: it %s",
	    task->certificate_id, task->request.issue.serial, why);
	text_copy(
	    fault.request_id, sizeof(fault.request_id), task->call.request_id);
	issue_fail(task, &fault);
}

size_t
holder_things(const struct call *call, const char *thing, bool *among)
{
	const json_t *things = json_object_get(call->json, "things");
	const json_t *name;
	size_t at;

	*among = false;
	json_array_foreach (things, at, name) {
		const char *text = json_string_value(name);

		*among = *among || (text != NULL && strcmp(text, thing) == 0);
	}
	return json_array_size(things) + (call_text(call, "nextToken") != NULL);
}

static void
things_read(struct task *task)
{
	const char *thing = task->request.issue.thing;
	bool ours;
	size_t count;

	if (task->call.fault.cause != CAUSE_NONE) {
		issue_fail_call(task);
		return;
	}
	count = holder_things(&task->call, thing, &ours);
	if (count == 0 || (count == 1 && ours))
		task->found(task);
	else
		holder_conflict(task, "is attached to another thing");
}

static void
things_ask(struct task *task)
{
	struct call *call = &task->call;
	char arn[256] = "";

	account_certificate_arn(
	    task->lot->account, task->certificate_id, arn, sizeof(arn));
	call_start(
	    call, task->lot->account, OPERATION_LIST_PRINCIPAL_THINGS, NULL);
	call_principal(call, arn);
	task_call(task, things_read);
}

static void
described(struct task *task)
{
	const struct call *call = &task->call;
	const char *status;
	char why[96];

	if (call_refused_as(call, "ResourceNotFound")) {
		task->absent(task);
		return;
	}
	if (call->fault.cause != CAUSE_NONE) {
		issue_fail_call(task);
		return;
	}
	status = json_string_value(json_object_get(
	    json_object_get(call->json, "certificateDescription"), "status"));
	if (status != NULL && (strcmp(status, "INACTIVE") == 0 ||
				  (strcmp(status, "ACTIVE") == 0 &&
				      task->lot->image->activate_at_issue))) {
		things_ask(task);
		return;
	}
	snprintf(why, sizeof(why), "is %.32s",
	    status != NULL ? status : "without a status");
	holder_conflict(task, why);
}

void
holder_check(struct task *task, void (*free_for_us)(struct task *),
    void (*absent)(struct task *))
{
	task->found = free_for_us;
	task->absent = absent;
	call_start(&task->call, task->lot->account,
	    OPERATION_DESCRIBE_CERTIFICATE, task->certificate_id);
	task_call(task, described);
}
