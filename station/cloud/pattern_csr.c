/*
 * Pattern `csr`: the unit has made its own key and asks for a certificate.
 *
 * CreateCertificateFromCsr makes another certificate at every call; issue.h
 * says what becomes of lost answers. What it makes is INACTIVE.
 */
#include "cloud/pattern.h"

#include <jansson.h>

#include "cloud/issue.h"

static void csr_ask(struct task *task);

static void
csr_found(struct task *task)
{
	issue_take(task, task->lookup.id[0], task->lookup.certificate, NULL);
}

static void
csr_answered(struct task *task)
{
	const struct call *call = &task->call;
	const char *id, *pem, *arn;
	struct fault fault = {0};

	task->stray += call->lost;
	if (call->lost > 0 && task->rounds < ISSUES_MAX) {
		issue_look_lost(task, csr_found, csr_ask);
		return;
	}
	if (call->fault.cause != CAUSE_NONE) {
		issue_fail_call(task);
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
csr_ask(struct task *task)
{
	struct call *call = &task->call;

	task->rounds++;
	call_start(call, task->lot->account,
	    OPERATION_CREATE_CERTIFICATE_FROM_CSR, NULL);
	call_query(call, "setAsActive", "false");
	call_body(call, json_pack("{s:s}", "certificateSigningRequest",
			    task->request.issue.request));
	task_call(task, csr_answered);
}

void
csr_issue_start(struct task *task)
{
	const struct message_issue *issue = &task->request.issue;

	if (!issue_check_csr(task))
		return;
	if (issue->known_id[0] != '\0')
		issue_take(
		    task, issue->known_id, issue->known_certificate, NULL);
	else if (issue->look_up)
		issue_look_earlier(task, csr_found, csr_ask);
	else
		csr_ask(task);
}
