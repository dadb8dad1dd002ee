#include "base/message.h"

#include <stddef.h>
#include <string.h>

#include "base/buf.h"

/*
 * What has to hold inside a body: a text that ends inside its array, or a
 * number that is at most `limit`. A rule of an array of structs repeats
 * `count` times, `stride` bytes apart.
 */
struct message_rule {
	size_t offset;
	size_t size;	/* of a text's array; 0: a number of 32 bits */
	uint32_t limit; /* of a number, inclusive */
	size_t count;
	size_t stride;
};

struct message_shape {
	bool known;
	size_t size;
	const struct message_rule *rules;
	size_t rule_count;
};

/* Names of types and members cannot stand in parentheses. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define SIZE_OF(type, member) sizeof(((type *)0)->member)
#define TEXT(type, member)                                             \
	{                                                              \
		offsetof(type, member), SIZE_OF(type, member), 0, 1, 0 \
	}
#define NUMBER(type, member, limit)                    \
	{                                              \
		offsetof(type, member), 0, limit, 1, 0 \
	}
#define ROW_TEXT(type, rows, row, member)                                \
	{                                                                \
		offsetof(type, rows[0].member), SIZE_OF(row, member), 0, \
		    SIZE_OF(type, rows) / sizeof(row), sizeof(row)       \
	}
/* The same where a row's struct has no name. */
#define ROW_TEXT_AT(type, rows, member)                                 \
	{                                                               \
		offsetof(type, rows[0].member),                         \
		    sizeof(((type *)0)->rows[0].member), 0,             \
		    SIZE_OF(type, rows) / sizeof(((type *)0)->rows[0]), \
		    sizeof(((type *)0)->rows[0])                        \
	}
#define ROW_NUMBER(type, rows, stride, member, limit)      \
	{                                                  \
		offsetof(type, rows[0].member), 0, limit,  \
		    SIZE_OF(type, rows) / (stride), stride \
	}
#define OTHERS(type)                                                       \
	{                                                                  \
		offsetof(type, others), CERTIFICATE_ID_LEN, 0, OTHERS_MAX, \
		    CERTIFICATE_ID_LEN                                     \
	}
#define FAULT(type, member)                                                   \
	NUMBER(type, member.cause, CAUSE_COUNT - 1), TEXT(type, member.text), \
	    TEXT(type, member.request_id)
#define COUNTS(type, member)                                                   \
	ROW_NUMBER(type, member.pareto, sizeof(((type *)0)->member.pareto[0]), \
	    cause, CAUSE_COUNT - 1)

/* NOLINTEND(bugprone-macro-parentheses) */

_Static_assert(sizeof(enum fault_cause) == sizeof(uint32_t),
    "a cause is checked as a number of 32 bits");

static const struct message_rule spawn_rules[] = {
    NUMBER(struct message_spawn, role, ROLE_COUNT - 1),
    TEXT(struct message_spawn, transcript),
    TEXT(struct message_spawn, port),
};
static const struct message_rule spawned_rules[] = {
    FAULT(struct message_spawned, fault),
    NUMBER(struct message_spawned, role, ROLE_COUNT - 1),
};
static const struct message_rule exited_rules[] = {
    NUMBER(struct message_exited, role, ROLE_COUNT - 1),
};
static const struct message_rule role_up_rules[] = {
    NUMBER(struct message_role_up, role, ROLE_COUNT - 1),
};
static const struct message_rule control_rules[] = {
    NUMBER(struct message_control, signal, CONTROL_RELOAD),
};
static const struct message_rule open_key_rules[] = {
    NUMBER(struct message_open_key, kind, KEY_KIND_COUNT - 1),
    NUMBER(struct message_open_key, lot, LOTS_OPEN_MAX - 1),
    TEXT(struct message_open_key, path),
    TEXT(struct message_open_key, secret_path),
    TEXT(struct message_open_key, certificate),
};
static const struct message_rule keys_forget_rules[] = {
    NUMBER(struct message_keys_forget, lot, LOTS_OPEN_MAX - 1),
};
static const struct message_rule done_rules[] = {
    FAULT(struct message_done, fault),
};
static const struct message_rule load_lot_rules[] = {
    TEXT(struct message_load_lot, folder),
};
static const struct message_rule load_lot_done_rules[] = {
    FAULT(struct message_load_lot_done, fault),
};
static const struct message_rule lot_open_rules[] = {
    TEXT(struct message_lot_open, operator),
};
static const struct message_rule lot_open_done_rules[] = {
    FAULT(struct message_lot_open_done, fault),
    COUNTS(struct message_lot_open_done, counts),
};
static const struct message_rule counts_done_rules[] = {
    FAULT(struct message_counts_done, fault),
    COUNTS(struct message_counts_done, counts),
};
/* lot_row's Pareto is checked in lot_list_holds: two levels of arrays. */
static const struct message_rule lot_list_done_rules[] = {
    FAULT(struct message_lot_list_done, fault),
    NUMBER(struct message_lot_list_done, count, LOT_LIST_MAX),
    ROW_NUMBER(struct message_lot_list_done, lots, sizeof(struct lot_row),
	state, LOT_STATE_CLOSED),
    ROW_TEXT(struct message_lot_list_done, lots, struct lot_row, name),
    ROW_TEXT(struct message_lot_list_done, lots, struct lot_row, folder),
};
static const struct message_rule begin_rules[] = {
    TEXT(struct message_begin, slot),
    TEXT(struct message_begin, operator),
    TEXT(struct message_begin, scanned),
    TEXT(struct message_begin, lot_name),
};
static const struct message_rule begin_done_rules[] = {
    FAULT(struct message_begin_done, fault),
};
static const struct message_rule progress_rules[] = {
    NUMBER(struct message_progress, step, STEP_NAME_COUNT - 1),
    NUMBER(struct message_progress, permille, 1000),
    TEXT(struct message_progress, serial),
    TEXT(struct message_progress, mac),
    TEXT(struct message_progress, note),
};
static const struct message_rule gate_rules[] = {
    TEXT(struct message_gate, serial),
    TEXT(struct message_gate, mac),
    TEXT(struct message_gate, hardware),
};
static const struct message_rule gate_done_rules[] = {
    FAULT(struct message_gate_done, fault),
    TEXT(struct message_gate_done, serial),
    TEXT(struct message_gate_done, mac),
    TEXT(struct message_gate_done, thing),
    TEXT(struct message_gate_done, extra),
};
static const struct message_rule intent_rules[] = {
    NUMBER(struct message_intent, kind, INTENT_KIND_COUNT - 1),
    TEXT(struct message_intent, note),
};
static const struct message_rule outcome_rules[] = {
    NUMBER(struct message_outcome, kind, INTENT_KIND_COUNT - 1),
    TEXT(struct message_outcome, certificate_id),
    TEXT(struct message_outcome, certificate),
    TEXT(struct message_outcome, arn),
    TEXT(struct message_outcome, cloud_state),
    TEXT(struct message_outcome, request_id),
    OTHERS(struct message_outcome),
};
static const struct message_rule issue_rules[] = {
    NUMBER(struct message_issue, kind, ISSUE_KIND_COUNT - 1),
    TEXT(struct message_issue, request),
    TEXT(struct message_issue, serial),
    TEXT(struct message_issue, thing),
    TEXT(struct message_issue, mac),
    TEXT(struct message_issue, extra),
    TEXT(struct message_issue, known_id),
    TEXT(struct message_issue, known_certificate),
};
static const struct message_rule issue_done_rules[] = {
    FAULT(struct message_issue_done, fault),
    TEXT(struct message_issue_done, certificate_id),
    TEXT(struct message_issue_done, certificate),
    TEXT(struct message_issue_done, arn),
    TEXT(struct message_issue_done, request_id),
    TEXT(struct message_issue_done, cloud_state),
};
#define REGISTER(type, prefix)                                         \
	TEXT(type, prefix serial), TEXT(type, prefix thing),           \
	    TEXT(type, prefix certificate_id), TEXT(type, prefix arn), \
	    TEXT(type, prefix extra), TEXT(type, prefix mac)
static const struct message_rule register_rules[] = {
    REGISTER(struct message_register, ),
};
static const struct message_rule cloud_done_rules[] = {
    FAULT(struct message_cloud_done, fault),
    TEXT(struct message_cloud_done, request_id),
    TEXT(struct message_cloud_done, cloud_state),
};
#define DISCARD(type, prefix)                                        \
	TEXT(type, prefix certificate_id), TEXT(type, prefix thing), \
	    TEXT(type, prefix keep_id), TEXT(type, prefix revoke)
static const struct message_rule discard_rules[] = {
    DISCARD(struct message_discard, ),
};
#define VERDICT(type, prefix)                         \
	NUMBER(type, prefix verdict, VERDICT_STAGED), \
	    FAULT(type, prefix fault),                \
	    NUMBER(type, prefix step, STEP_NAME_COUNT - 1)
static const struct message_rule intent_done_rules[] = {
    FAULT(struct message_intent_done, fault),
    TEXT(struct message_intent_done, known_id),
    TEXT(struct message_intent_done, known_certificate),
    TEXT(struct message_intent_done, arn),
};
static const struct message_rule verdict_rules[] = {
    VERDICT(struct message_verdict, ),
};
static const struct message_rule verdict_done_rules[] = {
    FAULT(struct message_verdict_done, fault),
    COUNTS(struct message_verdict_done, counts),
};
static const struct message_rule resolve_rules[] = {
    NUMBER(struct message_resolve, cause, CAUSE_COUNT - 1),
};
static const struct message_rule resolve_done_rules[] = {
    FAULT(struct message_resolve_done, fault),
    NUMBER(struct message_resolve_done, action, RESOLVE_CONFIRM),
    TEXT(struct message_resolve_done, slot),
    REGISTER(struct message_resolve_done, bind.),
    VERDICT(struct message_resolve_done, verdict.),
};
static const struct message_rule ledger_ready_rules[] = {
    FAULT(struct message_ledger_ready, fault),
    NUMBER(struct message_ledger_ready, attempts, READY_ATTEMPTS_MAX),
};
static const struct message_rule dispose_rules[] = {
    NUMBER(struct message_dispose, kind, DISPOSE_REWORK),
    TEXT(struct message_dispose, serial),
    TEXT(struct message_dispose, operator),
    TEXT(struct message_dispose, reason),
};
static const struct message_rule obligation_done_rules[] = {
    FAULT(struct message_obligation_done, fault),
    DISCARD(struct message_obligation_done, discard.),
};
static const struct message_rule cloud_state_rules[] = {
    NUMBER(struct message_cloud_state, state, CLOUD_STATE_LAPSED),
    TEXT(struct message_cloud_state, text),
};
static const struct message_rule tool_rules[] = {
    TEXT(struct message_tool, profile),
};
static const struct message_rule secret_rules[] = {
    NUMBER(struct message_secret, len, CERTIFICATE_LEN - 1),
    TEXT(struct message_secret, pem),
    TEXT(struct message_secret, wifi_password),
};
static const struct message_rule confirm_done_rules[] = {
    FAULT(struct message_confirm_done, fault),
    TEXT(struct message_confirm_done, certificate_id),
    TEXT(struct message_confirm_done, arn),
    TEXT(struct message_confirm_done, request_id),
    TEXT(struct message_confirm_done, cloud_state),
    OTHERS(struct message_confirm_done),
};
static const struct message_rule claim_rules[] = {
    TEXT(struct message_claim, serial),
};
static const struct message_rule claim_done_rules[] = {
    FAULT(struct message_claim_done, fault),
    TEXT(struct message_claim_done, certificate),
    TEXT(struct message_claim_done, certificate_id),
    TEXT(struct message_claim_done, request_id),
};
static const struct message_rule vault_sign_rules[] = {
    TEXT(struct message_vault_sign, csr),
    TEXT(struct message_vault_sign, serial),
    NUMBER(struct message_vault_sign, part_count, SUBJECT_MAX),
    ROW_TEXT(struct message_vault_sign, parts, struct subject_part, name),
    ROW_TEXT(struct message_vault_sign, parts, struct subject_part, value),
};
static const struct message_rule prove_rules[] = {
    NUMBER(struct message_prove, len, PROVE_INPUT_MAX),
};
static const struct message_rule prove_done_rules[] = {
    FAULT(struct message_prove_done, fault),
    NUMBER(struct message_prove_done, len, PROVE_SIGNATURE_MAX),
};
static const struct message_rule deposit_rules[] = {
    NUMBER(struct message_deposit, len, CERTIFICATE_LEN - 1),
    TEXT(struct message_deposit, pem),
    TEXT(struct message_deposit, certificate),
};
static const struct message_rule bulk_rules[] = {
    TEXT(struct message_bulk, key),
    TEXT(struct message_bulk, task),
    TEXT(struct message_bulk, status),
    TEXT(struct message_bulk, operator),
};
static const struct message_rule bulk_done_rules[] = {
    FAULT(struct message_bulk_done, fault),
    TEXT(struct message_bulk_done, key),
    TEXT(struct message_bulk_done, task),
    TEXT(struct message_bulk_done, status),
    NUMBER(struct message_bulk_done, percent, 100),
    TEXT(struct message_bulk_done, request_id),
    TEXT(struct message_bulk_done, text),
};
#define WAITING(member) \
	ROW_TEXT_AT(struct message_articles_done, waiting, unit.member)
static const struct message_rule articles_done_rules[] = {
    FAULT(struct message_articles_done, fault),
    NUMBER(struct message_articles_done, waiting_count, 4),
    WAITING(serial),
    WAITING(thing),
    WAITING(certificate_id),
    WAITING(arn),
    WAITING(extra),
    WAITING(mac),
};
static const struct message_rule report_rules[] = {
    TEXT(struct message_report, ledger),
    TEXT(struct message_report, format),
};
static const struct message_rule report_done_rules[] = {
    FAULT(struct message_report_done, fault),
    COUNTS(struct message_report_done, counts),
};

#define SHAPE(body, rules)                             \
	{                                              \
		true, sizeof(struct body), rules,      \
		    sizeof(rules) / sizeof((rules)[0]) \
	}
#define SHAPE_PLAIN(body)                          \
	{                                          \
		true, sizeof(struct body), NULL, 0 \
	}
#define SHAPE_EMPTY              \
	{                        \
		true, 0, NULL, 0 \
	}
#define SHAPE_DONE SHAPE(message_done, done_rules)

static const struct message_shape shapes[MESSAGE_TYPE_COUNT] = {
    [MESSAGE_SPAWN] = SHAPE(message_spawn, spawn_rules),
    [MESSAGE_SPAWNED] = SHAPE(message_spawned, spawned_rules),
    [MESSAGE_OPEN_KEY] = SHAPE(message_open_key, open_key_rules),
    [MESSAGE_OPEN_KEY_DONE] = SHAPE_DONE,
    [MESSAGE_KILL] = SHAPE_PLAIN(message_kill),
    [MESSAGE_EXITED] = SHAPE(message_exited, exited_rules),
    [MESSAGE_ROLE_UP] = SHAPE(message_role_up, role_up_rules),
    [MESSAGE_CONTROL] = SHAPE(message_control, control_rules),
    [MESSAGE_KEYS_FORGET] = SHAPE(message_keys_forget, keys_forget_rules),
    [MESSAGE_LOAD_LOT] = SHAPE(message_load_lot, load_lot_rules),
    [MESSAGE_LOAD_LOT_DONE] = SHAPE(message_load_lot_done, load_lot_done_rules),
    [MESSAGE_PROGRESS] = SHAPE(message_progress, progress_rules),
    [MESSAGE_GATE] = SHAPE(message_gate, gate_rules),
    [MESSAGE_GATE_DONE] = SHAPE(message_gate_done, gate_done_rules),
    [MESSAGE_INTENT] = SHAPE(message_intent, intent_rules),
    [MESSAGE_INTENT_DONE] = SHAPE(message_intent_done, intent_done_rules),
    [MESSAGE_OUTCOME] = SHAPE(message_outcome, outcome_rules),
    [MESSAGE_OUTCOME_DONE] = SHAPE_DONE,
    [MESSAGE_CLAIM_KEY] = SHAPE_EMPTY,
    [MESSAGE_CLAIM_KEY_DONE] = SHAPE(message_claim_done, claim_done_rules),
    [MESSAGE_ISSUE] = SHAPE(message_issue, issue_rules),
    [MESSAGE_ISSUE_DONE] = SHAPE(message_issue_done, issue_done_rules),
    [MESSAGE_BIND] = SHAPE(message_register, register_rules),
    [MESSAGE_BIND_DONE] = SHAPE(message_cloud_done, cloud_done_rules),
    [MESSAGE_PREREGISTER] = SHAPE(message_register, register_rules),
    [MESSAGE_PREREGISTER_DONE] = SHAPE(message_cloud_done, cloud_done_rules),
    [MESSAGE_ACTIVATE] = SHAPE(message_register, register_rules),
    [MESSAGE_ACTIVATE_DONE] = SHAPE(message_cloud_done, cloud_done_rules),
    [MESSAGE_VERDICT] = SHAPE(message_verdict, verdict_rules),
    [MESSAGE_VERDICT_DONE] = SHAPE(message_verdict_done, verdict_done_rules),
    [MESSAGE_ABORT] = SHAPE_DONE,
    [MESSAGE_CONFIRM] = SHAPE(message_register, register_rules),
    [MESSAGE_CONFIRM_DONE] = SHAPE(message_confirm_done, confirm_done_rules),
    [MESSAGE_LEDGER_READY] = SHAPE(message_ledger_ready, ledger_ready_rules),
    [MESSAGE_LOT_OPEN] = SHAPE(message_lot_open, lot_open_rules),
    [MESSAGE_LOT_OPEN_DONE] = SHAPE(message_lot_open_done, lot_open_done_rules),
    [MESSAGE_LOT_CLOSE] = SHAPE_PLAIN(message_lot),
    [MESSAGE_LOT_CLOSE_DONE] = SHAPE(message_counts_done, counts_done_rules),
    [MESSAGE_LOT_LIST] = SHAPE_PLAIN(message_lot_list),
    [MESSAGE_LOT_LIST_DONE] = SHAPE(message_lot_list_done, lot_list_done_rules),
    [MESSAGE_BEGIN] = SHAPE(message_begin, begin_rules),
    [MESSAGE_BEGIN_DONE] = SHAPE(message_begin_done, begin_done_rules),
    [MESSAGE_RESOLVE] = SHAPE(message_resolve, resolve_rules),
    [MESSAGE_RESOLVE_DONE] = SHAPE(message_resolve_done, resolve_done_rules),
    [MESSAGE_COUNTS] = SHAPE_PLAIN(message_lot),
    [MESSAGE_COUNTS_DONE] = SHAPE(message_counts_done, counts_done_rules),
    [MESSAGE_DISPOSE] = SHAPE(message_dispose, dispose_rules),
    [MESSAGE_DISPOSE_DONE] = SHAPE_DONE,
    [MESSAGE_OBLIGATION] = SHAPE_PLAIN(message_obligation),
    [MESSAGE_OBLIGATION_DONE] =
	SHAPE(message_obligation_done, obligation_done_rules),
    [MESSAGE_ARTICLES] = SHAPE_PLAIN(message_articles),
    [MESSAGE_ARTICLES_DONE] = SHAPE(message_articles_done, articles_done_rules),
    [MESSAGE_CLOUD_LOT] = SHAPE_PLAIN(message_cloud_lot),
    [MESSAGE_CLOUD_LOT_DONE] = SHAPE_DONE,
    [MESSAGE_DISCARD] = SHAPE(message_discard, discard_rules),
    [MESSAGE_DISCARD_DONE] = SHAPE(message_cloud_done, cloud_done_rules),
    [MESSAGE_CLOUD_STATE] = SHAPE(message_cloud_state, cloud_state_rules),
    [MESSAGE_CLAIM_CREATE] = SHAPE(message_claim, claim_rules),
    [MESSAGE_CLAIM_CREATE_DONE] = SHAPE(message_claim_done, claim_done_rules),
    [MESSAGE_PERMIT] = SHAPE_PLAIN(message_permit),
    [MESSAGE_PERMIT_DONE] = SHAPE_DONE,
    [MESSAGE_VAULT_KEY] = SHAPE(message_open_key, open_key_rules),
    [MESSAGE_VAULT_KEY_DONE] = SHAPE_DONE,
    [MESSAGE_VAULT_PAIR] = SHAPE_EMPTY,
    [MESSAGE_VAULT_GRANT] = SHAPE_PLAIN(message_vault_grant),
    [MESSAGE_VAULT_GRANT_DONE] = SHAPE_DONE,
    [MESSAGE_SECRET] = SHAPE(message_secret, secret_rules),
    [MESSAGE_VAULT_SIGN] = SHAPE(message_vault_sign, vault_sign_rules),
    [MESSAGE_VAULT_SIGN_DONE] = SHAPE(message_issue_done, issue_done_rules),
    [MESSAGE_REPORT] = SHAPE(message_report, report_rules),
    [MESSAGE_REPORT_DONE] = SHAPE(message_report_done, report_done_rules),
    [MESSAGE_TOOL] = SHAPE(message_tool, tool_rules),
    [MESSAGE_TOOL_DONE] = SHAPE_DONE,
    [MESSAGE_JOIN] = SHAPE_EMPTY,
    [MESSAGE_JOIN_DONE] = SHAPE_DONE,
    [MESSAGE_VAULT_CLOUD] = SHAPE_EMPTY,
    [MESSAGE_CLOUD_VAULT] = SHAPE_EMPTY,
    [MESSAGE_PROVE] = SHAPE(message_prove, prove_rules),
    [MESSAGE_PROVE_DONE] = SHAPE(message_prove_done, prove_done_rules),
    [MESSAGE_DEPOSIT] = SHAPE(message_deposit, deposit_rules),
    [MESSAGE_DEPOSIT_DONE] = SHAPE_DONE,
    [MESSAGE_BULK_BEGIN] = SHAPE(message_bulk, bulk_rules),
    [MESSAGE_BULK_BEGIN_DONE] = SHAPE(message_bulk_done, bulk_done_rules),
    [MESSAGE_BULK_START] = SHAPE(message_bulk, bulk_rules),
    [MESSAGE_BULK_START_DONE] = SHAPE(message_bulk_done, bulk_done_rules),
    [MESSAGE_BULK_POLL] = SHAPE(message_bulk, bulk_rules),
    [MESSAGE_BULK_POLL_DONE] = SHAPE(message_bulk_done, bulk_done_rules),
    [MESSAGE_BULK_RESULT] = SHAPE(message_bulk, bulk_rules),
    [MESSAGE_BULK_RESULT_DONE] = SHAPE(message_bulk_done, bulk_done_rules),
};

#define FITS(body)                                                      \
	_Static_assert(sizeof(struct body) <=                           \
			   MESSAGE_MAX - sizeof(struct message_header), \
	    #body " fits a message")
FITS(message_issue);
FITS(message_issue_done);
FITS(message_lot_list_done);
FITS(message_outcome);
FITS(message_resolve_done);

static bool
rule_holds(const struct message_rule *rule, const char *body)
{
	const char *at = body + rule->offset;
	uint32_t number;
	size_t i;

	for (i = 0; i < rule->count; i++, at += rule->stride) {
		if (rule->size > 0) {
			if (memchr(at, '\0', rule->size) == NULL)
				return false;
			continue;
		}
		memcpy(&number, at, sizeof(number));
		if (number > rule->limit)
			return false;
	}
	return true;
}

static bool
counts_hold(const struct lot_counts *counts)
{
	size_t i, count = sizeof(counts->pareto) / sizeof(counts->pareto[0]);

	for (i = 0; i < count; i++)
		if (counts->pareto[i].cause >= CAUSE_COUNT)
			return false;
	return true;
}

static bool
lot_list_holds(const void *body)
{
	const struct message_lot_list_done *list = body;
	size_t i;

	for (i = 0; i < LOT_LIST_MAX; i++)
		if (!counts_hold(&list->lots[i].counts))
			return false;
	return true;
}

bool
message_check(uint16_t type, const void *body, size_t len)
{
	const struct message_shape *shape;
	size_t i;

	if (type >= MESSAGE_TYPE_COUNT)
		return false;
	shape = &shapes[type];
	if (!shape->known || len != shape->size)
		return false;
	for (i = 0; i < shape->rule_count; i++)
		if (!rule_holds(&shape->rules[i], body))
			return false;
	return type != MESSAGE_LOT_LIST_DONE || lot_list_holds(body);
}
