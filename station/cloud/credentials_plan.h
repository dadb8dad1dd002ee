/*
 * Where a cloud profile's credentials come from: the decision, without any of
 * the fetching.
 *
 * The order is that of the AWS tools ("Standardized credential providers",
 * AWS SDKs and Tools Reference Guide): keys in the environment, unless the
 * configuration names a profile; the profile's role; a web identity; keys in
 * the shared credentials file; credential_process; keys in the config file;
 * a container's address; the instance's metadata. A source that the
 * configuration names stands for that one alone. What needs a person (SSO,
 * console log-in, MFA) is refused with that reason.
 *
 * Called by credentials_fetch.c before each fetch, since files change, and by
 * confine.c to learn which folders have to stay readable.
 */
#ifndef CLOUD_CREDENTIALS_PLAN_H
#define CLOUD_CREDENTIALS_PLAN_H

#include <stdint.h>

#include "base/fault.h"
#include "cloud/credentials.h"
#include "lot/config.h"

enum {
	CREDENTIALS_ROLES_MAX = 5 /* one assumed with the other's keys */
};

enum credentials_origin {
	ORIGIN_KEYS,	     /* they are there already */
	ORIGIN_WEB_IDENTITY, /* AssumeRoleWithWebIdentity */
	ORIGIN_PROCESS,	     /* the tool role runs credential_process */
	ORIGIN_CONTAINER,
	ORIGIN_INSTANCE,
	ORIGIN_IOT,
};

/* A role of STS. */
struct credentials_role {
	char arn[ROLE_ARN_LEN];
	char session[ROLE_SESSION_LEN]; /* empty: the station's own */
	char external_id[EXTERNAL_ID_LEN];
	uint32_t duration_s; /* 0: what STS takes for granted, an hour */
};

/* Secret because of `keys`. */
struct credentials_plan {
	enum credentials_origin origin;
	struct credentials keys;     /* ORIGIN_KEYS */
	struct credentials_role web; /* ORIGIN_WEB_IDENTITY */
	char web_token_file[PATH_LEN];
	char profile[NAME_LEN]; /* ORIGIN_PROCESS: whose command */
	/* To be assumed one after the other with what came before. */
	uint32_t role_count;
	struct credentials_role roles[CREDENTIALS_ROLES_MAX];
	/* For people: "role arn:... with keys of profile x in /file". */
	char text[200];
};

/*
 * Makes the plan out of the configuration, the environment and the files as
 * they are now. -1 with CAUSE_CLOUD_CREDENTIALS: there is nothing to fetch,
 * or it is refused; the text says what to do. The plan must lie in locked
 * memory; it is wiped on failure.
 */
int credentials_plan(const struct config_cloud *,
    const struct credentials_environment *, struct credentials_plan *,
    struct fault *);
void credentials_plan_wipe(struct credentials_plan *);

#endif
