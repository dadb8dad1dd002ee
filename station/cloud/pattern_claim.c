/*
 * Pattern `claim`: the unit will make itself known with the lot's claim
 * certificate, out in the field. Its thing is made now, so that the account
 * knows every unit that may come. A repeat changes nothing, not even when
 * another station repeats it: the first station's name stays on the thing.
 */
#include "cloud/pattern.h"

#include "base/buf.h"
#include "cloud/thing.h"

static void
preregistered(struct task *task)
{
	text_copy(task->answer.cloud.cloud_state,
	    sizeof(task->answer.cloud.cloud_state), "PRE-REGISTERED");
	task_answer(task);
}

static void
thing_made(struct task *task)
{
	thing_group(task, preregistered);
}

void
preregister_start(struct task *task)
{
	thing_make(task, false, thing_made);
}
