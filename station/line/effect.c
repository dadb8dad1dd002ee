/*
 * The effect of a flow. Where it comes from depends on the lot's plan
 * (lot/plan.h):
 *
 *	issue    the cloud; the vault or the hsm (jitp, jitr), behind a permit
 *	         of the cloud where the unit connects on the bench; the ledger
 *	         alone (bulk)
 *	handout  the vault, behind a permit (bench) and a claim of the unit's
 *	         own from the cloud (trusted-user)
 *	stage    nobody: the outcome is all
 *	others   the cloud
 */
#include "line/flow.h"

#include <string.h>

#include "base/clock.h"
#include "lot/plan.h"

enum {
	CLOUD_TIMEOUT_MS = 90000,
	/* A certificate is valid from a little before it is signed: the
	 * unit's clock may be behind. */
	SIGN_MARGIN_MS = 3600 * 1000,
	DAY_MS = 24 * 3600 * 1000,
};

/* True, and the flow goes on without the effect, when it was refused. */
static bool
effect_failed(struct attempt *attempt, struct message *answer)
{
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause == CAUSE_NONE)
		return false;
	effect_refused(attempt, &fault);
	return true;
}

static void
cloud_call(struct attempt *attempt, uint16_t type, int64_t timeout_ms,
    const void *body, size_t len, call_done *done)
{
	line_call(attempt->line, ROLE_CLOUD, type, attempt->id, timeout_ms,
	    body, len, NULL, 0, done, attempt);
}

/* Writes down a certificate that flow->issue_done holds. */
static void
issue_outcome(struct attempt *attempt)
{
	struct flow *flow = &attempt->flow;
	const struct message_issue_done *done = &flow->issue_done;
	struct message_outcome *outcome = outcome_new(flow);

	outcome->stray = done->stray;
	text_copy(outcome->certificate_id, sizeof(outcome->certificate_id),
	    done->certificate_id);
	text_copy(outcome->certificate, sizeof(outcome->certificate),
	    done->certificate);
	text_copy(outcome->arn, sizeof(outcome->arn), done->arn);
	text_copy(
	    outcome->request_id, sizeof(outcome->request_id), done->request_id);
	text_copy(outcome->cloud_state, sizeof(outcome->cloud_state),
	    done->cloud_state[0] != '\0' ? done->cloud_state : "INACTIVE");
	outcome_send(attempt, outcome_done);
}

static void
issue_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct flow *flow = &attempt->flow;

	if (effect_failed(attempt, answer))
		return;
	memcpy(&flow->issue_done, answer->body.bytes, sizeof(flow->issue_done));
	flow->issue_done.staged = 0;
	/* AWS hears of it at the unit's first connection. */
	if (plan_signs(attempt->lot->image))
		text_copy(flow->issue_done.cloud_state,
		    sizeof(flow->issue_done.cloud_state),
		    "AWAITING-CONNECTION");
	issue_outcome(attempt);
}

/* The certificate that the ledger knows for this unit and key. */
static void
issue_known(struct attempt *attempt)
{
	struct flow *flow = &attempt->flow;

	text_copy(flow->issue_done.certificate_id,
	    sizeof(flow->issue_done.certificate_id), flow->issue.known_id);
	text_copy(flow->issue_done.certificate,
	    sizeof(flow->issue_done.certificate),
	    flow->issue.known_certificate);
	text_copy(flow->issue_done.arn, sizeof(flow->issue_done.arn),
	    flow->known_arn);
	if (plan_signs(attempt->lot->image))
		text_copy(flow->issue_done.cloud_state,
		    sizeof(flow->issue_done.cloud_state),
		    "AWAITING-CONNECTION");
	issue_outcome(attempt);
}

/* The rules of the lot's subject become this unit's. */
static int
subject_expand(struct attempt *attempt, struct message_vault_sign *sign,
    struct fault *fault)
{
	const struct lot_image *lot = attempt->lot->image;
	uint32_t i;

	sign->part_count = lot->ca.part_count;
	for (i = 0; i < lot->ca.part_count; i++) {
		sign->parts[i] = lot->ca.parts[i];
		if (lot_expand(lot, attempt->line->config->station,
			lot->ca.parts[i].value, attempt->gate.serial,
			attempt->gate.mac, attempt->gate.extra,
			sign->parts[i].value, sizeof(sign->parts[i].value),
			fault) == -1)
			return -1;
	}
	return 0;
}

static void
issue_sign(struct attempt *attempt)
{
	const struct lot_image *lot = attempt->lot->image;
	const char *request = attempt->flow.issue.request;
	struct message_vault_sign sign;
	struct fault fault;
	bool token = strncmp(lot->ca.key, "pkcs11:", 7) == 0;

	fault_clear(&fault);
	memset(&sign, 0, sizeof(sign));
	sign.lot = attempt->lot->index;
	sign.from_wall_ms = clock_wall_ms() - SIGN_MARGIN_MS;
	sign.to_wall_ms =
	    clock_wall_ms() + (int64_t)lot->ca.valid_days * DAY_MS;
	text_copy(sign.serial, sizeof(sign.serial), attempt->gate.serial);
	if (text_copy(sign.csr, sizeof(sign.csr), request) == -1)
		fault_set(&fault, CAUSE_CSR_INVALID,
		    "serial %s: its certificate request has more than %d bytes",
		    attempt->gate.serial, CSR_LEN - 1);
	if (fault.cause != CAUSE_NONE ||
	    subject_expand(attempt, &sign, &fault) == -1) {
		effect_refused(attempt, &fault);
		return;
	}
	line_call(attempt->line, token ? ROLE_HSM : ROLE_VAULT,
	    MESSAGE_VAULT_SIGN, attempt->id, CLOUD_TIMEOUT_MS, &sign,
	    sizeof(sign), NULL, 0, issue_done, attempt);
}

static void
issue_permitted(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;

	if (!effect_failed(attempt, answer))
		issue_sign(attempt);
}

/* A unit that connects on the bench spends quota that no call of ours asks
 * for: the cloud's pace lets it through first. */
static void
permit_ask(struct attempt *attempt, call_done *done)
{
	struct message_permit permit = {.lot = attempt->lot->index};

	cloud_call(attempt, MESSAGE_PERMIT, CLOUD_TIMEOUT_MS, &permit,
	    sizeof(permit), done);
}

static void
issue_effect(struct attempt *attempt)
{
	const struct lot_image *lot = attempt->lot->image;
	struct flow *flow = &attempt->flow;
	struct fault fault;
	bool known = flow->issue.known_id[0] != '\0';

	if (lot->pattern == PATTERN_BULK && !known) {
		fault_set(&fault, CAUSE_CSR_KEY,
		    "serial %s has another key than when it was staged: rework "
		    "it, and it is staged anew",
		    attempt->gate.serial);
		effect_refused(attempt, &fault);
	} else if (known && (lot->pattern == PATTERN_BULK || plan_signs(lot))) {
		issue_known(attempt);
	} else if (plan_signs(lot) && lot->ending == ENDING_BENCH) {
		permit_ask(attempt, issue_permitted);
	} else if (plan_signs(lot)) {
		issue_sign(attempt);
	} else {
		cloud_call(attempt, MESSAGE_ISSUE, CLOUD_TIMEOUT_MS,
		    &flow->issue, sizeof(flow->issue), issue_done);
	}
}

static void
grant_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct flow *flow = &attempt->flow;
	struct message_outcome *outcome;

	if (effect_failed(attempt, answer))
		return;
	outcome = outcome_new(flow);
	text_copy(outcome->certificate_id, sizeof(outcome->certificate_id),
	    flow->claim_done.certificate_id);
	text_copy(outcome->request_id, sizeof(outcome->request_id),
	    flow->claim_done.request_id);
	outcome_send(attempt, outcome_done);
}

static void
grant_ask(struct attempt *attempt)
{
	const struct lot_image *lot = attempt->lot->image;
	struct message_vault_grant grant = {.lot = attempt->lot->index,
	    .deposit = lot->pattern == PATTERN_TRUSTED_USER};

	line_call(attempt->line, ROLE_VAULT, MESSAGE_VAULT_GRANT, attempt->id,
	    CLOUD_TIMEOUT_MS, &grant, sizeof(grant), NULL, 0, grant_done,
	    attempt);
}

static void
claim_created(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct message_claim_done *claim = &attempt->flow.claim_done;

	if (effect_failed(attempt, answer))
		return;
	memcpy(claim, answer->body.bytes, sizeof(*claim));
	attempt->claim_expires_ms = claim->expires_wall_ms;
	grant_ask(attempt);
}

static void
claim_next(struct attempt *attempt)
{
	struct message_claim claim;

	if (attempt->lot->image->pattern != PATTERN_TRUSTED_USER) {
		grant_ask(attempt);
		return;
	}
	memset(&claim, 0, sizeof(claim));
	claim.lot = attempt->lot->index;
	text_copy(claim.serial, sizeof(claim.serial), attempt->gate.serial);
	cloud_call(attempt, MESSAGE_CLAIM_CREATE, CLOUD_TIMEOUT_MS, &claim,
	    sizeof(claim), claim_created);
}

static void
handout_permitted(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;

	if (!effect_failed(attempt, answer))
		claim_next(attempt);
}

/* A key that AWS made for the unit waits in the vault: it needs no claim. */
static void
handout_effect(struct attempt *attempt)
{
	const struct lot_image *lot = attempt->lot->image;
	struct message_vault_grant grant = {
	    .lot = attempt->lot->index, .deposit = 1};

	memset(&attempt->flow.claim_done, 0, sizeof(attempt->flow.claim_done));
	if (plan_is_proxy(lot))
		line_call(attempt->line, ROLE_VAULT, MESSAGE_VAULT_GRANT,
		    attempt->id, CLOUD_TIMEOUT_MS, &grant, sizeof(grant), NULL,
		    0, grant_done, attempt);
	else if (plan_injects_claim(lot) && lot->ending == ENDING_BENCH)
		permit_ask(attempt, handout_permitted);
	else
		claim_next(attempt);
}

static void
confirm_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct flow *flow = &attempt->flow;
	const struct message_confirm_done *done = &flow->confirm_done;
	struct message_outcome *outcome;

	if (effect_failed(attempt, answer))
		return;
	memcpy(&flow->confirm_done, answer->body.bytes,
	    sizeof(flow->confirm_done));
	outcome = outcome_new(flow);
	text_copy(outcome->certificate_id, sizeof(outcome->certificate_id),
	    done->certificate_id);
	text_copy(outcome->arn, sizeof(outcome->arn), done->arn);
	text_copy(
	    outcome->request_id, sizeof(outcome->request_id), done->request_id);
	text_copy(outcome->cloud_state, sizeof(outcome->cloud_state), "ACTIVE");
	memcpy(outcome->others, done->others, sizeof(outcome->others));
	outcome_send(attempt, outcome_done);
}

/* As long as the lot gives the unit, and no longer than its claim lives. */
static int64_t
confirm_timeout(const struct attempt *attempt)
{
	int64_t timeout_ms = attempt->lot->image->confirm_timeout_ms;
	int64_t left_ms = attempt->claim_expires_ms - clock_wall_ms();

	if (timeout_ms == 0)
		timeout_ms = CLOUD_TIMEOUT_MS;
	if (attempt->claim_expires_ms != 0 && left_ms < timeout_ms)
		timeout_ms = left_ms > 1000 ? left_ms : 1000;
	return timeout_ms;
}

static void
cloud_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct flow *flow = &attempt->flow;
	const struct message_cloud_done *done;
	struct message_outcome *outcome;

	if (effect_failed(attempt, answer))
		return;
	done = (const void *)answer->body.bytes;
	outcome = outcome_new(flow);
	text_copy(outcome->certificate_id, sizeof(outcome->certificate_id),
	    flow->bind.certificate_id);
	text_copy(
	    outcome->request_id, sizeof(outcome->request_id), done->request_id);
	text_copy(outcome->cloud_state, sizeof(outcome->cloud_state),
	    done->cloud_state);
	outcome_send(attempt, outcome_done);
}

/* The request itself is what is kept: the bulk registration needs it. */
static void
stage_effect(struct attempt *attempt)
{
	struct flow *flow = &attempt->flow;
	struct message_outcome *outcome = outcome_new(flow);

	text_copy(outcome->certificate, sizeof(outcome->certificate),
	    flow->issue.request);
	text_copy(outcome->cloud_state, sizeof(outcome->cloud_state), "STAGED");
	flow->issue_done.staged = 1;
	outcome_send(attempt, outcome_done);
}

void
effect_ask(struct attempt *attempt)
{
	static const uint16_t types[INTENT_KIND_COUNT] = {
	    [INTENT_BIND] = MESSAGE_BIND,
	    [INTENT_PREREGISTER] = MESSAGE_PREREGISTER,
	    [INTENT_ACTIVATE] = MESSAGE_ACTIVATE,
	};
	struct flow *flow = &attempt->flow;

	switch ((enum intent_kind)flow->intent.kind) {
	case INTENT_ISSUE:
		issue_effect(attempt);
		break;
	case INTENT_HANDOUT:
		handout_effect(attempt);
		break;
	case INTENT_STAGE:
		stage_effect(attempt);
		break;
	case INTENT_CONFIRM:
		cloud_call(attempt, MESSAGE_CONFIRM, confirm_timeout(attempt),
		    &flow->bind, sizeof(flow->bind), confirm_done);
		break;
	default:
		cloud_call(attempt, types[flow->intent.kind], CLOUD_TIMEOUT_MS,
		    &flow->bind, sizeof(flow->bind), cloud_done);
		break;
	}
}
