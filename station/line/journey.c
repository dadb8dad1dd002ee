/*
 * What a slot asks for, carried to the roles that do it.
 *
 * A plain step goes to the ledger and back. A step with an effect outside
 * (issue, bind, register, activate, the claim key) is a flow: its intent is
 * committed first, then the effect is asked for, then its outcome is
 * committed, and only then the slot hears of it. A flow runs to its end
 * also when the slot dies on the way; recover.c goes on from there.
 *
 * The slot's process may be owned by a hostile device: who the unit is comes
 * from the ledger's answer to the gate, never from the slot's requests.
 */
#include "line/line.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	CLOUD_TIMEOUT_MS = 90000
};

/* ---- answers to the slot ---- */

/* What the slot asked last was its verdict. */
static void
verdict_take(struct attempt *attempt)
{
	attempt->verdict_waits = false;
	attempt->flow.used = true;
	attempt->flow.sequence = attempt->verdict_sequence;
	attempt->flow.type = MESSAGE_VERDICT;
	attempt_judge(attempt, &attempt->verdict);
}

static void
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

/*
 * True when there is no process any more that waits for the answer: what
 * becomes of the attempt is its last word's or the recovery's to say.
 */
static bool
flow_orphaned(struct attempt *attempt, const struct fault *fault)
{
	if (attempt->pid != 0)
		return false;
	attempt->flow.used = false;
	if (attempt->verdict_waits)
		verdict_take(attempt);
	else
		recover_next(attempt, fault);
	return true;
}

/* The answer to a plain flow: only its fault and the cloud's words. */
static void
flow_end(struct attempt *attempt, const struct fault *fault)
{
	struct flow *flow = &attempt->flow;
	struct message_cloud_done cloud;
	struct message_done plain;

	if (flow_orphaned(attempt, fault))
		return;
	switch (flow->type) {
	case MESSAGE_ISSUE:
		flow->issue_done.fault = *fault;
		slot_answer(
		    attempt, &flow->issue_done, sizeof(flow->issue_done));
		break;
	case MESSAGE_CLAIM_KEY:
		memset(&plain, 0, sizeof(plain));
		plain.fault = *fault;
		slot_answer(attempt, &plain, sizeof(plain));
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

/* ---- the three stages of a flow ---- */

static void
outcome_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct flow *flow = &attempt->flow;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause == CAUSE_NONE) {
		if (flow->outcome.kind == INTENT_ISSUE)
			attempt->issued = flow->outcome;
		if (flow->outcome.cloud_state[0] != '\0')
			text_copy(attempt->cloud_state,
			    sizeof(attempt->cloud_state),
			    flow->outcome.cloud_state);
	}
	flow_end(attempt, &fault);
}

static void
flow_outcome(struct attempt *attempt, bool done)
{
	attempt->flow.outcome.kind = attempt->flow.intent.kind;
	attempt->flow.outcome.done = done;
	line_call(attempt->line, ROLE_LEDGER, MESSAGE_OUTCOME, attempt->id, 0,
	    &attempt->flow.outcome, sizeof(attempt->flow.outcome), NULL, 0,
	    outcome_done, attempt);
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
	flow_end(attempt, &attempt->flow.issue_done.fault);
}

static void
effect_refused(struct attempt *attempt, const struct fault *fault)
{
	struct flow *flow = &attempt->flow;

	/* A certificate that surely was not issued needs no search later. */
	if (flow->intent.kind == INTENT_ISSUE && fault_is_final(fault)) {
		flow->issue_done.fault = *fault;
		memset(&flow->outcome, 0, sizeof(flow->outcome));
		flow->outcome.kind = INTENT_ISSUE;
		flow->outcome.digest = flow->intent.digest;
		line_call(attempt->line, ROLE_LEDGER, MESSAGE_OUTCOME,
		    attempt->id, 0, &flow->outcome, sizeof(flow->outcome), NULL,
		    0, refused_done, attempt);
		return;
	}
	flow_end(attempt, fault);
}

static void
issue_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct flow *flow = &attempt->flow;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		effect_refused(attempt, &fault);
		return;
	}
	memcpy(&flow->issue_done, answer->body.bytes, sizeof(flow->issue_done));
	memset(&flow->outcome, 0, sizeof(flow->outcome));
	flow->outcome.stray = flow->issue_done.stray;
	flow->outcome.digest = flow->intent.digest;
	text_copy(flow->outcome.certificate_id,
	    sizeof(flow->outcome.certificate_id),
	    flow->issue_done.certificate_id);
	text_copy(flow->outcome.certificate, sizeof(flow->outcome.certificate),
	    flow->issue_done.certificate);
	text_copy(
	    flow->outcome.arn, sizeof(flow->outcome.arn), flow->issue_done.arn);
	text_copy(flow->outcome.request_id, sizeof(flow->outcome.request_id),
	    flow->issue_done.request_id);
	text_copy(flow->outcome.cloud_state, sizeof(flow->outcome.cloud_state),
	    "INACTIVE");
	flow_outcome(attempt, true);
}

static void
cloud_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct flow *flow = &attempt->flow;
	const struct message_cloud_done *done;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		effect_refused(attempt, &fault);
		return;
	}
	done = (const void *)answer->body.bytes;
	memset(&flow->outcome, 0, sizeof(flow->outcome));
	flow->outcome.digest = flow->intent.digest;
	text_copy(flow->outcome.certificate_id,
	    sizeof(flow->outcome.certificate_id), flow->bind.certificate_id);
	text_copy(flow->outcome.request_id, sizeof(flow->outcome.request_id),
	    done->request_id);
	text_copy(flow->outcome.cloud_state, sizeof(flow->outcome.cloud_state),
	    done->cloud_state);
	flow_outcome(attempt, true);
}

static void
grant_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		effect_refused(attempt, &fault);
		return;
	}
	memset(&attempt->flow.outcome, 0, sizeof(attempt->flow.outcome));
	flow_outcome(attempt, true);
}

static void
flow_effect(struct attempt *attempt)
{
	struct flow *flow = &attempt->flow;
	struct message_vault_grant grant;
	uint16_t type = MESSAGE_BIND;

	switch ((enum intent_kind)flow->intent.kind) {
	case INTENT_ISSUE:
		line_call(attempt->line, ROLE_CLOUD, MESSAGE_ISSUE, attempt->id,
		    CLOUD_TIMEOUT_MS, &flow->issue, sizeof(flow->issue), NULL,
		    0, issue_done, attempt);
		break;
	case INTENT_ACTIVATE:
		line_call(attempt->line, ROLE_CLOUD, MESSAGE_ACTIVATE,
		    attempt->id, CLOUD_TIMEOUT_MS, &flow->bind,
		    sizeof(flow->bind), NULL, 0, cloud_done, attempt);
		break;
	case INTENT_HANDOUT:
		grant.lot = flow->bind.lot;
		line_call(attempt->line, ROLE_VAULT, MESSAGE_VAULT_GRANT,
		    attempt->id, CLOUD_TIMEOUT_MS, &grant, sizeof(grant), NULL,
		    0, grant_done, attempt);
		break;
	default:
		if (flow->intent.kind == INTENT_PREREGISTER)
			type = MESSAGE_PREREGISTER;
		line_call(attempt->line, ROLE_CLOUD, type, attempt->id,
		    CLOUD_TIMEOUT_MS, &flow->bind, sizeof(flow->bind), NULL, 0,
		    cloud_done, attempt);
		break;
	}
}

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
	}
	flow_effect(attempt);
}

static void
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

/* What the ledger said of the unit, for the cloud. */
static void
bind_fill(struct attempt *attempt)
{
	struct message_register *bind = &attempt->flow.bind;

	memset(bind, 0, sizeof(*bind));
	bind->lot = attempt->lot->index;
	text_copy(bind->serial, sizeof(bind->serial), attempt->gate.serial);
	text_copy(bind->thing, sizeof(bind->thing), attempt->gate.thing);
	text_copy(bind->extra, sizeof(bind->extra), attempt->gate.extra);
	text_copy(bind->mac, sizeof(bind->mac), attempt->gate.mac);
	text_copy(bind->certificate_id, sizeof(bind->certificate_id),
	    attempt->issued.certificate_id);
	text_copy(bind->arn, sizeof(bind->arn), attempt->issued.arn);
}

/* ---- plain steps: to the ledger and back ---- */

static void
gate_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;
	struct message_gate_done refused;

	if (flow_orphaned(attempt, NULL))
		return;
	if (answer == NULL || answer->len != sizeof(attempt->gate)) {
		memset(&refused, 0, sizeof(refused));
		call_fault(NULL, &refused.fault);
		slot_answer(attempt, &refused, sizeof(refused));
		return;
	}
	memcpy(&attempt->gate, answer->body.bytes, sizeof(attempt->gate));
	if (attempt->slot != NULL) {
		text_copy(attempt->slot->progress.serial, SERIAL_LEN,
		    attempt->gate.serial);
		text_copy(attempt->slot->thing, THING_LEN, attempt->gate.thing);
		board_changed(attempt->line);
	}
	slot_answer(attempt, &attempt->gate, sizeof(attempt->gate));
}

static void
plain_done(void *arg, struct message *answer)
{
	struct attempt *attempt = arg;

	if (flow_orphaned(attempt, NULL))
		return;
	slot_answer(attempt, answer->body.bytes, answer->len);
}

static void
journey_progress(struct attempt *attempt, const struct message *message)
{
	struct message_progress *to;
	char note[256];

	if (attempt->slot == NULL)
		return;
	to = &attempt->slot->progress;
	memcpy(to, message->body.bytes, sizeof(*to));
	text_escape(note, sizeof(note), to->note, strlen(to->note));
	text_copy(to->note, sizeof(to->note), note);
	text_escape(note, sizeof(note), to->serial, strlen(to->serial));
	text_copy(to->serial, sizeof(to->serial), note);
	text_escape(note, sizeof(note), to->mac, strlen(to->mac));
	text_copy(to->mac, sizeof(to->mac), note);
	/* The ledger's serial, once it is known, not the slot's word. */
	if (attempt->gate.serial[0] != '\0')
		text_copy(to->serial, sizeof(to->serial), attempt->gate.serial);
	board_changed(attempt->line);
}

/* Intents and outcomes that are the slot's own to report. */
static bool
kind_is_slots(uint32_t kind)
{
	return kind == INTENT_FLASH || kind == INTENT_INJECT ||
	       kind == INTENT_WRITE || kind == INTENT_LOCK;
}

static void
journey_broken(struct attempt *attempt, const char *what)
{
	log_error("attempt %llu: its slot process sent %s",
	    (unsigned long long)attempt->id, what);
	attempt_abort(attempt, CAUSE_INTERNAL,
	    "the slot's process broke the rules of its protocol");
}

static void
journey_request(struct attempt *attempt, struct message *message)
{
	struct flow *flow = &attempt->flow;
	const void *body = message->body.bytes;

	switch (message->header.type) {
	case MESSAGE_GATE:
		line_call(attempt->line, ROLE_LEDGER, MESSAGE_GATE, attempt->id,
		    0, body, message->len, NULL, 0, gate_done, attempt);
		break;
	case MESSAGE_INTENT:
	case MESSAGE_OUTCOME:
		if (!kind_is_slots(
			((const struct message_intent *)body)->kind)) {
			journey_broken(attempt, "an intent not its own");
			break;
		}
		line_call(attempt->line, ROLE_LEDGER, message->header.type,
		    attempt->id, 0, body, message->len, NULL, 0, plain_done,
		    attempt);
		break;
	case MESSAGE_CLAIM_KEY:
		bind_fill(attempt);
		flow_start(attempt, INTENT_HANDOUT, NULL);
		break;
	case MESSAGE_ISSUE:
		memcpy(&flow->issue, body, sizeof(flow->issue));
		memset(&flow->issue_done, 0, sizeof(flow->issue_done));
		flow->issue.lot = attempt->lot->index;
		text_copy(flow->issue.serial, sizeof(flow->issue.serial),
		    attempt->gate.serial);
		bind_fill(attempt);
		flow_start(attempt, INTENT_ISSUE, &flow->issue.spki);
		break;
	case MESSAGE_BIND:
	case MESSAGE_PREREGISTER:
	case MESSAGE_ACTIVATE:
		bind_fill(attempt);
		flow_start(attempt,
		    message->header.type == MESSAGE_BIND ? INTENT_BIND
		    : message->header.type == MESSAGE_ACTIVATE
			? INTENT_ACTIVATE
			: INTENT_PREREGISTER,
		    NULL);
		break;
	default:
		journey_broken(attempt, "an unknown message");
		break;
	}
}

/*
 * The slot's last word. It is taken while a request is still under way only
 * after an abort: then it waits for that request's end.
 */
static void
journey_verdict(struct attempt *attempt, const struct message *message)
{
	struct message_verdict verdict = {0};
	char id[sizeof(verdict.fault.request_id)];
	enum verdict wanted = VERDICT_PASS;

	memcpy(&verdict, message->body.bytes, sizeof(verdict));
	if (verdict.fault.cause != CAUSE_NONE)
		wanted = fault_row(verdict.fault.cause)->verdict;
	if (verdict.verdict != (uint32_t)wanted) {
		journey_broken(attempt, "a verdict that is not its cause's");
		return;
	}
	/* Its control bytes are escaped before anybody shows them. */
	if (verdict.fault.cause != CAUSE_NONE) {
		text_escape(id, sizeof(id), verdict.fault.request_id,
		    strlen(verdict.fault.request_id));
		fault_set(&verdict.fault, verdict.fault.cause, "%s",
		    verdict.fault.text);
		text_copy(verdict.fault.request_id,
		    sizeof(verdict.fault.request_id), id);
	}
	attempt->verdict = verdict;
	attempt->verdict_sequence = message->header.sequence;
	if (attempt->flow.used)
		attempt->verdict_waits = true;
	else
		verdict_take(attempt);
}

void
journey_message(struct attempt *attempt, struct message *message)
{
	if (message->header.attempt != attempt->id) {
		journey_broken(attempt, "another attempt's message");
		return;
	}
	if (attempt->verdict_sent || attempt->verdict_waits)
		return; /* nothing counts after the verdict */
	if (message->header.type == MESSAGE_PROGRESS) {
		journey_progress(attempt, message);
		return;
	}
	if (attempt->flow.used &&
	    !(attempt->aborted && message->header.type == MESSAGE_VERDICT)) {
		journey_broken(attempt, "a second request at once");
		return;
	}
	if (message->header.type == MESSAGE_VERDICT) {
		journey_verdict(attempt, message);
		return;
	}
	attempt->flow.used = true;
	attempt->flow.sequence = message->header.sequence;
	attempt->flow.type = message->header.type;
	journey_request(attempt, message);
}

void
journey_resume(struct attempt *attempt, enum intent_kind kind,
    const struct message_register *bind)
{
	attempt->flow.used = true;
	attempt->flow.type = MESSAGE_BIND;
	attempt->flow.bind = *bind;
	attempt->flow.bind.lot = attempt->lot->index;
	flow_start(attempt, kind, NULL);
}
