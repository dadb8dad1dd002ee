#include "vault/token_module.h"

#include <dlfcn.h>
#include <openssl/ecdsa.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* Those that an operator can do something about. */
static const struct {
	ck_rv_t code;
	const char *meaning;
} refusals[] = {
    {CKR_HOST_MEMORY, "out of memory"},
    {CKR_GENERAL_ERROR, "general error; see the module's own log"},
    {CKR_FUNCTION_FAILED, "function failed; see the module's own log"},
    {CKR_CANT_LOCK, "the module wants threads"},
    {CKR_DEVICE_ERROR, "device error"},
    {CKR_DEVICE_MEMORY, "the token is full"},
    {CKR_DEVICE_REMOVED, "the token was removed"},
    {CKR_TOKEN_NOT_PRESENT, "the token is not there"},
    {CKR_TOKEN_NOT_RECOGNIZED, "the token is not known to the module"},
    {CKR_KEY_FUNCTION_NOT_PERMITTED, "the key may not sign"},
    {CKR_MECHANISM_INVALID, "the token does not sign that way"},
    {CKR_KEY_TYPE_INCONSISTENT, "the key does not sign that way"},
    {CKR_PIN_INCORRECT, "the PIN is wrong"},
    {CKR_PIN_INVALID, "the PIN has letters that no PIN has"},
    {CKR_PIN_LEN_RANGE, "the PIN is too short or too long"},
    {CKR_PIN_EXPIRED, "the PIN has to be changed"},
    {CKR_PIN_LOCKED, "the PIN is locked"},
    {CKR_USER_PIN_NOT_INITIALIZED, "the token has no user PIN yet"},
    {CKR_USER_NOT_LOGGED_IN, "not logged in"},
    {CKR_SESSION_COUNT, "too many sessions"},
};

int
token_refused(struct fault *fault, const char *call, ck_rv_t code)
{
	const char *meaning = "PKCS #11 has its meaning";

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].code == code)
			meaning = refusals[i].meaning;
	return fault_set(fault, CAUSE_VAULT_ERROR,
	    "the token refuses %s with 0x%lx: %s", call, (unsigned long)code,
	    meaning);
}

/* ---- PINs that were wrong ---- */

/* Which PIN, and of which token; nobody learns it from the digest alone. */
static int
pin_digest(const struct ck_token_info *info, const struct secret *pin,
    struct digest *digest)
{
	char text[sizeof(info->label) + sizeof(info->serial_number) + 32];
	struct digest of_pin;
	size_t at = 0;

	if (digest_bytes(pin->data, pin->len, &of_pin) == -1)
		return -1;
	memcpy(text + at, info->label, sizeof(info->label));
	at += sizeof(info->label);
	memcpy(text + at, info->serial_number, sizeof(info->serial_number));
	at += sizeof(info->serial_number);
	memcpy(text + at, of_pin.bytes, sizeof(of_pin.bytes));
	at += sizeof(of_pin.bytes);
	return digest_bytes(text, at, digest);
}

void
token_pin_refused(struct token_module *module, const struct ck_token_info *info,
    const struct secret *pin)
{
	size_t at = module->refused_count % PINS_REFUSED_MAX;

	if (pin_digest(info, pin, &module->refused[at]) == 0)
		module->refused_count++;
}

bool
token_pin_was_refused(const struct token_module *module,
    const struct ck_token_info *info, const struct secret *pin)
{
	struct digest digest;
	size_t i;

	if (pin_digest(info, pin, &digest) == -1)
		return true;
	for (i = 0; i < module->refused_count && i < PINS_REFUSED_MAX; i++)
		if (memcmp(&module->refused[i], &digest, sizeof(digest)) == 0)
			return true;
	return false;
}

/* ---- signatures ---- */

int
token_signature_encode(struct sign_output *output, struct fault *fault)
{
	ECDSA_SIG *signature = ECDSA_SIG_new();
	size_t half = output->len / 2;
	BIGNUM *r = BN_bin2bn(output->bytes, (int)half, NULL);
	BIGNUM *s = BN_bin2bn(output->bytes + half, (int)half, NULL);
	unsigned char *to = output->bytes;
	int len = -1;

	if (output->len % 2 == 0 && output->len >= 2 &&
	    output->len <= sizeof(output->bytes) / 2 && signature != NULL &&
	    r != NULL && s != NULL && ECDSA_SIG_set0(signature, r, s) == 1) {
		r = s = NULL;
		len = i2d_ECDSA_SIG(signature, &to);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(signature);
	if (len <= 0)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "the token's signature has %zu bytes, which is none",
		    output->len);
	output->len = (size_t)len;
	return 0;
}

/* ---- the library ---- */

void
token_module_close(struct token_module *module)
{
	if (module == NULL)
		return;
	if (module->initialized && module->calls != NULL)
		(void)module->calls->C_Finalize(NULL);
	if (module->library != NULL)
		(void)dlclose(module->library);
	free(module);
}

static ck_rv_t
module_initialize(struct token_module *module)
{
	ck_rv_t result = module->calls->C_Initialize(NULL);

	if (result == CKR_CRYPTOKI_ALREADY_INITIALIZED)
		result = CKR_OK;
	module->initialized = result == CKR_OK;
	return result;
}

struct token_module *
token_module_open(const char *path, struct fault *fault)
{
	struct token_module *module = calloc(1, sizeof(*module));
	CK_C_GetFunctionList list = NULL;
	ck_rv_t result;

	if (module == NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR, "out of memory");
		return NULL;
	}
	module->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (module->library == NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "the PKCS #11 module cannot be loaded: %s", dlerror());
		goto out;
	}
	/* POSIX, dlsym: a function's address comes as one of an object. */
	*(void **)(void *)&list = dlsym(module->library, "C_GetFunctionList");
	if (list == NULL || list(&module->calls) != CKR_OK ||
	    module->calls == NULL) {
		fault_set(fault, CAUSE_VAULT_ERROR,
		    "%s is no PKCS #11 module: it has no C_GetFunctionList",
		    path);
		goto out;
	}
	result = module_initialize(module);
	if (result == CKR_OK)
		return module;
	token_refused(fault, "C_Initialize", result);
	fault_prefix(fault, "%s", path);
out:
	token_module_close(module);
	return NULL;
}
