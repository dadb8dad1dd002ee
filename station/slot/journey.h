/*
 * The journey of one unit, straight through: identify, gate, flash, inject,
 * console, register, write back, activate, confirm, erase; the lot's plan
 * says which of them (lot/plan.h). Read it like the work instruction. Every
 * step that cannot be undone or safely repeated is recorded first
 * (MESSAGE_INTENT) and its outcome after (MESSAGE_OUTCOME).
 */
#ifndef SLOT_JOURNEY_H
#define SLOT_JOURNEY_H

#include <stdbool.h>

#include "base/channel.h"
#include "device/engine.h"
#include "device/esp_rom.h"
#include "device/firmware.h"
#include "device/port.h"
#include "device/transcript.h"
#include "lot/job.h"
#include "lot/lot.h"
#include "lot/plan.h"
#include "pki/key.h"
#include "slot/link.h"

struct journey {
	const struct slot_job *job;
	const struct lot_image *lot;
	const struct firmware_view *firmware;
	struct port *port;
	struct transcript *transcript;
	struct link *link;
	int vault_fd; /* private pair; or -1 */

	struct engine *engine;
	struct esp_session *session;
	struct esp_identity identity;
	struct message_gate_done gate;
	enum step_name step;
	bool unverified; /* something was written without read-back */
	bool certified;	 /* the program has asked for its certificate */
	bool written;	 /* and the outcome of its write is recorded */
	bool confirmed;	 /* and for its first connection */
	bool staged;	 /* it waits for the lot's bulk registration */
	bool lent;	 /* a claim of its own is in it and not used yet */
	struct digest certificate_digest;
	char claim_certificate[CERTIFICATE_LEN]; /* the lot's, or its own */
};

/* Runs it; 0 when the unit may PASS, else -1 with the fault. */
int journey_run(struct journey *, struct fault *);

#endif
