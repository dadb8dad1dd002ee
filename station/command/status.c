/* station status */
#include "command/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static const char *
state_name(enum slot_state state)
{
	switch (state) {
	case SLOT_STATE_BUSY:
		return "busy";
	case SLOT_STATE_DONE:
		return "done";
	case SLOT_STATE_HELD:
		return "held";
	case SLOT_STATE_WAITING:
		return "waiting";
	default:
		return "empty";
	}
}

static void
slots_print(const struct snapshot *snapshot)
{
	printf("\n%-8s %-7s %-20s %-12s %5s  %-8s %s\n", "SLOT", "STATE",
	    "SERIAL", "STEP", "%", "VERDICT", "CAUSE");
	for (uint32_t i = 0; i < snapshot->slot_count; i++) {
		const struct snapshot_slot *slot = &snapshot->slots[i];

		printf("%-8s %-7s %-20s %-12s %5u  %-8s %s%s%s\n", slot->name,
		    state_name(slot->state), slot->serial, slot->step,
		    slot->permille / 10, verdict_name(slot->verdict),
		    slot->cause, slot->action[0] != '\0' ? ": " : "",
		    slot->action);
	}
}

static void
snapshot_print(const struct snapshot *snapshot)
{
	printf("station          %s, %s\n", snapshot->station, snapshot->site);
	printf("daemon           %s, up %llu s\n", snapshot->version,
	    (unsigned long long)snapshot->uptime_s);
	printf("ledger           %s\n", snapshot->ledger);
	printf("cloud            %s%s%s\n", snapshot->cloud,
	    snapshot->cloud_text[0] != '\0' ? ": " : "", snapshot->cloud_text);
	printf("line             %s%s%s\n", snapshot->held ? "held" : "free",
	    snapshot->held ? ": " : "",
	    snapshot->held ? snapshot->hold_reason : "");
	printf("alarm            %s: %u failures / %u successes, limit "
	       "%.1f %%\n",
	    snapshot->alarm.ringing ? "RINGING" : "quiet",
	    snapshot->alarm.failures, snapshot->alarm.successes,
	    snapshot->alarm.limit * 100);
	printf("rate             %u units/h\n", snapshot->units_per_hour);
	for (uint32_t i = 0; i < snapshot->lot_count; i++) {
		printf("\n");
		lot_print(&snapshot->lots[i]);
	}
	slots_print(snapshot);
}

int
status_command(const struct invocation *invocation)
{
	struct snapshot *snapshot = NULL;
	json_t *reply = NULL;
	json_t *json;
	int status = command_call(
	    invocation, "status", NULL, -1, WAIT_ANSWER_MS, &reply);

	if (status != EX_OK)
		return status;
	json = json_object_get(reply, "snapshot");
	snapshot = malloc(sizeof(*snapshot));
	if (snapshot == NULL)
		status = command_error(
		    EX_OSERR, "out of memory; free some, then try again");
	else if (invocation->json)
		command_print_json(json);
	else if (snapshot_read(json, snapshot) == 0)
		snapshot_print(snapshot);
	free(snapshot);
	json_decref(reply);
	return status != EX_OK ? status : command_finish(EX_OK);
}
