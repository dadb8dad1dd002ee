#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cloud/credentials_answer.h"

struct answer_case {
	enum credentials_answer_kind kind;
	const char *text;
	int result;
	const char *access_key, *token;
	int64_t expires_wall_ms;
	const char *fault;
};

#define TIME_MS INT64_C(1795209243000) /* 2026-11-20T21:14:03Z */

static const struct answer_case cases[] = {
    {CREDENTIALS_ANSWER_PROCESS,
	"{\"Version\":1,\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\"}\n",
	0, "AK", "", 0, NULL},
    {CREDENTIALS_ANSWER_PROCESS,
	"{\"Version\":1,\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\","
	"\"SessionToken\":\"T=\",\"Expiration\":\"2026-11-20T22:14:03+01:00\","
	"\"AccountId\":\"1\"}",
	0, "AK", "T=", TIME_MS, NULL},
    {CREDENTIALS_ANSWER_PROCESS,
	"{\"Version\":1,\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\","
	"\"SessionToken\":null}",
	0, "AK", "", 0, NULL},
    {CREDENTIALS_ANSWER_PROCESS,
	"{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\"}", -1, NULL, NULL,
	0, "Version"},
    {CREDENTIALS_ANSWER_PROCESS,
	"{\"Version\":2,\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\"}", -1,
	NULL, NULL, 0, "Version"},
    {CREDENTIALS_ANSWER_PROCESS,
	"{\"Version\":1,\"AccessKeyId\":\"AK\",\"SecretAccessKey\":"
	"\"S\\r\\nK\"}",
	-1, NULL, NULL, 0, "SecretAccessKey"},
    {CREDENTIALS_ANSWER_PROCESS,
	"{\"Version\":1,\"AccessKeyId\":\"AK\",\"AccessKeyId\":\"B\"}", -1,
	NULL, NULL, 0, "object"},
    {CREDENTIALS_ANSWER_PROCESS, "", -1, NULL, NULL, 0, "object"},
    {CREDENTIALS_ANSWER_PROCESS, "[]", -1, NULL, NULL, 0, "object"},
    {CREDENTIALS_ANSWER_PROCESS, "please log in", -1, NULL, NULL, 0, "object"},
    {CREDENTIALS_ANSWER_METADATA,
	"{\"Code\":\"Success\",\"LastUpdated\":\"x\",\"Type\":\"AWS-HMAC\","
	"\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\",\"Token\":\"T\","
	"\"Expiration\":\"2026-11-20T21:14:03Z\"}",
	0, "AK", "T", TIME_MS, NULL},
    {CREDENTIALS_ANSWER_METADATA,
	"{\"RoleArn\":\"r\",\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\","
	"\"Token\":\"T\",\"Expiration\":\"2026-11-20T21:14:03Z\"}",
	0, "AK", "T", TIME_MS, NULL},
    {CREDENTIALS_ANSWER_METADATA, "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}",
	-1, NULL, NULL, 0, "AssumeRoleUnauthorizedAccess"},
    {CREDENTIALS_ANSWER_METADATA,
	"{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\","
	"\"Expiration\":\"soon\"}",
	-1, NULL, NULL, 0, "Expiration"},
    {CREDENTIALS_ANSWER_IOT,
	"{\"credentials\":{\"accessKeyId\":\"AK\",\"secretAccessKey\":\"SK\","
	"\"sessionToken\":\"T\",\"expiration\":\"2026-11-20T21:14:03Z\"}}",
	0, "AK", "T", TIME_MS, NULL},
    {CREDENTIALS_ANSWER_IOT,
	"{\"accessKeyId\":\"AK\",\"secretAccessKey\":\"SK\"}", -1, NULL, NULL,
	0, "object"},
    {CREDENTIALS_ANSWER_IOT,
	"{\"credentials\":{\"accessKeyId\":\"AK\",\"secretAccessKey\":\"SK\","
	"\"expiration\":\"2026-11-20T21:14:03Z\"}}",
	-1, NULL, NULL, 0, "sessionToken"},
    {CREDENTIALS_ANSWER_STS,
	"<AssumeRoleResponse><AssumeRoleResult><Credentials>"
	"<AccessKeyId>AK</AccessKeyId><SecretAccessKey>SK</SecretAccessKey>"
	"<SessionToken>T</SessionToken>"
	"<Expiration>2026-11-20T21:14:03Z</Expiration></Credentials>"
	"</AssumeRoleResult></AssumeRoleResponse>",
	0, "AK", "T", TIME_MS, NULL},
    {CREDENTIALS_ANSWER_STS,
	"<AccessKeyId>AK</AccessKeyId><SecretAccessKey>S K</SecretAccessKey>"
	"<SessionToken>T</SessionToken>"
	"<Expiration>2026-11-20T21:14:03Z</Expiration>",
	-1, NULL, NULL, 0, "SecretAccessKey"},
    {CREDENTIALS_ANSWER_STS,
	"<AccessKeyId>AK</AccessKeyId><SecretAccessKey>SK</SecretAccessKey>"
	"<SessionToken>T</SessionToken>",
	-1, NULL, NULL, 0, "Expiration"},
    {CREDENTIALS_ANSWER_STS, "<html>", -1, NULL, NULL, 0, "STS"},
};

static void
test_answers(void **state)
{
	static struct credentials found;
	static const struct credentials none;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct answer_case *one = &cases[i];
		struct fault fault = {0};

		print_message("case %zu\n", i);
		assert_int_equal(credentials_answer(one->kind, one->text,
				     strlen(one->text), &found, &fault),
		    one->result);
		if (one->result == -1) {
			assert_int_equal(fault.cause, CAUSE_CLOUD_CREDENTIALS);
			assert_non_null(strstr(fault.text, one->fault));
			assert_memory_equal(&found, &none, sizeof(none));
			continue;
		}
		assert_string_equal(found.access_key, one->access_key);
		assert_string_equal(found.secret_key, "SK");
		assert_string_equal(found.session_token, one->token);
		assert_int_equal(found.expires_wall_ms, one->expires_wall_ms);
	}
}

static void
test_answers_have_bounds(void **state)
{
	static struct credentials found;
	size_t len = CREDENTIALS_ANSWER_MAX + 1;
	char *text = malloc(len + 1);
	struct fault fault = {0};

	(void)state;
	assert_non_null(text);
	memset(text, ' ', len);
	text[len] = '\0';
	assert_int_equal(credentials_answer(CREDENTIALS_ANSWER_PROCESS, text,
			     len, &found, &fault),
	    -1);
	assert_non_null(strstr(fault.text, "longer"));
	free(text);
}

static void
test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t wall_ms; /* -1: refused */
	} rows[] = {
	    {"2026-11-20T21:14:03Z", TIME_MS},
	    {"2026-11-20T21:14:03.123456Z", TIME_MS},
	    {"2026-11-20T21:14:03+00:00", TIME_MS},
	    {"2026-11-20T22:44:03+0130", TIME_MS},
	    {"2026-11-20T16:14:03-05:00", TIME_MS},
	    {"1970-01-01T00:00:00Z", 0},
	    {"2026-11-20T21:14:03", -1},
	    {"2026-11-20 21:14:03Z", -1},
	    {"2026-13-20T21:14:03Z", -1},
	    {"2026-00-20T21:14:03Z", -1},
	    {"2026-11-20T24:14:03Z", -1},
	    {"2026-11-20T21:14:03.Z", -1},
	    {"2026-11-20T21:14:03Zx", -1},
	    {"2026-11-20T21:14:03+1", -1},
	    {"", -1},
	};
	int64_t wall_ms;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].text);
		assert_int_equal(credentials_time(rows[i].text, &wall_ms),
		    rows[i].wall_ms == -1 ? -1 : 0);
		if (rows[i].wall_ms != -1)
			assert_int_equal(wall_ms, rows[i].wall_ms);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_answers_have_bounds),
	    cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
