#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/err.h>
#include <string.h>

#include "base/clock.h"
#include "pki/certificate.h"
#include "pki/csr.h"
#include "pki/issue.h"
#include "pki_make.h"

enum {
	DAY_S = 86400,
	/* RFC 5280, 4.2.1.3 */
	USAGE_BIT_SIGNATURE = 0,
	USAGE_BIT_CERTIFICATES = 5,
};
#define DAY_MS (DAY_S * INT64_C(1000))

static const char *const unit_7[] = {"UNIT-0007", NULL};

static struct fault fault;

/* A lot's own CA: certificate and private key. */
struct maker {
	EVP_PKEY *key;
	char pem[PEM_MAX];
	struct authority *authority;
};

static X509 *
x509_read(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	assert_non_null(certificate);
	BIO_free(bio);
	return certificate;
}

/* Adds what its key may do, and its identifier, and signs again. */
static void
usage_add(const char *pem, EVP_PKEY *key, int usage_bit, char to[PEM_MAX])
{
	X509 *certificate = x509_read(pem);
	ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
	ASN1_OCTET_STRING *identifier = ASN1_OCTET_STRING_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;
	BIO *bio = BIO_new(BIO_s_mem());

	must(X509_pubkey_digest(certificate, EVP_sha1(), digest, &len) == 1 &&
		 ASN1_OCTET_STRING_set(identifier, digest, (int)len) == 1 &&
		 ASN1_BIT_STRING_set_bit(usage, usage_bit, 1) == 1 &&
		 X509_add1_ext_i2d(certificate, NID_key_usage, usage, 1, 0) ==
		     1 &&
		 X509_add1_ext_i2d(certificate, NID_subject_key_identifier,
		     identifier, 0, 0) == 1 &&
		 X509_sign(certificate, key, EVP_sha256()) > 0 &&
		 PEM_write_bio_X509(bio, certificate) == 1,
	    "a certificate");
	bio_text(bio, to);
	ASN1_BIT_STRING_free(usage);
	ASN1_OCTET_STRING_free(identifier);
	X509_free(certificate);
}

static struct maker
maker_make(const char *kind, int bits)
{
	struct maker maker = {.key = make_key(kind, bits)};
	char bare[PEM_MAX];

	make_certificate(maker.key, "the maker", true, -DAY_S, DAY_S, bare);
	usage_add(bare, maker.key, USAGE_BIT_CERTIFICATES, maker.pem);
	fault_clear(&fault);
	maker.authority = authority_new(maker.pem, &fault);
	if (maker.authority == NULL)
		fail_msg("%s", fault.text);
	return maker;
}

static void
maker_free(struct maker *maker)
{
	authority_free(maker->authority);
	EVP_PKEY_free(maker->key);
}

static struct message_vault_sign
request_make(EVP_PKEY *key)
{
	struct message_vault_sign request = {
	    .serial = "UNIT-0007",
	    .from_wall_ms = clock_wall_ms() - DAY_MS,
	    .to_wall_ms = clock_wall_ms() + 3650 * DAY_MS,
	};
	char pem[PEM_MAX];

	make_request(key, key, EVP_sha256(), unit_7, pem);
	strcpy(request.csr, pem);
	return request;
}

static void
part_add(
    struct message_vault_sign *request, const char *name, const char *value)
{
	struct subject_part *part = &request->parts[request->part_count++];

	strcpy(part->name, name);
	strcpy(part->value, value);
}

static int
issue(const struct maker *maker, const struct message_vault_sign *request,
    struct message_issue_done *done)
{
	int result;

	memset(done, 0, sizeof(*done));
	fault_clear(&fault);
	result = issue_certificate(
	    maker->authority, request, sign_by_key, maker->key, done, &fault);
	assert_int_equal(ERR_peek_error(), 0);
	if (result == -1) {
		assert_string_equal(done->certificate, "");
		assert_string_equal(done->certificate_id, "");
	}
	return result;
}

static void
refused(const struct maker *maker, const struct message_vault_sign *request,
    enum fault_cause cause, const char *text)
{
	struct message_issue_done done;

	assert_int_equal(issue(maker, request, &done), -1);
	if (fault.cause != cause || strstr(fault.text, text) == NULL)
		fail_msg("%s: %s", fault_row(fault.cause)->name, fault.text);
}

/* What a server does with a client's certificate. */
static int
chain_verifies(const char *authority, X509 *certificate)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509 *root = x509_read(authority);
	int result;

	assert_int_equal(X509_STORE_add_cert(store, root), 1);
	assert_int_equal(
	    X509_STORE_CTX_init(context, store, certificate, NULL), 1);
	X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_CLIENT);
	X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
	result = X509_verify_cert(context);
	if (result != 1)
		print_message("%s\n", X509_verify_cert_error_string(
					  X509_STORE_CTX_get_error(context)));
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	X509_free(root);
	return result;
}

static void
extensions_check(X509 *certificate, X509 *authority)
{
	static const struct {
		int number, critical;
	} rows[] = {{NID_basic_constraints, 1}, {NID_key_usage, 1},
	    {NID_ext_key_usage, 0}, {NID_subject_key_identifier, 0},
	    {NID_authority_key_identifier, 0}};
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;
	size_t i;

	assert_int_equal(X509_get_ext_count(certificate), 5);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int at = X509_get_ext_by_NID(certificate, rows[i].number, -1);

		assert_true(at >= 0);
		assert_int_equal(
		    X509_EXTENSION_get_critical(X509_get_ext(certificate, at)),
		    rows[i].critical);
	}
	assert_int_equal(X509_check_ca(certificate), 0);
	assert_int_equal(X509_get_key_usage(certificate), KU_DIGITAL_SIGNATURE);
	assert_int_equal(
	    X509_get_extended_key_usage(certificate), XKU_SSL_CLIENT);
	X509_pubkey_digest(certificate, EVP_sha1(), digest, &len);
	assert_int_equal(
	    len, ASN1_STRING_length(X509_get0_subject_key_id(certificate)));
	assert_memory_equal(digest,
	    ASN1_STRING_get0_data(X509_get0_subject_key_id(certificate)), len);
	X509_pubkey_digest(authority, EVP_sha1(), digest, &len);
	assert_memory_equal(digest,
	    ASN1_STRING_get0_data(X509_get0_authority_key_id(certificate)),
	    len);
}

static void
test_every_kind_of_authority(void **state)
{
	static const struct {
		const char *kind;
		int bits, algorithm;
	} rows[] = {
	    {"P-256", 256, NID_ecdsa_with_SHA256},
	    {"P-384", 384, NID_ecdsa_with_SHA384},
	    {"RSA", 2048, NID_sha256WithRSAEncryption},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct maker maker = maker_make(rows[i].kind, rows[i].bits);
		EVP_PKEY *key = make_key("P-256", 0);
		struct message_vault_sign request = request_make(key);
		struct message_issue_done done;
		struct certificate facts;
		X509 *made, *root = x509_read(maker.pem);

		part_add(&request, "CN", "UNIT-0007");
		assert_int_equal(issue(&maker, &request, &done), 0);
		made = x509_read(done.certificate);
		assert_int_equal(chain_verifies(maker.pem, made), 1);
		assert_int_equal(
		    X509_get_signature_nid(made), rows[i].algorithm);
		assert_int_equal(X509_get_version(made), X509_VERSION_3);
		assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(made), key), 1);
		assert_int_equal(X509_NAME_cmp(X509_get_issuer_name(made),
				     X509_get_subject_name(root)),
		    0);
		extensions_check(made, root);
		assert_int_equal(certificate_parse(done.certificate,
				     strlen(done.certificate), CAUSE_BAD_LOT,
				     &facts, &fault),
		    0);
		assert_string_equal(facts.id, done.certificate_id);
		assert_int_equal(
		    facts.not_before_ms / 1000, request.from_wall_ms / 1000);
		assert_int_equal(
		    facts.not_after_ms / 1000, request.to_wall_ms / 1000);
		X509_free(made);
		X509_free(root);
		EVP_PKEY_free(key);
		maker_free(&maker);
	}
}

/* One without an identifier of its own: that of its key stands for it. */
static void
test_authority_without_identifier(void **state)
{
	struct maker maker = {.key = make_key("P-256", 0)};
	struct message_vault_sign request = request_make(maker.key);
	struct message_issue_done done;
	X509 *made, *root;

	(void)state;
	make_certificate(
	    maker.key, "the maker", true, -DAY_S, DAY_S, maker.pem);
	maker.authority = authority_new(maker.pem, &fault);
	assert_non_null(maker.authority);
	assert_int_equal(issue(&maker, &request, &done), 0);
	made = x509_read(done.certificate);
	root = x509_read(maker.pem);
	extensions_check(made, root);
	X509_free(made);
	X509_free(root);
	maker_free(&maker);
}

/* RFC 5280, 4.1.2.2: positive, at most 20 octets, never the same twice. */
static void
test_serial_numbers(void **state)
{
	struct maker maker = maker_make("P-256", 0);
	EVP_PKEY *key = make_key("P-256", 0);
	struct message_vault_sign request = request_make(key);
	struct message_issue_done done;
	unsigned char numbers[20][20];
	size_t i, j;

	(void)state;
	for (i = 0; i < 20; i++) {
		const ASN1_INTEGER *number;
		X509 *made;

		assert_int_equal(issue(&maker, &request, &done), 0);
		made = x509_read(done.certificate);
		number = X509_get0_serialNumber(made);
		assert_int_equal(ASN1_STRING_type(number), V_ASN1_INTEGER);
		assert_int_equal(ASN1_STRING_length(number), 20);
		memcpy(numbers[i], ASN1_STRING_get0_data(number), 20);
		assert_true(numbers[i][0] < 0x80);
		for (j = 0; j < i; j++)
			assert_memory_not_equal(numbers[i], numbers[j], 20);
		X509_free(made);
	}
	EVP_PKEY_free(key);
	maker_free(&maker);
}

static void
subject_text(const char *pem, char *to, int size)
{
	X509 *made = x509_read(pem);
	BIO *bio = BIO_new(BIO_s_mem());
	int len;

	X509_NAME_print_ex(bio, X509_get_subject_name(made), 0,
	    XN_FLAG_SEP_CPLUS_SPC | ASN1_STRFLGS_UTF8_CONVERT |
		ASN1_STRFLGS_ESC_MSB);
	len = BIO_read(bio, to, size - 1);
	to[len > 0 ? len : 0] = '\0';
	BIO_free(bio);
	X509_free(made);
}

static void
test_subjects(void **state)
{
	static const struct {
		const char *name, *value;
	} bad[] = {
	    {"C", "DEU"},
	    {"C", "D"},
	    {"C", ""},
	    {"CN", ""},
	    {"SN", "Stück"},
	    {"CN", "\xff\xfe"},
	    {"CN", "0123456789012345678901234567890123456789012345678901234567"
		   "890123456789"},
	};
	struct maker maker = maker_make("P-256", 0);
	EVP_PKEY *key = make_key("P-256", 0);
	struct message_vault_sign request = request_make(key);
	struct message_issue_done done;
	char text[400];
	size_t i;

	(void)state;
	/* None: the request's own. */
	assert_int_equal(issue(&maker, &request, &done), 0);
	subject_text(done.certificate, text, sizeof(text));
	assert_string_equal(text, "CN=UNIT-0007, O=a maker");
	/* Each, in the order that they are given in. */
	part_add(&request, "CN", "UNIT-0007");
	part_add(&request, "SN", "0007");
	part_add(&request, "C", "DE");
	part_add(&request, "O", "M\xc3\xbcller & Co");
	part_add(&request, "OU", "One");
	part_add(&request, "DNQ", "q");
	part_add(&request, "ST", "Hessen");
	assert_int_equal(issue(&maker, &request, &done), 0);
	subject_text(done.certificate, text, sizeof(text));
	assert_string_equal(text,
	    "CN=UNIT-0007, serialNumber=0007, C=DE, "
	    "O=M\\C3\\BCller & Co, OU=One, dnQualifier=q, ST=Hessen");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		request.part_count = 0;
		part_add(&request, bad[i].name, bad[i].value);
		refused(&maker, &request, CAUSE_BAD_LOT, bad[i].name);
	}
	request.part_count = 0;
	part_add(&request, "L", "Kassel");
	refused(&maker, &request, CAUSE_BAD_LOT, "\"L\"; C, O, OU, DNQ, ST");
	EVP_PKEY_free(key);
	maker_free(&maker);
}

static void
test_validity(void **state)
{
	struct maker maker = maker_make("P-256", 0);
	EVP_PKEY *key = make_key("P-256", 0);
	struct message_vault_sign request = request_make(key);
	struct message_issue_done done;
	struct certificate facts;
	X509 *made;

	(void)state;
	/* RFC 5280, 4.1.2.5: from 2050 on as GeneralizedTime; the last day
	 * that there is says "no end". */
	request.to_wall_ms = INT64_C(253402300799000);
	assert_int_equal(issue(&maker, &request, &done), 0);
	made = x509_read(done.certificate);
	assert_int_equal(
	    ASN1_STRING_type(X509_get0_notBefore(made)), V_ASN1_UTCTIME);
	assert_int_equal(
	    ASN1_STRING_type(X509_get0_notAfter(made)), V_ASN1_GENERALIZEDTIME);
	X509_free(made);
	assert_int_equal(
	    certificate_parse(done.certificate, strlen(done.certificate),
		CAUSE_BAD_LOT, &facts, &fault),
	    0);
	assert_int_equal(facts.not_after_ms, request.to_wall_ms);
	request.to_wall_ms += 1000;
	refused(&maker, &request, CAUSE_BAD_LOT, "9999-12-31");
	request.to_wall_ms = request.from_wall_ms;
	refused(&maker, &request, CAUSE_BAD_LOT, "never be valid");
	request.from_wall_ms = 0;
	refused(&maker, &request, CAUSE_BAD_LOT, "never be valid");
	EVP_PKEY_free(key);
	maker_free(&maker);
}

/* A slot may have been taken over: its request is looked at again. */
static void
test_requests_are_checked(void **state)
{
	struct maker maker = maker_make("P-256", 0);
	EVP_PKEY *key = make_key("P-256", 0), *other = make_key("P-256", 0);
	struct message_vault_sign request = request_make(key);
	char pem[PEM_MAX];

	(void)state;
	strcpy(request.serial, "UNIT-0008");
	refused(&maker, &request, CAUSE_CSR_SUBJECT, "UNIT-0008");
	strcpy(request.serial, "UNIT-0007");
	make_request(key, other, EVP_sha256(), unit_7, pem);
	strcpy(request.csr, pem);
	refused(&maker, &request, CAUSE_CSR_INVALID, "does not verify");
	strcpy(request.csr, "");
	refused(&maker, &request, CAUSE_CSR_INVALID, "BEGIN line");
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	maker_free(&maker);
}

static int
sign_nothing(void *arg, const struct sign_input *input,
    struct sign_output *output, struct fault *why)
{
	(void)arg;
	(void)input;
	(void)output;
	return fault_set(why, CAUSE_DEADLINE, "the token is on holiday");
}

/* A whole signature, of something else. */
static int
sign_other(void *arg, const struct sign_input *input,
    struct sign_output *output, struct fault *why)
{
	struct sign_input changed = *input;

	changed.digest[7] ^= 1;
	return sign_by_key(arg, &changed, output, why);
}

static int
sign_too_long(void *arg, const struct sign_input *input,
    struct sign_output *output, struct fault *why)
{
	int result = sign_by_key(arg, input, output, why);

	output->bytes[output->len++] = 0;
	return result;
}

static void
test_signers_are_not_trusted(void **state)
{
	struct maker maker = maker_make("P-256", 0);
	struct maker other = maker_make("P-256", 0);
	EVP_PKEY *key = make_key("P-256", 0);
	struct message_vault_sign request = request_make(key);
	struct message_issue_done done = {0};

	(void)state;
	assert_int_equal(
	    authority_prove(maker.authority, sign_by_key, maker.key, &fault),
	    0);
	assert_int_equal(
	    authority_prove(maker.authority, sign_by_key, other.key, &fault),
	    -1);
	assert_int_equal(fault.cause, CAUSE_VAULT_ERROR);
	assert_non_null(strstr(fault.text, "does not belong"));
	assert_int_equal(issue_certificate(maker.authority, &request,
			     sign_by_key, other.key, &done, &fault),
	    -1);
	assert_int_equal(issue_certificate(maker.authority, &request,
			     sign_other, maker.key, &done, &fault),
	    -1);
	assert_int_equal(issue_certificate(maker.authority, &request,
			     sign_too_long, maker.key, &done, &fault),
	    -1);
	assert_int_equal(fault.cause, CAUSE_VAULT_ERROR);
	assert_int_equal(issue_certificate(maker.authority, &request,
			     sign_nothing, NULL, &done, &fault),
	    -1);
	assert_int_equal(fault.cause, CAUSE_DEADLINE);
	assert_string_equal(done.certificate, "");
	EVP_PKEY_free(key);
	maker_free(&maker);
	maker_free(&other);
}

static void
authority_refused(const char *pem, const char *text)
{
	fault_clear(&fault);
	assert_null(authority_new(pem, &fault));
	assert_int_equal(fault.cause, CAUSE_VAULT_ERROR);
	if (strstr(fault.text, text) == NULL)
		fail_msg("%s", fault.text);
	assert_int_equal(ERR_peek_error(), 0);
}

static void
test_authorities(void **state)
{
	EVP_PKEY *key = make_key("P-256", 0), *odd = make_key("P-521", 0);
	EVP_PKEY *weak = make_key("RSA", 1024);
	struct message_vault_sign request = request_make(key);
	struct maker old = {.key = key};
	char pem[PEM_MAX], changed[PEM_MAX];

	(void)state;
	make_certificate(key, "a unit", false, -DAY_S, DAY_S, pem);
	authority_refused(pem, "CA:TRUE");
	make_certificate(odd, "the maker", true, -DAY_S, DAY_S, pem);
	authority_refused(pem, "neither P-256, P-384 nor RSA");
	make_certificate(weak, "the maker", true, -DAY_S, DAY_S, pem);
	authority_refused(pem, "outside 2048 to 8192");
	make_certificate(key, "the maker", true, -DAY_S, DAY_S, pem);
	usage_add(pem, key, USAGE_BIT_SIGNATURE, changed);
	authority_refused(changed, "forbids to sign certificates");
	authority_refused("", "BEGIN line");
	/* One that has ended is known, but nothing is signed. */
	make_certificate(key, "the maker", true, -2 * DAY_S, -DAY_S, old.pem);
	old.authority = authority_new(old.pem, &fault);
	assert_non_null(old.authority);
	refused(&old, &request, CAUSE_VAULT_ERROR, "\"the maker\" ended at");
	authority_free(old.authority);
	authority_free(NULL);
	EVP_PKEY_free(key);
	EVP_PKEY_free(odd);
	EVP_PKEY_free(weak);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_kind_of_authority),
	    cmocka_unit_test(test_authority_without_identifier),
	    cmocka_unit_test(test_serial_numbers),
	    cmocka_unit_test(test_subjects),
	    cmocka_unit_test(test_validity),
	    cmocka_unit_test(test_requests_are_checked),
	    cmocka_unit_test(test_signers_are_not_trusted),
	    cmocka_unit_test(test_authorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
