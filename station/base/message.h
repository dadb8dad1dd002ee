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
	MESSAGE_KEYS_FORGET = 13, /* line -> parent -> vault and hsm: a lot is
				     closed; no answer */

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
	MESSAGE_ABORT = 51,   /* line -> slot, no answer: struct message_done
				 with the cause to end with */
	MESSAGE_CONFIRM = 53, /* wait for the unit's first connection */
	MESSAGE_CONFIRM_DONE,

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
	MESSAGE_ARTICLES = 79, /* a lot's first passed units */
	MESSAGE_ARTICLES_DONE,

	/* line <-> cloud */
	MESSAGE_CLOUD_LOT = 81, /* descriptor 0: the lot image */
	MESSAGE_CLOUD_LOT_DONE,
	MESSAGE_DISCARD = 83, /* undo what is ours of a certificate */
	MESSAGE_DISCARD_DONE,
	MESSAGE_CLOUD_STATE = 85,  /* cloud -> line, unasked */
	MESSAGE_CLAIM_CREATE = 87, /* a claim of one unit's own; its key goes
				      to the vault on the private pair */
	MESSAGE_CLAIM_CREATE_DONE,
	MESSAGE_PERMIT = 89, /* quota for what a unit itself will spend */
	MESSAGE_PERMIT_DONE,

	/* parent/line <-> vault, and hsm for VAULT_KEY and VAULT_SIGN */
	MESSAGE_VAULT_KEY = 91, /* parent -> vault: struct message_open_key
				   says which descriptors */
	MESSAGE_VAULT_KEY_DONE,
	MESSAGE_VAULT_PAIR = 93,  /* parent -> vault, descriptor 0: the private
				     pair's end for an attempt; no body,
				     no answer */
	MESSAGE_VAULT_GRANT = 95, /* line -> vault */
	MESSAGE_VAULT_GRANT_DONE,
	MESSAGE_SECRET = 97,	 /* vault -> slot, on the private pair only */
	MESSAGE_VAULT_SIGN = 99, /* line -> vault or hsm: the lot's CA signs */
	MESSAGE_VAULT_SIGN_DONE,

	/* line <-> report */
	MESSAGE_REPORT = 101,
	MESSAGE_REPORT_DONE,

	/* cloud -> line: run a profile's credential_process; descriptor 0: the
	 * pipe that its output goes to, which nobody on the way reads */
	MESSAGE_TOOL = 121,
	MESSAGE_TOOL_DONE, /* also tool -> line */

	/* vault <-> cloud: a private pair, which the parent makes */
	MESSAGE_JOIN = 131,	   /* line -> parent; no body */
	MESSAGE_JOIN_DONE,	   /* descriptor 0: the cloud's end */
	MESSAGE_VAULT_CLOUD = 133, /* parent -> vault, descriptor 0: the
				      vault's end; no body, no answer */
	MESSAGE_CLOUD_VAULT = 135, /* line -> cloud, descriptor 0: its end; no
				      body, no answer */
	MESSAGE_PROVE = 137,	   /* cloud -> vault on the pair: a signature */
	MESSAGE_PROVE_DONE,
	MESSAGE_DEPOSIT = 139, /* cloud -> vault on the pair: a key that AWS
				  made for one unit */
	MESSAGE_DEPOSIT_DONE,

	/* bulk registration: line <-> ledger, line <-> cloud */
	MESSAGE_BULK_BEGIN = 151, /* ledger: which units, under which key */
	MESSAGE_BULK_BEGIN_DONE,  /* descriptor 0: the parameter file */
	MESSAGE_BULK_START = 153, /* cloud; descriptor 0: that file */
	MESSAGE_BULK_START_DONE,
	MESSAGE_BULK_POLL = 155,   /* cloud */
	MESSAGE_BULK_POLL_DONE,	   /* when it has ended: descriptors 0 RESULTS,
				      1 ERRORS */
	MESSAGE_BULK_RESULT = 157, /* ledger; these descriptors */
	MESSAGE_BULK_RESULT_DONE,

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
	ROLE_TOOL, /* runs one external command */
	ROLE_HSM,  /* signing keys in a PKCS#11 token, where there is one */
	ROLE_COUNT
};
const char *role_name(enum role);

struct message_spawn {
	uint32_t role; /* ROLE_SLOT, ROLE_LOAD, ROLE_REPORT or ROLE_TOOL */
	uint32_t slot; /* index in the configuration */
	uint32_t vault_pair; /* 1: join the slot with the vault */
	/* ROLE_SLOT: descriptors 0 job, 1 lot image, 2 firmware.
	 * ROLE_REPORT: descriptor 0 where the report goes.
	 * ROLE_TOOL: descriptors 0 where its output goes, 1 job. */
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
	uint32_t role;	 /* ROLE_LEDGER, ROLE_CLOUD, ROLE_VAULT, ROLE_HSM */
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
enum key_kind {
	KEY_CLAIM,
	KEY_CA,	  /* signs units' certificates */
	KEY_WIFI, /* a password that units get while they are on the bench */
	KEY_KIND_COUNT
};
/*
 * A key of a lot. The parent opens the files and passes them on, as
 * VAULT_KEY, to the vault: descriptor 0 is the file at `path`, descriptor 1
 * the one at `secret_path` when there is one. A path that is an RFC 7512 URI
 * ("pkcs11:...") goes to the hsm role: descriptor 0 is the file of the PIN
 * when there is one. The key takes the place of the lot's last of that kind.
 */
struct message_open_key {
	uint32_t lot;		    /* the line's index of the open lot */
	uint32_t kind;		    /* enum key_kind */
	uint32_t proves;	    /* 1: a claim key that cloud may prove on
				       connections of its own (ending proxy) */
	char path[PATH_LEN];	    /* a file, or "pkcs11:..." of a CA key */
	char secret_path[PATH_LEN]; /* file with its passphrase or PIN; or
				       empty */
	char certificate[CERTIFICATE_LEN]; /* the key must belong to it; empty
					      for KEY_WIFI */
};
struct message_keys_forget {
	uint32_t lot;
};
struct message_tool {		/* also sealed, as the tool role's job */
	char profile[NAME_LEN]; /* of the AWS config file */
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
	STEP_CONFIRM,
	STEP_ERASE,
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
	uint32_t issued;    /* 1: staged before, and its certificate is there:
			       nothing is flashed, it is only written */
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
	INTENT_STAGE,	/* the unit waits for the lot's bulk registration */
	INTENT_CONFIRM, /* its first connection was seen in the cloud */
	INTENT_ERASE,	/* what was lent to the unit is gone from it */
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
enum {
	OTHERS_MAX = 4
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
	/* CONFIRM: further certificates of the thing, of earlier tries */
	char others[OTHERS_MAX][CERTIFICATE_ID_LEN];
};

/* Where a unit's certificate comes from. */
enum issue_kind {
	ISSUE_CSR,	   /* made for the unit's own request */
	ISSUE_CERTIFICATE, /* the unit holds it already: it is registered */
	ISSUE_KEYS,	   /* AWS makes key and certificate; the key goes to
			      the vault and from there to the unit */
	ISSUE_KIND_COUNT
};
struct message_issue {		       /* slot -> line -> cloud */
	uint32_t kind;		       /* enum issue_kind */
	char request[CERTIFICATE_LEN]; /* PEM: request or certificate */
	char serial[SERIAL_LEN];
	char thing[THING_LEN]; /* line: what the ledger says of the unit */
	char mac[MAC_LEN];     /* line */
	char extra[EXTRA_LEN]; /* line */
	struct digest spki;    /* SHA-256 of the DER SubjectPublicKeyInfo; zero
				  for ISSUE_KEYS */
	uint32_t look_up;      /* line -> cloud: 1: an earlier issue for this
				  key may have happened: look first */
	uint32_t lot;	       /* line's index */
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
	uint32_t stray;	 /* calls whose outcome stayed unknown: each may have
			    made a certificate (INACTIVE) that no unit holds;
			    counts with a fault too */
	uint32_t staged; /* line: nothing was issued: the unit is staged */
	char cloud_state[24];
};
struct message_register { /* BIND, PREREGISTER, ACTIVATE, CONFIRM */
	uint32_t lot;
	char serial[SERIAL_LEN];
	char thing[THING_LEN];
	char certificate_id[CERTIFICATE_ID_LEN]; /* not PREREGISTER */
	char arn[256];				 /* not PREREGISTER */
	char extra[EXTRA_LEN]; /* the manifest row's further columns */
	char mac[MAC_LEN];
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
	/* A certificate that the lot's own CA signed would be registered
	 * again at its next connection: it is registered if need be, set
	 * REVOKED and kept. PEM, or empty: it is deleted. */
	char revoke[CERTIFICATE_LEN];
};
struct message_confirm_done {
	struct fault fault;
	char certificate_id[CERTIFICATE_ID_LEN]; /* that the unit has now: the
						    newest of its thing's */
	/* the thing's other ACTIVE ones, which no unit holds any more */
	char others[OTHERS_MAX][CERTIFICATE_ID_LEN];
	char arn[256];
	char request_id[80];
	char cloud_state[24];
};
struct message_claim { /* CLAIM_CREATE */
	uint32_t lot;
	char serial[SERIAL_LEN];
};
struct message_claim_done { /* CLAIM_CREATE, CLAIM_KEY */
	struct fault fault;
	char certificate[CERTIFICATE_LEN]; /* PEM; empty: the lot's own */
	char certificate_id[CERTIFICATE_ID_LEN];
	int64_t expires_wall_ms; /* 0: no end that matters */
	char request_id[80];
};
struct message_permit {
	uint32_t lot;
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
	RESOLVE_CONFIRM,
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
	CLOUD_STATE_DOWN,
	CLOUD_STATE_LAPSED /* no credentials: holds the line until it ends */
};
struct message_cloud_state {
	uint32_t state; /* enum cloud_state */
	uint32_t in_flight;
	uint32_t throttled; /* answers since the role started */
	uint32_t calls;
	char text[200];
};

enum {
	WIFI_PASSWORD_LEN = 64, /* WPA2: 8 to 63 characters */
	SUBJECT_MAX = 8,
	SUBJECT_NAME_LEN = 8, /* "CN", "serialNumber" is SN here */
	SUBJECT_VALUE_LEN = 129,
};
/*
 * The vault sends what a lot lends to its units, once for each grant: its
 * claim key, or the key that was deposited for the attempt, and with either
 * the lot's Wi-Fi password when it has one.
 */
struct message_vault_grant {
	uint32_t lot;
	uint32_t deposit; /* 1: the key that was deposited for the attempt,
			     which is forgotten then; 0: the lot's claim key */
};
/* Wiped by both ends after use. */
struct message_secret {
	uint32_t len; /* 0: no key, only what follows */
	char pem[CERTIFICATE_LEN];
	char wifi_password[WIFI_PASSWORD_LEN]; /* or empty */
};
struct subject_part {
	char name[SUBJECT_NAME_LEN]; /* C, O, OU, dnQualifier is DNQ, ST, CN,
					SN */
	char value[SUBJECT_VALUE_LEN];
};
/*
 * The lot's CA signs: the vault's key, or the hsm's when the lot's ca.key is
 * a "pkcs11:" URI. The answer has certificate and certificate_id. Nothing of
 * it is kept: a repeat makes another certificate, with another number.
 */
struct message_vault_sign { /* answer: struct message_issue_done */
	uint32_t lot;
	char csr[CSR_LEN]; /* PEM; its signature is checked again */
	char
	    serial[SERIAL_LEN]; /* the common name that the request must have */
	uint32_t part_count;	/* 0: the subject of the request */
	struct subject_part parts[SUBJECT_MAX];
	int64_t from_wall_ms, to_wall_ms; /* validity */
};
enum {
	PROVE_INPUT_MAX = 1024,
	PROVE_SIGNATURE_MAX = 1024,
	DEPOSITS_MAX = 2 * SLOTS_MAX,
};
/*
 * The pair of vault and cloud. The line asks the parent for one (JOIN) when
 * both roles are up, and again when either was started anew; its newest end
 * is the one that counts, the older one reads end-of-file. Cloud asks, the
 * vault answers in the order of the questions, with the question's sequence
 * and attempt; a request of another type, or answers that cloud does not
 * take, end the pair.
 *
 * PROVE is what TLS asks of a private key. With an EC key `input` is a digest
 * of 20 to 64 bytes and the signature is the DER of RFC 3279, 2.2.3. With an
 * RSA key `input` is either a padded block of exactly the modulus's length,
 * as RSA_METHOD's priv_enc is given with RSA_NO_PADDING: an encoded message
 * of PSS or of PKCS #1 v1.5 (RFC 8017, 9), and nothing else: the vault
 * deciphers nothing; or, shorter, a DigestInfo that the vault pads
 * (RSA_PKCS1_PADDING). The signature then has the modulus's length.
 * The lot's claim key is proved only when it came with `proves`; a deposited
 * key only for its own lot and attempt. Faults: VAULT_ERROR, and ROLE_DOWN
 * for a key that is not here any more.
 *
 * DEPOSIT brings a key that AWS made for one unit: PEM, belonging to
 * `certificate`. It takes the place of the attempt's last one. The vault
 * forgets it
 *
 *	when a grant with deposit=1 has sent it to the attempt's slot
 *	when the attempt's private pair with its slot ends
 *	when cloud says so: DEPOSIT with len 0
 *	when its lot's keys are forgotten, and after 15 minutes
 *
 * and, when more than DEPOSITS_MAX are there, the oldest of an attempt
 * without a pair. It outlives the pair with cloud.
 */
struct message_prove { /* the attempt stands in the header */
	uint32_t lot;
	uint32_t deposit; /* 1: the attempt's deposited key; 0: the claim's */
	uint32_t len;
	uint8_t input[PROVE_INPUT_MAX];
};
struct message_prove_done {
	struct fault fault;
	uint32_t len;
	uint8_t signature[PROVE_SIGNATURE_MAX];
};
struct message_deposit { /* the attempt stands in the header, never 0 */
	uint32_t lot;
	uint32_t len;			   /* of pem; 0: forget the attempt's */
	char pem[CERTIFICATE_LEN];	   /* wiped by both ends after use */
	char certificate[CERTIFICATE_LEN]; /* the key must belong to it */
};

/* ---- bulk registration ---- */

struct message_bulk {	 /* BEGIN, START, POLL, RESULT */
	uint64_t lot;	 /* the ledger's id; cloud: the line's index */
	uint64_t bulk;	 /* the ledger's id; BEGIN: 0 */
	char key[384];	 /* of the input object, unique to the intent */
	char task[65];	 /* AWS's id; START: empty unless it was known */
	char status[24]; /* RESULT: how the task ended */
	char operator[NAME_LEN]; /* BEGIN */
};
struct message_bulk_done {
	struct fault fault;
	uint64_t bulk;
	uint32_t units;	  /* in the file */
	uint32_t resumed; /* BEGIN: 1: it was begun before */
	uint32_t ended;	  /* POLL: 1: no more will come of it */
	char key[384];
	char task[65];
	char status[24];
	uint32_t succeeded, failed, percent;
	uint32_t issued, refused; /* RESULT: units that were matched */
	char text[200]; /* RESULT: the first refusal, in AWS's words */
	char request_id[80];
};

enum {
	ARTICLES_MAX = 32
};
struct message_articles {
	uint64_t lot;
	uint32_t count; /* the first so many that passed */
};
struct message_articles_done {
	struct fault fault;
	uint32_t passed;    /* of them, so far */
	uint32_t confirmed; /* and seen in the cloud */
	uint32_t waiting_count;
	struct {
		uint64_t attempt;
		uint32_t next_sequence;
		struct message_register unit;
	} waiting[4]; /* the first that are not confirmed */
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
