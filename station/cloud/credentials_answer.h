/*
 * What the sources of temporary credentials answer, read with bounds: JSON of
 * a credential_process, a container, an instance and the AWS IoT credentials
 * provider, XML of STS.
 *
 * Called by credentials_fetch.c with the bytes as they came. Texts of faults
 * name the member that is wrong and never quote a secret.
 */
#ifndef CLOUD_CREDENTIALS_ANSWER_H
#define CLOUD_CREDENTIALS_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "cloud/credentials.h"

enum {
	CREDENTIALS_ANSWER_MAX = 64 * 1024
};

enum credentials_answer_kind {
	/* {"Version": 1, "AccessKeyId", "SecretAccessKey", "SessionToken"?,
	 * "Expiration"?} ("Process credential provider", AWS SDKs and Tools
	 * Reference Guide) */
	CREDENTIALS_ANSWER_PROCESS,
	/* {"AccessKeyId", "SecretAccessKey", "Token"?, "Expiration"?}, in an
	 * instance's with "Code": "Success" ("Container credential provider",
	 * "IMDS credential provider", ibid.) */
	CREDENTIALS_ANSWER_METADATA,
	/* {"credentials": {"accessKeyId", "secretAccessKey", "sessionToken",
	 * "expiration"}} ("Authorizing direct calls to AWS services", AWS IoT
	 * Core Developer Guide) */
	CREDENTIALS_ANSWER_IOT,
	/* <Credentials> with <AccessKeyId>, <SecretAccessKey>,
	 * <SessionToken>, <Expiration> (AssumeRole, STS API Reference) */
	CREDENTIALS_ANSWER_STS,
};

/*
 * Fills the credentials from len bytes. -1 with CAUSE_CLOUD_CREDENTIALS when
 * it is anything else or has nothing in it; the credentials are wiped then.
 * The bytes are the caller's to wipe; jansson's copies are wiped by the
 * allocator that the role gives it.
 */
int credentials_answer(enum credentials_answer_kind, const char *text,
    size_t len, struct credentials *, struct fault *);

/*
 * ISO 8601 as the AWS services write it: "2026-11-20T21:14:03Z", with a
 * fraction of a second and with an offset ("+00:00") too. -1 when it is not.
 */
int credentials_time(const char *text, int64_t *wall_ms);

#endif
