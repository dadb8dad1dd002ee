/*
 * Pattern `register-thing`: thing, certificate and policy come from the
 * lot's own template in one call. The template names the certificate by the
 * unit's request (csr), by the id of one that was issued before (id), or by
 * the certificate itself, which the unit holds already (pem).
 *
 * With a request every call issues another certificate, and AWS documents no
 * roll-back of one that fails on its way: after a lost answer or such a
 * failure a certificate may exist. The station looks for it by the unit's
 * key (issue.h). What is there, and what the ledger knows, is registered by
 * its id, with the template rewritten to it; such a call may be repeated.
 */
#include "cloud/pattern.h"

#include <string.h>

#include "base/buf.h"
#include "cloud/holder.h"
#include "cloud/issue.h"
#include "lot/template.h"
#include "pki/certificate.h"

enum {
	REPEAT_PAUSE_MS = 500
};

static void register_ask(struct task *task);
static void register_by_id(struct task *task);
static void register_lost(struct task *task);

/* ---- the call ---- */

/* Null, and a fault, when a parameter's rule gives no value. */
static json_t *
parameters_make(
    struct task *task, const struct lot_unit *unit, struct fault *fault)
{
	json_t *parameters = NULL;
	struct buf text;

	/* A request, a certificate and what a manifest may give besides. */
	buf_init(&text, (size_t)PARAMETERS_MAX * 2 * PARAMETER_VALUE_LEN);
	if (lot_parameters_write(task->lot->image, unit, &text, fault) == 0) {
		parameters = json_loadb(text.data, text.len, 0, NULL);
		if (parameters == NULL)
			fault_set(fault, CAUSE_INTERNAL,
			    "the template's parameters are not JSON");
	}
	buf_free(&text);
	return parameters;
}

/* The call for a unit with what is known of it; false: a fault is set. */
static bool
register_prepare(struct task *task, const struct lot_unit *unit,
    const char *body, struct fault *fault)
{
	struct call *call = &task->call;
	json_t *parameters = parameters_make(task, unit, fault);

	if (parameters == NULL)
		return false;
	call_start(call, task->lot->account, OPERATION_REGISTER_THING, NULL);
	call_body(call, json_pack("{s:s,s:o}", "templateBody", body,
			    "parameters", parameters));
	return true;
}

/*
 * Holds the answer against the unit: its thing, and a certificate that is
 * its own. Null with a fault, or the certificate's ARN in arn.
 */
static const char *
register_judge(const struct task *task, const char *thing,
    struct certificate *certificate, char arn[256], struct fault *fault)
{
	const struct call *call = &task->call;
	const char *pem = call_text(call, "certificatePem");
	json_t *arns = json_object_get(call->json, "resourceArns"), *value;
	const char *name;

	if (pem == NULL) {
		fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "RegisterThing: the answer lacks certificatePem");
		return NULL;
	}
	if (certificate_parse(
		pem, strlen(pem), CAUSE_CLOUD_ANSWER, certificate, fault) == -1)
		return NULL;
	account_certificate_arn(task->lot->account, certificate->id, arn, 256);
	json_object_foreach (arns, name, value) {
		const char *text = json_string_value(value);
		const char *made =
		    text != NULL ? strstr(text, ":thing/") : NULL;

		if (made == NULL ||
		    strcmp(made + strlen(":thing/"), thing) == 0)
			continue;
		fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "RegisterThing made thing %s instead of %s: the "
		    "template's ThingName is not the lot's thing.name",
		    made + strlen(":thing/"), thing);
		return NULL;
	}
	return pem;
}

/* True when AWS may have gone half the way before it gave up. */
static bool
register_broke(const struct call *call)
{
	return call_refused_as(call, "ResourceRegistrationFailure") ||
	       call_refused_as(call, "ConflictingResourceUpdate");
}

/* True when another call may get a better answer: it is unknown what this
 * one did, or it met another update of the same thing. */
static bool
register_passes(const struct call *call)
{
	return call->lost > 0 ||
	       call_refused_as(call, "ConflictingResourceUpdate");
}

/* ---- MESSAGE_ISSUE ---- */

static void
register_take(struct task *task)
{
	struct certificate certificate;
	struct fault fault = {0};
	char arn[256];
	const char *pem = register_judge(
	    task, task->request.issue.thing, &certificate, arn, &fault);

	if (pem == NULL) {
		task->stray += task->lot->image->form == FORM_CSR;
		issue_fail(task, &fault);
		return;
	}
	issue_take(task, certificate.id, pem, arn);
}

/* The certificate is not what was in the way. */
static void
register_refused(struct task *task)
{
	struct fault fault = task->lookup.fault;

	issue_fail(task, &fault);
}

static void
register_answered(struct task *task)
{
	const struct call *call = &task->call;
	bool csr = task->lot->image->form == FORM_CSR;

	if (csr)
		task->stray += call->lost + register_broke(call);
	if (register_passes(call) && task->rounds < ISSUES_MAX) {
		register_lost(task);
	} else if (!csr && register_broke(call) && task->rounds == 1) {
		/* It may be that AWS knows this certificate already. */
		task->lookup.fault = call->fault;
		holder_check(task, register_by_id, register_refused);
	} else if (call->fault.cause != CAUSE_NONE) {
		issue_fail_call(task);
	} else {
		register_take(task);
	}
}

static void
register_found(struct task *task)
{
	text_copy(task->certificate_id, sizeof(task->certificate_id),
	    task->lookup.id[0]);
	/* Until a call answers for it, the ledger does not know it. */
	task->stray++;
	register_by_id(task);
}

static void
register_lost(struct task *task)
{
	if (task->lot->image->form == FORM_CSR)
		issue_look_lost(task, register_found, register_ask);
	else
		holder_check(task, register_by_id, register_ask);
}

static void
register_ask(struct task *task)
{
	const struct message_issue *issue = &task->request.issue;
	const struct lot_image *lot = task->lot->image;
	struct lot_unit unit = {.station = task->station,
	    .serial = issue->serial,
	    .mac = issue->mac,
	    .extra = issue->extra};
	struct fault fault = {0};

	task->rounds++;
	if (lot->form == FORM_CSR) {
		unit.csr = issue->request;
	} else {
		unit.certificate_pem = issue->request;
		unit.certificate_id = task->certificate_id;
	}
	if (register_prepare(task, &unit, lot->template_body, &fault))
		task_call(task, register_answered);
	else
		issue_fail(task, &fault);
}

static void
register_request_start(struct task *task)
{
	const struct message_issue *issue = &task->request.issue;

	if (!issue_check_csr(task))
		return;
	if (issue->known_id[0] != '\0') {
		text_copy(task->certificate_id, sizeof(task->certificate_id),
		    issue->known_id);
		register_by_id(task);
	} else if (issue->look_up) {
		issue_look_earlier(task, register_found, register_ask);
	} else {
		register_ask(task);
	}
}

static void
register_certificate_start(struct task *task)
{
	const struct message_issue *issue = &task->request.issue;

	if (!issue_check_certificate(task))
		return;
	if (text_equal(issue->known_id, task->certificate_id))
		register_by_id(task);
	else if (issue->look_up)
		holder_check(task, register_by_id, register_ask);
	else
		register_ask(task);
}

void
register_issue_start(struct task *task)
{
	switch ((enum certificate_form)task->lot->image->form) {
	case FORM_CSR:
		register_request_start(task);
		break;
	case FORM_PEM:
		register_certificate_start(task);
		break;
	default:
		/* What it makes is given to RegisterThing by MESSAGE_BIND. */
		csr_issue_start(task);
		break;
	}
}

/* ---- by the id of a certificate that exists ---- */

static void
register_id_answered(struct task *task)
{
	struct call *call = &task->call;

	if (register_passes(call) && task->rounds < ISSUES_MAX) {
		task_later(task, REPEAT_PAUSE_MS, register_by_id);
		return;
	}
	if (task->header.type == MESSAGE_BIND) {
		task->bound(task);
	} else if (call->fault.cause != CAUSE_NONE) {
		issue_fail_call(task);
	} else {
		/* The one that was found is what the answer tells of. */
		task->stray -= task->stray > 0;
		register_take(task);
	}
}

static void
register_by_id(struct task *task)
{
	const struct lot_image *lot = task->lot->image;
	const struct message_issue *issue = &task->request.issue;
	const struct message_register *bind = &task->request.bind;
	bool binds = task->header.type == MESSAGE_BIND;
	struct lot_unit unit = {.station = task->station,
	    .serial = binds ? bind->serial : issue->serial,
	    .mac = binds ? bind->mac : issue->mac,
	    .extra = binds ? bind->extra : issue->extra,
	    .certificate_id = task->certificate_id};
	const char *body = lot->template_body;
	char rewritten[TEMPLATE_BODY_LEN];
	struct fault fault = {0};

	task->rounds++;
	if (lot->form != FORM_ID) {
		body = rewritten;
		if (template_by_certificate_id(lot->template_body,
			task->certificate_id, rewritten, &fault) == -1)
			goto fail;
	}
	if (register_prepare(task, &unit, body, &fault)) {
		task_call(task, register_id_answered);
		return;
	}
fail:
	if (binds)
		task_fail(task, &fault);
	else
		issue_fail(task, &fault);
}

/* ---- MESSAGE_BIND ---- */

static void
register_bound(struct task *task)
{
	const char *thing = task->request.bind.thing;
	struct certificate certificate;
	struct fault fault = {0};
	char arn[256];

	if (task_failed(task))
		return;
	if (register_judge(task, thing, &certificate, arn, &fault) != NULL &&
	    strcmp(certificate.id, task->certificate_id) != 0)
		fault_set(&fault, CAUSE_CLOUD_ANSWER,
		    "RegisterThing took certificate %s instead of %s",
		    certificate.id, task->certificate_id);
	if (fault.cause != CAUSE_NONE) {
		task_fail(task, &fault);
		return;
	}
	text_copy(task->answer.cloud.cloud_state,
	    sizeof(task->answer.cloud.cloud_state), "INACTIVE");
	task_answer(task);
}

void
register_bind_start(struct task *task)
{
	text_copy(task->certificate_id, sizeof(task->certificate_id),
	    task->request.bind.certificate_id);
	task->bound = register_bound;
	register_by_id(task);
}
