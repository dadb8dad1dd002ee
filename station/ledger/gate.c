/*
 * The gate: may this unit be made now, and which serial is it? Asked before
 * anything is written, and again as soon as a unit that shows its identity
 * late has shown it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ledger/attempt.h"
#include "ledger/ledger.h"
#include "ledger/manifest.h"
#include "ledger/unit.h"
#include "lot/lot.h"

/* One question to the gate. Its steps return 0 to go on, 1 when the fault
 * refuses the unit, -1 when the database failed. */
struct gate {
	struct ledger *ledger;
	struct store *store;
	const struct message_gate *told;
	struct attempt attempt;
	char mac[MAC_LEN];	   /* told now or earlier in the attempt */
	struct manifest_entry row; /* id 0: not known yet */
	struct unit unit;	   /* of the row */
	bool returns; /* a staged unit comes back: it is counted already */
	bool issued;  /* and its certificate is there */
	struct fault *fault;
};

static int refuse(struct fault *fault, enum fault_cause cause,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

static int
refuse(struct fault *fault, enum fault_cause cause, const char *format, ...)
{
	char text[sizeof(fault->text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fault_set(fault, cause, "%s", text);
	return 1;
}

/* ---- refusals that name what the ledger knows ---- */

static int
refuse_other_lot(struct gate *gate, const struct manifest_entry *row)
{
	char name[NAME_LEN];

	if (lot_name_read(gate->store, row->lot, name) < 0)
		return -1;
	return refuse(gate->fault, CAUSE_OTHER_LOT,
	    "serial %s belongs to lot %s (manifest line %u), and lot %s is "
	    "being made",
	    row->serial, name, row->line, gate->attempt.lot_name);
}

static int
refuse_made(struct gate *gate, const struct unit *unit, const char *serial)
{
	char when[CLOCK_TEXT_LEN], thing[THING_LEN];
	sqlite3_stmt *row;
	int there;

	there = store_row(gate->store,
	    "SELECT e.at, g.thing FROM verdict AS v"
	    " JOIN entry AS e ON e.id = v.entry"
	    " JOIN gate AS g ON g.attempt = v.attempt AND g.bound = 1"
	    " WHERE v.attempt = ?1 ORDER BY g.entry DESC LIMIT 1",
	    VALUES(value_integer((int64_t)unit->passed)), &row);
	if (there < 0)
		return -1;
	if (there == 0)
		return refuse(gate->fault, CAUSE_ALREADY_MADE,
		    "serial %s is made already", serial);
	clock_format(sqlite3_column_int64(row, 0), when);
	store_text(row, 1, thing, sizeof(thing));
	store_done(row);
	return refuse(gate->fault, CAUSE_ALREADY_MADE,
	    "serial %s was made on %s as thing %s, attempt %llu", serial, when,
	    thing, (unsigned long long)unit->passed);
}

static int
refuse_held(struct gate *gate, const struct unit *unit, const char *serial)
{
	struct attempt other;

	if (attempt_read(gate->store, unit->attempt, &other, NULL) < 0)
		return -1;
	return refuse(gate->fault, CAUSE_TWICE_IN_FIXTURE,
	    "serial %s is in slot %s at the same time (attempt %llu)", serial,
	    other.slot, (unsigned long long)unit->attempt);
}

static int
refuse_disposed(struct gate *gate, const struct unit *unit, const char *serial)
{
	char when[CLOCK_TEXT_LEN] = "", operator[NAME_LEN] = "";
	char reason[96] = "";
	sqlite3_stmt *row;
	int there;

	there = store_row(gate->store,
	    "SELECT e.at, d.operator, d.reason FROM disposal AS d"
	    " JOIN entry AS e ON e.id = d.entry WHERE d.manifest = ?1"
	    " ORDER BY d.entry DESC LIMIT 1",
	    VALUES(value_integer((int64_t)unit->manifest)), &row);
	if (there < 0)
		return -1;
	if (there == 1) {
		clock_format(sqlite3_column_int64(row, 0), when);
		store_text(row, 1, operator, sizeof(operator));
		store_text(row, 2, reason, sizeof(reason));
		store_done(row);
	}
	return refuse(gate->fault, CAUSE_QUARANTINED,
	    "serial %s was %s on %s by %s: %s", serial,
	    unit_state_name(unit->state), when, operator, reason);
}

/* What forbids a unit in whatever way it was found. */
static int
gate_unit_state(struct gate *gate, const struct unit *unit, const char *serial)
{
	if (unit->attempt != 0 && unit->attempt != gate->attempt.id)
		return refuse_held(gate, unit, serial);
	if (unit->state == UNIT_QUARANTINED || unit->state == UNIT_SCRAPPED)
		return refuse_disposed(gate, unit, serial);
	return 0;
}

/* ---- the steps ---- */

static int
gate_attempt(struct gate *gate)
{
	const struct attempt *attempt = &gate->attempt;

	if (attempt->verdict != VERDICT_NONE)
		return refuse(gate->fault, CAUSE_INTERNAL,
		    "attempt %llu has its verdict already",
		    (unsigned long long)attempt->id);
	if (attempt->lot == 0 && attempt->lot_name[0] == '\0')
		return refuse(gate->fault, CAUSE_LOT_NOT_OPEN,
		    "no lot is open for slot %s", attempt->slot);
	if (attempt->lot == 0 || !attempt->lot_open)
		return refuse(gate->fault, CAUSE_LOT_NOT_OPEN,
		    "lot %s is not open", attempt->lot_name);
	return 0;
}

/* The unit must be the one that this attempt saw before. */
static int
gate_same(struct gate *gate)
{
	const struct attempt *attempt = &gate->attempt;
	const struct message_gate *told = gate->told;

	if (attempt->mac[0] != '\0' && told->mac[0] != '\0' &&
	    !text_equal(attempt->mac, told->mac))
		return refuse(gate->fault, CAUSE_SWAPPED,
		    "slot %s: the unit was %s and is %s now", attempt->slot,
		    attempt->mac, told->mac);
	if (attempt->serial[0] != '\0' && told->serial[0] != '\0' &&
	    !text_equal(attempt->serial, told->serial))
		return refuse(gate->fault, CAUSE_SERIAL_MISMATCH,
		    "slot %s: the unit was %s and reports %s now",
		    attempt->slot, attempt->serial, told->serial);
	text_copy(gate->mac, sizeof(gate->mac),
	    told->mac[0] != '\0' ? told->mac : attempt->mac);
	return 0;
}

static int
gate_row_by_serial(struct gate *gate, const char *serial)
{
	int there = manifest_find_serial(gate->store, serial, &gate->row);

	if (there < 0)
		return -1;
	if (there == 0)
		return refuse(gate->fault, CAUSE_NOT_IN_MANIFEST,
		    "serial %s is not in the manifest of lot %s", serial,
		    gate->attempt.lot_name);
	return 0;
}

static int
gate_row_by_mac(struct gate *gate)
{
	int there;

	if (gate->mac[0] == '\0')
		return refuse(gate->fault, CAUSE_NOT_IN_MANIFEST,
		    "slot %s: the unit shows no MAC to find its serial by",
		    gate->attempt.slot);
	there = manifest_find_mac(gate->store, gate->mac, &gate->row);
	if (there < 0)
		return -1;
	if (there == 0)
		return refuse(gate->fault, CAUSE_NOT_IN_MANIFEST,
		    "MAC %s is not in the manifest of lot %s", gate->mac,
		    gate->attempt.lot_name);
	return 0;
}

static int
gate_row_scanned(struct gate *gate)
{
	const struct attempt *attempt = &gate->attempt;

	if (attempt->scanned[0] == '\0')
		return refuse(gate->fault, CAUSE_BAD_REQUEST,
		    "slot %s: no serial was scanned for this unit",
		    attempt->slot);
	if (gate->told->serial[0] != '\0' &&
	    !text_equal(gate->told->serial, attempt->scanned))
		return refuse(gate->fault, CAUSE_SERIAL_MISMATCH,
		    "slot %s: %s was scanned, but the unit reports %s",
		    attempt->slot, attempt->scanned, gate->told->serial);
	return gate_row_by_serial(gate, attempt->scanned);
}

/* The unit's own row if it has one, else the next that nobody has. */
static int
gate_row_next(struct gate *gate)
{
	struct unit unit;
	int there;

	if (gate->mac[0] == '\0')
		return refuse(gate->fault, CAUSE_HARDWARE_MISMATCH,
		    "slot %s: the unit shows no hardware address that a "
		    "serial could be bound to",
		    gate->attempt.slot);
	there = unit_find_mac(gate->store, gate->mac, &unit);
	if (there == 1)
		there = manifest_find(gate->store, unit.manifest, &gate->row);
	else if (there == 0)
		there = manifest_find_mac(gate->store, gate->mac, &gate->row);
	if (there == 0)
		there = manifest_find_free(gate->ledger, gate->attempt.lot,
		    gate->attempt.first_row, gate->attempt.rows, &gate->row);
	if (there < 0)
		return -1;
	if (there == 0)
		return refuse(gate->fault, CAUSE_NO_SERIAL,
		    "all %llu serials of lot %s are taken",
		    (unsigned long long)gate->attempt.rows,
		    gate->attempt.lot_name);
	return 0;
}

static int
gate_row(struct gate *gate)
{
	const struct attempt *attempt = &gate->attempt;
	int result = 0;

	if (attempt->manifest != 0)
		return manifest_find(
			   gate->store, attempt->manifest, &gate->row) == 1
			   ? 0
			   : -1;
	switch (attempt->serial_from) {
	case SERIAL_FROM_DEVICE:
		if (gate->told->serial[0] != '\0')
			result = gate_row_by_serial(gate, gate->told->serial);
		break;
	case SERIAL_FROM_MAC:
		result = gate_row_by_mac(gate);
		break;
	case SERIAL_FROM_SCAN:
		result = gate_row_scanned(gate);
		break;
	case SERIAL_FROM_NEXT:
		result = gate_row_next(gate);
		break;
	}
	if (result != 0 || gate->row.id == 0)
		return result;
	if (gate->row.lot != attempt->lot)
		return refuse_other_lot(gate, &gate->row);
	if (attempt->serial_from == SERIAL_FROM_MAC &&
	    gate->told->serial[0] != '\0' &&
	    !text_equal(gate->told->serial, gate->row.serial))
		return refuse(gate->fault, CAUSE_SERIAL_MISMATCH,
		    "slot %s: MAC %s stands for serial %s, but the unit "
		    "reports %s",
		    attempt->slot, gate->mac, gate->row.serial,
		    gate->told->serial);
	return 0;
}

/*
 * A unit that was staged comes back for its certificate, which the lot's bulk
 * registration has brought; one that is reworked begins anew.
 */
static int
gate_staged(struct gate *gate, const struct unit *unit, const char *serial)
{
	int64_t issued = 0;

	if (gate->attempt.pattern != PATTERN_BULK)
		return 0;
	gate->returns =
	    unit->state == UNIT_STAGED ||
	    (unit->attempt == gate->attempt.id && unit->before == UNIT_STAGED);
	if (store_number(gate->store,
		"SELECT count(*) FROM gate AS g JOIN outcome AS o"
		" ON o.attempt = g.attempt AND o.kind = 'issue' AND o.done = 1"
		" WHERE g.manifest = ?1 AND g.bound = 1 AND o.entry >"
		" coalesce((SELECT max(entry) FROM disposal"
		" WHERE manifest = ?1 AND kind = 'rework'), 0)",
		VALUES(value_integer((int64_t)unit->manifest)), &issued) < 0)
		return -1;
	gate->issued = issued > 0;
	if (gate->returns && !gate->issued)
		return refuse(gate->fault, CAUSE_NOT_REGISTERED,
		    "serial %s is staged, and lot %s has not brought its "
		    "certificate yet: run station bulk %s",
		    serial, gate->attempt.lot_name, gate->attempt.lot_name);
	return 0;
}

/* Whether the board is bound to another serial than the row's. */
static int
gate_board_bound(struct gate *gate)
{
	struct manifest_entry other;
	struct unit unit;
	int there = unit_find_mac(gate->store, gate->mac, &unit);

	if (there != 1 || unit.manifest == gate->row.id)
		return there < 0 ? -1 : 0;
	if (manifest_find(gate->store, unit.manifest, &other) != 1)
		return -1;
	if (other.lot != gate->attempt.lot)
		return refuse_other_lot(gate, &other);
	there = gate_unit_state(gate, &unit, other.serial);
	if (there != 0)
		return there;
	if (unit.passed != 0)
		return refuse_made(gate, &unit, other.serial);
	if (gate->row.id == 0)
		return gate_staged(gate, &unit, other.serial);
	return refuse(gate->fault, CAUSE_HARDWARE_MISMATCH,
	    "board %s is bound to serial %s, and not to %s", gate->mac,
	    other.serial, gate->row.serial);
}

/* What the manifest says of the board. */
static int
gate_board_listed(struct gate *gate)
{
	struct manifest_entry other;
	int there;

	if (gate->mac[0] == '\0')
		return 0;
	there = manifest_find_mac(gate->store, gate->mac, &other);
	if (there < 0)
		return -1;
	if (there == 1 && other.lot != gate->attempt.lot)
		return refuse_other_lot(gate, &other);
	if (gate->row.id == 0)
		return 0;
	if (there == 1 && other.id != gate->row.id)
		return refuse(gate->fault, CAUSE_HARDWARE_MISMATCH,
		    "the manifest gives board %s the serial %s, and not %s",
		    gate->mac, other.serial, gate->row.serial);
	if (gate->row.mac[0] != '\0' && !text_equal(gate->row.mac, gate->mac))
		return refuse(gate->fault, CAUSE_HARDWARE_MISMATCH,
		    "the manifest gives serial %s to board %s, and this is "
		    "%s",
		    gate->row.serial, gate->row.mac, gate->mac);
	return 0;
}

static int
gate_unit(struct gate *gate)
{
	struct unit *unit = &gate->unit;
	const char *serial = gate->row.serial;
	int result;

	if (gate->row.id == 0)
		return 0;
	if (unit_find(gate->store, gate->row.id, gate->row.lot, unit) < 0)
		return -1;
	result = gate_unit_state(gate, unit, serial);
	if (result != 0)
		return result;
	if (unit->mac[0] != '\0' && gate->mac[0] != '\0' &&
	    !text_equal(unit->mac, gate->mac))
		return refuse(gate->fault, CAUSE_HARDWARE_MISMATCH,
		    "serial %s is bound to board %s, and this is %s", serial,
		    unit->mac, gate->mac);
	if (unit->passed != 0)
		return refuse_made(gate, unit, serial);
	return gate_staged(gate, unit, serial);
}

static int
gate_quantity(struct gate *gate)
{
	uint32_t passed, staged, busy, own;

	if (tally_get(gate->store, gate->attempt.lot, "state",
		unit_state_name(UNIT_PASSED), &passed) != 0 ||
	    tally_get(gate->store, gate->attempt.lot, "state",
		unit_state_name(UNIT_STAGED), &staged) != 0 ||
	    tally_get(gate->store, gate->attempt.lot, "state",
		unit_state_name(UNIT_IN_PROGRESS), &busy) != 0)
		return -1;
	own = gate->attempt.manifest != 0 || gate->returns ? 1 : 0;
	if ((uint64_t)passed + staged + busy - own < gate->attempt.quantity)
		return 0;
	return refuse(gate->fault, CAUSE_OVER_QUANTITY,
	    "lot %s is for %u units: %u are made and %u at work",
	    gate->attempt.lot_name, gate->attempt.quantity,
	    passed + staged - (gate->returns ? 1 : 0),
	    busy - (gate->attempt.manifest != 0 ? 1 : 0));
}

static int
gate_judge(struct gate *gate)
{
	static int (*const steps[])(struct gate *) = {gate_attempt, gate_same,
	    gate_row, gate_board_listed, gate_unit, gate_board_bound,
	    gate_quantity};
	size_t i;
	int result = 0;

	for (i = 0; result == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
		result = steps[i](gate);
	return result;
}

/* ---- answer and record ---- */

static int
gate_thing(struct gate *gate, struct message_gate_done *done)
{
	struct lot_image *image = gate->ledger->image;
	struct fault fault;
	sqlite3_stmt *row;
	int there;

	memset(image, 0, sizeof(*image));
	there = store_row(gate->store,
	    "SELECT name, product, part_number, firmware_version, thing_rule"
	    " FROM lot WHERE id = ?1",
	    VALUES(value_integer((int64_t)gate->row.lot)), &row);
	if (there != 1)
		return -1;
	store_text(row, 0, image->name, sizeof(image->name));
	store_text(row, 1, image->product, sizeof(image->product));
	store_text(row, 2, image->part_number, sizeof(image->part_number));
	store_text(
	    row, 3, image->firmware_version, sizeof(image->firmware_version));
	store_text(row, 4, image->thing_rule, sizeof(image->thing_rule));
	store_done(row);
	if (lot_expand(image, gate->ledger->station, image->thing_rule,
		gate->row.serial, done->mac, gate->row.extra, done->thing,
		sizeof(done->thing), &fault) != 0 &&
	    gate->fault->cause == CAUSE_NONE)
		*gate->fault = fault;
	return 0;
}

static int
gate_answer(struct gate *gate, struct message_gate_done *done)
{
	text_copy(done->mac, sizeof(done->mac),
	    gate->mac[0] != '\0' ? gate->mac : gate->row.mac);
	done->issued = gate->issued ? 1 : 0;
	if (gate->row.id == 0) {
		text_copy(
		    done->serial, sizeof(done->serial), gate->told->serial);
		return 0;
	}
	text_copy(done->serial, sizeof(done->serial), gate->row.serial);
	text_copy(done->extra, sizeof(done->extra), gate->row.extra);
	done->resumed = gate->unit.identity ? 1 : 0;
	return gate_thing(gate, done);
}

static int
gate_record(struct gate *gate, const struct message_gate_done *done)
{
	return store_run(gate->store,
	    "INSERT INTO gate (entry, attempt, told_serial, told_mac,"
	    " hardware, unverified, manifest, bound, serial, mac, thing,"
	    " cause, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
	    " ?11, ?12, ?13)",
	    VALUES(value_integer((int64_t)gate->ledger->entry),
		value_integer((int64_t)gate->attempt.id),
		value_text(gate->told->serial), value_text(gate->told->mac),
		value_text(gate->told->hardware),
		value_integer(gate->told->unverified != 0),
		value_reference(gate->row.id), value_integer(done->bound),
		value_text(done->serial), value_text(gate->mac),
		value_text(done->thing),
		value_text(fault_row(done->fault.cause)->name),
		value_text(done->fault.text)));
}

int
ledger_gate(struct ledger *ledger, const struct message *request, void *answer)
{
	struct message_gate_done *done = answer;
	struct gate gate = {.ledger = ledger,
	    .store = &ledger->store,
	    .told = (const void *)request->body.bytes,
	    .fault = &done->fault};
	int result;

	result = attempt_read(
	    gate.store, request->header.attempt, &gate.attempt, &done->fault);
	if (result != 1)
		return result;
	result = gate_judge(&gate);
	if (result < 0)
		return -1;
	if (gate_answer(&gate, done) < 0)
		return -1;
	if (done->fault.cause == CAUSE_NONE && gate.row.id != 0) {
		done->bound = 1;
		if (binding_lease(
			gate.store, &gate.attempt, gate.row.id, gate.mac) != 0)
			return -1;
	}
	return gate_record(&gate, done);
}
