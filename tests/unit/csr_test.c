#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <string.h>

#include "base/message.h"
#include "pki/csr.h"
#include "pki_make.h"

static const char *const unit_7[] = {"UNIT-0007", NULL};

static struct fault fault;
static struct csr csr;

static int
check(const char *pem, const char *serial, unsigned keys)
{
	int result;

	fault_clear(&fault);
	result = csr_check(pem, strlen(pem), serial, keys, &csr, &fault);
	/* Nothing is left for the next caller to take for its own error. */
	assert_int_equal(ERR_peek_error(), 0);
	return result;
}

static void
refused(const char *pem, enum fault_cause cause, const char *text)
{
	assert_int_equal(check(pem, "UNIT-0007", CSR_KEY_ANY), -1);
	if (fault.cause != cause || strstr(fault.text, text) == NULL)
		fail_msg("%s: %s", fault_row(fault.cause)->name, fault.text);
}

static void
test_accepted_keys(void **state)
{
	static const struct {
		const char *kind;
		int bits;
		enum csr_key key;
	} rows[] = {
	    {"P-256", 256, CSR_KEY_P256},
	    {"P-384", 384, CSR_KEY_P384},
	    {"RSA", 2048, CSR_KEY_RSA},
	};
	char pem[PEM_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EVP_PKEY *key = make_key(rows[i].kind, rows[i].bits);
		struct digest expected;
		unsigned char *der = NULL;
		int len;

		make_request(key, key, EVP_sha384(), unit_7, pem);
		assert_int_equal(check(pem, "UNIT-0007", CSR_KEY_ANY), 0);
		assert_int_equal(fault.cause, CAUSE_NONE);
		assert_int_equal(csr.key, rows[i].key);
		assert_int_equal(csr.key_bits, rows[i].bits);
		len = i2d_PUBKEY(key, &der);
		assert_int_equal(digest_bytes(der, (size_t)len, &expected), 0);
		assert_memory_equal(&csr.spki, &expected, sizeof(expected));
		OPENSSL_free(der);
		/* A lot may accept fewer. */
		assert_int_equal(check(pem, "UNIT-0007", rows[i].key), 0);
		assert_int_equal(check(pem, "UNIT-0007",
				     CSR_KEY_ANY & ~(unsigned)rows[i].key),
		    -1);
		assert_int_equal(fault.cause, CAUSE_CSR_KEY);
		EVP_PKEY_free(key);
	}
}

static void
test_refused_keys(void **state)
{
	static const struct {
		const char *kind;
		int bits;
		const char *text;
	} rows[] = {
	    {"P-521", 0, "(EC, 521 bits) lies on another curve"},
	    {"RSA", 1024, "(RSA, 1024 bits) has a size outside"},
	    {"secp256k1", 0, "lies on another curve"},
	    {"ED25519", 0, "is neither P-256, P-384 nor RSA"},
	};
	char pem[PEM_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EVP_PKEY *key = make_key(rows[i].kind, rows[i].bits);

		make_request(key, key,
		    strcmp(rows[i].kind, "ED25519") == 0 ? NULL : EVP_sha256(),
		    unit_7, pem);
		refused(pem, CAUSE_CSR_KEY, rows[i].text);
		EVP_PKEY_free(key);
	}
}

/* The same key written in another way would have another digest. */
static void
test_other_forms_of_a_key(void **state)
{
	EVP_PKEY *key = make_key("P-256", 0);
	char pem[PEM_MAX];

	(void)state;
	must(EVP_PKEY_set_utf8_string_param(key,
		 OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed") == 1,
	    "a compressed point");
	make_request(key, key, EVP_sha256(), unit_7, pem);
	refused(pem, CAUSE_CSR_KEY, "has a compressed point");
	must(EVP_PKEY_set_utf8_string_param(key,
		 OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
		 "uncompressed") == 1 &&
		 EVP_PKEY_set_utf8_string_param(
		     key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit") == 1,
	    "an explicit curve");
	make_request(key, key, EVP_sha256(), unit_7, pem);
	refused(pem, CAUSE_CSR_KEY, "spells its curve out");
	EVP_PKEY_free(key);
}

static void
test_signatures(void **state)
{
	EVP_PKEY *key = make_key("P-256", 0), *other = make_key("P-256", 0);
	char pem[PEM_MAX];

	(void)state;
	make_request(key, other, EVP_sha256(), unit_7, pem);
	refused(pem, CAUSE_CSR_INVALID, "does not verify with its own key");
	make_request(key, key, EVP_sha1(), unit_7, pem);
	refused(pem, CAUSE_CSR_INVALID, "is signed with ecdsa-with-SHA1");
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static void
test_subjects(void **state)
{
	static const struct {
		const char *names[3];
		const char *text;
	} rows[] = {
	    {{NULL}, "has 0 common names; one, UNIT-0007, is accepted"},
	    {{"UNIT-0007", "UNIT-0008", NULL}, "has 2 common names"},
	    {{"UNIT-0008", NULL}, "is for \"UNIT-0008\"; the unit's serial is "
				  "UNIT-0007"},
	    {{"unit-0007", NULL}, "is for \"unit-0007\""},
	    {{"UNIT-0007 ", NULL}, "is for \"UNIT-0007 \""},
	    {{"UNIT-0", NULL}, "is for \"UNIT-0\""},
	    {{"UNIT\x1b[7m", NULL}, "is for \"UNIT\\x1b[7m\""},
	};
	EVP_PKEY *key = make_key("P-256", 0);
	char pem[PEM_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_request(key, key, EVP_sha256(), rows[i].names, pem);
		refused(pem, CAUSE_CSR_SUBJECT, rows[i].text);
	}
	make_request(key, key, EVP_sha256(), unit_7, pem);
	assert_int_equal(check(pem, "", CSR_KEY_ANY), -1);
	assert_int_equal(fault.cause, CAUSE_CSR_SUBJECT);
	EVP_PKEY_free(key);
}

/* "UNIT-0007" and then a NUL must not pass for the serial. */
static void
test_nul_in_the_name(void **state)
{
	static const struct {
		const char *name;
		int len;
		const char *text;
	} rows[] = {
	    {"UNIT-0007\0evil", 14, "is for \"UNIT-0007\\x00evil\""},
	    {"UNIT-0007\0", 10, "is for \"UNIT-0007\\x00\""},
	};
	EVP_PKEY *key = make_key("P-256", 0);
	char pem[PEM_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		X509_REQ *request = X509_REQ_new();
		X509_NAME *subject = X509_NAME_new();
		BIO *bio = BIO_new(BIO_s_mem());

		must(X509_NAME_add_entry_by_NID(subject, NID_commonName,
			 V_ASN1_UTF8STRING, (const unsigned char *)rows[i].name,
			 rows[i].len, -1, 0) == 1,
		    "a name");
		must(X509_REQ_set_subject_name(request, subject) == 1 &&
			 X509_REQ_set_pubkey(request, key) == 1 &&
			 X509_REQ_sign(request, key, EVP_sha256()) > 0 &&
			 PEM_write_bio_X509_REQ(bio, request) == 1,
		    "a request");
		bio_text(bio, pem);
		refused(pem, CAUSE_CSR_SUBJECT, rows[i].text);
		X509_NAME_free(subject);
		X509_REQ_free(request);
	}
	EVP_PKEY_free(key);
}

/* RFC 3279, 2.3.1 has a NULL behind rsaEncryption; decoders do without. */
static void
test_key_without_its_null(void **state)
{
	EVP_PKEY *key = make_key("RSA", 2048);
	X509_REQ *request = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	const unsigned char *bits;
	unsigned char *copy;
	X509_PUBKEY *spki;
	char pem[PEM_MAX];
	int len;

	(void)state;
	must(X509_REQ_set_pubkey(request, key) == 1 &&
		 X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request),
		     "CN", MBSTRING_ASC, (const unsigned char *)"UNIT-0007", -1,
		     -1, 0) == 1,
	    "a request");
	spki = X509_REQ_get_X509_PUBKEY(request);
	must(X509_PUBKEY_get0_param(NULL, &bits, &len, NULL, spki) == 1,
	    "a key");
	copy = OPENSSL_memdup(bits, (size_t)len);
	must(X509_PUBKEY_set0_param(spki, OBJ_nid2obj(NID_rsaEncryption),
		 V_ASN1_UNDEF, NULL, copy, len) == 1 &&
		 X509_REQ_sign(request, key, EVP_sha256()) > 0 &&
		 PEM_write_bio_X509_REQ(bio, request) == 1,
	    "a key without NULL");
	bio_text(bio, pem);
	refused(pem, CAUSE_CSR_KEY, "is not written in its usual DER form");
	X509_REQ_free(request);
	EVP_PKEY_free(key);
}

static void
test_pem_is_strict(void **state)
{
	EVP_PKEY *key = make_key("P-256", 0);
	char pem[PEM_MAX], text[PEM_MAX * 2 + 64], *at;

	(void)state;
	make_request(key, key, EVP_sha256(), unit_7, pem);
	(void)snprintf(text, sizeof(text), "\r\n \n%s\n\n", pem);
	assert_int_equal(check(text, "UNIT-0007", CSR_KEY_ANY), 0);
	(void)snprintf(text, sizeof(text), "%s%s", pem, pem);
	refused(text, CAUSE_CSR_INVALID, "has more than one PEM block");
	(void)snprintf(text, sizeof(text), "hello\n%s", pem);
	refused(text, CAUSE_CSR_INVALID, "has text in front of its BEGIN");
	(void)snprintf(text, sizeof(text), "%s$ ", pem);
	refused(text, CAUSE_CSR_INVALID, "has text behind its END line");
	refused("", CAUSE_CSR_INVALID, "its BEGIN line is missing");
	(void)snprintf(text, sizeof(text), "%.200s", pem);
	refused(text, CAUSE_CSR_INVALID, "its END line is missing");
	(void)snprintf(text, sizeof(text), "%s", pem);
	*strstr(text, "M") = '!';
	refused(text, CAUSE_CSR_INVALID, "is not well-formed PEM");
	(void)snprintf(text, sizeof(text),
	    "-----BEGIN CERTIFICATE REQUEST-----\nDEK-Info: x\n\n%s",
	    strchr(pem, '\n') + 1);
	refused(text, CAUSE_CSR_INVALID, "has PEM headers");
	memset(text, '\n', CSR_LEN);
	text[CSR_LEN] = '\0';
	refused(text, CAUSE_CSR_INVALID,
	    "has 4097 bytes; at most 4096 are accepted");
	key_pem(key, NULL, text);
	refused(text, CAUSE_CSR_INVALID, "is PEM of another kind");
	(void)snprintf(text, sizeof(text), "%s", pem);
	at = strchr(text, '\n') + 20;
	*at = *at == 'A' ? 'B' : 'A';
	assert_int_equal(check(text, "UNIT-0007", CSR_KEY_ANY), -1);
	EVP_PKEY_free(key);
}

/* The DER of a request's PEM; returns its length. */
static size_t
der_of(const char *pem, unsigned char *der)
{
	const char *body = strchr(pem, '\n') + 1;
	EVP_ENCODE_CTX *decode = EVP_ENCODE_CTX_new();
	int len = 0, rest = 0;

	EVP_DecodeInit(decode);
	must(EVP_DecodeUpdate(decode, der, &len, (const unsigned char *)body,
		 (int)(strstr(body, "-----END") - body)) >= 0 &&
		 EVP_DecodeFinal(decode, der + len, &rest) == 1,
	    "DER");
	EVP_ENCODE_CTX_free(decode);
	return (size_t)(len + rest);
}

static void
pem_of(const unsigned char *der, size_t len, char to[PEM_MAX])
{
	BIO *bio = BIO_new(BIO_s_mem());

	must(PEM_write_bio(bio, "CERTIFICATE REQUEST", "", der, (long)len) > 0,
	    "PEM");
	bio_text(bio, to);
}

/* No byte of a request can be changed unseen, and none added. */
static void
test_every_byte_counts(void **state)
{
	EVP_PKEY *key = make_key("P-256", 0);
	unsigned char der[2048];
	char pem[PEM_MAX];
	size_t len, at;

	(void)state;
	make_request(key, key, EVP_sha256(), unit_7, pem);
	len = der_of(pem, der);
	for (at = 0; at < len; at++) {
		der[at] ^= 0x01;
		pem_of(der, len, pem);
		if (check(pem, "UNIT-0007", CSR_KEY_ANY) == 0)
			fail_msg("byte %zu of %zu", at, len);
		assert_true(fault.cause == CAUSE_CSR_INVALID ||
			    fault.cause == CAUSE_CSR_KEY ||
			    fault.cause == CAUSE_CSR_SUBJECT);
		der[at] ^= 0x01;
	}
	pem_of(der, len, pem);
	assert_int_equal(check(pem, "UNIT-0007", CSR_KEY_ANY), 0);
	der[len] = 0;
	pem_of(der, len + 1, pem);
	refused(pem, CAUSE_CSR_INVALID, "has bytes behind its end");
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted_keys),
	    cmocka_unit_test(test_refused_keys),
	    cmocka_unit_test(test_other_forms_of_a_key),
	    cmocka_unit_test(test_signatures),
	    cmocka_unit_test(test_subjects),
	    cmocka_unit_test(test_nul_in_the_name),
	    cmocka_unit_test(test_key_without_its_null),
	    cmocka_unit_test(test_pem_is_strict),
	    cmocka_unit_test(test_every_byte_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
