/*
 * One call of an AWS operation: paced, signed, sent, judged and, where that
 * is right, repeated until the request's deadline.
 *
 * A task (task.h) has one call and uses it again and again:
 *
 *	call_start(&call, account, OPERATION_ATTACH_POLICY, policy);
 *	call_body(&call, json_pack("{s:s}", "target", arn));
 *	call_send(&call, done, task);
 *
 * Repeats are for throttling, 5xx and network faults, with full jitter
 * ("Exponential Backoff And Jitter", AWS Architecture Blog). An operation
 * whose effect is ONCE is not repeated when its answer was lost: the call
 * ends with CAUSE_CLOUD_UNSURE and the task looks for what it made. A call
 * without credentials, or whose credentials AWS did not take, waits for fresh
 * ones up to its deadline; that is not a try.
 */
#ifndef CLOUD_CALL_H
#define CLOUD_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/loop.h"
#include "cloud/account.h"
#include "cloud/aws_error.h"
#include "cloud/headers.h"
#include "cloud/http.h"
#include "cloud/keyring.h"
#include "cloud/operation.h"
#include "cloud/pacer.h"

enum {
	CALL_TRIES_MAX = 12,
	CALL_TIMEOUT_MS = 20000
};

/* What all calls share, and what they count for the board. */
struct caller {
	struct loop *loop;
	struct http *http;
	uint32_t in_flight; /* sent and not answered */
	uint32_t calls;	    /* tries that were sent */
	uint32_t throttled;
	int64_t throttled_ms;	    /* the last time, monotonic; 0 never */
	uint32_t failures;	    /* in a row: network, TLS, 5xx */
	char failure[128];	    /* the last one's text */
	void (*changed)(void *arg); /* a count has changed */
	void *arg;
};

/* Zero at the start, then call_open. */
struct call {
	struct caller *caller;
	int64_t deadline_ms; /* monotonic; set by the task */

	/* the answer */
	struct fault fault;	/* CAUSE_NONE: a success */
	struct aws_error error; /* AWS's refusal, if that is what it was */
	json_t *json;		/* owned; null when the body is not JSON */
	char request_id[80];
	uint32_t lost; /* tries since call_start that may have had an effect
			  nobody has been told of */

	/* call.c's own */
	struct account *account;
	enum operation operation;
	bool settles;
	struct buf target; /* path */
	struct buf query;
	struct buf url;
	char label[160];  /* for texts */
	const char *body; /* or null: none */
	size_t body_len;
	char *own_body; /* `body` when it is owned; or null */
	char principal[256];
	uint32_t tries;
	uint32_t generation; /* of the credentials that signed this try */
	int64_t skew_ms;     /* of the clock that signed it */
	bool ended;	     /* the fault is there; done is due */
	struct http_exchange exchange;
	struct headers headers;
	struct keyring_turn keys_turn;
	struct pacer_turn turn;
	struct loop_timer *timer;
	void (*done)(void *arg);
	void *arg;
};

int call_open(struct call *, struct caller *, struct fault *);
/* Also ends one under way, without a call of done. */
void call_close(struct call *);

/*
 * Begins anew. The label fills the path's "{}", percent-encoded but for the
 * slashes of an object's path in S3; or null.
 */
void
call_start(struct call *, struct account *, enum operation, const char *label);
void call_query(struct call *, const char *name, const char *value);
/* Takes the object; null (out of memory) ends the call with that fault. */
void call_body(struct call *, json_t *);
/* The form of STS's query protocol, which has no JSON. */
void call_form(struct call *, const char *form);
/* An object for S3; borrowed until the call has ended. */
void call_upload(struct call *, const void *bytes, size_t len);
/* The header x-amzn-principal: a certificate's ARN. */
void call_principal(struct call *, const char *arn);
/*
 * Something was made a moment ago that AWS may not see everywhere yet: a
 * refusal for its absence (or a deletion's for what was detached) is
 * repeated a few times before it counts.
 */
void call_settles(struct call *);
/* Sends; done(arg) is called from the loop, never from within. */
void call_send(struct call *, void (*done)(void *arg), void *arg);

/* True when AWS refused with that name, given without "Exception". */
bool call_refused_as(const struct call *, const char *name);

/* A text member of the answer's object, or null. */
const char *call_text(const struct call *, const char *name);

#endif
