#include "cloud/pattern.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cloud/confirm.h"
#include "pki/certificate.h"

/*
 * The control plane tells of nothing by itself, so it is asked: after one
 * second, then ever more slowly, and once more shortly before the deadline.
 */
enum {
	PAUSE_FIRST_MS = 1000,
	PAUSE_MOST_MS = 5000,
	PAUSE_LEAST_MS = 200,
	/* What a look needs itself: a later one would get no answer. */
	LOOK_MS = 1000,
};

const char *
confirm_status(const struct call *call)
{
	const char *status = json_string_value(json_object_get(
	    json_object_get(call->json, "certificateDescription"), "status"));

	return status != NULL ? status : "";
}

static void
confirm_look(struct task *task)
{
	struct confirm *confirm = task->state;

	confirm->looks++;
	confirm->look(task);
}

void
confirm_wait(struct task *task, const char *format, ...)
{
	struct confirm *confirm = task->state;
	int64_t left_ms = clock_remaining_ms(task->call.deadline_ms) - LOOK_MS;
	int64_t pause_ms =
	    confirm->pause_ms < left_ms ? confirm->pause_ms : left_ms;
	struct fault fault = {0};
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(confirm->seen, sizeof(confirm->seen), format, arguments);
	va_end(arguments);
	if (pause_ms >= PAUSE_LEAST_MS) {
		confirm->pause_ms += confirm->pause_ms / 2;
		if (confirm->pause_ms > PAUSE_MOST_MS)
			confirm->pause_ms = PAUSE_MOST_MS;
		task_later(task, pause_ms, confirm_look);
		return;
	}
	fault_set(&fault, CAUSE_NOT_CONNECTED,
	    "unit %s: no first connection within %" PRId64 " s: %s "
	    "(looked %u times)",
	    task->request.bind.serial,
	    (task->call.deadline_ms - confirm->started_ms + 500) / 1000,
	    confirm->seen, confirm->looks);
	task_fail(task, &fault);
}

void
confirm_conflict(struct task *task, const char *format, ...)
{
	struct fault fault = {0};
	char text[300];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fault_set(&fault, CAUSE_CLOUD_CONFLICT, "unit %s: %s",
	    task->request.bind.serial, text);
	text_copy(
	    fault.request_id, sizeof(fault.request_id), task->call.request_id);
	task_fail(task, &fault);
}

void
confirm_done(struct task *task, const char *certificate_id)
{
	struct message_confirm_done *done = &task->answer.confirm;

	text_copy(
	    done->certificate_id, sizeof(done->certificate_id), certificate_id);
	account_certificate_arn(
	    task->lot->account, certificate_id, done->arn, sizeof(done->arn));
	text_copy(done->cloud_state, sizeof(done->cloud_state), "ACTIVE");
	task_answer(task);
}

/* The lot's claim is no unit's own certificate. */
static void
claim_note(struct task *task)
{
	const char *pem = task->lot->image->claim_certificate;
	struct confirm *confirm = task->state;
	struct certificate certificate;

	if (pem[0] != '\0' && certificate_parse(pem, strlen(pem), CAUSE_BAD_LOT,
				  &certificate, NULL) == 0)
		text_copy(confirm->claim_id, sizeof(confirm->claim_id),
		    certificate.id);
}

void
confirm_start(struct task *task)
{
	struct confirm *confirm;
	struct fault fault = {0};

	if (!task_keep(task, sizeof(*confirm), NULL))
		return;
	confirm = task->state;
	confirm->started_ms = clock_monotonic_ms();
	confirm->pause_ms = PAUSE_FIRST_MS;
	switch ((enum pattern)task->lot->image->pattern) {
	case PATTERN_CLAIM:
	case PATTERN_TRUSTED_USER:
		claim_note(task);
		confirm->look = thing_look;
		break;
	case PATTERN_JITP:
	case PATTERN_JITR:
		if (task->request.bind.certificate_id[0] != '\0')
			confirm->look = certificate_look;
		break;
	default:
		break;
	}
	if (confirm->look != NULL) {
		confirm_look(task);
		return;
	}
	fault_set(&fault, CAUSE_INTERNAL,
	    "lot %s: its pattern has no first connection to wait for, or the "
	    "certificate that connects is not named",
	    task->lot->image->name);
	task_fail(task, &fault);
}
