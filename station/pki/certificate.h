/*
 * Certificates (RFC 5280) as the station sees them: those that AWS issues,
 * a lot's claim certificate, and the authorities that a device trusts.
 * The cause of a fault is the caller's, which knows where the PEM comes from
 * (CLOUD_ANSWER, BAD_LOT, VAULT_ERROR, READBACK_MISMATCH).
 */
#ifndef PKI_CERTIFICATE_H
#define PKI_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/file.h"

enum {
	CERTIFICATE_NAME_LEN = 65
}; /* RFC 5280, A.1: ub-common-name 64 */

struct certificate {
	struct digest digest;	  /* of the DER: AWS IoT's certificateId */
	char id[DIGEST_TEXT_LEN]; /* the same as lower-case hex */
	struct digest spki;	  /* of the DER SubjectPublicKeyInfo */
	char name[CERTIFICATE_NAME_LEN]; /* subject's common name, or empty */
	int64_t not_before_ms;		 /* wall clock */
	int64_t not_after_ms;
	bool authority; /* it may sign other certificates */
};

/* One PEM certificate of len bytes, and nothing else. */
int certificate_parse(const char *pem, size_t len, enum fault_cause,
    struct certificate *, struct fault *);
/* Fails when wall_ms lies outside its validity. */
int certificate_check_time(const struct certificate *, int64_t wall_ms,
    enum fault_cause, struct fault *);
/* Fails when the authority, one PEM certificate, has not signed it. */
int certificate_check_signer(
    const char *pem, const char *authority, enum fault_cause, struct fault *);
/*
 * A file of authorities: one certificate or more with any text between
 * them, each an authority's and valid at wall_ms.
 */
int certificate_check_authorities(const char *pem, size_t len, int64_t wall_ms,
    enum fault_cause, struct fault *);
/* True when its key is the one with that digest: a struct csr's spki. */
bool certificate_has_key(const struct certificate *, const struct digest *);

#endif
