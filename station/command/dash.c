/* station dash */
#include "command/command.h"

#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "dash/dash.h"

int
dash_command(const struct invocation *invocation)
{
	static struct control_failure failure;
	const char *no_colour = getenv("NO_COLOR");
	struct dash_setup setup = {
	    .socket = invocation->socket,
	    .lot = invocation->lot,
	    .until_closed = invocation->until_closed,
	    .colour = no_colour == NULL || no_colour[0] == '\0',
	};

	if (invocation->no_input || !isatty(STDIN_FILENO) ||
	    !isatty(STDOUT_FILENO))
		return command_error(EX_USAGE,
		    "the board needs a terminal; use 'station status' or "
		    "'station batch' without one");
	if (dash_run(&setup, &failure) == -1)
		return command_fail(&failure);
	return EX_OK;
}
