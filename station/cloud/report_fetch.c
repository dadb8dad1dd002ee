#include "cloud/report_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "cloud/cloud.h"

enum {
	/* Reports follow a task's end; none may be there for a moment. */
	LOOKS_MAX = 6,
	LOOK_PAUSE_MS = 1000,
	LINK_TRIES_MAX = 4,
	LINK_PAUSE_MS = 500,
	SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

static const char *const type_names[REPORT_TYPE_COUNT] = {
    [REPORT_RESULTS] = "RESULTS", [REPORT_ERRORS] = "ERRORS"};

static void links_ask(struct task *task);
static void link_get(struct task *task);

static struct report_fetch *
fetch_of(struct task *task)
{
	/* The pattern keeps it as the first member of its state. */
	return task->state;
}

void
report_fetch_free(struct report_fetch *fetch)
{
	http_exchange_end(&fetch->exchange);
	json_decref(fetch->links);
	fetch->links = NULL;
}

static void
fetch_fail(struct task *task, enum fault_cause cause, const char *what)
{
	struct fault fault = {0};

	fault_set(&fault, cause, "report %s of registration task %s: %s",
	    type_names[fetch_of(task)->type], task->answer.bulk.task, what);
	task_fail(task, &fault);
}

/* ---- the links' contents ---- */

/* Fixed for ever: the receiver maps it. */
static void
report_seal(struct task *task)
{
	struct report_fetch *fetch = fetch_of(task);

	if ((fetch->sink.size == 0 &&
		file_write_all(fetch->sink.fd, "\n", 1) == -1) ||
	    fcntl(fetch->sink.fd, F_ADD_SEALS, SEALS) == -1) {
		fetch_fail(task, CAUSE_INTERNAL, strerror(errno));
		return;
	}
	fetch->done(task);
}

/* Two links' contents do not share a line. */
static int
link_finish(struct report_fetch *fetch)
{
	char last = '\n';

	if (fetch->sink.size == 0 ||
	    pread(fetch->sink.fd, &last, 1, (off_t)fetch->sink.size - 1) != 1)
		return fetch->sink.size == 0 ? 0 : -1;
	if (last == '\n')
		return 0;
	fetch->sink.size++;
	return file_write_all(fetch->sink.fd, "\n", 1);
}

/* What half a link has left is taken back before another try. */
static int
link_undo(struct report_fetch *fetch)
{
	fetch->sink.size = fetch->from;
	if (ftruncate(fetch->sink.fd, (off_t)fetch->from) == -1 ||
	    lseek(fetch->sink.fd, (off_t)fetch->from, SEEK_SET) == -1)
		return -1;
	return 0;
}

static void
link_got(void *arg)
{
	struct report_fetch *fetch = arg;
	struct task *task = fetch->task;
	struct http_exchange *exchange = &fetch->exchange;
	char what[480];

	if (exchange->fault.cause == CAUSE_NONE && exchange->status == 200) {
		fetch->next++;
		fetch->tries = 0;
		if (link_finish(fetch) == -1)
			fetch_fail(task, CAUSE_INTERNAL, strerror(errno));
		else
			link_get(task);
		return;
	}
	if (exchange->fault.cause != CAUSE_NONE)
		snprintf(what, sizeof(what), "%s", exchange->fault.text);
	else
		snprintf(what, sizeof(what), "its link is refused (HTTP %ld)",
		    exchange->status);
	if (link_undo(fetch) == -1)
		fetch_fail(task, CAUSE_INTERNAL, strerror(errno));
	else if (exchange->final || ++fetch->tries == LINK_TRIES_MAX ||
		 clock_remaining_ms(task->call.deadline_ms) <= LINK_PAUSE_MS)
		fetch_fail(task,
		    exchange->fault.cause != CAUSE_NONE
			? exchange->fault.cause
			: CAUSE_CLOUD_UNAVAILABLE,
		    what);
	else
		task_later(
		    task, LINK_PAUSE_MS * (int64_t)fetch->tries, link_get);
}

static void
link_get(struct task *task)
{
	struct report_fetch *fetch = fetch_of(task);
	const char *ca_file = task->lot->account->cloud->ca_file;
	struct http_request request = {
	    .method = "GET",
	    .url = json_string_value(json_array_get(fetch->links, fetch->next)),
	    .ca_file = ca_file[0] != '\0' ? ca_file : NULL,
	    .sink = &fetch->sink,
	    .timeout_ms = clock_remaining_ms(task->call.deadline_ms),
	};

	if (request.url == NULL) {
		report_seal(task);
		return;
	}
	fetch->from = fetch->sink.size;
	/* To libcurl a time-out of 0 means none. */
	if (request.timeout_ms == 0)
		fetch_fail(task, CAUSE_DEADLINE, "the deadline has passed");
	else if (http_send(task->cloud->http, &fetch->exchange, &request,
		     link_got, fetch) == -1)
		fetch_fail(task, fetch->exchange.fault.cause,
		    fetch->exchange.fault.text);
}

/* ---- the links ---- */

static int
links_add(struct report_fetch *fetch, const json_t *answer)
{
	const char *token =
	    json_string_value(json_object_get(answer, "nextToken"));
	json_t *links = json_object_get(answer, "resourceLinks"), *link;
	size_t at;

	json_array_foreach (links, at, link) {
		const char *url = json_string_value(link);

		if (url == NULL || strncmp(url, "https://", 8) != 0 ||
		    json_array_size(fetch->links) == REPORT_LINKS_MAX)
			return -1;
		json_array_append(fetch->links, link);
	}
	return text_copy(
	    fetch->token, sizeof(fetch->token), token != NULL ? token : "");
}

static void
links_read(struct task *task)
{
	struct report_fetch *fetch = fetch_of(task);

	if (task_failed(task))
		return;
	if (links_add(fetch, task->call.json) == -1) {
		fetch_fail(task, CAUSE_CLOUD_ANSWER,
		    "more links than are taken, or one that is not https");
	} else if (fetch->token[0] != '\0') {
		links_ask(task);
	} else if (fetch->expected && json_array_size(fetch->links) == 0 &&
		   ++fetch->looks < LOOKS_MAX) {
		task_later(task, LOOK_PAUSE_MS, links_ask);
	} else if (fetch->expected && fetch->type == REPORT_RESULTS &&
		   json_array_size(fetch->links) == 0) {
		fetch_fail(task, CAUSE_CLOUD_UNAVAILABLE,
		    "AWS counts units for it, but has no link to it");
	} else {
		link_get(task);
	}
}

static void
links_ask(struct task *task)
{
	struct report_fetch *fetch = fetch_of(task);
	struct call *call = &task->call;

	call_start(call, task->lot->account,
	    OPERATION_LIST_THING_REGISTRATION_TASK_REPORTS,
	    task->answer.bulk.task);
	call_query(call, "reportType", type_names[fetch->type]);
	if (fetch->token[0] != '\0')
		call_query(call, "nextToken", fetch->token);
	task_call(task, links_read);
}

void
report_fetch(struct task *task, enum report_type type, bool expected,
    void (*done)(struct task *))
{
	struct report_fetch *fetch = fetch_of(task);

	report_fetch_free(fetch);
	memset(fetch, 0, sizeof(*fetch));
	fetch->task = task;
	fetch->type = type;
	fetch->expected = expected;
	fetch->done = done;
	fetch->links = json_array();
	fetch->sink.max = REPORT_BYTES_MAX;
	fetch->sink.fd =
	    memfd_create(type_names[type], MFD_CLOEXEC | MFD_ALLOW_SEALING);
	task->fds[type] = fetch->sink.fd;
	if (fetch->sink.fd == -1 || fetch->links == NULL)
		fetch_fail(task, CAUSE_INTERNAL, strerror(errno));
	else
		links_ask(task);
}
