#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "cloud/account.h"

static void
test_endpoints(void **state)
{
	static const struct {
		const char *url;
		const char *clean, *host; /* null: refused */
	} cases[] = {
	    {"https://iot.eu-west-1.amazonaws.com",
		"https://iot.eu-west-1.amazonaws.com",
		"iot.eu-west-1.amazonaws.com"},
	    {"https://localhost:8443/", "https://localhost:8443",
		"localhost:8443"},
	    {"https://h:443", "https://h:443", "h"},
	    {"https://[::1]:9", "https://[::1]:9", "[::1]:9"},
	    {"http://h", NULL, NULL},
	    {"https://", NULL, NULL},
	    {"https:///", NULL, NULL},
	    {"https://h/path", NULL, NULL},
	    {"https://user@h", NULL, NULL},
	    {"https://h?x", NULL, NULL},
	    {"https://h h", NULL, NULL},
	    {"", NULL, NULL},
	};
	struct endpoint endpoint;
	struct fault fault = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].url);
		if (cases[i].clean == NULL) {
			assert_int_equal(
			    endpoint_parse(&endpoint, cases[i].url, &fault),
			    -1);
			assert_int_equal(fault.cause, CAUSE_BAD_CONFIG);
			continue;
		}
		assert_int_equal(
		    endpoint_parse(&endpoint, cases[i].url, &fault), 0);
		assert_string_equal(endpoint.url, cases[i].clean);
		assert_string_equal(endpoint.host, cases[i].host);
	}
}

static void
test_clock_follows_aws(void **state)
{
	struct account account = {0};
	int64_t hour_ms = 3600000;

	(void)state;
	/* Seconds are noise, and no Date is no news. */
	account_clock(&account, clock_wall_ms() + 3000);
	account_clock(&account, 0);
	assert_true(account.skew_ms == 0);
	/* A minute is corrected, but is not why a signature is refused. */
	account_clock(&account, clock_wall_ms() + 60000);
	assert_in_range(account.skew_ms, 59000, 61000);
	assert_false(account_clock_refuses(&account, 0));
	account_clock(&account, clock_wall_ms() + hour_ms);
	assert_in_range(account.skew_ms, hour_ms - 1000, hour_ms + 1000);
	assert_true(account_clock_refuses(&account, 0));
	assert_false(account_clock_refuses(&account, account.skew_ms));
	account_clock(&account, clock_wall_ms() - hour_ms);
	assert_true(account_clock_refuses(&account, 0));
	assert_true(
	    account_wall_ms(&account) < clock_wall_ms() - hour_ms + 1000);
}

static void
test_certificate_arns(void **state)
{
	static const struct {
		const char *region, *arn;
	} cases[] = {
	    {"eu-west-1", "arn:aws:iot:eu-west-1:123456789012:cert/ab"},
	    {"cn-north-1", "arn:aws-cn:iot:cn-north-1:123456789012:cert/ab"},
	    {"us-gov-west-1",
		"arn:aws-us-gov:iot:us-gov-west-1:123456789012:cert/ab"},
	};
	struct config_cloud cloud = {0};
	struct account account = {.cloud = &cloud};
	char arn[256];

	(void)state;
	strcpy(cloud.account, "123456789012");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(cloud.region, cases[i].region);
		assert_int_equal(
		    account_certificate_arn(&account, "ab", arn, sizeof(arn)),
		    0);
		assert_string_equal(arn, cases[i].arn);
	}
	assert_int_equal(account_certificate_arn(&account, "ab", arn, 20), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_endpoints),
	    cmocka_unit_test(test_clock_follows_aws),
	    cmocka_unit_test(test_certificate_arns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
