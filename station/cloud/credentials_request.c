/* What each source of credentials is asked, as credentials_parts.h says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/file.h"
#include "cloud/credentials_parts.h"

enum {
	/* As the AWS tools ask a container. */
	CONTAINER_TIMEOUT_MS = 2000,
	CONTAINER_TRIES = 3,
	REMOTE_TIMEOUT_MS = 10000,
	REMOTE_TRIES = 3,
	TOKEN_FILE_MAX = 16 * 1024,
	CONTAINER_HOST_LEN = 256,
};

/* Begins a request anew. */
static void
request_start(
    struct credentials_fetch *fetch, const char *method, int64_t timeout_ms)
{
	struct http_request request = {
	    .method = method, .timeout_ms = timeout_ms};

	buf_reset(&fetch->url);
	buf_reset(&fetch->body);
	headers_reset(&fetch->headers);
	fetch->request = request;
}

/* A file with a token of one line; -1 and the fetch has ended. */
static int
token_read(struct credentials_fetch *fetch, const char *path, char **token)
{
	struct fault fault = {0};
	size_t len;

	if (file_read(path, TOKEN_FILE_MAX, token, &len, &fault) == -1) {
		fetch_fail(fetch, false, "%s", fault.text);
		return -1;
	}
	while (len > 0 && strchr(" \t\r\n", (*token)[len - 1]) != NULL)
		(*token)[--len] = '\0';
	if (len > 0 && len == strlen(*token))
		return 0;
	OPENSSL_cleanse(*token, len);
	free(*token);
	*token = NULL;
	fetch_fail(fetch, false, "%s has no token in it", path);
	return -1;
}

/* ---- container ---- */

/* This host itself, or an address that ECS or EKS have for it. */
static bool
host_is_near(const char *host)
{
	static const char *const near[] = {"localhost", "169.254.170.2",
	    "169.254.170.23", "[fd00:ec2::23]", "[::1]"};
	struct in_addr address;

	for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		if (strcmp(host, near[i]) == 0)
			return true;
	return inet_pton(AF_INET, host, &address) == 1 &&
	       (ntohl(address.s_addr) >> 24) == 127;
}

/* The host of "http://HOST[:PORT]/..."; -1 when there is none. */
static int
url_host(const char *url, char *to, size_t size)
{
	const char *host = url + strlen("http://");
	size_t len =
	    host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");

	/* A name before the host would hide it. */
	if (len == 0 || len >= size || strcspn(host, "@") < strcspn(host, "/"))
		return -1;
	memcpy(to, host, len);
	to[len] = '\0';
	return 0;
}

int
credentials_container_url(const struct credentials_environment *environment,
    char *to, size_t size, struct fault *fault)
{
	const char *full = environment->container_full;
	char host[CONTAINER_HOST_LEN];
	int len;

	if (environment->container_relative[0] == '/') {
		len = snprintf(to, size, "http://169.254.170.2%s",
		    environment->container_relative);
	} else if (environment->container_relative[0] != '\0') {
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin "
		    "with a slash");
	} else if (strncmp(full, "https://", 8) == 0 && full[8] != '\0') {
		len = snprintf(to, size, "%s", full);
	} else if (strncmp(full, "http://", 7) != 0 ||
		   url_host(full, host, sizeof(host)) == -1 ||
		   !host_is_near(host)) {
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor "
		    "http to this host, 169.254.170.2, 169.254.170.23 or "
		    "fd00:ec2::23");
	} else {
		len = snprintf(to, size, "%s", full);
	}
	if (len < 0 || (size_t)len >= size)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the container's credentials address is too long");
	return 0;
}

static void
metadata_take(struct credentials_fetch *fetch)
{
	const struct buf *body = &fetch->exchange.body;

	fetch_take(fetch, CREDENTIALS_ANSWER_METADATA,
	    body->len > 0 ? body->data : "", body->len);
}

/* Puts the container's authorization among the headers; -1: it ended. */
static int
authorization_add(struct credentials_fetch *fetch)
{
	const struct credentials_environment *environment =
	    fetch->base->environment;
	char *to = fetch->kept->token, *token = NULL;
	int result = 0;

	if (environment->container_token_file[0] == '\0') {
		headers_add(&fetch->headers, "Authorization",
		    environment->container_token);
		return 0;
	}
	if (token_read(fetch, environment->container_token_file, &token) == -1)
		return -1;
	if (strpbrk(token, "\r\n") != NULL ||
	    text_copy(to, sizeof(fetch->kept->token), token) == -1) {
		fetch_fail(fetch, false,
		    "the token in %s is too long or has several lines",
		    environment->container_token_file);
		result = -1;
	} else {
		headers_add(&fetch->headers, "Authorization", to);
	}
	OPENSSL_cleanse(token, strlen(token));
	free(token);
	return result;
}

void
request_container(struct credentials_fetch *fetch)
{
	char url[640];
	struct fault fault = {0};

	request_start(fetch, "GET", CONTAINER_TIMEOUT_MS);
	fetch->request.plain = true;
	if (credentials_container_url(
		fetch->base->environment, url, sizeof(url), &fault) == -1) {
		fetch_fail(fetch, true, "%s", fault.text);
		return;
	}
	buf_add_text(&fetch->url, url);
	headers_add(&fetch->headers, "Accept", "application/json");
	if (authorization_add(fetch) == 0)
		fetch_ask(fetch, CONTAINER_TRIES, metadata_take);
}

/* ---- instance: IMDSv2 ---- */

static const char instance_path[] =
    "/latest/meta-data/iam/security-credentials/";

static void
instance_start(struct credentials_fetch *fetch, const char *method)
{
	const struct credentials_environment *environment =
	    fetch->base->environment;

	request_start(fetch, method, environment->instance_timeout_ms);
	fetch->request.plain = true;
	buf_add_text(&fetch->url, environment->instance_endpoint);
}

static void
instance_role_take(struct credentials_fetch *fetch)
{
	const struct buf *body = &fetch->exchange.body;
	size_t len = body->len > 0 ? strcspn(body->data, "\r\n") : 0;
	char role[128];

	if (len == 0 || len >= sizeof(role)) {
		fetch_fail(fetch, true, "the instance has no role");
		return;
	}
	memcpy(role, body->data, len);
	role[len] = '\0';
	instance_start(fetch, "GET");
	buf_add_text(&fetch->url, instance_path);
	sigv4_encode(&fetch->url, role, len);
	headers_add(
	    &fetch->headers, "X-aws-ec2-metadata-token", fetch->kept->token);
	fetch_ask(
	    fetch, fetch->base->environment->instance_tries, metadata_take);
}

static void
instance_token_take(struct credentials_fetch *fetch)
{
	const struct buf *body = &fetch->exchange.body;

	if (body->len == 0 ||
	    credentials_copy(fetch->kept->token, sizeof(fetch->kept->token),
		body->data, body->len) == -1) {
		fetch_fail(fetch, true, "the instance's token is none");
		return;
	}
	instance_start(fetch, "GET");
	buf_add_text(&fetch->url, instance_path);
	headers_add(
	    &fetch->headers, "X-aws-ec2-metadata-token", fetch->kept->token);
	fetch_ask(fetch, fetch->base->environment->instance_tries,
	    instance_role_take);
}

void
request_instance(struct credentials_fetch *fetch)
{
	instance_start(fetch, "PUT");
	fetch->request.body = "";
	buf_add_text(&fetch->url, "/latest/api/token");
	headers_add(
	    &fetch->headers, "X-aws-ec2-metadata-token-ttl-seconds", "21600");
	fetch_ask(fetch, fetch->base->environment->instance_tries,
	    instance_token_take);
}

/* ---- AWS IoT credentials provider ---- */

static void
iot_take(struct credentials_fetch *fetch)
{
	const struct buf *body = &fetch->exchange.body;

	fetch_take(fetch, CREDENTIALS_ANSWER_IOT,
	    body->len > 0 ? body->data : "", body->len);
}

void
request_iot(struct credentials_fetch *fetch)
{
	const struct config_cloud *cloud = fetch->cloud;
	const struct config_iot_provider *iot = &cloud->iot;

	request_start(fetch, "GET", REMOTE_TIMEOUT_MS);
	fetch->request.ca_file =
	    cloud->ca_file[0] != '\0' ? cloud->ca_file : NULL;
	fetch->request.certificate = iot->certificate;
	fetch->request.key = iot->key;
	buf_add_text(&fetch->url, iot->endpoint);
	buf_add_text(&fetch->url, "/role-aliases/");
	sigv4_encode(&fetch->url, iot->role_alias, strlen(iot->role_alias));
	buf_add_text(&fetch->url, "/credentials");
	headers_add(&fetch->headers, "x-amzn-iot-thingname", iot->thing);
	headers_add(&fetch->headers, "Accept", "application/json");
	fetch_ask(fetch, REMOTE_TRIES, iot_take);
}

/* ---- STS ---- */

static void
form_add(struct buf *form, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	buf_add_text(form, form->len > 0 ? "&" : "");
	buf_add_text(form, name);
	buf_add_text(form, "=");
	sigv4_encode(form, value, strlen(value));
}

/* What both ways to assume a role have in common. */
static void
sts_start(struct credentials_fetch *fetch, const char *action,
    const struct credentials_role *role)
{
	char session[ROLE_SESSION_LEN], duration[16] = "";

	snprintf(
	    session, sizeof(session), "station-%.56s", fetch->base->station);
	if (role->duration_s != 0)
		snprintf(duration, sizeof(duration), "%u", role->duration_s);
	request_start(fetch, "POST", REMOTE_TIMEOUT_MS);
	fetch->request.ca_file =
	    fetch->cloud->ca_file[0] != '\0' ? fetch->cloud->ca_file : NULL;
	buf_add_text(&fetch->url, fetch->sts->url);
	buf_add_text(&fetch->url, "/");
	form_add(&fetch->body, "Action", action);
	form_add(&fetch->body, "Version", "2011-06-15");
	form_add(&fetch->body, "RoleArn", role->arn);
	form_add(&fetch->body, "RoleSessionName",
	    role->session[0] != '\0' ? role->session : session);
	form_add(&fetch->body, "ExternalId", role->external_id);
	form_add(&fetch->body, "DurationSeconds", duration);
}

static void
sts_take(struct credentials_fetch *fetch)
{
	const struct buf *body = &fetch->exchange.body;

	fetch_take(fetch, CREDENTIALS_ANSWER_STS,
	    body->len > 0 ? body->data : "", body->len);
}

static const char form_type[] =
    "application/x-www-form-urlencoded; charset=utf-8";

static void
sts_ask(struct credentials_fetch *fetch)
{
	fetch->request.body = fetch->body.data;
	fetch->request.body_len = fetch->body.len;
	fetch_ask(fetch, REMOTE_TRIES, sts_take);
}

void
request_web_identity(struct credentials_fetch *fetch)
{
	const struct credentials_plan *plan = &fetch->kept->plan;
	char *token = NULL;

	if (token_read(fetch, plan->web_token_file, &token) == -1)
		return;
	sts_start(fetch, "AssumeRoleWithWebIdentity", &plan->web);
	form_add(&fetch->body, "WebIdentityToken", token);
	OPENSSL_cleanse(token, strlen(token));
	free(token);
	headers_add(&fetch->headers, "Content-Type", form_type);
	headers_omit(&fetch->headers, "Expect");
	sts_ask(fetch);
}

void
request_role(
    struct credentials_fetch *fetch, const struct credentials_role *role)
{
	struct sigv4_key key = {0};
	struct fault fault = {0};
	struct signer signer = {
	    .credentials = &fetch->kept->found,
	    .key = &key,
	    .region = fetch->cloud->region,
	    .service = SERVICE_STS,
	    .wall_ms = clock_wall_ms() + fetch->skew_ms,
	};
	struct signed_request request = {
	    .method = "POST",
	    .host = fetch->sts->host,
	    .path = "/",
	    .query = "",
	    .type = form_type,
	    .principal = "",
	};

	sts_start(fetch, "AssumeRole", role);
	request.body = fetch->body.data;
	request.body_len = fetch->body.len;
	if (fetch->body.failed)
		fetch_fail(fetch, true, "the role's settings are too long");
	else if (headers_sign(&fetch->headers, &request, &signer, &fault) == -1)
		fetch_fail(fetch, true, "%s", fault.text);
	else
		sts_ask(fetch);
	sigv4_key_wipe(&key);
}
