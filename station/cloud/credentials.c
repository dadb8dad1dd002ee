#include "cloud/credentials.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "base/file.h"
#include "cloud/credentials_answer.h"

enum {
	/* The AWS tools ask an instance's metadata once, for a second. */
	INSTANCE_TIMEOUT_MS = 1000,
	INSTANCE_TRIES = 1,
	INSTANCE_TRIES_MAX = 10,
	INSTANCE_TIMEOUT_MAX_S = 60,
};

void
credentials_wipe(struct credentials *credentials)
{
	OPENSSL_cleanse(credentials, sizeof(*credentials));
}

bool
credentials_equal(const struct credentials *a, const struct credentials *b)
{
	return strcmp(a->access_key, b->access_key) == 0 &&
	       strcmp(a->secret_key, b->secret_key) == 0 &&
	       strcmp(a->session_token, b->session_token) == 0;
}

int
credentials_copy(char *to, size_t size, const char *from, size_t len)
{
	if (len == 0 || len >= size)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (from[i] <= ' ' || from[i] > '~')
			return -1;
	}
	memmove(to, from, len); /* `from` may be `to` */
	to[len] = '\0';
	return 0;
}

/*
 * Moves a variable's value: 1 taken, 0 absent or empty, -1 malformed. The
 * value is overwritten where the kernel put it, so that neither
 * /proc/PID/environ nor a later getenv shows it.
 */
static int
secret_take(const char *name, char *to, size_t size)
{
	char *value = getenv(name);
	int result;

	if (value == NULL || value[0] == '\0')
		return 0;
	result =
	    credentials_copy(to, size, value, strlen(value)) == -1 ? -1 : 1;
	OPENSSL_cleanse(value, strlen(value));
	unsetenv(name);
	return result;
}

static int
expiration_take(struct credentials *keys, struct fault *fault)
{
	const char *text = getenv("AWS_CREDENTIAL_EXPIRATION");

	if (text == NULL || text[0] == '\0')
		return 0;
	if (credentials_time(text, &keys->expires_wall_ms) == -1)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "AWS_CREDENTIAL_EXPIRATION in the environment is not a "
		    "time such as 2026-11-20T21:14:03Z");
	return 0;
}

static int
keys_take(struct credentials_environment *environment, struct fault *fault)
{
	struct credentials *keys = &environment->keys;
	int access, secret, token;

	access = secret_take(
	    "AWS_ACCESS_KEY_ID", keys->access_key, sizeof(keys->access_key));
	secret = secret_take("AWS_SECRET_ACCESS_KEY", keys->secret_key,
	    sizeof(keys->secret_key));
	token = secret_take("AWS_SESSION_TOKEN", keys->session_token,
	    sizeof(keys->session_token));
	if (token == 0)
		token = secret_take("AWS_SECURITY_TOKEN", keys->session_token,
		    sizeof(keys->session_token));
	if (access == -1 || secret == -1 || token == -1)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s in the environment is too long or has characters "
		    "that no AWS key has; give it again",
		    access == -1   ? "AWS_ACCESS_KEY_ID"
		    : secret == -1 ? "AWS_SECRET_ACCESS_KEY"
				   : "AWS_SESSION_TOKEN");
	if (access != secret)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the environment has %s without %s; give both or none",
		    access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		    access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	environment->given = access == 1;
	return environment->given ? expiration_take(keys, fault) : 0;
}

/* A text that is no secret; absent is empty. */
static int
text_take(const char *name, char *to, size_t size, struct fault *fault)
{
	const char *value = getenv(name);

	if (value == NULL || text_copy(to, size, value) == 0)
		return 0;
	return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
	    "%s in the environment is longer than %zu characters", name,
	    size - 1);
}

static int
path_take(const char *name, const char *fallback, char *to, size_t size,
    struct fault *fault)
{
	const char *value = getenv(name), *home = getenv("HOME");
	const struct passwd *passwd;

	if (value != NULL && value[0] != '\0')
		return text_take(name, to, size, fault);
	if (home == NULL || home[0] == '\0') {
		passwd = getpwuid(getuid());
		home = passwd != NULL ? passwd->pw_dir : "/";
	}
	if (file_join(to, size, home, fallback) == -1)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the path of ~/%s is too long", fallback);
	return 0;
}

static int
files_take(struct credentials_environment *environment, struct fault *fault)
{
	const char *profile = getenv("AWS_PROFILE");

	profile = profile != NULL && profile[0] != '\0' ? "AWS_PROFILE"
							: "AWS_DEFAULT_PROFILE";
	if (text_take(profile, environment->profile,
		sizeof(environment->profile), fault) == -1 ||
	    path_take("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials",
		environment->file, sizeof(environment->file), fault) == -1)
		return -1;
	return path_take("AWS_CONFIG_FILE", ".aws/config",
	    environment->config_file, sizeof(environment->config_file), fault);
}

static int
roles_take(struct credentials_environment *environment, struct fault *fault)
{
	const struct {
		const char *name;
		char *to;
		size_t size;
	} texts[] = {
	    {"AWS_WEB_IDENTITY_TOKEN_FILE", environment->web_token_file,
		sizeof(environment->web_token_file)},
	    {"AWS_ROLE_ARN", environment->role_arn,
		sizeof(environment->role_arn)},
	    {"AWS_ROLE_SESSION_NAME", environment->role_session,
		sizeof(environment->role_session)},
	    {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		environment->container_relative,
		sizeof(environment->container_relative)},
	    {"AWS_CONTAINER_CREDENTIALS_FULL_URI", environment->container_full,
		sizeof(environment->container_full)},
	    {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		environment->container_token_file,
		sizeof(environment->container_token_file)},
	    {"AWS_EC2_METADATA_SERVICE_ENDPOINT",
		environment->instance_endpoint,
		sizeof(environment->instance_endpoint)},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (text_take(
			texts[i].name, texts[i].to, texts[i].size, fault) == -1)
			return -1;
	}
	if (secret_take("AWS_CONTAINER_AUTHORIZATION_TOKEN",
		environment->container_token,
		sizeof(environment->container_token)) == -1)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "AWS_CONTAINER_AUTHORIZATION_TOKEN in the environment is "
		    "too long or has characters that end a header");
	return 0;
}

/* A whole number from 1 to most, or otherwise. */
static uint32_t
number_take(const char *name, uint32_t most, uint32_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	unsigned long number;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return otherwise;
	number = strtoul(text, &end, 10);
	return *end == '\0' && number >= 1 && number <= most ? (uint32_t)number
							     : otherwise;
}

static void
instance_take(struct credentials_environment *environment)
{
	const char *disabled = getenv("AWS_EC2_METADATA_DISABLED");
	const char *mode = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	char *endpoint = environment->instance_endpoint;
	size_t len;

	environment->instance_disabled =
	    disabled != NULL && strcasecmp(disabled, "true") == 0;
	if (endpoint[0] == '\0')
		text_copy(endpoint, sizeof(environment->instance_endpoint),
		    mode != NULL && strcasecmp(mode, "ipv6") == 0
			? "http://[fd00:ec2::254]"
			: "http://169.254.169.254");
	len = strlen(endpoint);
	while (len > 0 && endpoint[len - 1] == '/')
		endpoint[--len] = '\0';
	environment->instance_timeout_ms =
	    1000 * number_take("AWS_METADATA_SERVICE_TIMEOUT",
		       INSTANCE_TIMEOUT_MAX_S, INSTANCE_TIMEOUT_MS / 1000);
	environment->instance_tries =
	    number_take("AWS_METADATA_SERVICE_NUM_ATTEMPTS", INSTANCE_TRIES_MAX,
		INSTANCE_TRIES);
}

int
credentials_environment_take(
    struct credentials_environment *environment, struct fault *fault)
{
	memset(environment, 0, sizeof(*environment));
	if (keys_take(environment, fault) == -1 ||
	    files_take(environment, fault) == -1 ||
	    roles_take(environment, fault) == -1) {
		OPENSSL_cleanse(environment, sizeof(*environment));
		return -1;
	}
	instance_take(environment);
	return 0;
}
