/*
 * What the files of a fleet share: fleet.c (opening, the turn of the loop),
 * fleet_request.c (requests and their answers) and fleet_link.c (the
 * connection). Nobody else includes it.
 */
#ifndef CLOUD_FLEET_PARTS_H
#define CLOUD_FLEET_PARTS_H

#include "cloud/fleet.h"
#include "cloud/mqtt.h"
#include "cloud/prove.h"

enum {
	FLEET_ANSWERS = 2 /* topics of an operation: accepted, rejected */
};

struct fleet {
	struct fleet_claim claim;
	struct prover prover;
	struct mqtt_tls tls;
	uint16_t port;
	char client_id[MQTT_CLIENT_ID_LEN];
	char topics[FLEET_OPERATION_COUNT][MQTT_TOPIC_LEN];
	char answers[FLEET_OPERATION_COUNT * FLEET_ANSWERS][MQTT_TOPIC_LEN];
	const char *subscribed[FLEET_OPERATION_COUNT * FLEET_ANSWERS];
	struct loop_timer *timer; /* fleet_turn */
	struct fleet_request *head;
	char last_thing[THING_LEN]; /* that was provisioned */

	struct mqtt *mqtt;
	bool up;
	bool draining; /* to be closed when nothing is under way */
	bool served;   /* an answer has come, with this claim */
	uint32_t failures, refusals; /* connections, in a row */
	int64_t retry_ms;	     /* not before */
	char why[200];		     /* the last one ended; or empty */
};

/* Uniform in 0..most, where most starts at first and doubles each time. */
int64_t fleet_pause(int64_t first_ms, int64_t most_ms, uint32_t times);
/* The next turn comes at once: what waits is looked at. */
void fleet_stir(struct fleet *);

/* ---- fleet_request.c ---- */

void fleet_request_step(struct fleet_request *, enum fleet_step);
void fleet_request_fail(struct fleet_request *, enum fault_cause,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Joins the pacer's queue when its operation is free. */
void fleet_request_start(struct fleet_request *);
/* The one of that operation that awaits its answer, or null. */
struct fleet_request *
fleet_under_way(const struct fleet *, enum fleet_operation);
/* Of struct mqtt_events; arg is the fleet. */
void
fleet_message(void *arg, const char *topic, const char *payload, size_t len);

/* ---- fleet_link.c ---- */

/* The topics, for the lot's template and who makes the keys; BAD_LOT. */
int fleet_link_prepare(struct fleet *, struct fault *);
/* Opens, closes or uses the connection; when to look again, or 0. */
int64_t fleet_link_turn(struct fleet *, int64_t now_ms);
/* Nothing more is asked on it; it is closed when all is answered. */
void fleet_link_drain(struct fleet *);
void fleet_link_close(struct fleet *);

#endif
