/* The names that message.h's enums have in records and on screens. */
#include "base/message.h"

#include <string.h>

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_PARENT] = "parent",
    [ROLE_LINE] = "line",
    [ROLE_LEDGER] = "ledger",
    [ROLE_CLOUD] = "cloud",
    [ROLE_VAULT] = "vault",
    [ROLE_SLOT] = "slot",
    [ROLE_LOAD] = "load",
    [ROLE_REPORT] = "report",
    [ROLE_TOOL] = "tool",
    [ROLE_HSM] = "hsm",
};

static const char *const step_names[STEP_NAME_COUNT] = {
    [STEP_PRESENT] = "present",
    [STEP_IDENTIFY] = "identify",
    [STEP_GATE] = "gate",
    [STEP_FLASH] = "flash",
    [STEP_INJECT] = "inject",
    [STEP_READ_BACK] = "read-back",
    [STEP_CONSOLE] = "console",
    [STEP_CHECK] = "check",
    [STEP_REGISTER] = "register",
    [STEP_WRITE_BACK] = "write-back",
    [STEP_ACTIVATE] = "activate",
    [STEP_CONFIRM] = "confirm",
    [STEP_ERASE] = "erase",
    [STEP_LOCK] = "lock",
    [STEP_COMMIT] = "commit",
    [STEP_VERDICT] = "verdict",
};

static const char *const intent_names[INTENT_KIND_COUNT] = {
    [INTENT_FLASH] = "flash",
    [INTENT_INJECT] = "inject",
    [INTENT_HANDOUT] = "handout",
    [INTENT_ISSUE] = "issue",
    [INTENT_BIND] = "bind",
    [INTENT_WRITE] = "write",
    [INTENT_PREREGISTER] = "preregister",
    [INTENT_ACTIVATE] = "activate",
    [INTENT_LOCK] = "lock",
    [INTENT_STAGE] = "stage",
    [INTENT_CONFIRM] = "confirm",
    [INTENT_ERASE] = "erase",
};

const char *
role_name(enum role role)
{
	return (unsigned)role < ROLE_COUNT ? role_names[role] : "unknown";
}

const char *
step_name(enum step_name step)
{
	return (unsigned)step < STEP_NAME_COUNT ? step_names[step] : "unknown";
}

const char *
intent_name(enum intent_kind kind)
{
	return (unsigned)kind < INTENT_KIND_COUNT ? intent_names[kind]
						  : "unknown";
}

enum intent_kind
intent_by_name(const char *name)
{
	size_t kind;

	for (kind = 0; kind < INTENT_KIND_COUNT; kind++)
		if (strcmp(intent_names[kind], name) == 0)
			break;
	return (enum intent_kind)kind;
}
