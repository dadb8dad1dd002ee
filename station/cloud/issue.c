#include "cloud/issue.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cloud/pattern.h"
#include "lot/plan.h"
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
};

/* ---- what the request brings ---- */

bool
issue_check_csr(struct task *task)
{
	const struct message_issue *issue = &task->request.issue;
	struct fault fault = {0};
	struct csr csr;

	if (csr_check(issue->request, strlen(issue->request), issue->serial,
		CSR_KEY_ANY, &csr, &fault) == 0 &&
	    memcmp(&csr.spki, &issue->spki, sizeof(csr.spki)) != 0)
		fault_set(&fault, CAUSE_CSR_KEY,
		    "the request of %s is for another key than was announced",
		    issue->serial);
	if (fault.cause == CAUSE_NONE)
		return true;
	task_fail(task, &fault);
	return false;
}

bool
issue_check_certificate(struct task *task)
{
	const struct message_issue *issue = &task->request.issue;
	struct certificate certificate;
	struct fault fault = {0};

	if (certificate_parse(issue->request, strlen(issue->request),
		CAUSE_CSR_INVALID, &certificate, &fault) == 0 &&
	    !certificate_has_key(&certificate, &issue->spki))
		fault_set(&fault, CAUSE_CSR_KEY,
		    "the certificate of %s is for another key than was "
		    "announced",
		    issue->serial);
	if (fault.cause == CAUSE_NONE) {
		text_copy(task->certificate_id, sizeof(task->certificate_id),
		    certificate.id);
		return true;
	}
	task_fail(task, &fault);
	return false;
}

/* ---- ends ---- */

void
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

void
issue_fail_call(struct task *task)
{
	struct fault fault = task->call.fault;

	issue_fail(task, &fault);
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

static int
answer_fill(struct task *task, const char *id, const char *pem, const char *arn)
{
	struct message_issue_done *done = &task->answer.issue;

	if (text_copy(done->certificate_id, sizeof(done->certificate_id), id) ==
		-1 ||
	    text_copy(done->certificate, sizeof(done->certificate), pem) == -1)
		return -1;
	if (arn == NULL)
		return account_certificate_arn(
		    task->lot->account, id, done->arn, sizeof(done->arn));
	return text_copy(done->arn, sizeof(done->arn), arn);
}

void
issue_take(struct task *task, const char *id, const char *pem, const char *arn)
{
	struct message_issue_done *done = &task->answer.issue;
	struct fault fault = {0};

	if (certificate_judge(task, id, pem, &fault) == 0 &&
	    answer_fill(task, id, pem, arn) == -1)
		fault_set(&fault, CAUSE_CLOUD_ANSWER,
		    "certificate %s or its ARN is too long", id);
	if (fault.cause != CAUSE_NONE) {
		issue_fail(task, &fault);
		return;
	}
	text_copy(done->cloud_state, sizeof(done->cloud_state),
	    task->lot->image->activate_at_issue ? "ACTIVE" : "INACTIVE");
	done->stray = task->stray;
	task_answer(task);
}

/* ---- what became of it ---- */

static void issue_look_again(struct task *task);

static void
issue_looked(struct task *task)
{
	struct lookup *lookup = &task->lookup;

	if (lookup->found > 0) {
		/* One of the calls that were lost made this one. */
		task->stray -= task->stray > 0;
		task->found(task);
	} else if (lookup->fault.cause != CAUSE_NONE) {
		issue_fail(task, &lookup->fault);
	} else if (++task->lookups < LOOKUPS_MAX) {
		task_later(task, LOOKUP_PAUSE_MS, issue_look_again);
	} else {
		task->absent(task);
	}
}

static void
issue_look_again(struct task *task)
{
	lookup_start(task, issue_looked);
}

void
issue_look(struct task *task, int64_t since_wall_ms,
    void (*found)(struct task *), void (*absent)(struct task *))
{
	struct lookup *lookup = &task->lookup;

	task->found = found;
	task->absent = absent;
	task->lookups = 0;
	lookup->spki = task->request.issue.spki;
	lookup->since_wall_ms = since_wall_ms;
	lookup->keep_id = NULL;
	lookup->active = task->lot->image->activate_at_issue != 0;
	lookup->pages_max = LOOKUP_PAGES_MAX;
	lookup->found_max = 1;
	lookup_start(task, issue_looked);
}

void
issue_look_lost(struct task *task, void (*found)(struct task *),
    void (*absent)(struct task *))
{
	/* What was looked for before is older still. */
	int64_t since_wall_ms = task->lookup.since_wall_ms;

	if (since_wall_ms == 0 && task->lookups == 0)
		since_wall_ms =
		    account_wall_ms(task->lot->account) - LOST_MARGIN_MS;
	issue_look(task, since_wall_ms, found, absent);
}

void
issue_look_earlier(struct task *task, void (*found)(struct task *),
    void (*absent)(struct task *))
{
	int64_t since_wall_ms = task->request.issue.since_wall_ms;

	issue_look(task,
	    since_wall_ms > EARLIER_MARGIN_MS
		? since_wall_ms - EARLIER_MARGIN_MS
		: 0,
	    found, absent);
}

/* ---- MESSAGE_ISSUE ---- */

void
issue_start(struct task *task)
{
	const struct lot_image *lot = task->lot->image;
	struct fault fault = {0};

	if (plan_is_proxy(lot)) {
		proxy_issue_start(task);
	} else if (lot->pattern == PATTERN_CSR) {
		csr_issue_start(task);
	} else if (lot->pattern == PATTERN_REGISTER_THING) {
		register_issue_start(task);
	} else if (lot->pattern == PATTERN_READBACK) {
		readback_issue_start(task);
	} else {
		/* jitp and jitr are signed by the vault, bulk is answered
		 * from the ledger. */
		fault_set(&fault, CAUSE_INTERNAL,
		    "lot %s: with pattern %s the cloud issues no certificate",
		    lot->name, pattern_name((enum pattern)lot->pattern));
		task_fail(task, &fault);
	}
}
