/* Requests to fleet provisioning and their answers, as fleet.h says. */
#include "cloud/fleet_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

enum {
	/* A hook has five seconds of its own ("Pre-provisioning hooks"). */
	ANSWER_TIMEOUT_MS = 10000,
	THROTTLED_FIRST_MS = 500,
	THROTTLED_MOST_MS = 20000,
	THROTTLED_MAX = 12,
	STATUS_DENIED = 403,
	STATUS_FAILED = 500, /* and above: AWS's own trouble */
};

static const enum operation operations[FLEET_OPERATION_COUNT] = {
    [FLEET_CREATE_FROM_CSR] = OPERATION_MQTT_CREATE_CERTIFICATE_FROM_CSR,
    [FLEET_CREATE_KEYS] = OPERATION_MQTT_CREATE_KEYS_AND_CERTIFICATE,
    [FLEET_PROVISION] = OPERATION_MQTT_REGISTER_THING,
};

static const char *
request_name(const struct fleet_request *request)
{
	return operation_row(operations[request->operation])->name;
}

static struct pacer *
fleet_pacer(const struct fleet *fleet)
{
	return &fleet->claim.account->pace->pacer;
}

/* ---- requests ---- */

void
fleet_request_step(struct fleet_request *request, enum fleet_step step)
{
	struct caller *caller = request->fleet->claim.caller;
	bool sent = request->step == FLEET_SENT || step == FLEET_SENT;

	if (request->step == FLEET_SENT)
		caller->in_flight--;
	if (step == FLEET_SENT) {
		caller->in_flight++;
		caller->calls++;
	}
	pacer_leave(&request->turn);
	request->step = step;
	if (step == FLEET_ENDED)
		fleet_stir(request->fleet);
	/* Not of one that is withdrawn: the role may be ending. */
	if (sent && step != FLEET_IDLE)
		caller->changed(caller->arg);
}

void
fleet_request_fail(struct fleet_request *request, enum fault_cause cause,
    const char *format, ...)
{
	char text[sizeof(request->fault.text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fault_set(&request->fault, cause, "%s: %s%s", request_name(request),
	    text,
	    cause == CAUSE_CLOUD_UNSURE ? " (it may have been done)" : "");
	fleet_request_step(request, FLEET_ENDED);
}

struct fleet_request *
fleet_under_way(const struct fleet *fleet, enum fleet_operation operation)
{
	struct fleet_request *request = fleet->head;

	while (request != NULL &&
	       (request->step != FLEET_SENT || request->operation != operation))
		request = request->next;
	return request;
}

/* Its turn has come in the pacer. */
static void
request_granted(void *arg)
{
	struct fleet_request *request = arg;
	struct fleet *fleet = request->fleet;
	struct fault fault = {0};

	fleet_request_step(request, FLEET_SENT);
	request->answer_ms = clock_deadline(ANSWER_TIMEOUT_MS);
	fleet_stir(fleet);
	if (mqtt_publish(fleet->mqtt, fleet->topics[request->operation],
		request->body.data, request->body.len, &fault) == -1)
		fleet_request_fail(
		    request, CAUSE_CLOUD_UNSURE, "%s", fault.text);
}

void
fleet_request_start(struct fleet_request *request)
{
	struct fleet *fleet = request->fleet;
	struct pacer *pacer = fleet_pacer(fleet);

	for (const struct fleet_request *other = fleet->head; other != NULL;
	     other = other->next) {
		if (other->operation == request->operation &&
		    (other->step == FLEET_SENT || other->turn.bucket != NULL))
			return;
	}
	request->turn.granted = request_granted;
	request->turn.arg = request;
	pacer_wait(pacer, operations[request->operation], &request->turn);
	account_pace(fleet->claim.account);
}

/* ---- answers ---- */

/*
 * A call that took effect twice is answered twice, and the second answer comes
 * when the next request is under way. Keys that AWS made are good for any
 * unit, once; the others tell by what they name.
 */
static bool
answer_is_late(
    const struct fleet_request *request, const struct fleet_answer *answer)
{
	if (request->operation == FLEET_CREATE_FROM_CSR)
		return !certificate_has_key(&answer->made, &request->spki);
	return request->operation == FLEET_PROVISION &&
	       strcmp(answer->thing, request->thing) != 0 &&
	       strcmp(answer->thing, request->fleet->last_thing) == 0;
}

static void
answer_accepted(struct fleet_request *request)
{
	struct fleet *fleet = request->fleet;
	const char *thing = request->answer->thing;

	pacer_succeeded(fleet_pacer(fleet), operations[request->operation],
	    clock_monotonic_us());
	if (request->operation == FLEET_PROVISION) {
		text_copy(fleet->last_thing, sizeof(fleet->last_thing), thing);
		if (strcmp(thing, request->thing) != 0) {
			fleet_request_fail(request, CAUSE_CLOUD_CONFLICT,
			    "AWS took thing %s for %s; does the template name "
			    "things as the lot does?",
			    thing, request->thing);
			return;
		}
	}
	fleet_request_step(request, FLEET_ENDED);
}

static void
answer_rejected(struct fleet_request *request)
{
	struct fleet *fleet = request->fleet;
	const struct fleet_answer *answer = request->answer;
	struct caller *caller = fleet->claim.caller;
	enum fault_cause cause = CAUSE_CLOUD_REFUSED;

	if (answer->throttled) {
		caller->throttled++;
		caller->throttled_ms = clock_monotonic_ms();
		pacer_throttled(fleet_pacer(fleet),
		    operations[request->operation], clock_monotonic_us());
		request->pause_ms =
		    clock_deadline(fleet_pause(THROTTLED_FIRST_MS,
			THROTTLED_MOST_MS, ++request->throttled));
		if (request->throttled < THROTTLED_MAX &&
		    request->pause_ms < request->deadline_ms) {
			fleet_request_step(request, FLEET_WAITING);
			fleet_stir(fleet);
			return;
		}
		cause = CAUSE_CLOUD_THROTTLED;
	} else if (answer->status >= STATUS_FAILED) {
		cause = CAUSE_CLOUD_UNSURE;
	} else if (answer->status == STATUS_DENIED &&
		   request->operation != FLEET_PROVISION) {
		/* Of a unit it would be the hook's word on that unit. */
		cause = CAUSE_CLOUD_DENIED;
	}
	fleet_request_fail(request, cause, "%s: %s (status %d)",
	    answer->code[0] != '\0' ? answer->code : "rejected",
	    answer->message[0] != '\0' ? answer->message : "no reason given",
	    answer->status);
}

static void
answer_take(
    struct fleet_request *request, bool accepted, const char *text, size_t len)
{
	struct fleet *fleet = request->fleet;
	struct fault fault = {0};

	secret_free(&request->memory);
	if (secret_alloc(
		&request->memory, sizeof(struct fleet_answer), &fault) == -1) {
		fleet_request_fail(
		    request, CAUSE_CLOUD_UNSURE, "%s", fault.text);
		return;
	}
	request->answer = (void *)request->memory.data;
	if (fleet_answer_read(request->operation, accepted, text, len,
		request->answer, &fault) == -1) {
		fleet_request_fail(request, fault.cause, "%s", fault.text);
		return;
	}
	fleet->served = true;
	fleet->failures = fleet->refusals = 0;
	if (!accepted)
		answer_rejected(request);
	else if (answer_is_late(request, request->answer))
		log_warning(
		    "%s: an answer to an earlier request is passed over",
		    request_name(request));
	else
		answer_accepted(request);
}

void
fleet_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct fleet *fleet = arg;
	struct fleet_request *request;

	for (size_t i = 0; i < FLEET_OPERATION_COUNT * FLEET_ANSWERS; i++) {
		if (strcmp(topic, fleet->answers[i]) != 0)
			continue;
		request = fleet_under_way(
		    fleet, (enum fleet_operation)(i / FLEET_ANSWERS));
		if (request != NULL)
			answer_take(
			    request, i % FLEET_ANSWERS == 0, payload, len);
		else
			log_warning("%s: nobody waits for this answer", topic);
		return;
	}
}
