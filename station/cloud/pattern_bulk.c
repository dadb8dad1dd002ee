/*
 * Pattern `bulk`: the staged units of a lot are registered by one thing
 * registration task, which reads their parameters from an object in S3.
 *
 * AWS runs one such task an account at a time and knows no token that would
 * make its start repeatable, so a start whose outcome is unknown is looked
 * for by its input: the ledger gives every intent a key of its own. A key
 * whose object is not there yet was never started.
 *
 * Source: "Bulk registration", AWS IoT Core Developer Guide;
 * StartThingRegistrationTask and its siblings in the API reference.
 */
#include "cloud/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/file.h"
#include "cloud/report_fetch.h"

enum {
	INPUT_BYTES_MAX = 512 * 1024 * 1024,
	STARTS_MAX = 3,
	/* The list of tasks lags behind their start. */
	SEARCHES_MAX = 2,
	SEARCH_PAUSE_MS = 2000,
	TASKS_MAX = 250, /* a page, the most that AWS gives */
};

struct bulk {
	struct report_fetch fetch; /* first: report_fetch.h */
	const void *input;	   /* mapped; or null */
	size_t input_len;

	/* the search for a task by its key */
	bool all;	  /* tasks that have ended too */
	uint32_t looked;  /* complete searches since the last start */
	bool running;	  /* this pass lists those in progress */
	char token[1025]; /* of the next page; or empty */
	uint32_t count, next;
	char id[TASKS_MAX][65];
	char other[65]; /* another task in progress; or empty */
	char other_key[256];
	uint32_t starts;
};

static void search_ask(struct task *task);
static void search_begin(struct task *task);
static void task_start(struct task *task);

static void
bulk_free(void *state)
{
	struct bulk *bulk = state;

	report_fetch_free(&bulk->fetch);
	if (bulk->input != NULL)
		munmap((void *)(uintptr_t)bulk->input, bulk->input_len);
	free(bulk);
}

/* ---- what AWS says of a task ---- */

static const char *
text_of(const struct task *task, const char *name)
{
	const char *text = call_text(&task->call, name);

	return text != NULL ? text : "";
}

static uint32_t
count_of(const struct task *task, const char *name)
{
	json_int_t count =
	    json_integer_value(json_object_get(task->call.json, name));

	return count > 0 && count <= UINT32_MAX ? (uint32_t)count : 0;
}

static bool
status_ends(const char *status)
{
	return strcmp(status, "Completed") == 0 ||
	       strcmp(status, "Failed") == 0 ||
	       strcmp(status, "Cancelled") == 0;
}

/* Fills the answer from a DescribeThingRegistrationTask. */
static int
answer_fill(struct task *task, const char *id, struct fault *fault)
{
	struct message_bulk_done *done = &task->answer.bulk;

	done->bulk = task->request.bulk.bulk;
	text_copy(done->key, sizeof(done->key), task->request.bulk.key);
	done->succeeded = count_of(task, "successCount");
	done->failed = count_of(task, "failureCount");
	done->percent = count_of(task, "percentageProgress");
	done->ended = status_ends(text_of(task, "status"));
	if (text_copy(done->task, sizeof(done->task), id) == -1 ||
	    text_of(task, "status")[0] == '\0' ||
	    text_copy(done->status, sizeof(done->status),
		text_of(task, "status")) == -1)
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "DescribeThingRegistrationTask %s: the answer has no "
		    "status, or one that is too long",
		    id);
	return 0;
}

/* ---- start: the object and the task ---- */

static void
bulk_lost(struct task *task)
{
	struct bulk *bulk = task->state;

	bulk->all = true;
	bulk->looked = 0;
	task_later(task, SEARCH_PAUSE_MS, search_begin);
}

static void
task_started(struct task *task)
{
	struct message_bulk_done *done = &task->answer.bulk;
	const struct bulk *bulk = task->state;
	const char *id = text_of(task, "taskId");
	struct fault fault = {0};

	if (task->call.lost > 0 && bulk->starts < STARTS_MAX) {
		bulk_lost(task);
		return;
	}
	if (task_failed(task))
		return;
	done->bulk = task->request.bulk.bulk;
	text_copy(done->key, sizeof(done->key), task->request.bulk.key);
	text_copy(done->status, sizeof(done->status), "InProgress");
	if (id[0] == '\0' ||
	    text_copy(done->task, sizeof(done->task), id) == -1) {
		fault_set(&fault, CAUSE_CLOUD_UNSURE,
		    "StartThingRegistrationTask: the answer has no taskId, or "
		    "one that is too long");
		task_fail(task, &fault);
		return;
	}
	task_answer(task);
}

static void
task_start(struct task *task)
{
	const struct lot_image *lot = task->lot->image;
	struct bulk *bulk = task->state;
	struct call *call = &task->call;

	bulk->starts++;
	call_start(call, task->lot->account,
	    OPERATION_START_THING_REGISTRATION_TASK, NULL);
	call_body(call,
	    json_pack("{s:s,s:s,s:s,s:s}", "templateBody", lot->template_body,
		"inputFileBucket", lot->bulk.bucket, "inputFileKey",
		task->request.bulk.key, "roleArn", lot->bulk.role_arn));
	task_call(task, task_started);
}

static void
object_put(struct task *task)
{
	if (!task_failed(task))
		task_start(task);
}

/* "BUCKET/KEY", the path of the object. */
static void
object_call(struct task *task, enum operation operation)
{
	char path[sizeof(task->lot->image->bulk.bucket) +
		  sizeof(task->request.bulk.key)];

	snprintf(path, sizeof(path), "%s/%s", task->lot->image->bulk.bucket,
	    task->request.bulk.key);
	call_start(&task->call, task->lot->account, operation, path);
}

/* The same key has the same content: a repeat changes nothing. */
static void
object_send(struct task *task)
{
	const struct bulk *bulk = task->state;

	object_call(task, OPERATION_PUT_OBJECT);
	call_upload(&task->call, bulk->input, bulk->input_len);
	task_call(task, object_put);
}

/* ---- the search for a task by its key ---- */

static void
search_end(struct task *task)
{
	struct bulk *bulk = task->state;
	struct fault fault = {0};

	if (bulk->running && bulk->all) {
		bulk->running = false;
		search_ask(task);
	} else if (bulk->other[0] != '\0') {
		fault_set(&fault, CAUSE_CLOUD_THROTTLED,
		    "AWS runs one registration task an account at a time, and "
		    "task %s (input %s) is in progress: wait for its end, or "
		    "stop it (StopThingRegistrationTask)",
		    bulk->other, bulk->other_key);
		task_fail(task, &fault);
	} else if (bulk->starts > 0 && ++bulk->looked < SEARCHES_MAX) {
		task_later(task, SEARCH_PAUSE_MS, search_begin);
	} else if (bulk->starts > 0) {
		task_start(task);
	} else {
		object_send(task);
	}
}

static void candidate_ask(struct task *task);

static void
candidate_read(struct task *task)
{
	const struct message_bulk *request = &task->request.bulk;
	const struct lot_image *lot = task->lot->image;
	struct bulk *bulk = task->state;
	const char *id = bulk->id[bulk->next];
	struct fault fault = {0};

	if (task_failed(task))
		return;
	if (strcmp(text_of(task, "inputFileKey"), request->key) == 0 &&
	    strcmp(text_of(task, "inputFileBucket"), lot->bulk.bucket) == 0) {
		if (answer_fill(task, id, &fault) == -1)
			task_fail(task, &fault);
		else
			task_answer(task);
		return;
	}
	if (bulk->running) {
		text_copy(bulk->other, sizeof(bulk->other), id);
		text_copy(bulk->other_key, sizeof(bulk->other_key),
		    text_of(task, "inputFileKey"));
	}
	bulk->next++;
	candidate_ask(task);
}

static void
candidate_ask(struct task *task)
{
	struct bulk *bulk = task->state;

	if (bulk->next < bulk->count) {
		call_start(&task->call, task->lot->account,
		    OPERATION_DESCRIBE_THING_REGISTRATION_TASK,
		    bulk->id[bulk->next]);
		task_call(task, candidate_read);
	} else if (bulk->token[0] != '\0') {
		search_ask(task);
	} else {
		search_end(task);
	}
}

static void
search_read(struct task *task)
{
	struct bulk *bulk = task->state;
	const json_t *list, *id;
	size_t at;

	if (task_failed(task))
		return;
	bulk->count = bulk->next = 0;
	list = json_object_get(task->call.json, "taskIds");
	json_array_foreach (list, at, id) {
		const char *text = json_string_value(id);

		if (text != NULL && bulk->count < TASKS_MAX &&
		    text_copy(
			bulk->id[bulk->count], sizeof(bulk->id[0]), text) == 0)
			bulk->count++;
	}
	text_copy(bulk->token, sizeof(bulk->token), text_of(task, "nextToken"));
	candidate_ask(task);
}

static void
search_ask(struct task *task)
{
	const struct bulk *bulk = task->state;
	struct call *call = &task->call;
	char most[8];

	snprintf(most, sizeof(most), "%d", TASKS_MAX);
	call_start(call, task->lot->account,
	    OPERATION_LIST_THING_REGISTRATION_TASKS, NULL);
	call_query(call, "maxResults", most);
	if (bulk->running)
		call_query(call, "status", "InProgress");
	if (bulk->token[0] != '\0')
		call_query(call, "nextToken", bulk->token);
	task_call(task, search_read);
}

static void
search_begin(struct task *task)
{
	struct bulk *bulk = task->state;

	bulk->running = true;
	bulk->token[0] = bulk->other[0] = '\0';
	search_ask(task);
}

/* ---- MESSAGE_BULK_START ---- */

static void
known_described(struct task *task)
{
	struct fault fault = {0};

	if (task_failed(task))
		return;
	if (answer_fill(task, task->request.bulk.task, &fault) == -1)
		task_fail(task, &fault);
	else
		task_answer(task);
}

static void
known_describe(struct task *task, void (*next)(struct task *))
{
	call_start(&task->call, task->lot->account,
	    OPERATION_DESCRIBE_THING_REGISTRATION_TASK,
	    task->request.bulk.task);
	task_call(task, next);
}

/* S3 answers 403 instead of 404 to those who may not list the bucket. */
static void
object_seen(struct task *task)
{
	struct bulk *bulk = task->state;
	long status = task->call.exchange.status;

	if (task->call.fault.cause != CAUSE_NONE && status != 404 &&
	    status != 403) {
		task_fail_call(task);
		return;
	}
	bulk->all = status != 404;
	search_begin(task);
}

void
bulk_task_start(struct task *task)
{
	struct bulk *bulk;
	struct fault fault = {0};

	if (!task_keep(task, sizeof(*bulk), bulk_free))
		return;
	bulk = task->state;
	if (task->request.bulk.task[0] != '\0') {
		known_describe(task, known_described);
		return;
	}
	if (file_map_sealed(task->request_fd, 1, INPUT_BYTES_MAX, &bulk->input,
		&bulk->input_len, &fault) == -1) {
		task_fail(task, &fault);
		return;
	}
	object_call(task, OPERATION_HEAD_OBJECT);
	task_call(task, object_seen);
}

/* ---- MESSAGE_BULK_POLL ---- */

static void
errors_fetched(struct task *task)
{
	task_answer(task);
}

static void
results_fetched(struct task *task)
{
	report_fetch(
	    task, REPORT_ERRORS, task->answer.bulk.failed > 0, errors_fetched);
}

static void
polled(struct task *task)
{
	struct message_bulk_done *done = &task->answer.bulk;
	struct fault fault = {0};

	if (task_failed(task))
		return;
	if (answer_fill(task, task->request.bulk.task, &fault) == -1)
		task_fail(task, &fault);
	else if (done->ended)
		report_fetch(
		    task, REPORT_RESULTS, done->succeeded > 0, results_fetched);
	else
		task_answer(task);
}

void
bulk_task_poll(struct task *task)
{
	if (task_keep(task, sizeof(struct bulk), bulk_free))
		known_describe(task, polled);
}
