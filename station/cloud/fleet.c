#include "cloud/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cloud/fleet_parts.h"
#include "cloud/jitter.h"

void
fleet_stir(struct fleet *fleet)
{
	loop_timer_set(fleet->timer, clock_monotonic_ms());
}

int64_t
fleet_pause(int64_t first_ms, int64_t most_ms, uint32_t times)
{
	int64_t span_ms = first_ms;

	for (uint32_t i = 1; i < times && span_ms < most_ms; i++)
		span_ms *= 2;
	return jitter_ms(span_ms < most_ms ? span_ms : most_ms);
}

/* ---- the turn ---- */

/* Ends it when its time is over; returns when to look at it again. */
static int64_t
request_watch(struct fleet_request *request, int64_t now_ms)
{
	struct fleet *fleet = request->fleet;
	bool sent = request->step == FLEET_SENT;
	int64_t end_ms = request->deadline_ms;

	if (sent && request->answer_ms < end_ms)
		end_ms = request->answer_ms;
	if (request->step == FLEET_ENDED)
		return now_ms;
	if (end_ms > now_ms)
		return !sent && request->pause_ms > now_ms &&
			       request->pause_ms < end_ms
			   ? request->pause_ms
			   : end_ms;
	if (sent) {
		fleet_link_drain(fleet);
		fleet_request_fail(
		    request, CAUSE_CLOUD_UNSURE, "no answer in time");
	} else if (fleet->up) {
		fleet_request_fail(request, CAUSE_CLOUD_THROTTLED,
		    "no turn until the deadline: the units that wait are more "
		    "than the station's share of AWS's quota");
	} else {
		fleet_request_fail(request, CAUSE_CLOUD_UNAVAILABLE,
		    "no connection to %s until the deadline%s%s",
		    fleet->tls.host, fleet->why[0] != '\0' ? ": " : "",
		    fleet->why);
	}
	return now_ms;
}

/* Returns when the first of them is to be looked at, or 0. */
static int64_t
requests_watch(struct fleet *fleet, int64_t now_ms)
{
	int64_t next_ms = 0, at_ms;

	for (struct fleet_request *request = fleet->head; request != NULL;
	     request = request->next) {
		at_ms = request_watch(request, now_ms);
		if (next_ms == 0 || at_ms < next_ms)
			next_ms = at_ms;
	}
	return next_ms;
}

static void
request_unlink(struct fleet_request *request)
{
	struct fleet_request **at = &request->fleet->head;

	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
	request->next = NULL;
}

/* Does what is due; the last thing is one call of done, which may close. */
static void
fleet_turn(void *arg)
{
	struct fleet *fleet = arg;
	int64_t now_ms = clock_monotonic_ms(), next_ms, retry_ms;
	struct fleet_request *request;

	/* What is sent in this turn has its time-out in the same one. */
	retry_ms = fleet_link_turn(fleet, now_ms);
	next_ms = requests_watch(fleet, now_ms);
	if (fleet->mqtt != NULL && fleet->claim.end_ms > now_ms &&
	    (next_ms == 0 || fleet->claim.end_ms < next_ms))
		next_ms = fleet->claim.end_ms;
	if (retry_ms != 0 && (next_ms == 0 || retry_ms < next_ms))
		next_ms = retry_ms;
	for (request = fleet->head;
	     request != NULL && request->step != FLEET_ENDED;
	     request = request->next)
		;
	loop_timer_set(fleet->timer, request != NULL ? now_ms : next_ms);
	if (request == NULL)
		return;
	request_unlink(request);
	request->step = FLEET_IDLE;
	request->done(request->arg);
}

/* ---- requests from outside ---- */

int
fleet_request_body(
    struct fleet_request *request, json_t *object, struct fault *fault)
{
	size_t size = object == NULL ? 0 : json_dumpb(object, NULL, 0, 0);
	int result = -1;

	secret_free(&request->body);
	if (size == 0)
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
	else if (secret_alloc(&request->body, size, fault) == 0)
		result = 0;
	if (result == 0)
		request->body.len =
		    json_dumpb(object, request->body.data, size, 0);
	json_decref(object);
	return result;
}

void
fleet_send(struct fleet *fleet, struct fleet_request *request,
    void (*done)(void *arg), void *arg)
{
	struct fleet_request **at = &fleet->head;

	while (*at != NULL)
		at = &(*at)->next;
	*at = request;
	request->next = NULL;
	request->fleet = fleet;
	request->step = FLEET_WAITING;
	request->throttled = 0;
	request->pause_ms = request->answer_ms = 0;
	request->done = done;
	request->arg = arg;
	fault_clear(&request->fault);
	fleet_stir(fleet);
}

void
fleet_request_end(struct fleet_request *request)
{
	if (request->step != FLEET_IDLE) {
		/* Its answer would be taken for the next one's. */
		if (request->step == FLEET_SENT)
			fleet_link_drain(request->fleet);
		fleet_request_step(request, FLEET_IDLE);
		request_unlink(request);
		fleet_stir(request->fleet);
	}
	secret_free(&request->body);
	secret_free(&request->memory);
	request->answer = NULL;
}

/* ---- the fleet ---- */

struct fleet *
fleet_open(const struct fleet_claim *claim, struct fault *fault)
{
	struct fleet *fleet = calloc(1, sizeof(*fleet));
	char host[MQTT_HOST_LEN];

	if (fleet == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		return NULL;
	}
	fleet->claim = *claim;
	fleet->claim.certificate = NULL;
	fleet->prover.vault = claim->vault;
	fleet->prover.key = claim->key;
	fleet->port = lot_endpoint(claim->lot, host, sizeof(host));
	fleet->timer = loop_timer(claim->caller->loop, fleet_turn, fleet);
	if (fleet->timer == NULL)
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
	else if (fleet_link_prepare(fleet, fault) == 0 &&
		 mqtt_tls_open(&fleet->tls, host, fleet->port,
		     claim->lot->root_ca, claim->certificate, &fleet->prover,
		     fault) == 0)
		return fleet;
	fleet_close(fleet);
	return NULL;
}

void
fleet_close(struct fleet *fleet)
{
	if (fleet == NULL)
		return;
	while (fleet->head != NULL)
		fleet_request_end(fleet->head);
	fleet_link_close(fleet);
	mqtt_tls_close(&fleet->tls);
	if (fleet->timer != NULL)
		loop_timer_free(fleet->claim.caller->loop, fleet->timer);
	free(fleet);
}

bool
fleet_lasts(const struct fleet *fleet, int64_t until_ms)
{
	return fleet->claim.end_ms == 0 || until_ms < fleet->claim.end_ms;
}

bool
fleet_is_idle(const struct fleet *fleet)
{
	return fleet->head == NULL;
}

bool
fleet_is_of(const struct fleet *fleet, uint64_t attempt)
{
	return fleet->claim.key.deposit && fleet->claim.key.attempt == attempt;
}
