#include "cloud/thing.h"

static void
groups_joined(struct task *task)
{
	task->bound(task);
}

static void
principal_attached(struct task *task)
{
	if (!task_failed(task))
		thing_group(task, groups_joined);
}

static void
principal_attach(struct task *task)
{
	call_start(&task->call, task->lot->account,
	    OPERATION_ATTACH_THING_PRINCIPAL, task->request.bind.thing);
	call_principal(&task->call, task->request.bind.arn);
	call_settles(&task->call);
	task_call(task, principal_attached);
}

static void
policy_attached(struct task *task)
{
	if (!task_failed(task))
		principal_attach(task);
}

static void
policy_attach(struct task *task)
{
	struct call *call = &task->call;

	call_start(call, task->lot->account, OPERATION_ATTACH_POLICY,
	    task->lot->image->policy);
	call_body(call, json_pack("{s:s}", "target", task->request.bind.arn));
	call_settles(call);
	task_call(task, policy_attached);
}

void
thing_bind(struct task *task, void (*bound)(struct task *))
{
	struct message_register *bind = &task->request.bind;

	task->bound = bound;
	if (bind->arn[0] == '\0')
		account_certificate_arn(task->lot->account,
		    bind->certificate_id, bind->arn, sizeof(bind->arn));
	thing_make(task, true, policy_attach);
}
