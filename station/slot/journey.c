#include "slot/journey.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pki/csr.h"
#include "pki/key.h"
#include "slot/claim.h"

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
    [STEP_COMMIT] = 980,
};

static void
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

static int
certificate_take(struct journey *journey, struct engine *engine,
    const struct message_issue_done *issued, struct fault *fault)
{
	if (digest_bytes(issued->certificate, strlen(issued->certificate),
		&journey->certificate_digest) == -1)
		return fault_set(fault, CAUSE_INTERNAL, "SHA-256 failed");
	if (engine_set(engine, "device_cert", issued->certificate,
		strlen(issued->certificate), false, fault) == -1 ||
	    engine_set(engine, "certificate_id", issued->certificate_id,
		strlen(issued->certificate_id), false, fault) == -1)
		return -1;
	/* From here on the unit gets its identity. */
	journey->certified = true;
	return journey_intent(journey, INTENT_WRITE,
	    &journey->certificate_digest, "certificate", fault);
}

/* A certificate for the unit's own key: INACTIVE until it holds it. */
static int
enroll_call(
    void *arg, struct engine *engine, const char *csr, struct fault *fault)
{
	struct journey *journey = arg;
	struct message_issue *issue = calloc(1, sizeof(*issue));
	struct message_issue_done *issued = calloc(1, sizeof(*issued));
	struct message_register bind;
	struct message_cloud_done bound;
	struct csr checked;
	int status = -1;

	if (issue == NULL || issued == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto out;
	}
	journey_step(journey, STEP_CHECK, "");
	if (journey->gate.bound == 0) {
		fault_set(fault, CAUSE_BAD_LOT,
		    "the profile registers a unit before it identified it");
		goto out;
	}
	if (csr_check(csr, strlen(csr), journey->gate.serial, CSR_KEY_ANY,
		&checked, fault) == -1)
		goto out;
	journey_step(journey, STEP_REGISTER, "");
	text_copy(issue->request, sizeof(issue->request), csr);
	issue->spki = checked.spki;
	if (link_request(journey->link, MESSAGE_ISSUE, issue, sizeof(*issue),
		issued, sizeof(*issued), fault) == -1)
		goto out;
	memset(&bind, 0, sizeof(bind));
	if (link_request(journey->link, MESSAGE_BIND, &bind, sizeof(bind),
		&bound, sizeof(bound), fault) == -1)
		goto out;
	journey_step(journey, STEP_WRITE_BACK, "");
	status = certificate_take(journey, engine, issued, fault);
out:
	free(issue);
	free(issued);
	return status;
}

static void
console_progress(void *arg, uint32_t done, uint32_t total, const char *text)
{
	struct journey *journey = arg;
	uint32_t from, to;

	if (journey->step != STEP_WRITE_BACK)
		journey->step = STEP_CONSOLE;
	from = step_permille[journey->step];
	to = journey->step == STEP_CONSOLE ? step_permille[STEP_REGISTER]
					   : step_permille[STEP_ACTIVATE];
	link_progress(journey->link, journey->step,
	    total == 0 ? from : from + (to - from) * done / total, text);
}

/* ---- the parts of the journey ---- */

static int
engine_prepare(struct journey *journey, struct fault *fault)
{
	const struct lot_image *lot = journey->lot;
	struct engine_calls calls = {.identify = identify_call,
	    .enroll = enroll_call,
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
	    {"endpoint", lot->endpoint},
	    {"template", lot->template_name},
	    {"root_ca", lot->root_ca},
	    {"claim_cert", lot->claim_certificate},
	    {"mac", ""},
	    {"serial", ""},
	    {"thing", ""},
	};
	size_t i;

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

static int
unit_flash(struct journey *journey, struct fault *fault)
{
	bool verified = false;

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

	if (journey->lot->profile.inject_count == 0)
		return 0;
	journey_step(journey, STEP_INJECT, "");
	if (claim_inject(journey, &verified, fault) == -1)
		return -1;
	journey->unverified = journey->unverified || !verified;
	return 0;
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

static int
unit_register(struct journey *journey, struct fault *fault)
{
	struct message_register bind;
	struct message_cloud_done done;

	memset(&bind, 0, sizeof(bind));
	journey_step(journey, STEP_REGISTER, "");
	return link_request(journey->link, MESSAGE_PREREGISTER, &bind,
	    sizeof(bind), &done, sizeof(done), fault);
}

static int
unit_activate(struct journey *journey, struct fault *fault)
{
	struct message_register activate;
	struct message_cloud_done done;

	if (!journey->certified)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "the profile's steps never asked for a certificate");
	/* All of the program's asserts held: the unit has it. */
	if (journey_outcome(journey, INTENT_WRITE, &journey->certificate_digest,
		true, fault) == -1)
		return -1;
	memset(&activate, 0, sizeof(activate));
	journey_step(journey, STEP_ACTIVATE, "");
	return link_request(journey->link, MESSAGE_ACTIVATE, &activate,
	    sizeof(activate), &done, sizeof(done), fault);
}

static int
journey_steps(struct journey *journey, struct fault *fault)
{
	int status;

	if (engine_prepare(journey, fault) == -1 ||
	    unit_identify(journey, fault) == -1 ||
	    unit_flash(journey, fault) == -1 ||
	    unit_inject(journey, fault) == -1 ||
	    unit_console(journey, fault) == -1)
		return -1;
	if (journey->lot->pattern == PATTERN_CSR)
		status = unit_activate(journey, fault);
	else
		status = unit_register(journey, fault);
	if (status == 0)
		journey_step(journey, STEP_COMMIT, "");
	return status;
}

int
journey_run(struct journey *journey, struct fault *fault)
{
	struct fault ignored;
	int status = journey_steps(journey, fault);

	/* A unit that the gate refused goes as it came: in its own firmware,
	 * not in its loader. */
	if (status == -1 && journey->step == STEP_GATE &&
	    journey->session != NULL)
		(void)esp_run(journey->session, &ignored);
	return status;
}
