/* station lot check: what the daemon would say, without one. */
#include <stdio.h>
#include <sysexits.h>

#include "command/command.h"
#include "lot/check.h"

int
lot_check_command(const struct invocation *invocation)
{
	const char *config =
	    invocation->config != NULL ? invocation->config : CONFIG_DEFAULT;
	struct problems problems;
	int status = EX_OK;

	problems_init(&problems);
	if (lot_check_one(config, invocation->arguments[0], &problems) != 0)
		status = EX_CONFIG;
	if (problems.warnings.data != NULL)
		fputs(problems.warnings.data, stdout);
	if (problems.text.data != NULL)
		fputs(problems.text.data, stdout);
	(void)fflush(stdout);
	if (problems.count != 0)
		fprintf(stderr, "station: %zu error%s\n", problems.count,
		    problems.count == 1 ? "" : "s");
	problems_free(&problems);
	return command_finish(status);
}
