#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/log.h"
#include "cloud/fleet_answer.h"
#include "cloud/fleet_token.h"

struct made {
	char pem[4096];
	struct certificate certificate;
};

static void
certificate_make(struct made *made)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	struct fault fault = {0};
	int len;

	assert_non_null(key);
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
	    MBSTRING_ASC, (const unsigned char *)"unit", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(bio, certificate);
	len = BIO_read(bio, made->pem, sizeof(made->pem) - 1);
	assert_true(len > 0);
	made->pem[len] = '\0';
	assert_int_equal(certificate_parse(made->pem, (size_t)len,
			     CAUSE_INTERNAL, &made->certificate, &fault),
	    0);
	BIO_free(bio);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

/* Takes the object; what reading it as an accepted answer gives. */
static enum fault_cause
accepted(
    enum fleet_operation operation, json_t *json, struct fleet_answer *answer)
{
	struct fault fault = {0};
	char *text = json_dumps(json, 0);

	assert_non_null(text);
	fleet_answer_read(operation, true, text, strlen(text), answer, &fault);
	free(text);
	json_decref(json);
	return fault.cause;
}

static json_t *
certificate_json(const struct made *made)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "certificateId",
	    made->certificate.id, "certificatePem", made->pem,
	    "certificateOwnershipToken", "token", "privateKey", "key");
}

static void
certificates_are_read(void **state)
{
	struct fleet_answer answer;
	struct made made;

	(void)state;
	certificate_make(&made);
	assert_int_equal(
	    accepted(FLEET_CREATE_FROM_CSR, certificate_json(&made), &answer),
	    CAUSE_NONE);
	assert_true(answer.accepted);
	assert_string_equal(answer.made.id, made.certificate.id);
	assert_string_equal(answer.certificate, made.pem);
	assert_string_equal(answer.token, "token");
	assert_string_equal(answer.key, "");
	assert_int_equal(
	    accepted(FLEET_CREATE_KEYS, certificate_json(&made), &answer),
	    CAUSE_NONE);
	assert_string_equal(answer.key, "key");
}

static void
what_lacks_is_named(void **state)
{
	static const char *const members[] = {"certificateId", "certificatePem",
	    "certificateOwnershipToken", "privateKey"};
	struct fleet_answer answer;
	struct made made;
	char *long_text;

	(void)state;
	certificate_make(&made);
	long_text = calloc(1, FLEET_TOKEN_LEN + CERTIFICATE_LEN);
	assert_non_null(long_text);
	memset(long_text, 'x', FLEET_TOKEN_LEN + CERTIFICATE_LEN - 1);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		json_t *values[] = {NULL, json_string(""), json_integer(1),
		    json_string(long_text), json_stringn("a\0b", 3)};

		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]);
		     j++) {
			json_t *json = certificate_json(&made);

			if (values[j] == NULL)
				json_object_del(json, members[i]);
			else
				json_object_set_new(
				    json, members[i], values[j]);
			assert_int_equal(
			    accepted(FLEET_CREATE_KEYS, json, &answer),
			    CAUSE_CLOUD_ANSWER);
		}
	}
	free(long_text);
}

static void
an_id_belongs_to_its_certificate(void **state)
{
	struct fleet_answer answer;
	struct made made, other;
	json_t *json;

	(void)state;
	certificate_make(&made);
	certificate_make(&other);
	json = certificate_json(&made);
	json_object_set_new(
	    json, "certificateId", json_string(other.certificate.id));
	assert_int_equal(
	    accepted(FLEET_CREATE_FROM_CSR, json, &answer), CAUSE_CLOUD_ANSWER);
}

static void
things_are_read(void **state)
{
	struct fleet_answer answer;
	struct fault fault = {0};
	static const char twice[] =
	    "{\"thingName\": \"a\", \"thingName\": \"b\"}";

	(void)state;
	assert_int_equal(accepted(FLEET_PROVISION,
			     json_pack("{s:s, s:{}}", "thingName", "device-1",
				 "deviceConfiguration"),
			     &answer),
	    CAUSE_NONE);
	assert_string_equal(answer.thing, "device-1");
	assert_int_equal(accepted(FLEET_PROVISION, json_object(), &answer),
	    CAUSE_CLOUD_ANSWER);
	assert_int_equal(accepted(FLEET_PROVISION, json_array(), &answer),
	    CAUSE_CLOUD_ANSWER);
	assert_int_equal(fleet_answer_read(FLEET_PROVISION, true, twice,
			     strlen(twice), &answer, &fault),
	    -1);
	assert_int_equal(
	    fleet_answer_read(FLEET_PROVISION, true, "", 0, &answer, &fault),
	    -1);
}

static void
rejections_are_read(void **state)
{
	static const struct {
		const char *text;
		int status;
		bool throttled;
		const char *code, *message;
	} rows[] = {
	    {"{\"statusCode\": 400, \"errorCode\": \"InvalidCsr\","
	     " \"errorMessage\": \"it is\\nnone\"}",
		400, false, "InvalidCsr", "it is\\x0anone"},
	    {"{\"statusCode\": 429, \"errorCode\": \"x\"}", 429, true, "x", ""},
	    {"{\"errorCode\": \"ThrottlingException\"}", 0, true,
		"ThrottlingException", ""},
	    {"{\"errorCode\": \"TooManyRequests\"}", 0, true, "TooManyRequests",
		""},
	    {"{\"statusCode\": 1e9, \"errorCode\": 7}", 0, false, "", ""},
	    {"{\"statusCode\": 99999999999}", 0, false, "", ""},
	    {"[]", 0, false, "", ""},
	    {"no JSON", 0, false, "", ""},
	    {"", 0, false, "", ""},
	};
	struct fleet_answer answer;
	struct fault fault = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(
		    fleet_answer_read(FLEET_PROVISION, false, rows[i].text,
			strlen(rows[i].text), &answer, &fault),
		    0);
		assert_false(answer.accepted);
		assert_int_equal(answer.status, rows[i].status);
		assert_int_equal(answer.throttled, rows[i].throttled);
		assert_string_equal(answer.code, rows[i].code);
		assert_string_equal(answer.message, rows[i].message);
	}
}

/* ---- tokens ---- */

static void
tokens_are_kept_until_their_end(void **state)
{
	struct fleet_tokens *tokens = NULL;
	struct fault fault = {0};

	(void)state;
	assert_null(fleet_token_find(NULL, "a", 0));
	fleet_token_drop(NULL, "a");
	assert_int_equal(fleet_token_keep(&tokens, "a", "one", 100, &fault), 0);
	assert_int_equal(fleet_token_keep(&tokens, "b", "two", 200, &fault), 0);
	assert_string_equal(fleet_token_find(tokens, "a", 99), "one");
	assert_null(fleet_token_find(tokens, "", 0));
	/* A newer one takes its place. */
	assert_int_equal(fleet_token_keep(&tokens, "a", "new", 150, &fault), 0);
	assert_string_equal(fleet_token_find(tokens, "a", 120), "new");
	assert_null(fleet_token_find(tokens, "a", 150));
	/* It is gone for good. */
	assert_null(fleet_token_find(tokens, "a", 0));
	assert_string_equal(fleet_token_find(tokens, "b", 150), "two");
	fleet_token_drop(tokens, "b");
	assert_null(fleet_token_find(tokens, "b", 150));
	fleet_tokens_free(tokens);
	fleet_tokens_free(NULL);
}

static void
the_oldest_token_makes_room(void **state)
{
	enum {
		MANY = 1000
	};
	struct fleet_tokens *tokens = NULL;
	struct fault fault = {0};
	char id[16], token[16];
	size_t kept = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(id, sizeof(id), "id-%d", i);
		snprintf(token, sizeof(token), "token-%d", i);
		assert_int_equal(
		    fleet_token_keep(&tokens, id, token, 1000 + i, &fault), 0);
	}
	for (int i = 0; i < MANY; i++) {
		const char *found;

		snprintf(id, sizeof(id), "id-%d", i);
		snprintf(token, sizeof(token), "token-%d", i);
		found = fleet_token_find(tokens, id, 0);
		/* The newest, without a gap. */
		assert_true(found != NULL || kept == 0);
		if (found != NULL)
			assert_string_equal(found, token);
		kept += found != NULL;
	}
	assert_int_equal(kept, 4 * SLOTS_MAX);
	fleet_tokens_free(tokens);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(certificates_are_read),
	    cmocka_unit_test(what_lacks_is_named),
	    cmocka_unit_test(an_id_belongs_to_its_certificate),
	    cmocka_unit_test(things_are_read),
	    cmocka_unit_test(rejections_are_read),
	    cmocka_unit_test(tokens_are_kept_until_their_end),
	    cmocka_unit_test(the_oldest_token_makes_room),
	};

	log_open("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
