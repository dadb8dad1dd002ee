/*
 * `station bulk LOT`: the lot's staged units are registered in one task.
 *
 *	ledger   which units, and the file of their parameters
 *	cloud    uploads it, starts the task or finds the one that was started
 *	         under the same key, and is asked until it has ended
 *	ledger   takes the reports in: certificates to units
 *
 * The key of the uploaded object is the ledger's, so that after a crash
 * anywhere the same command goes on where it was.
 */
#include "line/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	POLL_MS = 2000,
	START_TIMEOUT_MS = 600000,
	POLL_TIMEOUT_MS = 300000,
};

struct bulk_job {
	struct open_lot *lot;
	struct control_request *request;
	struct message_bulk bulk;	 /* as it is asked for */
	struct message_bulk_done status; /* the latest */
	struct loop_timer *timer;
};

static void
bulk_tell(const struct bulk_job *job, const struct fault *fault, bool ended)
{
	const struct message_bulk_done *status = &job->status;
	const struct fault_row *row = fault_row(fault->cause);
	bool failed = fault->cause != CAUSE_NONE;

	control_server_event(job->lot->line->server, "bulk",
	    job->lot->image->name,
	    json_pack("{ss,ss,ss,ss,si,si,si,si,si,si,sb,ss,ss,ss}", "lot",
		job->lot->image->name, "key", job->bulk.key, "task",
		job->bulk.task, "status", status->status, "units",
		(int)status->units, "percent", (int)status->percent,
		"succeeded", (int)status->succeeded, "failed",
		(int)status->failed, "issued", (int)status->issued, "refused",
		(int)status->refused, "ended", ended, "cause",
		failed ? row->name : "", "text",
		failed ? fault->text : status->text, "action",
		failed ? row->action : ""));
}

static void
bulk_finish(struct bulk_job *job, const struct fault *fault)
{
	if (job->request != NULL)
		control_reply_fault(job->request, fault);
	else
		bulk_tell(job, fault, true);
	if (fault->cause != CAUSE_NONE)
		board_note(job->lot->line, RING_ERROR,
		    "lot %s: bulk registration: %s", job->lot->image->name,
		    fault->text);
	loop_timer_free(job->lot->line->loop, job->timer);
	job->lot->bulk = NULL;
	free(job);
}

/* True, and the job is over, when the answer is a refusal. */
static bool
bulk_failed(struct bulk_job *job, struct message *answer,
    struct message_bulk_done *done)
{
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		bulk_finish(job, &fault);
		return true;
	}
	memcpy(done, answer->body.bytes, sizeof(*done));
	return false;
}

static void
bulk_call(struct bulk_job *job, enum role role, uint16_t type,
    int64_t timeout_ms, const int *fds, size_t fd_count, call_done *done)
{
	struct message_bulk body = job->bulk;

	body.lot = role == ROLE_LEDGER ? job->lot->id : job->lot->index;
	line_call(job->lot->line, role, type, 0, timeout_ms, &body,
	    sizeof(body), fds, fd_count, done, job);
}

/* ---- the stages, last one first ---- */

static void
bulk_taken(void *arg, struct message *answer)
{
	struct bulk_job *job = arg;
	struct message_bulk_done done;
	struct fault none;

	if (bulk_failed(job, answer, &done))
		return;
	job->status.issued = done.issued;
	job->status.refused = done.refused;
	text_copy(job->status.text, sizeof(job->status.text), done.text);
	board_note(job->lot->line, RING_NOTICE,
	    "lot %s: bulk registration ended: %u certificates, %u units "
	    "without one",
	    job->lot->image->name, done.issued, done.refused);
	fault_clear(&none);
	bulk_finish(job, &none);
}

static void
bulk_polled(void *arg, struct message *answer)
{
	struct bulk_job *job = arg;
	struct message_bulk_done done;
	struct fault fault;

	call_fault(answer, &fault);
	/* The task goes on without us: ask again. */
	if (fault_row(fault.cause)->class == FAULT_CLASS_RETRY) {
		loop_timer_set(job->timer, clock_deadline(POLL_MS));
		return;
	}
	if (bulk_failed(job, answer, &done))
		return;
	done.units = job->status.units;
	job->status = done;
	fault_clear(&fault);
	bulk_tell(job, &fault, false);
	if (done.ended == 0) {
		loop_timer_set(job->timer, clock_deadline(POLL_MS));
		return;
	}
	if (answer->fd_count < 2) {
		fault_set(&fault, CAUSE_INTERNAL,
		    "task %s ended without its reports", job->bulk.task);
		bulk_finish(job, &fault);
		return;
	}
	text_copy(job->bulk.status, sizeof(job->bulk.status), done.status);
	bulk_call(job, ROLE_LEDGER, MESSAGE_BULK_RESULT, 0, answer->fds, 2,
	    bulk_taken);
}

static void
bulk_poll(void *arg)
{
	struct bulk_job *job = arg;

	bulk_call(job, ROLE_CLOUD, MESSAGE_BULK_POLL, POLL_TIMEOUT_MS, NULL, 0,
	    bulk_polled);
}

static void
bulk_started(void *arg, struct message *answer)
{
	struct bulk_job *job = arg;
	struct message_bulk_done done;

	if (bulk_failed(job, answer, &done))
		return;
	text_copy(job->bulk.task, sizeof(job->bulk.task), done.task);
	board_note(job->lot->line, RING_NOTICE,
	    "lot %s: registration task %s is at work on %u units",
	    job->lot->image->name, done.task, job->status.units);
	control_reply(job->request,
	    json_pack("{ss,ss,si,sb}", "key", job->bulk.key, "task",
		job->bulk.task, "units", (int)job->status.units, "resumed",
		(int)job->status.resumed));
	job->request = NULL;
	bulk_poll(job);
}

static void
bulk_begun(void *arg, struct message *answer)
{
	struct bulk_job *job = arg;
	struct message_bulk_done done;
	struct fault fault;

	if (bulk_failed(job, answer, &done))
		return;
	if (answer->fd_count < 1) {
		fault_set(&fault, CAUSE_INTERNAL,
		    "the ledger gave no parameter file");
		bulk_finish(job, &fault);
		return;
	}
	job->status = done;
	job->bulk.bulk = done.bulk;
	text_copy(job->bulk.key, sizeof(job->bulk.key), done.key);
	bulk_call(job, ROLE_CLOUD, MESSAGE_BULK_START, START_TIMEOUT_MS,
	    answer->fds, 1, bulk_started);
}

void
bulk_start(struct open_lot *lot, const char *operator,
    struct control_request * request)
{
	struct bulk_job *job;

	if (lot->image->pattern != PATTERN_BULK || lot->bulk != NULL) {
		control_reply_error(request, "bad-request",
		    lot->bulk != NULL
			? "the lot's bulk registration is under way"
			: "the lot's pattern is not bulk",
		    "Correct the command.", 64);
		return;
	}
	job = calloc(1, sizeof(*job));
	if (job == NULL || (job->timer = loop_timer(
				lot->line->loop, bulk_poll, job)) == NULL) {
		log_error("out of memory");
		abort();
	}
	job->lot = lot;
	job->request = request;
	lot->bulk = job;
	text_copy(job->bulk.operator, sizeof(job->bulk.operator), operator);
	bulk_call(job, ROLE_LEDGER, MESSAGE_BULK_BEGIN, 0, &lot->image_fd, 1,
	    bulk_begun);
}
