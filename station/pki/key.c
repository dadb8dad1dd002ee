#include "pki/key.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

#include "pki/openssl.h"
#include "pki/pem.h"

/* What OpenSSL is told when it asks for a passphrase. */
struct passphrase {
	const char *text; /* null: there is none */
	bool asked;
};

/*
 * Called by OpenSSL for an encrypted key. A daemon has nobody to ask, and
 * without this callback OpenSSL would ask on the terminal.
 */
static int
passphrase_give(char *to, int size, int writing, void *arg)
{
	struct passphrase *passphrase = arg;
	size_t len;

	(void)writing;
	passphrase->asked = true;
	if (passphrase->text == NULL)
		return -1;
	len = strlen(passphrase->text);
	if (len > (size_t)size)
		return -1;
	memcpy(to, passphrase->text, len);
	return (int)len;
}

static EVP_PKEY *
key_read(const char *pem, size_t len, struct passphrase *passphrase,
    struct fault *fault)
{
	char reason[OPENSSL_REASON_LEN];
	EVP_PKEY *key = NULL;
	BIO *source = NULL;
	const char *wrong;

	wrong = pem_check_single(pem, len);
	if (wrong != NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR, "the key %s", wrong);
		return NULL;
	}
	openssl_forget();
	source = BIO_new_mem_buf(pem, (int)len);
	if (source != NULL)
		key = PEM_read_bio_PrivateKey(
		    source, NULL, passphrase_give, passphrase);
	openssl_reason(reason);
	if (key == NULL && passphrase->asked && passphrase->text == NULL)
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the key is encrypted; one without a passphrase is "
		    "accepted");
	else if (key == NULL && passphrase->asked)
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the key cannot be decrypted with its passphrase: %s",
		    reason);
	else if (key == NULL)
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the key is not a private key in PEM: %s", reason);
	BIO_free(source);
	return key;
}

EVP_PKEY *
key_load(const char *pem, size_t len, struct fault *fault)
{
	struct passphrase none = {0};

	return key_read(pem, len, &none, fault);
}

EVP_PKEY *
key_load_encrypted(
    const char *pem, size_t len, const char *text, struct fault *fault)
{
	struct passphrase passphrase = {.text = text};

	return key_read(pem, len, &passphrase, fault);
}

int
key_write(EVP_PKEY *key, size_t max, struct secret *secret, struct fault *fault)
{
	/* OpenSSL's own locked memory, where the process has set it up. */
	BIO *to = BIO_new(BIO_s_secmem());
	char *data = NULL;
	long len = 0;
	int result = -1;

	if (to != NULL &&
	    PEM_write_bio_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL) == 1)
		len = BIO_get_mem_data(to, &data);
	if (len <= 0 || (size_t)len > max) {
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the key cannot be written as PEM of at most %zu bytes",
		    max);
		goto out;
	}
	if (secret_alloc(secret, (size_t)len + 1, fault) == -1)
		goto out;
	memcpy(secret->data, data, (size_t)len);
	secret->len = (size_t)len;
	result = 0;
out:
	BIO_free(to);
	openssl_forget();
	return result;
}

int
key_fits(EVP_PKEY *key, const char *certificate, size_t certificate_len,
    struct fault *fault)
{
	struct pem decoded = {0};
	X509 *parsed = NULL;
	const uint8_t *at;
	const char *wrong;
	int result = -1;

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
	pem_free(&decoded);
	openssl_forget();
	return result;
}

int
key_check(const char *pem, size_t len, const char *certificate,
    size_t certificate_len, struct fault *fault)
{
	EVP_PKEY *key = key_load(pem, len, fault);
	int result = -1;

	if (key != NULL)
		result = key_fits(key, certificate, certificate_len, fault);
	EVP_PKEY_free(key);
	return result;
}
