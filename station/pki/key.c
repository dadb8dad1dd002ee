#include "pki/key.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "pki/openssl.h"
#include "pki/pem.h"

/*
 * Called by OpenSSL for an encrypted key. A daemon has nobody to ask, and
 * without this callback OpenSSL would ask on the terminal.
 */
static int
passphrase_refuse(char *to, int size, int writing, void *asked)
{
	(void)to;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

EVP_PKEY *
key_load(const char *pem, size_t len, struct fault *fault)
{
	char reason[OPENSSL_REASON_LEN];
	EVP_PKEY *key = NULL;
	BIO *source = NULL;
	const char *wrong;
	bool asked = false;

	wrong = pem_check_single(pem, len);
	if (wrong != NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR, "the key %s", wrong);
		return NULL;
	}
	openssl_forget();
	source = BIO_new_mem_buf(pem, (int)len);
	if (source != NULL)
		key = PEM_read_bio_PrivateKey(
		    source, NULL, passphrase_refuse, &asked);
	openssl_reason(reason);
	if (key == NULL && asked)
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the key is encrypted; one without a passphrase is "
		    "accepted");
	else if (key == NULL)
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the key is not a private key in PEM: %s", reason);
	BIO_free(source);
	return key;
}

int
key_check(const char *pem, size_t len, const char *certificate,
    size_t certificate_len, struct fault *fault)
{
	struct pem decoded = {0};
	EVP_PKEY *key = NULL;
	X509 *parsed = NULL;
	const uint8_t *at;
	const char *wrong;
	int result = -1;

	key = key_load(pem, len, fault);
	if (key == NULL)
		goto out;
	wrong =
	    pem_decode(certificate, certificate_len, "CERTIFICATE", &decoded);
	if (wrong != NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the certificate of the key %s", wrong);
		goto out;
	}
	at = decoded.der;
	parsed = d2i_X509(NULL, &at, (long)decoded.len);
	if (parsed == NULL || X509_check_private_key(parsed, key) != 1) {
		fault_set(fault, CAUSE_VAULT_ERROR,
		    parsed == NULL ? "the certificate of the key is not "
				     "well-formed"
				   : "the key does not belong to its "
				     "certificate");
		goto out;
	}
	result = 0;
out:
	X509_free(parsed);
	EVP_PKEY_free(key);
	pem_free(&decoded);
	openssl_forget();
	return result;
}
