/*
 * Pattern `certificate-readback`: the unit left its maker with a key and a
 * certificate, which AWS shall know: RegisterCertificate under the lot's CA,
 * or RegisterCertificateWithoutCA. It is registered INACTIVE.
 *
 * AWS knows a certificate by its bytes, so a repeat makes no other: it is
 * refused as existing, and then the station looks whose it is.
 */
#include "cloud/pattern.h"

#include "base/buf.h"
#include "cloud/holder.h"
#include "cloud/issue.h"

static void
readback_take(struct task *task)
{
	issue_take(
	    task, task->certificate_id, task->request.issue.request, NULL);
}

static void
readback_vanished(struct task *task)
{
	struct fault fault = {0};

	fault_set(&fault, CAUSE_CLOUD_UNSURE,
	    "certificate %s exists already, AWS says, and then that it does "
	    "not",
	    task->certificate_id);
	issue_fail(task, &fault);
}

static void
readback_registered(struct task *task)
{
	const struct call *call = &task->call;
	const char *id = call_text(call, "certificateId");
	struct fault fault = {0};

	if (call_refused_as(call, "ResourceAlreadyExists")) {
		holder_check(task, readback_take, readback_vanished);
	} else if (call->fault.cause != CAUSE_NONE) {
		issue_fail_call(task);
	} else if (!text_equal(id, task->certificate_id)) {
		fault_set(&fault, CAUSE_CLOUD_ANSWER,
		    "certificate %s was registered under the id %s",
		    task->certificate_id, id != NULL ? id : "(none)");
		issue_fail(task, &fault);
	} else {
		readback_take(task);
	}
}

static void
readback_ask(struct task *task)
{
	const char *authority = task->lot->image->readback_ca;
	struct call *call = &task->call;
	json_t *body = json_pack("{s:s,s:s}", "certificatePem",
	    task->request.issue.request, "status", "INACTIVE");

	call_start(call, task->lot->account,
	    authority[0] != '\0' ? OPERATION_REGISTER_CERTIFICATE
				 : OPERATION_REGISTER_CERTIFICATE_WITHOUT_CA,
	    NULL);
	if (authority[0] != '\0')
		json_object_set_new(
		    body, "caCertificatePem", json_string(authority));
	call_body(call, body);
	task_call(task, readback_registered);
}

void
readback_issue_start(struct task *task)
{
	if (!issue_check_certificate(task))
		return;
	if (text_equal(task->request.issue.known_id, task->certificate_id))
		readback_take(task);
	else
		readback_ask(task);
}
