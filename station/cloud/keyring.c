#include "cloud/keyring.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "cloud/jitter.h"

enum {
	ADVISORY_MS = 15 * 60000,
	MANDATORY_MS = 10 * 60000,
	JITTER_MS = 60000,
	AGAIN_LEAST_MS = 1000,
	AGAIN_MOST_MS = 10000,
	QUIET_AGAIN_MS = 30000,
	/* The wall clock may be set meanwhile: it is looked at again. */
	LOOK_MS = 5 * 60000,
};

static int64_t
wall_ms(const struct keyring *keyring)
{
	return clock_wall_ms() + *keyring->skew_ms;
}

/* Until they end; a long time when they never do. */
static int64_t
life_ms(const struct keyring *keyring)
{
	int64_t expires_wall_ms = keyring->credentials->expires_wall_ms;

	return expires_wall_ms == 0 ? INT64_MAX / 2
				    : expires_wall_ms - wall_ms(keyring);
}

bool
keyring_usable(const struct keyring *keyring)
{
	return keyring->credentials != NULL && !keyring->refused &&
	       life_ms(keyring) > 0;
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- a lapse ---- */

/* Keeps the time at which it began, and says that it begins or ends. */
static void
lapse_judge(struct keyring *keyring)
{
	bool lapsed = keyring->failed && !keyring_usable(keyring);

	if (lapsed == (keyring->lapsed_wall_ms != 0))
		return;
	keyring->lapsed_wall_ms = lapsed ? clock_wall_ms() : 0;
	/* They may have ended a while ago, when nobody needed them. */
	if (lapsed && keyring->credentials != NULL && !keyring->refused &&
	    life_ms(keyring) <= 0)
		keyring->lapsed_wall_ms =
		    keyring->credentials->expires_wall_ms - *keyring->skew_ms;
	keyring->changed(keyring->arg);
}

/* "12:03:05Z", a time that people look for in a log. */
static void
time_write(int64_t wall_ms, char text[16])
{
	char whole[CLOCK_TEXT_LEN];

	clock_format(wall_ms, whole);
	snprintf(text, 16, "%.8sZ", whole + 11);
}

bool
keyring_lapsed(const struct keyring *keyring, char *text, size_t size)
{
	char since[16];

	if (keyring->lapsed_wall_ms == 0 || keyring->users == 0 ||
	    (!keyring->worked && keyring->definite))
		return false;
	time_write(keyring->lapsed_wall_ms, since);
	snprintf(text, size, "no AWS credentials since %s: %s", since,
	    keyring->fault.text);
	return true;
}

void
keyring_fault(const struct keyring *keyring, struct fault *fault)
{
	char since[16];

	if (keyring->lapsed_wall_ms == 0) {
		fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "cloud %s: %s: no answer in time", keyring->cloud->name,
		    credentials_fetch_source(keyring->fetch));
		return;
	}
	time_write(keyring->lapsed_wall_ms, since);
	fault_set(fault, CAUSE_CLOUD_CREDENTIALS, "%s (since %s)",
	    keyring->fault.text, since);
}

/* ---- those who wait ---- */

void
keyring_leave(struct keyring_turn *turn)
{
	struct keyring *keyring = turn->keyring;

	if (keyring == NULL)
		return;
	if (turn->previous != NULL)
		turn->previous->next = turn->next;
	else
		keyring->head = turn->next;
	if (turn->next != NULL)
		turn->next->previous = turn->previous;
	else
		keyring->tail = turn->previous;
	turn->next = turn->previous = NULL;
	turn->keyring = NULL;
}

/* Lets go of those who wait now; who comes back meanwhile waits anew. */
static void
turns_end(struct keyring *keyring, const struct fault *fault)
{
	size_t count = 0;

	for (const struct keyring_turn *turn = keyring->head; turn != NULL;
	     turn = turn->next)
		count++;
	while (count-- > 0 && keyring->head != NULL) {
		struct keyring_turn *turn = keyring->head;

		keyring_leave(turn);
		turn->ready(turn->arg, fault);
	}
}

/* ---- fetching ---- */

static void fetched(void *arg, const struct credentials_fetched *);

static void
fetch(struct keyring *keyring)
{
	if (keyring->fetching)
		return;
	keyring->fetching = true;
	keyring->armed = false;
	loop_timer_set(keyring->timer, 0);
	credentials_fetch_start(
	    keyring->fetch, *keyring->skew_ms, fetched, keyring);
}

/* Is it worth while to ask again and again? */
static bool
is_wanted(const struct keyring *keyring)
{
	return keyring->users > 0 || keyring->head != NULL;
}

/* When the source is asked again after a failure. */
static int64_t
again_ms(const struct keyring *keyring)
{
	int64_t spare_ms;

	if (keyring_usable(keyring)) {
		spare_ms = life_ms(keyring) - keyring->mandatory_ms;
		if (spare_ms > AGAIN_MOST_MS)
			return least(spare_ms,
			    QUIET_AGAIN_MS + jitter_ms(QUIET_AGAIN_MS));
	}
	return AGAIN_LEAST_MS +
	       jitter_ms(least(AGAIN_MOST_MS - AGAIN_LEAST_MS,
		   (int64_t)AGAIN_LEAST_MS << least(keyring->failures, 8)));
}

static void
timer_arm(struct keyring *keyring)
{
	int64_t delay_ms;

	if (keyring->failed)
		delay_ms = again_ms(keyring);
	else if (keyring->refresh_wall_ms == 0)
		return; /* they never end */
	else
		delay_ms = keyring->refresh_wall_ms - wall_ms(keyring);
	if (delay_ms < AGAIN_LEAST_MS)
		delay_ms = AGAIN_LEAST_MS;
	keyring->armed = true;
	loop_timer_set(
	    keyring->timer, clock_deadline(least(delay_ms, LOOK_MS)));
}

/* The timer: is it time, or was it only to look? */
static void
due(void *arg)
{
	struct keyring *keyring = arg;

	keyring->armed = false;
	if (!is_wanted(keyring))
		return; /* whoever needs them next asks */
	if (keyring->failed || wall_ms(keyring) >= keyring->refresh_wall_ms)
		fetch(keyring);
	else
		timer_arm(keyring);
}

/* One failure is one line in the log, a lapse that goes on is not more. */
static void
failure_tell(struct keyring *keyring)
{
	bool usable = keyring_usable(keyring);
	char until[16];

	if (keyring->told ||
	    (usable && life_ms(keyring) > keyring->mandatory_ms))
		return;
	keyring->told = true;
	if (!usable) {
		log_error("%s", keyring->fault.text);
		return;
	}
	time_write(keyring->credentials->expires_wall_ms, until);
	log_warning(
	    "%s; the present ones end at %s", keyring->fault.text, until);
}

static void
fetch_failed(struct keyring *keyring, const struct fault *fault, bool definite)
{
	keyring->failed = true;
	keyring->definite = definite;
	keyring->fault = *fault;
	keyring->failures++;
	failure_tell(keyring);
	lapse_judge(keyring);
	/* Who has never had any learns at once that there are none. */
	if (definite && !keyring->worked)
		turns_end(keyring, &keyring->fault);
	timer_arm(keyring);
}

/* New ones in place of the old, and when they are to be replaced. */
static void
credentials_take(struct keyring *keyring, const struct credentials *fresh)
{
	struct credentials *own = (void *)keyring->secret.data;
	int64_t advisory_ms;

	if (keyring->credentials == NULL || !credentials_equal(own, fresh)) {
		keyring->generation++;
		keyring->refused = false;
	}
	*own = *fresh;
	keyring->credentials = own;
	keyring->refresh_wall_ms = 0;
	if (own->expires_wall_ms == 0)
		return;
	advisory_ms = least(ADVISORY_MS, life_ms(keyring) / 4);
	keyring->mandatory_ms = least(MANDATORY_MS, life_ms(keyring) / 6);
	keyring->refresh_wall_ms = own->expires_wall_ms - advisory_ms -
				   jitter_ms(least(JITTER_MS, advisory_ms / 4));
}

static void
fetched(void *arg, const struct credentials_fetched *result)
{
	struct keyring *keyring = arg;
	struct fault fault = {0};

	keyring->fetching = false;
	if (result->credentials == NULL) {
		fetch_failed(keyring, &result->fault, result->definite);
		return;
	}
	credentials_take(keyring, result->credentials);
	if (!keyring_usable(keyring)) {
		fault_set(&fault, CAUSE_CLOUD_CREDENTIALS, "cloud %s: %s: %s",
		    keyring->cloud->name,
		    credentials_fetch_source(keyring->fetch),
		    keyring->refused
			? "AWS refuses the keys, and there are no others"
			: "the credentials have ended, and there are no "
			  "others");
		fetch_failed(keyring, &fault, true);
		return;
	}
	if (keyring->told)
		log_notice("cloud %s: there are fresh credentials",
		    keyring->cloud->name);
	keyring->failed = keyring->definite = keyring->told = false;
	keyring->failures = 0;
	lapse_judge(keyring);
	timer_arm(keyring);
	turns_end(keyring, NULL);
}

/* ---- the outside ---- */

int
keyring_open(struct keyring *keyring, const struct credentials_base *base,
    const struct config_cloud *cloud, const struct endpoint *sts,
    const int64_t *skew_ms, void (*changed)(void *arg), void *arg,
    struct fault *fault)
{
	memset(keyring, 0, sizeof(*keyring));
	keyring->base = base;
	keyring->cloud = cloud;
	keyring->skew_ms = skew_ms;
	keyring->changed = changed;
	keyring->arg = arg;
	keyring->timer = loop_timer(base->loop, due, keyring);
	if (keyring->timer == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	if (secret_alloc(
		&keyring->secret, sizeof(*keyring->credentials), fault) == -1)
		return -1;
	keyring->fetch = credentials_fetch_new(base, cloud, sts, fault);
	return keyring->fetch == NULL ? -1 : 0;
}

void
keyring_close(struct keyring *keyring)
{
	while (keyring->head != NULL)
		keyring_leave(keyring->head);
	credentials_fetch_free(keyring->fetch);
	if (keyring->timer != NULL)
		loop_timer_free(keyring->base->loop, keyring->timer);
	secret_free(&keyring->secret);
	memset(keyring, 0, sizeof(*keyring));
}

void
keyring_wait(struct keyring *keyring, struct keyring_turn *turn)
{
	turn->keyring = keyring;
	turn->next = NULL;
	turn->previous = keyring->tail;
	if (keyring->tail != NULL)
		keyring->tail->next = turn;
	else
		keyring->head = turn;
	keyring->tail = turn;
	/* During a lapse the timer asks the source at its own pace. */
	if (!keyring->failed || !keyring->armed || !keyring->worked)
		fetch(keyring);
}

void
keyring_worked(struct keyring *keyring, uint32_t generation)
{
	if (generation == keyring->generation)
		keyring->worked = true;
}

void
keyring_refused(struct keyring *keyring, uint32_t generation)
{
	if (generation != keyring->generation || keyring->refused)
		return;
	keyring->refused = true;
	lapse_judge(keyring);
	fetch(keyring);
}
