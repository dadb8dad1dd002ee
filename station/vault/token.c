#include "vault/token.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "pki/token_uri.h"
#include "vault/token_module.h"

enum {
	SLOTS_LISTED_MAX = 64,
};

struct token_key {
	struct token_module *module;
	struct token_uri uri;
	struct secret pin; /* no data: none */
	ck_slot_id_t slot;
	ck_session_handle_t session; /* CK_INVALID_HANDLE: none */
	ck_object_handle_t object;
	ck_key_type_t type;
	bool asks_each_time; /* CKA_ALWAYS_AUTHENTICATE */
};

/* ---- the token and a session with it ---- */

/* Fields of a token are padded with blanks and have no NUL. */
static bool
field_matches(const char *wanted, const unsigned char *field, size_t size)
{
	size_t len = strlen(wanted);

	if (len == 0)
		return true;
	if (len > size || memcmp(wanted, field, len) != 0)
		return false;
	for (; len < size; len++)
		if (field[len] != ' ' && field[len] != '\0')
			return false;
	return true;
}

static bool
token_matches(const struct token_uri *uri, const struct ck_token_info *info)
{
	return (info->flags & CKF_TOKEN_INITIALIZED) != 0 &&
	       field_matches(uri->token, info->label, sizeof(info->label)) &&
	       field_matches(uri->manufacturer, info->manufacturer_id,
		   sizeof(info->manufacturer_id)) &&
	       field_matches(uri->model, info->model, sizeof(info->model)) &&
	       field_matches(uri->serial, info->serial_number,
		   sizeof(info->serial_number));
}

static int
token_find(
    struct token_key *key, struct ck_token_info *found, struct fault *fault)
{
	struct ck_function_list *calls = key->module->calls;
	ck_slot_id_t slots[SLOTS_LISTED_MAX];
	unsigned long count = SLOTS_LISTED_MAX, matches = 0;
	struct ck_token_info info;
	ck_rv_t result;

	/* Asked for the number alone, a module looks for new tokens. */
	(void)calls->C_GetSlotList(1, NULL, &count);
	count = SLOTS_LISTED_MAX;
	result = calls->C_GetSlotList(1, slots, &count);
	if (result != CKR_OK)
		return token_refused(fault, "C_GetSlotList", result);
	for (unsigned long i = 0; i < count; i++) {
		if (calls->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
		    !token_matches(&key->uri, &info))
			continue;
		matches++;
		key->slot = slots[i];
		*found = info;
	}
	if (matches == 1)
		return 0;
	return fault_set(fault, CAUSE_VAULT_ERROR,
	    "%lu of %lu tokens are the one that the key is in (label \"%s\"); "
	    "exactly one is accepted",
	    matches, count, key->uri.token);
}

/*
 * True when the token, or what is known of its PIN, speaks against a try.
 */
static bool
pin_is_risky(const struct token_key *key, const struct ck_token_info *info,
    struct fault *fault)
{
	const char *why = NULL;

	if ((info->flags & CKF_USER_PIN_LOCKED) != 0)
		why = "its PIN is locked: unlock it with the tool of its maker";
	else if ((info->flags & CKF_USER_PIN_FINAL_TRY) != 0)
		why = "one try is left for its PIN: log in once with the tool "
		      "of its maker, then open the lot again";
	else if (token_pin_was_refused(key->module, info, &key->pin))
		why = "it has refused this PIN before: correct pin_file; after "
		      "a change of the token's own PIN, restart the station";
	if (why == NULL)
		return false;
	fault_set(
	    fault, CAUSE_VAULT_ERROR, "token \"%s\": %s", key->uri.token, why);
	return true;
}

static int
token_login(struct token_key *key, const struct ck_token_info *info,
    ck_user_type_t user, struct fault *fault)
{
	struct ck_function_list *calls = key->module->calls;
	bool own_pad = (info->flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
	ck_rv_t result;

	if (key->pin.len == 0 && !own_pad)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "token \"%s\" wants a PIN: the lot's ca needs a pin_file",
		    key->uri.token);
	if (key->pin.len != 0 && pin_is_risky(key, info, fault))
		return -1;
	result = calls->C_Login(key->session, user,
	    key->pin.len == 0 ? NULL : (unsigned char *)key->pin.data,
	    key->pin.len);
	if (result == CKR_OK || result == CKR_USER_ALREADY_LOGGED_IN)
		return 0;
	if (key->pin.len != 0 &&
	    (result == CKR_PIN_INCORRECT || result == CKR_PIN_INVALID ||
		result == CKR_PIN_LEN_RANGE))
		token_pin_refused(key->module, info, &key->pin);
	return token_refused(fault, "C_Login", result);
}

/* ---- the key ---- */

static int
object_find(struct token_key *key, struct fault *fault)
{
	struct ck_function_list *calls = key->module->calls;
	ck_object_class_t class = CKO_PRIVATE_KEY;
	struct ck_attribute wanted[3] = {
	    {CKA_CLASS, &class, sizeof(class)},
	};
	ck_object_handle_t found[2];
	unsigned long wanted_count = 1, count = 0;
	ck_rv_t result;

	if (key->uri.object[0] != '\0')
		wanted[wanted_count++] = (struct ck_attribute){
		    CKA_LABEL, key->uri.object, strlen(key->uri.object)};
	if (key->uri.id_len != 0)
		wanted[wanted_count++] =
		    (struct ck_attribute){CKA_ID, key->uri.id, key->uri.id_len};
	result = calls->C_FindObjectsInit(key->session, wanted, wanted_count);
	if (result != CKR_OK)
		return token_refused(fault, "C_FindObjectsInit", result);
	result = calls->C_FindObjects(key->session, found, 2, &count);
	(void)calls->C_FindObjectsFinal(key->session);
	if (result != CKR_OK)
		return token_refused(fault, "C_FindObjects", result);
	if (count != 1)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "token \"%s\" has %s private key \"%s\"; exactly one is "
		    "accepted",
		    key->uri.token, count == 0 ? "no" : "more than one",
		    key->uri.object);
	key->object = found[0];
	return 0;
}

static int
object_examine(struct token_key *key, struct fault *fault)
{
	struct ck_function_list *calls = key->module->calls;
	unsigned char each_time = 0;
	struct ck_attribute type = {
	    CKA_KEY_TYPE, &key->type, sizeof(key->type)};
	struct ck_attribute always = {
	    CKA_ALWAYS_AUTHENTICATE, &each_time, sizeof(each_time)};
	ck_rv_t result =
	    calls->C_GetAttributeValue(key->session, key->object, &type, 1);

	if (result != CKR_OK)
		return token_refused(fault, "C_GetAttributeValue", result);
	if (key->type != CKK_EC && key->type != CKK_RSA)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the token's key is neither EC nor RSA");
	/* Not every token knows this attribute. */
	result =
	    calls->C_GetAttributeValue(key->session, key->object, &always, 1);
	key->asks_each_time = result == CKR_OK && each_time != 0;
	return 0;
}

static void
session_close(struct token_key *key)
{
	if (key->session == CK_INVALID_HANDLE)
		return;
	(void)key->module->calls->C_CloseSession(key->session);
	key->session = CK_INVALID_HANDLE;
}

static int
session_open(struct token_key *key, struct fault *fault)
{
	struct ck_token_info info;
	ck_rv_t result;

	session_close(key);
	memset(&info, 0, sizeof(info));
	if (token_find(key, &info, fault) == -1)
		return -1;
	result = key->module->calls->C_OpenSession(
	    key->slot, CKF_SERIAL_SESSION, NULL, NULL, &key->session);
	if (result != CKR_OK) {
		key->session = CK_INVALID_HANDLE;
		return token_refused(fault, "C_OpenSession", result);
	}
	if (((info.flags & CKF_LOGIN_REQUIRED) == 0 ||
		token_login(key, &info, CKU_USER, fault) == 0) &&
	    object_find(key, fault) == 0 && object_examine(key, fault) == 0)
		return 0;
	session_close(key);
	return -1;
}

struct token_key *
token_key_open(struct token_module *module, const char *uri,
    const struct secret *pin, struct fault *fault)
{
	struct token_key *key = calloc(1, sizeof(*key));
	const char *wrong;

	if (key == NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR, "out of memory");
		return NULL;
	}
	key->module = module;
	key->session = CK_INVALID_HANDLE;
	wrong = token_uri_parse(uri, &key->uri);
	if (wrong != NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR, "the URI %s", wrong);
		goto out;
	}
	if (pin->len != 0) {
		if (secret_alloc(&key->pin, pin->len + 1, fault) == -1)
			goto out;
		memcpy(key->pin.data, pin->data, pin->len);
		key->pin.len = pin->len;
	}
	if (session_open(key, fault) == 0)
		return key;
out:
	token_key_close(key);
	return NULL;
}

void
token_key_close(struct token_key *key)
{
	if (key == NULL)
		return;
	session_close(key);
	secret_free(&key->pin);
	free(key);
}

/* ---- signatures ---- */

/* RFC 8017, 9.2, note 1: the DigestInfo of SHA-256 in front of the digest. */
static const uint8_t sha256_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60,
    0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

static ck_rv_t
key_sign_once(struct token_key *key, uint8_t *input, size_t len, uint8_t *to,
    unsigned long *to_len, struct fault *fault)
{
	struct ck_function_list *calls = key->module->calls;
	struct ck_mechanism mechanism = {
	    key->type == CKK_EC ? CKM_ECDSA : CKM_RSA_PKCS, NULL, 0};
	struct ck_token_info info;
	ck_rv_t result;

	if (key->session == CK_INVALID_HANDLE)
		return CKR_SESSION_HANDLE_INVALID;
	result = calls->C_SignInit(key->session, &mechanism, key->object);
	if (result == CKR_OK && key->asks_each_time) {
		result = calls->C_GetTokenInfo(key->slot, &info);
		if (result == CKR_OK &&
		    token_login(key, &info, CKU_CONTEXT_SPECIFIC, fault) == -1)
			return CKR_FUNCTION_FAILED;
	}
	if (result == CKR_OK)
		result = calls->C_Sign(key->session, input, len, to, to_len);
	if (result != CKR_OK)
		token_refused(fault, "C_Sign", result);
	return result;
}

/* What passes when the session is opened anew. */
static bool
session_was_lost(ck_rv_t result)
{
	switch (result) {
	case CKR_SESSION_HANDLE_INVALID:
	case CKR_SESSION_CLOSED:
	case CKR_USER_NOT_LOGGED_IN:
	case CKR_OBJECT_HANDLE_INVALID:
	case CKR_KEY_HANDLE_INVALID:
	case CKR_DEVICE_ERROR:
	case CKR_DEVICE_REMOVED:
	case CKR_TOKEN_NOT_PRESENT:
		return true;
	default:
		return false;
	}
}

int
token_key_sign(void *arg, const struct sign_input *input,
    struct sign_output *output, struct fault *fault)
{
	struct token_key *key = arg;
	uint8_t data[sizeof(sha256_info) + SIGN_DIGEST_MAX];
	size_t head = key->type == CKK_RSA ? sizeof(sha256_info) : 0;
	unsigned long len = sizeof(output->bytes);
	ck_rv_t result;

	if (head != 0 && input->len != 32)
		return fault_set(
		    fault, CAUSE_VAULT_ERROR, "an RSA key signs SHA-256 only");
	memcpy(data, sha256_info, head);
	memcpy(data + head, input->digest, input->len);
	result = key_sign_once(
	    key, data, head + input->len, output->bytes, &len, fault);
	if (session_was_lost(result)) {
		if (session_open(key, fault) == -1)
			return -1;
		len = sizeof(output->bytes);
		result = key_sign_once(
		    key, data, head + input->len, output->bytes, &len, fault);
	}
	if (result != CKR_OK)
		return -1;
	fault_clear(fault);
	output->len = len;
	return key->type == CKK_EC ? token_signature_encode(output, fault) : 0;
}
