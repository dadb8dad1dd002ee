/*
 * The board: what happens now, as JSON for screens, and what has happened,
 * as events for scripts. Nothing here decides anything.
 */
#include "line/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static const char *const slot_states[] = {
    [SLOT_EMPTY] = "empty",
    [SLOT_WAITING] = "waiting",
    [SLOT_BUSY] = "busy",
    [SLOT_DONE] = "done",
    [SLOT_HELD] = "held",
};
static const char *const ring_levels[] = {
    [RING_ERROR] = "error",
    [RING_WARNING] = "warning",
    [RING_NOTICE] = "notice",
};

static void
put(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

static void
put_text(json_t *object, const char *name, const char *text)
{
	put(object, name, control_text(text));
}

static void
put_number(json_t *object, const char *name, int64_t number)
{
	put(object, name, json_integer(number));
}

static void
put_time(json_t *object, const char *name, int64_t wall_ms)
{
	char text[CLOCK_TEXT_LEN];

	clock_format(wall_ms, text);
	put(object, name, json_string(wall_ms == 0 ? "" : text));
}

static void
put_fault(json_t *object, const struct fault *fault, bool with_cause)
{
	const struct fault_row *row = fault_row(fault->cause);

	put_text(
	    object, "class", with_cause ? fault_owner_name(row->owner) : "");
	put_text(object, "cause", with_cause ? row->name : "");
	put_text(object, "text", with_cause ? fault->text : "");
	put_text(object, "action", with_cause ? row->action : "");
}

/* ---- lots ---- */

static json_t *
pareto_json(const struct lot_counts *counts)
{
	json_t *list = json_array(), *entry;
	const struct fault_row *row;
	size_t i;

	for (i = 0; i < 8; i++) {
		if (counts->pareto[i].count == 0 ||
		    counts->pareto[i].cause >= CAUSE_COUNT)
			continue;
		row = fault_row((enum fault_cause)counts->pareto[i].cause);
		entry = json_object();
		put_text(entry, "cause", row->name);
		put_number(entry, "count", counts->pareto[i].count);
		put_text(entry, "class", fault_owner_name(row->owner));
		json_array_append_new(list, entry);
	}
	return list;
}

static void
counts_put(json_t *object, const struct lot_counts *counts)
{
	put_number(object, "quantity", counts->quantity);
	put_number(object, "rows", counts->rows);
	put_number(object, "passed", counts->passed);
	put_number(object, "failed", counts->failed);
	put_number(object, "staged", counts->staged);
	put_number(object, "quarantined", counts->quarantined);
	put_number(object, "scrapped", counts->scrapped);
	put_number(object, "in_progress", counts->in_progress);
	put_number(object, "missing", counts->missing);
	put_number(object, "attempts", counts->attempts);
	put_number(object, "refused", counts->refused);
	put_number(object, "first_passed", counts->first_passed);
	put_number(object, "first_total", counts->first_total);
	put(object, "first_pass_yield",
	    counts->first_total == 0 ? json_null()
				     : json_real((double)counts->first_passed /
						 (double)counts->first_total));
	put_number(object, "obligations", counts->obligations);
	put(object, "pareto", pareto_json(counts));
}

json_t *
lot_json(const struct line *line, const struct open_lot *lot,
    const struct lot_row *row)
{
	const struct lot_image *image = lot == NULL ? NULL : lot->image;
	json_t *object = json_object();
	bool open =
	    lot != NULL || (row != NULL && row->state == LOT_STATE_OPEN);

	(void)line;
	put_text(object, "lot",
	    row != NULL	    ? row->name
	    : image != NULL ? image->name
			    : "");
	put_text(object, "state", open ? "open" : "closed");
	put_text(object, "pattern",
	    image == NULL ? "" : pattern_name((enum pattern)image->pattern));
	put_text(object, "ending",
	    image == NULL ? "" : ending_name((enum ending)image->ending));
	put_text(object, "product", image == NULL ? "" : image->product);
	put_text(
	    object, "part_number", image == NULL ? "" : image->part_number);
	put_text(object, "firmware_version",
	    image == NULL ? "" : image->firmware_version);
	counts_put(object, row != NULL ? &row->counts : &lot->counts);
	if (image != NULL && image->first_article != 0) {
		put_number(object, "first_article", image->first_article);
		put_number(object, "first_article_connected",
		    lot->articles_done ? image->first_article
				       : lot->articles_confirmed);
	}
	return object;
}

void
board_lot_event(struct open_lot *lot, const char *what, const char *text)
{
	json_t *members = json_object();

	put(members, "lot", lot_json(lot->line, lot, NULL));
	put_text(members, "what", what);
	put_text(members, "text", text);
	control_server_event(
	    lot->line->server, "lot", lot->image->name, members);
}

void
board_lots_stopped(struct line *line, const char *reason)
{
	size_t i;

	for (i = 0; i < LOTS_OPEN_MAX; i++)
		if (line->lots[i].stage == LOT_STAGE_OPEN)
			board_lot_event(&line->lots[i], "stopped", reason);
}

/* ---- slots ---- */

static json_t *
slot_json(const struct board_slot *slot)
{
	json_t *object = json_object();
	bool busy = slot->state == SLOT_BUSY;
	int64_t end = busy ? clock_monotonic_ms() : slot->ended_ms;
	int64_t tenths = 0;
	const char *position = slot->config->usb[0] != '\0'
				   ? slot->config->usb
				   : slot->config->port;
	enum step_name step = (enum step_name)slot->progress.step;

	put_text(object, "name", slot->config->name);
	put_text(object, "position", position);
	put_text(object, "state", slot_states[slot->state]);
	put_text(
	    object, "lot", slot->state == SLOT_EMPTY ? "" : slot->lot_name);
	put_text(object, "serial", slot->progress.serial);
	put_text(object, "mac", slot->progress.mac);
	put_number(object, "attempt", (int64_t)slot->attempt_id);
	put_text(object, "step",
	    slot->attempt_id != 0 && step < STEP_NAME_COUNT ? step_name(step)
							    : "");
	put_number(object, "permille", slot->progress.permille);
	put_text(object, "note", slot->progress.note);
	put_text(object, "verdict",
	    verdict_name((enum verdict)slot->verdict.verdict));
	put_fault(object, &slot->verdict.fault,
	    slot->verdict.fault.cause != CAUSE_NONE);
	put(object, "acknowledged", json_boolean(slot->acknowledged));
	if (slot->began_ms != 0 && end > slot->began_ms)
		tenths = (end - slot->began_ms) / 100;
	put(object, "seconds", json_real((double)tenths / 10.0));
	return object;
}

/* ---- the whole ---- */

static json_t *
alarm_json(const struct line *line)
{
	const struct config_alarm *limits = &line->config->alarm;
	uint32_t failures, successes;
	json_t *object = json_object();

	alarm_sums(line, &failures, &successes);
	put(object, "ringing", json_boolean(line->alarm.ringing));
	put_number(object, "failures", failures);
	put_number(object, "successes", successes);
	put(object, "ratio",
	    successes == 0 ? json_real(failures == 0 ? 0.0 : 1.0)
			   : json_real((double)failures / (double)successes));
	put(object, "limit", json_real((double)limits->ratio_milli / 1000.0));
	put_number(object, "window", limits->window);
	put_number(object, "minimum", limits->minimum);
	return object;
}

static json_t *
log_json(const struct line *line)
{
	json_t *list = json_array(), *entry;
	const struct log_entry *from;
	size_t i;

	for (i = 0; i < line->log_count; i++) {
		from = &line->log[(line->log_next + LOG_RING - line->log_count +
				      i) %
				  LOG_RING];
		entry = json_object();
		put_time(entry, "at", from->wall_ms);
		put_text(entry, "level", ring_levels[from->level]);
		put_text(entry, "text", from->text);
		json_array_append_new(list, entry);
	}
	return list;
}

static const char *
cloud_text(const struct line *line)
{
	static const char *const names[] = {
	    [CLOUD_STATE_UP] = "up",
	    [CLOUD_STATE_SLOW] = "slow",
	    [CLOUD_STATE_DOWN] = "down",
	    [CLOUD_STATE_LAPSED] = "down",
	};

	if (!line->peers[ROLE_CLOUD].up || line->cloud.state >= 3)
		return "down";
	return names[line->cloud.state];
}

json_t *
board_snapshot(struct line *line)
{
	json_t *object = json_object(), *lots = json_array(),
	       *slots = json_array();
	size_t i;

	put_text(object, "station", line->config->station);
	put_text(object, "site", line->config->site);
	put_text(object, "version", STATION_VERSION);
	put_time(object, "at", clock_wall_ms());
	put_number(object, "uptime_s",
	    (clock_monotonic_ms() - line->started_ms) / 1000);
	put_text(object, "ledger",
	    line->peers[ROLE_LEDGER].up && line->ledger_ready ? "up" : "down");
	put_text(object, "cloud", cloud_text(line));
	put_text(object, "cloud_text", line->cloud.text);
	put(object, "held", json_boolean(line->held));
	put(object, "hold_passes", json_boolean(line->hold_passes));
	put_text(object, "hold_reason", line->hold_reason);
	put(object, "alarm", alarm_json(line));
	put_number(object, "units_per_hour", rate_units_per_hour(line));
	put_number(object, "takt_target_ms", line->config->takt_ms);
	put_number(object, "takt_ms", rate_takt_ms(line));
	for (i = 0; i < LOTS_OPEN_MAX; i++)
		if (line->lots[i].stage == LOT_STAGE_OPEN)
			json_array_append_new(
			    lots, lot_json(line, &line->lots[i], NULL));
	put(object, "lots", lots);
	for (i = 0; i < line->config->slot_count; i++)
		json_array_append_new(slots, slot_json(&line->slots[i]));
	put(object, "slots", slots);
	put(object, "log", log_json(line));
	return object;
}

void
board_changed(struct line *line)
{
	if (line->server != NULL)
		control_server_touch(line->server);
}

void
board_note(
    struct line *line, enum log_ring_level level, const char *format, ...)
{
	static const enum log_level log_levels[] = {
	    [RING_ERROR] = LOG_LEVEL_ERROR,
	    [RING_WARNING] = LOG_LEVEL_WARNING,
	    [RING_NOTICE] = LOG_LEVEL_NOTICE,
	};
	struct log_entry *entry = &line->log[line->log_next];
	json_t *members;
	va_list arguments;

	line->log_next = (line->log_next + 1) % LOG_RING;
	if (line->log_count < LOG_RING)
		line->log_count++;
	entry->wall_ms = clock_wall_ms();
	entry->level = level;
	va_start(arguments, format);
	vsnprintf(entry->text, sizeof(entry->text), format, arguments);
	va_end(arguments);
	log_line(log_levels[level], "%s", entry->text);
	if (line->server == NULL)
		return;
	members = json_object();
	put_time(members, "at", entry->wall_ms);
	put_text(members, "level", ring_levels[level]);
	put_text(members, "text", entry->text);
	control_server_event(line->server, "log", NULL, members);
	board_changed(line);
}

/* ---- a committed verdict ---- */

void
board_verdict(struct attempt *attempt)
{
	struct line *line = attempt->line;
	const struct lot_image *image =
	    attempt->lot == NULL ? NULL : attempt->lot->image;
	const struct message_verdict *verdict = &attempt->verdict;
	json_t *members = json_object();
	bool passed = verdict->verdict == VERDICT_PASS;
	const char *lot = image == NULL ? attempt->begin.lot_name : image->name;
	const char *mac = attempt->gate.mac;
	int64_t spent = attempt->ended_wall_ms - attempt->began_wall_ms;

	if (mac[0] == '\0' && attempt->slot != NULL)
		mac = attempt->slot->progress.mac;
	put_text(members, "lot", lot);
	put_text(members, "slot", attempt->slot_name);
	put_number(members, "attempt", (int64_t)attempt->id);
	put_text(members, "serial", attempt->gate.serial);
	put_text(members, "mac", mac);
	put_text(members, "thing", attempt->gate.thing);
	put_text(members, "certificate_id", attempt->issued.certificate_id);
	if (passed && image != NULL && image->pattern == PATTERN_CLAIM)
		put_text(members, "cloud_state", "AWAITING-CONNECTION");
	else
		put_text(members, "cloud_state", attempt->cloud_state);
	put_text(members, "pattern",
	    image == NULL ? "" : pattern_name((enum pattern)image->pattern));
	put_text(members, "firmware_version",
	    image == NULL ? "" : image->firmware_version);
	put_text(members, "step",
	    verdict->step < STEP_NAME_COUNT
		? step_name((enum step_name)verdict->step)
		: "");
	put_text(
	    members, "verdict", verdict_name((enum verdict)verdict->verdict));
	put_fault(members, &verdict->fault, !passed);
	put_time(members, "start", attempt->began_wall_ms);
	put_time(members, "end", attempt->ended_wall_ms);
	put(members, "seconds", json_real((double)spent / 1000.0));
	put(members, "unverified", json_boolean(verdict->unverified != 0));
	control_server_verdict(line->server, lot, members);
	if (!passed)
		board_note(line, RING_WARNING, "slot %s %s: %s %s: %s",
		    attempt->slot_name, attempt->gate.serial,
		    verdict_name((enum verdict)verdict->verdict),
		    fault_row(verdict->fault.cause)->name, verdict->fault.text);
}

static json_t *
snapshot_wanted(void *arg)
{
	return board_snapshot(arg);
}

int
board_start(struct line *line, int listen_fd, struct fault *fault)
{
	struct control_server_setup setup = {.commands = line_commands,
	    .group = (gid_t)-1,
	    .snapshot = snapshot_wanted,
	    .arg = line};

	if (control_group(line->config->socket_group, &setup.group, fault) ==
	    -1)
		return -1;
	line->server = control_server_new(line->loop, listen_fd, &setup, fault);
	return line->server == NULL ? -1 : 0;
}
