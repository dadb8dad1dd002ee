/*
 * Runs a profile's program at a device's console.
 *
 * Everything the device prints is hostile: lines, captures and the total are
 * bounded, patterns run with PCRE2's match, depth and heap limits against
 * completed lines, and the prompt is a literal end of the unfinished line.
 *
 * Faults: CAUSE_CONSOLE_TIMEOUT (names the step and what was awaited),
 * CAUSE_CONSOLE_ERROR (with the line that matched a bad label),
 * CAUSE_READBACK_MISMATCH (an assert), CAUSE_RESET_LOOP (the boot banner
 * again and again), CAUSE_DEVICE_FLOOD, CAUSE_GARBAGE, what the port gives,
 * and what the calls below give.
 */
#ifndef DEVICE_ENGINE_H
#define DEVICE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "device/port.h"
#include "device/program.h"
#include "device/transcript.h"

enum {
	ENGINE_VALUE_MAX = 16384, /* bytes of a variable */
	ENGINE_BANNERS_MAX = 3,	  /* boots seen in one wait: a reset loop */
};

struct engine;

/* What the slot does for the program; each fills the fault when it fails. */
struct engine_calls {
	/* The device says who it is; a text is empty when it is unknown. May
	 * set variables (serial, thing). */
	int (*identify)(void *arg, struct engine *, const char *serial,
	    const char *mac, struct fault *);
	/* A certificate for this request, or the registration of this
	 * certificate (PEM), or key and certificate (empty): sets device_cert
	 * (PEM), certificate_id, and with REGISTER_KEYS device_key. */
	int (*enroll)(void *arg, struct engine *, enum program_register,
	    const char *pem, struct fault *);
	/* Waits for the unit's first connection: sets certificate_id. */
	int (*confirm)(void *arg, struct engine *, struct fault *);
	/* Before each step; text is for people. Null for none. */
	void (*progress)(
	    void *arg, uint32_t done, uint32_t total, const char *text);
	void *arg;
};

/* Borrows all; the transcript may be null. Null with CAUSE_INTERNAL when
 * out of memory or the program is damaged. */
struct engine *engine_new(const struct program *, struct port *,
    struct transcript *, const struct engine_calls *, struct fault *);
/* Wipes every variable. Null is allowed. */
void engine_free(struct engine *);

/* Copies; a secret one (also by the program's list) is hidden from the
 * transcript from now on. CAUSE_INTERNAL when there are too many. */
int engine_set(struct engine *, const char *name, const void *value, size_t len,
    bool secret, struct fault *);
/* Null when it is not defined; a NUL stands behind the len bytes. */
const char *engine_get(const struct engine *, const char *name, size_t *len);

/*
 * Expands `${name|transform}` of a text into `to`, with a NUL behind *len
 * bytes. Also used for inject rules.
 */
int engine_expand(struct engine *, const char *rule, char *to, size_t size,
    size_t *len, struct fault *);

/* Runs `steps`, then `always` whatever happened; the first fault counts. */
int engine_run(struct engine *, struct fault *);

#endif
