/* Each origin of credentials, as credentials_search.h declares them. */
#include "cloud/credentials_search.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"

int
search_refuse(struct search *search, const char *format, ...)
{
	va_list arguments;
	char text[360];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return fault_set(search->fault, CAUSE_CLOUD_CREDENTIALS, "cloud %s: %s",
	    search->cloud->name, text);
}

int
search_read(struct search *search, const char *profile)
{
	struct profile_pair *pair = &search->pair;

	if (credentials_file_read(search->file, CREDENTIALS_FILE_SHARED,
		profile, &pair->shared, search->fault) == -1 ||
	    credentials_file_read(search->environment->config_file,
		CREDENTIALS_FILE_CONFIG, profile, &pair->config,
		search->fault) == -1)
		return -1;
	return 0;
}

int
origin_environment(struct search *search)
{
	if (!search->environment->given)
		return 0;
	search->plan->origin = ORIGIN_KEYS;
	search->plan->keys = search->environment->keys;
	text_copy(search->plan->text, sizeof(search->plan->text),
	    "keys in the environment");
	return 1;
}

static int
plan_keys(struct search *search, const struct credentials_profile *from,
    const char *file, const char *profile)
{
	struct credentials_plan *plan = search->plan;

	if (from->keys.access_key[0] == '\0')
		return 0;
	plan->origin = ORIGIN_KEYS;
	plan->keys = from->keys;
	snprintf(plan->text, sizeof(plan->text), "keys of profile %s in %.100s",
	    profile, file);
	return 1;
}

int
origin_shared_keys(struct search *search, const char *profile)
{
	return plan_keys(search, &search->pair.shared, search->file, profile);
}

int
origin_config_keys(struct search *search, const char *profile)
{
	return plan_keys(search, &search->pair.config,
	    search->environment->config_file, profile);
}

int
origin_process(struct search *search, const char *profile)
{
	const struct profile_pair *pair = &search->pair;

	/* The tool role runs what stands in the config file, nothing else. */
	if (pair->shared.credential_process[0] != '\0')
		return search_refuse(search,
		    "profile %s has credential_process in %s; the station "
		    "runs commands of %s only: move the line there",
		    profile, search->file, search->environment->config_file);
	if (pair->config.credential_process[0] == '\0')
		return 0;
	search->plan->origin = ORIGIN_PROCESS;
	text_copy(
	    search->plan->profile, sizeof(search->plan->profile), profile);
	snprintf(search->plan->text, sizeof(search->plan->text),
	    "credential_process of profile %s", profile);
	return 1;
}

int
origin_sso(struct search *search, const char *profile)
{
	const char *key = SETTING(&search->pair, sso);

	if (key[0] == '\0')
		return 0;
	return search_refuse(search,
	    "profile %s has %s, which needs a person at a browser; give the "
	    "station a role, source iot, or credential_process",
	    profile, key);
}

int
origin_login(struct search *search, const char *profile)
{
	if (SETTING(&search->pair, login_session)[0] == '\0')
		return 0;
	return search_refuse(search,
	    "profile %s has login_session, which needs a person at a browser; "
	    "give the station a role, source iot, or credential_process",
	    profile);
}

int
origin_web_identity(
    struct search *search, const char *profile, bool environment)
{
	const struct credentials_environment *outside = search->environment;
	const struct profile_pair *pair = &search->pair;
	struct credentials_plan *plan = search->plan;
	const char *file = SETTING(pair, web_identity_token_file);
	const char *arn = SETTING(pair, role_arn);
	const char *session = SETTING(pair, role_session_name);

	if (environment && outside->web_token_file[0] != '\0')
		file = outside->web_token_file;
	if (environment && outside->role_arn[0] != '\0')
		arn = outside->role_arn;
	if (environment && outside->role_session[0] != '\0')
		session = outside->role_session;
	if (file[0] == '\0')
		return 0;
	if (arn[0] == '\0')
		return search_refuse(search,
		    "a web identity token is set, but no role: set AWS_ROLE_ARN"
		    " or role_arn of profile %s",
		    profile);
	plan->origin = ORIGIN_WEB_IDENTITY;
	text_copy(plan->web_token_file, sizeof(plan->web_token_file), file);
	text_copy(plan->web.arn, sizeof(plan->web.arn), arn);
	text_copy(plan->web.session, sizeof(plan->web.session), session);
	snprintf(plan->text, sizeof(plan->text),
	    "web identity token of %.80s for role %.80s", file, arn);
	return 1;
}

int
origin_container(struct search *search)
{
	const struct credentials_environment *environment = search->environment;

	if (environment->container_relative[0] == '\0' &&
	    environment->container_full[0] == '\0')
		return 0;
	search->plan->origin = ORIGIN_CONTAINER;
	text_copy(search->plan->text, sizeof(search->plan->text),
	    "the container's credentials address");
	return 1;
}

int
origin_instance(struct search *search)
{
	if (search->environment->instance_disabled)
		return 0;
	search->plan->origin = ORIGIN_INSTANCE;
	snprintf(search->plan->text, sizeof(search->plan->text),
	    "the instance's metadata at %.100s",
	    search->environment->instance_endpoint);
	return 1;
}

int
origin_iot(struct search *search)
{
	const struct config_iot_provider *iot = &search->cloud->iot;

	search->plan->origin = ORIGIN_IOT;
	snprintf(search->plan->text, sizeof(search->plan->text),
	    "role alias %.60s of the AWS IoT credentials provider",
	    iot->role_alias);
	return 1;
}
