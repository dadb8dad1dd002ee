#include "pki/certificate.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "pki/openssl.h"
#include "pki/pem.h"
#include "pki/spki.h"

static int
certificate_refuse(
    struct fault *fault, enum fault_cause cause, const char *what)
{
	char reason[OPENSSL_REASON_LEN];

	openssl_reason(reason);
	return fault_set(fault, cause, "the certificate %s: %s", what, reason);
}

static int
time_wall_ms(const ASN1_TIME *time, int64_t *wall_ms)
{
	struct tm parts = {0};

	if (ASN1_TIME_to_tm(time, &parts) != 1)
		return -1;
	*wall_ms = (int64_t)timegm(&parts) * 1000;
	return 0;
}

/* Everything but the digest of the DER. */
static int
certificate_fill(X509 *parsed, struct certificate *certificate,
    enum fault_cause cause, struct fault *fault)
{
	char name[CERTIFICATE_NAME_LEN];
	size_t len;

	if (X509_get0_pubkey(parsed) == NULL ||
	    spki_digest(X509_get_X509_PUBKEY(parsed), &certificate->spki) < 0)
		return certificate_refuse(
		    fault, cause, "has a key that is not one");
	if (time_wall_ms(
		X509_get0_notBefore(parsed), &certificate->not_before_ms) < 0 ||
	    time_wall_ms(
		X509_get0_notAfter(parsed), &certificate->not_after_ms) < 0)
		return certificate_refuse(
		    fault, cause, "has a validity that is not one");
	if (subject_name(
		X509_get_subject_name(parsed), name, sizeof(name), &len) > 0)
		text_escape(certificate->name, sizeof(certificate->name), name,
		    len < sizeof(name) ? len : sizeof(name));
	certificate->authority = X509_check_ca(parsed) == 1;
	return 0;
}

int
certificate_parse(const char *text, size_t len, enum fault_cause cause,
    struct certificate *certificate, struct fault *fault)
{
	struct pem pem = {0};
	X509 *parsed = NULL;
	const uint8_t *at;
	const char *wrong;
	int result = -1;

	memset(certificate, 0, sizeof(*certificate));
	wrong = pem_decode(text, len, "CERTIFICATE", &pem);
	if (wrong != NULL) {
		fault_set(fault, cause, "the certificate %s", wrong);
		goto out;
	}
	at = pem.der;
	parsed = d2i_X509(NULL, &at, (long)pem.len);
	if (parsed == NULL) {
		certificate_refuse(fault, cause, "is not well-formed");
		goto out;
	}
	if (at != pem.der + pem.len) {
		fault_set(
		    fault, cause, "the certificate has bytes behind its end");
		goto out;
	}
	if (digest_bytes(pem.der, pem.len, &certificate->digest) < 0) {
		certificate_refuse(fault, cause, "has no digest");
		goto out;
	}
	digest_text(&certificate->digest, certificate->id);
	result = certificate_fill(parsed, certificate, cause, fault);
out:
	X509_free(parsed);
	pem_free(&pem);
	openssl_forget();
	return result;
}

int
certificate_check_time(const struct certificate *certificate, int64_t wall_ms,
    enum fault_cause cause, struct fault *fault)
{
	char limit[CLOCK_TEXT_LEN], now[CLOCK_TEXT_LEN];
	bool early = wall_ms < certificate->not_before_ms;

	if (!early && wall_ms <= certificate->not_after_ms)
		return 0;
	clock_format(
	    early ? certificate->not_before_ms : certificate->not_after_ms,
	    limit);
	clock_format(wall_ms, now);
	return fault_set(fault, cause,
	    "the certificate of \"%s\" %s %s; the station's clock says %s",
	    certificate->name, early ? "is not valid before" : "ended at",
	    limit, now);
}

static X509 *
certificate_decode(const char *text)
{
	struct pem pem = {0};
	X509 *parsed = NULL;
	const uint8_t *at;

	if (pem_decode(text, strlen(text), "CERTIFICATE", &pem) == NULL) {
		at = pem.der;
		parsed = d2i_X509(NULL, &at, (long)pem.len);
	}
	pem_free(&pem);
	return parsed;
}

int
certificate_check_signer(const char *pem, const char *authority,
    enum fault_cause cause, struct fault *fault)
{
	X509 *parsed = certificate_decode(pem);
	X509 *signer = certificate_decode(authority);
	char name[CERTIFICATE_NAME_LEN], issuer[CERTIFICATE_NAME_LEN];
	int result = -1;
	size_t len = 0;

	if (parsed == NULL || signer == NULL) {
		certificate_refuse(fault, cause, "is not well-formed");
	} else if (X509_verify(parsed, X509_get0_pubkey(signer)) == 1) {
		result = 0;
	} else {
		if (subject_name(X509_get_issuer_name(parsed), name,
			sizeof(name), &len) <= 0)
			len = 0;
		text_escape(issuer, sizeof(issuer), name,
		    len < sizeof(name) ? len : sizeof(name));
		fault_set(fault, cause,
		    "the certificate is of \"%s\", not signed by the lot's "
		    "authority",
		    issuer);
	}
	X509_free(parsed);
	X509_free(signer);
	openssl_forget();
	return result;
}

static int
authority_check(
    X509 *parsed, int64_t wall_ms, enum fault_cause cause, struct fault *fault)
{
	struct certificate certificate = {0};

	if (certificate_fill(parsed, &certificate, cause, fault) < 0)
		return -1;
	if (!certificate.authority)
		return fault_set(fault, cause,
		    "the certificate of \"%s\" is not an authority's; "
		    "one with CA:TRUE is accepted",
		    certificate.name);
	return certificate_check_time(&certificate, wall_ms, cause, fault);
}

int
certificate_check_authorities(const char *pem, size_t len, int64_t wall_ms,
    enum fault_cause cause, struct fault *fault)
{
	X509 *parsed = NULL;
	BIO *source = NULL;
	size_t count = 0;
	unsigned long error;
	int result = -1;

	openssl_forget();
	if (len <= INT_MAX)
		source = BIO_new_mem_buf(pem, (int)len);
	if (source == NULL) {
		certificate_refuse(fault, cause, "cannot be read");
		goto out;
	}
	while ((parsed = PEM_read_bio_X509(source, NULL, NULL, NULL)) != NULL) {
		if (authority_check(parsed, wall_ms, cause, fault) < 0)
			goto out;
		X509_free(parsed);
		count++;
	}
	/* What ends the file rightly is only that no BEGIN line follows. */
	error = ERR_peek_last_error();
	if (count > 0 && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
		result = 0;
		goto out;
	}
	if (count == 0 && ERR_GET_REASON(error) == PEM_R_NO_START_LINE)
		fault_set(
		    fault, cause, "no certificate is in it; PEM is accepted");
	else
		certificate_refuse(fault, cause, "is not well-formed");
out:
	X509_free(parsed);
	BIO_free(source);
	openssl_forget();
	return result;
}

bool
certificate_has_key(
    const struct certificate *certificate, const struct digest *spki)
{
	return memcmp(&certificate->spki, spki, sizeof(*spki)) == 0;
}
