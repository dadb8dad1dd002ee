/* Values with variables and transforms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "device/encode.h"
#include "device/expand.h"

static const char pem[] = "-----BEGIN X-----\nAQID\n-----END X-----\n";

static const char *
look_up(void *arg, const char *name, size_t name_len, size_t *len, bool *secret)
{
	static const struct {
		const char *name, *value;
	} values[] = {{"empty", ""}, {"abc", "abc"}, {"key", "the secret"},
	    {"list", "a.bb..d"}, {"lines", "one\r\ntwo\nthree"},
	    {"odd", " a+b*(c) \t"}, {"pem", pem}, {"b64", "/+8="},
	    {"b64url", "_-8"}, {"junk", "a$%"}};
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (strlen(values[i].name) != name_len ||
		    memcmp(values[i].name, name, name_len) != 0)
			continue;
		*len = strlen(values[i].value);
		*secret = strcmp(values[i].name, "key") == 0;
		return values[i].value;
	}
	return NULL;
}

static char made[100];

static int
secret_made(void *arg, const char *name, size_t name_len, const void *value,
    size_t len, struct fault *fault)
{
	(void)arg;
	(void)name;
	(void)name_len;
	(void)fault;
	assert_true(len < sizeof(made));
	memcpy(made, value, len);
	made[len] = '\0';
	return 0;
}

static uint8_t scratch[2][EXPAND_VALUE_MAX];
static const struct expand_calls calls = {
    look_up, secret_made, NULL, {scratch[0], scratch[1]}};
static struct fault fault;

static void
texts_expand(void **state)
{
	static const struct {
		const char *rule, *text;
	} cases[] = {
	    {"", ""},
	    {"plain $ {text}", "plain $ {text}"},
	    {"<${abc}><${empty}>", "<abc><>"},
	    {"${abc|upper|lower|upper}", "ABC"},
	    {"${abc|hex}", "616263"},
	    {"${abc|sha256|hex}",
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
		"f20015ad"},
	    {"${abc|nul|hex}", "61626300"},
	    {"${abc|b64}", "YWJj"},
	    {"${abc|b64|b64_decode}", "abc"},
	    {"${b64|b64_decode|hex}", "ffef"},
	    {"${b64url|b64url_decode|hex}", "ffef"},
	    {"${list|split:.:0}", "a"},
	    {"${list|split:.:1}", "bb"},
	    {"${list|split:.:2}", ""},
	    {"${list|split:.:3}", "d"},
	    {"${list|split:..:1}", "d"},
	    {"${lines|eol:lf}", "one\ntwo\nthree"},
	    {"${lines|eol:crlf}", "one\r\ntwo\r\nthree"},
	    {"${lines|eol:escaped}", "one\\ntwo\\nthree"},
	    {"${odd|trim|re}", "a\\+b\\*\\(c\\)"},
	    {"${pem|der|hex}", "010203"},
	    {"${pem|der|pem:X}", pem},
	};
	char text[500];
	size_t i, len;
	bool secret;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(expand_text(&calls, cases[i].rule, text,
				     sizeof(text), &len, &secret, &fault),
		    0);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(len, strlen(text));
		assert_false(secret);
	}
}

static void
secrets_stay_secret(void **state)
{
	char text[100];
	bool secret = false;
	size_t len;

	(void)state;
	assert_int_equal(expand_text(&calls, "set ${key|b64}", text,
			     sizeof(text), &len, &secret, &fault),
	    0);
	assert_true(secret);
	assert_string_equal(text, "set dGhlIHNlY3JldA==");
	assert_string_equal(made, "dGhlIHNlY3JldA==");
	assert_int_equal(scratch[0][0], 0);
	assert_int_equal(scratch[1][0], 0);
}

static void
what_does_not_apply_is_a_fault(void **state)
{
	static const struct {
		const char *rule, *text;
		enum fault_cause cause;
	} cases[] = {
	    {"${nobody}", "${nobody} is not known", CAUSE_INTERNAL},
	    {"${abc", "without a name", CAUSE_INTERNAL},
	    {"${}", "without a name", CAUSE_INTERNAL},
	    {"${abc|der}", "der does not apply", CAUSE_CONSOLE_ERROR},
	    {"${junk|b64_decode}", "does not apply", CAUSE_CONSOLE_ERROR},
	    {"${list|split:.:9}", "split:.:9 does not", CAUSE_CONSOLE_ERROR},
	    {"${abc|hex}${abc|hex}${abc|hex}", "too long", CAUSE_INTERNAL},
	};
	char text[16];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(expand_text(&calls, cases[i].rule, text,
				     sizeof(text), &len, NULL, &fault),
		    -1);
		assert_int_equal(fault.cause, cases[i].cause);
		if (strstr(fault.text, cases[i].text) == NULL)
			fail_msg("%s: %s", cases[i].rule, fault.text);
	}
}

static void
transforms_are_checked(void **state)
{
	static const char *const good[] = {"${a|hex}", "${a|split:::1}",
	    "${a|pem:CERTIFICATE REQUEST}", "${a|eol:lf|sha256}", "${a}"};
	static const char *const bad[] = {"${a|}", "${a|hex:1}", "${a|split}",
	    "${a|split:.}", "${a|split:.:x}", "${a|pem:}", "${a|pem:x}",
	    "${a|eol:cr}", "${a|hex|md5}"};
	struct expand_part part;
	const char *text;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		text = good[i];
		assert_int_equal(expand_next(&text, &part), 1);
		assert_null(expand_transforms_error(&part));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		text = bad[i];
		assert_int_equal(expand_next(&text, &part), 1);
		if (expand_transforms_error(&part) == NULL)
			fail_msg("%s is accepted", bad[i]);
	}
}

static void
base64_is_strict(void **state)
{
	static const char *const bad[] = {
	    "A", "AAAAA", "AA=A", "AA===", "AAA==", "A?==", "AB-_"};
	uint8_t out[64] = {0};
	char text[8];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(base64_decode(out, sizeof(out), bad[i],
				     strlen(bad[i]), false),
		    -1);
	assert_int_equal(base64_decode(out, 2, "AAAA", 4, false), -1);
	assert_int_equal(base64_decode(out, 1, "AAA=", 4, false), -1);
	assert_int_equal(base64_decode(out, 3, "AA AA\r\n", 7, false), 3);
	assert_int_equal(base64_encode(text, 7, out, 4), -1);
	assert_int_equal(base64_encode(text, 8, out, 4), 8);
	assert_int_equal(pem_to_der(out, sizeof(out), "-----BEGIN ", 11), -1);
	assert_int_equal(pem_encode(text, sizeof(text), "X", out, 1), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_expand),
	    cmocka_unit_test(secrets_stay_secret),
	    cmocka_unit_test(what_does_not_apply_is_a_fault),
	    cmocka_unit_test(transforms_are_checked),
	    cmocka_unit_test(base64_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
