#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"

/* Ends a loop that a broken test would leave running. */
enum {
	GIVE_UP_MS = 10000
};

struct scene {
	struct loop *loop;
	struct loop_timer *give_up;
	struct loop_watch *watch[3];
	struct loop_timer *timer[2];
	int pipe[3][2];
	int calls[3];
	int fired[2];
	bool gave_up;
};

static void
give_up(void *arg)
{
	struct scene *scene = arg;

	scene->gave_up = true;
	loop_stop(scene->loop);
}

static int
scene_open(void **state)
{
	static struct scene scene;
	size_t i;

	memset(&scene, 0, sizeof(scene));
	scene.loop = loop_new();
	scene.give_up = loop_timer(scene.loop, give_up, &scene);
	loop_timer_set(scene.give_up, clock_deadline(GIVE_UP_MS));
	for (i = 0; i < 3; i++)
		if (pipe(scene.pipe[i]) < 0)
			return -1;
	*state = &scene;
	return 0;
}

static int
scene_close(void **state)
{
	struct scene *scene = *state;
	size_t i;

	for (i = 0; i < 3; i++) {
		close(scene->pipe[i][0]);
		close(scene->pipe[i][1]);
	}
	loop_free(scene->loop);
	return scene->gave_up ? -1 : 0;
}

static void
poke(const struct scene *scene, int which)
{
	assert_int_equal(write(scene->pipe[which][1], "x", 1), 1);
}

static void
take(const struct scene *scene, int which)
{
	char byte;

	assert_int_equal(read(scene->pipe[which][0], &byte, 1), 1);
}

static void
ready_takes_then_stops(void *arg, short revents)
{
	struct scene *scene = arg;

	assert_int_equal(revents, POLLIN);
	take(scene, 0);
	if (++scene->calls[0] == 3)
		loop_stop(scene->loop);
}

static void
test_readable(void **state)
{
	struct scene *scene = *state;

	poke(scene, 0);
	poke(scene, 0);
	poke(scene, 0);
	scene->watch[0] = loop_watch(scene->loop, scene->pipe[0][0], POLLIN,
	    ready_takes_then_stops, scene);
	assert_int_equal(loop_run(scene->loop, NULL, NULL), 0);
	assert_int_equal(scene->calls[0], 3);
}

static void
ready_hangup(void *arg, short revents)
{
	struct scene *scene = arg;

	assert_true((revents & POLLHUP) != 0);
	scene->calls[0]++;
	loop_stop(scene->loop);
}

/* A peer's end is told even to a watch that asks for nothing. */
static void
test_hangup_unasked(void **state)
{
	struct scene *scene = *state;

	close(scene->pipe[0][1]);
	scene->pipe[0][1] = dup(scene->pipe[1][1]);
	scene->watch[0] =
	    loop_watch(scene->loop, scene->pipe[0][0], 0, ready_hangup, scene);
	assert_int_equal(loop_run(scene->loop, NULL, NULL), 0);
	assert_int_equal(scene->calls[0], 1);
}

static void
ready_never(void *arg, short revents)
{
	struct scene *scene = arg;

	(void)revents;
	scene->calls[2]++;
}

/* Removes itself and the next one, which is ready too, and adds a third. */
static void
ready_removes(void *arg, short revents)
{
	struct scene *scene = arg;

	(void)revents;
	scene->calls[0]++;
	loop_unwatch(scene->loop, scene->watch[0]);
	loop_unwatch(scene->loop, scene->watch[1]);
	scene->watch[2] = loop_watch(scene->loop, scene->pipe[0][0], POLLIN,
	    ready_takes_then_stops, scene);
}

static void
test_removal_from_a_callback(void **state)
{
	struct scene *scene = *state;
	int i;

	for (i = 0; i < 2; i++)
		poke(scene, i);
	poke(scene, 0);
	scene->watch[0] = loop_watch(
	    scene->loop, scene->pipe[0][0], POLLIN, ready_removes, scene);
	scene->watch[1] = loop_watch(
	    scene->loop, scene->pipe[1][0], POLLIN, ready_never, scene);
	assert_int_equal(loop_run(scene->loop, NULL, NULL), 0);
	/* Once to remove, twice to take what had been written. */
	assert_int_equal(scene->calls[0], 3);
	assert_int_equal(scene->calls[2], 0);
}

static void
idle_stops_the_third_time(void *arg)
{
	struct scene *scene = arg;

	if (++scene->calls[0] == 3)
		loop_stop(scene->loop);
	loop_timer_set(scene->timer[0], clock_monotonic_ms());
}

static void
due_counts(void *arg)
{
	struct scene *scene = arg;

	scene->fired[0]++;
}

/* Idle work comes before each wait, and a timer fires once a setting. */
static void
test_idle_and_timer(void **state)
{
	struct scene *scene = *state;

	scene->timer[0] = loop_timer(scene->loop, due_counts, scene);
	assert_int_equal(
	    loop_run(scene->loop, idle_stops_the_third_time, scene), 0);
	assert_int_equal(scene->calls[0], 3);
	assert_int_equal(scene->fired[0], 2);
}

static void
due_first(void *arg)
{
	struct scene *scene = arg;

	/* The second is due in the same turn and must not be called. */
	scene->fired[0]++;
	loop_timer_free(scene->loop, scene->timer[1]);
	loop_timer_free(scene->loop, scene->timer[0]);
	scene->timer[0] = NULL;
	scene->watch[0] = loop_watch(scene->loop, scene->pipe[0][0], POLLIN,
	    ready_takes_then_stops, scene);
}

static void
due_second(void *arg)
{
	struct scene *scene = arg;

	scene->fired[1]++;
}

static void
test_timer_freed_from_a_callback(void **state)
{
	struct scene *scene = *state;
	int64_t now_ms = clock_monotonic_ms();
	int i;

	for (i = 0; i < 3; i++)
		poke(scene, 0);
	scene->timer[0] = loop_timer(scene->loop, due_first, scene);
	scene->timer[1] = loop_timer(scene->loop, due_second, scene);
	loop_timer_set(scene->timer[0], now_ms);
	loop_timer_set(scene->timer[1], now_ms);
	assert_int_equal(loop_run(scene->loop, NULL, NULL), 0);
	assert_int_equal(scene->fired[0], 1);
	assert_int_equal(scene->fired[1], 0);
}

static void
due_again(void *arg)
{
	struct scene *scene = arg;

	scene->fired[0]++;
	loop_timer_set(scene->timer[0], clock_monotonic_ms());
}

/* A timer that always sets itself to now leaves room for descriptors. */
static void
test_greedy_timer(void **state)
{
	struct scene *scene = *state;
	int i;

	for (i = 0; i < 3; i++)
		poke(scene, 0);
	scene->timer[0] = loop_timer(scene->loop, due_again, scene);
	loop_timer_set(scene->timer[0], clock_monotonic_ms());
	scene->watch[0] = loop_watch(scene->loop, scene->pipe[0][0], POLLIN,
	    ready_takes_then_stops, scene);
	assert_int_equal(loop_run(scene->loop, NULL, NULL), 0);
	assert_int_equal(scene->calls[0], 3);
	assert_true(scene->fired[0] >= 2);
}

static void
due_stops(void *arg)
{
	struct scene *scene = arg;

	loop_stop(scene->loop);
}

/* Never before its deadline; one that was stopped never. */
static void
test_timer_waits(void **state)
{
	struct scene *scene = *state;
	int64_t deadline_ms = clock_deadline(20);

	scene->timer[0] = loop_timer(scene->loop, due_stops, scene);
	scene->timer[1] = loop_timer(scene->loop, due_second, scene);
	loop_timer_set(scene->timer[0], deadline_ms);
	loop_timer_set(scene->timer[1], clock_monotonic_ms());
	loop_timer_set(scene->timer[1], 0);
	assert_int_equal(loop_run(scene->loop, NULL, NULL), 0);
	assert_true(clock_monotonic_ms() >= deadline_ms);
	assert_int_equal(scene->fired[1], 0);
}

static void
test_stop_before_run(void **state)
{
	struct scene *scene = *state;

	loop_stop(scene->loop);
	assert_int_equal(loop_run(scene->loop, NULL, NULL), 0);
	loop_unwatch(scene->loop, NULL);
	loop_timer_free(scene->loop, NULL);
	loop_free(NULL);
}

/* More of both than the arrays hold at first. */
static void
test_many(void **state)
{
	struct scene *scene = *state;
	int i;

	for (i = 0; i < 100; i++) {
		assert_non_null(loop_watch(scene->loop, scene->pipe[1][0],
		    POLLIN, ready_never, scene));
		assert_non_null(loop_timer(scene->loop, due_second, scene));
	}
	for (i = 0; i < 3; i++)
		poke(scene, 0);
	scene->watch[0] = loop_watch(scene->loop, scene->pipe[0][0], POLLIN,
	    ready_takes_then_stops, scene);
	assert_int_equal(loop_run(scene->loop, NULL, NULL), 0);
	assert_int_equal(scene->calls[0], 3);
	assert_int_equal(scene->calls[2], 0);
}

int
main(void)
{
#define LOOP_TEST(test) \
	cmocka_unit_test_setup_teardown(test, scene_open, scene_close)
	const struct CMUnitTest tests[] = {
	    LOOP_TEST(test_readable),
	    LOOP_TEST(test_hangup_unasked),
	    LOOP_TEST(test_removal_from_a_callback),
	    LOOP_TEST(test_idle_and_timer),
	    LOOP_TEST(test_timer_freed_from_a_callback),
	    LOOP_TEST(test_greedy_timer),
	    LOOP_TEST(test_timer_waits),
	    LOOP_TEST(test_stop_before_run),
	    LOOP_TEST(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
