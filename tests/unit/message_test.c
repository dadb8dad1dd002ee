#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/message.h"
#include "base/role.h"

static char body[MESSAGE_MAX];

/* The one length at which a body of zeros is a message; MESSAGE_MAX none. */
static size_t
body_len(uint16_t type)
{
	size_t len;

	for (len = 0; len < MESSAGE_MAX; len++)
		if (message_check(type, body, len))
			break;
	return len;
}

static int
body_clear(void **state)
{
	(void)state;
	memset(body, 0, sizeof(body));
	return 0;
}

static void
test_names_lead_back(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < INTENT_KIND_COUNT; i++)
		assert_int_equal(
		    intent_by_name(intent_name((enum intent_kind)i)), i);
	assert_int_equal(intent_by_name("nonsense"), INTENT_KIND_COUNT);
	assert_int_equal(intent_by_name("unknown"), INTENT_KIND_COUNT);
	assert_string_equal(intent_name(INTENT_KIND_COUNT), "unknown");
	for (i = 0; i < STEP_NAME_COUNT; i++)
		for (j = 0; j < i; j++)
			assert_string_not_equal(step_name((enum step_name)i),
			    step_name((enum step_name)j));
	assert_string_equal(step_name(STEP_NAME_COUNT), "unknown");
	for (i = 0; i < ROLE_COUNT; i++)
		for (j = 0; j < i; j++)
			assert_string_not_equal(
			    role_name((enum role)i), role_name((enum role)j));
	assert_string_equal(role_name(ROLE_COUNT), "unknown");
}

/* Every request has an answer, and every body fits its channel. */
static void
test_types(void **state)
{
	static const uint16_t known[] = {MESSAGE_SPAWN, MESSAGE_SPAWNED,
	    MESSAGE_OPEN_KEY, MESSAGE_OPEN_KEY_DONE, MESSAGE_KILL,
	    MESSAGE_EXITED, MESSAGE_ROLE_UP, MESSAGE_CONTROL, MESSAGE_LOAD_LOT,
	    MESSAGE_LOAD_LOT_DONE, MESSAGE_PROGRESS, MESSAGE_GATE,
	    MESSAGE_GATE_DONE, MESSAGE_INTENT, MESSAGE_INTENT_DONE,
	    MESSAGE_OUTCOME, MESSAGE_OUTCOME_DONE, MESSAGE_CLAIM_KEY,
	    MESSAGE_CLAIM_KEY_DONE, MESSAGE_ISSUE, MESSAGE_ISSUE_DONE,
	    MESSAGE_BIND, MESSAGE_BIND_DONE, MESSAGE_PREREGISTER,
	    MESSAGE_PREREGISTER_DONE, MESSAGE_ACTIVATE, MESSAGE_ACTIVATE_DONE,
	    MESSAGE_VERDICT, MESSAGE_VERDICT_DONE, MESSAGE_ABORT,
	    MESSAGE_LEDGER_READY, MESSAGE_LOT_OPEN, MESSAGE_LOT_OPEN_DONE,
	    MESSAGE_LOT_CLOSE, MESSAGE_LOT_CLOSE_DONE, MESSAGE_LOT_LIST,
	    MESSAGE_LOT_LIST_DONE, MESSAGE_BEGIN, MESSAGE_BEGIN_DONE,
	    MESSAGE_RESOLVE, MESSAGE_RESOLVE_DONE, MESSAGE_COUNTS,
	    MESSAGE_COUNTS_DONE, MESSAGE_DISPOSE, MESSAGE_DISPOSE_DONE,
	    MESSAGE_OBLIGATION, MESSAGE_OBLIGATION_DONE, MESSAGE_CLOUD_LOT,
	    MESSAGE_CLOUD_LOT_DONE, MESSAGE_DISCARD, MESSAGE_DISCARD_DONE,
	    MESSAGE_CLOUD_STATE, MESSAGE_KEYS_FORGET, MESSAGE_VAULT_KEY,
	    MESSAGE_VAULT_KEY_DONE, MESSAGE_VAULT_PAIR, MESSAGE_VAULT_GRANT,
	    MESSAGE_VAULT_GRANT_DONE, MESSAGE_SECRET, MESSAGE_REPORT,
	    MESSAGE_REPORT_DONE, MESSAGE_CONFIRM, MESSAGE_CONFIRM_DONE,
	    MESSAGE_ARTICLES, MESSAGE_ARTICLES_DONE, MESSAGE_CLAIM_CREATE,
	    MESSAGE_CLAIM_CREATE_DONE, MESSAGE_PERMIT, MESSAGE_PERMIT_DONE,
	    MESSAGE_VAULT_SIGN, MESSAGE_VAULT_SIGN_DONE, MESSAGE_JOIN,
	    MESSAGE_JOIN_DONE, MESSAGE_VAULT_CLOUD, MESSAGE_CLOUD_VAULT,
	    MESSAGE_PROVE, MESSAGE_PROVE_DONE, MESSAGE_DEPOSIT,
	    MESSAGE_DEPOSIT_DONE, MESSAGE_BULK_BEGIN, MESSAGE_BULK_BEGIN_DONE,
	    MESSAGE_BULK_START, MESSAGE_BULK_START_DONE, MESSAGE_BULK_POLL,
	    MESSAGE_BULK_POLL_DONE, MESSAGE_BULK_RESULT,
	    MESSAGE_BULK_RESULT_DONE, MESSAGE_TOOL, MESSAGE_TOOL_DONE};
	size_t i, count = 0;
	uint16_t type;

	(void)state;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_true(body_len(known[i]) <=
			    MESSAGE_MAX - sizeof(struct message_header));
	for (type = 0; type < 300; type++)
		if (body_len(type) < MESSAGE_MAX)
			count++;
	assert_int_equal(count, sizeof(known) / sizeof(known[0]));
	assert_int_equal(body_len(UINT16_MAX), MESSAGE_MAX);
}

static void
test_length_is_exact(void **state)
{
	const size_t len = sizeof(struct message_gate);

	(void)state;
	assert_true(message_check(MESSAGE_GATE, body, len));
	assert_false(message_check(MESSAGE_GATE, body, len - 1));
	assert_false(message_check(MESSAGE_GATE, body, len + 1));
	assert_false(message_check(MESSAGE_GATE, body, 0));
	assert_true(message_check(MESSAGE_CLAIM_KEY, body, 0));
	assert_false(message_check(MESSAGE_CLAIM_KEY, body, 1));
}

/* A text that fills its array to the last byte has no end. */
static void
test_texts_end(void **state)
{
#define ROW(type, body, member)                                           \
	{                                                                 \
		type, sizeof(struct body), offsetof(struct body, member), \
		    sizeof(((struct body *)0)->member)                    \
	}
	static const struct {
		uint16_t type;
		size_t len, offset, size;
	} rows[] = {
	    ROW(MESSAGE_SPAWN, message_spawn, transcript),
	    ROW(MESSAGE_SPAWN, message_spawn, port),
	    ROW(MESSAGE_SPAWNED, message_spawned, fault.text),
	    ROW(MESSAGE_SPAWNED, message_spawned, fault.request_id),
	    ROW(MESSAGE_OPEN_KEY, message_open_key, path),
	    ROW(MESSAGE_OPEN_KEY, message_open_key, certificate),
	    ROW(MESSAGE_VAULT_KEY, message_open_key, certificate),
	    ROW(MESSAGE_VAULT_KEY, message_open_key, secret_path),
	    ROW(MESSAGE_ABORT, message_done, fault.text),
	    ROW(MESSAGE_LOAD_LOT, message_load_lot, folder),
	    ROW(MESSAGE_LOAD_LOT_DONE, message_load_lot_done, fault.text),
	    ROW(MESSAGE_LOT_OPEN, message_lot_open, operator),
	    ROW(MESSAGE_LOT_OPEN_DONE, message_lot_open_done, fault.text),
	    ROW(MESSAGE_COUNTS_DONE, message_counts_done, fault.text),
	    ROW(MESSAGE_LOT_LIST_DONE, message_lot_list_done, lots[0].name),
	    ROW(MESSAGE_LOT_LIST_DONE, message_lot_list_done, lots[31].name),
	    ROW(MESSAGE_LOT_LIST_DONE, message_lot_list_done, lots[31].folder),
	    ROW(MESSAGE_BEGIN, message_begin, slot),
	    ROW(MESSAGE_BEGIN, message_begin, operator),
	    ROW(MESSAGE_BEGIN, message_begin, scanned),
	    ROW(MESSAGE_BEGIN, message_begin, lot_name),
	    ROW(MESSAGE_PROGRESS, message_progress, serial),
	    ROW(MESSAGE_PROGRESS, message_progress, mac),
	    ROW(MESSAGE_PROGRESS, message_progress, note),
	    ROW(MESSAGE_GATE, message_gate, serial),
	    ROW(MESSAGE_GATE, message_gate, mac),
	    ROW(MESSAGE_GATE, message_gate, hardware),
	    ROW(MESSAGE_GATE_DONE, message_gate_done, fault.text),
	    ROW(MESSAGE_GATE_DONE, message_gate_done, serial),
	    ROW(MESSAGE_GATE_DONE, message_gate_done, mac),
	    ROW(MESSAGE_GATE_DONE, message_gate_done, thing),
	    ROW(MESSAGE_GATE_DONE, message_gate_done, extra),
	    ROW(MESSAGE_INTENT, message_intent, note),
	    ROW(MESSAGE_INTENT_DONE, message_intent_done, fault.text),
	    ROW(MESSAGE_INTENT_DONE, message_intent_done, known_id),
	    ROW(MESSAGE_INTENT_DONE, message_intent_done, known_certificate),
	    ROW(MESSAGE_INTENT_DONE, message_intent_done, arn),
	    ROW(MESSAGE_OUTCOME, message_outcome, certificate_id),
	    ROW(MESSAGE_OUTCOME, message_outcome, certificate),
	    ROW(MESSAGE_OUTCOME, message_outcome, arn),
	    ROW(MESSAGE_OUTCOME, message_outcome, cloud_state),
	    ROW(MESSAGE_OUTCOME, message_outcome, request_id),
	    ROW(MESSAGE_ISSUE, message_issue, request),
	    ROW(MESSAGE_ISSUE, message_issue, serial),
	    ROW(MESSAGE_ISSUE, message_issue, known_id),
	    ROW(MESSAGE_ISSUE, message_issue, known_certificate),
	    ROW(MESSAGE_ISSUE_DONE, message_issue_done, fault.request_id),
	    ROW(MESSAGE_ISSUE_DONE, message_issue_done, certificate_id),
	    ROW(MESSAGE_ISSUE_DONE, message_issue_done, certificate),
	    ROW(MESSAGE_ISSUE_DONE, message_issue_done, arn),
	    ROW(MESSAGE_ISSUE_DONE, message_issue_done, request_id),
	    ROW(MESSAGE_BIND, message_register, serial),
	    ROW(MESSAGE_BIND, message_register, thing),
	    ROW(MESSAGE_PREREGISTER, message_register, certificate_id),
	    ROW(MESSAGE_PREREGISTER, message_register, arn),
	    ROW(MESSAGE_PREREGISTER, message_register, extra),
	    ROW(MESSAGE_PREREGISTER, message_register, mac),
	    ROW(MESSAGE_ACTIVATE, message_register, certificate_id),
	    ROW(MESSAGE_BIND_DONE, message_cloud_done, request_id),
	    ROW(MESSAGE_ACTIVATE_DONE, message_cloud_done, cloud_state),
	    ROW(MESSAGE_DISCARD, message_discard, certificate_id),
	    ROW(MESSAGE_DISCARD, message_discard, thing),
	    ROW(MESSAGE_DISCARD, message_discard, keep_id),
	    ROW(MESSAGE_VERDICT, message_verdict, fault.text),
	    ROW(MESSAGE_VERDICT_DONE, message_verdict_done, fault.text),
	    ROW(MESSAGE_RESOLVE_DONE, message_resolve_done, slot),
	    ROW(MESSAGE_RESOLVE_DONE, message_resolve_done, bind.thing),
	    ROW(MESSAGE_RESOLVE_DONE, message_resolve_done, bind.extra),
	    ROW(MESSAGE_RESOLVE_DONE, message_resolve_done, verdict.fault.text),
	    ROW(MESSAGE_LEDGER_READY, message_ledger_ready, fault.text),
	    ROW(MESSAGE_DISPOSE, message_dispose, serial),
	    ROW(MESSAGE_DISPOSE, message_dispose, operator),
	    ROW(MESSAGE_DISPOSE, message_dispose, reason),
	    ROW(MESSAGE_OBLIGATION_DONE, message_obligation_done,
		discard.thing),
	    ROW(MESSAGE_CLOUD_STATE, message_cloud_state, text),
	    ROW(MESSAGE_SECRET, message_secret, pem),
	    ROW(MESSAGE_REPORT, message_report, ledger),
	    ROW(MESSAGE_REPORT, message_report, format),
	    ROW(MESSAGE_REPORT_DONE, message_report_done, fault.text),
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(body + rows[i].offset, 'x', rows[i].size - 1);
		assert_true(message_check(rows[i].type, body, rows[i].len));
		memset(body + rows[i].offset, 'x', rows[i].size);
		if (message_check(rows[i].type, body, rows[i].len))
			fail_msg("type %d, offset %zu: a text without end",
			    rows[i].type, rows[i].offset);
		memset(body, 0, sizeof(body));
	}
#undef ROW
}

/* Numbers that receivers use as an index or look up in a table. */
static void
test_numbers_exist(void **state)
{
#define ROW(type, body, member, limit)                                    \
	{                                                                 \
		type, sizeof(struct body), offsetof(struct body, member), \
		    limit                                                 \
	}
	static const struct {
		uint16_t type;
		size_t len, offset;
		uint32_t limit;
	} rows[] = {
	    ROW(MESSAGE_SPAWN, message_spawn, role, ROLE_COUNT - 1),
	    ROW(MESSAGE_SPAWNED, message_spawned, fault.cause,
		CAUSE_BAD_REQUEST),
	    ROW(MESSAGE_EXITED, message_exited, role, ROLE_COUNT - 1),
	    ROW(MESSAGE_ROLE_UP, message_role_up, role, ROLE_COUNT - 1),
	    ROW(MESSAGE_CONTROL, message_control, signal, CONTROL_RELOAD),
	    ROW(MESSAGE_OUTCOME_DONE, message_done, fault.cause,
		CAUSE_BAD_REQUEST),
	    ROW(MESSAGE_COUNTS_DONE, message_counts_done,
		counts.pareto[7].cause, CAUSE_BAD_REQUEST),
	    ROW(MESSAGE_REPORT_DONE, message_report_done,
		counts.pareto[0].cause, CAUSE_BAD_REQUEST),
	    ROW(MESSAGE_LOT_LIST_DONE, message_lot_list_done, count, 32),
	    ROW(MESSAGE_LOT_LIST_DONE, message_lot_list_done, lots[31].state,
		LOT_STATE_CLOSED),
	    ROW(MESSAGE_LOT_LIST_DONE, message_lot_list_done,
		lots[31].counts.pareto[7].cause, CAUSE_BAD_REQUEST),
	    ROW(MESSAGE_PROGRESS, message_progress, step, STEP_VERDICT),
	    ROW(MESSAGE_PROGRESS, message_progress, permille, 1000),
	    ROW(MESSAGE_INTENT, message_intent, kind, INTENT_ERASE),
	    ROW(MESSAGE_OUTCOME, message_outcome, kind, INTENT_ERASE),
	    ROW(MESSAGE_ISSUE, message_issue, kind, ISSUE_KEYS),
	    ROW(MESSAGE_VAULT_SIGN, message_vault_sign, part_count, 8),
	    ROW(MESSAGE_OPEN_KEY, message_open_key, lot, 7),
	    ROW(MESSAGE_VAULT_KEY, message_open_key, lot, 7),
	    ROW(MESSAGE_KEYS_FORGET, message_keys_forget, lot, 7),
	    ROW(MESSAGE_PROVE, message_prove, len, PROVE_INPUT_MAX),
	    ROW(MESSAGE_DEPOSIT, message_deposit, len, CERTIFICATE_LEN - 1),
	    ROW(MESSAGE_BULK_POLL_DONE, message_bulk_done, percent, 100),
	    ROW(MESSAGE_VERDICT, message_verdict, verdict, VERDICT_STAGED),
	    ROW(MESSAGE_VERDICT, message_verdict, step, STEP_VERDICT),
	    ROW(MESSAGE_RESOLVE, message_resolve, cause, CAUSE_BAD_REQUEST),
	    ROW(MESSAGE_RESOLVE_DONE, message_resolve_done, action,
		RESOLVE_CONFIRM),
	    ROW(MESSAGE_RESOLVE_DONE, message_resolve_done, verdict.verdict,
		VERDICT_STAGED),
	    ROW(MESSAGE_LEDGER_READY, message_ledger_ready, attempts, 256),
	    ROW(MESSAGE_DISPOSE, message_dispose, kind, DISPOSE_REWORK),
	    ROW(MESSAGE_CLOUD_STATE, message_cloud_state, state,
		CLOUD_STATE_LAPSED),
	    ROW(MESSAGE_SECRET, message_secret, len, CERTIFICATE_LEN - 1),
	};
	uint32_t number;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		number = rows[i].limit;
		memcpy(body + rows[i].offset, &number, sizeof(number));
		if (!message_check(rows[i].type, body, rows[i].len))
			fail_msg("type %d, offset %zu: %u is refused",
			    rows[i].type, rows[i].offset, (unsigned)number);
		number++;
		memcpy(body + rows[i].offset, &number, sizeof(number));
		if (message_check(rows[i].type, body, rows[i].len))
			fail_msg("type %d, offset %zu: %u is accepted",
			    rows[i].type, rows[i].offset, (unsigned)number);
		number = UINT32_MAX;
		memcpy(body + rows[i].offset, &number, sizeof(number));
		assert_false(message_check(rows[i].type, body, rows[i].len));
		memset(body, 0, sizeof(body));
	}
#undef ROW
}

/* Only the null device stands for what a role was not given. */
static void
test_absent_descriptor(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int pipes[2];

	(void)state;
	assert_true(null >= 0 && zero >= 0);
	assert_int_equal(pipe(pipes), 0);
	assert_false(role_fd_given(null));
	assert_true(role_fd_given(zero));
	assert_true(role_fd_given(pipes[0]));
	close(null);
	close(zero);
	close(pipes[0]);
	close(pipes[1]);
	assert_false(role_fd_given(pipes[0]));
	assert_false(role_fd_given(-1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names_lead_back),
	    cmocka_unit_test(test_absent_descriptor),
	    cmocka_unit_test_setup(test_types, body_clear),
	    cmocka_unit_test_setup(test_length_is_exact, body_clear),
	    cmocka_unit_test_setup(test_texts_end, body_clear),
	    cmocka_unit_test_setup(test_numbers_exist, body_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
