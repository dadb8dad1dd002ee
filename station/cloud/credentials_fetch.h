/*
 * Fetching credentials: a plan (credentials_plan.h) carried out step by step
 * on the role's loop, never blocking it.
 *
 * keyring.c has one for each account and starts it again and again. Files are
 * read and the plan is made anew each time, so a file that was replaced, a
 * profile that was changed and a certificate that was renewed count at once.
 *
 *	ORIGIN_KEYS          nothing to do
 *	ORIGIN_PROCESS       tools.h
 *	ORIGIN_CONTAINER     GET with the container's authorization
 *	ORIGIN_INSTANCE      PUT a token, GET the role's name, GET its keys
 *	ORIGIN_IOT           GET over TLS with the station's certificate
 *	ORIGIN_WEB_IDENTITY  POST to STS, unsigned
 *	roles                POST to STS, signed with what came before
 */
#ifndef CLOUD_CREDENTIALS_FETCH_H
#define CLOUD_CREDENTIALS_FETCH_H

#include <stdint.h>

#include "base/fault.h"
#include "base/loop.h"
#include "cloud/credentials.h"
#include "cloud/endpoint.h"
#include "cloud/http.h"
#include "cloud/tools.h"
#include "lot/config.h"

/* What all fetches of the role share; borrowed for their life. */
struct credentials_base {
	struct loop *loop;
	struct http *http;
	struct tools *tools;
	const struct credentials_environment *environment;
	const char *station; /* names sessions of roles */
};

struct credentials_fetch; /* opaque */

/* Null with a fault; endpoint is that of STS. All is borrowed. */
struct credentials_fetch *credentials_fetch_new(const struct credentials_base *,
    const struct config_cloud *, const struct endpoint *, struct fault *);
void credentials_fetch_free(struct credentials_fetch *);

/* How a fetch ended. */
struct credentials_fetched {
	const struct credentials *credentials; /* null: there are none */
	/* Why; CAUSE_CLOUD_CREDENTIALS. The text names cloud and source. */
	struct fault fault;
	bool definite; /* a repeat with the same set-up ends the same */
};

/*
 * Starts; done is called from the loop, never from within, with what it may
 * copy until it returns. AWS's clock is ours plus skew_ms. Not to be called
 * while one is under way.
 */
void credentials_fetch_start(struct credentials_fetch *, int64_t skew_ms,
    void (*done)(void *arg, const struct credentials_fetched *), void *arg);

/* "credential_process of profile x": of the latest plan; or "". */
const char *credentials_fetch_source(const struct credentials_fetch *);

/*
 * The URL that a container's credentials come from, by the rules of the
 * container provider ("Container credential provider", AWS SDKs and Tools
 * Reference Guide): a relative one belongs to 169.254.170.2; a full one may
 * be plain HTTP only to this host itself or to the addresses that ECS and EKS
 * have for it. -1 with a fault that says so.
 */
int credentials_container_url(const struct credentials_environment *, char *to,
    size_t size, struct fault *);

#endif
