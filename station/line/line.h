/*
 * The line role's own state: the board, open lots, attempts, calls to other
 * roles. Everything here belongs to one process and one thread; nothing of
 * it is durable: what must survive stands in the ledger, and role.c builds
 * this anew from it at each start.
 *
 *	role.c      start, messages of the parent, the main loop
 *	calls.c     requests to other roles, repeated when a role comes back
 *	presence.c  which slots have a unit in them
 *	lots.c      opening, restoring and closing lots
 *	lot_keys.c  a lot's keys for vault and hsm, the pair of vault and cloud
 *	attempt.c   beginning an attempt, its slot process, its end
 *	journey.c   what the slot asks for
 *	flow.c      its requests with an effect outside: intent and outcome
 *	effect.c    the effect itself, in cloud or vault
 *	article.c   the first units of a lot, which must connect before more
 *	bulk.c      registering a lot's staged units
 *	tool.c      external commands for the cloud role
 *	recover.c   attempts that have no slot any more
 *	alarm.c     the failure alarm and the rate of units
 *	board.c     the snapshot for screens, events for clients
 *	commands.c  what clients may ask
 */
#ifndef LINE_LINE_H
#define LINE_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/channel.h"
#include "base/loop.h"
#include "base/message.h"
#include "control/server.h"
#include "lot/config.h"
#include "lot/job.h"
#include "lot/lot.h"

struct line;
struct attempt;

/* ---- calls ---- */

/*
 * Called once with the answer. Null when the call was given up because the
 * role that should answer ended for good (slots, load and report only).
 */
typedef void call_done(void *arg, struct message *answer);

struct call {
	struct call *next;
	enum role target; /* LEDGER, CLOUD, VAULT, HSM or PARENT */
	struct message_header header;
	int64_t timeout_ms; /* from each sending on; 0 none */
	bool sent;	    /* to the role's present process */
	void *body;
	size_t len;
	int fds[3];
	size_t fd_count;
	call_done *done;
	void *arg;
};

struct peer { /* ledger, cloud, vault, hsm, parent */
	struct line *line;
	enum role role;
	struct channel channel;
	struct loop_watch *watch;
	bool up;
	uint32_t starts;
	int64_t restarts_ms[8]; /* ring of the latest restarts */
	size_t restart_next;
};

/* ---- lots ---- */

enum lot_stage {
	LOT_STAGE_NONE,
	LOT_STAGE_LOADING, /* the load role reads and freezes it */
	LOT_STAGE_CLOUD,   /* the cloud checks the account */
	LOT_STAGE_KEY,	   /* vault and hsm get its keys */
	LOT_STAGE_LEDGER,  /* the ledger takes it in */
	LOT_STAGE_OPEN,
};

struct open_lot {
	struct line *line;
	uint32_t index; /* in line->lots: how other roles call it */
	enum lot_stage stage;
	uint64_t id;   /* the ledger's */
	bool restored; /* was open when the daemon started: stays open */
	bool cloud_ready;
	uint32_t keys_ready; /* bit k: the keeper of enum key_kind k has it */
	uint32_t key_asked;  /* enum key_kind of the open OPEN_KEY call */
	char folder[PATH_LEN];
	char operator[NAME_LEN];
	int image_fd, firmware_fd, manifest_fd;
	const struct lot_image *image; /* mapped */
	struct lot_counts counts;
	bool complete_told;
	/* article.c */
	uint32_t articles_confirmed;
	bool articles_done, articles_asked;
	struct loop_timer *article_timer;
	struct bulk_job *bulk;		 /* bulk.c; or null */
	struct control_request *request; /* a client that waits, or null */
	struct loop_timer *timer;	 /* to try again for a restored lot */
	/* the load role at work */
	pid_t load_pid;
	struct channel load;
	struct loop_watch *load_watch;
};

/* ---- slots and attempts ---- */

enum slot_state {
	SLOT_EMPTY,
	SLOT_WAITING, /* a unit is in it; no lot is open or the line is held */
	SLOT_BUSY,
	SLOT_DONE, /* judged; until the unit is taken out */
	SLOT_HELD, /* out of service: it crashed or its port failed */
};

struct board_slot {
	struct line *line;
	uint32_t index;
	const struct config_slot *config;
	enum slot_state state;
	bool present;
	char node[PATH_LEN];
	struct stat mark;     /* tells a new unit in the same place */
	struct open_lot *lot; /* that it works for, or null */
	struct attempt *attempt;
	/* of the unit that is or was last in it */
	struct message_progress progress;
	struct message_verdict verdict;
	uint64_t attempt_id;
	char thing[THING_LEN];
	char lot_name[NAME_LEN];
	int64_t began_ms, ended_ms; /* monotonic */
	bool acknowledged;
	int64_t crashes_ms[3];
	size_t crash_next;
};

/* One flow of calls for one request of the slot. */
struct flow {
	bool used;
	uint32_t sequence; /* the slot's */
	uint16_t type;	   /* the slot's request */
	struct message_intent intent;
	struct message_issue issue;
	struct message_register bind;
	struct message_outcome outcome;
	struct message_issue_done issue_done;
	struct message_claim_done claim_done;
	struct message_confirm_done confirm_done;
	struct fault refusal; /* told to the slot when it is recorded */
	char known_arn[256];
};

struct attempt {
	struct attempt *next;
	struct line *line;
	struct board_slot *slot; /* null when it has none any more */
	struct open_lot *lot;	 /* null: refused, no lot */
	uint64_t id;
	uint32_t number;
	char slot_name[NAME_LEN];
	struct message_begin begin;
	pid_t pid; /* 0 when no process lives */
	struct channel channel;
	struct loop_watch *watch;
	struct flow flow;
	struct message_gate_done gate;
	struct message_outcome issued; /* certificate of this attempt */
	struct message_verdict verdict;
	bool verdict_sent, verdict_done;
	bool aborted; /* its slot may give its verdict amid a request */
	bool verdict_waits;
	uint32_t verdict_sequence;
	bool recovered; /* begun in an earlier life of the daemon */
	bool article;	/* passed long ago; awaits its first connection */
	int64_t claim_expires_ms; /* wall clock; 0: its claim does not */
	bool resolving;
	uint32_t resolve_tries;
	struct loop_timer *timer;
	struct loop_timer *watchdog; /* of its process */
	enum fault_cause ended_by;   /* when the process died early */
	int64_t began_wall_ms, ended_wall_ms, began_ms;
	char cloud_state[24];
	struct control_request *request; /* `make` that waits for its number */
};

/* ---- the line ---- */

enum {
	ALARM_WINDOW_MAX = 1000,
	PASS_RING = 4096,
	LOG_RING = 50
};

struct log_entry {
	int64_t wall_ms;
	enum log_ring_level {
		RING_ERROR,
		RING_WARNING,
		RING_NOTICE
	} level;
	char text[200];
};

/* The private pair of vault and cloud. */
struct join {
	struct line *line;
	bool done;		  /* both present processes have their ends */
	struct loop_timer *timer; /* to try again */
};

struct line {
	struct loop *loop;
	const struct station_config *config;
	int64_t started_ms;
	struct peer peers[ROLE_COUNT];
	struct call *calls;
	uint32_t sequence;
	struct board_slot slots[SLOTS_MAX];
	struct open_lot lots[LOTS_OPEN_MAX];
	struct attempt *attempts;
	struct digest program;
	bool ledger_ready, draining;
	struct join join;
	bool held;
	bool hold_passes; /* it ends with the lapse of the credentials */
	char hold_reason[200];
	struct message_cloud_state cloud;
	int64_t lapse_ended_ms;	 /* the latest; 0: there was none */
	struct line_tool *tools; /* tool.c */
	/* alarm.c */
	struct {
		uint8_t failed[ALARM_WINDOW_MAX]; /* 1 failure, 0 success */
		size_t count, next;
		bool ringing;
	} alarm;
	int64_t pass_ms[PASS_RING];
	size_t pass_count, pass_next;
	struct log_entry log[LOG_RING];
	size_t log_count, log_next;
	/* presence.c */
	int inotify_fd;
	struct loop_timer *presence_timer;
	/* recover.c */
	struct loop_timer *obligation_timer;
	/* board.c */
	struct control_server *server;
	struct loop_timer *snapshot_timer;
	bool snapshot_wanted;
	int64_t snapshot_ms;
	struct reporting *reports; /* commands.c */
};

/* calls.c */
void line_call(struct line *, enum role target, uint16_t type, uint64_t attempt,
    int64_t deadline_ms, const void *body, size_t len, const int *fds,
    size_t fd_count, call_done *, void *arg);
/* A message without an answer; dropped when the role is not there. */
void peer_tell(
    struct line *, enum role, uint16_t type, const void *body, size_t len);
/* The role is there (again): takes the descriptor, repeats open calls. */
void peer_up(struct line *, enum role, int fd, uint32_t starts);
/* Sends what waited for the role to know its lots. */
void calls_flush(struct line *, enum role);
/* True while a call of that type and argument is open. */
bool call_is_open(const struct line *, uint16_t type, const void *arg);
/* The fault of an answer: its first member; INTERNAL for a null one. */
void call_fault(const struct message *answer, struct fault *);
/* Drops the calls of an argument that is about to be freed. */
void calls_forget(struct line *, void *arg);
/* Takes back calls of that type, so that none is sent again either. */
void calls_withdraw(struct line *, uint16_t type, const void *arg);

/* presence.c */
int presence_start(struct line *, struct fault *);
void presence_scan(struct line *);

/* lots.c */
struct open_lot *lot_find(struct line *, const char *name);
struct open_lot *lot_by_id(struct line *, uint64_t id);
/* Opens lots/NAME; answers the request when it is done. */
void lot_begin_opening(struct line *, const char *name, const char *operator,
    struct control_request *);
/* Restores what the ledger says was open. */
void lots_restore(struct line *);
void lot_close(struct line *, struct open_lot *, struct control_request *);
/* Free slots take up the lot; waiting units begin. */
void lots_assign(struct line *);
/* A role that lost what it knew is there again. */
void lot_role_up(struct line *, enum role);
/* The lot's keys are all where they belong, or one of them cannot be. */
void lot_keys_end(struct open_lot *, enum role, const struct fault *);
void lot_load_exited(struct line *, pid_t);
json_t *
lot_json(const struct line *, const struct open_lot *, const struct lot_row *);
/* Its counts are new: tells subscribers when it is complete. */
void lot_counted(struct open_lot *);

/* lot_keys.c */
/* Who signs the units' certificates of a lot with a CA: VAULT or HSM. */
enum role lot_signer(const struct lot_image *);
/* Gives the next key that is missing; lot_keys_end when none is. */
void lot_keys_send(struct open_lot *);
/* That role was started anew and has no keys of the lot. */
void lot_keys_lost(struct open_lot *, enum role);
/* The lot is closed: its keys are forgotten. */
void lot_keys_forget(struct open_lot *);
/* The role knows all that it needs to work for the lot. */
bool lot_role_ready(const struct open_lot *, enum role);
/* Joins vault and cloud as soon as both are there. */
void line_join(struct line *);

/* attempt.c */
/* Begins when the slot has a unit, nothing holds it and a lot is there. */
void slot_consider(struct board_slot *);
void attempt_begin(struct board_slot *, struct open_lot *, const char *lot_name,
    const char *operator, const char * scanned, struct control_request *);
void attempt_abort(struct attempt *, enum fault_cause, const char *text);
void attempt_exited(struct line *, const struct message_exited *);
/* Gives the verdict to the ledger; the rest follows from its answer. */
void attempt_judge(struct attempt *, const struct message_verdict *);
/* An attempt of an earlier life of the daemon. */
struct attempt *attempt_adopt(struct line *, uint64_t id);
void attempt_free(struct attempt *);
void
slot_present(struct board_slot *, const char *node, const struct stat *mark);
void slot_absent(struct board_slot *);

/* journey.c */
/* A message of the slot's process. */
void journey_message(struct attempt *, struct message *);

/* flow.c */
void flow_start(struct attempt *, enum intent_kind, const struct digest *);
/* Runs the flow of a kind without a slot; then recover_next. */
void flow_resume(
    struct attempt *, enum intent_kind, const struct message_register *);
/*
 * True when there is no process any more that waits for the answer: what
 * becomes of the attempt is its last word's or the recovery's to say.
 */
bool flow_orphaned(struct attempt *, const struct fault *);
void slot_answer(struct attempt *, const void *body, size_t len);
/* What the slot asked last was its verdict. */
void verdict_take(struct attempt *);

/* article.c */
/* True while a lot's first units must connect before more are made. */
bool article_holds(const struct open_lot *);
/* The lot's counts are new, or it was opened. */
void article_consider(struct open_lot *);
void article_ended(struct attempt *, const struct fault *);

/* bulk.c */
void
bulk_start(struct open_lot *, const char *operator, struct control_request *);

/* tool.c */
/* The cloud role asks for a credential_process; answers it in the end. */
void tool_start(struct line *, const struct message *);

/* recover.c */
/* The ledger is there: lots and attempts of an earlier life. */
void recover_ready(struct line *, const struct message_ledger_ready *);
void recover_attempt(struct attempt *, enum fault_cause);
void recover_next(struct attempt *, const struct fault *);
void obligations_start(struct line *);

/* alarm.c */
void alarm_count(struct line *, const struct message_verdict *);
void alarm_reset(struct line *);
void alarm_sums(const struct line *, uint32_t *failures, uint32_t *successes);
uint32_t rate_units_per_hour(const struct line *);
uint32_t rate_takt_ms(const struct line *);
void line_hold(struct line *, const char *reason);
/*
 * Holds for a fault of something that began at since_ms. What a lapse of the
 * cloud's credentials failed holds the line no longer than the lapse.
 */
void line_hold_fault(struct line *, const struct fault *, int64_t since_ms);
void line_release(struct line *);
/* The cloud's state is new: a lapse holds the line, its end releases it. */
void line_cloud_changed(struct line *, const struct message_cloud_state *);
bool line_is_lapsed(const struct line *);

/* board.c */
void board_changed(struct line *);
void board_note(struct line *, enum log_ring_level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
json_t *board_snapshot(struct line *);
void board_verdict(struct attempt *);
void board_lot_event(struct open_lot *, const char *what, const char *text);
/* Tells the followers of every open lot that the line is held. */
void board_lots_stopped(struct line *, const char *reason);
int board_start(struct line *, int listen_fd, struct fault *);

/* commands.c */
extern const struct control_command line_commands[];
void report_exited(struct line *, pid_t);

/* role.c */
/* True when the message was the parent's own, not an answer. */
bool parent_message(struct line *, struct message *);
int line_role(void);

#endif
