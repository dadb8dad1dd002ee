#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "pki/token_uri.h"

static struct token_uri uri;

static void
accepted(const char *text)
{
	const char *wrong = token_uri_parse(text, &uri);

	if (wrong != NULL)
		fail_msg("%s: %s", text, wrong);
	assert_true(token_uri_is(text));
}

static void
refused(const char *text, const char *why)
{
	const char *wrong = token_uri_parse(text, &uri);

	if (wrong == NULL || strstr(wrong, why) == NULL)
		fail_msg("%s: %s", text, wrong == NULL ? "accepted" : wrong);
}

static void
test_accepted(void **state)
{
	(void)state;
	accepted("pkcs11:token=station;object=lot-ca");
	assert_string_equal(uri.token, "station");
	assert_string_equal(uri.object, "lot-ca");
	assert_string_equal(uri.manufacturer, "");
	assert_int_equal(uri.id_len, 0);
	accepted("pkcs11:id=%01%00%ff;type=private");
	assert_int_equal(uri.id_len, 3);
	assert_memory_equal(uri.id, "\x01\x00\xff", 3);
	accepted("pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;"
		 "serial=a5d0c7e0a5d0c7e0;token=M%C3%BCller;object=a%3bb&c");
	assert_string_equal(uri.model, "SoftHSM v2");
	assert_string_equal(uri.manufacturer, "SoftHSM project");
	assert_string_equal(uri.serial, "a5d0c7e0a5d0c7e0");
	assert_string_equal(uri.token, "M\xc3\xbcller");
	assert_string_equal(uri.object, "a;b&c");
	assert_false(token_uri_is("/etc/station/ca.key"));
	assert_false(token_uri_is("pkcs11"));
}

static void
test_refused(void **state)
{
	char text[1200];

	(void)state;
	refused("", "pkcs11:");
	refused("PKCS11:object=a", "pkcs11:");
	refused("pkcs11:", "without \"=\"");
	refused("pkcs11:token=a", "names no key");
	refused("pkcs11:object=a;", "without \"=\"");
	refused("pkcs11:;object=a", "without \"=\"");
	refused("pkcs11:object=", "is empty");
	refused("pkcs11:object=a;object=b", "there twice");
	refused("pkcs11:id=a;id=b", "there twice");
	refused("pkcs11:object=a;token=a b", "percent sign");
	refused("pkcs11:object=a%2", "percent sign");
	refused("pkcs11:object=%zz", "percent sign");
	refused("pkcs11:object=%", "percent sign");
	refused("pkcs11:object=a%00b", "empty, there twice");
	refused("pkcs11:object=a%0ab", "empty, there twice");
	refused("pkcs11:object=%ff", "empty, there twice");
	refused("pkcs11:object=a;type=cert", "private key");
	refused("pkcs11:object=a;slot-id=3", "not known");
	refused("pkcs11:object=a;a-name-that-is-long=3", "not known");
	refused("pkcs11:object=a?pin-value=1234", "pin_file");
	refused("pkcs11:object=a?module-path=/tmp/x.so", "pin_file");
	refused("pkcs11:object=a;token=012345678901234567890123456789012",
	    "too long");
	refused("pkcs11:object=a;serial=01234567890123456", "too long");
	(void)snprintf(text, sizeof(text), "pkcs11:id=%0256d", 0);
	refused(text, "too long");
	(void)snprintf(text, sizeof(text), "pkcs11:id=%0255d", 0);
	accepted(text);
	assert_int_equal(uri.id_len, 255);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
