/*
 * Pattern `csr`: the unit has made its own key and asks for a certificate.
 *
 * Issue: the request is checked once more, because the slot that brings it
 * may have been taken over by its device. CreateCertificateFromCsr makes
 * another certificate at every call, so it is never repeated blindly: when
 * its answer is lost, the station looks for a certificate of this key, twice
 * with a pause because lists lag behind writes, and only then issues again.
 * What may be left behind is INACTIVE, and the answer says how many there
 * may be.
 *
 * Bind: thing, policy, principal, groups; in this order a certificate has
 * rights only when its thing is known. It stays INACTIVE.
 */
#include "cloud/pattern.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cloud/thing.h"
#include "pki/certificate.h"
#include "pki/csr.h"

enum {
	LOOKUPS_MAX = 2,
	LOOKUP_PAUSE_MS = 1500,
	LOOKUP_PAGES_MAX = 40,
	/* How far AWS's and our sense of time may differ within one call. */
	LOST_MARGIN_MS = 120000,
	/* As far as AWS takes signatures: see MESSAGE_DISCARD. */
	EARLIER_MARGIN_MS = 16 * 60000,
	ISSUES_MAX = 3,
};

static void issue_ask(struct task *task);
static void issue_look(struct task *task);

/* ---- MESSAGE_ISSUE ---- */

/*
 * While an issue is unaccounted for, no fault is final: the ledger must keep
 * looking.
 */
static void
issue_fail(struct task *task, const struct fault *why)
{
	struct fault fault = *why;

	if (task->stray > 0 && fault.cause != CAUSE_CLOUD_UNSURE) {
		fault.cause = CAUSE_CLOUD_UNSURE;
		fault_prefix(&fault,
		    "%u certificate(s) may have been issued, then",
		    task->stray);
	}
	task->answer.issue.stray = task->stray;
	task_fail(task, &fault);
}

/* Is it a certificate for this key, under the id that its bytes give? */
static int
certificate_judge(const struct task *task, const char *id, const char *pem,
    struct fault *fault)
{
	struct certificate certificate;

	if (certificate_parse(pem, strlen(pem), CAUSE_CLOUD_ANSWER,
		&certificate, fault) == -1)
		return -1;
	if (!certificate_has_key(&certificate, &task->request.issue.spki))
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "certificate %s is for another key than the request's", id);
	if (strcmp(certificate.id, id) != 0)
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "certificate %s came under the id %s", certificate.id, id);
	return 0;
}

/* Answers with a certificate that exists. arn null: made from the id. */
static void
issue_take(struct task *task, const char *id, const char *pem, const char *arn)
{
	struct message_issue_done *done = &task->answer.issue;
	struct fault fault = {0};
	int fits;

	if (certificate_judge(task, id, pem, &fault) == -1) {
		issue_fail(task, &fault);
		return;
	}
	fits =
	    text_copy(done->certificate_id, sizeof(done->certificate_id), id) ==
		0 &&
	    text_copy(done->certificate, sizeof(done->certificate), pem) == 0;
	if (arn != NULL)
		fits =
		    fits && text_copy(done->arn, sizeof(done->arn), arn) == 0;
	else
		fits = fits && account_certificate_arn(task->lot->account, id,
				   done->arn, sizeof(done->arn)) == 0;
	if (!fits) {
		fault_set(&fault, CAUSE_CLOUD_ANSWER,
		    "certificate %s or its ARN is too long", id);
		issue_fail(task, &fault);
		return;
	}
	done->stray = task->stray;
	task_answer(task);
}

static void
issue_looked(struct task *task)
{
	struct lookup *lookup = &task->lookup;

	if (lookup->found > 0) {
		/* One of the calls that were lost made this one. */
		task->stray -= task->stray > 0;
		issue_take(task, lookup->id[0], lookup->certificate, NULL);
	} else if (lookup->fault.cause != CAUSE_NONE) {
		issue_fail(task, &lookup->fault);
	} else if (++task->lookups < LOOKUPS_MAX) {
		task_later(task, LOOKUP_PAUSE_MS, issue_look);
	} else {
		issue_ask(task);
	}
}

static void
issue_look(struct task *task)
{
	lookup_start(task, issue_looked);
}

static void
lookup_prepare(struct task *task, int64_t since_wall_ms)
{
	struct lookup *lookup = &task->lookup;

	task->lookups = 0;
	lookup->spki = task->request.issue.spki;
	lookup->since_wall_ms = since_wall_ms;
	lookup->keep_id = NULL;
	lookup->pages_max = LOOKUP_PAGES_MAX;
	lookup->found_max = 1;
}

static void
issue_answered(struct task *task)
{
	const struct call *call = &task->call;
	const char *id, *pem, *arn;
	struct fault fault = {0};

	task->stray += call->lost;
	if (call->lost > 0 && task->rounds < ISSUES_MAX) {
		if (task->lookup.since_wall_ms == 0)
			lookup_prepare(
			    task, account_wall_ms(task->lot->account) -
				      LOST_MARGIN_MS);
		task->lookups = 0;
		issue_look(task);
		return;
	}
	if (call->fault.cause != CAUSE_NONE) {
		issue_fail(task, &call->fault);
		return;
	}
	id = call_text(call, "certificateId");
	pem = call_text(call, "certificatePem");
	arn = call_text(call, "certificateArn");
	if (id == NULL || pem == NULL || arn == NULL) {
		fault_set(&fault, CAUSE_CLOUD_ANSWER,
		    "CreateCertificateFromCsr: the answer lacks "
		    "certificateId, certificatePem or certificateArn");
		task->stray++;
		issue_fail(task, &fault);
		return;
	}
	issue_take(task, id, pem, arn);
}

static void
issue_ask(struct task *task)
{
	struct call *call = &task->call;

	task->rounds++;
	call_start(call, task->lot->account,
	    OPERATION_CREATE_CERTIFICATE_FROM_CSR, NULL);
	call_query(call, "setAsActive", "false");
	call_body(call, json_pack("{s:s}", "certificateSigningRequest",
			    task->request.issue.request));
	task_call(task, issue_answered);
}

void
issue_start(struct task *task)
{
	const struct message_issue *issue = &task->request.issue;
	struct fault fault = {0};
	struct csr csr;

	if (csr_check(issue->request, strlen(issue->request), issue->serial,
		CSR_KEY_ANY, &csr, &fault) == -1) {
		task_fail(task, &fault);
		return;
	}
	if (memcmp(&csr.spki, &issue->spki, sizeof(csr.spki)) != 0) {
		fault_set(&fault, CAUSE_CSR_KEY,
		    "the request of %s is for another key than was announced",
		    issue->serial);
		task_fail(task, &fault);
		return;
	}
	if (issue->known_id[0] != '\0') {
		issue_take(
		    task, issue->known_id, issue->known_certificate, NULL);
	} else if (issue->look_up) {
		lookup_prepare(
		    task, issue->since_wall_ms > EARLIER_MARGIN_MS
			      ? issue->since_wall_ms - EARLIER_MARGIN_MS
			      : 0);
		issue_look(task);
	} else {
		issue_ask(task);
	}
}

/* ---- MESSAGE_BIND ---- */

static void
bound(struct task *task)
{
	text_copy(task->answer.cloud.cloud_state,
	    sizeof(task->answer.cloud.cloud_state), "INACTIVE");
	task_answer(task);
}

static void
principal_attached(struct task *task)
{
	if (!task_failed(task))
		thing_group(task, bound);
}

static void
principal_attach(struct task *task)
{
	call_start(&task->call, task->lot->account,
	    OPERATION_ATTACH_THING_PRINCIPAL, task->request.bind.thing);
	call_principal(&task->call, task->request.bind.arn);
	call_settles(&task->call);
	task_call(task, principal_attached);
}

static void
policy_attached(struct task *task)
{
	if (!task_failed(task))
		principal_attach(task);
}

static void
policy_attach(struct task *task)
{
	struct call *call = &task->call;

	call_start(call, task->lot->account, OPERATION_ATTACH_POLICY,
	    task->lot->image->policy);
	call_body(call, json_pack("{s:s}", "target", task->request.bind.arn));
	call_settles(call);
	task_call(task, policy_attached);
}

void
bind_start(struct task *task)
{
	struct message_register *bind = &task->request.bind;

	if (bind->arn[0] == '\0')
		account_certificate_arn(task->lot->account,
		    bind->certificate_id, bind->arn, sizeof(bind->arn));
	thing_make(task, true, policy_attach);
}
