/* station hold, release, acknowledge: short words to the line */
#include "command/command.h"

#include <sysexits.h>

static int
line_call(
    const struct invocation *invocation, const char *command, json_t *members)
{
	json_t *reply = NULL;
	int status = command_call(
	    invocation, command, members, -1, WAIT_ANSWER_MS, &reply);

	json_decref(reply);
	return status;
}

int
hold_command(const struct invocation *invocation)
{
	return line_call(invocation, "hold",
	    json_pack("{s:s}", "reason", invocation->arguments[0]));
}

int
release_command(const struct invocation *invocation)
{
	return line_call(invocation, "release", NULL);
}

int
acknowledge_command(const struct invocation *invocation)
{
	return line_call(invocation, "acknowledge",
	    json_pack("{s:s}", "slot", invocation->arguments[0]));
}

int
unit_abort_command(const struct invocation *invocation)
{
	return line_call(invocation, "abort",
	    json_pack("{s:s}", "slot", invocation->arguments[0]));
}
