/*
 * A lot's opening: the load role reads and freezes it, the cloud checks its
 * account, vault and hsm get its keys, and only then the ledger takes it
 * in. What was open when the daemon ended is restored from its frozen copy
 * in the same steps; a restored lot is not given up because the cloud is
 * away.
 */
#include "line/line.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	LOT_RETRY_MS = 5000,
	EARLY_MS = 15000, /* that a request waits for the ledger */
	EARLY_POLL_MS = 50,
	LOAD_QUEUE = 8
};

static void load_start(struct open_lot *);
static void lot_cloud(struct open_lot *);
static void lot_key(struct open_lot *);
static void lot_ledger(struct open_lot *);
static void lot_introduce(struct open_lot *);

struct open_lot *
lot_find(struct line *line, const char *name)
{
	size_t i;

	for (i = 0; i < LOTS_OPEN_MAX; i++)
		if (line->lots[i].image != NULL &&
		    strcmp(line->lots[i].image->name, name) == 0)
			return &line->lots[i];
	return NULL;
}

struct open_lot *
lot_by_id(struct line *line, uint64_t id)
{
	size_t i;

	for (i = 0; i < LOTS_OPEN_MAX; i++)
		if (line->lots[i].stage != LOT_STAGE_NONE &&
		    line->lots[i].id == id && id != 0)
			return &line->lots[i];
	return NULL;
}

static void
load_end(struct open_lot *lot)
{
	if (lot->load_watch == NULL)
		return;
	loop_unwatch(lot->line->loop, lot->load_watch);
	lot->load_watch = NULL;
	channel_close(&lot->load);
}

static void
lot_clear(struct open_lot *lot)
{
	struct line *line = lot->line;
	struct attempt *attempt, *next;
	uint32_t index = lot->index;
	size_t i;

	for (i = 0; i < SLOTS_MAX; i++)
		if (line->slots[i].lot == lot)
			line->slots[i].lot = NULL;
	for (attempt = line->attempts; attempt != NULL; attempt = next) {
		next = attempt->next;
		if (attempt->lot == lot && attempt->article)
			attempt_free(attempt);
		else if (attempt->lot == lot)
			attempt->lot = NULL; /* judged; its process ends */
	}
	calls_forget(line, lot);
	load_end(lot);
	if (lot->image != NULL)
		munmap((void *)(uintptr_t)lot->image, sizeof(*lot->image));
	if (lot->image_fd != -1)
		close(lot->image_fd);
	if (lot->firmware_fd != -1)
		close(lot->firmware_fd);
	if (lot->manifest_fd != -1)
		close(lot->manifest_fd);
	if (lot->timer != NULL)
		loop_timer_free(line->loop, lot->timer);
	if (lot->article_timer != NULL)
		loop_timer_free(line->loop, lot->article_timer);
	memset(lot, 0, sizeof(*lot));
	lot->line = line;
	lot->index = index;
	lot->image_fd = lot->firmware_fd = lot->manifest_fd = -1;
}

/* No role keeps anything of a lot that is closed. */
static void
lot_forget_in_roles(struct open_lot *lot)
{
	struct message_cloud_lot close_it = {.lot = lot->index, .close = 1};

	lot_keys_forget(lot);
	calls_withdraw(lot->line, MESSAGE_CLOUD_LOT, lot);
	peer_tell(lot->line, ROLE_CLOUD, MESSAGE_CLOUD_LOT, &close_it,
	    sizeof(close_it));
}

static void
lot_retry(void *arg)
{
	struct open_lot *lot = arg;

	switch (lot->stage) {
	case LOT_STAGE_LOADING:
		load_start(lot);
		break;
	case LOT_STAGE_CLOUD:
		lot_cloud(lot);
		break;
	case LOT_STAGE_KEY:
		lot_key(lot);
		break;
	case LOT_STAGE_LEDGER:
		lot_ledger(lot);
		break;
	case LOT_STAGE_OPEN:
		lot_introduce(lot);
		break;
	default:
		break;
	}
}

static void
lot_try_later(struct open_lot *lot)
{
	if (lot->timer == NULL)
		lot->timer = loop_timer(lot->line->loop, lot_retry, lot);
	if (lot->timer != NULL)
		loop_timer_set(lot->timer, clock_deadline(LOT_RETRY_MS));
}

/* A step of the opening failed. */
static void
lot_failed(
    struct open_lot *lot, const struct fault *fault, const char *problems)
{
	struct control_request *request = lot->request;

	board_note(
	    lot->line, RING_ERROR, "lot %s: %s", lot->folder, fault->text);
	lot->request = NULL;
	if (request != NULL && problems != NULL)
		control_reply_problems(request, fault, problems);
	else if (request != NULL)
		control_reply_fault(request, fault);
	if (lot->restored) {
		lot_try_later(lot);
		return;
	}
	lot_forget_in_roles(lot);
	lot_clear(lot);
}

/*
 * An open lot was made known again to a role that was started again. What
 * passes by itself is tried again; what does not holds the line, and what
 * waited goes on to hear the same.
 */
static void
introduced(struct open_lot *lot, enum role role, const struct fault *fault)
{
	enum fault_class class = fault_row(fault->cause)->class;

	if (fault->cause == CAUSE_NONE) {
		calls_flush(lot->line, role);
		return;
	}
	board_note(
	    lot->line, RING_ERROR, "lot %s: %s", lot->image->name, fault->text);
	if (class == FAULT_CLASS_RETRY || class == FAULT_CLASS_UNSURE ||
	    fault->cause == CAUSE_DEADLINE ||
	    (fault->cause == CAUSE_CLOUD_CREDENTIALS &&
		line_is_lapsed(lot->line))) {
		lot_try_later(lot);
		return;
	}
	line_hold(lot->line, fault->text);
	lot->cloud_ready = true;
	lot->keys_ready = UINT32_MAX;
	calls_flush(lot->line, role);
}

/* ---- 4: the ledger ---- */

static void
ledger_done(void *arg, struct message *answer)
{
	struct open_lot *lot = arg;
	const struct message_lot_open_done *done;
	struct control_request *request = lot->request;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		lot_failed(lot, &fault, NULL);
		return;
	}
	done = (const void *)answer->body.bytes;
	lot->id = done->counts.lot;
	lot->counts = done->counts;
	lot->stage = LOT_STAGE_OPEN;
	lot->request = NULL;
	board_note(lot->line, RING_NOTICE, "lot %s is open: %u of %u made",
	    lot->image->name, lot->counts.passed, lot->counts.quantity);
	board_lot_event(lot, "opened", "");
	if (request != NULL)
		control_reply(request,
		    json_pack("{so}", "lot", lot_json(lot->line, lot, NULL)));
	lot_introduce(lot); /* a role may have ended meanwhile */
	article_consider(lot);
	lots_assign(lot->line);
}

static void
lot_ledger(struct open_lot *lot)
{
	struct message_lot_open open_it;
	int fds[2] = {lot->image_fd, lot->manifest_fd};

	lot->stage = LOT_STAGE_LEDGER;
	memset(&open_it, 0, sizeof(open_it));
	text_copy(open_it.operator, sizeof(open_it.operator), lot->operator);
	open_it.program = lot->line->program;
	line_call(lot->line, ROLE_LEDGER, MESSAGE_LOT_OPEN, 0, 0, &open_it,
	    sizeof(open_it), fds, 2, ledger_done, lot);
}

/* ---- 3: the keys ---- */

void
lot_keys_end(struct open_lot *lot, enum role role, const struct fault *fault)
{
	if (lot->stage == LOT_STAGE_KEY && fault->cause == CAUSE_NONE)
		lot_ledger(lot);
	else if (lot->stage == LOT_STAGE_KEY)
		lot_failed(lot, fault, NULL);
	else if (lot->stage == LOT_STAGE_OPEN)
		introduced(lot, role, fault);
}

static void
lot_key(struct open_lot *lot)
{
	lot->stage = LOT_STAGE_KEY;
	lot_keys_send(lot);
}

/* ---- 2: the cloud ---- */

static void
cloud_lot_done(void *arg, struct message *answer)
{
	struct open_lot *lot = arg;
	struct fault fault;

	call_fault(answer, &fault);
	lot->cloud_ready = fault.cause == CAUSE_NONE;
	if (lot->stage == LOT_STAGE_CLOUD && lot->cloud_ready)
		lot_key(lot);
	else if (lot->stage == LOT_STAGE_CLOUD)
		lot_failed(lot, &fault, NULL);
	else
		introduced(lot, ROLE_CLOUD, &fault);
}

static void
cloud_send(struct open_lot *lot)
{
	struct message_cloud_lot cloud = {.lot = lot->index};

	line_call(lot->line, ROLE_CLOUD, MESSAGE_CLOUD_LOT, 0, 30000, &cloud,
	    sizeof(cloud), &lot->image_fd, 1, cloud_lot_done, lot);
}

static void
lot_cloud(struct open_lot *lot)
{
	lot->stage = LOT_STAGE_CLOUD;
	cloud_send(lot);
}

/* ---- 1: the load role ---- */

static int
load_take(struct open_lot *lot, struct message *message, struct fault *fault)
{
	const void *data;
	size_t len;

	if (message->fd_count != 3)
		return fault_set(
		    fault, CAUSE_INTERNAL, "the load role gave no lot");
	if (file_map_sealed(message->fds[0], sizeof(struct lot_image),
		sizeof(struct lot_image), &data, &len, fault) == -1)
		return -1;
	lot->image = data;
	if (lot->image->magic != LOT_MAGIC)
		return fault_set(fault, CAUSE_INTERNAL, "no lot image");
	lot->image_fd = message->fds[0];
	lot->firmware_fd = message->fds[1];
	lot->manifest_fd = message->fds[2];
	message->fd_count = 0;
	return 0;
}

static void
load_failed(struct open_lot *lot, const struct message *message,
    const struct fault *fault)
{
	const void *data = NULL;
	struct fault other;
	char *text = NULL;
	size_t len = 0;

	if (message->fd_count == 1 &&
	    file_map_sealed(
		message->fds[0], 1, 1024 * 1024, &data, &len, &other) == 0) {
		text = strndup(data, len);
		munmap((void *)(uintptr_t)data, len);
	}
	lot_failed(lot, fault, text);
	free(text);
}

static void
load_ready(void *arg, short revents)
{
	struct open_lot *lot = arg;
	struct message message;
	struct fault fault;
	int got;

	(void)revents;
	channel_flush(&lot->load);
	got = channel_receive(&lot->load, &message);
	if (got == 0) {
		loop_watch_events(lot->load_watch, channel_events(&lot->load));
		return;
	}
	load_end(lot);
	fault_clear(&fault);
	if (got == -1 || message.header.type != MESSAGE_LOAD_LOT_DONE) {
		fault_set(&fault, CAUSE_INTERNAL,
		    "the load role ended without an answer");
		lot_failed(lot, &fault, NULL);
		return;
	}
	call_fault(&message, &fault);
	if (fault.cause != CAUSE_NONE)
		load_failed(lot, &message, &fault);
	else if (load_take(lot, &message, &fault) == -1)
		lot_failed(lot, &fault, NULL);
	else
		lot_cloud(lot);
	message_close_fds(&message);
}

static void
load_spawned(void *arg, struct message *answer)
{
	struct open_lot *lot = arg;
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_LOAD_LOT,
	    .sequence = 1};
	struct message_load_lot load;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause == CAUSE_NONE && answer->fd_count != 1)
		fault_set(&fault, CAUSE_INTERNAL, "no load role");
	if (fault.cause != CAUSE_NONE) {
		lot_failed(lot, &fault, NULL);
		return;
	}
	lot->load_pid =
	    ((const struct message_spawned *)(const void *)answer->body.bytes)
		->pid;
	channel_open(&lot->load, answer->fds[0], "load", LOAD_QUEUE);
	answer->fd_count = 0;
	lot->load_watch =
	    loop_watch(lot->line->loop, lot->load.fd, POLLIN, load_ready, lot);
	memset(&load, 0, sizeof(load));
	text_copy(load.folder, sizeof(load.folder), lot->folder);
	load.frozen = lot->restored;
	channel_send(&lot->load, &header, &load, sizeof(load), NULL, 0);
}

static void
load_start(struct open_lot *lot)
{
	struct message_spawn spawn;

	memset(&spawn, 0, sizeof(spawn));
	spawn.role = ROLE_LOAD;
	lot->stage = LOT_STAGE_LOADING;
	line_call(lot->line, ROLE_PARENT, MESSAGE_SPAWN, 0, 0, &spawn,
	    sizeof(spawn), NULL, 0, load_spawned, lot);
}

/* ---- asked by a client, or by the ledger at the start ---- */

static struct open_lot *
lot_free_place(struct line *line)
{
	size_t i;

	for (i = 0; i < LOTS_OPEN_MAX; i++)
		if (line->lots[i].stage == LOT_STAGE_NONE)
			return &line->lots[i];
	return NULL;
}

/* A request that came before the ledger was ready. */
struct early {
	struct line *line;
	struct loop_timer *timer;
	struct control_request *request;
	int64_t deadline_ms;
	char name[NAME_LEN];
	char operator[NAME_LEN];
};

static void
early_due(void *arg)
{
	struct early *early = arg;
	struct fault fault;

	if (!early->line->ledger_ready &&
	    clock_remaining_ms(early->deadline_ms) > 0) {
		loop_timer_set(early->timer, clock_deadline(EARLY_POLL_MS));
		return;
	}
	loop_timer_free(early->line->loop, early->timer);
	if (early->line->ledger_ready) {
		lot_begin_opening(
		    early->line, early->name, early->operator, early->request);
	} else {
		fault_set(
		    &fault, CAUSE_ROLE_DOWN, "the ledger is not ready yet");
		control_reply_fault(early->request, &fault);
	}
	free(early);
}

/* A daemon that has just started opens its ledger first. */
static void
lot_open_early(struct line *line, const char *name, const char *operator,
    struct control_request * request)
{
	struct early *early = calloc(1, sizeof(*early));

	if (early == NULL ||
	    (early->timer = loop_timer(line->loop, early_due, early)) == NULL)
		abort();
	early->line = line;
	early->request = request;
	early->deadline_ms = clock_deadline(EARLY_MS);
	text_copy(early->name, sizeof(early->name), name);
	text_copy(early->operator, sizeof(early->operator), operator);
	loop_timer_set(early->timer, clock_deadline(EARLY_POLL_MS));
}

void
lot_begin_opening(struct line *line, const char *name, const char *operator,
    struct control_request * request)
{
	struct open_lot *lot = lot_find(line, name);
	struct fault fault;

	fault_clear(&fault);
	if (lot != NULL && lot->stage == LOT_STAGE_OPEN) {
		control_reply(request,
		    json_pack("{so}", "lot", lot_json(line, lot, NULL)));
		return;
	}
	if (name[0] == '.' || strchr(name, '/') != NULL)
		fault_set(&fault, CAUSE_BAD_LOT,
		    "%s is no name of a folder below %s", name,
		    line->config->lots);
	else if (lot != NULL)
		fault_set(&fault, CAUSE_ROLE_DOWN,
		    "lot %s is being opened already", name);
	else if (!line->ledger_ready) {
		lot_open_early(line, name, operator, request);
		return;
	} else if ((lot = lot_free_place(line)) == NULL)
		fault_set(&fault, CAUSE_BAD_LOT,
		    "%d lots are open: close one first", LOTS_OPEN_MAX);
	if (lot == NULL || fault.cause != CAUSE_NONE) {
		control_reply_fault(request, &fault);
		return;
	}
	lot->request = request;
	text_copy(lot->operator, sizeof(lot->operator), operator);
	if (file_join(lot->folder, sizeof(lot->folder), line->config->lots,
		name) == -1) {
		fault_set(
		    &fault, CAUSE_BAD_LOT, "%s: the path is too long", name);
		lot_failed(lot, &fault, NULL);
		return;
	}
	load_start(lot);
}

static void
restore_listed(void *arg, struct message *answer)
{
	struct line *line = arg;
	const struct message_lot_list_done *list;
	struct message_lot_list more = {0};
	struct open_lot *lot;
	struct fault fault;
	uint32_t i;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		board_note(line, RING_ERROR, "%s", fault.text);
		return;
	}
	list = (const void *)answer->body.bytes;
	for (i = 0; i < list->count && i < LOT_LIST_MAX; i++) {
		more.after = list->lots[i].lot;
		if (list->lots[i].state != LOT_STATE_OPEN)
			continue;
		lot = lot_free_place(line);
		if (lot == NULL)
			break;
		lot->restored = true;
		lot->id = list->lots[i].lot;
		lot->counts = list->lots[i].counts;
		text_copy(
		    lot->folder, sizeof(lot->folder), list->lots[i].folder);
		text_copy(lot->operator, sizeof(lot->operator), "station");
		load_start(lot);
	}
	if (list->more != 0)
		line_call(line, ROLE_LEDGER, MESSAGE_LOT_LIST, 0, 0, &more,
		    sizeof(more), NULL, 0, restore_listed, line);
}

void
lots_restore(struct line *line)
{
	struct message_lot_list all = {0};

	line_call(line, ROLE_LEDGER, MESSAGE_LOT_LIST, 0, 0, &all, sizeof(all),
	    NULL, 0, restore_listed, line);
}

static void
close_done(void *arg, struct message *answer)
{
	struct open_lot *lot = arg;
	struct control_request *request = lot->request;
	struct fault fault;

	lot->request = NULL;
	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		if (request != NULL)
			control_reply_fault(request, &fault);
		return;
	}
	lot->counts = ((const struct message_counts_done *)(const void *)
			   answer->body.bytes)
			  ->counts;
	board_note(
	    lot->line, RING_NOTICE, "lot %s is closed", lot->image->name);
	board_lot_event(lot, "closed", "");
	if (request != NULL)
		control_reply(request,
		    json_pack("{so}", "lot", lot_json(lot->line, lot, NULL)));
	lot_forget_in_roles(lot);
	lot_clear(lot);
	lots_assign(lot->line);
}

static bool
lot_busy(const struct open_lot *lot)
{
	const struct attempt *attempt;

	for (attempt = lot->line->attempts; attempt != NULL;
	     attempt = attempt->next)
		if (attempt->lot == lot && !attempt->article &&
		    !attempt->verdict_done)
			return true;
	return false;
}

void
lot_close(
    struct line *line, struct open_lot *lot, struct control_request *request)
{
	struct message_lot close_it = {.lot = lot->id};
	struct fault fault;

	fault_clear(&fault);
	if (lot->stage != LOT_STAGE_OPEN || lot->request != NULL)
		fault_set(&fault, CAUSE_ROLE_DOWN,
		    "the lot is just being opened or closed");
	else if (lot->bulk != NULL)
		fault_set(&fault, CAUSE_ROLE_DOWN,
		    "the lot's bulk registration is under way");
	else if (lot_busy(lot))
		fault_set(&fault, CAUSE_ROLE_DOWN,
		    "units of the lot are at work: wait for their verdicts "
		    "or abort them");
	if (fault.cause != CAUSE_NONE) {
		control_reply_fault(request, &fault);
		return;
	}
	lot->request = request;
	line_call(line, ROLE_LEDGER, MESSAGE_LOT_CLOSE, 0, 0, &close_it,
	    sizeof(close_it), NULL, 0, close_done, lot);
}

/*
 * One lot a slot: a lot takes the slots that no other one has. The first
 * lot takes them all; a second one works only what is asked for by `make`
 * until the first is closed.
 */
void
lots_assign(struct line *line)
{
	size_t i, n;

	for (n = 0; n < LOTS_OPEN_MAX; n++) {
		if (line->lots[n].stage != LOT_STAGE_OPEN)
			continue;
		for (i = 0; i < line->config->slot_count; i++)
			if (line->slots[i].lot == NULL)
				line->slots[i].lot = &line->lots[n];
	}
	for (i = 0; i < line->config->slot_count; i++)
		slot_consider(&line->slots[i]);
	board_changed(line);
}

/* Tells the roles that do not know the lot (any more). */
static void
lot_introduce(struct open_lot *lot)
{
	struct line *line = lot->line;

	if (!lot->cloud_ready && !call_is_open(line, MESSAGE_CLOUD_LOT, lot))
		cloud_send(lot);
	lot_keys_send(lot);
}

/* A role lost what it knew of the open lots: it is told again. */
void
lot_role_up(struct line *line, enum role role)
{
	struct open_lot *lot;
	size_t i;

	for (i = 0; i < LOTS_OPEN_MAX; i++) {
		lot = &line->lots[i];
		if (lot->stage < LOT_STAGE_CLOUD)
			continue;
		if (role == ROLE_CLOUD)
			lot->cloud_ready = false;
		else
			lot_keys_lost(lot, role);
		/* One that is not open yet gets there first. */
		if (lot->stage == LOT_STAGE_OPEN)
			lot_introduce(lot);
	}
	if (role == ROLE_CLOUD || role == ROLE_VAULT)
		line_join(line);
}

void
lot_counted(struct open_lot *lot)
{
	const struct lot_counts *counts = &lot->counts;

	article_consider(lot);
	if (lot->complete_told || counts->in_progress != 0 ||
	    counts->passed < counts->quantity)
		return;
	lot->complete_told = true;
	board_note(
	    lot->line, RING_NOTICE, "lot %s is complete", lot->image->name);
	board_lot_event(lot, "complete", "");
}
