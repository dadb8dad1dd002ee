/* station unit make, scrap, quarantine, rework */
#include "command/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/clock.h"

/* ---- decisions about a unit ---- */

static int
dispose(const struct invocation *invocation, const char *kind)
{
	json_t *reply = NULL;
	int status = command_call(invocation, "dispose",
	    json_pack("{s:s,s:s,s:s,s:s,s:s}", "lot", invocation->lot, "serial",
		invocation->arguments[0], "kind", kind, "operator",
		invocation->operator_name, "reason", invocation->reason),
	    -1, WAIT_ANSWER_MS, &reply);

	if (status == EX_OK && invocation->json) {
		command_print_json(reply);
		status = command_finish(status);
	}
	json_decref(reply);
	return status;
}

int
unit_scrap_command(const struct invocation *invocation)
{
	return dispose(invocation, "scrap");
}

int
unit_quarantine_command(const struct invocation *invocation)
{
	return dispose(invocation, "quarantine");
}

int
unit_rework_command(const struct invocation *invocation)
{
	return dispose(invocation, "rework");
}

/* ---- one attempt, waited for ---- */

/* True when the event is the verdict of that attempt. */
static bool
is_verdict_of(const struct control_message *message, json_int_t attempt)
{
	return control_message_is(message, "verdict") &&
	       json_integer_value(json_object_get(message->json, "attempt")) ==
		   attempt;
}

/*
 * Waits for the verdict without a bound: the daemon has its own for every
 * step, and an attempt always ends in a verdict.
 */
static int
verdict_wait(const struct invocation *invocation, struct control_client *client,
    json_int_t attempt, struct control_failure *failure)
{
	for (;;) {
		struct control_message message = {NULL, NULL};
		int rc = control_next(
		    client, clock_deadline(WAIT_ANSWER_MS), &message, failure);
		int status;

		if (rc == -1) {
			command_fail(failure);
			return command_error(failure->exit_status,
			    "the verdict of attempt %lld is not known; "
			    "'station report %s' has it",
			    (long long)attempt, invocation->lot);
		}
		if (rc == 0 || !is_verdict_of(&message, attempt)) {
			control_message_free(&message);
			continue;
		}
		status = verdict_exit_status(snapshot_verdict(json_string_value(
		    json_object_get(message.json, "verdict"))));
		if (invocation->json)
			command_print_json(message.json);
		else
			verdict_report(message.json);
		control_message_free(&message);
		return command_finish(status);
	}
}

int
unit_make_command(const struct invocation *invocation)
{
	static struct control_failure failure;
	struct control_client *client = NULL;
	json_t *reply = NULL;
	json_t *members;
	json_int_t attempt;
	int status;

	client = control_connect(invocation->socket, &failure);
	if (client == NULL)
		return command_fail(&failure);
	/* Before the request, so that no verdict can come too early. */
	reply = control_call(client, "subscribe",
	    json_pack("{s:b,s:s}", "verdicts", 1, "lot", invocation->lot), -1,
	    clock_deadline(WAIT_ANSWER_MS), &failure);
	if (reply == NULL) {
		status = command_fail(&failure);
		goto out;
	}
	json_decref(reply);
	members = json_pack("{s:s,s:s,s:s}", "lot", invocation->lot, "slot",
	    invocation->slot, "operator", invocation->operator_name);
	if (invocation->count > 0)
		json_object_set_new(
		    members, "serial", json_string(invocation->arguments[0]));
	reply = control_call(client, "make", members, -1,
	    clock_deadline(WAIT_ANSWER_MS), &failure);
	if (reply == NULL) {
		status = command_fail(&failure);
		goto out;
	}
	attempt = json_integer_value(json_object_get(reply, "attempt"));
	status = verdict_wait(invocation, client, attempt, &failure);
out:
	json_decref(reply);
	control_client_free(client);
	return status;
}
