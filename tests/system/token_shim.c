/*
 * A PKCS #11 module that stands before SoftHSM and misbehaves as the files in
 * $TOKEN_SHIM_FOLDER say:
 *
 *	lose	the next C_Sign finds its session closed; the file goes
 *	hang	C_SignInit does not return (its watchdog is shortened to 1 s)
 *	last	one try is left for the PIN
 *	ask	every signature wants the PIN again
 */
#define CRYPTOKI_GNU 1
#include <dlfcn.h>
#include <p11-kit-1/p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ck_function_list *real, shim;
static bool asked;

ck_rv_t C_GetFunctionList(struct ck_function_list **);

static bool
wanted(const char *name, bool once)
{
	char path[512];

	(void)snprintf(
	    path, sizeof(path), "%s/%s", getenv("TOKEN_SHIM_FOLDER"), name);
	return once ? unlink(path) == 0 : access(path, F_OK) == 0;
}

static ck_rv_t
shim_token_info(ck_slot_id_t slot, struct ck_token_info *info)
{
	ck_rv_t result = real->C_GetTokenInfo(slot, info);

	if (wanted("last", false))
		info->flags |= CKF_USER_PIN_FINAL_TRY;
	return result;
}

static ck_rv_t
shim_attributes(ck_session_handle_t session, ck_object_handle_t object,
    struct ck_attribute *list, unsigned long count)
{
	ck_rv_t result =
	    real->C_GetAttributeValue(session, object, list, count);

	if (count == 1 && list[0].type == CKA_ALWAYS_AUTHENTICATE &&
	    wanted("ask", false)) {
		*(unsigned char *)list[0].value = 1;
		return CKR_OK;
	}
	return result;
}

static ck_rv_t
shim_sign_init(ck_session_handle_t session, struct ck_mechanism *mechanism,
    ck_object_handle_t key)
{
	if (wanted("hang", false)) {
		if (alarm(1) == 0)
			abort(); /* nobody watches */
		for (;;)
			(void)pause();
	}
	asked = false;
	return real->C_SignInit(session, mechanism, key);
}

static ck_rv_t
shim_login(ck_session_handle_t session, ck_user_type_t user, unsigned char *pin,
    unsigned long pin_len)
{
	if (user != CKU_CONTEXT_SPECIFIC)
		return real->C_Login(session, user, pin, pin_len);
	if (pin_len != 4 || memcmp(pin, "4711", 4) != 0)
		return CKR_PIN_INCORRECT;
	asked = true;
	return CKR_OK;
}

static ck_rv_t
shim_sign(ck_session_handle_t session, unsigned char *data,
    unsigned long data_len, unsigned char *signature,
    unsigned long *signature_len)
{
	struct ck_session_info info;

	if (wanted("lose", true)) {
		if (real->C_GetSessionInfo(session, &info) == CKR_OK)
			(void)real->C_CloseAllSessions(info.slot_id);
		return CKR_SESSION_HANDLE_INVALID;
	}
	if (wanted("ask", false) && !asked)
		return CKR_USER_NOT_LOGGED_IN;
	return real->C_Sign(session, data, data_len, signature, signature_len);
}

ck_rv_t
C_GetFunctionList(struct ck_function_list **list)
{
	void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW);
	CK_C_GetFunctionList get = NULL;

	if (library == NULL)
		return CKR_GENERAL_ERROR;
	*(void **)(void *)&get = dlsym(library, "C_GetFunctionList");
	if (get == NULL || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	shim = *real;
	shim.C_GetTokenInfo = shim_token_info;
	shim.C_GetAttributeValue = shim_attributes;
	shim.C_SignInit = shim_sign_init;
	shim.C_Login = shim_login;
	shim.C_Sign = shim_sign;
	*list = &shim;
	return CKR_OK;
}
