#include "cloud/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

enum {
	/* Date headers have whole seconds; below this they say nothing. */
	CLOCK_NOISE_MS = 5000,
	/* AWS refuses signatures that are 15 minutes off, some services 5. */
	CLOCK_REFUSED_MS = 4 * 60000,
};

int
endpoint_parse(struct endpoint *endpoint, const char *url, struct fault *fault)
{
	static const char scheme[] = "https://";
	size_t len = strlen(url), prefix = sizeof(scheme) - 1;
	const char *host = url + prefix;

	if (strncmp(url, scheme, prefix) != 0)
		goto bad;
	while (len > prefix && url[len - 1] == '/')
		len--;
	if (len == prefix || len >= sizeof(endpoint->url) ||
	    len - prefix >= sizeof(endpoint->host) ||
	    strcspn(host, "/?#@ ") < len - prefix)
		goto bad;
	memcpy(endpoint->url, url, len);
	endpoint->url[len] = '\0';
	memcpy(endpoint->host, host, len - prefix);
	endpoint->host[len - prefix] = '\0';
	len -= prefix;
	if (len > 4 && strcmp(endpoint->host + len - 4, ":443") == 0)
		endpoint->host[len - 4] = '\0';
	return 0;
bad:
	return fault_set(fault, CAUSE_BAD_CONFIG,
	    "endpoint %s is not https://HOST or https://HOST:PORT", url);
}

/* The override, or AWS's own for the Region. */
static int
endpoint_open(struct account *account, enum service service,
    const char *override, struct fault *fault)
{
	const char *region = account->cloud->region;
	char url[300];

	if (override[0] != '\0')
		return endpoint_parse(
		    &account->endpoints[service], override, fault);
	snprintf(url, sizeof(url), "https://%s.%s.amazonaws.com%s",
	    service == SERVICE_STS ? "sts" : "iot", region,
	    strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	return endpoint_parse(&account->endpoints[service], url, fault);
}

static void
pace_due(void *arg)
{
	struct pace *pace = arg;
	int64_t now_us = clock_monotonic_us();
	int64_t next_us = pacer_run(&pace->pacer, now_us);

	/* Rounded up: a timer that is early would only run once more. */
	loop_timer_set(pace->timer, next_us == 0 ? 0 : next_us / 1000 + 1);
}

static int
pace_open(struct account *account, struct account *sharing, struct loop *loop,
    struct fault *fault)
{
	if (sharing != NULL) {
		account->pace = sharing->pace;
		return 0;
	}
	account->own_pace = calloc(1, sizeof(*account->own_pace));
	if (account->own_pace == NULL)
		goto fail;
	pacer_init(
	    &account->own_pace->pacer, account->cloud, clock_monotonic_us());
	account->own_pace->timer =
	    loop_timer(loop, pace_due, account->own_pace);
	if (account->own_pace->timer == NULL)
		goto fail;
	account->pace = account->own_pace;
	return 0;
fail:
	return fault_set(fault, CAUSE_INTERNAL, "out of memory");
}

int
account_open(struct account *account, const struct config_cloud *cloud,
    const struct credentials_environment *environment, struct account *sharing,
    struct loop *loop, struct fault *fault)
{
	memset(account, 0, sizeof(*account));
	account->cloud = cloud;
	account->environment = environment;
	if (endpoint_open(account, SERVICE_IOT, cloud->endpoint, fault) == -1 ||
	    endpoint_open(account, SERVICE_STS, cloud->sts_endpoint, fault) ==
		-1 ||
	    account_reload(account, fault) == -1 ||
	    pace_open(account, sharing, loop, fault) == -1) {
		account_close(account, loop);
		return -1;
	}
	return 0;
}

void
account_close(struct account *account, struct loop *loop)
{
	if (account->own_pace != NULL && account->own_pace->timer != NULL)
		loop_timer_free(loop, account->own_pace->timer);
	free(account->own_pace);
	secret_free(&account->secret);
	for (int i = 0; i < SERVICE_COUNT; i++)
		sigv4_key_wipe(&account->keys[i]);
	memset(account, 0, sizeof(*account));
}

static bool
credentials_equal(const struct credentials *a, const struct credentials *b)
{
	return strcmp(a->access_key, b->access_key) == 0 &&
	       strcmp(a->secret_key, b->secret_key) == 0 &&
	       strcmp(a->session_token, b->session_token) == 0;
}

int
account_reload(struct account *account, struct fault *fault)
{
	struct secret secret = {0};
	struct credentials *fresh;
	bool same;

	if (secret_alloc(&secret, sizeof(*fresh), fault) == -1)
		return -1;
	fresh = (void *)secret.data;
	if (credentials_find(
		account->cloud, account->environment, fresh, fault) == -1) {
		secret_free(&secret);
		return -1;
	}
	same = account->credentials != NULL &&
	       credentials_equal(fresh, account->credentials);
	secret_free(&account->secret);
	account->secret = secret;
	account->credentials = fresh;
	for (int i = 0; i < SERVICE_COUNT; i++)
		sigv4_key_wipe(&account->keys[i]);
	account->generation += !same;
	return 0;
}

int64_t
account_wall_ms(const struct account *account)
{
	return clock_wall_ms() + account->skew_ms;
}

void
account_clock(struct account *account, int64_t date_wall_ms)
{
	int64_t moved_ms = date_wall_ms - account_wall_ms(account);

	if (date_wall_ms != 0 &&
	    (moved_ms < -CLOCK_NOISE_MS || moved_ms > CLOCK_NOISE_MS))
		account->skew_ms += moved_ms;
}

bool
account_clock_refuses(const struct account *account, int64_t skew_ms)
{
	int64_t moved_ms = account->skew_ms - skew_ms;

	return moved_ms < -CLOCK_REFUSED_MS || moved_ms > CLOCK_REFUSED_MS;
}

void
account_pace(struct account *account)
{
	pace_due(account->pace);
}

int
account_certificate_arn(
    const struct account *account, const char *id, char *to, size_t size)
{
	const char *region = account->cloud->region;
	const char *partition = "aws";
	int len;

	if (strncmp(region, "cn-", 3) == 0)
		partition = "aws-cn";
	else if (strncmp(region, "us-gov-", 7) == 0)
		partition = "aws-us-gov";
	len = snprintf(to, size, "arn:%s:iot:%s:%s:cert/%s", partition, region,
	    account->cloud->account, id);
	return len < 0 || (size_t)len >= size ? -1 : 0;
}
