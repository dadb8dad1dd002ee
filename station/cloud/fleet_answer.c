#include "cloud/fleet_answer.h"

#include <string.h>

#include <jansson.h>

#include "base/buf.h"

enum {
	STATUS_THROTTLED = 429
};

/* Copies a text member; false when it is absent, empty or too long. */
static bool
member_take(const json_t *object, const char *name, char *to, size_t size)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);

	return text != NULL && text[0] != '\0' &&
	       json_string_length(value) == strlen(text) &&
	       text_copy(to, size, text) == 0;
}

/* AWS's words, whatever is in them, as one line. */
static void
words_take(const json_t *object, const char *name, char *to, size_t size)
{
	const json_t *value = json_object_get(object, name);

	to[0] = '\0';
	if (json_is_string(value))
		text_escape(to, size, json_string_value(value),
		    json_string_length(value));
}

static void
rejection_read(const json_t *object, struct fleet_answer *answer)
{
	json_int_t status =
	    json_integer_value(json_object_get(object, "statusCode"));

	answer->status = status > 0 && status < 1000 ? (int)status : 0;
	words_take(object, "errorCode", answer->code, sizeof(answer->code));
	words_take(
	    object, "errorMessage", answer->message, sizeof(answer->message));
	/* The codes are not listed in AWS's documents. */
	answer->throttled = answer->status == STATUS_THROTTLED ||
			    strcasestr(answer->code, "throttl") != NULL ||
			    strcasestr(answer->code, "toomanyrequests") != NULL;
}

static int
certificate_read(enum fleet_operation operation, const json_t *object,
    struct fleet_answer *answer, struct fault *fault)
{
	char id[CERTIFICATE_ID_LEN];

	if (!member_take(object, "certificateId", id, sizeof(id)) ||
	    !member_take(object, "certificatePem", answer->certificate,
		sizeof(answer->certificate)) ||
	    !member_take(object, "certificateOwnershipToken", answer->token,
		sizeof(answer->token)))
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "the answer lacks certificateId, certificatePem or "
		    "certificateOwnershipToken, or one is too long");
	if (operation == FLEET_CREATE_KEYS &&
	    !member_take(
		object, "privateKey", answer->key, sizeof(answer->key)))
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "the answer lacks privateKey, or it is too long");
	if (certificate_parse(answer->certificate, strlen(answer->certificate),
		CAUSE_CLOUD_ANSWER, &answer->made, fault) == -1)
		return -1;
	if (strcmp(answer->made.id, id) != 0)
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "certificate %s came under the id %s", answer->made.id, id);
	return 0;
}

int
fleet_answer_read(enum fleet_operation operation, bool accepted,
    const char *text, size_t len, struct fleet_answer *answer,
    struct fault *fault)
{
	json_error_t error;
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	int result = 0;

	memset(answer, 0, sizeof(*answer));
	answer->accepted = accepted;
	if (!accepted) {
		rejection_read(object, answer);
	} else if (!json_is_object(object)) {
		result = fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "the answer is not a JSON object");
	} else if (operation == FLEET_PROVISION) {
		if (!member_take(object, "thingName", answer->thing,
			sizeof(answer->thing)))
			result = fault_set(fault, CAUSE_CLOUD_ANSWER,
			    "the answer lacks thingName, or it is too long");
	} else {
		result = certificate_read(operation, object, answer, fault);
	}
	json_decref(object);
	return result;
}
