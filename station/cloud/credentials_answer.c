#include "cloud/credentials_answer.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "cloud/aws_error.h"

/* Two digits, of which the value lies in 0..most; -1 else. */
static int
digits_read(const char **text, int count, int most)
{
	int value = 0;

	for (int i = 0; i < count; i++, (*text)++) {
		if (**text < '0' || **text > '9')
			return -1;
		value = value * 10 + **text - '0';
	}
	return value <= most ? value : -1;
}

static bool
mark_read(const char **text, char mark)
{
	if (**text != mark)
		return false;
	(*text)++;
	return true;
}

/* "Z", "+hh:mm" or "+hhmm", in seconds east of UTC; false when it is none. */
static bool
offset_read(const char **text, int *seconds)
{
	int sign = **text == '-' ? -1 : 1, hours, minutes;

	*seconds = 0;
	if (mark_read(text, 'Z'))
		return true;
	if (!mark_read(text, '+') && !mark_read(text, '-'))
		return false;
	hours = digits_read(text, 2, 23);
	mark_read(text, ':');
	minutes = hours == -1 ? -1 : digits_read(text, 2, 59);
	*seconds = sign * (hours * 3600 + minutes * 60);
	return minutes != -1;
}

/* "2026-11-20T21:14:03"; false when it is anything else. */
static bool
date_read(const char **text, struct tm *tm)
{
	if ((tm->tm_year = digits_read(text, 4, 9999)) == -1 ||
	    !mark_read(text, '-') ||
	    (tm->tm_mon = digits_read(text, 2, 12)) < 1 ||
	    !mark_read(text, '-') ||
	    (tm->tm_mday = digits_read(text, 2, 31)) < 1 ||
	    !mark_read(text, 'T') ||
	    (tm->tm_hour = digits_read(text, 2, 23)) == -1 ||
	    !mark_read(text, ':') ||
	    (tm->tm_min = digits_read(text, 2, 59)) == -1 ||
	    !mark_read(text, ':') ||
	    (tm->tm_sec = digits_read(text, 2, 60)) == -1)
		return false;
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return true;
}

int
credentials_time(const char *text, int64_t *wall_ms)
{
	struct tm tm = {0};
	int offset_s;

	if (!date_read(&text, &tm))
		return -1;
	if (mark_read(&text, '.')) {
		size_t len = strspn(text, "0123456789");

		if (len == 0)
			return -1;
		text += len;
	}
	if (!offset_read(&text, &offset_s) || *text != '\0')
		return -1;
	*wall_ms = ((int64_t)timegm(&tm) - offset_s) * 1000;
	return 0;
}

/* The names of the members, which differ from source to source. */
struct answer_names {
	const char *access_key, *secret_key, *token, *expiration;
	bool token_required, expiration_required;
};
static const struct answer_names names[] = {
    [CREDENTIALS_ANSWER_PROCESS] = {"AccessKeyId", "SecretAccessKey",
	"SessionToken", "Expiration", false, false},
    [CREDENTIALS_ANSWER_METADATA] = {"AccessKeyId", "SecretAccessKey", "Token",
	"Expiration", false, false},
    [CREDENTIALS_ANSWER_IOT] = {"accessKeyId", "secretAccessKey",
	"sessionToken", "expiration", true, true},
    [CREDENTIALS_ANSWER_STS] = {"AccessKeyId", "SecretAccessKey",
	"SessionToken", "Expiration", true, true},
};

/* Takes one text; `text` null: it is absent. */
static int
member_take(const char *name, const char *text, bool required, char *to,
    size_t size, struct fault *fault)
{
	if (text == NULL && !required)
		return 0;
	if (text == NULL)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the answer has no %s", name);
	if (credentials_copy(to, size, text, strlen(text)) == -1)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s of the answer is empty, too long or has characters "
		    "that no AWS key has",
		    name);
	return 0;
}

static int
expiration_take(const char *name, const char *text, bool required,
    struct credentials *credentials, struct fault *fault)
{
	if (text == NULL && !required)
		return 0;
	if (text == NULL ||
	    credentials_time(text, &credentials->expires_wall_ms) == -1)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s of the answer is %s", name,
		    text == NULL ? "absent" : "no time of ISO 8601");
	return 0;
}

/* What stands in the answer instead of credentials, for people. */
static int
refusal_check(
    enum credentials_answer_kind kind, const json_t *json, struct fault *fault)
{
	const json_t *version = json_object_get(json, "Version");
	const char *code = json_string_value(json_object_get(json, "Code"));

	if (kind == CREDENTIALS_ANSWER_PROCESS &&
	    (!json_is_integer(version) || json_integer_value(version) != 1))
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "Version of the answer is not the number 1");
	if (kind == CREDENTIALS_ANSWER_METADATA && code != NULL &&
	    strcmp(code, "Success") != 0)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the answer's Code is \"%.60s\", not Success", code);
	return 0;
}

/* null in JSON is the same as absent. */
static const char *
json_text(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static int
json_take(enum credentials_answer_kind kind, const json_t *json,
    struct credentials *to, struct fault *fault)
{
	const struct answer_names *name = &names[kind];

	if (kind == CREDENTIALS_ANSWER_IOT)
		json = json_object_get(json, "credentials");
	if (!json_is_object(json))
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the answer is not the JSON object that is documented");
	if (refusal_check(kind, json, fault) == -1 ||
	    member_take(name->access_key, json_text(json, name->access_key),
		true, to->access_key, sizeof(to->access_key), fault) == -1 ||
	    member_take(name->secret_key, json_text(json, name->secret_key),
		true, to->secret_key, sizeof(to->secret_key), fault) == -1 ||
	    member_take(name->token, json_text(json, name->token),
		name->token_required, to->session_token,
		sizeof(to->session_token), fault) == -1)
		return -1;
	return expiration_take(name->expiration,
	    json_text(json, name->expiration), name->expiration_required, to,
	    fault);
}

/* The element's text, or null; the space is the caller's. */
static const char *
xml_text(const char *text, size_t len, const char *name, char *to, size_t size)
{
	return aws_xml_text(text, len, name, to, size) == -1 ? NULL : to;
}

static int
xml_take(
    const char *text, size_t len, struct credentials *to, struct fault *fault)
{
	const struct answer_names *name = &names[CREDENTIALS_ANSWER_STS];
	char expiration[64];

	/* Straight to where it stays: no copy is left on the stack. */
	if (xml_text(text, len, name->access_key, to->access_key,
		sizeof(to->access_key)) == NULL ||
	    xml_text(text, len, name->secret_key, to->secret_key,
		sizeof(to->secret_key)) == NULL ||
	    xml_text(text, len, name->token, to->session_token,
		sizeof(to->session_token)) == NULL)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the answer of STS has no credentials in it");
	if (member_take(name->access_key, to->access_key, true, to->access_key,
		sizeof(to->access_key), fault) == -1 ||
	    member_take(name->secret_key, to->secret_key, true, to->secret_key,
		sizeof(to->secret_key), fault) == -1 ||
	    member_take(name->token, to->session_token, true, to->session_token,
		sizeof(to->session_token), fault) == -1)
		return -1;
	return expiration_take(name->expiration,
	    xml_text(
		text, len, name->expiration, expiration, sizeof(expiration)),
	    true, to, fault);
}

int
credentials_answer(enum credentials_answer_kind kind, const char *text,
    size_t len, struct credentials *credentials, struct fault *fault)
{
	json_t *json = NULL;
	int result = -1;

	credentials_wipe(credentials);
	if (len > CREDENTIALS_ANSWER_MAX) {
		fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the answer is longer than %d bytes",
		    CREDENTIALS_ANSWER_MAX);
	} else if (kind == CREDENTIALS_ANSWER_STS) {
		result = xml_take(text, len, credentials, fault);
	} else {
		json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
		result = json_take(kind, json, credentials, fault);
		json_decref(json);
	}
	if (result == -1)
		credentials_wipe(credentials);
	return result;
}
