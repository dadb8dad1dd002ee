/*
 * A private key that is not here: OpenSSL's key object for a certificate
 * whose every signature is the vault's.
 *
 * fleet.c gives it to TLS in place of the claim's key. EC keys (P-256,
 * P-384, P-521) and RSA keys, TLS 1.2 and 1.3.
 */
#ifndef CLOUD_PROVE_H
#define CLOUD_PROVE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/fault.h"
#include "cloud/vault_pair.h"

/* Whom a key asks, and for which key; it must outlive the EVP_PKEY. */
struct prover {
	struct vault_pair *vault;
	struct vault_key key;
	struct fault fault; /* of the last signature that failed; OpenSSL has
			       no room for it */
};

/*
 * The key of the certificate; the caller frees it with EVP_PKEY_free. Null
 * with BAD_LOT when its kind is not one that TLS can prove.
 */
EVP_PKEY *prove_key(struct prover *, const X509 *, struct fault *);

#endif
