#include "lot/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

/* In the order of the journey. */
static const enum intent_kind plan_order[] = {INTENT_INJECT, INTENT_PREREGISTER,
    INTENT_STAGE, INTENT_ISSUE, INTENT_BIND, INTENT_WRITE, INTENT_ACTIVATE,
    INTENT_CONFIRM, INTENT_ERASE};

static uint32_t
steps_of_claim(const struct lot_image *lot)
{
	uint32_t steps = PLAN_STEP(INTENT_PREREGISTER);

	if (lot->ending == ENDING_PROXY)
		return steps | PLAN_STEP(INTENT_ISSUE) |
		       PLAN_STEP(INTENT_WRITE) | PLAN_STEP(INTENT_ACTIVATE);
	steps |= PLAN_STEP(INTENT_INJECT);
	if (lot->ending == ENDING_BENCH)
		steps |= PLAN_STEP(INTENT_CONFIRM);
	return steps;
}

static uint32_t
steps_of_template(const struct lot_image *lot)
{
	uint32_t steps = PLAN_STEP(INTENT_ISSUE);

	if (lot->form != FORM_PEM)
		steps |= PLAN_STEP(INTENT_WRITE);
	if (lot->form == FORM_ID)
		steps |= PLAN_STEP(INTENT_BIND);
	if (lot->activate_at_issue == 0)
		steps |= PLAN_STEP(INTENT_ACTIVATE);
	return steps;
}

uint32_t
plan_steps(const struct lot_image *lot)
{
	uint32_t steps = 0;

	switch ((enum pattern)lot->pattern) {
	case PATTERN_CLAIM:
	case PATTERN_TRUSTED_USER:
		steps = steps_of_claim(lot);
		break;
	case PATTERN_CSR:
		steps = PLAN_STEP(INTENT_ISSUE) | PLAN_STEP(INTENT_BIND) |
			PLAN_STEP(INTENT_WRITE) | PLAN_STEP(INTENT_ACTIVATE);
		break;
	case PATTERN_REGISTER_THING:
		steps = steps_of_template(lot);
		break;
	case PATTERN_READBACK:
		steps = PLAN_STEP(INTENT_ISSUE) | PLAN_STEP(INTENT_BIND) |
			PLAN_STEP(INTENT_ACTIVATE);
		break;
	case PATTERN_JITP:
	case PATTERN_JITR:
		steps = PLAN_STEP(INTENT_ISSUE) | PLAN_STEP(INTENT_WRITE);
		if (lot->ending == ENDING_BENCH)
			steps |= PLAN_STEP(INTENT_CONFIRM);
		break;
	case PATTERN_BULK:
		steps = PLAN_STEP(INTENT_STAGE) | PLAN_STEP(INTENT_ISSUE) |
			PLAN_STEP(INTENT_WRITE) | PLAN_STEP(INTENT_ACTIVATE);
		break;
	default:
		break;
	}
	if ((steps & PLAN_STEP(INTENT_CONFIRM)) != 0 && plan_lends(lot))
		steps |= PLAN_STEP(INTENT_ERASE);
	return steps;
}

void
plan_write(uint32_t steps, char text[PLAN_TEXT_LEN])
{
	size_t len = 0;
	size_t i;

	text[0] = '\0';
	for (i = 0; i < sizeof(plan_order) / sizeof(plan_order[0]); i++)
		if ((steps & PLAN_STEP(plan_order[i])) != 0)
			len += (size_t)snprintf(text + len, PLAN_TEXT_LEN - len,
			    "%s%s", len == 0 ? "" : " ",
			    intent_name(plan_order[i]));
}

uint32_t
plan_read(const char *text)
{
	char word[32];
	uint32_t steps = 0;
	enum intent_kind kind;
	int used;

	while (sscanf(text, " %31[a-z]%n", word, &used) == 1) {
		kind = intent_by_name(word);
		if (kind == INTENT_KIND_COUNT)
			return 0;
		steps |= PLAN_STEP(kind);
		text += used;
	}
	return *text == '\0' ? steps : 0;
}

bool
plan_injects_claim(const struct lot_image *lot)
{
	return (lot->pattern == PATTERN_CLAIM ||
		   lot->pattern == PATTERN_TRUSTED_USER) &&
	       lot->ending != ENDING_PROXY;
}

bool
plan_lends(const struct lot_image *lot)
{
	return lot->wifi_ssid[0] != '\0' ||
	       (plan_injects_claim(lot) && lot->claim_erase != 0);
}

bool
plan_signs(const struct lot_image *lot)
{
	return lot->pattern == PATTERN_JITP || lot->pattern == PATTERN_JITR;
}

bool
plan_is_proxy(const struct lot_image *lot)
{
	return lot->ending == ENDING_PROXY;
}

bool
plan_needs_secret(const struct lot_image *lot)
{
	return plan_injects_claim(lot) || lot->wifi_ssid[0] != '\0' ||
	       (plan_is_proxy(lot) && lot->keys_by_cloud != 0);
}
