/*
 * Ending `proxy` of the patterns claim and trusted-user: the station does
 * fleet provisioning in the unit's name, over MQTT, with the lot's claim or
 * with one that AWS makes for the unit, and the vault proves it.
 *
 * Issue asks for a certificate, for the unit's request or with keys that AWS
 * makes; these go to the vault at once. A request whose answer is lost is
 * asked again without a look-up: what it may have made is of no use without
 * the ownership token that came with it, and AWS deletes it within the hour.
 *
 * Activate shows the token, by which the template makes thing, policy and
 * attachment and activates the certificate. When that answer is lost the
 * thing tells: once it has the certificate, it was done.
 */
#include "cloud/pattern_proxy.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cloud/cloud.h"
#include "cloud/fleet_token.h"
#include "cloud/issue.h"
#include "cloud/pattern.h"

enum {
	/* A token lasts an hour; less what a request may take. */
	TOKEN_LASTS_MS = 59 * 60000,
	ACTIVATIONS_MAX = 3, /* requests for one activation */
	LOOKS_MAX = 2,	     /* at a thing that may lag behind */
	LOOK_PAUSE_MS = 1500,
};

/* ---- MESSAGE_ISSUE ---- */

static void issue_connect(struct task *task);

/* The unit's key leaves for the vault; only its certificate is answered. */
static int
keys_take(
    struct task *task, const struct fleet_answer *answer, struct fault *fault)
{
	struct message_issue_done *done = &task->answer.issue;

	if (vault_pair_deposit(&task->cloud->vault, proxy_lot_index(task),
		task->header.attempt, answer->key, strlen(answer->key),
		answer->certificate, fault) == -1)
		return -1;
	text_copy(done->certificate_id, sizeof(done->certificate_id),
	    answer->made.id);
	text_copy(
	    done->certificate, sizeof(done->certificate), answer->certificate);
	text_copy(done->cloud_state, sizeof(done->cloud_state), "INACTIVE");
	done->stray = task->stray;
	return account_certificate_arn(
	    task->lot->account, answer->made.id, done->arn, sizeof(done->arn));
}

static void
certificate_take(struct task *task)
{
	struct proxy *proxy = proxy_of(task);
	const struct fleet_answer *answer = proxy->request.answer;
	bool keys = task->request.issue.kind == ISSUE_KEYS;
	struct fault fault = {0};

	if (fleet_token_keep(&task->cloud->tokens, answer->made.id,
		answer->token, proxy->asked_ms + TOKEN_LASTS_MS,
		&fault) == -1 ||
	    (keys && keys_take(task, answer, &fault) == -1)) {
		fleet_token_drop(task->cloud->tokens, answer->made.id);
		task->stray++;
		issue_fail(task, &fault);
		return;
	}
	if (!keys) {
		issue_take(task, answer->made.id, answer->certificate, NULL);
		return;
	}
	/* The vault keeps one key for an attempt: the unit's has taken the
	 * place of the claim's, and the activation makes another claim. */
	if (proxy_claim_is_own(task))
		proxy_fleet_end(task);
	task_answer(task);
}

static void
issue_answered(struct task *task)
{
	struct fault fault = proxy_of(task)->request.fault;

	if (fault.cause == CAUSE_NONE) {
		certificate_take(task);
		return;
	}
	task->stray += fault.cause == CAUSE_CLOUD_UNSURE ||
		       fault.cause == CAUSE_CLOUD_ANSWER;
	if (fault.cause == CAUSE_CLOUD_UNSURE && task->rounds < ISSUES_MAX &&
	    clock_remaining_ms(task->call.deadline_ms) > 0)
		issue_connect(task);
	else
		issue_fail(task, &fault);
}

static void
issue_ask(struct task *task)
{
	struct fleet_request *request = &proxy_of(task)->request;
	const struct message_issue *issue = &task->request.issue;

	task->rounds++;
	if (issue->kind == ISSUE_KEYS) {
		request->operation = FLEET_CREATE_KEYS;
		proxy_ask(task, json_object(), issue_answered);
		return;
	}
	request->operation = FLEET_CREATE_FROM_CSR;
	request->spki = issue->spki;
	proxy_ask(task,
	    json_pack("{s:s}", "certificateSigningRequest", issue->request),
	    issue_answered);
}

static void
issue_connect(struct task *task)
{
	proxy_fleet_get(task, issue_ask);
}

void
proxy_issue_start(struct task *task)
{
	const struct message_issue *issue = &task->request.issue;
	struct fault fault = {0};

	if ((issue->kind == ISSUE_KEYS) !=
	    (task->lot->image->keys_by_cloud != 0)) {
		fault_set(&fault, CAUSE_BAD_LOT,
		    "lot %s: keys of its units are made by %s",
		    task->lot->image->name,
		    issue->kind == ISSUE_KEYS ? "the device" : "AWS");
		task_fail(task, &fault);
		return;
	}
	if ((issue->kind != ISSUE_KEYS && !issue_check_csr(task)) ||
	    !proxy_keep(task))
		return;
	/* One that is known is as good as new while its token is here. */
	if (fleet_token_find(task->cloud->tokens, issue->known_id,
		clock_monotonic_ms()) != NULL) {
		issue_take(
		    task, issue->known_id, issue->known_certificate, NULL);
		return;
	}
	task->stray += issue->look_up != 0;
	issue_connect(task);
}

/* ---- MESSAGE_ACTIVATE ---- */

static void activate_ask(struct task *task);

static void
active(struct task *task)
{
	const char *id = task->request.bind.certificate_id;

	fleet_token_drop(task->cloud->tokens, id);
	if (proxy_claim_is_own(task)) {
		proxy_fleet_end(task);
		vault_pair_forget(&task->cloud->vault, proxy_lot_index(task),
		    task->header.attempt);
	}
	text_copy(task->answer.cloud.cloud_state,
	    sizeof(task->answer.cloud.cloud_state), "ACTIVE");
	task_answer(task);
}

static void
status_updated(struct task *task)
{
	if (!task_failed(task))
		active(task);
}

static void
status_described(struct task *task)
{
	const json_t *description, *status;

	if (task_failed(task))
		return;
	description =
	    json_object_get(task->call.json, "certificateDescription");
	status = json_object_get(description, "status");
	if (text_equal(json_string_value(status), "ACTIVE")) {
		active(task);
		return;
	}
	/* A template that says INACTIVE leaves this step to the station. */
	call_start(&task->call, task->lot->account,
	    OPERATION_UPDATE_CERTIFICATE, task->request.bind.certificate_id);
	call_query(&task->call, "newStatus", "ACTIVE");
	call_settles(&task->call);
	task_call(task, status_updated);
}

/* It is attached; is it ACTIVE? */
static void
status_describe(struct task *task)
{
	call_start(&task->call, task->lot->account,
	    OPERATION_DESCRIBE_CERTIFICATE, task->request.bind.certificate_id);
	call_settles(&task->call);
	task_call(task, status_described);
}

static bool
thing_has_certificate(const struct task *task)
{
	const json_t *list = json_object_get(task->call.json, "principals");
	const char *id = task->request.bind.certificate_id;
	const json_t *principal;
	char arn[256];
	size_t i;

	if (account_certificate_arn(task->lot->account, id, arn, sizeof(arn)) ==
	    -1)
		return false;
	json_array_foreach (list, i, principal)
		if (text_equal(json_string_value(principal), arn))
			return true;
	return false;
}

static void thing_look(struct task *task);

static void
thing_looked(struct task *task)
{
	struct proxy *proxy = proxy_of(task);
	struct fault fault = proxy->fault;
	const char *id = task->request.bind.certificate_id;

	if (task->call.fault.cause != CAUSE_NONE &&
	    !call_refused_as(&task->call, "ResourceNotFound")) {
		task_fail_call(task);
		return;
	}
	if (task->call.fault.cause == CAUSE_NONE &&
	    thing_has_certificate(task)) {
		status_describe(task);
	} else if (++proxy->looks < LOOKS_MAX) {
		task_later(task, LOOK_PAUSE_MS, thing_look);
	} else if (fault.cause == CAUSE_CLOUD_UNSURE &&
		   task->rounds < ACTIVATIONS_MAX &&
		   clock_remaining_ms(task->call.deadline_ms) > 0 &&
		   fleet_token_find(
		       task->cloud->tokens, id, clock_monotonic_ms()) != NULL) {
		proxy_fleet_get(task, activate_ask);
	} else {
		task_fail(task, &fault);
	}
}

/* Was it done? The thing knows, sooner or later: lists lag behind. */
static void
thing_look(struct task *task)
{
	call_start(&task->call, task->lot->account,
	    OPERATION_LIST_THING_PRINCIPALS, task->request.bind.thing);
	task_call(task, thing_looked);
}

static void
activate_doubt(struct task *task, const struct fault *fault)
{
	proxy_of(task)->fault = *fault;
	proxy_of(task)->looks = 0;
	thing_look(task);
}

static void
activate_answered(struct task *task)
{
	struct proxy *proxy = proxy_of(task);
	struct fault fault = proxy->request.fault;

	if (fault.cause == CAUSE_NONE)
		status_describe(task);
	else if (fault.cause == CAUSE_CLOUD_UNSURE ||
		 fault.cause == CAUSE_CLOUD_ANSWER ||
		 (task->rounds > 1 && fault.cause == CAUSE_CLOUD_REFUSED))
		/* A token that is spent is refused as well. */
		activate_doubt(task, &fault);
	else
		task_fail(task, &fault);
}

/* The lot's parameters for this unit; null with a fault. */
static json_t *
parameters_make(const struct task *task, struct fault *fault)
{
	const struct message_register *bind = &task->request.bind;
	const struct lot_unit unit = {.station = task->station,
	    .serial = bind->serial,
	    .mac = bind->mac,
	    .extra = bind->extra,
	    .certificate_id = bind->certificate_id};
	json_t *parameters = NULL;
	json_error_t error;
	struct buf text;

	buf_init(&text, PARAMETERS_MAX * 2 * PARAMETER_VALUE_LEN);
	if (lot_parameters_write(task->lot->image, &unit, &text, fault) == 0) {
		if (!text.failed && text.len > 0)
			parameters = json_loadb(text.data, text.len, 0, &error);
		if (parameters == NULL)
			fault_set(fault, CAUSE_INTERNAL,
			    "the template's parameters cannot be written");
	}
	buf_free(&text);
	return parameters;
}

static void
activate_ask(struct task *task)
{
	const struct message_register *bind = &task->request.bind;
	const char *token = fleet_token_find(
	    task->cloud->tokens, bind->certificate_id, clock_monotonic_ms());
	struct fault fault = {0};
	json_t *parameters;

	task->rounds++;
	if (token == NULL) {
		fault_set(&fault, CAUSE_TOKEN_LOST,
		    "certificate %s: the hour of its ownership token is over "
		    "and AWS deletes it; make the unit again",
		    bind->certificate_id);
		task_fail(task, &fault);
		return;
	}
	parameters = parameters_make(task, &fault);
	if (parameters == NULL) {
		task_fail(task, &fault);
		return;
	}
	proxy_of(task)->request.operation = FLEET_PROVISION;
	proxy_of(task)->request.thing = bind->thing;
	proxy_ask(task,
	    json_pack("{s:s, s:o}", "certificateOwnershipToken", token,
		"parameters", parameters),
	    activate_answered);
}

void
proxy_activate_start(struct task *task)
{
	const char *id = task->request.bind.certificate_id;
	struct fault fault = {0};

	if (!proxy_keep(task))
		return;
	if (fleet_token_find(task->cloud->tokens, id, clock_monotonic_ms()) !=
	    NULL) {
		proxy_fleet_get(task, activate_ask);
		return;
	}
	/* It may have been done before: a repeat changes nothing then. */
	task->rounds = ACTIVATIONS_MAX;
	fault_set(&fault, CAUSE_TOKEN_LOST,
	    "certificate %s cannot be activated: its ownership token is over "
	    "after an hour, or was lost when the cloud role started anew. AWS "
	    "deletes it; make the unit again",
	    id);
	activate_doubt(task, &fault);
}
