#include "cloud/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cloud/jitter.h"
#include "cloud/transmit.h"

enum {
	DELAY_NETWORK_MS = 100,
	DELAY_THROTTLED_MS = 500,
	DELAY_SETTLE_MS = 250,
	DELAY_MOST_MS = 20000,
	SETTLE_TRIES_MAX = 5,
	/* What is left of a deadline must leave AWS time for an answer. */
	DEADLINE_LEAST_MS = 50,
};

static void call_answered(void *arg);
static void call_queue(struct call *call);
static void call_due(void *arg);
static void call_granted(void *arg);

int
call_open(struct call *call, struct caller *caller, struct fault *fault)
{
	memset(call, 0, sizeof(*call));
	call->caller = caller;
	buf_init(&call->target, 2048);
	buf_init(&call->query, 4096);
	buf_init(&call->url, 8192);
	call->timer = loop_timer(caller->loop, call_due, call);
	if (call->timer == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	return 0;
}

/* Replaces the body; the text is taken over when it is `own`. */
static void
body_set(struct call *call, char *own, const void *bytes, size_t len)
{
	free(call->own_body);
	call->own_body = own;
	call->body = bytes;
	call->body_len = len;
}

/* Ends what is under way and drops request and answer. */
static void
call_reset(struct call *call)
{
	if (call->exchange.easy != NULL)
		call->caller->in_flight--;
	http_exchange_end(&call->exchange);
	keyring_leave(&call->keys_turn);
	pacer_leave(&call->turn);
	if (call->timer != NULL)
		loop_timer_set(call->timer, 0);
	headers_reset(&call->headers);
	json_decref(call->json);
	call->json = NULL;
	body_set(call, NULL, NULL, 0);
	buf_reset(&call->target);
	buf_reset(&call->query);
}

void
call_close(struct call *call)
{
	if (call->caller == NULL)
		return;
	call_reset(call);
	buf_free(&call->target);
	buf_free(&call->query);
	buf_free(&call->url);
	headers_free(&call->headers);
	if (call->timer != NULL)
		loop_timer_free(call->caller->loop, call->timer);
	memset(call, 0, sizeof(*call));
}

static void
label_add(struct call *call, const char *label)
{
	bool object = operation_row(call->operation)->service == SERVICE_S3;

	for (;;) {
		size_t len = object ? strcspn(label, "/") : strlen(label);

		sigv4_encode(&call->target, label, len);
		label += len;
		if (*label == '\0')
			return;
		buf_add_text(&call->target, "/");
		label++;
	}
}

void
call_start(struct call *call, struct account *account, enum operation operation,
    const char *label)
{
	const char *path = operation_row(operation)->path;
	const char *mark = strstr(path, "{}");

	call_reset(call);
	call->account = account;
	call->operation = operation;
	call->settles = false;
	call->ended = false;
	call->lost = call->tries = 0;
	call->principal[0] = call->request_id[0] = call->label[0] = '\0';
	fault_clear(&call->fault);
	memset(&call->error, 0, sizeof(call->error));
	if (label != NULL)
		text_copy(call->label, sizeof(call->label), label);
	if (mark == NULL) {
		buf_add_text(&call->target, path);
		return;
	}
	buf_add(&call->target, path, (size_t)(mark - path));
	label_add(call, label);
	buf_add_text(&call->target, mark + 2);
}

void
call_query(struct call *call, const char *name, const char *value)
{
	buf_add_text(&call->query, call->query.len > 0 ? "&" : "");
	sigv4_encode(&call->query, name, strlen(name));
	buf_add_text(&call->query, "=");
	sigv4_encode(&call->query, value, strlen(value));
}

void
call_body(struct call *call, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);

	json_decref(body);
	body_set(call, text, text, text != NULL ? strlen(text) : 0);
	if (text == NULL)
		fault_set(&call->fault, CAUSE_INTERNAL,
		    "%s: a body cannot be written as JSON",
		    operation_row(call->operation)->name);
}

void
call_form(struct call *call, const char *form)
{
	char *text = strdup(form);

	body_set(call, text, text, strlen(form));
	if (text == NULL)
		fault_set(&call->fault, CAUSE_INTERNAL, "out of memory");
}

void
call_upload(struct call *call, const void *bytes, size_t len)
{
	body_set(call, NULL, bytes, len);
}

void
call_principal(struct call *call, const char *arn)
{
	if (text_copy(call->principal, sizeof(call->principal), arn) == -1)
		fault_set(&call->fault, CAUSE_INTERNAL, "an ARN is too long");
}

void
call_settles(struct call *call)
{
	call->settles = true;
}

bool
call_refused_as(const struct call *call, const char *name)
{
	size_t len = strlen(name);

	return strncmp(call->error.name, name, len) == 0 &&
	       (call->error.name[len] == '\0' ||
		   strcmp(call->error.name + len, "Exception") == 0);
}

const char *
call_text(const struct call *call, const char *name)
{
	return json_string_value(json_object_get(call->json, name));
}

/* done is due in the loop's next turn. */
static void
call_end_soon(struct call *call)
{
	call->ended = true;
	loop_timer_set(call->timer, clock_monotonic_ms());
}

static void
call_end(struct call *call)
{
	loop_timer_set(call->timer, 0);
	call->done(call->arg);
}

/*
 * Puts the operation before the text. When an earlier try may have been done
 * and nothing definite has been heard since, the outcome is unsure.
 */
static void
call_fail(struct call *call, enum fault_cause cause, const char *text)
{
	const char *name = operation_row(call->operation)->name;

	if (call->lost > 0 &&
	    operation_row(call->operation)->effect != EFFECT_READ &&
	    (cause == CAUSE_CLOUD_UNAVAILABLE ||
		cause == CAUSE_CLOUD_THROTTLED || cause == CAUSE_CLOUD_ANSWER))
		cause = CAUSE_CLOUD_UNSURE;
	fault_set(&call->fault, cause, "%s%s%s: %s%s", name,
	    call->label[0] != '\0' ? " " : "", call->label, text,
	    cause == CAUSE_CLOUD_UNSURE ? " (it may have been done)" : "");
	text_copy(call->fault.request_id, sizeof(call->fault.request_id),
	    call->request_id);
}

/* There are credentials, or there will be none. */
static void
call_keyed(void *arg, const struct fault *fault)
{
	struct call *call = arg;

	if (fault == NULL) {
		call_queue(call);
		return;
	}
	call_fail(call, fault->cause, fault->text);
	call_end(call);
}

/*
 * Joins the queue of the operation, or before that the queue for credentials;
 * the timer watches the deadline.
 */
static void
call_queue(struct call *call)
{
	loop_timer_set(call->timer, call->deadline_ms);
	if (!keyring_usable(&call->account->keyring)) {
		call->keys_turn.ready = call_keyed;
		call->keys_turn.arg = call;
		keyring_wait(&call->account->keyring, &call->keys_turn);
		return;
	}
	call->turn.granted = call_granted;
	call->turn.arg = call;
	pacer_wait(&call->account->pace->pacer, call->operation, &call->turn);
	account_pace(call->account);
}

void
call_send(struct call *call, void (*done)(void *arg), void *arg)
{
	call->done = done;
	call->arg = arg;
	if (call->target.failed || call->query.failed)
		fault_set(&call->fault, CAUSE_INTERNAL,
		    "%s: the request is too long",
		    operation_row(call->operation)->name);
	if (call->fault.cause != CAUSE_NONE)
		call_end_soon(call);
	else
		call_queue(call);
}

static void
call_granted(void *arg)
{
	struct call *call = arg;
	struct fault fault = {0};

	memset(&call->error, 0, sizeof(call->error));
	loop_timer_set(call->timer, 0);
	/* To libcurl a time-out of 0 means none. */
	if (clock_remaining_ms(call->deadline_ms) == 0) {
		call_fail(call, CAUSE_DEADLINE, "the deadline has passed");
		call_end_soon(call);
		return;
	}
	/* They ended while it waited for its turn. */
	if (!keyring_usable(&call->account->keyring)) {
		call_queue(call);
		return;
	}
	call->tries++;
	if (call_transmit(call, call_answered, &fault) == -1) {
		call_fail(call, fault.cause, fault.text);
		call_end_soon(call);
		return;
	}
	call->caller->in_flight++;
	call->caller->calls++;
	call->caller->changed(call->caller->arg);
}

/* The timer: a fault is to be told, a deadline has come, or a delay ended. */
static void
call_due(void *arg)
{
	struct call *call = arg;
	struct fault fault = {0};
	char text[160];

	if (call->ended) {
		call_end(call);
		return;
	}
	if (call->keys_turn.keyring != NULL) {
		keyring_fault(call->keys_turn.keyring, &fault);
		keyring_leave(&call->keys_turn);
		call_fail(call, fault.cause, fault.text);
		call_end(call);
		return;
	}
	pacer_leave(&call->turn);
	if (clock_remaining_ms(call->deadline_ms) > 0) {
		call_queue(call);
		return;
	}
	snprintf(text, sizeof(text),
	    "no turn until the deadline: the calls that wait are more than "
	    "the station's share of AWS's quota");
	call_fail(call, CAUSE_CLOUD_THROTTLED, text);
	call_end(call);
}

/*
 * Waits and queues again, or ends with the fault that is set when tries or
 * time are spent.
 */
static void
call_repeat(struct call *call, int64_t base_ms)
{
	int64_t most_ms = base_ms, delay_ms;

	for (uint32_t i = 1; i < call->tries && most_ms < DELAY_MOST_MS; i++)
		most_ms *= 2;
	delay_ms = jitter_ms(most_ms < DELAY_MOST_MS ? most_ms : DELAY_MOST_MS);
	if (call->tries >= CALL_TRIES_MAX ||
	    clock_remaining_ms(call->deadline_ms) <=
		delay_ms + DEADLINE_LEAST_MS) {
		call_end(call);
		return;
	}
	log_debug("%s; try %" PRIu32 " in %" PRId64 " ms", call->fault.text,
	    call->tries + 1, delay_ms);
	fault_clear(&call->fault);
	loop_timer_set(call->timer, clock_deadline(delay_ms));
}

/* Trouble on the way or at AWS: was it done? */
static void
call_troubled(
    struct call *call, enum fault_cause cause, const char *text, bool sent)
{
	enum operation_effect effect = operation_row(call->operation)->effect;
	struct caller *caller = call->caller;

	caller->failures++;
	text_copy(caller->failure, sizeof(caller->failure), text);
	if (sent)
		call->lost++;
	call_fail(call, cause, text);
	if (sent && effect == EFFECT_ONCE)
		call_end(call);
	else
		call_repeat(call, DELAY_NETWORK_MS);
}

static void
call_refused(struct call *call)
{
	struct caller *caller = call->caller;
	struct account *account = call->account;
	struct aws_error *error = &call->error;
	char text[400];

	snprintf(text, sizeof(text), "%s%s%s (HTTP %ld)",
	    error->name[0] != '\0' ? error->name : "refused",
	    error->message[0] != '\0' ? ": " : "", error->message,
	    call->exchange.status);
	if (error->remedy == AWS_REMEDY_AGAIN) {
		call_troubled(call, error->cause, text, true);
		return;
	}
	caller->failures = 0;
	if (error->cause != CAUSE_CLOUD_CREDENTIALS)
		keyring_worked(&account->keyring, call->generation);
	call_fail(call, error->cause, text);
	switch (error->remedy) {
	case AWS_REMEDY_SLOWER:
		caller->throttled++;
		caller->throttled_ms = clock_monotonic_ms();
		pacer_throttled(&account->pace->pacer, call->operation,
		    clock_monotonic_us());
		call_repeat(call, DELAY_THROTTLED_MS);
		return;
	case AWS_REMEDY_CLOCK:
		if (account_clock_refuses(account, call->skew_ms)) {
			log_warning("the clock is %" PRId64 " s off AWS's",
			    -account->skew_ms / 1000);
			call_repeat(call, 1);
			return;
		}
		break;
	case AWS_REMEDY_KEYS:
		keyring_refused(&account->keyring, call->generation);
		if (call->tries < CALL_TRIES_MAX) {
			fault_clear(&call->fault);
			call_queue(call);
			return;
		}
		break;
	case AWS_REMEDY_SETTLE:
		if (call->settles && call->tries < SETTLE_TRIES_MAX) {
			call_repeat(call, DELAY_SETTLE_MS);
			return;
		}
		break;
	case AWS_REMEDY_NONE:
	case AWS_REMEDY_AGAIN:
		break;
	}
	call_end(call);
}

static void
call_succeeded(struct call *call)
{
	const struct operation_row *row = operation_row(call->operation);
	const struct buf *body = &call->exchange.body;
	json_error_t error;

	call->caller->failures = 0;
	keyring_worked(&call->account->keyring, call->generation);
	pacer_succeeded(
	    &call->account->pace->pacer, call->operation, clock_monotonic_us());
	if (row->service == SERVICE_IOT && body->len > 0) {
		call->json = json_loadb(
		    body->data, body->len, JSON_REJECT_DUPLICATES, &error);
		if (!json_is_object(call->json)) {
			if (row->effect == EFFECT_ONCE)
				call->lost++;
			call_fail(call, CAUSE_CLOUD_ANSWER,
			    "the answer is not a JSON object");
			call_end(call);
			return;
		}
	}
	/* Of an operation that leaves what one call leaves, all is known. */
	call->lost = 0;
	call_end(call);
}

static void
call_answered(void *arg)
{
	struct call *call = arg;
	struct http_exchange *exchange = &call->exchange;
	struct caller *caller = call->caller;

	caller->in_flight--;
	account_clock(call->account, exchange->date_wall_ms);
	text_copy(
	    call->request_id, sizeof(call->request_id), exchange->request_id);
	if (exchange->fault.cause != CAUSE_NONE) {
		if (exchange->final) {
			caller->failures++;
			text_copy(caller->failure, sizeof(caller->failure),
			    exchange->fault.text);
			call->lost += exchange->sent;
			call_fail(
			    call, exchange->fault.cause, exchange->fault.text);
			call_end(call);
		} else {
			call_troubled(call, exchange->fault.cause,
			    exchange->fault.text, exchange->sent);
		}
	} else if (exchange->status >= 200 && exchange->status < 300) {
		call_succeeded(call);
	} else {
		aws_error_read(&call->error, exchange->status,
		    exchange->error_type[0] != '\0' ? exchange->error_type
						    : NULL,
		    exchange->body.len > 0 ? exchange->body.data : "",
		    exchange->body.len);
		if (call->request_id[0] == '\0')
			text_copy(call->request_id, sizeof(call->request_id),
			    call->error.request_id);
		call_refused(call);
	}
	caller->changed(caller->arg);
}
