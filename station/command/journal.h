/*
 * What a batch run has seen: which attempts, and how each unit stands. Both
 * are needed to say every verdict once and to end with the right status.
 */
#ifndef COMMAND_JOURNAL_H
#define COMMAND_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

/* A set of attempt numbers. They come nearly in order. */
struct attempt_set {
	uint64_t *sorted; /* owned */
	size_t count;
	size_t size;
};

bool attempt_set_has(const struct attempt_set *, uint64_t attempt);
/* 1 added, 0 it was there, -1 out of memory. */
int attempt_set_add(struct attempt_set *, uint64_t attempt);
void attempt_set_free(struct attempt_set *);

/* The last verdict of each unit; refusals do not count. */
struct unit_tally {
	void *tree;	 /* of tsearch(3) */
	uint32_t judged; /* verdicts */
	uint32_t units;
	uint32_t failed; /* units whose last verdict is not PASS */
};

/*
 * `unit` names it: its serial, else its hardware address, else anything that
 * no other unit has. -1 when out of memory.
 */
int unit_tally_add(struct unit_tally *, const char *unit, enum verdict);
void unit_tally_free(struct unit_tally *);

#endif
