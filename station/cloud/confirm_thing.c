/*
 * claim and trusted-user: the unit provisions itself. When it has, its thing
 * has an ACTIVE certificate besides the claim. The newest is the unit's: it
 * holds no other any more; further ones were left by earlier tries, and the
 * answer names them.
 */
#include "cloud/confirm.h"

#include <string.h>

#include "base/buf.h"

static void candidate_ask(struct task *task);

/* ACTIVE ones only: the newest so far, or one of the others. */
static void
candidate_weigh(struct task *task, const char *id, double created_s)
{
	struct confirm *confirm = task->state;
	struct message_confirm_done *done = &task->answer.confirm;
	const char *other = id;

	if (confirm->active == 0 || created_s > confirm->newest_s) {
		other = confirm->newest;
		confirm->newest_s = created_s;
	}
	if (confirm->active > 0 && confirm->active <= OTHERS_MAX)
		text_copy(done->others[confirm->active - 1],
		    sizeof(done->others[0]), other);
	if (other == confirm->newest)
		text_copy(confirm->newest, sizeof(confirm->newest), id);
	confirm->active++;
}

static void
candidate_read(struct task *task)
{
	struct confirm *confirm = task->state;
	const struct call *call = &task->call;
	const char *id = confirm->id[confirm->next];
	const json_t *description =
	    json_object_get(call->json, "certificateDescription");

	/* Its attachment may outlive it in a list that lags. */
	if (!call_refused_as(call, "ResourceNotFound")) {
		if (task_failed(task))
			return;
		if (strcmp(confirm_status(call), "ACTIVE") == 0)
			candidate_weigh(task, id,
			    json_number_value(
				json_object_get(description, "creationDate")));
	}
	confirm->next++;
	candidate_ask(task);
}

static void
candidate_ask(struct task *task)
{
	struct confirm *confirm = task->state;

	if (confirm->next < confirm->count) {
		call_start(&task->call, task->lot->account,
		    OPERATION_DESCRIBE_CERTIFICATE, confirm->id[confirm->next]);
		task_call(task, candidate_read);
	} else if (confirm->active > 0) {
		confirm_done(task, confirm->newest);
	} else if (confirm->count > 0) {
		confirm_wait(task,
		    "%u certificate(s) are attached to thing %s, none is "
		    "ACTIVE",
		    confirm->count, task->request.bind.thing);
	} else {
		confirm_wait(task,
		    "thing %s has no certificate of the unit's own",
		    task->request.bind.thing);
	}
}

/* "arn:...:cert/ID": its certificate, unless it is the claim. */
static void
principal_add(struct confirm *confirm, const char *arn)
{
	const char *at = arn != NULL ? strstr(arn, ":cert/") : NULL;
	const char *id = at != NULL ? at + strlen(":cert/") : "";

	if (strlen(id) != CERTIFICATE_ID_LEN - 1 ||
	    strcmp(id, confirm->claim_id) == 0 ||
	    confirm->count == CONFIRM_PRINCIPALS_MAX)
		return;
	text_copy(confirm->id[confirm->count], CERTIFICATE_ID_LEN, id);
	confirm->count++;
}

static void
principals_read(struct task *task)
{
	struct confirm *confirm = task->state;
	const json_t *list, *arn;
	size_t at;

	if (call_refused_as(&task->call, "ResourceNotFound")) {
		confirm_wait(
		    task, "thing %s does not exist", task->request.bind.thing);
		return;
	}
	if (task_failed(task))
		return;
	list = json_object_get(task->call.json, "principals");
	json_array_foreach (list, at, arn) {
		principal_add(confirm, json_string_value(arn));
	}
	candidate_ask(task);
}

void
thing_look(struct task *task)
{
	struct confirm *confirm = task->state;

	confirm->count = confirm->next = confirm->active = 0;
	memset(task->answer.confirm.others, 0,
	    sizeof(task->answer.confirm.others));
	call_start(&task->call, task->lot->account,
	    OPERATION_LIST_THING_PRINCIPALS, task->request.bind.thing);
	task_call(task, principals_read);
}
