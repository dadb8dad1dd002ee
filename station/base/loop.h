/*
 * One poll(2) loop for the roles that live always. Descriptors and timers
 * have a callback each; callbacks may add and remove any of them.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop; /* opaque; one a process */
struct loop_watch;
struct loop_timer;

struct loop *loop_new(void);
void loop_free(struct loop *);
/*
 * Null when out of memory. The watch is freed by loop_unwatch, which takes a
 * null one too. The descriptor stays the caller's: unwatch, then close.
 * ready() also gets POLLHUP, POLLERR and POLLNVAL, asked for or not.
 */
struct loop_watch *loop_watch(struct loop *, int fd, short events,
    void (*ready)(void *arg, short revents), void *arg);
void loop_watch_events(struct loop_watch *, short events);
void loop_unwatch(struct loop *, struct loop_watch *);
/* Calls due(arg) once at the deadline; re-arm with loop_timer_set. */
struct loop_timer *loop_timer(struct loop *, void (*due)(void *arg), void *arg);
void loop_timer_set(struct loop_timer *, int64_t deadline_ms); /* 0 stops */
void loop_timer_free(struct loop *, struct loop_timer *);
/*
 * Runs until loop_stop, which may also come before it; before each wait calls
 * idle(arg) if it is set. -1 with errno when poll(2) or memory fails.
 */
int loop_run(struct loop *, void (*idle)(void *arg), void *arg);
void loop_stop(struct loop *);

#endif
