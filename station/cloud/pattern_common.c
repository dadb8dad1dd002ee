/*
 * What patterns share: binding a certificate to its thing, activation as the
 * last step, and quota for calls that a unit will cause itself.
 */
#include "cloud/pattern.h"

#include "base/buf.h"
#include "base/clock.h"
#include "cloud/thing.h"
#include "lot/plan.h"

static void
state_answer(struct task *task, const char *state)
{
	text_copy(task->answer.cloud.cloud_state,
	    sizeof(task->answer.cloud.cloud_state), state);
	task_answer(task);
}

/* ---- MESSAGE_BIND ---- */

static void
bound(struct task *task)
{
	state_answer(task, "INACTIVE");
}

void
bind_start(struct task *task)
{
	if (task->lot->image->pattern == PATTERN_REGISTER_THING)
		register_bind_start(task);
	else
		thing_bind(task, bound);
}

/* ---- MESSAGE_ACTIVATE ---- */

static void
activated(struct task *task)
{
	if (!task_failed(task))
		state_answer(task, "ACTIVE");
}

void
activate_start(struct task *task)
{
	if (plan_is_proxy(task->lot->image)) {
		proxy_activate_start(task);
		return;
	}
	call_start(&task->call, task->lot->account,
	    OPERATION_UPDATE_CERTIFICATE, task->request.bind.certificate_id);
	call_query(&task->call, "newStatus", "ACTIVE");
	call_settles(&task->call);
	task_call(task, activated);
}

/*
 * ---- MESSAGE_PERMIT ----
 *
 * A unit's own provisioning spends the account's quota of RegisterThing: a
 * turn in that operation's queue stands for it. The turn is the answer.
 */

static void
permit_granted(void *arg)
{
	struct task *task = arg;

	/* Not from within the pacer, where others wait for their turns. */
	task_later(task, 0, task_answer);
}

static void
permit_expired(struct task *task)
{
	struct fault fault = {0};

	fault_set(&fault, CAUSE_CLOUD_THROTTLED,
	    "no turn for a unit's RegisterThing until the deadline: more "
	    "units wait than the station's share of AWS's quota");
	task_fail(task, &fault);
}

void
permit_start(struct task *task)
{
	task->turn.granted = permit_granted;
	task->turn.arg = task;
	task->next = permit_expired;
	loop_timer_set(task->timer, task->call.deadline_ms);
	account_permit(
	    task->lot->account, OPERATION_REGISTER_THING, &task->turn);
}
