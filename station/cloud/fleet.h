/*
 * Fleet provisioning over MQTT ("Device provisioning MQTT API", AWS IoT Core
 * developer guide) with one claim: requests, their answers, and the
 * connection below them. pattern_proxy.c asks in a unit's name.
 *
 * The connection is opened when a request waits, and opened anew, with
 * growing pauses, as long as one does. It stays up while it lasts.
 *
 * Answers carry nothing that names their request. So one request an operation
 * is under way at a time, an answer is held against what the request was for,
 * and a request that is not answered in time takes the connection along, as
 * soon as the other one on it has its answer: AWS answers on the connection
 * that asked, so what comes late arrives nowhere. Requests keep to the
 * station's share of AWS's quota by the account's pacer.
 */
#ifndef CLOUD_FLEET_H
#define CLOUD_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/loop.h"
#include "cloud/account.h"
#include "cloud/call.h"
#include "cloud/fleet_answer.h"
#include "cloud/vault_pair.h"
#include "lot/lot.h"
#include "pki/key.h"

struct fleet; /* opaque */

/* All borrowed for the fleet's life; the certificate for its opening only. */
struct fleet_claim {
	struct caller *caller; /* loop, and the counts for the board */
	struct account *account;
	struct vault_pair *vault;
	const struct lot_image *lot; /* endpoint, root CA, template */
	const char *station;
	const char *certificate; /* PEM, of the claim */
	struct vault_key key;	 /* that belongs to it */
	int64_t end_ms;		 /* of the claim, monotonic; 0: it has none */
};

/* Opens nothing yet but the TLS context; null with BAD_LOT or INTERNAL. */
struct fleet *fleet_open(const struct fleet_claim *, struct fault *);
/* Requests that are under way end without done. Null is fine. */
void fleet_close(struct fleet *);
/* The claim lasts that long; true for one that has no end. */
bool fleet_lasts(const struct fleet *, int64_t until_ms);
/* Nothing waits for it. */
bool fleet_is_idle(const struct fleet *);
/* The claim is an attempt's own. */
bool fleet_is_of(const struct fleet *, uint64_t attempt);

/* Zero at first; embedded in the caller's struct. */
struct fleet_request {
	/* what to ask */
	enum fleet_operation operation;
	struct secret body;  /* the JSON payload; owned */
	struct digest spki;  /* FLEET_CREATE_FROM_CSR: the request's key */
	const char *thing;   /* FLEET_PROVISION: borrowed */
	int64_t deadline_ms; /* monotonic */

	/*
	 * What came of it. Without a fault the answer is there, accepted. It
	 * may have been carried out when the cause is CLOUD_UNSURE, and it was
	 * when it is CLOUD_ANSWER or CLOUD_CONFLICT.
	 */
	struct fault fault;
	struct fleet_answer *answer; /* in locked memory, owned */

	/* fleet.c's own */
	struct fleet *fleet;
	struct fleet_request *next;
	enum fleet_step {
		FLEET_IDLE,
		FLEET_WAITING, /* for a connection, its turn, or a pause */
		FLEET_SENT,
		FLEET_ENDED, /* done is due */
	} step;
	int64_t pause_ms;  /* WAITING: not before */
	int64_t answer_ms; /* SENT: no longer than until */
	uint32_t throttled;
	struct pacer_turn turn;
	struct secret memory; /* of the answer */
	void (*done)(void *arg);
	void *arg;
};

/*
 * Puts the payload into the request's body; -1 with INTERNAL. Takes the
 * object, which may be null (out of memory).
 */
int fleet_request_body(struct fleet_request *, json_t *, struct fault *);
/* Sends it; done(arg) is called from the loop, never from within. */
void fleet_send(
    struct fleet *, struct fleet_request *, void (*done)(void *arg), void *arg);
/* Withdraws it wherever it is, and wipes it; a zero one is fine. */
void fleet_request_end(struct fleet_request *);

#endif
