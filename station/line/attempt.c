/*
 * An attempt's beginning and end. Its process is born and dies here; what it
 * asks for is journey.c's.
 */
#include "line/line.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "lot/plan.h"

enum {
	SLOT_QUEUE = 64,
	/* A process keeps its own deadlines, and the cloud's within them; what
	 * outlives them by so much is ended from outside. */
	WATCHDOG_MS = 960000,
	ENDING_MS = 5000,     /* from its verdict's answer to its end */
	ABORTING_MS = 150000, /* from an abort to its verdict: one cloud call */
	CRASHES_SPAN_MS = 600000, /* three in it hold a slot */
};

static const char *const states[] = {
    [SLOT_EMPTY] = "empty",
    [SLOT_WAITING] = "waiting",
    [SLOT_BUSY] = "busy",
    [SLOT_DONE] = "done",
    [SLOT_HELD] = "held",
};

/* ---- presence ---- */

/*
 * True while an attempt of that slot that has lost its process is brought to
 * its end: its unit still belongs to it. Which slot it was is known once the
 * ledger has said so.
 */
static bool
slot_recovers(const struct board_slot *slot)
{
	const struct attempt *attempt;

	for (attempt = slot->line->attempts; attempt != NULL;
	     attempt = attempt->next)
		if (attempt->slot == NULL && !attempt->verdict_done &&
		    (attempt->slot_name[0] == '\0' ||
			strcmp(attempt->slot_name, slot->config->name) == 0))
			return true;
	return false;
}

void
slot_consider(struct board_slot *slot)
{
	struct line *line = slot->line;

	if (!slot->present || slot->attempt != NULL ||
	    (slot->state != SLOT_EMPTY && slot->state != SLOT_WAITING))
		return;
	slot->state = SLOT_WAITING;
	if (slot_recovers(slot))
		return;
	if (line->held || line->draining || !line->ledger_ready ||
	    slot->lot == NULL || slot->lot->stage != LOT_STAGE_OPEN ||
	    article_holds(slot->lot) ||
	    slot->lot->image->serial_from == SERIAL_FROM_SCAN)
		return;
	attempt_begin(slot, slot->lot, slot->lot->image->name,
	    slot->lot->operator, "", NULL);
}

void
slot_present(struct board_slot *slot, const char *node, const struct stat *mark)
{
	slot->present = true;
	slot->mark = *mark;
	text_copy(slot->node, sizeof(slot->node), node);
	log_debug("slot %s: a unit is in it (%s)", slot->config->name,
	    states[slot->state]);
	slot_consider(slot);
	board_changed(slot->line);
}

void
slot_absent(struct board_slot *slot)
{
	slot->present = false;
	/* A running attempt notices the hang-up on its own port. */
	if (slot->state == SLOT_DONE || slot->state == SLOT_WAITING) {
		slot->state = SLOT_EMPTY;
		memset(&slot->progress, 0, sizeof(slot->progress));
		memset(&slot->verdict, 0, sizeof(slot->verdict));
		slot->attempt_id = 0;
		slot->thing[0] = '\0';
	}
	board_changed(slot->line);
}

/* ---- the slot's process ---- */

static void
process_close(struct attempt *attempt)
{
	if (attempt->watch != NULL) {
		loop_unwatch(attempt->line->loop, attempt->watch);
		attempt->watch = NULL;
		channel_close(&attempt->channel);
	}
}

static void
process_ready(void *arg, short revents)
{
	struct attempt *attempt = arg;
	struct message message;
	int got = 0, turn;

	(void)revents;
	channel_flush(&attempt->channel);
	for (turn = 0; turn < 8; turn++) {
		got = channel_receive(&attempt->channel, &message);
		if (got != 1)
			break;
		message_close_fds(&message);
		journey_message(attempt, &message);
		if (attempt->watch == NULL)
			return;
	}
	if (got == -1)
		process_close(attempt); /* MESSAGE_EXITED follows */
	else
		loop_watch_events(
		    attempt->watch, channel_events(&attempt->channel));
}

static void
judge_fault(struct attempt *attempt, const struct fault *fault)
{
	struct message_verdict verdict;

	memset(&verdict, 0, sizeof(verdict));
	verdict.fault = *fault;
	verdict.verdict = fault_row(fault->cause)->verdict;
	verdict.step =
	    attempt->slot != NULL ? attempt->slot->progress.step : STEP_PRESENT;
	attempt_judge(attempt, &verdict);
}

static void
process_kill(const struct attempt *attempt)
{
	struct message_kill end = {.pid = attempt->pid, .signal = SIGKILL};

	if (attempt->pid != 0)
		peer_tell(attempt->line, ROLE_PARENT, MESSAGE_KILL, &end,
		    sizeof(end));
}

static void
watchdog_due(void *arg)
{
	struct attempt *attempt = arg;

	if (attempt->pid == 0)
		return;
	log_error("attempt %llu: its slot process does not end; it is killed",
	    (unsigned long long)attempt->id);
	process_kill(attempt);
}

static void
watchdog_set(struct attempt *attempt, int64_t timeout_ms)
{
	if (attempt->watchdog == NULL)
		attempt->watchdog =
		    loop_timer(attempt->line->loop, watchdog_due, attempt);
	if (attempt->watchdog != NULL)
		loop_timer_set(attempt->watchdog, clock_deadline(timeout_ms));
}

static void
spawn_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct message_spawned spawned;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		judge_fault(attempt, &fault);
		return;
	}
	memcpy(&spawned, answer->body.bytes, sizeof(spawned));
	if (answer->fd_count != 1) {
		fault_set(&fault, CAUSE_INTERNAL, "no channel to the slot");
		judge_fault(attempt, &fault);
		return;
	}
	attempt->pid = spawned.pid;
	channel_open(&attempt->channel, answer->fds[0], "slot", SLOT_QUEUE);
	answer->fd_count = 0; /* the channel has it */
	attempt->watch = loop_watch(attempt->line->loop, attempt->channel.fd,
	    POLLIN, process_ready, attempt);
	watchdog_set(
	    attempt, (int64_t)attempt->lot->image->profile.total_timeout_ms +
			 WATCHDOG_MS);
	/* The operator was faster than the process. */
	if (attempt->aborted)
		attempt_abort(attempt, CAUSE_ABORTED, "ended by the operator");
}

static void
process_start(struct attempt *attempt)
{
	struct board_slot *slot = attempt->slot;
	struct line *line = attempt->line;
	struct message_spawn spawn;
	struct slot_job job;
	struct fault fault;
	int fds[3];

	memset(&job, 0, sizeof(job));
	job.magic = JOB_MAGIC;
	job.size = sizeof(job);
	job.attempt = attempt->id;
	text_copy(job.station, sizeof(job.station), line->config->station);
	text_copy(job.slot, sizeof(job.slot), slot->config->name);
	text_copy(job.operator, sizeof(job.operator), attempt->begin.operator);
	text_copy(job.scanned, sizeof(job.scanned), attempt->begin.scanned);
	memset(&spawn, 0, sizeof(spawn));
	spawn.role = ROLE_SLOT;
	spawn.slot = slot->index;
	spawn.vault_pair = plan_needs_secret(attempt->lot->image);
	snprintf(spawn.transcript, sizeof(spawn.transcript),
	    "attempt-%08llu.log", (unsigned long long)attempt->id);
	text_copy(spawn.port, sizeof(spawn.port), slot->node);
	fault_clear(&fault);
	fds[0] = file_seal("job", &job, sizeof(job), &fault);
	if (fds[0] == -1) {
		judge_fault(attempt, &fault);
		return;
	}
	fds[1] = attempt->lot->image_fd;
	fds[2] = attempt->lot->firmware_fd;
	line_call(line, ROLE_PARENT, MESSAGE_SPAWN, attempt->id, 0, &spawn,
	    sizeof(spawn), fds, 3, spawn_done, attempt);
	close(fds[0]);
}

/* ---- beginning ---- */

static void
begin_reply(struct attempt *attempt, const struct fault *fault)
{
	struct control_request *request = attempt->request;

	attempt->request = NULL;
	if (request == NULL)
		return;
	if (fault->cause != CAUSE_NONE)
		control_reply_fault(request, fault);
	else
		control_reply(request,
		    json_pack("{sI}", "attempt", (json_int_t)attempt->id));
}

/* The ledger could not even begin: nothing was recorded, nothing is lost. */
static void
begin_failed(struct attempt *attempt, const struct fault *fault)
{
	struct board_slot *slot = attempt->slot;

	board_note(attempt->line, RING_ERROR, "slot %s: %s", slot->config->name,
	    fault->text);
	slot->attempt = NULL;
	slot->state = slot->present ? SLOT_DONE : SLOT_EMPTY;
	slot->verdict.verdict = VERDICT_ERROR;
	slot->verdict.fault = *fault;
	if (fault_row(fault->cause)->class == FAULT_CLASS_LINE)
		line_hold(attempt->line, fault->text);
	attempt_free(attempt);
}

static void
begin_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct message_begin_done done = {0};
	struct fault fault;

	call_fault(answer, &fault);
	if (answer != NULL && answer->len == sizeof(done))
		memcpy(&done, answer->body.bytes, sizeof(done));
	attempt->id = done.attempt;
	attempt->number = done.number;
	begin_reply(attempt, &fault);
	if (done.attempt == 0) {
		begin_failed(attempt, &fault);
		return;
	}
	attempt->slot->attempt_id = done.attempt;
	if (attempt->lot == NULL) {
		fault_set(&fault, CAUSE_LOT_NOT_OPEN, "lot %s is not open",
		    attempt->begin.lot_name);
		judge_fault(attempt, &fault);
		return;
	}
	process_start(attempt);
}

static struct attempt *
attempt_new(struct line *line)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (attempt == NULL) {
		log_error("out of memory");
		abort();
	}
	attempt->line = line;
	attempt->next = line->attempts;
	line->attempts = attempt;
	attempt->began_wall_ms = clock_wall_ms();
	attempt->began_ms = clock_monotonic_ms();
	return attempt;
}

void
attempt_begin(struct board_slot *slot, struct open_lot *lot,
    const char *lot_name, const char *operator, const char * scanned,
    struct control_request *request)
{
	struct attempt *attempt = attempt_new(slot->line);
	struct message_begin *begin = &attempt->begin;

	attempt->slot = slot;
	attempt->lot = lot;
	attempt->request = request;
	text_copy(
	    attempt->slot_name, sizeof(attempt->slot_name), slot->config->name);
	begin->lot = lot == NULL ? 0 : lot->id;
	text_copy(begin->slot, sizeof(begin->slot), slot->config->name);
	text_copy(begin->operator, sizeof(begin->operator), operator);
	text_copy(begin->scanned, sizeof(begin->scanned), scanned);
	text_copy(begin->lot_name, sizeof(begin->lot_name), lot_name);
	begin->program = slot->line->program;
	slot->attempt = attempt;
	slot->state = SLOT_BUSY;
	slot->acknowledged = false;
	slot->began_ms = attempt->began_ms;
	slot->thing[0] = '\0';
	memset(&slot->progress, 0, sizeof(slot->progress));
	memset(&slot->verdict, 0, sizeof(slot->verdict));
	text_copy(slot->lot_name, sizeof(slot->lot_name), lot_name);
	line_call(slot->line, ROLE_LEDGER, MESSAGE_BEGIN, 0, 0, begin,
	    sizeof(*begin), NULL, 0, begin_done, attempt);
	board_changed(slot->line);
}

struct attempt *
attempt_adopt(struct line *line, uint64_t id)
{
	struct attempt *attempt;

	for (attempt = line->attempts; attempt != NULL; attempt = attempt->next)
		if (attempt->id == id)
			return NULL; /* it lives */
	attempt = attempt_new(line);
	attempt->id = id;
	attempt->recovered = true;
	return attempt;
}

void
attempt_free(struct attempt *attempt)
{
	struct line *line = attempt->line;
	bool recovered = attempt->recovered;
	struct attempt **at;
	size_t i;

	for (at = &line->attempts; *at != NULL; at = &(*at)->next)
		if (*at == attempt) {
			*at = attempt->next;
			break;
		}
	calls_forget(attempt->line, attempt);
	process_close(attempt);
	if (attempt->timer != NULL)
		loop_timer_free(attempt->line->loop, attempt->timer);
	if (attempt->watchdog != NULL)
		loop_timer_free(attempt->line->loop, attempt->watchdog);
	free(attempt);
	/* Its unit may be in its slot still, waiting to be taken up. */
	for (i = 0; recovered && i < line->config->slot_count; i++)
		slot_consider(&line->slots[i]);
}

/* ---- the end ---- */

/* The unit stays judged until it is taken out. */
static void
slot_judged(struct attempt *attempt)
{
	struct board_slot *slot = attempt->slot;

	if (slot == NULL)
		return;
	slot->verdict = attempt->verdict;
	slot->ended_ms = clock_monotonic_ms();
	slot->attempt = NULL;
	if (slot->state != SLOT_HELD)
		slot->state = SLOT_DONE;
	if (fault_row(attempt->verdict.fault.cause)->class ==
	    FAULT_CLASS_SLOT) {
		slot->state = SLOT_HELD;
		board_note(slot->line, RING_ERROR, "slot %s is held: %s",
		    slot->config->name, attempt->verdict.fault.text);
	}
	attempt->slot = NULL;
	if (!slot->present && slot->state == SLOT_DONE) {
		/* It went during the attempt: the verdict stays on the tile
		 * until the next unit comes. */
		slot->state = SLOT_EMPTY;
	}
}

static void
attempt_over(struct attempt *attempt)
{
	/* The process has nothing left to say; it ends by end-of-file. */
	if (attempt->pid != 0 && attempt->watch != NULL) {
		/* It closes its end first: attempt_exited. */
		watchdog_set(attempt, ENDING_MS);
		return;
	}
	attempt_free(attempt);
}

static void
verdict_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct line *line = attempt->line;
	const struct message_verdict_done *done;
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_VERDICT_DONE,
	    .attempt = attempt->id};
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		/* Not committed: then it is not shown as a verdict either. */
		board_note(line, RING_ERROR, "attempt %llu: %s",
		    (unsigned long long)attempt->id, fault.text);
		if (attempt->verdict.verdict == VERDICT_PASS &&
		    fault.cause != CAUSE_LEDGER_ERROR) {
			attempt->verdict_sent = false;
			judge_fault(attempt, &fault);
			return;
		}
		line_hold(line, fault.text);
		attempt->verdict.verdict = VERDICT_ERROR;
		attempt->verdict.fault = fault;
	} else {
		done = (const void *)answer->body.bytes;
		attempt->ended_wall_ms = clock_wall_ms();
		attempt->verdict_done = true;
		if (attempt->lot != NULL)
			attempt->lot->counts = done->counts;
		board_verdict(attempt);
		alarm_count(line, &attempt->verdict);
		/* What stops every unit is not tried on the next one. */
		if (fault_row(attempt->verdict.fault.cause)->class ==
		    FAULT_CLASS_LINE)
			line_hold_fault(
			    line, &attempt->verdict.fault, attempt->began_ms);
		if (attempt->lot != NULL)
			lot_counted(attempt->lot);
	}
	slot_judged(attempt);
	if (attempt->watch != NULL) {
		header.sequence = attempt->flow.sequence;
		channel_send(&attempt->channel, &header, answer->body.bytes,
		    answer->len, NULL, 0);
	}
	attempt_over(attempt);
	board_changed(line);
}

void
attempt_judge(struct attempt *attempt, const struct message_verdict *verdict)
{
	if (attempt->verdict_sent)
		return;
	attempt->verdict = *verdict;
	attempt->verdict_sent = true;
	if (attempt->slot != NULL) {
		attempt->slot->progress.step = STEP_COMMIT;
		board_changed(attempt->line);
	}
	line_call(attempt->line, ROLE_LEDGER, MESSAGE_VERDICT, attempt->id, 0,
	    &attempt->verdict, sizeof(attempt->verdict), NULL, 0, verdict_done,
	    attempt);
}

void
attempt_abort(struct attempt *attempt, enum fault_cause cause, const char *text)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_ABORT,
	    .attempt = attempt->id};
	struct message_done abort_it;

	attempt->aborted = attempt->aborted || cause != CAUSE_INTERNAL;
	if (attempt->watch == NULL)
		return;
	memset(&abort_it, 0, sizeof(abort_it));
	fault_set(&abort_it.fault, cause, "%s", text);
	if (cause == CAUSE_INTERNAL) {
		/* A process that breaks the rules is not asked. */
		process_kill(attempt);
		process_close(attempt);
		return;
	}
	channel_send(
	    &attempt->channel, &header, &abort_it, sizeof(abort_it), NULL, 0);
	loop_watch_events(attempt->watch, channel_events(&attempt->channel));
	if (!attempt->verdict_sent)
		watchdog_set(attempt, ABORTING_MS);
}

static void
crash_count(struct board_slot *slot)
{
	int64_t now = clock_monotonic_ms();
	size_t i, recent = 0;

	slot->crashes_ms[slot->crash_next++ % 3] = now;
	for (i = 0; i < 3; i++)
		if (slot->crashes_ms[i] != 0 &&
		    now - slot->crashes_ms[i] < CRASHES_SPAN_MS)
			recent++;
	if (recent == 3) {
		slot->state = SLOT_HELD;
		board_note(slot->line, RING_ERROR,
		    "slot %s is held: its process crashed three times in ten "
		    "minutes",
		    slot->config->name);
	}
}

void
attempt_exited(struct line *line, const struct message_exited *exited)
{
	struct attempt *attempt;

	for (attempt = line->attempts; attempt != NULL; attempt = attempt->next)
		if (attempt->pid == exited->pid)
			break;
	if (attempt == NULL)
		return;
	attempt->pid = 0;
	process_close(attempt);
	if (attempt->verdict_done) {
		attempt_free(attempt);
		return;
	}
	if (attempt->verdict_sent || attempt->verdict_waits)
		return; /* its verdict is on the way */
	if (WIFSIGNALED(exited->status))
		board_note(line, RING_ERROR,
		    "attempt %llu in slot %s: its process ended by signal %d",
		    (unsigned long long)attempt->id, attempt->slot_name,
		    WTERMSIG(exited->status));
	if (attempt->slot != NULL)
		crash_count(attempt->slot);
	recover_attempt(attempt, CAUSE_STATION_CRASH);
}
