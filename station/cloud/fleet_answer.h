/*
 * What AWS's fleet provisioning answers, as JSON on the topics `accepted` and
 * `rejected` ("Device provisioning MQTT API", AWS IoT Core developer guide).
 *
 *	create-from-csr  certificateId, certificatePem,
 *certificateOwnershipToken create           the same, and privateKey provision
 *thingName, deviceConfiguration rejected         statusCode, errorCode,
 *errorMessage
 */
#ifndef CLOUD_FLEET_ANSWER_H
#define CLOUD_FLEET_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fault.h"
#include "base/message.h"
#include "pki/certificate.h"

enum fleet_operation {
	FLEET_CREATE_FROM_CSR,
	FLEET_CREATE_KEYS,
	FLEET_PROVISION,
	FLEET_OPERATION_COUNT
};

enum {
	FLEET_TOKEN_LEN = 4097, /* its length is not documented */
};

/* Holds secrets: it lives in locked memory and is wiped. */
struct fleet_answer {
	bool accepted;
	/* of a certificate that was made; it has that id */
	struct certificate made;
	char certificate[CERTIFICATE_LEN]; /* PEM */
	char token[FLEET_TOKEN_LEN];
	char key[CERTIFICATE_LEN]; /* PEM, of FLEET_CREATE_KEYS */
	/* of FLEET_PROVISION */
	char thing[THING_LEN];
	/* of a rejection */
	int status; /* as of HTTP; 0: not said */
	bool throttled;
	char code[96]; /* one line */
	char message[256];
};

/*
 * Reads len bytes of an answer. CLOUD_ANSWER when an accepted one is not as
 * documented; a rejection may say as little as it likes.
 */
int fleet_answer_read(enum fleet_operation, bool accepted, const char *text,
    size_t len, struct fleet_answer *, struct fault *);

#endif
