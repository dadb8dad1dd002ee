/*
 * What a unit of a lot goes through, as a set of steps: the one place where
 * patterns differ. The slot walks it, the line routes by it, the ledger holds
 * every PASS to it, and it stands in the ledger with the lot.
 *
 * Bit k of a set stands for the intent of kind k (base/message.h).
 *
 *	claim field          inject preregister
 *	claim bench          inject preregister confirm [erase]
 *	claim proxy          preregister issue write activate
 *	trusted-user bench   inject preregister confirm [erase]
 *	trusted-user proxy   preregister issue write activate
 *	csr                  issue bind write activate
 *	register-thing csr   issue write [activate]
 *	register-thing id    issue bind write activate
 *	register-thing pem   issue [activate]
 *	certificate-readback issue bind activate
 *	jitp, jitr field     issue write
 *	jitp, jitr bench     issue write confirm [erase]
 *	bulk                 stage, and at the second visit issue write activate
 */
#ifndef LOT_PLAN_H
#define LOT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lot/lot.h"

enum {
	PLAN_TEXT_LEN = 128
};

#define PLAN_STEP(kind) (UINT32_C(1) << (kind))

/* Of pattern, ending, form and the flags of a lot that is read. */
uint32_t plan_steps(const struct lot_image *);

/* "inject preregister": the names in the order of the journey. */
void plan_write(uint32_t steps, char text[PLAN_TEXT_LEN]);
/* 0 for a text that plan_write did not write. */
uint32_t plan_read(const char *text);

/* The claim key goes into the unit. */
bool plan_injects_claim(const struct lot_image *);
/* The unit's own factory network: something is lent and must come back. */
bool plan_lends(const struct lot_image *);
/* The lot's CA in the vault signs, not AWS. */
bool plan_signs(const struct lot_image *);
/* The cloud role proves the claim key on a connection of its own. */
bool plan_is_proxy(const struct lot_image *);
/* A slot's process is joined with the vault: a secret comes from there. */
bool plan_needs_secret(const struct lot_image *);

#endif
