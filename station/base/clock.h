/*
 * Time: deadlines are points on the monotonic clock in milliseconds, spans
 * are timeouts; the wall clock is for records only.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t clock_wall_ms(void);
/* now + timeout. */
int64_t clock_deadline(int64_t timeout_ms);
/* What is left until the deadline, 0 when it has passed; fits poll(2). */
int clock_remaining_ms(int64_t deadline_ms);
void clock_sleep_us(int64_t us);

#define CLOCK_TEXT_LEN 25 /* "2026-11-20T21:14:03.123Z" and its NUL */
/* RFC 3339, UTC, milliseconds. */
void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_LEN]);
/* The same format back; -1 when it is malformed. */
int clock_parse(const char *text, int64_t *wall_ms);

#endif
