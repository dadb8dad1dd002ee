#include "command/journal.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* ---- attempts ---- */

/* The index of the first that is not less. */
static size_t
set_position(const struct attempt_set *set, uint64_t attempt)
{
	size_t low = 0;
	size_t high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->sorted[middle] < attempt)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
attempt_set_has(const struct attempt_set *set, uint64_t attempt)
{
	size_t at = set_position(set, attempt);

	return at < set->count && set->sorted[at] == attempt;
}

int
attempt_set_add(struct attempt_set *set, uint64_t attempt)
{
	size_t at = set_position(set, attempt);

	if (at < set->count && set->sorted[at] == attempt)
		return 0;
	if (set->count == set->size) {
		size_t size = set->size == 0 ? 256 : 2 * set->size;
		uint64_t *sorted =
		    reallocarray(set->sorted, size, sizeof(*sorted));

		if (sorted == NULL)
			return -1;
		set->sorted = sorted;
		set->size = size;
	}
	memmove(&set->sorted[at + 1], &set->sorted[at],
	    (set->count - at) * sizeof(*set->sorted));
	set->sorted[at] = attempt;
	set->count++;
	return 1;
}

void
attempt_set_free(struct attempt_set *set)
{
	free(set->sorted);
	memset(set, 0, sizeof(*set));
}

/* ---- units ---- */

struct unit {
	enum verdict verdict;
	char name[];
};

static int
unit_compare(const void *a, const void *b)
{
	const struct unit *one = a;
	const struct unit *other = b;

	return strcmp(one->name, other->name);
}

int
unit_tally_add(struct unit_tally *tally, const char *name, enum verdict verdict)
{
	size_t size = strlen(name) + 1;
	struct unit *unit;
	struct unit **found;

	if (verdict == VERDICT_REFUSED || verdict == VERDICT_STAGED ||
	    verdict == VERDICT_NONE)
		return 0;
	unit = malloc(sizeof(*unit) + size);
	if (unit == NULL)
		return -1;
	memcpy(unit->name, name, size);
	unit->verdict = VERDICT_PASS;
	found = tsearch(unit, &tally->tree, unit_compare);
	if (found == NULL) {
		free(unit);
		return -1;
	}
	if (*found == unit)
		tally->units++;
	else
		free(unit);
	if ((*found)->verdict != VERDICT_PASS)
		tally->failed--;
	(*found)->verdict = verdict;
	if (verdict != VERDICT_PASS)
		tally->failed++;
	tally->judged++;
	return 0;
}

void
unit_tally_free(struct unit_tally *tally)
{
	tdestroy(tally->tree, free);
	memset(tally, 0, sizeof(*tally));
}
