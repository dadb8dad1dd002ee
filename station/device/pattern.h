/*
 * Patterns for lines of a device: PCRE2 without just-in-time compilation
 * (which needs executable memory) and with limits, since lines are hostile.
 */
#ifndef DEVICE_PATTERN_H
#define DEVICE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

enum {
	PATTERN_ERROR_LEN = 160,
	PATTERN_LEN_MAX = 4096
};

struct pattern; /* a compiled one with its match data */

/* Null when it does not compile; why then says so. */
struct pattern *pattern_new(const char *text, char why[PATTERN_ERROR_LEN]);
void pattern_free(struct pattern *);
/* 1 it matches, 0 not; a match that hits its limits counts as none. */
int pattern_match(struct pattern *, const char *line, size_t len);
/* Groups of the pattern; group 0 is the whole match. */
unsigned pattern_groups(const struct pattern *);
/* Of the last match: false when the group took no part. */
bool pattern_group(
    const struct pattern *, unsigned group, size_t *begin, size_t *len);
/* Calls each for every named group of the pattern until it returns < 0. */
int pattern_names(const struct pattern *,
    int (*each)(void *arg, const char *name, unsigned group), void *arg);

#endif
