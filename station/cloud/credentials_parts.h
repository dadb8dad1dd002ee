/*
 * What credentials_fetch.c (the order of steps) and credentials_request.c
 * (what each source is asked) share.
 */
#ifndef CLOUD_CREDENTIALS_PARTS_H
#define CLOUD_CREDENTIALS_PARTS_H

#include "base/buf.h"
#include "cloud/credentials_answer.h"
#include "cloud/credentials_fetch.h"
#include "cloud/credentials_plan.h"
#include "cloud/headers.h"
#include "pki/key.h"

/* In locked memory. */
struct credentials_kept {
	struct credentials_plan plan;
	struct credentials found;
	char token[SESSION_TOKEN_LEN]; /* of the instance, the container */
};

struct credentials_fetch {
	const struct credentials_base *base;
	const struct config_cloud *cloud;
	const struct endpoint *sts;
	struct secret secret;
	struct credentials_kept *kept; /* in it */
	struct loop_timer *timer;
	void (*due)(struct credentials_fetch *);
	int64_t skew_ms;
	uint32_t role; /* of the plan's: the next to be assumed */
	char source[sizeof(((struct credentials_plan *)0)->text)];

	/* the request under way */
	struct http_request request;
	struct http_exchange exchange;
	struct headers headers;
	struct buf url, body;
	uint32_t tries;				  /* left */
	void (*take)(struct credentials_fetch *); /* reads an answer of 200 */
	struct tool_run run;

	struct credentials_fetched result;
	void (*done)(void *arg, const struct credentials_fetched *);
	void *arg;
};

/* ---- credentials_fetch.c ---- */

/* Sends the request, up to `tries` times while trouble may pass. */
void fetch_ask(struct credentials_fetch *, uint32_t tries,
    void (*take)(struct credentials_fetch *));
/* Reads the answer's credentials and goes on with the plan's next role. */
void fetch_take(struct credentials_fetch *, enum credentials_answer_kind,
    const char *text, size_t len);
/* Ends it with that reason. */
void fetch_fail(struct credentials_fetch *, bool definite, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* ---- credentials_request.c ---- */

void request_container(struct credentials_fetch *);
void request_instance(struct credentials_fetch *);
void request_iot(struct credentials_fetch *);
void request_web_identity(struct credentials_fetch *);
/* Assumes that role with the credentials that were found. */
void request_role(struct credentials_fetch *, const struct credentials_role *);

#endif
