#include "cloud/aws_error.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"

struct aws_error_row {
	const char *name; /* without "Exception" at its end */
	enum fault_cause cause;
	enum aws_remedy remedy;
};

/*
 * Names as they stand in the service models and in the SDKs' retry lists;
 * LimitExceeded is one of theirs for throttling, but AWS IoT means a quota of
 * resources with it, which waiting does not help.
 */
static const struct aws_error_row rows[] = {
    {"Throttling", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},
    {"Throttled", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},
    {"RequestThrottled", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},
    {"TooManyRequests", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},
    {"RequestLimitExceeded", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},
    {"BandwidthLimitExceeded", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},
    {"SlowDown", CAUSE_CLOUD_THROTTLED, AWS_REMEDY_SLOWER},

    {"InternalFailure", CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},
    {"InternalServer", CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},
    {"InternalError", CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},
    {"Internal", CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},
    {"ServiceUnavailable", CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},
    {"RequestTimeout", CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},
    {"PriorRequestNotComplete", CAUSE_CLOUD_UNAVAILABLE, AWS_REMEDY_AGAIN},

    {"AccessDenied", CAUSE_CLOUD_DENIED, AWS_REMEDY_NONE},
    {"Unauthorized", CAUSE_CLOUD_DENIED, AWS_REMEDY_NONE},
    {"NotAuthorized", CAUSE_CLOUD_DENIED, AWS_REMEDY_NONE},
    {"Forbidden", CAUSE_CLOUD_DENIED, AWS_REMEDY_NONE},
    {"OptInRequired", CAUSE_CLOUD_DENIED, AWS_REMEDY_NONE},
    {"RegionDisabled", CAUSE_CLOUD_DENIED, AWS_REMEDY_NONE},

    {"ExpiredToken", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_KEYS},
    {"TokenRefreshRequired", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_KEYS},
    {"UnrecognizedClient", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_KEYS},
    {"InvalidClientTokenId", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_KEYS},
    {"RequestTimeTooSkewed", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_CLOCK},
    {"RequestExpired", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_CLOCK},
    {"InvalidSignature", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_CLOCK},
    {"SignatureDoesNotMatch", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_CLOCK},
    {"IncompleteSignature", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_NONE},
    {"MissingAuthenticationToken", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_NONE},
    {"AuthFailure", CAUSE_CLOUD_CREDENTIALS, AWS_REMEDY_NONE},

    {"ResourceAlreadyExists", CAUSE_CLOUD_CONFLICT, AWS_REMEDY_NONE},
    {"VersionConflict", CAUSE_CLOUD_CONFLICT, AWS_REMEDY_NONE},
    {"DeleteConflict", CAUSE_CLOUD_CONFLICT, AWS_REMEDY_SETTLE},
    {"ConflictingResourceUpdate", CAUSE_CLOUD_CONFLICT, AWS_REMEDY_NONE},
    {"CertificateConflict", CAUSE_CLOUD_CONFLICT, AWS_REMEDY_NONE},
    {"Conflict", CAUSE_CLOUD_CONFLICT, AWS_REMEDY_NONE},

    {"ResourceNotFound", CAUSE_CLOUD_REFUSED, AWS_REMEDY_SETTLE},
    {"InvalidRequest", CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
    {"LimitExceeded", CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
    {"CertificateState", CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
    {"CertificateValidation", CAUSE_CLOUD_REFUSED, AWS_REMEDY_NONE},
};

/* "Name", "Name:url" and "prefix#Name" all give "Name". */
static void
name_set(struct aws_error *error, const char *text)
{
	const char *hash = strchr(text, '#');
	size_t len;

	if (hash != NULL)
		text = hash + 1;
	len = strcspn(text, ": \t\r\n,");
	if (len == 0 || len >= sizeof(error->name))
		return;
	text_escape(error->name, sizeof(error->name), text, len);
}

int
aws_xml_text(
    const char *body, size_t len, const char *tag, char *to, size_t size)
{
	char open[48], close[48];
	const char *start, *end;

	snprintf(open, sizeof(open), "<%s>", tag);
	snprintf(close, sizeof(close), "</%s>", tag);
	start = memmem(body, len, open, strlen(open));
	if (start == NULL)
		return -1;
	start += strlen(open);
	end = memmem(start, len - (size_t)(start - body), close, strlen(close));
	if (end == NULL || (size_t)(end - start) >= size)
		return -1;
	memcpy(to, start, (size_t)(end - start));
	to[end - start] = '\0';
	return 0;
}

static void
json_body_read(struct aws_error *error, const char *body, size_t len)
{
	static const char *const names[] = {"__type", "code", "Code"};
	static const char *const messages[] = {
	    "message", "Message", "errorMessage"};
	json_t *json = json_loadb(body, len, 0, NULL);
	const char *text;

	for (size_t i = 0; i < 3 && error->name[0] == '\0'; i++) {
		text = json_string_value(json_object_get(json, names[i]));
		if (text != NULL)
			name_set(error, text);
	}
	for (size_t i = 0; i < 3 && error->message[0] == '\0'; i++) {
		text = json_string_value(json_object_get(json, messages[i]));
		if (text != NULL)
			text_escape(error->message, sizeof(error->message),
			    text, strlen(text));
	}
	json_decref(json);
}

static void
xml_body_read(struct aws_error *error, const char *body, size_t len)
{
	char text[1024];

	if (error->name[0] == '\0' &&
	    aws_xml_text(body, len, "Code", text, sizeof(text)) == 0)
		name_set(error, text);
	if (aws_xml_text(body, len, "Message", text, sizeof(text)) == 0)
		text_escape(
		    error->message, sizeof(error->message), text, strlen(text));
	if (aws_xml_text(body, len, "RequestId", text, sizeof(text)) == 0)
		text_escape(error->request_id, sizeof(error->request_id), text,
		    strlen(text));
}

/* Equal, or equal up to "Exception" at the end of AWS's name. */
static bool
name_matches(const char *name, const char *row)
{
	size_t len = strlen(row);

	return strncmp(name, row, len) == 0 &&
	       (name[len] == '\0' || strcmp(name + len, "Exception") == 0);
}

static struct aws_error_row
row_by_status(long status)
{
	struct aws_error_row row = {.cause = CAUSE_CLOUD_REFUSED};

	if (status == 429) {
		row.cause = CAUSE_CLOUD_THROTTLED;
		row.remedy = AWS_REMEDY_SLOWER;
	} else if (status >= 500) {
		row.cause = CAUSE_CLOUD_UNAVAILABLE;
		row.remedy = AWS_REMEDY_AGAIN;
	} else if (status == 401 || status == 403) {
		row.cause = CAUSE_CLOUD_DENIED;
	} else if (status < 400) {
		/* AWS answers these operations with 200 or an error only. */
		row.cause = CAUSE_CLOUD_ANSWER;
	}
	return row;
}

void
aws_error_read(struct aws_error *error, long status, const char *error_type,
    const char *body, size_t len)
{
	struct aws_error_row row = row_by_status(status);

	memset(error, 0, sizeof(*error));
	if (error_type != NULL)
		name_set(error, error_type);
	while (len > 0 && strchr(" \t\r\n", body[0]) != NULL) {
		body++;
		len--;
	}
	if (len > 0 && body[0] == '{')
		json_body_read(error, body, len);
	else if (len > 0 && body[0] == '<')
		xml_body_read(error, body, len);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* A 5xx may have taken effect, whatever its name. */
		if (name_matches(error->name, rows[i].name) &&
		    (status < 500 || rows[i].remedy == AWS_REMEDY_SLOWER))
			row = rows[i];
	}
	error->cause = row.cause;
	error->remedy = row.remedy;
}
