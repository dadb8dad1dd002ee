/* A unit's certificate (RFC 5280), built here and signed by an authority. */
#ifndef PKI_ISSUE_H
#define PKI_ISSUE_H

#include "base/fault.h"
#include "base/message.h"
#include "pki/authority.h"

/*
 * Checks the request once more (pki/csr.h), builds the certificate, has it
 * signed and verifies that. Fills certificate and certificate_id of the
 * answer and leaves the rest as it is.
 *
 *	serial number	20 octets, positive, random
 *	subject		the parts in their order, or the request's
 *	validity	as asked, to the second
 *	extensions	basicConstraints CA:FALSE and keyUsage digitalSignature,
 *			both critical, extendedKeyUsage clientAuth, subject and
 *			authority key identifier
 *
 * Causes: those of csr_check; BAD_LOT for a subject or a validity that
 * cannot be; VAULT_ERROR for the rest, and the signer's own.
 */
int
issue_certificate(const struct authority *, const struct message_vault_sign *,
    sign_call *, void *arg, struct message_issue_done *, struct fault *);

#endif
