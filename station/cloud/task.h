/*
 * A request of the line at work: a small state machine over one call.
 *
 * role.c makes a task for each message and starts it with a function of
 * pattern.h. A step prepares the task's call, names the function that reads
 * the answer and returns; the file reads top-down like the work instruction:
 *
 *	call_start(&task->call, account, OPERATION_ATTACH_POLICY, policy);
 *	call_body(&task->call, json_pack("{s:s}", "target", arn));
 *	task_call(task, policy_attached);
 *
 * A step ends the task by exactly one of task_answer and task_fail*, after
 * which the task does not exist any more.
 */
#ifndef CLOUD_TASK_H
#define CLOUD_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/message.h"
#include "cloud/account.h"
#include "cloud/call.h"
#include "cloud/lookup.h"
#include "lot/lot.h"

/* A lot that the line has named; kept while a task uses it. */
struct cloud_lot {
	const struct lot_image *image; /* mapped; null: none */
	size_t image_len;
	struct account *account;
	struct fault fault;	  /* why its account is not proven; or none */
	struct fleet_set *fleets; /* pattern_proxy.c's connections; or null */
	unsigned users;
};

struct task {
	struct message_header header; /* of the request */
	struct cloud_lot *lot;	      /* counted */
	const char *station;
	struct call call;
	void (*next)(struct task *);
	union {
		struct message_issue issue;
		struct message_register bind; /* PREREGISTER, ACTIVATE and
						 CONFIRM too */
		struct message_discard discard;
		struct message_claim claim;
		struct message_permit permit;
		struct message_bulk bulk;
	} request;
	union {
		struct message_issue_done issue;
		struct message_cloud_done cloud;
		struct message_confirm_done confirm;
		struct message_claim_done claim;
		struct message_bulk_done bulk;
		struct message_done plain;
	} answer;
	size_t answer_len;
	size_t request_id_at; /* offset of the answer's; 0: it has none */
	int request_fd;	      /* owned: descriptor 0 of the request; or -1 */
	int fds[2];	      /* owned: that go along with the answer, or -1 */

	/* what the patterns keep between steps */
	struct lookup lookup;
	uint32_t lookups;   /* how often it was looked */
	uint32_t stray;	    /* issues whose outcome is unknown */
	uint32_t rounds;    /* of a loop that has a bound */
	uint32_t group;	    /* index of the lot's next group */
	json_t *attributes; /* owned: what the thing shall have */
	bool adopt; /* another station's thing of the same unit becomes ours */
	void (*made)(struct task *);   /* goes on behind thing_make */
	void (*bound)(struct task *);  /* behind thing_bind */
	void (*found)(struct task *);  /* behind issue_look, holder_check */
	void (*absent)(struct task *); /* likewise */
	char certificate_id[CERTIFICATE_ID_LEN]; /* that it is about */
	struct pacer_turn turn; /* for what is no call of the task's own */
	void *state;		/* owned: what one pattern alone keeps */
	void (*state_free)(void *state);
	struct loop_timer *timer; /* task_later */

	/* role.c's own */
	struct cloud *cloud;
	struct task *previous_task, *next_task;
};

/* Sends the prepared call; next(task) reads task->call. */
void task_call(struct task *, void (*next)(struct task *));
/* Goes on with next(task) after that time. */
void task_later(struct task *, int64_t delay_ms, void (*next)(struct task *));
/*
 * Room of that size for what the pattern keeps, zeroed and freed with the
 * task by free_state(state) or, when that is null, free(3). False, and the
 * task has ended, when there is no memory.
 */
bool task_keep(struct task *, size_t size, void (*free_state)(void *state));
/* Sends the answer as it stands and ends the task. */
void task_answer(struct task *);
/* Ends the task with that fault; with the call's. */
void task_fail(struct task *, const struct fault *);
void task_fail_call(struct task *);
/* True, and the task has ended, when the call did not succeed. */
bool task_failed(struct task *);

#endif
