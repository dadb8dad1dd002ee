#include "cloud/credentials_fetch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "cloud/aws_error.h"
#include "cloud/credentials_parts.h"

enum {
	AGAIN_MS = 300, /* between two tries of one request */
	URL_MAX = 4096,
	BODY_MAX = 64 * 1024,
};

static void
fetch_due(void *arg)
{
	struct credentials_fetch *fetch = arg;

	fetch->due(fetch);
}

struct credentials_fetch *
credentials_fetch_new(const struct credentials_base *base,
    const struct config_cloud *cloud, const struct endpoint *sts,
    struct fault *fault)
{
	struct credentials_fetch *fetch = calloc(1, sizeof(*fetch));

	if (fetch == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		return NULL;
	}
	fetch->base = base;
	fetch->cloud = cloud;
	fetch->sts = sts;
	buf_init(&fetch->url, URL_MAX);
	buf_init(&fetch->body, BODY_MAX);
	fetch->timer = loop_timer(base->loop, fetch_due, fetch);
	if (fetch->timer == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto fail;
	}
	if (secret_alloc(&fetch->secret, sizeof(*fetch->kept), fault) == -1)
		goto fail;
	fetch->kept = (void *)fetch->secret.data;
	return fetch;
fail:
	credentials_fetch_free(fetch);
	return NULL;
}

/* A body may carry a token, an answer always carries a secret. */
static void
request_wipe(struct credentials_fetch *fetch)
{
	struct buf *answer = &fetch->exchange.body;

	if (answer->data != NULL)
		OPENSSL_cleanse(answer->data, answer->size);
	http_exchange_end(&fetch->exchange);
	if (fetch->body.data != NULL)
		OPENSSL_cleanse(fetch->body.data, fetch->body.size);
	buf_reset(&fetch->body);
	buf_reset(&fetch->url);
	headers_reset(&fetch->headers);
}

void
credentials_fetch_free(struct credentials_fetch *fetch)
{
	if (fetch == NULL)
		return;
	request_wipe(fetch);
	tool_run_end(&fetch->run);
	buf_free(&fetch->url);
	buf_free(&fetch->body);
	headers_free(&fetch->headers);
	loop_timer_free(fetch->base->loop, fetch->timer);
	secret_free(&fetch->secret);
	free(fetch);
}

const char *
credentials_fetch_source(const struct credentials_fetch *fetch)
{
	return fetch->source;
}

/* ---- the end ---- */

static void
fetch_tell(struct credentials_fetch *fetch)
{
	request_wipe(fetch);
	tool_run_end(&fetch->run);
	fetch->done(fetch->arg, &fetch->result);
	credentials_plan_wipe(&fetch->kept->plan);
	credentials_wipe(&fetch->kept->found);
	OPENSSL_cleanse(fetch->kept->token, sizeof(fetch->kept->token));
}

static void
fetch_later(struct credentials_fetch *fetch, int64_t delay_ms,
    void (*due)(struct credentials_fetch *))
{
	fetch->due = due;
	loop_timer_set(fetch->timer, clock_deadline(delay_ms));
}

void
fetch_fail(
    struct credentials_fetch *fetch, bool definite, const char *format, ...)
{
	va_list arguments;
	char text[320];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fault_set(&fetch->result.fault, CAUSE_CLOUD_CREDENTIALS,
	    "cloud %s: %s: %s", fetch->cloud->name, fetch->source, text);
	fetch->result.credentials = NULL;
	fetch->result.definite = definite;
	fetch_later(fetch, 0, fetch_tell);
}

/* What was found assumes the next role, or is what was wanted. */
static void
fetch_next(struct credentials_fetch *fetch)
{
	struct credentials_kept *kept = fetch->kept;

	if (fetch->role < kept->plan.role_count) {
		request_role(fetch, &kept->plan.roles[fetch->role++]);
		return;
	}
	fetch->result.credentials = &kept->found;
	fetch_later(fetch, 0, fetch_tell);
}

void
fetch_take(struct credentials_fetch *fetch, enum credentials_answer_kind kind,
    const char *text, size_t len)
{
	struct fault fault = {0};

	if (credentials_answer(kind, text, len, &fetch->kept->found, &fault) ==
	    -1)
		fetch_fail(fetch, true, "%s", fault.text);
	else
		fetch_next(fetch);
}

/* ---- requests ---- */

static void fetch_answered(void *arg);

static void
fetch_send(struct credentials_fetch *fetch)
{
	fetch->tries--;
	if (http_send(fetch->base->http, &fetch->exchange, &fetch->request,
		fetch_answered, fetch) == -1)
		fetch_fail(fetch, true, "%s", fetch->exchange.fault.text);
}

void
fetch_ask(struct credentials_fetch *fetch, uint32_t tries,
    void (*take)(struct credentials_fetch *))
{
	fetch->request.url = fetch->url.data;
	fetch->request.headers = headers_list(&fetch->headers);
	fetch->take = take;
	fetch->tries = tries;
	if (fetch->url.failed || fetch->body.failed ||
	    fetch->headers.text.failed)
		fetch_fail(fetch, true, "a text of the request is too long");
	else
		fetch_send(fetch);
}

/* A refusal, in the source's own words where it has any. */
static void
fetch_refused(struct credentials_fetch *fetch)
{
	const struct http_exchange *exchange = &fetch->exchange;
	struct aws_error error;
	bool passes;

	aws_error_read(&error, exchange->status,
	    exchange->error_type[0] != '\0' ? exchange->error_type : NULL,
	    exchange->body.len > 0 ? exchange->body.data : "",
	    exchange->body.len);
	passes = error.remedy == AWS_REMEDY_AGAIN ||
		 error.remedy == AWS_REMEDY_SLOWER;
	if (passes && fetch->tries > 0) {
		fetch_later(fetch, AGAIN_MS, fetch_send);
		return;
	}
	fetch_fail(fetch, !passes, "refused with HTTP %ld%s%s%s%.160s",
	    exchange->status, error.name[0] != '\0' ? " " : "", error.name,
	    error.message[0] != '\0' ? ": " : "", error.message);
}

static void
fetch_answered(void *arg)
{
	struct credentials_fetch *fetch = arg;
	const struct http_exchange *exchange = &fetch->exchange;

	if (exchange->fault.cause == CAUSE_NONE && exchange->status == 200)
		fetch->take(fetch);
	else if (exchange->fault.cause == CAUSE_NONE)
		fetch_refused(fetch);
	else if (!exchange->final && fetch->tries > 0)
		fetch_later(fetch, AGAIN_MS, fetch_send);
	else
		fetch_fail(fetch, exchange->final, "%s", exchange->fault.text);
}

/* ---- the beginning ---- */

static void
process_done(void *arg)
{
	struct credentials_fetch *fetch = arg;
	const struct tool_run *run = &fetch->run;

	if (run->fault.cause != CAUSE_NONE)
		fetch_fail(fetch, false, "%s", run->fault.text);
	else
		fetch_take(fetch, CREDENTIALS_ANSWER_PROCESS, run->output.data,
		    run->output.len);
}

static void
process_start(struct credentials_fetch *fetch)
{
	struct fault fault = {0};

	if (tool_run_start(fetch->base->tools, &fetch->run,
		fetch->kept->plan.profile, process_done, fetch, &fault) == -1)
		fetch_fail(fetch, false, "%s", fault.text);
}

static void
fetch_begin(struct credentials_fetch *fetch)
{
	struct credentials_kept *kept = fetch->kept;

	if (credentials_plan(fetch->cloud, fetch->base->environment,
		&kept->plan, &fetch->result.fault) == -1) {
		fetch->result.definite = true;
		fetch_tell(fetch);
		return;
	}
	text_copy(fetch->source, sizeof(fetch->source), kept->plan.text);
	switch (kept->plan.origin) {
	case ORIGIN_KEYS:
		kept->found = kept->plan.keys;
		fetch_next(fetch);
		return;
	case ORIGIN_WEB_IDENTITY:
		request_web_identity(fetch);
		return;
	case ORIGIN_PROCESS:
		process_start(fetch);
		return;
	case ORIGIN_CONTAINER:
		request_container(fetch);
		return;
	case ORIGIN_INSTANCE:
		request_instance(fetch);
		return;
	case ORIGIN_IOT:
		request_iot(fetch);
		return;
	}
}

void
credentials_fetch_start(struct credentials_fetch *fetch, int64_t skew_ms,
    void (*done)(void *arg, const struct credentials_fetched *), void *arg)
{
	memset(&fetch->result, 0, sizeof(fetch->result));
	fetch->done = done;
	fetch->arg = arg;
	fetch->skew_ms = skew_ms;
	fetch->role = 0;
	fetch_later(fetch, 0, fetch_begin);
}
