/*
 * The ledger: what durably happened on this station, and the rules that
 * every step of a unit's journey is held to. ledger/role.c drives it with
 * messages; tests drive it directly.
 *
 * Requests are handled inside one transaction and answered after its commit:
 *
 *	ledger_begin()
 *	ledger_handle() ... once a request
 *	ledger_commit()     0: the answers may be sent
 *	                   -1: nothing was recorded; ledger_refuse() turns
 *	                       every request into its CAUSE_LEDGER_ERROR
 *
 * GATE, INTENT, OUTCOME and VERDICT are recorded under (attempt,
 * sequence): a resend gets the first answer again and records nothing. The
 * other requests may be repeated without harm: a second BEGIN only makes an
 * attempt that the next start closes.
 */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "base/message.h"
#include "ledger/store.h"

struct lot_image;

enum {
	LEDGER_CURSORS_MAX = 16
};

/* Where to look for a lot's next free row: all rows before it are taken. */
struct ledger_cursor {
	uint64_t lot;
	uint64_t row;
};

struct ledger {
	struct store store;
	char station[NAME_LEN];
	int lock; /* held as long as the ledger is open */
	/* The request that is being handled. */
	int64_t now_ms; /* wall clock */
	uint64_t entry; /* the number that its records carry */
	uint64_t last_entry;
	/* Lost with the process; neither decides what is recorded. */
	uint64_t handed; /* the obligation that is being worked, or 0 */
	int answer_fd;	 /* of the request that is being handled; or -1 */
	struct ledger_cursor cursors[LEDGER_CURSORS_MAX];
	struct lot_image *image; /* scratch for lot_expand */
};

/* Any answer that the ledger gives. */
struct ledger_answer {
	struct message_header header;
	size_t len;
	int fd; /* goes with it, and is closed behind it; or -1 */
	union {
		struct fault fault; /* every answer begins with it */
		struct message_done done;
		struct message_lot_open_done lot_open;
		struct message_lot_list_done lot_list;
		struct message_counts_done counts;
		struct message_begin_done begin;
		struct message_gate_done gate;
		struct message_intent_done intent;
		struct message_verdict_done verdict;
		struct message_resolve_done resolve;
		struct message_obligation_done obligation;
		struct message_articles_done articles;
		struct message_bulk_done bulk;
	} body;
};

/* Null with a fault: damaged, newer, read-only, or in use by another. */
struct ledger *
ledger_open(const char *path, const char *station, struct fault *);
void ledger_close(struct ledger *);

int ledger_begin(struct ledger *);
/*
 * Fills the answer. -1 when the transaction is lost: no further request may
 * be handled in it. A type that is no request to the ledger is a
 * CAUSE_INTERNAL answer.
 */
int
ledger_handle(struct ledger *, const struct message *, struct ledger_answer *);
int ledger_commit(struct ledger *);
void ledger_rollback(struct ledger *);
/* The answer of a request that could not be carried out at all. */
void ledger_refuse(const struct message_header *, const struct fault *,
    struct ledger_answer *);
/* What the line is told first: MESSAGE_LEDGER_READY. */
int ledger_ready(struct ledger *, struct message_ledger_ready *);

/*
 * The handlers. Each reads the request's body, records, and fills the answer
 * of its type, which arrives zeroed. 0 with or without a fault in the
 * answer; -1 when the database failed.
 */
int ledger_open_lot(struct ledger *, const struct message *, void *answer);
int ledger_close_lot(struct ledger *, const struct message *, void *answer);
int ledger_list_lots(struct ledger *, const struct message *, void *answer);
int ledger_count_lot(struct ledger *, const struct message *, void *answer);
int ledger_begin_attempt(struct ledger *, const struct message *, void *answer);
int ledger_gate(struct ledger *, const struct message *, void *answer);
int ledger_intend(struct ledger *, const struct message *, void *answer);
int ledger_outcome(struct ledger *, const struct message *, void *answer);
int ledger_judge(struct ledger *, const struct message *, void *answer);
int ledger_resolve(struct ledger *, const struct message *, void *answer);
int ledger_dispose(struct ledger *, const struct message *, void *answer);
int ledger_oblige(struct ledger *, const struct message *, void *answer);
/* bulk.c; the file of BULK_BEGIN becomes ledger->answer_fd. */
int ledger_bulk_begin(struct ledger *, const struct message *, void *answer);
int ledger_bulk_result(struct ledger *, const struct message *, void *answer);
/* article.c */
int ledger_articles(struct ledger *, const struct message *, void *answer);
/* An entry of its own for one of many records of a request. */
int ledger_entry_add(struct ledger *, const char *kind);

#endif
