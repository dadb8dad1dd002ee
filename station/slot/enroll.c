#include "slot/enroll.h"

#include <stdlib.h>
#include <string.h>

#include "pki/certificate.h"
#include "pki/csr.h"
#include "slot/claim.h"

/* Whether a PASS of this lot demands the step. */
bool
journey_demands(const struct journey *journey, enum intent_kind kind)
{
	return (journey->lot->steps & PLAN_STEP(kind)) != 0;
}

/* A step of the cloud that says nothing but that it is done. */
int
journey_cloud(
    struct journey *journey, enum message_type type, struct fault *fault)
{
	struct message_register unit;
	struct message_cloud_done done;

	memset(&unit, 0, sizeof(unit));
	return link_request(journey->link, type, &unit, sizeof(unit), &done,
	    sizeof(done), fault);
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
	journey->certified = true;
	if (!journey_demands(journey, INTENT_WRITE))
		return 0;
	/* From here on the unit gets its identity. */
	return journey_intent(journey, INTENT_WRITE,
	    &journey->certificate_digest, "certificate", fault);
}

/* All asserts up to here held: the unit has its certificate. */
int
certificate_written(struct journey *journey, struct fault *fault)
{
	if (!journey_demands(journey, INTENT_WRITE) || journey->written)
		return 0;
	if (!journey->certified)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "the profile's steps never asked for a certificate");
	journey->written = true;
	return journey_outcome(
	    journey, INTENT_WRITE, &journey->certificate_digest, true, fault);
}

/* What the unit brings is judged here first: the request or certificate. */
static int
issue_fill(const struct journey *journey, enum program_register what,
    const char *pem, struct message_issue *issue, struct fault *fault)
{
	static const enum issue_kind kinds[] = {
	    [REGISTER_CSR] = ISSUE_CSR,
	    [REGISTER_CERT] = ISSUE_CERTIFICATE,
	    [REGISTER_KEYS] = ISSUE_KEYS,
	};
	struct certificate held;
	struct csr asked;

	issue->kind = kinds[what];
	if (what == REGISTER_KEYS)
		return 0;
	if (text_copy(issue->request, sizeof(issue->request), pem) == -1)
		return fault_set(fault, CAUSE_CSR_INVALID,
		    "what the unit brings has more than %d bytes",
		    CERTIFICATE_LEN - 1);
	if (what == REGISTER_CERT) {
		if (certificate_parse(pem, strlen(pem), CAUSE_CSR_INVALID,
			&held, fault) == -1 ||
		    (journey->lot->readback_ca[0] != '\0' &&
			certificate_check_signer(pem, journey->lot->readback_ca,
			    CAUSE_CSR_INVALID, fault) == -1))
			return -1;
		issue->spki = held.spki;
		return 0;
	}
	if (csr_check(pem, strlen(pem), journey->gate.serial, CSR_KEY_ANY,
		&asked, fault) == -1)
		return -1;
	issue->spki = asked.spki;
	return 0;
}

static int
issue_request(struct journey *journey, struct engine *engine,
    const struct message_issue *issue, struct message_issue_done *issued,
    struct fault *fault)
{
	journey_step(journey, STEP_REGISTER, "");
	/* The account knows the unit before it hears of its certificate. */
	if (plan_is_proxy(journey->lot) &&
	    journey_cloud(journey, MESSAGE_PREREGISTER, fault) == -1)
		return -1;
	if (link_request(journey->link, MESSAGE_ISSUE, issue, sizeof(*issue),
		issued, sizeof(*issued), fault) == -1)
		return -1;
	if (issued->staged != 0) {
		journey->staged = true;
		return fault_set(fault, CAUSE_STAGED,
		    "serial %s is staged: its certificate comes with the "
		    "lot's bulk registration",
		    journey->gate.serial);
	}
	if (issue->kind == ISSUE_KEYS && device_key_take(journey, fault) == -1)
		return -1;
	if (journey_demands(journey, INTENT_BIND) &&
	    journey_cloud(journey, MESSAGE_BIND, fault) == -1)
		return -1;
	journey_step(journey, STEP_WRITE_BACK, "");
	return certificate_take(journey, engine, issued, fault);
}

/* A certificate for the unit: INACTIVE until it holds it. */
int
enroll_call(void *arg, struct engine *engine, enum program_register what,
    const char *pem, struct fault *fault)
{
	struct journey *journey = arg;
	struct message_issue *issue = calloc(1, sizeof(*issue));
	struct message_issue_done *issued = calloc(1, sizeof(*issued));
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
	if (issue_fill(journey, what, pem, issue, fault) == 0)
		status = issue_request(journey, engine, issue, issued, fault);
out:
	free(issue);
	free(issued);
	return status;
}

/* The unit goes to the cloud by itself; the station waits until it is there. */
int
confirm_call(void *arg, struct engine *engine, struct fault *fault)
{
	struct journey *journey = arg;
	struct message_register unit;
	struct message_confirm_done confirmed;

	if (certificate_written(journey, fault) == -1)
		return -1;
	memset(&unit, 0, sizeof(unit));
	journey_step(journey, STEP_CONFIRM, "");
	if (link_request(journey->link, MESSAGE_CONFIRM, &unit, sizeof(unit),
		&confirmed, sizeof(confirmed), fault) == -1)
		return -1;
	if (engine_set(engine, "certificate_id", confirmed.certificate_id,
		strlen(confirmed.certificate_id), false, fault) == -1)
		return -1;
	journey->confirmed = true;
	if (!journey_demands(journey, INTENT_ERASE))
		return 0;
	/* What follows takes back what was lent. */
	journey_step(journey, STEP_ERASE, "");
	return journey_intent(
	    journey, INTENT_ERASE, NULL, "network and claim", fault);
}
