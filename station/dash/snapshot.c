#include "dash/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

/* ---- text ---- */

/*
 * Decodes one character of UTF-8: its length, or 0 when the bytes are not
 * one (overlong forms and surrogates are none, RFC 3629 section 3).
 */
static size_t
character_decode(const char *from, uint32_t *code)
{
	const unsigned char *c = (const unsigned char *)from;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len;

	if (c[0] < 0x80) {
		*code = c[0];
		return 1;
	}
	if ((c[0] & 0xe0) == 0xc0)
		len = 2;
	else if ((c[0] & 0xf0) == 0xe0)
		len = 3;
	else if ((c[0] & 0xf8) == 0xf0)
		len = 4;
	else
		return 0;
	*code = c[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (c[i] & 0x3fu);
	}
	if (*code < least[len] || *code > 0x10ffff ||
	    (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return len;
}

/* C0, DEL and C1 act on a terminal; the others hide or reorder text. */
static bool
is_hostile(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0xad ||
	       code == 0x61c || code == 0x180e ||
	       (code >= 0x200b && code <= 0x200f) ||
	       (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff9 && code <= 0xfffb) ||
	       (code >= 0xe0000 && code <= 0xe0fff);
}

void
snapshot_text(char *to, size_t size, const char *from)
{
	size_t at = 0;

	while (*from != '\0') {
		char escaped[16];
		const char *piece = from;
		uint32_t code = 0;
		size_t len = character_decode(from, &code);
		size_t piece_len = len;

		if (len == 0) {
			len = 1;
			piece_len = (size_t)snprintf(escaped, sizeof(escaped),
			    "\\x%02x", (unsigned char)*from);
			piece = escaped;
		} else if (is_hostile(code)) {
			piece_len = (size_t)snprintf(escaped, sizeof(escaped),
			    code < 0x100 ? "\\x%02x" : "\\u%04x", code);
			piece = escaped;
		}
		if (at + piece_len >= size)
			break;
		memcpy(to + at, piece, piece_len);
		at += piece_len;
		from += len;
	}
	to[at] = '\0';
}

/* ---- members ---- */

static void
text_get(const json_t *object, const char *name, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(object, name));

	snapshot_text(to, size, text == NULL ? "" : text);
}

static uint64_t
number_get(const json_t *object, const char *name, uint64_t most)
{
	const json_t *value = json_object_get(object, name);
	json_int_t number = json_integer_value(value);

	if (json_is_real(value)) {
		double real = json_real_value(value);

		if (!(real > 0))
			return 0;
		return real >= (double)most ? most : (uint64_t)real;
	}
	if (number <= 0)
		return 0;
	return (uint64_t)number < most ? (uint64_t)number : most;
}

static uint32_t
count_get(const json_t *object, const char *name)
{
	return (uint32_t)number_get(object, name, UINT32_MAX);
}

/* Within 0..most; what is no number is 0. */
static double
real_get(const json_t *object, const char *name, double most)
{
	double real = json_number_value(json_object_get(object, name));

	if (!(real > 0))
		return 0;
	return real < most ? real : most;
}

static bool
truth_get(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

enum verdict
snapshot_verdict(const char *name)
{
	static const enum verdict all[] = {VERDICT_PASS, VERDICT_FAIL,
	    VERDICT_ERROR, VERDICT_ABORTED, VERDICT_REFUSED, VERDICT_STAGED};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (name != NULL && strcmp(name, verdict_name(all[i])) == 0)
			return all[i];
	return VERDICT_NONE;
}

static enum slot_state
slot_state_read(const char *name)
{
	static const char *const names[] = {
	    [SLOT_STATE_EMPTY] = "empty",
	    [SLOT_STATE_BUSY] = "busy",
	    [SLOT_STATE_DONE] = "done",
	    [SLOT_STATE_HELD] = "held",
	    [SLOT_STATE_WAITING] = "waiting",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (name != NULL && strcmp(name, names[i]) == 0)
			return (enum slot_state)i;
	return SLOT_STATE_EMPTY;
}

/* ---- objects ---- */

static void
lot_counts_read(const json_t *json, struct snapshot_lot *lot)
{
	const json_t *yield = json_object_get(json, "first_pass_yield");

	lot->quantity = count_get(json, "quantity");
	lot->rows = count_get(json, "rows");
	lot->passed = count_get(json, "passed");
	lot->failed = count_get(json, "failed");
	lot->staged = count_get(json, "staged");
	lot->quarantined = count_get(json, "quarantined");
	lot->scrapped = count_get(json, "scrapped");
	lot->in_progress = count_get(json, "in_progress");
	lot->missing = count_get(json, "missing");
	lot->attempts = count_get(json, "attempts");
	lot->refused = count_get(json, "refused");
	lot->first_passed = count_get(json, "first_passed");
	lot->first_total = count_get(json, "first_total");
	lot->obligations = count_get(json, "obligations");
	lot->yield_permille = -1;
	if (json_is_number(yield))
		lot->yield_permille =
		    (int32_t)(real_get(json, "first_pass_yield", 1) * 1000 +
			      0.5);
}

int
snapshot_read_lot(const json_t *json, struct snapshot_lot *lot)
{
	const json_t *pareto = json_object_get(json, "pareto");
	const json_t *row;
	size_t i;
	char state[8];

	memset(lot, 0, sizeof(*lot));
	if (!json_is_object(json))
		return -1;
	text_get(json, "lot", lot->name, sizeof(lot->name));
	text_get(json, "state", state, sizeof(state));
	lot->open = strcmp(state, "open") == 0;
	text_get(json, "pattern", lot->pattern, sizeof(lot->pattern));
	text_get(json, "product", lot->product, sizeof(lot->product));
	text_get(
	    json, "part_number", lot->part_number, sizeof(lot->part_number));
	text_get(json, "firmware_version", lot->firmware_version,
	    sizeof(lot->firmware_version));
	lot_counts_read(json, lot);
	json_array_foreach (pareto, i, row) {
		struct snapshot_cause *cause = &lot->pareto[i];

		if (i == SNAPSHOT_PARETO_MAX)
			break;
		text_get(row, "cause", cause->cause, sizeof(cause->cause));
		text_get(row, "class", cause->owner, sizeof(cause->owner));
		cause->count = count_get(row, "count");
		lot->pareto_count++;
	}
	return 0;
}

static void
slot_read(const json_t *json, struct snapshot_slot *slot)
{
	text_get(json, "name", slot->name, sizeof(slot->name));
	text_get(json, "position", slot->position, sizeof(slot->position));
	slot->state =
	    slot_state_read(json_string_value(json_object_get(json, "state")));
	text_get(json, "lot", slot->lot, sizeof(slot->lot));
	text_get(json, "serial", slot->serial, sizeof(slot->serial));
	text_get(json, "mac", slot->mac, sizeof(slot->mac));
	slot->attempt = number_get(json, "attempt", INT64_MAX);
	text_get(json, "step", slot->step, sizeof(slot->step));
	slot->permille = (uint32_t)number_get(json, "permille", 1000);
	text_get(json, "note", slot->note, sizeof(slot->note));
	slot->verdict = snapshot_verdict(
	    json_string_value(json_object_get(json, "verdict")));
	text_get(json, "class", slot->owner, sizeof(slot->owner));
	text_get(json, "cause", slot->cause, sizeof(slot->cause));
	text_get(json, "text", slot->text, sizeof(slot->text));
	text_get(json, "action", slot->action, sizeof(slot->action));
	slot->acknowledged = truth_get(json, "acknowledged");
	slot->seconds = real_get(json, "seconds", 1e7);
}

static void
alarm_read(const json_t *json, struct snapshot *snapshot)
{
	const json_t *alarm = json_object_get(json, "alarm");

	snapshot->alarm.ringing = truth_get(alarm, "ringing");
	snapshot->alarm.failures = count_get(alarm, "failures");
	snapshot->alarm.successes = count_get(alarm, "successes");
	snapshot->alarm.ratio = real_get(alarm, "ratio", 1e6);
	snapshot->alarm.limit = real_get(alarm, "limit", 1e6);
	snapshot->alarm.window = count_get(alarm, "window");
	snapshot->alarm.minimum = count_get(alarm, "minimum");
}

static void
lists_read(const json_t *json, struct snapshot *snapshot)
{
	const json_t *lots = json_object_get(json, "lots");
	const json_t *slots = json_object_get(json, "slots");
	const json_t *log = json_object_get(json, "log");
	size_t log_len = json_array_size(log);
	size_t first =
	    log_len > SNAPSHOT_LOG_MAX ? log_len - SNAPSHOT_LOG_MAX : 0;

	for (size_t i = 0; i < json_array_size(lots) && i < SNAPSHOT_LOTS_MAX;
	     i++)
		if (snapshot_read_lot(json_array_get(lots, i),
			&snapshot->lots[snapshot->lot_count]) == 0)
			snapshot->lot_count++;
	for (size_t i = 0; i < json_array_size(slots) && i < SLOTS_MAX; i++)
		slot_read(json_array_get(slots, i),
		    &snapshot->slots[snapshot->slot_count++]);
	for (size_t i = first; i < log_len; i++) {
		const json_t *line = json_array_get(log, i);
		struct snapshot_log *to = &snapshot->log[snapshot->log_count++];

		text_get(line, "at", to->at, sizeof(to->at));
		text_get(line, "level", to->level, sizeof(to->level));
		text_get(line, "text", to->text, sizeof(to->text));
	}
}

int
snapshot_read(const json_t *json, struct snapshot *snapshot)
{
	memset(snapshot, 0, sizeof(*snapshot));
	if (!json_is_object(json))
		return -1;
	text_get(json, "station", snapshot->station, sizeof(snapshot->station));
	text_get(json, "site", snapshot->site, sizeof(snapshot->site));
	text_get(json, "version", snapshot->version, sizeof(snapshot->version));
	text_get(json, "at", snapshot->at, sizeof(snapshot->at));
	snapshot->uptime_s = number_get(json, "uptime_s", UINT32_MAX);
	text_get(json, "ledger", snapshot->ledger, sizeof(snapshot->ledger));
	text_get(json, "cloud", snapshot->cloud, sizeof(snapshot->cloud));
	text_get(json, "cloud_text", snapshot->cloud_text,
	    sizeof(snapshot->cloud_text));
	snapshot->held = truth_get(json, "held");
	snapshot->hold_passes = truth_get(json, "hold_passes");
	text_get(json, "hold_reason", snapshot->hold_reason,
	    sizeof(snapshot->hold_reason));
	alarm_read(json, snapshot);
	snapshot->units_per_hour = count_get(json, "units_per_hour");
	snapshot->takt_target_ms = count_get(json, "takt_target_ms");
	snapshot->takt_ms = count_get(json, "takt_ms");
	lists_read(json, snapshot);
	return 0;
}

/* ---- questions ---- */

const struct snapshot_lot *
snapshot_lot_find(const struct snapshot *snapshot, const char *name)
{
	for (uint32_t i = 0; i < snapshot->lot_count; i++)
		if (text_equal(snapshot->lots[i].name, name))
			return &snapshot->lots[i];
	return NULL;
}

bool
snapshot_lot_busy(const struct snapshot *snapshot, const char *name)
{
	for (uint32_t i = 0; i < snapshot->slot_count; i++)
		if (snapshot->slots[i].state == SLOT_STATE_BUSY &&
		    text_equal(snapshot->slots[i].lot, name))
			return true;
	return false;
}

bool
snapshot_lot_complete(const struct snapshot_lot *lot)
{
	if (lot->in_progress > 0)
		return false;
	return lot->passed + lot->staged >= lot->quantity || lot->missing == 0;
}
