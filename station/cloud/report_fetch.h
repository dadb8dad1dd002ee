/*
 * The reports of a bulk registration task: what became of each of its units.
 *
 * AWS keeps them as files in S3 and gives links that are signed already
 * (ListThingRegistrationTaskReports). Each report becomes one sealed memory
 * file, its links' contents one behind the other; one that is empty holds a
 * single newline.
 */
#ifndef CLOUD_REPORT_FETCH_H
#define CLOUD_REPORT_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cloud/task.h"

enum {
	REPORT_LINKS_MAX = 256,
	REPORT_BYTES_MAX = 512 * 1024 * 1024,
};

enum report_type {
	REPORT_RESULTS,
	REPORT_ERRORS,
	REPORT_TYPE_COUNT
};

/* Zero at the start; the first member of its task's state. */
struct report_fetch {
	struct task *task;
	enum report_type type;
	bool expected; /* there are such units: without a link, ask again */
	uint32_t looks;
	json_t *links; /* owned: array of URLs */
	size_t next;
	char token[1025];
	struct http_sink sink; /* its descriptor is one of task->fds */
	uint64_t from;	       /* where the link's contents begin */
	uint32_t tries;	       /* of the link */
	struct http_exchange exchange;
	void (*done)(struct task *);
};

/*
 * Fetches one report of the registration task in task->answer.bulk into
 * task->fds[type], then goes on with done(task); with a fault the task ends.
 * task->state begins with a struct report_fetch.
 */
void report_fetch(struct task *, enum report_type, bool expected,
    void (*done)(struct task *));
void report_fetch_free(struct report_fetch *);

#endif
