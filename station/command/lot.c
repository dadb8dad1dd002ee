/* station lot open, close, list, show */
#include "command/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

/* Prints the lot of the reply, which it takes. */
static int
lot_answer(const struct invocation *invocation, json_t *reply)
{
	json_t *json = json_object_get(reply, "lot");
	struct snapshot_lot lot;

	if (invocation->json)
		command_print_json(json);
	else if (snapshot_read_lot(json, &lot) == 0)
		lot_print(&lot);
	json_decref(reply);
	return command_finish(EX_OK);
}

static int
lot_call(
    const struct invocation *invocation, const char *command, json_t *members)
{
	json_t *reply = NULL;
	int status =
	    command_call(invocation, command, members, -1, WAIT_LOT_MS, &reply);

	return status != EX_OK ? status : lot_answer(invocation, reply);
}

int
lot_open_command(const struct invocation *invocation)
{
	return lot_call(invocation, "lot-open",
	    json_pack("{s:s,s:s}", "lot", invocation->arguments[0], "operator",
		invocation->operator_name));
}

int
lot_close_command(const struct invocation *invocation)
{
	return lot_call(invocation, "lot-close",
	    json_pack("{s:s}", "lot", invocation->arguments[0]));
}

int
lot_show_command(const struct invocation *invocation)
{
	return lot_call(invocation, "lot-show",
	    json_pack("{s:s}", "lot", invocation->arguments[0]));
}

static void
lots_print(const json_t *lots)
{
	const json_t *json;
	size_t i;

	printf("%-24s %-6s %8s %8s %8s %8s %8s\n", "LOT", "STATE", "QUANTITY",
	    "PASSED", "FAILED", "MISSING", "YIELD");
	json_array_foreach (lots, i, json) {
		struct snapshot_lot lot;
		char yield[16] = "-";

		if (snapshot_read_lot(json, &lot) == -1)
			continue;
		if (lot.yield_permille >= 0)
			snprintf(yield, sizeof(yield), "%d.%d %%",
			    lot.yield_permille / 10, lot.yield_permille % 10);
		printf("%-24s %-6s %8u %8u %8u %8u %8s\n", lot.name,
		    lot.open ? "open" : "closed", lot.quantity, lot.passed,
		    lot.failed, lot.missing, yield);
	}
}

int
lot_list_command(const struct invocation *invocation)
{
	json_t *reply = NULL;
	const json_t *lots;
	int status = command_call(
	    invocation, "lot-list", NULL, -1, WAIT_ANSWER_MS, &reply);

	if (status != EX_OK)
		return status;
	lots = json_object_get(reply, "lots");
	if (invocation->json)
		command_print_json(lots);
	else
		lots_print(lots);
	json_decref(reply);
	return command_finish(EX_OK);
}
