/*
 * What went wrong, for the person who has to do something about it.
 *
 * A function that can fail returns 0 or -1 and fills the caller's struct
 * fault. The cause is one row of a single table (fault.c): its stable name
 * goes to reports, Pareto and scripts; its owner is the failure class that
 * auditors and alarms count by; its class says what the line does next; its
 * action is what the operator does now. The text says what happened and
 * where, with numbers. A fault is logged once, where it is handled.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

/* What the line does next. */
enum fault_class {
	FAULT_CLASS_NONE,
	FAULT_CLASS_RETRY,  /* repeat the step, later or at once */
	FAULT_CLASS_UNIT,   /* reject this unit, go on with the next */
	FAULT_CLASS_SLOT,   /* take the slot out of service */
	FAULT_CLASS_LINE,   /* stop the line */
	FAULT_CLASS_UNSURE, /* the outcome is unknown: ask before repeating */
};

/* Whose failure it is: the report's failure class. */
enum fault_owner {
	FAULT_OWNER_NONE,
	FAULT_OWNER_DEVICE,
	FAULT_OWNER_FIXTURE,
	FAULT_OWNER_STATION,
	FAULT_OWNER_MANIFEST,
	FAULT_OWNER_CLOUD,	  /* transient: throttled, 5xx, network */
	FAULT_OWNER_CLOUD_POLICY, /* AWS refuses: rights, limits, conflicts */
	FAULT_OWNER_OPERATOR,
};

/* How an attempt ended. */
enum verdict {
	VERDICT_NONE, /* still under way */
	VERDICT_PASS,
	VERDICT_FAIL,	 /* the unit */
	VERDICT_ERROR,	 /* not the unit's fault */
	VERDICT_ABORTED, /* an operator's or the station's stop */
	VERDICT_REFUSED, /* the gate: nothing was written, not in yield */
	VERDICT_STAGED,	 /* made; its registration comes later, in bulk */
};

/*
 * Every cause there is: X(symbol, name, owner, class, verdict, action).
 * The order is stored in ledgers by name, never by number.
 */
#define FAULT_CAUSES(X)                                                      \
	X(NONE, "none", NONE, NONE, NONE, "")                                \
	/* the gate */                                                       \
	X(NOT_IN_MANIFEST, "not-in-manifest", MANIFEST, UNIT, REFUSED,       \
	    "Set the unit aside: it does not belong to this lot.")           \
	X(OTHER_LOT, "other-lot", MANIFEST, UNIT, REFUSED,                   \
	    "Put the unit with its own lot.")                                \
	X(ALREADY_MADE, "already-made", OPERATOR, UNIT, REFUSED,             \
	    "The unit is finished: move it on.")                             \
	X(TWICE_IN_FIXTURE, "twice-in-fixture", OPERATOR, UNIT, REFUSED,     \
	    "Set both units with this serial aside and call the engineer.")  \
	X(LOT_NOT_OPEN, "lot-not-open", OPERATOR, UNIT, REFUSED,             \
	    "Open the lot, then take the unit out and put it back.")         \
	X(OVER_QUANTITY, "over-quantity", MANIFEST, UNIT, REFUSED,           \
	    "The lot is complete: keep the unit for the next one.")          \
	X(HARDWARE_MISMATCH, "hardware-mismatch", MANIFEST, UNIT, REFUSED,   \
	    "Set the unit aside: its serial is bound to another board.")     \
	X(QUARANTINED, "quarantined", OPERATOR, UNIT, REFUSED,               \
	    "Put the unit into the quarantine box.")                         \
	X(NOT_REGISTERED, "not-registered", OPERATOR, UNIT, REFUSED,         \
	    "Keep the unit: the lot's bulk registration comes first.")       \
	X(NO_SERIAL, "no-serial", MANIFEST, UNIT, REFUSED,                   \
	    "The manifest has no free serial left: get a new one.")          \
	/* the unit */                                                       \
	X(NO_ANSWER, "no-answer", DEVICE, UNIT, FAIL,                        \
	    "Reseat the unit once; if it stays silent, reject it.")          \
	X(GARBAGE, "garbage", DEVICE, UNIT, FAIL,                            \
	    "Reseat the unit; check the slot's contacts; else reject it.")   \
	X(RESET_LOOP, "reset-loop", DEVICE, UNIT, FAIL,                      \
	    "Reject the unit: it does not boot.")                            \
	X(WRONG_CHIP, "wrong-chip", DEVICE, UNIT, FAIL,                      \
	    "Take the unit out: it is not the board of this lot.")           \
	X(WRONG_FLASH, "wrong-flash", DEVICE, UNIT, FAIL,                    \
	    "Take the unit out: its flash is not the one of this lot.")      \
	X(FLASH_ERROR, "flash-error", DEVICE, UNIT, FAIL,                    \
	    "Try the unit once more; if it repeats, reject it.")             \
	X(FLASH_MISMATCH, "flash-mismatch", DEVICE, UNIT, FAIL,              \
	    "Try the unit once more; if it repeats, reject it.")             \
	X(SECURITY_STATE, "security-state", DEVICE, UNIT, FAIL,              \
	    "Reject the unit: its fuses are not as the lot demands.")        \
	X(SWAPPED, "swapped", OPERATOR, UNIT, FAIL,                          \
	    "Set the unit aside: it is not the one that was flashed.")       \
	X(SERIAL_MISMATCH, "serial-mismatch", DEVICE, UNIT, FAIL,            \
	    "Reject the unit: it reports another serial than it was given.") \
	X(CONSOLE_ERROR, "console-error", DEVICE, UNIT, FAIL,                \
	    "Reject the unit: its firmware refused a step.")                 \
	X(CONSOLE_TIMEOUT, "console-timeout", DEVICE, UNIT, FAIL,            \
	    "Try the unit once more; if it repeats, reject it.")             \
	X(DEVICE_FLOOD, "device-flood", DEVICE, UNIT, FAIL,                  \
	    "Reject the unit: it sends without end.")                        \
	X(CSR_INVALID, "csr-invalid", DEVICE, UNIT, FAIL,                    \
	    "Reject the unit: its certificate request does not verify.")     \
	X(CSR_SUBJECT, "csr-subject", DEVICE, UNIT, FAIL,                    \
	    "Reject the unit: its request names another serial.")            \
	X(CSR_KEY, "csr-key", DEVICE, UNIT, FAIL,                            \
	    "Reject the unit: its key is of a kind that is not accepted.")   \
	X(KEY_REUSED, "key-reused", DEVICE, UNIT, FAIL,                      \
	    "Stop and call the engineer: two units share one key.")          \
	X(READBACK_MISMATCH, "readback-mismatch", DEVICE, UNIT, FAIL,        \
	    "Try the unit once more; if it repeats, reject it.")             \
	X(NOT_CONNECTED, "not-connected", DEVICE, UNIT, FAIL,                \
	    "Try the unit once more; check the factory's network.")          \
	X(CLAIM_EXPIRED, "claim-expired", DEVICE, UNIT, FAIL,                \
	    "Put the unit into the quarantine box: its claim has run out.")  \
	/* the fixture */                                                    \
	X(UNPLUGGED, "unplugged", FIXTURE, UNIT, ERROR,                      \
	    "Put the unit back into its slot.")                              \
	X(PORT_BUSY, "port-busy", FIXTURE, SLOT, ERROR,                      \
	    "Close the other program that holds the slot's port.")           \
	X(PORT_ERROR, "port-error", FIXTURE, SLOT, ERROR,                    \
	    "Check the slot's cable and adapter.")                           \
	/* the station */                                                    \
	X(STATION_CRASH, "station-crash", STATION, UNIT, ERROR,              \
	    "Take the unit out and put it back; it goes on where it was.")   \
	X(STATION_RESTART, "station-restart", STATION, UNIT, ABORTED,        \
	    "Leave the unit in: the station takes it up again.")             \
	X(WAIT_UNIT, "wait-unit", STATION, UNSURE, ERROR,                    \
	    "Put the unit back: what was written to it must be checked.")    \
	X(LEDGER_ERROR, "ledger-error", STATION, LINE, ERROR,                \
	    "Stop. Check the ledger's disk, then restart the station.")      \
	X(VAULT_ERROR, "vault-error", STATION, LINE, ERROR,                  \
	    "Check the lot's files of keys, PINs and passwords.")            \
	X(CLAIM_EXHAUSTED, "claim-exhausted", STATION, LINE, ERROR,          \
	    "The claim's allowed uses are spent: call the engineer.")        \
	X(INTERNAL, "internal", STATION, UNIT, ERROR,                        \
	    "Call the engineer with the attempt's number.")                  \
	X(BAD_CONFIG, "bad-config", STATION, LINE, ERROR,                    \
	    "Correct the file that is named, then reload.")                  \
	X(BAD_LOT, "bad-lot", MANIFEST, LINE, ERROR,                         \
	    "Correct the lot's files, then open it again.")                  \
	X(ROLE_DOWN, "role-down", STATION, RETRY, ERROR,                     \
	    "Wait for the station to recover, then put the unit back.")      \
	X(DEADLINE, "deadline", STATION, UNIT, ERROR,                        \
	    "Take the unit out and put it back.")                            \
	/* the cloud */                                                      \
	X(CLOUD_THROTTLED, "cloud-throttled", CLOUD, RETRY, ERROR,           \
	    "Wait a minute, then put the unit back.")                        \
	X(CLOUD_UNAVAILABLE, "cloud-unavailable", CLOUD, RETRY, ERROR,       \
	    "Check the network, then put the unit back.")                    \
	X(CLOUD_UNSURE, "cloud-unsure", CLOUD, UNSURE, ERROR,                \
	    "Put the unit back: the station finds out what was done.")       \
	X(TOKEN_LOST, "token-lost", STATION, UNIT, ERROR,                    \
	    "Put the unit back: it is given another certificate.")           \
	X(CLOUD_TLS, "cloud-tls", CLOUD_POLICY, LINE, ERROR,                 \
	    "Call the administrator: the endpoint cannot be trusted.")       \
	X(CLOUD_DENIED, "cloud-denied", CLOUD_POLICY, LINE, ERROR,           \
	    "Call the administrator: AWS refuses the station's rights.")     \
	X(CLOUD_CREDENTIALS, "cloud-credentials", CLOUD_POLICY, LINE, ERROR, \
	    "Call the administrator: the station's credentials fail.")       \
	X(CLOUD_ACCOUNT, "cloud-account", CLOUD_POLICY, LINE, ERROR,         \
	    "Call the administrator: this is not the lot's AWS account.")    \
	X(CLOUD_REFUSED, "cloud-refused", CLOUD_POLICY, UNIT, ERROR,         \
	    "Call the administrator with the request id.")                   \
	X(CLOUD_CONFLICT, "cloud-conflict", CLOUD_POLICY, UNIT, ERROR,       \
	    "Call the administrator: the thing belongs to someone else.")    \
	X(CLOUD_ANSWER, "cloud-answer", CLOUD_POLICY, UNIT, ERROR,           \
	    "Call the administrator: AWS's answer is not as documented.")    \
	X(STAGED, "staged", NONE, UNIT, STAGED,                              \
	    "Keep the unit with its lot: it comes back after the bulk run.") \
	/* people */                                                         \
	X(ABORTED, "aborted", OPERATOR, UNIT, ABORTED,                       \
	    "Put the unit back when you are ready.")                         \
	X(LINE_HELD, "line-held", OPERATOR, UNIT, ABORTED,                   \
	    "Find the cause of the alarm, then release the line.")           \
	X(BAD_REQUEST, "bad-request", OPERATOR, UNIT, ERROR,                 \
	    "Correct the command.")

enum fault_cause {
#define FAULT_ENUM(symbol, name, owner, class, verdict, action) CAUSE_##symbol,
	FAULT_CAUSES(FAULT_ENUM)
#undef FAULT_ENUM
	CAUSE_COUNT
};

struct fault {
	enum fault_cause cause;
	char text[400];	     /* one sentence, UTF-8, no control bytes */
	char request_id[80]; /* AWS's request id, or empty */
};

/* One row of the table; borrowed, static. */
struct fault_row {
	const char *name;
	enum fault_owner owner;
	enum fault_class class;
	enum verdict verdict;
	const char *action;
};

const struct fault_row *fault_row(enum fault_cause);
/* Null when the name is unknown. */
const char *fault_owner_name(enum fault_owner); /* "DEVICE", ... */
const char *verdict_name(enum verdict);		/* "PASS", ...; "" for NONE */
/* CAUSE_COUNT when no cause has that name. */
enum fault_cause fault_cause_by_name(const char *);

/*
 * Fills the fault and returns -1, so that a caller writes
 * `return fault_set(fault, CAUSE_X, "...")`. A null fault is allowed.
 * Control bytes in the finished text are replaced by '?': arguments may come
 * from a device.
 */
int fault_set(struct fault *, enum fault_cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends ": strerror(error)" to the text. */
int fault_set_errno(struct fault *, enum fault_cause, int error,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Puts "where: " before the text that is already there; returns -1. */
int fault_prefix(struct fault *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void fault_clear(struct fault *);

#endif
