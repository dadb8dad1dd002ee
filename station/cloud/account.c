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

/* The override, or AWS's own for the Region. */
static int
endpoint_open(struct account *account, enum service service,
    const char *override, struct fault *fault)
{
	static const char *const names[SERVICE_COUNT] = {
	    [SERVICE_IOT] = "iot", [SERVICE_STS] = "sts", [SERVICE_S3] = "s3"};
	const char *region = account->cloud->region;
	char url[300];

	if (override[0] != '\0')
		return endpoint_parse(
		    &account->endpoints[service], override, fault);
	snprintf(url, sizeof(url), "https://%s.%s.amazonaws.com%s",
	    names[service], region,
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
    const struct credentials_base *base, struct account *sharing,
    void (*changed)(void *arg), void *arg, struct fault *fault)
{
	memset(account, 0, sizeof(*account));
	account->cloud = cloud;
	if (endpoint_open(account, SERVICE_IOT, cloud->endpoint, fault) == -1 ||
	    endpoint_open(account, SERVICE_STS, cloud->sts_endpoint, fault) ==
		-1 ||
	    endpoint_open(account, SERVICE_S3, cloud->s3_endpoint, fault) ==
		-1 ||
	    keyring_open(&account->keyring, base, cloud,
		&account->endpoints[SERVICE_STS], &account->skew_ms, changed,
		arg, fault) == -1 ||
	    pace_open(account, sharing, base->loop, fault) == -1) {
		account_close(account, base->loop);
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
	keyring_close(&account->keyring);
	account_keys_forget(account);
	memset(account, 0, sizeof(*account));
}

void
account_keys_forget(struct account *account)
{
	for (int i = 0; i < SERVICE_COUNT; i++)
		sigv4_key_wipe(&account->keys[i]);
	account->keys_generation = account->keyring.generation;
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

void
account_permit(
    struct account *account, enum operation operation, struct pacer_turn *turn)
{
	pacer_wait(&account->pace->pacer, operation, turn);
	account_pace(account);
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
