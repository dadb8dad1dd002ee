#include "pki/issue.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "pki/csr.h"
#include "pki/openssl.h"
#include "pki/pem.h"

enum {
	SERIAL_OCTETS = 20, /* RFC 5280, 4.1.2.2: at most so many */
	/* KeyUsage, RFC 5280, 4.2.1.3 */
	USAGE_BIT_DIGITAL_SIGNATURE = 0,
};

/* RFC 5280, 4.1.2.5: 9999-12-31T23:59:59Z, which says "no end". */
#define TIME_LAST_S INT64_C(253402300799)

/* RFC 5280, 4.1.2.4 and A.1 say which of them are printable strings. */
static const struct {
	const char *name;
	int number;
} subject_names[] = {
    {"C", NID_countryName},
    {"O", NID_organizationName},
    {"OU", NID_organizationalUnitName},
    {"DNQ", NID_dnQualifier},
    {"ST", NID_stateOrProvinceName},
    {"CN", NID_commonName},
    {"SN", NID_serialNumber},
};

static int
subject_number(const char *name)
{
	for (size_t i = 0; i < sizeof(subject_names) / sizeof(subject_names[0]);
	     i++)
		if (strcmp(subject_names[i].name, name) == 0)
			return subject_names[i].number;
	return NID_undef;
}

static int
subject_set(X509 *made, const struct message_vault_sign *request,
    const X509_REQ *csr, struct fault *fault)
{
	X509_NAME *subject = X509_get_subject_name(made);
	const struct subject_part *part;
	int number;

	if (request->part_count == 0)
		return X509_set_subject_name(
			   made, X509_REQ_get_subject_name(csr)) == 1
			   ? 0
			   : fault_set(fault, CAUSE_VAULT_ERROR, "no subject");
	for (uint32_t i = 0; i < request->part_count; i++) {
		part = &request->parts[i];
		number = subject_number(part->name);
		if (number == NID_undef)
			return fault_set(fault, CAUSE_BAD_LOT,
			    "the subject has a part \"%s\"; C, O, OU, DNQ, "
			    "ST, CN and SN are known",
			    part->name);
		/* It holds the value to its kind of string and its length. */
		if (X509_NAME_add_entry_by_NID(subject, number, MBSTRING_UTF8,
			(const unsigned char *)part->value, -1, -1, 0) != 1)
			return fault_set(fault, CAUSE_BAD_LOT,
			    "the subject cannot have %s=%s: too short, too "
			    "long, or of letters that are not allowed there",
			    part->name, part->value);
	}
	return 0;
}

static int
validity_set(const struct authority *authority, X509 *made,
    const struct message_vault_sign *request, struct fault *fault)
{
	int64_t from_s = request->from_wall_ms / 1000,
		to_s = request->to_wall_ms / 1000;

	if (from_s <= 0 || to_s <= from_s || to_s > TIME_LAST_S)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "the certificate would never be valid, or longer than "
		    "9999-12-31T23:59:59Z");
	if (certificate_check_time(&authority->facts, clock_wall_ms(),
		CAUSE_VAULT_ERROR, fault) == -1)
		return fault_prefix(fault, "the authority");
	if (ASN1_TIME_set(X509_getm_notBefore(made), (time_t)from_s) == NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(made), (time_t)to_s) == NULL)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "the certificate cannot have that validity");
	return 0;
}

/* Twenty octets whose first says that they are positive and twenty. */
static int
number_set(X509 *made)
{
	uint8_t octets[SERIAL_OCTETS];
	BIGNUM *number = NULL;
	int result = -1;

	if (RAND_bytes(octets, sizeof(octets)) != 1)
		return -1;
	octets[0] = (uint8_t)((octets[0] & 0x7f) | 0x40);
	number = BN_bin2bn(octets, sizeof(octets), NULL);
	if (number != NULL &&
	    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(made)) != NULL)
		result = 0;
	BN_free(number);
	return result;
}

static bool
usage_add(X509 *made)
{
	ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
	EXTENDED_KEY_USAGE *purposes = EXTENDED_KEY_USAGE_new();
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
	bool good = usage != NULL && purposes != NULL && constraints != NULL;

	good =
	    good &&
	    ASN1_BIT_STRING_set_bit(usage, USAGE_BIT_DIGITAL_SIGNATURE, 1) ==
		1 &&
	    sk_ASN1_OBJECT_push(purposes, OBJ_nid2obj(NID_client_auth)) > 0 &&
	    X509_add1_ext_i2d(made, NID_basic_constraints, constraints, 1,
		X509V3_ADD_DEFAULT) == 1 &&
	    X509_add1_ext_i2d(
		made, NID_key_usage, usage, 1, X509V3_ADD_DEFAULT) == 1 &&
	    X509_add1_ext_i2d(
		made, NID_ext_key_usage, purposes, 0, X509V3_ADD_DEFAULT) == 1;
	BASIC_CONSTRAINTS_free(constraints);
	EXTENDED_KEY_USAGE_free(purposes);
	ASN1_BIT_STRING_free(usage);
	return good;
}

/* RFC 5280, 4.2.1.2, method 1: SHA-1 of the key's bits. */
static ASN1_OCTET_STRING *
identifier_new(const X509 *certificate)
{
	ASN1_OCTET_STRING *identifier = ASN1_OCTET_STRING_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (identifier != NULL &&
	    X509_pubkey_digest(certificate, EVP_sha1(), digest, &len) == 1 &&
	    ASN1_OCTET_STRING_set(identifier, digest, (int)len) == 1)
		return identifier;
	ASN1_OCTET_STRING_free(identifier);
	return NULL;
}

static bool
identifiers_add(const struct authority *authority, X509 *made)
{
	const ASN1_OCTET_STRING *own =
	    X509_get0_subject_key_id(authority->certificate);
	ASN1_OCTET_STRING *subject = identifier_new(made);
	AUTHORITY_KEYID *issuer = AUTHORITY_KEYID_new();
	bool good = subject != NULL && issuer != NULL;

	if (good)
		issuer->keyid = own != NULL
				    ? ASN1_OCTET_STRING_dup(own)
				    : identifier_new(authority->certificate);
	good = good && issuer->keyid != NULL &&
	       X509_add1_ext_i2d(made, NID_subject_key_identifier, subject, 0,
		   X509V3_ADD_DEFAULT) == 1 &&
	       X509_add1_ext_i2d(made, NID_authority_key_identifier, issuer, 0,
		   X509V3_ADD_DEFAULT) == 1;
	AUTHORITY_KEYID_free(issuer);
	ASN1_OCTET_STRING_free(subject);
	return good;
}

static int
certificate_fill(const struct authority *authority, X509 *made,
    const struct message_vault_sign *request, X509_REQ *csr,
    struct fault *fault)
{
	char reason[OPENSSL_REASON_LEN];
	EVP_PKEY *key = X509_REQ_get0_pubkey(csr);

	if (validity_set(authority, made, request, fault) == -1 ||
	    subject_set(made, request, csr, fault) == -1)
		return -1;
	if (X509_set_version(made, X509_VERSION_3) == 1 &&
	    number_set(made) == 0 &&
	    X509_set_issuer_name(
		made, X509_get_subject_name(authority->certificate)) == 1 &&
	    key != NULL && X509_set_pubkey(made, key) == 1 && usage_add(made) &&
	    identifiers_add(authority, made))
		return 0;
	openssl_reason(reason);
	return fault_set(fault, CAUSE_VAULT_ERROR,
	    "the certificate cannot be built: %s", reason);
}

/*
 * OpenSSL signs with keys that it has or asks an engine or a provider for.
 * What another one signed it takes only by the parts that it shows read-only:
 * the algorithm, which stands in what is signed and once more behind it, and
 * the signature.
 */
static int
certificate_sign(const struct authority *authority, X509 *made, sign_call *sign,
    void *arg, struct fault *fault)
{
	const X509_ALGOR *inner = X509_get0_tbs_sigalg(made), *outer = NULL;
	const ASN1_BIT_STRING *bits = NULL;
	ASN1_BIT_STRING *to;
	ASN1_OBJECT *algorithm = OBJ_nid2obj(authority->algorithm);
	struct sign_output signature;
	unsigned char *data = NULL;
	int len = -1, result = -1;

	X509_get0_signature(&bits, &outer, made);
	to = (ASN1_BIT_STRING *)(uintptr_t)bits;
	if (X509_ALGOR_set0((X509_ALGOR *)(uintptr_t)inner, algorithm,
		authority->parameters, NULL) == 1 &&
	    X509_ALGOR_set0((X509_ALGOR *)(uintptr_t)outer, algorithm,
		authority->parameters, NULL) == 1)
		len = i2d_re_X509_tbs(made, &data);
	if (len <= 0) {
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the certificate cannot be written");
		goto out;
	}
	if (authority_sign(authority, data, (size_t)len, sign, arg, &signature,
		fault) == -1)
		goto out;
	/* X.509 has whole octets: no bit of the last one is left out. */
	to->flags &= ~(ASN1_STRING_FLAG_BITS_LEFT | 0x07);
	to->flags |= ASN1_STRING_FLAG_BITS_LEFT;
	if (ASN1_STRING_set(to, signature.bytes, (int)signature.len) != 1) {
		fault_set(fault, CAUSE_VAULT_ERROR, "out of memory");
		goto out;
	}
	result = 0;
out:
	OPENSSL_free(data);
	return result;
}

static int
certificate_write(
    X509 *made, struct message_issue_done *done, struct fault *fault)
{
	struct certificate written;
	BIO *to = BIO_new(BIO_s_mem());
	char *data = NULL;
	long len = 0;
	int result = -1;

	if (to != NULL && PEM_write_bio_X509(to, made) == 1)
		len = BIO_get_mem_data(to, &data);
	if (len <= 0 || (size_t)len >= sizeof(done->certificate)) {
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the certificate would have %ld bytes; at most %zu are "
		    "possible",
		    len, sizeof(done->certificate) - 1);
		goto out;
	}
	if (certificate_parse(
		data, (size_t)len, CAUSE_VAULT_ERROR, &written, fault) == -1)
		goto out;
	memcpy(done->certificate, data, (size_t)len);
	done->certificate[len] = '\0';
	(void)text_copy(
	    done->certificate_id, sizeof(done->certificate_id), written.id);
	result = 0;
out:
	BIO_free(to);
	return result;
}

static X509_REQ *
request_decode(const char *text)
{
	struct pem pem = {0};
	const uint8_t *at;
	X509_REQ *request = NULL;

	if (pem_decode(text, strlen(text), "CERTIFICATE REQUEST", &pem) ==
	    NULL) {
		at = pem.der;
		request = d2i_X509_REQ(NULL, &at, (long)pem.len);
	}
	pem_free(&pem);
	return request;
}

int
issue_certificate(const struct authority *authority,
    const struct message_vault_sign *request, sign_call *sign, void *arg,
    struct message_issue_done *done, struct fault *fault)
{
	struct csr checked;
	X509_REQ *csr = NULL;
	X509 *made = NULL;
	int result = -1;

	if (csr_check(request->csr, strlen(request->csr), request->serial,
		CSR_KEY_ANY, &checked, fault) == -1)
		return -1;
	csr = request_decode(request->csr);
	made = X509_new();
	if (csr == NULL || made == NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR, "out of memory");
		goto out;
	}
	if (certificate_fill(authority, made, request, csr, fault) == -1 ||
	    certificate_sign(authority, made, sign, arg, fault) == -1 ||
	    certificate_write(made, done, fault) == -1)
		goto out;
	if (X509_verify(made, authority->key) != 1) {
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the certificate that was made does not verify");
		memset(done->certificate, 0, sizeof(done->certificate));
		memset(done->certificate_id, 0, sizeof(done->certificate_id));
		goto out;
	}
	result = 0;
out:
	X509_free(made);
	X509_REQ_free(csr);
	openssl_forget();
	return result;
}
