/* The connection below fleet provisioning, as fleet.h says. */
#include "cloud/fleet_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/clock.h"

enum {
	TRIES_MAX = 6, /* in a row, for requests that wait */
	/* AWS also refuses by ending the connection: so often among these
	 * tries it is no accident. Fewer might be a policy that was attached
	 * a moment ago. */
	REFUSALS_MAX = 4,
	RECONNECT_FIRST_MS = 250,
	RECONNECT_MOST_MS = 30000,
};

/* "%s" stands for the template's name. */
static const char *const topics[FLEET_OPERATION_COUNT] = {
    [FLEET_CREATE_FROM_CSR] = "$aws/certificates/create-from-csr/json",
    [FLEET_CREATE_KEYS] = "$aws/certificates/create/json",
    [FLEET_PROVISION] = "$aws/provisioning-templates/%s/provision/json",
};

/* Who makes the keys decides which certificates are asked for. */
static bool
operation_is_used(const struct lot_image *lot, enum fleet_operation operation)
{
	return operation == FLEET_PROVISION ||
	       (operation == FLEET_CREATE_KEYS) == (lot->keys_by_cloud != 0);
}

static void
topic_write(char to[MQTT_TOPIC_LEN], const char *pattern, const char *template)
{
	const char *mark = strstr(pattern, "%s");

	if (mark == NULL)
		snprintf(to, MQTT_TOPIC_LEN, "%s", pattern);
	else
		snprintf(to, MQTT_TOPIC_LEN, "%.*s%s%s", (int)(mark - pattern),
		    pattern, template, mark + 2);
}

int
fleet_link_prepare(struct fleet *fleet, struct fault *fault)
{
	const struct lot_image *lot = fleet->claim.lot;
	static const char *const ends[] = {"accepted", "rejected"};
	size_t count = 0;

	if (lot->template_name[0] == '\0')
		return fault_set(fault, CAUSE_BAD_LOT,
		    "lot %s names no provisioning template", lot->name);
	for (int i = 0; i < FLEET_OPERATION_COUNT; i++) {
		topic_write(fleet->topics[i], topics[i], lot->template_name);
		for (int j = 0; j < FLEET_ANSWERS; j++) {
			char *to = fleet->answers[i * FLEET_ANSWERS + j];

			snprintf(to, MQTT_TOPIC_LEN, "%.240s/%s",
			    fleet->topics[i], ends[j]);
			if (operation_is_used(lot, (enum fleet_operation)i))
				fleet->subscribed[count++] = to;
		}
	}
	return 0;
}

static bool
fleet_is_quiet(const struct fleet *fleet)
{
	for (int i = 0; i < FLEET_OPERATION_COUNT; i++)
		if (fleet_under_way(fleet, (enum fleet_operation)i) != NULL)
			return false;
	return true;
}

static bool
fleet_has_waiting(const struct fleet *fleet)
{
	const struct fleet_request *request = fleet->head;

	while (request != NULL && request->step != FLEET_WAITING)
		request = request->next;
	return request != NULL;
}

static void
fleet_up(void *arg)
{
	struct fleet *fleet = arg;

	fleet->up = true;
	fleet->why[0] = '\0';
	fleet_stir(fleet);
}

/* Who waits for a turn waits for it anew, on the next connection. */
static void
turns_leave(struct fleet *fleet)
{
	for (struct fleet_request *request = fleet->head; request != NULL;
	     request = request->next)
		pacer_leave(&request->turn);
}

void
fleet_link_drain(struct fleet *fleet)
{
	turns_leave(fleet);
	fleet->draining = fleet->mqtt != NULL;
}

void
fleet_link_close(struct fleet *fleet)
{
	turns_leave(fleet);
	mqtt_close(fleet->mqtt);
	fleet->mqtt = NULL;
	fleet->up = fleet->draining = false;
}

/* What waits need not wait longer for a connection that does not come. */
static void
waiting_fail(struct fleet *fleet, const struct fault *fault)
{
	for (struct fleet_request *request = fleet->head; request != NULL;
	     request = request->next) {
		if (request->step != FLEET_WAITING)
			continue;
		request->fault = *fault;
		fleet_request_step(request, FLEET_ENDED);
	}
	fleet->failures = fleet->refusals = 0;
}

static void
fleet_down(void *arg, enum mqtt_stage stage, const struct fault *why)
{
	struct fleet *fleet = arg;
	struct fault fault = *why;

	/* TLS only says that there was no signature. */
	if (stage == MQTT_CONNECT && fleet->prover.fault.cause != CAUSE_NONE)
		fault = fleet->prover.fault;
	fleet_link_close(fleet);
	for (struct fleet_request *request = fleet->head; request != NULL;
	     request = request->next)
		if (request->step == FLEET_SENT)
			fleet_request_fail(request, CAUSE_CLOUD_UNSURE, "%s%s",
			    fault.text,
			    fleet->served ? ""
					  : " (does the claim's policy "
					    "allow iot:Publish?)");
	fleet->failures++;
	fleet->refusals += stage == MQTT_GREET || stage == MQTT_SUBSCRIBE;
	if (fleet->failures >= TRIES_MAX && fleet->refusals >= REFUSALS_MAX)
		fault.cause = CAUSE_CLOUD_DENIED;
	fleet->retry_ms = clock_deadline(fleet_pause(
	    RECONNECT_FIRST_MS, RECONNECT_MOST_MS, fleet->failures));
	(void)text_copy(fleet->why, sizeof(fleet->why), fault.text);
	if (fleet->failures >= TRIES_MAX ||
	    (fault.cause != CAUSE_CLOUD_UNAVAILABLE &&
		fault.cause != CAUSE_ROLE_DOWN))
		waiting_fail(fleet, &fault);
	fleet_stir(fleet);
}

/*
 * Another id each time: AWS ends the older of two connections with one id.
 */
static void
connection_open(struct fleet *fleet)
{
	static const struct mqtt_events events = {
	    .up = fleet_up, .down = fleet_down, .message = fleet_message};
	struct mqtt_target target = {.tls = &fleet->tls,
	    .port = fleet->port,
	    .client_id = fleet->client_id,
	    .topics = fleet->subscribed};
	struct fault fault = {0};
	uint64_t random = (uint64_t)clock_monotonic_us();

	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	snprintf(fleet->client_id, sizeof(fleet->client_id),
	    "%.48s-%.48s-%016" PRIx64, fleet->claim.station,
	    fleet->claim.lot->name, random);
	while (fleet->subscribed[target.topic_count] != NULL)
		target.topic_count++;
	fault_clear(&fleet->prover.fault);
	fleet->mqtt = mqtt_open(
	    fleet->claim.caller->loop, &target, &events, fleet, &fault);
	if (fleet->mqtt == NULL)
		waiting_fail(fleet, &fault);
}

/* Nothing more is begun with it. */
static void
claim_ended(struct fleet *fleet)
{
	struct fault fault = {0};

	fault_set(&fault, CAUSE_CLOUD_UNAVAILABLE,
	    "the claim has run out before its connection was of use");
	waiting_fail(fleet, &fault);
	fleet_link_drain(fleet);
}

int64_t
fleet_link_turn(struct fleet *fleet, int64_t now_ms)
{
	struct fleet_request *request;

	if (!fleet_lasts(fleet, now_ms))
		claim_ended(fleet);
	if (fleet->draining && fleet_is_quiet(fleet))
		fleet_link_close(fleet);
	if (fleet->draining)
		return 0;
	if (fleet->mqtt == NULL && fleet_has_waiting(fleet)) {
		if (fleet->retry_ms > now_ms)
			return fleet->retry_ms;
		connection_open(fleet);
	}
	if (!fleet->up)
		return 0;
	for (request = fleet->head; request != NULL; request = request->next)
		if (request->step == FLEET_WAITING &&
		    request->turn.bucket == NULL && request->pause_ms <= now_ms)
			fleet_request_start(request);
	return 0;
}
