/*
 * Connections of the ending `proxy`: one a lot with the lot's claim, or one
 * for each unit that is at work, with a claim that AWS makes for it.
 */
#include "cloud/pattern_proxy.h"

#include <stdlib.h>

#include "base/clock.h"
#include "cloud/cloud.h"
#include "cloud/issue.h"
#include "cloud/pattern.h"

enum {
	/* A claim of five minutes is not begun with when less is left. */
	CLAIM_REST_MS = 30000,
	FLEETS_MAX = SLOTS_MAX,
};

/* A lot's: one with its own claim, or one for each unit's. */
struct fleet_set {
	struct fleet *fleets[FLEETS_MAX];
};

void
proxy_close(struct fleet_set *set)
{
	if (set == NULL)
		return;
	for (size_t i = 0; i < FLEETS_MAX; i++)
		fleet_close(set->fleets[i]);
	free(set);
}

static void
proxy_free(void *state)
{
	struct proxy *proxy = state;

	fleet_request_end(&proxy->request);
	free(proxy);
}

bool
proxy_keep(struct task *task)
{
	return task_keep(task, sizeof(struct proxy), proxy_free);
}

struct proxy *
proxy_of(const struct task *task)
{
	return task->state;
}

void
proxy_fail(struct task *task, const struct fault *fault)
{
	if (task->header.type == MESSAGE_ISSUE)
		issue_fail(task, fault);
	else
		task_fail(task, fault);
}

uint32_t
proxy_lot_index(const struct task *task)
{
	return task->header.type == MESSAGE_ISSUE ? task->request.issue.lot
						  : task->request.bind.lot;
}

bool
proxy_claim_is_own(const struct task *task)
{
	return task->lot->image->pattern == PATTERN_TRUSTED_USER;
}

/* A place in the lot's set, or null: all are at work. */
static struct fleet **
fleet_place(struct fleet_set *set)
{
	int64_t now_ms = clock_monotonic_ms();
	struct fleet **idle = NULL;

	for (size_t i = 0; i < FLEETS_MAX; i++) {
		if (set->fleets[i] == NULL)
			return &set->fleets[i];
		/* Rather one whose claim is over than one of a unit that is
		 * being written. */
		if (fleet_is_idle(set->fleets[i]) &&
		    (idle == NULL || fleet_lasts(*idle, now_ms)))
			idle = &set->fleets[i];
	}
	if (idle != NULL) {
		fleet_close(*idle);
		*idle = NULL;
	}
	return idle;
}

static int
fleet_add(struct task *task, const char *certificate, int64_t end_ms,
    struct fault *fault)
{
	struct cloud_lot *lot = task->lot;
	struct fleet_claim claim = {.caller = &task->cloud->caller,
	    .account = lot->account,
	    .vault = &task->cloud->vault,
	    .lot = lot->image,
	    .station = task->station,
	    .certificate = certificate,
	    .key = {.lot = proxy_lot_index(task),
		.deposit = proxy_claim_is_own(task),
		.attempt = task->header.attempt},
	    .end_ms = end_ms};
	struct fleet **place;

	if (lot->fleets == NULL)
		lot->fleets = calloc(1, sizeof(*lot->fleets));
	if (lot->fleets == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	place = fleet_place(lot->fleets);
	if (place == NULL)
		return fault_set(fault, CAUSE_CLOUD_THROTTLED,
		    "%d claims are at work already", FLEETS_MAX);
	*place = fleet_open(&claim, fault);
	proxy_of(task)->fleet = *place;
	return *place == NULL ? -1 : 0;
}

/* The fleet of the task's attempt, or the lot's; null: there is none. */
static struct fleet **
fleet_find(const struct task *task)
{
	struct fleet_set *set = task->lot->fleets;

	for (size_t i = 0; set != NULL && i < FLEETS_MAX; i++) {
		struct fleet *fleet = set->fleets[i];

		if (fleet != NULL &&
		    (!proxy_claim_is_own(task) ||
			fleet_is_of(fleet, task->header.attempt)))
			return &set->fleets[i];
	}
	return NULL;
}

void
proxy_fleet_end(struct task *task)
{
	struct fleet **place = fleet_find(task);

	if (place == NULL)
		return;
	fleet_request_end(&proxy_of(task)->request);
	fleet_close(*place);
	*place = NULL;
	proxy_of(task)->fleet = NULL;
}

static void
claim_made(struct task *task)
{
	struct fault fault = task->call.fault;
	struct claim claim;
	int64_t rest_ms = 0;

	if (fault.cause == CAUSE_NONE &&
	    claim_read(task, &claim, &fault) == 0) {
		rest_ms =
		    claim.expires_wall_ms - account_wall_ms(task->lot->account);
		if (rest_ms < CLAIM_REST_MS)
			fault_set(&fault, CAUSE_CLOUD_ANSWER,
			    "CreateProvisioningClaim: the claim's end is %lld "
			    "s away",
			    (long long)(rest_ms / 1000));
		else if (vault_pair_deposit(&task->cloud->vault,
			     proxy_lot_index(task), task->header.attempt,
			     claim.key, claim.key_len, claim.certificate,
			     &fault) == 0)
			fleet_add(task, claim.certificate,
			    clock_deadline(rest_ms), &fault);
	}
	claim_forget(task);
	if (fault.cause != CAUSE_NONE)
		proxy_fail(task, &fault);
	else
		proxy_of(task)->next(task);
}

void
proxy_fleet_get(struct task *task, void (*next)(struct task *))
{
	struct proxy *proxy = proxy_of(task);
	struct fleet **place = fleet_find(task);
	struct fault fault = {0};

	proxy->next = next;
	if (place != NULL &&
	    fleet_lasts(*place, clock_deadline(CLAIM_REST_MS))) {
		proxy->fleet = *place;
	} else if (proxy_claim_is_own(task)) {
		proxy_fleet_end(task);
		claim_make(task, claim_made);
		return;
	} else if (fleet_add(task, task->lot->image->claim_certificate, 0,
		       &fault) == -1) {
		proxy_fail(task, &fault);
		return;
	}
	next(task);
}

static void
fleet_answered(void *arg)
{
	struct task *task = arg;

	proxy_of(task)->next(task);
}

void
proxy_ask(struct task *task, json_t *body, void (*next)(struct task *))
{
	struct proxy *proxy = proxy_of(task);
	struct fault fault = {0};

	proxy->request.deadline_ms = task->call.deadline_ms;
	proxy->asked_ms = clock_monotonic_ms();
	proxy->next = next;
	if (fleet_request_body(&proxy->request, body, &fault) == -1)
		proxy_fail(task, &fault);
	else
		fleet_send(proxy->fleet, &proxy->request, fleet_answered, task);
}
