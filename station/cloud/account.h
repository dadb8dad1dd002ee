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
#include "cloud/credentials.h"
#include "cloud/operation.h"
#include "cloud/pacer.h"
#include "cloud/sigv4.h"
#include "lot/config.h"
#include "pki/key.h"

struct endpoint {
	char url[300];	/* without a slash at its end */
	char host[280]; /* as in the Host header: a port only if not 443 */
};

/* A pacer with the timer that runs it; accounts with equal account and
 * Region share one. */
struct pace {
	struct pacer pacer;
	struct loop_timer *timer;
};

struct account {
	const struct config_cloud *cloud; /* null: not in use */
	const struct credentials_environment *environment;
	struct endpoint endpoints[SERVICE_COUNT];
	struct secret secret; /* locked memory with the credentials */
	const struct credentials *credentials; /* in it */
	struct sigv4_key keys[SERVICE_COUNT];
	uint32_t generation; /* of the credentials: counts their changes */
	int64_t skew_ms;     /* AWS's clock minus ours */
	struct pace *pace;
	struct pace *own_pace; /* null when another account owns it */
};

/*
 * Opens an account for that profile. `sharing` is another open account of
 * the same AWS account and Region, or null. The configuration and the
 * environment are borrowed for the account's life.
 */
int account_open(struct account *, const struct config_cloud *,
    const struct credentials_environment *, struct account *sharing,
    struct loop *, struct fault *);
void account_close(struct account *, struct loop *);

/*
 * Reads the credentials again, for keys that ended. -1 with a fault; the old
 * ones stay then. `generation` tells whether they are others than before.
 */
int account_reload(struct account *, struct fault *);

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
 * Splits "https://host[:port][/]". CAUSE_BAD_CONFIG when it is anything
 * else.
 */
int endpoint_parse(struct endpoint *, const char *url, struct fault *);

#endif
