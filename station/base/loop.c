#include "base/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"

/*
 * Watches and timers live in two arrays of pointers. A callback may remove
 * any of them, so removal only marks; the marked ones are freed when no
 * callback runs. Indexes therefore stay valid through a whole turn.
 */
struct loop_watch {
	int fd;
	short events;
	bool removed;
	void (*ready)(void *arg, short revents);
	void *arg;
};

struct loop_timer {
	int64_t deadline_ms; /* 0: not armed */
	bool removed;
	void (*due)(void *arg);
	void *arg;
};

struct loop {
	struct loop_watch **watches;
	size_t watch_count, watch_size;
	struct loop_timer **timers;
	size_t timer_count, timer_size;
	struct pollfd *polled; /* as large as watches */
	size_t polled_size;
	bool stopped;
};

struct loop *
loop_new(void)
{
	return calloc(1, sizeof(struct loop));
}

void
loop_free(struct loop *loop)
{
	size_t i;

	if (loop == NULL)
		return;
	for (i = 0; i < loop->watch_count; i++)
		free(loop->watches[i]);
	for (i = 0; i < loop->timer_count; i++)
		free(loop->timers[i]);
	free(loop->watches);
	free(loop->timers);
	free(loop->polled);
	free(loop);
}

struct loop_watch *
loop_watch(struct loop *loop, int fd, short events,
    void (*ready)(void *arg, short revents), void *arg)
{
	struct loop_watch **watches, *watch;
	size_t size;

	if (loop->watch_count == loop->watch_size) {
		size = loop->watch_size == 0 ? 16 : loop->watch_size * 2;
		watches = reallocarray(loop->watches, size, sizeof(void *));
		if (watches == NULL)
			return NULL;
		loop->watches = watches;
		loop->watch_size = size;
	}
	watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		return NULL;
	watch->fd = fd;
	watch->events = events;
	watch->ready = ready;
	watch->arg = arg;
	loop->watches[loop->watch_count++] = watch;
	return watch;
}

void
loop_watch_events(struct loop_watch *watch, short events)
{
	watch->events = events;
}

void
loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
	(void)loop;
	if (watch != NULL)
		watch->removed = true;
}

struct loop_timer *
loop_timer(struct loop *loop, void (*due)(void *arg), void *arg)
{
	struct loop_timer **timers, *timer;
	size_t size;

	if (loop->timer_count == loop->timer_size) {
		size = loop->timer_size == 0 ? 16 : loop->timer_size * 2;
		timers = reallocarray(loop->timers, size, sizeof(void *));
		if (timers == NULL)
			return NULL;
		loop->timers = timers;
		loop->timer_size = size;
	}
	timer = calloc(1, sizeof(*timer));
	if (timer == NULL)
		return NULL;
	timer->due = due;
	timer->arg = arg;
	loop->timers[loop->timer_count++] = timer;
	return timer;
}

void
loop_timer_set(struct loop_timer *timer, int64_t deadline_ms)
{
	timer->deadline_ms = deadline_ms;
}

void
loop_timer_free(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	if (timer != NULL)
		timer->removed = true;
}

/* Frees what was removed; only while no callback runs. */
static void
loop_sweep(struct loop *loop)
{
	size_t i, kept = 0;

	for (i = 0; i < loop->watch_count; i++) {
		if (loop->watches[i]->removed)
			free(loop->watches[i]);
		else
			loop->watches[kept++] = loop->watches[i];
	}
	loop->watch_count = kept;
	kept = 0;
	for (i = 0; i < loop->timer_count; i++) {
		if (loop->timers[i]->removed)
			free(loop->timers[i]);
		else
			loop->timers[kept++] = loop->timers[i];
	}
	loop->timer_count = kept;
}

/* Until the next timer; -1 when none is armed. */
static int
loop_timeout_ms(const struct loop *loop)
{
	int64_t first_ms = 0;
	size_t i;

	for (i = 0; i < loop->timer_count; i++) {
		const struct loop_timer *timer = loop->timers[i];

		if (timer->deadline_ms == 0)
			continue;
		if (first_ms == 0 || timer->deadline_ms < first_ms)
			first_ms = timer->deadline_ms;
	}
	return first_ms == 0 ? -1 : clock_remaining_ms(first_ms);
}

static int
loop_prepare(struct loop *loop)
{
	struct pollfd *polled;
	size_t i;

	if (loop->polled_size < loop->watch_size) {
		polled = reallocarray(
		    loop->polled, loop->watch_size, sizeof(*polled));
		if (polled == NULL)
			return -1;
		loop->polled = polled;
		loop->polled_size = loop->watch_size;
	}
	for (i = 0; i < loop->watch_count; i++) {
		loop->polled[i].fd = loop->watches[i]->fd;
		loop->polled[i].events = loop->watches[i]->events;
		loop->polled[i].revents = 0;
	}
	return 0;
}

/* Only those that were polled: one added now has seen no event yet. */
static void
loop_call_watches(struct loop *loop, size_t count)
{
	size_t i;

	for (i = 0; i < count && !loop->stopped; i++) {
		struct loop_watch *watch = loop->watches[i];

		if (loop->polled[i].revents != 0 && !watch->removed)
			watch->ready(watch->arg, loop->polled[i].revents);
	}
}

/* Each once a turn, so that one that arms itself for now cannot starve. */
static void
loop_call_timers(struct loop *loop)
{
	int64_t now_ms = clock_monotonic_ms();
	size_t i, count = loop->timer_count;

	for (i = 0; i < count && !loop->stopped; i++) {
		struct loop_timer *timer = loop->timers[i];

		if (timer->removed || timer->deadline_ms == 0 ||
		    timer->deadline_ms > now_ms)
			continue;
		timer->deadline_ms = 0;
		timer->due(timer->arg);
	}
}

int
loop_run(struct loop *loop, void (*idle)(void *arg), void *arg)
{
	size_t count;
	int ready;

	while (!loop->stopped) {
		if (idle != NULL)
			idle(arg);
		if (loop->stopped)
			break;
		loop_sweep(loop);
		if (loop_prepare(loop) < 0)
			return -1;
		count = loop->watch_count;
		ready = poll(loop->polled, count, loop_timeout_ms(loop));
		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready > 0)
			loop_call_watches(loop, count);
		loop_call_timers(loop);
	}
	loop_sweep(loop);
	loop->stopped = false;
	return 0;
}

void
loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
