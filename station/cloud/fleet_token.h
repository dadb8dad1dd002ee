/*
 * Ownership tokens: what proves to AWS, for one hour, that whoever activates
 * a certificate is who asked for it ("Device provisioning MQTT API", AWS IoT
 * Core developer guide). A certificate whose token is over is deleted by AWS.
 *
 * pattern_proxy.c keeps them between the issue of a certificate and its
 * activation. They live in locked memory and nowhere else: when the role
 * starts anew they are lost, and the units are made again.
 */
#ifndef CLOUD_FLEET_TOKEN_H
#define CLOUD_FLEET_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

struct fleet_tokens; /* opaque; one a process */

/* Keeps the token of a certificate until then (monotonic); makes *tokens when
 * it is null. When there are too many, the oldest goes. INTERNAL. */
int fleet_token_keep(struct fleet_tokens **tokens, const char *certificate_id,
    const char *token, int64_t end_ms, struct fault *);
/* Borrowed until the next call; null when there is none, or it is over. */
const char *fleet_token_find(
    struct fleet_tokens *, const char *certificate_id, int64_t now_ms);
/* It is spent. */
void fleet_token_drop(struct fleet_tokens *, const char *certificate_id);
/* Wipes all; null is fine. */
void fleet_tokens_free(struct fleet_tokens *);

#endif
