#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cloud/sigv4.h"

/*
 * The keys, date and signatures of AWS's published Signature Version 4 test
 * suite: service `service` in us-east-1, 2015-08-30T12:36:00Z.
 */
static const char suite_access_key[] = "AKIDEXAMPLE";
static const char suite_secret_key[] =
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
static const char suite_time[] = "20150830T123600Z";

struct vector {
	const char *name; /* in the suite */
	const char *method, *path, *query;
	struct sigv4_header headers[6]; /* besides host and x-amz-date */
	const char *body;
	const char *signed_names;
	const char *signature;
};

static const struct vector vectors[] = {
#define HOST_DATE "host;x-amz-date"
    {"get-vanilla", "GET", "/", "", {{0}}, "", HOST_DATE,
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla", "POST", "/", "", {{0}}, "", HOST_DATE,
	"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-vanilla-query-order-key-case", "GET", "/",
	"Param2=value2&Param1=value1", {{0}}, "", HOST_DATE,
	"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-unreserved", "GET", "/",
	"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
	"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	{{0}}, "", HOST_DATE,
	"9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-vanilla-empty-query-key", "GET", "/", "Param1=value1", {{0}}, "",
	HOST_DATE,
	"a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-utf8", "GET", "/\xe1\x88\xb4", "", {{0}}, "", HOST_DATE,
	"8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-header-key-duplicate", "GET", "/", "",
	{{"My-Header1", "value2"}, {"My-Header1", "value2"},
	    {"My-Header1", "value1"}},
	"", "host;my-header1;x-amz-date",
	"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-order", "GET", "/", "",
	{{"My-Header1", "value4"}, {"My-Header1", "value1"},
	    {"My-Header1", "value3"}, {"My-Header1", "value2"}},
	"", "host;my-header1;x-amz-date",
	"08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-trim", "GET", "/", "",
	{{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}}, "",
	"host;my-header1;my-header2;x-amz-date",
	"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"post-x-www-form-urlencoded", "POST", "/", "",
	{{"Content-Type", "application/x-www-form-urlencoded"}},
	"Param1=value1", "content-type;host;x-amz-date",
	"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"post-sts-header-before", "POST", "/", "",
	{{"X-Amz-Security-Token",
	    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTw"
	    "dQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi"
	    "/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5V"
	    "SXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPk"
	    "UL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabI"
	    "Qwj2ICCR/oLxBA=="}},
	"", "host;x-amz-date;x-amz-security-token",
	"85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    {"get-slash", "GET", "//", "", {{0}}, "", HOST_DATE,
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-relative-relative", "GET", "/example1/example2/../..", "", {{0}}, "",
	HOST_DATE,
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-dot-slash", "GET", "/./", "", {{0}}, "", HOST_DATE,
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-relative", "GET", "/example/..", "", {{0}}, "", HOST_DATE,
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-pointless-dot", "GET", "/./example", "", {{0}}, "", HOST_DATE,
	"ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
    {"get-slashes", "GET", "//example//", "", {{0}}, "", HOST_DATE,
	"9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
    {"get-space", "GET", "/example space/", "", {{0}}, "", HOST_DATE,
	"652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-unreserved", "GET",
	"/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	"", {{0}}, "", HOST_DATE,
	"07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-vanilla-query-order-key", "GET", "/", "Param1=value2&Param1=Value1",
	{{0}}, "", HOST_DATE,
	"eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"},
    {"get-vanilla-query-order-value", "GET", "/", "Param1=value2&Param1=value1",
	{{0}}, "", HOST_DATE,
	"5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
    {"get-vanilla-utf8-query", "GET", "/", "\xe1\x88\xb4=bar", {{0}}, "",
	HOST_DATE,
	"2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-header-value-multiline", "GET", "/", "",
	{{"My-Header1", "value1\n  value2\n     value3"}}, "",
	"host;my-header1;x-amz-date",
	"cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd"},
    {"post-vanilla-query", "POST", "/", "Param1=value1", {{0}}, "", HOST_DATE,
	"28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"post-header-key-sort", "POST", "/", "", {{"My-Header1", "value1"}}, "",
	"host;my-header1;x-amz-date",
	"c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    {"post-header-value-case", "POST", "/", "", {{"My-Header1", "VALUE1"}}, "",
	"host;my-header1;x-amz-date",
	"cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    {"post-sts-header-after", "POST", "/", "", {{0}}, "", HOST_DATE,
	"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-x-www-form-urlencoded-parameters", "POST", "/", "",
	{{"Content-Type", "application/x-www-form-urlencoded; charset=utf8"}},
	"Param1=value1", "content-type;host;x-amz-date",
	"1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe"},
};

static size_t
headers_fill(struct sigv4_header *to, const struct vector *vector)
{
	size_t count = 0;

	to[count++] = (struct sigv4_header){"Host", "example.amazonaws.com"};
	for (size_t i = 0; i < 6 && vector->headers[i].name != NULL; i++)
		to[count++] = vector->headers[i];
	to[count++] = (struct sigv4_header){"X-Amz-Date", suite_time};
	return count;
}

static void
test_published_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *vector = &vectors[i];
		struct sigv4_header headers[8];
		struct sigv4_request request = {
		    .method = vector->method,
		    .path = vector->path,
		    .query = vector->query,
		    .headers = headers,
		    .header_count = headers_fill(headers, vector),
		    .body = vector->body,
		    .body_len = strlen(vector->body),
		};
		struct sigv4_scope scope = {suite_access_key, suite_secret_key,
		    "us-east-1", "service", suite_time};
		struct sigv4_key key = {0};
		char wanted[512], actual[SIGV4_AUTHORIZATION_LEN];
		struct fault fault = {0};

		print_message("%s\n", vector->name);
		snprintf(wanted, sizeof(wanted),
		    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/"
		    "us-east-1/service/aws4_request, SignedHeaders=%s, "
		    "Signature=%s",
		    vector->signed_names, vector->signature);
		assert_int_equal(
		    sigv4_sign(&request, &scope, &key, actual, &fault), 0);
		assert_string_equal(actual, wanted);
	}
}

/*
 * The examples of "Signature Calculations for the Authorization Header:
 * Transferring Payload in a Single Chunk", Amazon S3 API Reference.
 */
#define EMPTY_SHA256 \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
static const struct s3_vector {
	const char *method, *path, *query;
	struct sigv4_header headers[4]; /* besides host and x-amz-date */
	const char *body, *signature;
} s3_vectors[] = {
    {"GET", "/test.txt", "",
	{{"Range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY_SHA256}}, "",
	"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT", "/test%24file.text", "",
	{{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
	    {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
	    {"x-amz-content-sha256",
		"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b"
		"072"}},
	"Welcome to Amazon S3.",
	"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET", "/", "lifecycle", {{"x-amz-content-sha256", EMPTY_SHA256}}, "",
	"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET", "/", "max-keys=2&prefix=J",
	{{"x-amz-content-sha256", EMPTY_SHA256}}, "",
	"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static void
test_published_s3_vectors(void **state)
{
	static const char time[] = "20130524T000000Z";

	(void)state;
	for (size_t i = 0; i < sizeof(s3_vectors) / sizeof(s3_vectors[0]);
	     i++) {
		const struct s3_vector *vector = &s3_vectors[i];
		struct sigv4_header headers[8] = {
		    {"Host", "examplebucket.s3.amazonaws.com"},
		    {"x-amz-date", time}};
		struct sigv4_request request = {
		    .method = vector->method,
		    .path = vector->path,
		    .query = vector->query,
		    .headers = headers,
		    .header_count = 2,
		    .body = vector->body,
		    .body_len = strlen(vector->body),
		    .path_once = true,
		};
		struct sigv4_scope scope = {"AKIAIOSFODNN7EXAMPLE",
		    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1",
		    "s3", time};
		struct sigv4_key key = {0};
		char actual[SIGV4_AUTHORIZATION_LEN];
		struct fault fault = {0};

		for (size_t k = 0; k < 4 && vector->headers[k].name != NULL;
		     k++)
			headers[request.header_count++] = vector->headers[k];
		print_message("%s %s\n", vector->method, vector->path);
		assert_int_equal(
		    sigv4_sign(&request, &scope, &key, actual, &fault), 0);
		assert_non_null(strstr(actual, vector->signature));
	}
}

/* The example of "Create a signed AWS API request", IAM User Guide. */
static void
test_published_iam_vector(void **state)
{
	static const struct sigv4_header headers[] = {
	    {"Host", "iam.amazonaws.com"},
	    {"Content-Type",
		"application/x-www-form-urlencoded; charset=utf-8"},
	    {"X-Amz-Date", suite_time}};
	struct sigv4_request request = {.method = "GET",
	    .path = "/",
	    .query = "Action=ListUsers&Version=2010-05-08",
	    .headers = headers,
	    .header_count = 3,
	    .body = ""};
	struct sigv4_scope scope = {
	    "AKIDEXAMPLE", suite_secret_key, "us-east-1", "iam", suite_time};
	struct sigv4_key key = {0};
	char actual[SIGV4_AUTHORIZATION_LEN];
	struct fault fault = {0};

	(void)state;
	assert_int_equal(sigv4_sign(&request, &scope, &key, actual, &fault), 0);
	assert_non_null(strstr(actual, "Signature=5d672d79c15b13162d9279b0855c"
				       "fba6789a8edb4c82c400e06b5924a6f2b5d7"));
}

/* A canonical request's second and third line. */
static void
assert_canonical_as(
    bool once, const char *path, const char *query, const char *wanted)
{
	const struct sigv4_header host = {"Host", "h"};
	struct sigv4_request request = {.method = "GET",
	    .path = path,
	    .query = query,
	    .headers = &host,
	    .header_count = 1,
	    .body = "",
	    .path_once = once};
	struct buf text, names;
	struct fault fault = {0};
	char start[1024];

	buf_init(&text, SIGV4_CANONICAL_MAX);
	buf_init(&names, 256);
	assert_int_equal(sigv4_canonical(&request, &text, &names, &fault), 0);
	snprintf(start, sizeof(start), "GET\n%s\nhost:h\n\nhost\n", wanted);
	assert_true(text.len > strlen(start));
	text.data[strlen(start)] = '\0';
	assert_string_equal(text.data, start);
	buf_free(&text);
	buf_free(&names);
}

static void
assert_canonical(const char *path, const char *query, const char *wanted)
{
	assert_canonical_as(false, path, query, wanted);
}

/* In S3 a path names an object: it is encoded once and stays what it is. */
static void
test_paths_of_s3(void **state)
{
	(void)state;
	assert_canonical_as(
	    true, "/bucket/a%3Ab/c%20d", "", "/bucket/a%3Ab/c%20d\n");
	assert_canonical_as(true, "/b/a:b$c", "", "/b/a%3Ab%24c\n");
	assert_canonical_as(true, "/b//x/../y/.", "", "/b//x/../y/.\n");
	assert_canonical_as(true, "/", "uploads", "/\nuploads=");
}

/* The digest of a body that was computed already is taken as it is. */
static void
test_digest_that_is_given(void **state)
{
	const struct sigv4_header host = {"Host", "h"};
	struct sigv4_request request = {.method = "PUT",
	    .path = "/",
	    .query = "",
	    .headers = &host,
	    .header_count = 1,
	    .body_sha256 = "UNSIGNED-PAYLOAD"};
	struct buf text, names;
	struct fault fault = {0};

	(void)state;
	buf_init(&text, SIGV4_CANONICAL_MAX);
	buf_init(&names, 256);
	assert_int_equal(sigv4_canonical(&request, &text, &names, &fault), 0);
	assert_string_equal(
	    text.data, "PUT\n/\n\nhost:h\n\nhost\nUNSIGNED-PAYLOAD");
	buf_free(&text);
	buf_free(&names);
}

/* What libcurl 7.88.1 signs wrongly, and what the station sends. */
static void
test_paths_and_queries(void **state)
{
	(void)state;
	/* An ARN in a path is encoded on the wire and once more here. */
	assert_canonical(
	    "/attached-policies/"
	    "arn%3Aaws%3Aiot%3Aeu-west-1%3A123456789012%3Acert%2Fab",
	    "",
	    "/attached-policies/arn%253Aaws%253Aiot%253Aeu-west-1%253A"
	    "123456789012%253Acert%252Fab\n");
	assert_canonical("/things/dev%3A1", "", "/things/dev%253A1\n");
	assert_canonical("/things/a:b", "", "/things/a%3Ab\n");
	assert_canonical("/a%20b", "", "/a%2520b\n");
	/* Unsorted, valueless and empty parameters. */
	assert_canonical("/", "b=2&a=1&c", "/\na=1&b=2&c=");
	assert_canonical("/", "a&a=1&a=", "/\na=&a=&a=1");
	assert_canonical("/", "a=2&A=1&a=1", "/\nA=1&a=1&a=2");
	/* By the encoded name first: "a" stands before "a1" and "a-". */
	assert_canonical("/", "a1=x&a=z&a-=y", "/\na=z&a-=y&a1=x");
	/* Escapes are read and written anew, in upper case. */
	assert_canonical("/", "m=%2fx%3d%2B%20", "/\nm=%2Fx%3D%2B%20");
	assert_canonical("/", "v=x/y:z", "/\nv=x%2Fy%3Az");
	assert_canonical("/", "p=100%&q=%zz", "/\np=100%25&q=%25zz");
	/* Slashes and dots. */
	assert_canonical("//a//b/", "", "/a/b/\n");
	assert_canonical("/a/../b/./c", "", "/b/c\n");
	assert_canonical("/..", "", "/\n");
	assert_canonical("/a/..", "", "/\n");
}

static void
test_bounds_are_faults(void **state)
{
	struct sigv4_header headers[SIGV4_HEADERS_MAX + 1];
	struct sigv4_request request = {.method = "GET",
	    .path = "/",
	    .query = "",
	    .headers = headers,
	    .body = ""};
	struct buf text, names;
	struct fault fault = {0};
	char path[SIGV4_SEGMENTS_MAX * 2 + 8] = "";
	char query[SIGV4_PARAMETERS_MAX * 2 + 8] = "";

	(void)state;
	buf_init(&text, SIGV4_CANONICAL_MAX);
	buf_init(&names, 1024);
	for (size_t i = 0; i <= SIGV4_HEADERS_MAX; i++)
		headers[i] = (struct sigv4_header){"a", "b"};
	request.header_count = SIGV4_HEADERS_MAX;
	assert_int_equal(sigv4_canonical(&request, &text, &names, &fault), 0);
	request.header_count++;
	assert_int_equal(sigv4_canonical(&request, &text, &names, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_INTERNAL);
	request.header_count = 1;
	for (size_t i = 0; i < SIGV4_SEGMENTS_MAX; i++)
		strcat(path, "/a");
	request.path = path;
	assert_int_equal(sigv4_canonical(&request, &text, &names, &fault), 0);
	strcat(path, "/a");
	assert_int_equal(sigv4_canonical(&request, &text, &names, &fault), -1);
	request.path = "/";
	for (size_t i = 0; i < SIGV4_PARAMETERS_MAX; i++)
		strcat(query, "a&");
	request.query = query;
	assert_int_equal(sigv4_canonical(&request, &text, &names, &fault), 0);
	strcat(query, "a");
	assert_int_equal(sigv4_canonical(&request, &text, &names, &fault), -1);
	buf_free(&text);
	buf_free(&names);
}

/* A cached key must not outlive its day, Region or service. */
static void
test_key_is_derived_anew_when_the_scope_changes(void **state)
{
	const struct sigv4_header headers[] = {
	    {"Host", "example.amazonaws.com"}, {"X-Amz-Date", suite_time}};
	struct sigv4_request request = {.method = "GET",
	    .path = "/",
	    .query = "",
	    .headers = headers,
	    .header_count = 2,
	    .body = ""};
	struct sigv4_scope scope = {suite_access_key, suite_secret_key,
	    "us-east-1", "service", suite_time};
	struct sigv4_scope scopes[4] = {scope, scope, scope, scope};
	struct sigv4_key cached = {0};
	struct fault fault = {0};

	(void)state;
	scopes[1].service = "iot";
	scopes[2].region = "eu-west-1";
	scopes[3].time = "20150831T000000Z";
	for (size_t i = 0; i < 8; i++) {
		struct sigv4_key fresh = {0};
		char with_cache[SIGV4_AUTHORIZATION_LEN];
		char without[SIGV4_AUTHORIZATION_LEN];

		assert_int_equal(sigv4_sign(&request, &scopes[i % 4], &cached,
				     with_cache, &fault),
		    0);
		assert_int_equal(sigv4_sign(&request, &scopes[i % 4], &fresh,
				     without, &fault),
		    0);
		assert_string_equal(with_cache, without);
	}
	sigv4_key_wipe(&cached);
	assert_int_equal(cached.day[0], '\0');
}

static void
test_time(void **state)
{
	char text[SIGV4_TIME_LEN];

	(void)state;
	sigv4_time(INT64_C(1440938160999), text);
	assert_string_equal(text, suite_time);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_published_vectors),
	    cmocka_unit_test(test_published_s3_vectors),
	    cmocka_unit_test(test_published_iam_vector),
	    cmocka_unit_test(test_paths_and_queries),
	    cmocka_unit_test(test_paths_of_s3),
	    cmocka_unit_test(test_digest_that_is_given),
	    cmocka_unit_test(test_bounds_are_faults),
	    cmocka_unit_test(test_key_is_derived_anew_when_the_scope_changes),
	    cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
