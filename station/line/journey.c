/*
 * What a slot asks for: a plain step goes to the ledger and back, a step with
 * an effect outside becomes a flow (flow.c).
 *
 * The slot's process may be owned by a hostile device: who the unit is comes
 * from the ledger's answer to the gate, never from the slot's requests.
 */
#include "line/line.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "lot/plan.h"

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
	       kind == INTENT_WRITE || kind == INTENT_ERASE ||
	       kind == INTENT_LOCK;
}

static void
journey_broken(struct attempt *attempt, const char *what)
{
	log_error("attempt %llu: its slot process sent %s",
	    (unsigned long long)attempt->id, what);
	attempt_abort(attempt, CAUSE_INTERNAL,
	    "the slot's process broke the rules of its protocol");
}

/* What a lot's units bring when they ask for a certificate. */
static enum issue_kind
issue_kind_of(const struct lot_image *lot)
{
	if (plan_is_proxy(lot) && lot->keys_by_cloud != 0)
		return ISSUE_KEYS;
	if (lot->pattern == PATTERN_READBACK || lot->form == FORM_PEM)
		return ISSUE_CERTIFICATE;
	return ISSUE_CSR;
}

static void
journey_issue(struct attempt *attempt, const struct message_issue *issue)
{
	struct flow *flow = &attempt->flow;
	const struct lot_image *lot = attempt->lot->image;
	enum intent_kind kind = INTENT_ISSUE;

	if (issue->kind != (uint32_t)issue_kind_of(lot)) {
		journey_broken(attempt, "a request that is not its lot's");
		return;
	}
	/* Staged first, registered with all the others, then written. */
	if (lot->pattern == PATTERN_BULK && attempt->gate.issued == 0)
		kind = INTENT_STAGE;
	flow->issue = *issue;
	memset(&flow->issue_done, 0, sizeof(flow->issue_done));
	flow->issue.lot = attempt->lot->index;
	text_copy(flow->issue.serial, sizeof(flow->issue.serial),
	    attempt->gate.serial);
	text_copy(
	    flow->issue.thing, sizeof(flow->issue.thing), attempt->gate.thing);
	text_copy(flow->issue.mac, sizeof(flow->issue.mac), attempt->gate.mac);
	text_copy(
	    flow->issue.extra, sizeof(flow->issue.extra), attempt->gate.extra);
	bind_fill(attempt);
	flow_start(attempt, kind, &flow->issue.spki);
}

static enum intent_kind
journey_kind(uint16_t type)
{
	switch (type) {
	case MESSAGE_BIND:
		return INTENT_BIND;
	case MESSAGE_ACTIVATE:
		return INTENT_ACTIVATE;
	case MESSAGE_CONFIRM:
		return INTENT_CONFIRM;
	default:
		return INTENT_PREREGISTER;
	}
}

static void
journey_request(struct attempt *attempt, struct message *message)
{
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
		journey_issue(attempt, body);
		break;
	case MESSAGE_BIND:
	case MESSAGE_PREREGISTER:
	case MESSAGE_ACTIVATE:
	case MESSAGE_CONFIRM:
		bind_fill(attempt);
		flow_start(attempt, journey_kind(message->header.type), NULL);
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
