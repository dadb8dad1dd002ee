/* Requests at work, as task.h and cloud.h declare them. */
#include "cloud/task.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cloud/cloud.h"

enum {
	TASKS_MAX = 512,
	/* For a request without a deadline. */
	TASK_TIMEOUT_MS = 90000,
	REQUEST_ID_LEN = 80, /* in every answer that has one */
};

static void
fd_close(int fd)
{
	if (fd != -1)
		close(fd);
}

void
task_free(struct task *task)
{
	struct cloud *cloud = task->cloud;

	if (task->previous_task != NULL)
		task->previous_task->next_task = task->next_task;
	else
		cloud->tasks = task->next_task;
	if (task->next_task != NULL)
		task->next_task->previous_task = task->previous_task;
	cloud->task_count--;
	call_close(&task->call);
	pacer_leave(&task->turn);
	if (task->state != NULL)
		task->state_free(task->state);
	fd_close(task->request_fd);
	fd_close(task->fds[0]);
	fd_close(task->fds[1]);
	/* A claim's key may have passed through. */
	OPENSSL_cleanse(&task->answer, sizeof(task->answer));
	if (task->timer != NULL)
		loop_timer_free(cloud->loop, task->timer);
	json_decref(task->attributes);
	lot_drop(task->lot);
	free(task);
}

static void
task_step(void *arg)
{
	struct task *task = arg;

	task->next(task);
}

void
task_call(struct task *task, void (*next)(struct task *))
{
	task->next = next;
	call_send(&task->call, task_step, task);
}

void
task_later(struct task *task, int64_t delay_ms, void (*next)(struct task *))
{
	task->next = next;
	loop_timer_set(task->timer, clock_deadline(delay_ms));
}

bool
task_keep(struct task *task, size_t size, void (*free_state)(void *state))
{
	struct fault fault = {0};

	task->state = calloc(1, size);
	task->state_free = free_state != NULL ? free_state : free;
	if (task->state != NULL)
		return true;
	fault_set(&fault, CAUSE_INTERNAL, "out of memory");
	task_fail(task, &fault);
	return false;
}

void
task_answer(struct task *task)
{
	struct message_header header = task->header;
	char *answer = (char *)&task->answer;
	size_t fd_count = 0;

	header.type++;
	if (task->request_id_at != 0)
		text_copy(answer + task->request_id_at, REQUEST_ID_LEN,
		    task->call.request_id);
	while (fd_count < 2 && task->fds[fd_count] != -1)
		fd_count++;
	line_send(task->cloud, &header, answer, task->answer_len, task->fds,
	    fd_count);
	task_free(task);
}

void
task_fail(struct task *task, const struct fault *fault)
{
	/* Every answer begins with its fault. */
	task->answer.plain.fault = *fault;
	task_answer(task);
}

void
task_fail_call(struct task *task)
{
	struct fault fault = task->call.fault;

	task_fail(task, &fault);
}

bool
task_failed(struct task *task)
{
	if (task->call.fault.cause == CAUSE_NONE)
		return false;
	task_fail_call(task);
	return true;
}

bool
task_under_way(const struct cloud *cloud, const struct message_header *header)
{
	for (const struct task *task = cloud->tasks; task != NULL;
	     task = task->next_task) {
		if (task->header.attempt == header->attempt &&
		    task->header.sequence == header->sequence &&
		    task->header.type == header->type)
			return true;
	}
	return false;
}

struct task *
task_new(struct cloud *cloud, const struct message *message, size_t answer_len,
    size_t request_id_at, struct cloud_lot *lot, struct fault *fault)
{
	struct task *task = NULL;

	if (cloud->task_count >= TASKS_MAX) {
		fault_set(fault, CAUSE_CLOUD_THROTTLED,
		    "%d requests are under way already", TASKS_MAX);
		return NULL;
	}
	task = calloc(1, sizeof(*task));
	if (task == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		return NULL;
	}
	task->cloud = cloud;
	task->header = message->header;
	task->answer_len = answer_len;
	task->request_id_at = request_id_at;
	task->fds[0] = task->fds[1] = task->request_fd = -1;
	task->station = cloud->config->station;
	if (message->len <= sizeof(task->request))
		memcpy(&task->request, message->body.bytes, message->len);
	task->lot = lot;
	lot->users++;
	task->next_task = cloud->tasks;
	if (cloud->tasks != NULL)
		cloud->tasks->previous_task = task;
	cloud->tasks = task;
	cloud->task_count++;
	task->timer = loop_timer(cloud->loop, task_step, task);
	if (message->fd_count > 0)
		task->request_fd = fcntl(message->fds[0], F_DUPFD_CLOEXEC, 0);
	if (task->timer == NULL ||
	    call_open(&task->call, &cloud->caller, fault) == -1) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		task_free(task);
		return NULL;
	}
	task->call.deadline_ms = message->header.deadline_ms != 0
				     ? message->header.deadline_ms
				     : clock_deadline(TASK_TIMEOUT_MS);
	return task;
}
