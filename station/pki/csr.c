#include "pki/csr.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/message.h"
#include "pki/openssl.h"
#include "pki/pem.h"
#include "pki/spki.h"

enum {
	CSR_RSA_BITS_LEAST = 2048,
	CSR_RSA_BITS_MOST = 8192, /* bounds what a verification may cost */
	/* SP 800-56B, 6.2: a public exponent above 2^16. */
	CSR_RSA_EXPONENT_BITS_LEAST = 17,
};

static int
csr_refuse(struct fault *fault, enum fault_cause cause, const char *what)
{
	char reason[OPENSSL_REASON_LEN];

	openssl_reason(reason);
	return fault_set(
	    fault, cause, "the certificate request %s: %s", what, reason);
}

static X509_REQ *
csr_decode(const char *text, size_t len, struct fault *fault)
{
	X509_REQ *request = NULL;
	struct pem pem = {0};
	const uint8_t *at;
	const char *wrong;

	if (len >= CSR_LEN) {
		fault_set(fault, CAUSE_CSR_INVALID,
		    "the certificate request has %zu bytes; "
		    "at most %d are accepted",
		    len, CSR_LEN - 1);
		return NULL;
	}
	wrong = pem_decode(text, len, "CERTIFICATE REQUEST", &pem);
	if (wrong != NULL) {
		fault_set(fault, CAUSE_CSR_INVALID,
		    "the certificate request %s", wrong);
		return NULL;
	}
	at = pem.der;
	request = d2i_X509_REQ(NULL, &at, (long)pem.len);
	if (request == NULL) {
		csr_refuse(fault, CAUSE_CSR_INVALID, "is not well-formed");
	} else if (at != pem.der + pem.len) {
		fault_set(fault, CAUSE_CSR_INVALID,
		    "the certificate request has bytes behind its end");
		X509_REQ_free(request);
		request = NULL;
	}
	pem_free(&pem);
	return request;
}

/* Which kind of key it is; 0 when none that is known, *what says why. */
static unsigned
key_kind_ec(const EVP_PKEY *key, const char **what)
{
	char group[32] = "", form[32] = "", encoding[32] = "";

	(void)EVP_PKEY_get_utf8_string_param(
	    key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL);
	(void)EVP_PKEY_get_utf8_string_param(
	    key, OSSL_PKEY_PARAM_EC_ENCODING, encoding, sizeof(encoding), NULL);
	(void)EVP_PKEY_get_utf8_string_param(key,
	    OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form, sizeof(form),
	    NULL);
	*what = "spells its curve out; a named curve is accepted";
	if (strcmp(encoding, "named_curve") != 0)
		return 0;
	*what = "has a compressed point; an uncompressed one is accepted";
	if (strcmp(form, "uncompressed") != 0)
		return 0;
	if (strcmp(group, SN_X9_62_prime256v1) == 0)
		return CSR_KEY_P256;
	if (strcmp(group, SN_secp384r1) == 0)
		return CSR_KEY_P384;
	*what = "lies on another curve; P-256 and P-384 are accepted";
	return 0;
}

static unsigned
key_kind_rsa(const EVP_PKEY *key, const char **what)
{
	BIGNUM *exponent = NULL;
	int bits = EVP_PKEY_get_bits(key), exponent_bits = 0;

	*what = "has a size outside 2048 to 8192 bits";
	if (bits < CSR_RSA_BITS_LEAST || bits > CSR_RSA_BITS_MOST)
		return 0;
	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1)
		exponent_bits = BN_num_bits(exponent);
	BN_free(exponent);
	*what = "has an exponent below 65537";
	return exponent_bits < CSR_RSA_EXPONENT_BITS_LEAST ? 0 : CSR_KEY_RSA;
}

/* The point is on its curve and in its group; DER alone does not say so. */
static bool
key_is_sound(EVP_PKEY *key)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool sound = context != NULL && EVP_PKEY_public_check(context) == 1;

	EVP_PKEY_CTX_free(context);
	return sound;
}

static int
csr_check_key(
    EVP_PKEY *key, unsigned keys, struct csr *csr, struct fault *fault)
{
	const char *what = "is neither P-256, P-384 nor RSA";
	unsigned kind = 0;

	if (EVP_PKEY_is_a(key, "EC"))
		kind = key_kind_ec(key, &what);
	else if (EVP_PKEY_is_a(key, "RSA"))
		kind = key_kind_rsa(key, &what);
	if (kind != 0 && (kind & keys) == 0) {
		kind = 0;
		what = "is of a kind that the lot does not accept";
	}
	if (kind != 0 && kind != CSR_KEY_RSA && !key_is_sound(key)) {
		kind = 0;
		what = "is no point of its curve";
	}
	csr->key_bits = EVP_PKEY_get_bits(key);
	if (kind == 0)
		return fault_set(fault, CAUSE_CSR_KEY,
		    "the key of the certificate request (%.20s, %d bits) %s",
		    EVP_PKEY_get0_type_name(key), csr->key_bits, what);
	csr->key = (enum csr_key)kind;
	return 0;
}

/* AWS IoT takes RSA and ECDSA with SHA-256, SHA-384 and SHA-512. */
static int
csr_check_signature(X509_REQ *request, EVP_PKEY *key, struct fault *fault)
{
	int digest = NID_undef;

	if (OBJ_find_sigid_algs(
		X509_REQ_get_signature_nid(request), &digest, NULL) != 1 ||
	    (digest != NID_sha256 && digest != NID_sha384 &&
		digest != NID_sha512))
		return fault_set(fault, CAUSE_CSR_INVALID,
		    "the certificate request is signed with %s; "
		    "SHA-256, 384 and 512 are accepted",
		    OBJ_nid2sn(X509_REQ_get_signature_nid(request)));
	if (X509_REQ_verify(request, key) != 1)
		return csr_refuse(fault, CAUSE_CSR_INVALID,
		    "does not verify with its own key");
	return 0;
}

static int
csr_check_subject(
    const X509_REQ *request, const char *serial, struct fault *fault)
{
	char name[SERIAL_LEN], shown[SERIAL_LEN];
	const X509_NAME *subject = X509_REQ_get_subject_name(request);
	size_t len;
	int count = subject_name(subject, name, sizeof(name), &len);

	if (count != 1)
		return fault_set(fault, CAUSE_CSR_SUBJECT,
		    "the certificate request has %d common names; "
		    "one, %.64s, is accepted",
		    count, serial);
	if (len <= sizeof(name) && len == strlen(serial) &&
	    memcmp(name, serial, len) == 0)
		return 0;
	text_escape(shown, sizeof(shown), name,
	    len < sizeof(name) ? len : sizeof(name));
	return fault_set(fault, CAUSE_CSR_SUBJECT,
	    "the certificate request is for \"%s\"; the unit's serial is "
	    "%.64s",
	    shown, serial);
}

int
csr_check(const char *pem, size_t len, const char *serial, unsigned keys,
    struct csr *csr, struct fault *fault)
{
	X509_REQ *request = NULL;
	EVP_PKEY *key;
	int result = -1;

	memset(csr, 0, sizeof(*csr));
	request = csr_decode(pem, len, fault);
	if (request == NULL)
		goto out;
	key = X509_REQ_get0_pubkey(request);
	if (key == NULL) {
		csr_refuse(fault, CAUSE_CSR_KEY, "has a key that is not one");
		goto out;
	}
	/* The key first: its size bounds what the verification costs. */
	if (csr_check_key(key, keys, csr, fault) < 0)
		goto out;
	if (csr_check_signature(request, key, fault) < 0)
		goto out;
	if (csr_check_subject(request, serial, fault) < 0)
		goto out;
	if (spki_digest(X509_REQ_get_X509_PUBKEY(request), &csr->spki) < 0) {
		csr_refuse(fault, CAUSE_CSR_INVALID, "has no key digest");
		goto out;
	}
	if (!spki_is_plain(X509_REQ_get_X509_PUBKEY(request), key)) {
		fault_set(fault, CAUSE_CSR_KEY,
		    "the key of the certificate request is not written in "
		    "its usual DER form");
		goto out;
	}
	result = 0;
out:
	X509_REQ_free(request);
	openssl_forget();
	return result;
}
