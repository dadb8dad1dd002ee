/*
 * Undoing what is ours of a certificate.
 *
 * Rights go first: INACTIVE, then the thing and the policy are detached,
 * then it is deleted. What is attached besides is not the station's; then
 * AWS refuses the deletion, and so does the answer. Absence is success at
 * every step.
 *
 * A certificate that the lot's own CA has signed stays, REVOKED: once it is
 * deleted, the unit that holds it would be registered again when it connects.
 */
#include "cloud/pattern.h"

#include <string.h>

#include "base/buf.h"
#include "pki/certificate.h"

enum {
	DISCARD_CLOCK_MARGIN_MS = 16 * 60000
};

static void discard_next(struct task *task);

/* True when the step is done: carried out, or there was nothing to do. */
static bool
undone(struct task *task)
{
	return call_refused_as(&task->call, "ResourceNotFound") ||
	       !task_failed(task);
}

static const char *
discard_id(const struct task *task)
{
	return task->lookup.id[task->rounds];
}

static void
certificate_deleted(struct task *task)
{
	if (!undone(task))
		return;
	task->rounds++;
	discard_next(task);
}

static void
certificate_delete(struct task *task)
{
	call_start(&task->call, task->lot->account,
	    OPERATION_DELETE_CERTIFICATE, discard_id(task));
	/* A template's policies are not known by name here. They go with the
	 * certificate; one that is attached to a thing stays all the same. */
	if (task->lot->image->policy[0] == '\0')
		call_query(&task->call, "forceDelete", "true");
	/* Detaching is asynchronous: seconds may pass until it is seen. */
	call_settles(&task->call);
	task_call(task, certificate_deleted);
}

static void
policy_detached(struct task *task)
{
	if (undone(task))
		certificate_delete(task);
}

static void
policy_detach(struct task *task)
{
	const char *policy = task->lot->image->policy;
	char arn[256];

	if (policy[0] == '\0') {
		certificate_delete(task);
		return;
	}
	account_certificate_arn(
	    task->lot->account, discard_id(task), arn, sizeof(arn));
	call_start(
	    &task->call, task->lot->account, OPERATION_DETACH_POLICY, policy);
	call_body(&task->call, json_pack("{s:s}", "target", arn));
	task_call(task, policy_detached);
}

static void
thing_detached(struct task *task)
{
	if (undone(task))
		policy_detach(task);
}

static void
thing_detach(struct task *task)
{
	char arn[256];

	if (task->request.discard.thing[0] == '\0') {
		policy_detach(task);
		return;
	}
	account_certificate_arn(
	    task->lot->account, discard_id(task), arn, sizeof(arn));
	call_start(&task->call, task->lot->account,
	    OPERATION_DETACH_THING_PRINCIPAL, task->request.discard.thing);
	call_principal(&task->call, arn);
	task_call(task, thing_detached);
}

static void
certificate_deactivated(struct task *task)
{
	if (call_refused_as(&task->call, "ResourceNotFound")) {
		task->rounds++;
		discard_next(task);
		return;
	}
	if (task_failed(task))
		return;
	text_copy(task->answer.cloud.cloud_state,
	    sizeof(task->answer.cloud.cloud_state), "DELETED");
	thing_detach(task);
}

/* One certificate after the other; behind the last one the answer. */
static void
discard_next(struct task *task)
{
	if (task->rounds >= task->lookup.found) {
		task_answer(task);
		return;
	}
	call_start(&task->call, task->lot->account,
	    OPERATION_UPDATE_CERTIFICATE, discard_id(task));
	call_query(&task->call, "newStatus", "INACTIVE");
	task_call(task, certificate_deactivated);
}

static void
discard_found(struct task *task)
{
	struct lookup *lookup = &task->lookup;

	/* Found ones go in any case, but only a complete scan may say that
	 * there is none. */
	if (lookup->found == 0 && lookup->fault.cause != CAUSE_NONE)
		task_fail(task, &lookup->fault);
	else
		discard_next(task);
}

/* ---- a certificate of the lot's own CA ---- */

static void revoke_register(struct task *task);

static void
revoked(struct task *task)
{
	if (call_refused_as(&task->call, "ResourceNotFound") &&
	    task->rounds == 0) {
		revoke_register(task);
		return;
	}
	if (task_failed(task))
		return;
	text_copy(task->answer.cloud.cloud_state,
	    sizeof(task->answer.cloud.cloud_state), "REVOKED");
	task_answer(task);
}

static void
revoke_update(struct task *task)
{
	call_start(&task->call, task->lot->account,
	    OPERATION_UPDATE_CERTIFICATE, task->certificate_id);
	call_query(&task->call, "newStatus", "REVOKED");
	if (task->rounds > 0)
		call_settles(&task->call);
	task_call(task, revoked);
}

static void
revoke_registered(struct task *task)
{
	/* Its unit may have connected just now: AWS has registered it then. */
	if (call_refused_as(&task->call, "ResourceAlreadyExists") ||
	    !task_failed(task))
		revoke_update(task);
}

/* It never connected: AWS learns of it, so that it stays refused. */
static void
revoke_register(struct task *task)
{
	struct call *call = &task->call;

	task->rounds++;
	call_start(
	    call, task->lot->account, OPERATION_REGISTER_CERTIFICATE, NULL);
	call_body(
	    call, json_pack("{s:s,s:s,s:s}", "certificatePem",
		      task->request.discard.revoke, "caCertificatePem",
		      task->lot->image->ca.certificate, "status", "INACTIVE"));
	task_call(task, revoke_registered);
}

static void
revoke_start(struct task *task)
{
	const struct message_discard *discard = &task->request.discard;
	struct certificate certificate;
	struct fault fault = {0};

	if (certificate_parse(discard->revoke, strlen(discard->revoke),
		CAUSE_INTERNAL, &certificate, &fault) == 0 &&
	    discard->certificate_id[0] != '\0' &&
	    strcmp(certificate.id, discard->certificate_id) != 0)
		fault_set(&fault, CAUSE_INTERNAL,
		    "certificate %s is to be revoked under the id %s",
		    certificate.id, discard->certificate_id);
	if (fault.cause != CAUSE_NONE) {
		task_fail(task, &fault);
		return;
	}
	text_copy(
	    task->certificate_id, sizeof(task->certificate_id), certificate.id);
	revoke_update(task);
}

/* ---- MESSAGE_DISCARD ---- */

void
discard_start(struct task *task)
{
	const struct message_discard *discard = &task->request.discard;
	struct lookup *lookup = &task->lookup;
	struct fault fault = {0};

	task->rounds = 0;
	if (discard->revoke[0] != '\0') {
		revoke_start(task);
		return;
	}
	text_copy(task->answer.cloud.cloud_state,
	    sizeof(task->answer.cloud.cloud_state), "ABSENT");
	if (discard->certificate_id[0] != '\0' &&
	    strcmp(discard->certificate_id, discard->keep_id) == 0) {
		fault_set(&fault, CAUSE_INTERNAL,
		    "certificate %s is to be kept and to be discarded",
		    discard->keep_id);
		task_fail(task, &fault);
		return;
	}
	if (discard->certificate_id[0] != '\0') {
		text_copy(
		    lookup->id[0], CERTIFICATE_ID_LEN, discard->certificate_id);
		lookup->found = 1;
		discard_next(task);
		return;
	}
	lookup->spki = discard->spki;
	lookup->keep_id = discard->keep_id;
	lookup->found_max = LOOKUP_FOUND_MAX;
	/* The station's clock may have been off when the time was noted, as
	 * far as AWS takes signatures. */
	if (discard->since_wall_ms > DISCARD_CLOCK_MARGIN_MS)
		lookup->since_wall_ms =
		    discard->since_wall_ms - DISCARD_CLOCK_MARGIN_MS;
	lookup_start(task, discard_found);
}
