/*
 * Every message that roles exchange: the map of the program.
 *
 * Bodies are fixed structs of plain data; texts are NUL-terminated within
 * their arrays (message_check verifies that, so that no receiver has to).
 * `header.attempt` names the attempt that a message belongs to and
 * `header.sequence` the request within it: the answer carries the same pair.
 * An answer has the type of its request plus one and begins with a struct
 * fault whose cause is CAUSE_NONE when the request was carried out.
 *
 * Paths, in the order of a unit's journey:
 *
 *	slot -> line -> ledger          gate, intents, outcomes, verdict
 *	slot -> line -> ledger -> cloud -> ledger -> slot
 *	                                issue, bind, register, activate
 *	slot -> line -> ledger -> vault ==private pair==> slot
 *	                                the claim key: the line sends a grant
 *	line -> parent                  start a role, open a key for the vault
 */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/fault.h"
#include "base/file.h"

enum {
	SLOTS_MAX = 64,	   /* of a station */
	LOTS_OPEN_MAX = 8, /* open at once on a station */
	SERIAL_LEN = 65,   /* texts, with their NUL */
	MAC_LEN = 18,	   /* "24:6f:28:00:00:01" */
	NAME_LEN = 65,	   /* station, lot, slot, product, operator */
	THING_LEN = 129,
	CERTIFICATE_ID_LEN = 65,
	CSR_LEN = 4097, /* AWS takes 1..4096 */
	CERTIFICATE_LEN = 8193,
	PATH_LEN = 512,
	EXTRA_LEN = 2048, /* a manifest row's further columns, JSON */
};

enum message_type {
	/* parent <-> line */
	MESSAGE_SPAWN = 1,
	MESSAGE_SPAWNED,
	MESSAGE_OPEN_KEY, /* the parent opens a file for the vault */
	MESSAGE_OPEN_KEY_DONE,
	MESSAGE_KILL,	      /* no answer: MESSAGE_EXITED follows */
	MESSAGE_EXITED = 7,   /* parent -> line, unasked */
	MESSAGE_ROLE_UP = 9,  /* parent -> line: a role's channel, fd 0 */
	MESSAGE_CONTROL = 11, /* parent -> line: signals: drain, stop, reload */

	/* line -> load; each done carries sealed memory files */
	MESSAGE_LOAD_LOT = 21,
	MESSAGE_LOAD_LOT_DONE,

	/* slot -> line, and the line's part of the answer */
	MESSAGE_PROGRESS = 31, /* no answer */
	MESSAGE_GATE = 33,
	MESSAGE_GATE_DONE,
	MESSAGE_INTENT = 35,
	MESSAGE_INTENT_DONE,
	MESSAGE_OUTCOME = 37,
	MESSAGE_OUTCOME_DONE,
	MESSAGE_CLAIM_KEY = 39, /* no body */
	MESSAGE_CLAIM_KEY_DONE,
	MESSAGE_ISSUE = 41,
	MESSAGE_ISSUE_DONE,
	MESSAGE_BIND = 43,
	MESSAGE_BIND_DONE,
	MESSAGE_PREREGISTER = 45,
	MESSAGE_PREREGISTER_DONE,
	MESSAGE_ACTIVATE = 47,
	MESSAGE_ACTIVATE_DONE,
	MESSAGE_VERDICT = 49,
	MESSAGE_VERDICT_DONE,
	MESSAGE_ABORT = 51, /* line -> slot, no answer: struct message_done
			       with the cause to end with */

	/* line <-> ledger */
	MESSAGE_LEDGER_READY = 61, /* ledger -> line, unasked, once */
	MESSAGE_LOT_OPEN = 63,
	MESSAGE_LOT_OPEN_DONE,
	MESSAGE_LOT_CLOSE = 65,
	MESSAGE_LOT_CLOSE_DONE,
	MESSAGE_LOT_LIST = 67,
	MESSAGE_LOT_LIST_DONE,
	MESSAGE_BEGIN = 69,
	MESSAGE_BEGIN_DONE,
	MESSAGE_RESOLVE = 71, /* what is to be done for an attempt without
				 its slot */
	MESSAGE_RESOLVE_DONE,
	MESSAGE_COUNTS = 73,
	MESSAGE_COUNTS_DONE,
	MESSAGE_DISPOSE = 75, /* scrap, quarantine, rework a serial */
	MESSAGE_DISPOSE_DONE,
	MESSAGE_OBLIGATION = 77, /* next open one, or close one */
	MESSAGE_OBLIGATION_DONE,

	/* line <-> cloud */
	MESSAGE_CLOUD_LOT = 81, /* descriptor 0: the lot image */
	MESSAGE_CLOUD_LOT_DONE,
	MESSAGE_DISCARD = 83, /* undo what is ours of a certificate */
	MESSAGE_DISCARD_DONE,
	MESSAGE_CLOUD_STATE = 85, /* cloud -> line, unasked */

	/* parent/line <-> vault */
	MESSAGE_VAULT_KEY = 91, /* parent -> vault, descriptor 0: key file */
	MESSAGE_VAULT_KEY_DONE,
	MESSAGE_VAULT_PAIR = 93,  /* parent -> vault, descriptor 0: the private
				     pair's end for an attempt; no body,
				     no answer */
	MESSAGE_VAULT_GRANT = 95, /* line -> vault */
	MESSAGE_VAULT_GRANT_DONE,
	MESSAGE_SECRET = 97, /* vault -> slot, on the private pair only */

	/* line <-> report */
	MESSAGE_REPORT = 101,
	MESSAGE_REPORT_DONE,

	MESSAGE_TYPE_COUNT
};

/* ---- roles ---- */

enum role {
	ROLE_PARENT,
	ROLE_LINE,
	ROLE_LEDGER,
	ROLE_CLOUD,
	ROLE_VAULT,
	ROLE_SLOT,
	ROLE_LOAD,
	ROLE_REPORT,
	ROLE_COUNT
};
const char *role_name(enum role);

struct message_spawn {
	uint32_t role;	     /* ROLE_SLOT, ROLE_LOAD or ROLE_REPORT */
	uint32_t slot;	     /* index in the configuration */
	uint32_t vault_pair; /* 1: join the slot with the vault */
	/* ROLE_SLOT: descriptors 0 job, 1 lot image, 2 firmware.
	 * ROLE_REPORT: descriptor 0 where the report goes. */
	char transcript[PATH_LEN]; /* ROLE_SLOT: name below the transcripts */
	char port[PATH_LEN]; /* ROLE_SLOT: the node that the position has now */
};
struct message_spawned { /* descriptor 0: the line's end of its channel */
	struct fault fault;
	uint32_t role;
	uint32_t slot;
	int32_t pid;
};
struct message_kill {
	int32_t pid;
	int32_t signal;
};
struct message_exited {
	uint32_t role;
	uint32_t slot;
	int32_t pid;
	int32_t status; /* as of waitpid(2) */
};
struct message_role_up { /* descriptor 0 */
	uint32_t role;	 /* ROLE_LEDGER, ROLE_CLOUD, ROLE_VAULT */
	uint32_t starts; /* how often since the daemon started */
};
enum control_signal {
	CONTROL_DRAIN,
	CONTROL_STOP,
	CONTROL_RELOAD
};
struct message_control {
	uint32_t signal; /* RELOAD: descriptor 0 is the new configuration */
};
struct message_open_key { /* OPEN_KEY, VAULT_KEY */
	uint32_t lot;	  /* the line's index of the open lot */
	char path[PATH_LEN];
	char certificate[CERTIFICATE_LEN]; /* the key must belong to it */
};
struct message_done { /* the answer of all that have none of their own */
	struct fault fault;
};

/* ---- lots ---- */

struct message_load_lot {
	char folder[PATH_LEN]; /* lots/NAME, or the frozen copy's */
	uint32_t frozen;       /* 1: folder is a frozen copy: verify only */
};
/*
 * Descriptors when the fault is CAUSE_NONE: 0 struct lot_image, 1 firmware
 * (device/firmware.h), 2 manifest (lot/manifest.h). Otherwise descriptor 0
 * is the list of problems as text.
 */
struct message_load_lot_done {
	struct fault fault;
	uint32_t rows; /* of the manifest */
};

enum lot_state {
	LOT_STATE_OPEN,
	LOT_STATE_CLOSED
};

struct message_lot_open { /* descriptor 0: struct lot_image,
			   * descriptor 1: the manifest */
	char operator[NAME_LEN];
	struct digest program; /* of the stationd binary */
};
struct lot_counts {
	uint64_t lot; /* the ledger's id */
	uint32_t quantity;
	uint32_t rows; /* = passed + ... + missing */
	uint32_t passed, failed, staged, quarantined, scrapped;
	uint32_t in_progress, missing;
	uint32_t attempts;     /* with a verdict */
	uint32_t refused;      /* by the gate; in no yield */
	uint32_t first_passed; /* first attempts of distinct units: PASS */
	uint32_t first_total;  /* first attempts: PASS or FAIL */
	uint32_t obligations;  /* open */
	struct {
		uint32_t cause; /* enum fault_cause */
		uint32_t count;
	} pareto[8]; /* the last cause of each failed unit, most first */
};
struct message_lot_open_done {
	struct fault fault;
	struct lot_counts counts;
};
struct message_lot { /* LOT_CLOSE, COUNTS */
	uint64_t lot;
};
struct message_counts_done { /* of both */
	struct fault fault;
	struct lot_counts counts;
};
struct lot_row {
	uint64_t lot;
	uint32_t state; /* enum lot_state */
	char name[NAME_LEN];
	char folder[PATH_LEN]; /* of the frozen copy */
	struct lot_counts counts;
};
enum {
	LOT_LIST_MAX = 32
};
struct message_lot_list {
	uint64_t after; /* lots with a greater id */
};
struct message_lot_list_done {
	struct fault fault;
	uint32_t count;
	uint32_t more;
	struct lot_row lots[LOT_LIST_MAX];
};

/* ---- an attempt ---- */

struct message_begin {
	uint64_t lot; /* 0: no lot is open: the attempt is refused, recorded */
	char slot[NAME_LEN];
	char operator[NAME_LEN];
	char scanned[SERIAL_LEN]; /* by an operator or MES, or empty */
	char lot_name[NAME_LEN];  /* when lot is 0: what was asked for */
	struct digest program;	  /* of the stationd that works the attempt */
};
struct message_begin_done {
	struct fault fault;
	uint64_t attempt; /* > 0, never used twice in a ledger */
	uint32_t number;  /* sum of attempts of the lot */
};

/* enum values are stored by name */
enum step_name {
	STEP_PRESENT,
	STEP_IDENTIFY,
	STEP_GATE,
	STEP_FLASH,
	STEP_INJECT,
	STEP_READ_BACK,
	STEP_CONSOLE,
	STEP_CHECK,
	STEP_REGISTER,
	STEP_WRITE_BACK,
	STEP_ACTIVATE,
	STEP_LOCK,
	STEP_COMMIT,
	STEP_VERDICT,
	STEP_NAME_COUNT
};
const char *step_name(enum step_name);

struct message_progress {
	uint32_t step;	   /* enum step_name */
	uint32_t permille; /* of the whole journey; 0..1000 */
	char serial[SERIAL_LEN];
	char mac[MAC_LEN];
	char note[96];
};

struct message_gate {
	char serial[SERIAL_LEN]; /* as the device says, or empty */
	char mac[MAC_LEN];	 /* hardware identity, or empty */
	char hardware[96];	 /* chip and revision, for the record */
	uint32_t unverified;	 /* 1: no read-back is possible (SDM) */
};
struct message_gate_done {
	struct fault fault; /* the refusal, with its text */
	uint32_t bound;	    /* 1: the serial is leased to this attempt */
	uint32_t resumed;   /* 1: an earlier attempt left identity on it */
	char serial[SERIAL_LEN];
	char mac[MAC_LEN];
	char thing[THING_LEN];
	char extra[EXTRA_LEN]; /* the row's further columns: JSON object */
};

/* What is recorded before it is done, and again after. */
enum intent_kind {
	INTENT_FLASH,	    /* erases what the unit was */
	INTENT_INJECT,	    /* writes claim credentials: identity */
	INTENT_HANDOUT,	    /* one counted use of the claim key */
	INTENT_ISSUE,	    /* a certificate for a public key */
	INTENT_BIND,	    /* thing, policy, principal, groups */
	INTENT_WRITE,	    /* the certificate into the unit: identity */
	INTENT_PREREGISTER, /* the thing of a claim unit */
	INTENT_ACTIVATE,
	INTENT_LOCK,
	INTENT_KIND_COUNT
};
const char *intent_name(enum intent_kind);
enum intent_kind intent_by_name(const char *); /* COUNT when unknown */

struct message_intent {
	uint32_t kind;
	struct digest digest; /* of what is written; of the SPKI for ISSUE */
	char note[96];
};
/*
 * The answer lets the line skip or guard the call of an ISSUE; all of it is
 * empty for other kinds.
 */
struct message_intent_done {
	struct fault fault;
	uint32_t look_up; /* 1: an earlier issue for this key has no outcome */
	int64_t since_wall_ms;		   /* look_up: when it was intended */
	char known_id[CERTIFICATE_ID_LEN]; /* issued for this key and serial */
	char known_certificate[CERTIFICATE_LEN]; /* PEM */
	char arn[256];
};
/* The outcome of the intent of that kind in this attempt. */
struct message_outcome {
	uint32_t kind;
	uint32_t done;	     /* 1 carried out and verified, 0 surely not done */
	uint32_t unverified; /* carried out, but no read-back exists */
	uint32_t stray;	     /* ISSUE: calls that may have made another one */
	struct digest digest;
	char certificate_id[CERTIFICATE_ID_LEN];
	char certificate[CERTIFICATE_LEN]; /* PEM, for ISSUE */
	char arn[256];
	char cloud_state[24]; /* PRE-REGISTERED, INACTIVE, ACTIVE, ... */
	char request_id[80];
};

struct message_issue {	   /* slot -> line -> cloud */
	char csr[CSR_LEN]; /* PEM */
	char serial[SERIAL_LEN];
	struct digest spki; /* SHA-256 of the DER SubjectPublicKeyInfo */
	uint32_t look_up;   /* line -> cloud: 1: an earlier issue for this
			       key may have happened: look first */
	uint32_t lot;	    /* line's index */
	char known_id[CERTIFICATE_ID_LEN]; /* line: the ledger has it */
	char known_certificate[CERTIFICATE_LEN];
	int64_t since_wall_ms; /* line: look_up: when it was intended first;
				  0 unknown */
};
struct message_issue_done {
	struct fault fault;
	char certificate_id[CERTIFICATE_ID_LEN];
	char certificate[CERTIFICATE_LEN]; /* PEM */
	char arn[256];
	char request_id[80];
	uint32_t stray; /* calls whose outcome stayed unknown: each may have
			   made a certificate (INACTIVE) that no unit holds;
			   counts with a fault too */
};
struct message_register { /* BIND, PREREGISTER */
	uint32_t lot;
	char serial[SERIAL_LEN];
	char thing[THING_LEN];
	char certificate_id[CERTIFICATE_ID_LEN]; /* BIND */
	char arn[256];				 /* BIND */
	char extra[EXTRA_LEN]; /* the manifest row's further columns */
	char mac[MAC_LEN];
};
struct message_activate {
	uint32_t lot;
	char certificate_id[CERTIFICATE_ID_LEN];
};
struct message_cloud_done { /* BIND, PREREGISTER, ACTIVATE, DISCARD */
	struct fault fault;
	char request_id[80];
	char cloud_state[24];
};
struct message_discard {
	uint32_t lot;
	char certificate_id[CERTIFICATE_ID_LEN]; /* empty: find it by key */
	char thing[THING_LEN];
	struct digest spki;
	int64_t since_wall_ms;		  /* when the issue was intended */
	char keep_id[CERTIFICATE_ID_LEN]; /* never touch this one */
};

struct message_verdict {
	uint32_t verdict; /* enum verdict */
	struct fault fault;
	uint32_t step;	     /* where it ended */
	uint32_t unverified; /* 1: written, but without read-back */
};
struct message_verdict_done {
	struct fault fault;
	struct lot_counts counts;
};

/* ---- recovery ---- */

enum resolve_action {
	RESOLVE_NOTHING,       /* it has a verdict */
	RESOLVE_CLOSE,	       /* give the verdict that is in `verdict` */
	RESOLVE_ISSUE_LOOK_UP, /* then ask again */
	RESOLVE_BIND,
	RESOLVE_PREREGISTER,
	RESOLVE_ACTIVATE,
	RESOLVE_PASS, /* all is done: commit PASS */
};
struct message_resolve {
	uint32_t cause; /* what ended the slot, for RESOLVE_CLOSE */
};
struct message_resolve_done {
	struct fault fault;
	uint32_t action;	/* enum resolve_action */
	uint32_t next_sequence; /* free in this attempt, and all above it */
	uint64_t lot;
	char slot[NAME_LEN];
	struct message_register bind; /* filled for BIND..ACTIVATE */
	struct digest spki;
	struct message_verdict verdict;
};
enum {
	READY_ATTEMPTS_MAX = 256
};
struct message_ledger_ready {
	struct fault fault;
	uint32_t lots;	   /* open lots: ask LOT_LIST for them */
	uint32_t attempts; /* without a verdict, to be resolved */
	uint64_t attempt[READY_ATTEMPTS_MAX];
};

enum dispose_kind {
	DISPOSE_SCRAP,
	DISPOSE_QUARANTINE,
	DISPOSE_REWORK
};
struct message_dispose {
	uint64_t lot;
	uint32_t kind;
	char serial[SERIAL_LEN];
	char operator[NAME_LEN];
	char reason[96];
};

/* A certificate that may exist and that no unit holds. */
struct message_obligation {
	uint64_t close;	      /* 0: only ask for the next one */
	uint32_t scans_clean; /* complete scans that found none */
};
struct message_obligation_done {
	struct fault fault;
	uint64_t obligation; /* 0: none is open */
	uint64_t lot;
	int64_t due_wall_ms; /* not before */
	struct message_discard discard;
};

/* ---- cloud, vault, report ---- */

struct message_cloud_lot {
	uint32_t lot;	/* line's index */
	uint32_t close; /* 1: forget it */
};
enum cloud_state {
	CLOUD_STATE_UP,
	CLOUD_STATE_SLOW,
	CLOUD_STATE_DOWN
};
struct message_cloud_state {
	uint32_t state; /* enum cloud_state */
	uint32_t in_flight;
	uint32_t throttled; /* answers since the role started */
	uint32_t calls;
	char text[128];
};

struct message_vault_grant {
	uint32_t lot;
};
struct message_secret {
	uint32_t len;
	char pem[CERTIFICATE_LEN]; /* wiped by both ends after use */
};

struct message_report {
	uint64_t lot;
	char ledger[PATH_LEN];
	char format[16]; /* "csv" */
};
struct message_report_done {
	struct fault fault;
	struct lot_counts counts; /* as in the report's own snapshot */
	uint64_t rows;
};

/*
 * True when the type is known, the length is that type's body, all its texts
 * end inside their arrays, and every number that names a cause, a step or a
 * row of an array is one that exists. Called by channel_send and
 * channel_receive.
 */
bool message_check(uint16_t type, const void *body, size_t len);

#endif
