#include "cloud/credentials_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "cloud/credentials_search.h"
#include "pki/key.h"

void
credentials_plan_wipe(struct credentials_plan *plan)
{
	OPENSSL_cleanse(plan, sizeof(*plan));
}

/* ---- roles ---- */

/* 900..43200 by STS; empty: 0. */
static int
duration_read(struct search *search, const char *profile, const char *text,
    uint32_t *duration_s)
{
	char *end;
	unsigned long number;

	*duration_s = 0;
	if (text[0] == '\0')
		return 0;
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || number < 900 ||
	    number > 43200)
		return search_refuse(search,
		    "duration_seconds of profile %s is \"%s\"; accepted are "
		    "900 to 43200",
		    profile, text);
	*duration_s = (uint32_t)number;
	return 0;
}

/* credential_source of a profile names one of three. */
static int
plan_named_source(struct search *search, const char *profile, const char *name)
{
	int found;

	if (strcasecmp(name, "Environment") == 0)
		found = origin_environment(search);
	else if (strcasecmp(name, "EcsContainer") == 0)
		found = origin_container(search);
	else if (strcasecmp(name, "Ec2InstanceMetadata") == 0)
		found = origin_instance(search);
	else
		return search_refuse(search,
		    "credential_source of profile %s is \"%s\"; accepted are "
		    "Environment, EcsContainer and Ec2InstanceMetadata",
		    profile, name);
	if (found == 0)
		return search_refuse(search,
		    "profile %s has credential_source %s, which has nothing",
		    profile, name);
	return found;
}

/* Takes the role of the pair that has just been read. */
static int
role_add(struct search *search, const char *profile)
{
	const struct profile_pair *pair = &search->pair;
	struct credentials_plan *plan = search->plan;
	struct credentials_role *role;

	if (SETTING(pair, mfa_serial)[0] != '\0')
		return search_refuse(search,
		    "profile %s has mfa_serial, which needs a person with a "
		    "code; give the station a role without it",
		    profile);
	if (plan->role_count == CREDENTIALS_ROLES_MAX)
		return search_refuse(search,
		    "profile %s: more than %d roles one behind the other",
		    profile, CREDENTIALS_ROLES_MAX);
	role = &plan->roles[plan->role_count++];
	text_copy(role->arn, sizeof(role->arn), SETTING(pair, role_arn));
	text_copy(role->session, sizeof(role->session),
	    SETTING(pair, role_session_name));
	text_copy(role->external_id, sizeof(role->external_id),
	    SETTING(pair, external_id));
	return duration_read(search, profile, SETTING(pair, duration_seconds),
	    &role->duration_s);
}

static bool
is_visited(const struct search *search, const char *profile)
{
	for (uint32_t i = 0; i < search->visited_count; i++)
		if (strcmp(search->visited[i], profile) == 0)
			return true;
	return false;
}

/* What a profile that another one names as its source has of its own. */
static int
plan_source_profile(struct search *search, const char *profile)
{
	int found = origin_web_identity(search, profile, false);

	if (found == 0)
		found = origin_sso(search, profile);
	if (found == 0)
		found = origin_shared_keys(search, profile);
	if (found == 0)
		found = origin_login(search, profile);
	if (found == 0)
		found = origin_process(search, profile);
	if (found == 0)
		found = origin_config_keys(search, profile);
	if (found == 0)
		return search_refuse(search,
		    "profile %s is a source_profile, but has no credentials",
		    profile);
	return found;
}

/*
 * Follows source_profile from role to role; the pair is the first one's. A
 * profile may name itself when it has keys besides its role, and a source
 * that has keys is not asked for its role ("Assume role credential
 * provider", AWS SDKs and Tools Reference Guide).
 */
static int
plan_role(struct search *search, const char *first)
{
	struct profile_pair *pair = &search->pair;
	char profile[NAME_LEN], source[NAME_LEN], named[32];

	text_copy(profile, sizeof(profile), first);
	for (;;) {
		bool keys = pair->shared.keys.access_key[0] != '\0' ||
			    pair->config.keys.access_key[0] != '\0';
		bool role = SETTING(pair, role_arn)[0] != '\0' &&
			    SETTING(pair, web_identity_token_file)[0] == '\0';

		if (search->visited_count == 0 && !role)
			return 0;
		if (search->visited_count > 0 && (keys || !role))
			return plan_source_profile(search, profile);
		if (role_add(search, profile) == -1)
			return -1;
		text_copy(search->visited[search->visited_count++], NAME_LEN,
		    profile);
		text_copy(
		    source, sizeof(source), SETTING(pair, source_profile));
		text_copy(
		    named, sizeof(named), SETTING(pair, credential_source));
		if ((source[0] != '\0') == (named[0] != '\0'))
			return search_refuse(search,
			    "profile %s has role_arn with %s; accepted is "
			    "exactly one of source_profile and "
			    "credential_source",
			    profile, source[0] != '\0' ? "both" : "neither");
		if (named[0] != '\0')
			return plan_named_source(search, profile, named);
		if (search_read(search, source) == -1)
			return -1;
		if (!pair->shared.present && !pair->config.present)
			return search_refuse(search,
			    "profile %s names source_profile %s, which is "
			    "neither in %.80s nor in %.80s",
			    profile, source, search->file,
			    search->environment->config_file);
		if (is_visited(search, source) &&
		    (strcmp(source, profile) != 0 || !keys))
			return search_refuse(search,
			    "the source_profile of profile %s leads in a "
			    "circle",
			    profile);
		text_copy(profile, sizeof(profile), source);
	}
}

/* Puts the roles before the text: the first is assumed last. */
static void
roles_finish(struct credentials_plan *plan)
{
	char rest[sizeof(plan->text)];
	uint32_t count = plan->role_count;

	if (count == 0)
		return;
	text_copy(rest, sizeof(rest), plan->text);
	snprintf(plan->text, sizeof(plan->text), "role %.90s with %.95s",
	    plan->roles[0].arn, rest);
	for (uint32_t i = 0; i < count / 2; i++) {
		struct credentials_role role = plan->roles[i];

		plan->roles[i] = plan->roles[count - 1 - i];
		plan->roles[count - 1 - i] = role;
	}
}

/* ---- the chain ---- */

static int
plan_chain(struct search *search, const char *profile, bool chosen)
{
	int found = plan_role(search, profile);

	if (found == 0)
		found = origin_web_identity(search, profile, !chosen);
	if (found == 0)
		found = origin_sso(search, profile);
	if (found == 0)
		found = origin_shared_keys(search, profile);
	if (found == 0)
		found = origin_login(search, profile);
	if (found == 0)
		found = origin_process(search, profile);
	if (found == 0)
		found = origin_config_keys(search, profile);
	if (found == 0)
		found = origin_container(search);
	if (found == 0)
		found = origin_instance(search);
	if (found == 0)
		return search_refuse(search,
		    "no credentials in the environment, for profile %s in "
		    "%.80s and %.80s, or of a container",
		    profile, search->file, search->environment->config_file);
	return found;
}

static int
plan_pinned(struct search *search, const char *profile)
{
	int found = 0;

	switch ((enum credential_source)search->cloud->credentials) {
	case CREDENTIAL_ENVIRONMENT:
		if (origin_environment(search) == 1)
			return 1;
		return search_refuse(search,
		    "the environment has no AWS_ACCESS_KEY_ID and "
		    "AWS_SECRET_ACCESS_KEY");
	case CREDENTIAL_CONTAINER:
		if (origin_container(search) == 1)
			return 1;
		return search_refuse(search,
		    "the environment has no "
		    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
		    "and no ..._FULL_URI");
	case CREDENTIAL_INSTANCE:
		if (origin_instance(search) == 1)
			return 1;
		return search_refuse(
		    search, "AWS_EC2_METADATA_DISABLED is true");
	case CREDENTIAL_IOT:
		return origin_iot(search);
	case CREDENTIAL_FILE:
		found = origin_shared_keys(search, profile);
		if (found == 0)
			found = origin_config_keys(search, profile);
		break;
	case CREDENTIAL_ROLE:
		found = plan_role(search, profile);
		break;
	case CREDENTIAL_WEB_IDENTITY:
		found = origin_web_identity(search, profile, true);
		break;
	case CREDENTIAL_PROCESS:
		found = origin_process(search, profile);
		break;
	case CREDENTIAL_DEFAULT:
		break;
	}
	if (found == 0)
		return search_refuse(search,
		    "profile %s has no %s in %.80s or %.80s", profile,
		    search->cloud->credentials == CREDENTIAL_ROLE ? "role_arn"
		    : search->cloud->credentials == CREDENTIAL_PROCESS
			? "credential_process"
		    : search->cloud->credentials == CREDENTIAL_WEB_IDENTITY
			? "web_identity_token_file"
			: "keys",
		    search->file, search->environment->config_file);
	return found;
}

static int
plan_search(struct search *search)
{
	const struct config_cloud *cloud = search->cloud;
	const char *profile = cloud->credentials_profile[0] != '\0'
				  ? cloud->credentials_profile
				  : search->environment->profile;
	/* As in the AWS tools: a profile in code or configuration is a choice
	 * against the environment's keys, AWS_PROFILE is not. */
	bool chosen = cloud->credentials_profile[0] != '\0' ||
		      cloud->credentials_file[0] != '\0';
	bool named = chosen || profile[0] != '\0';

	search->file = cloud->credentials_file[0] != '\0'
			   ? cloud->credentials_file
			   : search->environment->file;
	if (profile[0] == '\0')
		profile = "default";
	if (cloud->credentials == CREDENTIAL_DEFAULT && !chosen &&
	    origin_environment(search) == 1)
		return 0;
	/* Sources that read no file are not stopped by a broken one. */
	if (cloud->credentials != CREDENTIAL_ENVIRONMENT &&
	    cloud->credentials != CREDENTIAL_CONTAINER &&
	    cloud->credentials != CREDENTIAL_INSTANCE &&
	    cloud->credentials != CREDENTIAL_IOT &&
	    search_read(search, profile) == -1)
		return -1;
	if (cloud->credentials == CREDENTIAL_DEFAULT && named &&
	    !search->pair.shared.present && !search->pair.config.present)
		return search_refuse(search, "no profile %s in %.80s or %.80s",
		    profile, search->file, search->environment->config_file);
	return cloud->credentials == CREDENTIAL_DEFAULT
		   ? plan_chain(search, profile, chosen)
		   : plan_pinned(search, profile);
}

int
credentials_plan(const struct config_cloud *cloud,
    const struct credentials_environment *environment,
    struct credentials_plan *plan, struct fault *fault)
{
	struct secret secret = {0};
	struct search *search;
	int result;

	credentials_plan_wipe(plan);
	if (secret_alloc(&secret, sizeof(*search), fault) == -1)
		return -1;
	search = (void *)secret.data;
	search->cloud = cloud;
	search->environment = environment;
	search->plan = plan;
	search->fault = fault;
	result = plan_search(search);
	secret_free(&secret);
	if (result == -1) {
		credentials_plan_wipe(plan);
		return -1;
	}
	roles_finish(plan);
	return 0;
}
