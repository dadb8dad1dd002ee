/*
 * What a client knows of the station: the protocol's snapshot and lot
 * objects (control/protocol.h) as plain data, parsed once, so that views and
 * commands never touch JSON.
 *
 * All text counts as hostile: it may have come from a device. It is made
 * safe for a terminal here, once: control characters, and those that
 * reorder or hide text, become visible escapes.
 */
#ifndef DASH_SNAPSHOT_H
#define DASH_SNAPSHOT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/message.h"

enum {
	SNAPSHOT_LOTS_MAX = 16,
	SNAPSHOT_LOG_MAX = 50,
	SNAPSHOT_PARETO_MAX = 8,
	SNAPSHOT_CAUSE_LEN = 40,
};

enum slot_state {
	SLOT_STATE_EMPTY,
	SLOT_STATE_BUSY,
	SLOT_STATE_DONE,    /* judged, and the unit is still in */
	SLOT_STATE_HELD,    /* out of service, or waiting for the line */
	SLOT_STATE_WAITING, /* its port is not there */
};

struct snapshot_cause {
	char cause[SNAPSHOT_CAUSE_LEN];
	char owner[16]; /* "DEVICE", ... */
	uint32_t count;
};

struct snapshot_lot {
	char name[NAME_LEN];
	bool open;
	char pattern[32];
	char product[NAME_LEN];
	char part_number[NAME_LEN];
	char firmware_version[40];
	uint32_t quantity;
	uint32_t rows; /* = passed + ... + missing */
	uint32_t passed, failed, staged, quarantined, scrapped;
	uint32_t in_progress, missing;
	uint32_t attempts, refused;
	uint32_t first_passed, first_total;
	int32_t yield_permille; /* first-pass yield; -1 when there is none */
	uint32_t obligations;
	uint32_t pareto_count;
	struct snapshot_cause pareto[SNAPSHOT_PARETO_MAX];
};

struct snapshot_slot {
	char name[NAME_LEN];
	char position[96];
	enum slot_state state;
	char lot[NAME_LEN];
	char serial[SERIAL_LEN];
	char mac[MAC_LEN];
	uint64_t attempt;
	char step[24];
	uint32_t permille; /* 0..1000 */
	char note[96];
	enum verdict verdict;
	char owner[16];
	char cause[SNAPSHOT_CAUSE_LEN];
	char text[400];
	char action[200];
	bool acknowledged;
	double seconds; /* of the attempt, so far */
};

struct snapshot_log {
	char at[CLOCK_TEXT_LEN];
	char level[12];
	char text[256];
};

struct snapshot {
	char station[NAME_LEN];
	char site[NAME_LEN];
	char version[32];
	char at[CLOCK_TEXT_LEN];
	uint64_t uptime_s;
	char ledger[8]; /* "up", "down" */
	char cloud[8];	/* "up", "slow", "down" */
	char cloud_text[128];
	bool held;
	bool hold_passes; /* it ends by itself: the cloud's credentials */
	char hold_reason[200];
	struct {
		bool ringing;
		uint32_t failures, successes;
		double ratio, limit;
		uint32_t window, minimum;
	} alarm;
	uint32_t units_per_hour;
	uint32_t takt_target_ms; /* 0: none is set */
	uint32_t takt_ms;
	uint32_t lot_count;
	struct snapshot_lot lots[SNAPSHOT_LOTS_MAX];
	uint32_t slot_count;
	struct snapshot_slot slots[SLOTS_MAX];
	uint32_t log_count;
	struct snapshot_log log[SNAPSHOT_LOG_MAX]; /* newest last */
};

/*
 * Fills all of it from the snapshot object; what is absent or of another
 * type stays empty, numbers are brought into their range, what is past an
 * array's end is left out. -1 when the value is no object.
 */
int snapshot_read(const json_t *, struct snapshot *);
int snapshot_read_lot(const json_t *, struct snapshot_lot *);

/* Null when no lot has that name. */
const struct snapshot_lot *
snapshot_lot_find(const struct snapshot *, const char *name);
/* True when a unit of that lot is at work in any slot. */
bool snapshot_lot_busy(const struct snapshot *, const char *name);
/*
 * Nothing is left to make: the quantity has passed (or is staged for later),
 * or no row of the manifest is missing or in progress.
 */
bool snapshot_lot_complete(const struct snapshot_lot *);

/* VERDICT_NONE when there is no such verdict. */
enum verdict snapshot_verdict(const char *name);

/*
 * Copies UTF-8 so that a terminal shows it and does nothing else; truncates
 * at a character. Bytes that are no UTF-8 are escaped as well.
 */
void snapshot_text(char *to, size_t size, const char *from);

#endif
