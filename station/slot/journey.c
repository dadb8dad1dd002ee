#include "slot/journey.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pki/key.h"
#include "slot/claim.h"
#include "slot/enroll.h"

/* Where each step begins on the progress bar, in permille of the whole. */
static const uint32_t step_permille[STEP_NAME_COUNT] = {
    [STEP_IDENTIFY] = 10,
    [STEP_GATE] = 40,
    [STEP_FLASH] = 50,
    [STEP_INJECT] = 600,
    [STEP_CONSOLE] = 650,
    [STEP_REGISTER] = 800,
    [STEP_WRITE_BACK] = 850,
    [STEP_ACTIVATE] = 930,
    [STEP_CONFIRM] = 850,
    [STEP_ERASE] = 950,
    [STEP_COMMIT] = 980,
};

void
journey_step(struct journey *journey, enum step_name step, const char *note)
{
	journey->step = step;
	link_progress(journey->link, step, step_permille[step], note);
	if (note[0] != '\0')
		transcript_note(
		    journey->transcript, "%s: %s", step_name(step), note);
	else
		transcript_note(journey->transcript, "%s", step_name(step));
}

/* ---- records ---- */

int
journey_intent(struct journey *journey, enum intent_kind kind,
    const struct digest *digest, const char *note, struct fault *fault)
{
	struct message_intent intent;
	struct message_intent_done done;

	memset(&intent, 0, sizeof(intent));
	intent.kind = kind;
	if (digest != NULL)
		intent.digest = *digest;
	text_copy(intent.note, sizeof(intent.note), note);
	return link_request(journey->link, MESSAGE_INTENT, &intent,
	    sizeof(intent), &done, sizeof(done), fault);
}

int
journey_outcome(struct journey *journey, enum intent_kind kind,
    const struct digest *digest, bool verified, struct fault *fault)
{
	struct message_outcome *outcome = calloc(1, sizeof(*outcome));
	struct message_done done;
	int status;

	if (outcome == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	outcome->kind = kind;
	outcome->done = 1;
	outcome->unverified = !verified;
	if (digest != NULL)
		outcome->digest = *digest;
	status = link_request(journey->link, MESSAGE_OUTCOME, outcome,
	    sizeof(*outcome), &done, sizeof(done), fault);
	free(outcome);
	return status;
}

/* ---- the gate ---- */

static int
gate_ask(struct journey *journey, const char *serial, const char *mac,
    struct fault *fault)
{
	struct message_gate gate;

	memset(&gate, 0, sizeof(gate));
	if (text_copy(gate.serial, sizeof(gate.serial), serial) == -1)
		return fault_set(fault, CAUSE_SERIAL_MISMATCH,
		    "the unit's serial has more than %d characters",
		    SERIAL_LEN - 1);
	text_copy(gate.mac, sizeof(gate.mac), mac);
	text_copy(
	    gate.hardware, sizeof(gate.hardware), journey->identity.hardware);
	gate.unverified = journey->identity.secure_download;
	return link_request(journey->link, MESSAGE_GATE, &gate, sizeof(gate),
	    &journey->gate, sizeof(journey->gate), fault);
}

static int
variable_set(struct journey *journey, const char *name, const char *value,
    struct fault *fault)
{
	return engine_set(
	    journey->engine, name, value, strlen(value), false, fault);
}

/* What the ledger said of the unit becomes known to the console's steps. */
static int
gate_variables(struct journey *journey, struct fault *fault)
{
	json_t *extra, *value;
	const char *key;
	char name[PROGRAM_NAME_LEN + 16];
	int status = 0;

	if (variable_set(journey, "serial", journey->gate.serial, fault) ==
		-1 ||
	    variable_set(journey, "thing", journey->gate.thing, fault) == -1 ||
	    variable_set(journey, "mac", journey->gate.mac, fault) == -1)
		return -1;
	extra = json_loads(journey->gate.extra, 0, NULL);
	json_object_foreach (extra, key, value) {
		snprintf(name, sizeof(name), "manifest.%s", key);
		if (status == 0 && json_is_string(value))
			status = variable_set(
			    journey, name, json_string_value(value), fault);
	}
	json_decref(extra);
	return status;
}

/* ---- the engine's calls ---- */

/*
 * The unit's own word on who it is, after its firmware runs. It must be the
 * unit that was flashed; and where only the firmware knows the serial, the
 * gate is asked again, before anything more is written.
 */
static int
identify_call(void *arg, struct engine *engine, const char *serial,
    const char *mac, struct fault *fault)
{
	struct journey *journey = arg;
	const char *before = journey->identity.mac;

	(void)engine;
	if (mac[0] != '\0' && before[0] != '\0' && strcasecmp(mac, before) != 0)
		return fault_set(fault, CAUSE_SWAPPED,
		    "the unit that was flashed is %s, the one that answers "
		    "now is %s",
		    before, mac);
	if (journey->gate.bound != 0) {
		/* A step that asks for the MAC only says no serial. */
		if (journey->lot->profile.program.identifies == 0 &&
		    serial[0] == '\0')
			return 0;
		if (strcmp(serial, journey->gate.serial) != 0)
			return fault_set(fault, CAUSE_SERIAL_MISMATCH,
			    "the unit says serial %s, the station gave it %s",
			    serial[0] == '\0' ? "(none)" : serial,
			    journey->gate.serial);
		return 0;
	}
	journey->step = STEP_GATE;
	if (gate_ask(
		journey, serial, before[0] != '\0' ? before : mac, fault) == -1)
		return -1;
	journey->step = STEP_CONSOLE;
	return gate_variables(journey, fault);
}

static void
console_progress(void *arg, uint32_t done, uint32_t total, const char *text)
{
	struct journey *journey = arg;
	uint32_t from, to;

	if (journey->step != STEP_WRITE_BACK && journey->step != STEP_ERASE &&
	    journey->step != STEP_CONFIRM)
		journey->step = STEP_CONSOLE;
	from = step_permille[journey->step];
	to = journey->step == STEP_CONSOLE ? step_permille[STEP_REGISTER]
	     : journey->step == STEP_ERASE ? step_permille[STEP_COMMIT]
					   : step_permille[STEP_ACTIVATE];
	link_progress(journey->link, journey->step,
	    total == 0 ? from : from + (to - from) * done / total, text);
}

/* ---- the parts of the journey ---- */

static int
engine_prepare(struct journey *journey, struct fault *fault)
{
	const struct lot_image *lot = journey->lot;
	char host[sizeof(lot->endpoint)], port[8];
	struct engine_calls calls = {.identify = identify_call,
	    .enroll = enroll_call,
	    .confirm = confirm_call,
	    .progress = console_progress,
	    .arg = journey};
	const struct {
		const char *name, *value;
	} given[] = {
	    {"lot", lot->name},
	    {"product", lot->product},
	    {"part_number", lot->part_number},
	    {"station", journey->job->station},
	    {"firmware_version", lot->firmware_version},
	    {"endpoint", host},
	    {"endpoint_port", port},
	    {"claim_after", lot->claim_erase != 0 ? "erase" : "keep"},
	    {"ending", ending_name((enum ending)lot->ending)},
	    {"wifi_ssid", lot->wifi_ssid},
	    {"wifi_password", ""},
	    {"template", lot->template_name},
	    {"root_ca", lot->root_ca},
	    {"claim_cert", lot->claim_certificate},
	    {"mac", ""},
	    {"serial", ""},
	    {"thing", ""},
	};
	size_t i;

	snprintf(port, sizeof(port), "%u",
	    (unsigned)lot_endpoint(lot, host, sizeof(host)));
	journey->engine = engine_new(&lot->profile.program, journey->port,
	    journey->transcript, &calls, fault);
	if (journey->engine == NULL)
		return -1;
	for (i = 0; i < sizeof(given) / sizeof(given[0]); i++)
		if (variable_set(
			journey, given[i].name, given[i].value, fault) == -1)
			return -1;
	return 0;
}

static void
flash_progress(void *arg, uint64_t done, uint64_t total)
{
	struct journey *journey = arg;
	uint32_t from = step_permille[STEP_FLASH];
	uint32_t span = step_permille[STEP_INJECT] - from;
	char note[48];

	if (journey->step != STEP_FLASH || total == 0)
		return;
	snprintf(note, sizeof(note), "%llu of %llu KiB",
	    (unsigned long long)(done / 1024),
	    (unsigned long long)(total / 1024));
	link_progress(journey->link, STEP_FLASH,
	    from + (uint32_t)(done * span / total), note);
}

static int
unit_identify(struct journey *journey, struct fault *fault)
{
	journey_step(journey, STEP_IDENTIFY, "");
	journey->session = esp_session_new(journey->port,
	    &journey->lot->profile.esp, flash_progress, journey, fault);
	if (journey->session == NULL ||
	    esp_connect(journey->session, &journey->identity, fault) == -1)
		return -1;
	transcript_note(journey->transcript, "%s, mac %s",
	    journey->identity.hardware,
	    journey->identity.mac[0] == '\0' ? "unreadable"
					     : journey->identity.mac);
	text_copy(journey->link->progress.mac,
	    sizeof(journey->link->progress.mac), journey->identity.mac);
	journey_step(journey, STEP_GATE, "");
	if (gate_ask(journey, "", journey->identity.mac, fault) == -1)
		return -1;
	return gate_variables(journey, fault);
}

/* A unit that comes back for its certificate keeps what it has. */
static int
unit_flash(struct journey *journey, struct fault *fault)
{
	bool verified = false;

	if (journey->gate.issued != 0)
		return 0;
	journey_step(journey, STEP_FLASH, "");
	if (journey_intent(journey, INTENT_FLASH,
		&journey->lot->firmware_digest, journey->lot->firmware_version,
		fault) == -1 ||
	    esp_raise_baud(journey->session, fault) == -1 ||
	    esp_write_firmware(
		journey->session, journey->firmware, &verified, fault) == -1)
		return -1;
	journey->unverified = journey->unverified || !verified;
	return journey_outcome(journey, INTENT_FLASH,
	    &journey->lot->firmware_digest, verified, fault);
}

static int
unit_inject(struct journey *journey, struct fault *fault)
{
	bool verified = false;
	bool claims = plan_injects_claim(journey->lot);
	bool lends = journey->lot->wifi_ssid[0] != '\0';
	int status;

	if (journey->gate.issued != 0 ||
	    (!claims && !lends && journey->lot->profile.inject_count == 0))
		return 0;
	journey_step(journey, STEP_INJECT, "");
	if ((claims || lends) && claim_take(journey, fault) == -1)
		return -1;
	/* Without a claim the images are settings, no identity. */
	status = claims ? claim_inject(journey, &verified, fault)
			: images_write(journey, &verified, fault);
	if (status == -1)
		return -1;
	journey->unverified = journey->unverified || !verified;
	/* The account knows the unit before it can connect. */
	if (!claims || journey->lot->ending != ENDING_BENCH)
		return 0;
	journey_step(journey, STEP_REGISTER, "");
	return journey_cloud(journey, MESSAGE_PREREGISTER, fault);
}

static int
unit_console(struct journey *journey, struct fault *fault)
{
	journey_step(journey, STEP_CONSOLE, "");
	if (esp_run(journey->session, fault) == -1)
		return -1;
	if (journey->lot->profile.program.step_count == 0)
		return 0;
	return engine_run(journey->engine, fault);
}

/* What is left of the plan when the console's program has run. */
static int
unit_finish(struct journey *journey, struct fault *fault)
{
	if (certificate_written(journey, fault) == -1)
		return -1;
	if (journey->lot->ending == ENDING_FIELD &&
	    journey_demands(journey, INTENT_PREREGISTER)) {
		journey_step(journey, STEP_REGISTER, "");
		if (journey_cloud(journey, MESSAGE_PREREGISTER, fault) == -1)
			return -1;
	}
	if (journey_demands(journey, INTENT_ACTIVATE)) {
		journey_step(journey, STEP_ACTIVATE, "");
		if (journey_cloud(journey, MESSAGE_ACTIVATE, fault) == -1)
			return -1;
	}
	if (journey_demands(journey, INTENT_CONFIRM) && !journey->confirmed)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "the profile's steps never waited for the unit's first "
		    "connection");
	if (!journey_demands(journey, INTENT_ERASE))
		return 0;
	return journey_outcome(journey, INTENT_ERASE, NULL, true, fault);
}

static int
journey_steps(struct journey *journey, struct fault *fault)
{
	if (engine_prepare(journey, fault) == -1 ||
	    unit_identify(journey, fault) == -1 ||
	    unit_flash(journey, fault) == -1 ||
	    unit_inject(journey, fault) == -1 ||
	    unit_console(journey, fault) == -1 ||
	    unit_finish(journey, fault) == -1)
		return -1;
	journey_step(journey, STEP_COMMIT, "");
	return 0;
}

int
journey_run(struct journey *journey, struct fault *fault)
{
	struct fault ignored;
	int status = journey_steps(journey, fault);

	if (status == -1)
		claim_withdraw(journey, fault);

	/* A unit that the gate refused goes as it came: in its own firmware,
	 * not in its loader. */
	if (status == -1 && journey->step == STEP_GATE &&
	    journey->session != NULL)
		(void)esp_run(journey->session, &ignored);
	return status;
}
