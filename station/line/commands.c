/*
 * What clients may ask: one small function a command, one table. Who may
 * ask it is the control server's to check.
 */
#include "line/line.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static struct board_slot *
slot_named(struct line *line, struct control_request *request)
{
	const char *name = control_request_need(request, "slot", NAME_LEN);
	struct fault fault;
	size_t i;

	if (name == NULL)
		return NULL;
	for (i = 0; i < line->config->slot_count; i++)
		if (strcmp(line->config->slots[i].name, name) == 0)
			return &line->slots[i];
	fault_set(&fault, CAUSE_BAD_REQUEST,
	    "this station has no slot %s; `station status` lists its slots",
	    name);
	control_reply_fault(request, &fault);
	return NULL;
}

static const char *
operator_of(struct control_request *request)
{
	const char *name = control_request_text(request, "operator");

	return name == NULL ? "" : name;
}

/* ---- lots ---- */

static void
handle_lot_open(struct control_request *request, void *arg)
{
	const char *name = control_request_need(request, "lot", NAME_LEN);

	if (name != NULL)
		lot_begin_opening(arg, name, operator_of(request), request);
}

static void
handle_lot_close(struct control_request *request, void *arg)
{
	const char *name = control_request_need(request, "lot", NAME_LEN);
	struct open_lot *lot;
	struct fault fault;

	if (name == NULL)
		return;
	lot = lot_find(arg, name);
	if (lot == NULL) {
		fault_set(
		    &fault, CAUSE_LOT_NOT_OPEN, "lot %s is not open", name);
		control_reply_fault(request, &fault);
		return;
	}
	lot_close(arg, lot, request);
}

/* A walk over the ledger's list of lots, in pages. */
struct listing {
	struct line *line;
	struct control_request *request;
	json_t *lots;
	char only[NAME_LEN]; /* one name, or empty for all */
};

static void
listing_end(struct listing *listing, const struct fault *fault)
{
	struct fault none;
	json_t *found;

	if (fault->cause != CAUSE_NONE) {
		control_reply_fault(listing->request, fault);
	} else if (listing->only[0] == '\0') {
		control_reply(
		    listing->request, json_pack("{sO}", "lots", listing->lots));
	} else if ((found = json_array_get(listing->lots, 0)) != NULL) {
		control_reply(
		    listing->request, json_pack("{sO}", "lot", found));
	} else {
		fault_set(&none, CAUSE_BAD_REQUEST,
		    "lot %s was never opened on this station", listing->only);
		control_reply_fault(listing->request, &none);
	}
	json_decref(listing->lots);
	free(listing);
}

static void
listing_page(void *arg, struct message *answer)
{
	struct listing *listing = arg;
	const struct message_lot_list_done *list;
	struct message_lot_list more = {0};
	const struct lot_row *row;
	struct fault fault;
	uint32_t i;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		listing_end(listing, &fault);
		return;
	}
	list = (const void *)answer->body.bytes;
	for (i = 0; i < list->count && i < LOT_LIST_MAX; i++) {
		row = &list->lots[i];
		more.after = row->lot;
		if (listing->only[0] == '\0' ||
		    strcmp(listing->only, row->name) == 0)
			json_array_append_new(listing->lots,
			    lot_json(listing->line,
				lot_by_id(listing->line, row->lot), row));
	}
	if (list->more != 0)
		line_call(listing->line, ROLE_LEDGER, MESSAGE_LOT_LIST, 0, 0,
		    &more, sizeof(more), NULL, 0, listing_page, listing);
	else
		listing_end(listing, &fault);
}

static void
listing_start(
    struct line *line, struct control_request *request, const char *only)
{
	struct message_lot_list all = {0};
	struct listing *listing = calloc(1, sizeof(*listing));

	if (listing == NULL)
		abort();
	listing->line = line;
	listing->request = request;
	listing->lots = json_array();
	text_copy(listing->only, sizeof(listing->only), only);
	line_call(line, ROLE_LEDGER, MESSAGE_LOT_LIST, 0, 0, &all, sizeof(all),
	    NULL, 0, listing_page, listing);
}

static void
handle_lot_list(struct control_request *request, void *arg)
{
	listing_start(arg, request, "");
}

static void
handle_lot_show(struct control_request *request, void *arg)
{
	const char *name = control_request_need(request, "lot", NAME_LEN);

	if (name != NULL)
		listing_start(arg, request, name);
}

static void
handle_bulk(struct control_request *request, void *arg)
{
	struct line *line = arg;
	const char *name = control_request_need(request, "lot", NAME_LEN);
	struct open_lot *lot;
	struct fault fault;

	if (name == NULL)
		return;
	lot = lot_find(line, name);
	if (lot != NULL && lot->stage == LOT_STAGE_OPEN) {
		bulk_start(lot, operator_of(request), request);
		return;
	}
	fault_set(&fault, CAUSE_LOT_NOT_OPEN, "lot %s is not open", name);
	control_reply_fault(request, &fault);
}

/* ---- one unit ---- */

static void
handle_make(struct control_request *request, void *arg)
{
	struct line *line = arg;
	struct board_slot *slot = slot_named(line, request);
	const char *serial, *name;
	struct fault fault;

	if (slot == NULL)
		return;
	name = control_request_need(request, "lot", NAME_LEN);
	if (name == NULL)
		return;
	serial = control_request_text(request, "serial");
	fault_clear(&fault);
	if (serial != NULL && strlen(serial) >= SERIAL_LEN)
		fault_set(&fault, CAUSE_BAD_REQUEST,
		    "a serial has at most %d characters", SERIAL_LEN - 1);
	else if (line->held)
		fault_set(&fault, CAUSE_LINE_HELD, "the line is held: %s",
		    line->hold_reason);
	else if (slot->attempt != NULL)
		fault_set(&fault, CAUSE_BAD_REQUEST,
		    "slot %s is at work; wait for its verdict",
		    slot->config->name);
	else if (slot->state == SLOT_HELD)
		fault_set(&fault, CAUSE_BAD_REQUEST,
		    "slot %s is held; `station release` puts it back into "
		    "service",
		    slot->config->name);
	else if (lot_find(line, name) != NULL &&
		 lot_find(line, name)->stage == LOT_STAGE_OPEN &&
		 article_holds(lot_find(line, name)))
		fault_set(&fault, CAUSE_LINE_HELD,
		    "lot %s waits until its first articles have connected",
		    name);
	else if (!slot->present)
		fault_set(&fault, CAUSE_UNPLUGGED, "slot %s is empty",
		    slot->config->name);
	if (fault.cause != CAUSE_NONE) {
		control_reply_fault(request, &fault);
		return;
	}
	attempt_begin(slot,
	    lot_find(line, name) != NULL &&
		    lot_find(line, name)->stage == LOT_STAGE_OPEN
		? lot_find(line, name)
		: NULL,
	    name, operator_of(request), serial == NULL ? "" : serial, request);
}

static void
handle_abort(struct control_request *request, void *arg)
{
	struct board_slot *slot = slot_named(arg, request);
	struct fault fault;

	if (slot == NULL)
		return;
	if (slot->attempt == NULL) {
		fault_set(&fault, CAUSE_BAD_REQUEST, "slot %s is not at work",
		    slot->config->name);
		control_reply_fault(request, &fault);
		return;
	}
	attempt_abort(slot->attempt, CAUSE_ABORTED, "ended by the operator");
	control_reply(request, NULL);
}

static void
handle_acknowledge(struct control_request *request, void *arg)
{
	struct board_slot *slot = slot_named(arg, request);

	if (slot == NULL)
		return;
	slot->acknowledged = true;
	board_changed(arg);
	control_reply(request, NULL);
}

/* ---- the line ---- */

static void
handle_hold(struct control_request *request, void *arg)
{
	const char *reason = control_request_need(request, "reason", 128);

	if (reason == NULL)
		return;
	line_hold(arg, reason);
	control_reply(request, NULL);
}

static void
handle_release(struct control_request *request, void *arg)
{
	struct line *line = arg;
	struct board_slot *slot;
	size_t i;

	for (i = 0; i < line->config->slot_count; i++) {
		slot = &line->slots[i];
		if (slot->state != SLOT_HELD)
			continue;
		memset(slot->crashes_ms, 0, sizeof(slot->crashes_ms));
		slot->state = slot->present ? SLOT_WAITING : SLOT_EMPTY;
	}
	line_release(line);
	for (i = 0; i < line->config->slot_count; i++)
		slot_consider(&line->slots[i]);
	board_changed(line);
	control_reply(request, NULL);
}

/* ---- dispositions ---- */

static void
disposed(void *arg, struct message *answer)
{
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE)
		control_reply_fault(arg, &fault);
	else
		control_reply(arg, NULL);
}

/* ---- lots that are not open are named by the ledger ---- */

struct lookup {
	struct line *line;
	struct control_request *request;
	char name[NAME_LEN];
	void (*found)(struct lookup *, uint64_t lot);
};

static void
lookup_page(void *arg, struct message *answer)
{
	struct lookup *lookup = arg;
	const struct message_lot_list_done *list;
	struct message_lot_list more = {0};
	struct fault fault;
	uint32_t i;

	call_fault(answer, &fault);
	list =
	    fault.cause == CAUSE_NONE ? (const void *)answer->body.bytes : NULL;
	for (i = 0; list != NULL && i < list->count && i < LOT_LIST_MAX; i++) {
		more.after = list->lots[i].lot;
		if (strcmp(list->lots[i].name, lookup->name) == 0) {
			lookup->found(lookup, list->lots[i].lot);
			free(lookup);
			return;
		}
	}
	if (list != NULL && list->more != 0) {
		line_call(lookup->line, ROLE_LEDGER, MESSAGE_LOT_LIST, 0, 0,
		    &more, sizeof(more), NULL, 0, lookup_page, lookup);
		return;
	}
	if (list != NULL)
		fault_set(&fault, CAUSE_BAD_REQUEST,
		    "lot %s was never opened on this station; `station lot "
		    "list` names those that were",
		    lookup->name);
	control_reply_fault(lookup->request, &fault);
	free(lookup);
}

static void
lookup_start(struct line *line, struct control_request *request,
    void (*found)(struct lookup *, uint64_t lot))
{
	const char *name = control_request_need(request, "lot", NAME_LEN);
	struct message_lot_list all = {0};
	struct lookup *lookup;

	if (name == NULL)
		return;
	lookup = calloc(1, sizeof(*lookup));
	if (lookup == NULL)
		abort();
	lookup->line = line;
	lookup->request = request;
	lookup->found = found;
	text_copy(lookup->name, sizeof(lookup->name), name);
	line_call(line, ROLE_LEDGER, MESSAGE_LOT_LIST, 0, 0, &all, sizeof(all),
	    NULL, 0, lookup_page, lookup);
}

static void
dispose_found(struct lookup *lookup, uint64_t lot)
{
	static const char *const kinds[] = {
	    [DISPOSE_SCRAP] = "scrap",
	    [DISPOSE_QUARANTINE] = "quarantine",
	    [DISPOSE_REWORK] = "rework",
	};
	struct message_dispose dispose;
	const char *serial, *kind, *reason;
	uint32_t i;

	serial = control_request_need(lookup->request, "serial", SERIAL_LEN);
	if (serial == NULL)
		return;
	kind = control_request_need(lookup->request, "kind", 16);
	if (kind == NULL)
		return;
	reason = control_request_need(lookup->request, "reason", 96);
	if (reason == NULL)
		return;
	for (i = 0; i < 3; i++)
		if (strcmp(kinds[i], kind) == 0)
			break;
	if (i == 3) {
		control_reply_error(lookup->request, "bad-request",
		    "kind is one of scrap, quarantine, rework",
		    "Correct the command.", 64);
		return;
	}
	memset(&dispose, 0, sizeof(dispose));
	dispose.lot = lot;
	dispose.kind = i;
	text_copy(dispose.serial, sizeof(dispose.serial), serial);
	text_copy(dispose.operator, sizeof(dispose.operator),
	    operator_of(lookup->request));
	text_copy(dispose.reason, sizeof(dispose.reason), reason);
	line_call(lookup->line, ROLE_LEDGER, MESSAGE_DISPOSE, 0, 0, &dispose,
	    sizeof(dispose), NULL, 0, disposed, lookup->request);
}

static void
handle_dispose(struct control_request *request, void *arg)
{
	lookup_start(arg, request, dispose_found);
}

/* ---- reports: a role of their own writes into the client's descriptor ---- */

struct reporting {
	struct reporting *next;
	struct line *line;
	struct control_request *request;
	uint64_t lot;
	char name[NAME_LEN];
	struct channel channel;
	struct loop_watch *watch;
};

static void
reporting_end(struct reporting *reporting, const struct fault *fault,
    const struct message_report_done *done)
{
	struct reporting **at;
	struct lot_row row;

	for (at = &reporting->line->reports; *at != NULL; at = &(*at)->next)
		if (*at == reporting) {
			*at = reporting->next;
			break;
		}
	if (fault->cause != CAUSE_NONE) {
		control_reply_fault(reporting->request, fault);
	} else {
		memset(&row, 0, sizeof(row));
		text_copy(row.name, sizeof(row.name), reporting->name);
		row.counts = done->counts;
		row.state = lot_find(reporting->line, row.name) != NULL
				? LOT_STATE_OPEN
				: LOT_STATE_CLOSED;
		control_reply(reporting->request,
		    json_pack("{sI,so}", "rows", (json_int_t)done->rows, "lot",
			lot_json(reporting->line,
			    lot_find(reporting->line, row.name), &row)));
	}
	if (reporting->watch != NULL) {
		loop_unwatch(reporting->line->loop, reporting->watch);
		channel_close(&reporting->channel);
	}
	free(reporting);
}

static void
report_ready(void *arg, short revents)
{
	struct reporting *reporting = arg;
	struct message message;
	struct fault fault;
	int got;

	(void)revents;
	channel_flush(&reporting->channel);
	got = channel_receive(&reporting->channel, &message);
	if (got == 0) {
		loop_watch_events(
		    reporting->watch, channel_events(&reporting->channel));
		return;
	}
	if (got == -1 || message.header.type != MESSAGE_REPORT_DONE) {
		fault_set(&fault, CAUSE_INTERNAL,
		    "the report role ended without an answer");
		reporting_end(reporting, &fault, NULL);
		return;
	}
	call_fault(&message, &fault);
	reporting_end(reporting, &fault, (const void *)message.body.bytes);
	message_close_fds(&message);
}

static void
report_spawned(void *arg, struct message *answer)
{
	struct reporting *reporting = arg;
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_REPORT, .sequence = 1};
	struct message_report report;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause == CAUSE_NONE && answer->fd_count != 1)
		fault_set(&fault, CAUSE_INTERNAL, "no report role");
	if (fault.cause != CAUSE_NONE) {
		reporting_end(reporting, &fault, NULL);
		return;
	}
	channel_open(&reporting->channel, answer->fds[0], "report", 4);
	answer->fd_count = 0;
	reporting->watch = loop_watch(reporting->line->loop,
	    reporting->channel.fd, POLLIN, report_ready, reporting);
	memset(&report, 0, sizeof(report));
	report.lot = reporting->lot;
	text_copy(report.ledger, sizeof(report.ledger),
	    reporting->line->config->ledger);
	text_copy(report.format, sizeof(report.format), "csv");
	channel_send(
	    &reporting->channel, &header, &report, sizeof(report), NULL, 0);
}

static void
report_found(struct lookup *lookup, uint64_t lot)
{
	struct message_spawn spawn;
	struct reporting *reporting;
	int fd = control_request_take_fd(lookup->request);

	if (fd == -1) {
		control_reply_error(lookup->request, "bad-request",
		    "a report needs a descriptor to write to",
		    "Use `station report`.", 64);
		return;
	}
	reporting = calloc(1, sizeof(*reporting));
	if (reporting == NULL)
		abort();
	reporting->line = lookup->line;
	reporting->request = lookup->request;
	reporting->lot = lot;
	reporting->next = lookup->line->reports;
	lookup->line->reports = reporting;
	text_copy(reporting->name, sizeof(reporting->name), lookup->name);
	memset(&spawn, 0, sizeof(spawn));
	spawn.role = ROLE_REPORT;
	line_call(lookup->line, ROLE_PARENT, MESSAGE_SPAWN, 0, 0, &spawn,
	    sizeof(spawn), &fd, 1, report_spawned, reporting);
	close(fd);
}

static void
handle_report(struct control_request *request, void *arg)
{
	const char *format = control_request_text(request, "format");

	if (format != NULL && strcmp(format, "csv") != 0) {
		control_reply_error(request, "bad-request",
		    "the only format is csv", "Correct the command.", 64);
		return;
	}
	lookup_start(arg, request, report_found);
}

const struct control_command line_commands[] = {
    {"lot-open", CONTROL_ACCESS_WRITE, handle_lot_open},
    {"lot-close", CONTROL_ACCESS_WRITE, handle_lot_close},
    {"lot-list", CONTROL_ACCESS_READ, handle_lot_list},
    {"lot-show", CONTROL_ACCESS_READ, handle_lot_show},
    {"make", CONTROL_ACCESS_WRITE, handle_make},
    {"bulk", CONTROL_ACCESS_WRITE, handle_bulk},
    {"abort", CONTROL_ACCESS_WRITE, handle_abort},
    {"acknowledge", CONTROL_ACCESS_WRITE, handle_acknowledge},
    {"hold", CONTROL_ACCESS_WRITE, handle_hold},
    {"release", CONTROL_ACCESS_WRITE, handle_release},
    {"dispose", CONTROL_ACCESS_WRITE, handle_dispose},
    {"report", CONTROL_ACCESS_READ, handle_report},
    {NULL, CONTROL_ACCESS_READ, NULL},
};
