/* station bulk */
#include "command/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"

static int
member(const json_t *json, const char *name)
{
	return (int)json_integer_value(json_object_get(json, name));
}

static const char *
text(const json_t *json, const char *name)
{
	const char *value = json_string_value(json_object_get(json, name));

	return value != NULL ? value : "";
}

/* The last event: 0 all units have a certificate, 1 some lack one. */
static int
bulk_end(const struct invocation *invocation, const json_t *event)
{
	if (invocation->json)
		command_print_json(event);
	if (text(event, "cause")[0] != '\0')
		return command_error(EX_SOFTWARE, "%s; %s", text(event, "text"),
		    text(event, "action"));
	if (!invocation->quiet)
		fprintf(stderr,
		    "lot %s: %d of %d units have their certificate\n",
		    text(event, "lot"), member(event, "issued"),
		    member(event, "units"));
	if (member(event, "refused") > 0)
		fprintf(stderr,
		    "station: %d units have none; the first refusal: %s; "
		    "correct the cause and run this again\n",
		    member(event, "refused"), text(event, "text"));
	return command_finish(
	    member(event, "refused") > 0 ? EXIT_SOME_FAILED : EXIT_ALL_PASSED);
}

/* The daemon follows the task by itself; here it is only watched. */
static int
bulk_follow(const struct invocation *invocation, struct control_client *client,
    struct control_failure *failure)
{
	for (;;) {
		struct control_message message = {NULL, NULL};
		int rc = control_next(
		    client, clock_deadline(WAIT_ANSWER_MS), &message, failure);
		int status;

		if (rc == -1) {
			command_fail(failure);
			return command_error(failure->exit_status,
			    "the task goes on without the station; run "
			    "'station bulk %s' again to take its results in",
			    invocation->arguments[0]);
		}
		if (rc == 0 || !control_message_is(&message, "bulk")) {
			control_message_free(&message);
			continue;
		}
		if (json_is_true(json_object_get(message.json, "ended"))) {
			status = bulk_end(invocation, message.json);
			control_message_free(&message);
			return status;
		}
		if (!invocation->quiet)
			fprintf(stderr, "%s: %d %%, %d done, %d failed\n",
			    text(message.json, "status"),
			    member(message.json, "percent"),
			    member(message.json, "succeeded"),
			    member(message.json, "failed"));
		control_message_free(&message);
	}
}

int
bulk_command(const struct invocation *invocation)
{
	static struct control_failure failure;
	const char *lot = invocation->arguments[0];
	struct control_client *client;
	json_t *reply = NULL;
	int status;

	client = control_connect(invocation->socket, &failure);
	if (client == NULL)
		return command_fail(&failure);
	/* Before the request, so that no event can come too early. */
	reply = control_call(client, "subscribe",
	    json_pack("{s:b,s:s}", "verdicts", 1, "lot", lot), -1,
	    clock_deadline(WAIT_ANSWER_MS), &failure);
	if (reply == NULL) {
		status = command_fail(&failure);
		goto out;
	}
	json_decref(reply);
	reply = control_call(client, "bulk",
	    json_pack(
		"{s:s,s:s}", "lot", lot, "operator", invocation->operator_name),
	    -1, clock_deadline(WAIT_REPORT_MS), &failure);
	if (reply == NULL) {
		status = command_fail(&failure);
		goto out;
	}
	if (!invocation->quiet)
		fprintf(stderr, "lot %s: task %s %s %d units (%s)\n", lot,
		    text(reply, "task"),
		    json_is_true(json_object_get(reply, "resumed"))
			? "goes on with"
			: "registers",
		    member(reply, "units"), text(reply, "key"));
	status = bulk_follow(invocation, client, &failure);
out:
	json_decref(reply);
	control_client_free(client);
	return status;
}
