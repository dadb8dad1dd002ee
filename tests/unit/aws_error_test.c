#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cloud/aws_error.h"

struct row {
	long status;
	const char *header; /* x-amzn-ErrorType, or null */
	const char *body;
	const char *name;
	enum fault_cause cause;
	enum aws_remedy remedy;
};

/* What AWS sends, and what may come from something in between. */
static const struct row rows[] = {
    /* AWS IoT throttles with 400, not with 429. */
    {400, "ThrottlingException", "{\"message\":\"Rate exceeded\"}",
	"ThrottlingException", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},
    {429, NULL, "", "", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},
    {503, "SlowDown", "", "SlowDown", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},
    /* A full quota of resources is no throttling. */
    {410, "LimitExceededException", "{}", "LimitExceededException",
	CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
    /* "Name:url" in the header, "prefix#Name" in the body. */
    {409, "ResourceAlreadyExistsException:http://internal.amazon.com/x", "{}",
	"ResourceAlreadyExistsException", CAUSE_CLOUD_CONFLICT,
	AWS_REMEDY_NONE},
    {404, NULL, "{\"__type\":\"com.amazon#ResourceNotFoundException\"}",
	"ResourceNotFoundException", CAUSE_CLOUD_REFUSED, AWS_REMEDY_SETTLE},
    {400, NULL, " {\"code\":\"InvalidRequestException\"}",
	"InvalidRequestException", CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
    /* The header is believed before the body. */
    {403, "AccessDeniedException", "{\"__type\":\"ThrottlingException\"}",
	"AccessDeniedException", CAUSE_CLOUD_DENIED, AWS_REMEDY_NONE},
    {403, "UnauthorizedException", "", "UnauthorizedException",
	CAUSE_CLOUD_DENIED, AWS_REMEDY_NONE},
    {403, "ExpiredTokenException", "", "ExpiredTokenException",
	CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_KEYS},
    {403, "UnrecognizedClientException", "", "UnrecognizedClientException",
	CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_KEYS},
    {403, "InvalidSignatureException", "", "InvalidSignatureException",
	CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_CLOCK},
    {403, NULL,
	"<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>The "
	"request</Message></Error><RequestId>abc-1</RequestId>"
	"</ErrorResponse>",
	"SignatureDoesNotMatch", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_CLOCK},
    {500, "InternalFailureException", "", "InternalFailureException",
	CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},
    {503, "ServiceUnavailableException", "", "ServiceUnavailableException",
	CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},
    /* A 5xx may have taken effect, whatever it is called. */
    {502, "InvalidRequestException", "", "InvalidRequestException",
	CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},
    {409, "DeleteConflictException", "", "DeleteConflictException",
	CAUSE_CLOUD_CONFLICT, AWS_REMEDY_SETTLE},
    /* Names nobody knows, proxies, nonsense. */
    {400, "SomethingNewException", "", "SomethingNewException",
	CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
    {403, NULL, "<html>blocked</html>", "", CAUSE_CLOUD_DENIED,
	AWS_REMEDY_NONE},
    {502, NULL, "<html>bad gateway</html>", "", CAUSE_CLOUD_UNAVAILABLE,
	AWS_REMEDY_AGAIN},
    {301, NULL, "", "", CAUSE_CLOUD_ANSWER, AWS_REMEDY_NONE},
    {400, NULL, "{\"__type\":", "", CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
    {400, NULL, "{\"__type\":7,\"message\":[]}", "", CAUSE_CLOUD_REFUSED,
	AWS_REMEDY_NONE},
    {400, "", "", "", CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
    /* A name that only begins like a known one is another name. */
    {400, "ThrottlingExceptionally", "", "ThrottlingExceptionally",
	CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
};

static void
test_table(void **state)
{
	struct aws_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		print_message("%ld %s\n", row->status,
		    row->header != NULL ? row->header : row->body);
		aws_error_read(&error, row->status, row->header, row->body,
		    strlen(row->body));
		assert_string_equal(error.name, row->name);
		assert_int_equal(error.cause, row->cause);
		assert_int_equal(error.remedy, row->remedy);
	}
}

static void
test_words_and_request_ids(void **state)
{
	static const char json[] = "{\"message\":\"no\\u0007thing\\nhere\"}";
	static const char xml[] = "<E><Message>gone</Message>"
				  "<RequestId>id-7</RequestId></E>";
	struct aws_error error;

	(void)state;
	aws_error_read(&error, 400, "X", json, sizeof(json) - 1);
	assert_string_equal(error.message, "no\\x07thing\\x0ahere");
	aws_error_read(&error, 403, NULL, xml, sizeof(xml) - 1);
	assert_string_equal(error.message, "gone");
	assert_string_equal(error.request_id, "id-7");
}

static void
test_long_and_hostile_texts(void **state)
{
	char body[4096];
	struct aws_error error;

	(void)state;
	memset(body, 'a', sizeof(body));
	memcpy(body, "{\"__type\":\"", 11);
	memcpy(body + sizeof(body) - 2, "\"}", 2);
	aws_error_read(&error, 400, NULL, body, sizeof(body));
	assert_string_equal(error.name, "");
	memcpy(body, "{\"message\":", 11);
	body[11] = '"';
	aws_error_read(&error, 400, NULL, body, sizeof(body));
	assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
	aws_error_read(&error, 400, "\x1b[31mRed", "", 0);
	assert_null(strchr(error.name, '\x1b'));
}

static void
test_xml_text(void **state)
{
	static const char xml[] =
	    "<Account>123456789012</Account><Empty></Empty>"
	    "<Open>text";
	char text[13];

	(void)state;
	assert_int_equal(
	    aws_xml_text(xml, sizeof(xml) - 1, "Account", text, 13), 0);
	assert_string_equal(text, "123456789012");
	assert_int_equal(
	    aws_xml_text(xml, sizeof(xml) - 1, "Account", text, 12), -1);
	assert_int_equal(
	    aws_xml_text(xml, sizeof(xml) - 1, "Empty", text, 13), 0);
	assert_string_equal(text, "");
	assert_int_equal(
	    aws_xml_text(xml, sizeof(xml) - 1, "Open", text, 13), -1);
	assert_int_equal(aws_xml_text(xml, 20, "Account", text, 13), -1);
	assert_int_equal(aws_xml_text("", 0, "Account", text, 13), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_words_and_request_ids),
	    cmocka_unit_test(test_long_and_hostile_texts),
	    cmocka_unit_test(test_xml_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
