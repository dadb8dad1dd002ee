/*
 * One cloud profile of the configuration at work: an AWS account in a Region
 * with its endpoints, credentials, signing keys, pace and clock.
 *
 * role.c has one for each profile that a lot names; calls borrow it.
 */
#ifndef CLOUD_ACCOUNT_H
#define CLOUD_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/loop.h"
#include "cloud/credentials_fetch.h"
#include "cloud/endpoint.h"
#include "cloud/keyring.h"
#include "cloud/operation.h"
#include "cloud/pacer.h"
#include "cloud/sigv4.h"
#include "lot/config.h"

/* A pacer with the timer that runs it; accounts with equal account and
 * Region share one. */
struct pace {
	struct pacer pacer;
	struct loop_timer *timer;
};

struct account {
	const struct config_cloud *cloud; /* null: not in use */
	struct endpoint endpoints[SERVICE_COUNT];
	struct keyring keyring; /* of the credentials */
	/* Derived from the credentials of that generation. */
	struct sigv4_key keys[SERVICE_COUNT];
	uint32_t keys_generation;
	int64_t skew_ms; /* AWS's clock minus ours */
	struct pace *pace;
	struct pace *own_pace; /* null when another account owns it */
};

/*
 * Opens an account for that profile. `sharing` is another open account of
 * the same AWS account and Region, or null. Configuration and base are
 * borrowed for the account's life. Credentials are fetched when the first
 * call needs them; changed is called when they lapse and when they are back.
 */
int account_open(struct account *, const struct config_cloud *,
    const struct credentials_base *, struct account *sharing,
    void (*changed)(void *arg), void *arg, struct fault *);
void account_close(struct account *, struct loop *);

/* Forgets the signing keys, for credentials that are others now. */
void account_keys_forget(struct account *);

/* The wall clock as AWS sees it. */
int64_t account_wall_ms(const struct account *);
/* Learns from an answer's Date header; 0: it has none. */
void account_clock(struct account *, int64_t date_wall_ms);
/*
 * True when a signature that was made with that skew was so far off AWS's
 * clock, as it is known now, that it was refused for its time.
 */
bool account_clock_refuses(const struct account *, int64_t skew_ms);

/* Grants the turns that are due and arms the timer for the next. */
void account_pace(struct account *);

/* arn:aws:iot:REGION:ACCOUNT:cert/ID */
int account_certificate_arn(
    const struct account *, const char *id, char *to, size_t size);

/*
 * Waits for a turn of that operation's quota for what is no call of ours,
 * such as what a unit spends itself; granted(arg) of the turn is called from
 * the loop or from within. pacer_leave gives it back before that.
 */
void account_permit(struct account *, enum operation, struct pacer_turn *);

#endif
