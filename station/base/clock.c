#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The last millisecond that four digits of a year can show. */
static const int64_t wall_last_ms = INT64_C(253402300799999);

static int64_t
clock_read_us(clockid_t which)
{
	struct timespec now;

	/* Cannot fail: both clocks exist on every Linux. */
	(void)clock_gettime(which, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
clock_monotonic_us(void)
{
	return clock_read_us(CLOCK_MONOTONIC);
}

int64_t
clock_monotonic_ms(void)
{
	return clock_monotonic_us() / 1000;
}

int64_t
clock_wall_ms(void)
{
	return clock_read_us(CLOCK_REALTIME) / 1000;
}

int64_t
clock_deadline(int64_t timeout_ms)
{
	int64_t now_ms = clock_monotonic_ms();

	if (timeout_ms > INT64_MAX - now_ms)
		return INT64_MAX;
	return now_ms + timeout_ms;
}

int
clock_remaining_ms(int64_t deadline_ms)
{
	int64_t now_ms = clock_monotonic_ms();

	if (deadline_ms <= now_ms)
		return 0;
	if (deadline_ms - now_ms > INT_MAX)
		return INT_MAX;
	return (int)(deadline_ms - now_ms);
}

void
clock_sleep_us(int64_t us)
{
	struct timespec until;
	int64_t until_ns;

	if (us <= 0)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until_ns = until.tv_nsec + us % 1000000 * 1000;
	until.tv_sec += (time_t)(us / 1000000 + until_ns / 1000000000);
	until.tv_nsec = (long)(until_ns % 1000000000);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
	       EINTR)
		;
}

void
clock_format(int64_t wall_ms, char text[CLOCK_TEXT_LEN])
{
	struct tm parts;
	time_t seconds;

	if (wall_ms < 0)
		wall_ms = 0;
	if (wall_ms > wall_last_ms)
		wall_ms = wall_last_ms;
	seconds = (time_t)(wall_ms / 1000);
	(void)gmtime_r(&seconds, &parts);
	/* The remainders change nothing; they show that the text fits. */
	(void)snprintf(text, CLOCK_TEXT_LEN,
	    "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	    (unsigned)(parts.tm_year + 1900) % 10000,
	    (unsigned)(parts.tm_mon + 1) % 100, (unsigned)parts.tm_mday % 100,
	    (unsigned)parts.tm_hour % 100, (unsigned)parts.tm_min % 100,
	    (unsigned)parts.tm_sec % 100, (unsigned)(wall_ms % 1000));
}

static int
digits(const char *text, size_t count)
{
	int value = 0;
	size_t i;

	for (i = 0; i < count; i++)
		value = value * 10 + (text[i] - '0');
	return value;
}

int
clock_parse(const char *text, int64_t *wall_ms)
{
	static const char shape[] = "0000-00-00T00:00:00.000Z";
	char again[CLOCK_TEXT_LEN];
	struct tm parts = {0};
	int64_t found_ms;
	size_t i;

	if (strlen(text) != sizeof(shape) - 1)
		return -1;
	for (i = 0; i < sizeof(shape) - 1; i++) {
		if (shape[i] != '0' && text[i] != shape[i])
			return -1;
		if (shape[i] == '0' && (text[i] < '0' || text[i] > '9'))
			return -1;
	}
	parts.tm_year = digits(text, 4) - 1900;
	parts.tm_mon = digits(text + 5, 2) - 1;
	parts.tm_mday = digits(text + 8, 2);
	parts.tm_hour = digits(text + 11, 2);
	parts.tm_min = digits(text + 14, 2);
	parts.tm_sec = digits(text + 17, 2);
	found_ms = (int64_t)timegm(&parts) * 1000 + digits(text + 20, 3);
	/* timegm(3) takes the 31st of February for one in March. */
	clock_format(found_ms, again);
	if (found_ms < 0 || strcmp(again, text) != 0)
		return -1;
	*wall_ms = found_ms;
	return 0;
}
