/*
 * A request with an effect outside, carried to its end: its intent is
 * committed first, then the effect is asked for (effect.c), then its outcome
 * is committed, and only then the slot hears of it. A flow runs to its end
 * also when the slot dies on the way; recover.c goes on from there.
 */
#include "line/flow.h"

#include <string.h>

/* ---- answers to the slot ---- */

void
verdict_take(struct attempt *attempt)
{
	attempt->verdict_waits = false;
	attempt->flow.used = true;
	attempt->flow.sequence = attempt->verdict_sequence;
	attempt->flow.type = MESSAGE_VERDICT;
	attempt_judge(attempt, &attempt->verdict);
}

void
slot_answer(struct attempt *attempt, const void *body, size_t len)
{
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = (uint16_t)(attempt->flow.type + 1),
	    .sequence = attempt->flow.sequence,
	    .attempt = attempt->id};

	attempt->flow.used = false;
	if (attempt->verdict_waits) {
		verdict_take(attempt);
		return;
	}
	if (channel_send(&attempt->channel, &header, body, len, NULL, 0) == 0)
		loop_watch_events(
		    attempt->watch, channel_events(&attempt->channel));
}

bool
flow_orphaned(struct attempt *attempt, const struct fault *fault)
{
	if (attempt->pid != 0)
		return false;
	attempt->flow.used = false;
	if (attempt->article)
		article_ended(attempt, fault);
	else if (attempt->verdict_waits)
		verdict_take(attempt);
	else
		recover_next(attempt, fault);
	return true;
}

/* Answers with what the flow has brought, or with why it failed. */
static void
flow_end(struct attempt *attempt, const struct fault *fault)
{
	struct flow *flow = &attempt->flow;
	struct message_cloud_done cloud;

	if (flow_orphaned(attempt, fault))
		return;
	switch (flow->type) {
	case MESSAGE_ISSUE:
		flow->issue_done.fault = *fault;
		slot_answer(
		    attempt, &flow->issue_done, sizeof(flow->issue_done));
		break;
	case MESSAGE_CLAIM_KEY:
		flow->claim_done.fault = *fault;
		slot_answer(
		    attempt, &flow->claim_done, sizeof(flow->claim_done));
		break;
	case MESSAGE_CONFIRM:
		flow->confirm_done.fault = *fault;
		slot_answer(
		    attempt, &flow->confirm_done, sizeof(flow->confirm_done));
		break;
	default:
		memset(&cloud, 0, sizeof(cloud));
		cloud.fault = *fault;
		text_copy(cloud.request_id, sizeof(cloud.request_id),
		    flow->outcome.request_id);
		text_copy(cloud.cloud_state, sizeof(cloud.cloud_state),
		    flow->outcome.cloud_state);
		slot_answer(attempt, &cloud, sizeof(cloud));
		break;
	}
}

/* ---- the outcome ---- */

void
outcome_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct flow *flow = &attempt->flow;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause == CAUSE_NONE) {
		if (flow->outcome.kind == INTENT_ISSUE ||
		    flow->outcome.kind == INTENT_CONFIRM)
			attempt->issued = flow->outcome;
		if (flow->outcome.cloud_state[0] != '\0')
			text_copy(attempt->cloud_state,
			    sizeof(attempt->cloud_state),
			    flow->outcome.cloud_state);
	}
	flow_end(attempt, &fault);
}

/* Of what was carried out; starts from nothing. */
struct message_outcome *
outcome_new(struct flow *flow)
{
	memset(&flow->outcome, 0, sizeof(flow->outcome));
	flow->outcome.kind = flow->intent.kind;
	flow->outcome.digest = flow->intent.digest;
	flow->outcome.done = 1;
	return &flow->outcome;
}

void
outcome_send(struct attempt *attempt, call_done *done)
{
	line_call(attempt->line, ROLE_LEDGER, MESSAGE_OUTCOME, attempt->id, 0,
	    &attempt->flow.outcome, sizeof(attempt->flow.outcome), NULL, 0,
	    done, attempt);
}

/* True when the fault says that surely nothing came of the call. */
static bool
fault_is_final(const struct fault *fault)
{
	switch (fault->cause) {
	case CAUSE_CLOUD_UNSURE:
	case CAUSE_CLOUD_ANSWER:
	case CAUSE_ROLE_DOWN:
	case CAUSE_DEADLINE:
	case CAUSE_INTERNAL:
		return false;
	default:
		return true;
	}
}

static void
refused_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;

	(void)answer;
	flow_end(attempt, &attempt->flow.refusal);
}

void
effect_refused(struct attempt *attempt, const struct fault *fault)
{
	struct flow *flow = &attempt->flow;

	/* A certificate that surely was not issued needs no search later. */
	if (flow->intent.kind == INTENT_ISSUE && fault_is_final(fault)) {
		flow->refusal = *fault;
		outcome_new(flow)->done = 0;
		outcome_send(attempt, refused_done);
		return;
	}
	flow_end(attempt, fault);
}

/* ---- the intent ---- */

static void
intent_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct flow *flow = &attempt->flow;
	const struct message_intent_done *done;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		flow_end(attempt, &fault);
		return;
	}
	if (flow->intent.kind == INTENT_ISSUE) {
		done = (const void *)answer->body.bytes;
		flow->issue.look_up = done->look_up;
		flow->issue.since_wall_ms = done->since_wall_ms;
		text_copy(flow->issue.known_id, sizeof(flow->issue.known_id),
		    done->known_id);
		text_copy(flow->issue.known_certificate,
		    sizeof(flow->issue.known_certificate),
		    done->known_certificate);
		text_copy(flow->known_arn, sizeof(flow->known_arn), done->arn);
	}
	effect_ask(attempt);
}

void
flow_start(
    struct attempt *attempt, enum intent_kind kind, const struct digest *digest)
{
	struct flow *flow = &attempt->flow;

	memset(&flow->intent, 0, sizeof(flow->intent));
	flow->intent.kind = kind;
	if (digest != NULL)
		flow->intent.digest = *digest;
	line_call(attempt->line, ROLE_LEDGER, MESSAGE_INTENT, attempt->id, 0,
	    &flow->intent, sizeof(flow->intent), NULL, 0, intent_done, attempt);
}

void
flow_resume(struct attempt *attempt, enum intent_kind kind,
    const struct message_register *bind)
{
	attempt->flow.used = true;
	attempt->flow.type = MESSAGE_BIND;
	attempt->flow.bind = *bind;
	attempt->flow.bind.lot = attempt->lot->index;
	flow_start(attempt, kind, NULL);
}
