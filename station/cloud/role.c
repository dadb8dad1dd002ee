#include "cloud/role.h"

#include <libgen.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "cloud/cloud.h"
#include "cloud/pattern.h"

enum {
	ANSWERS_QUEUED_MAX = 1024,
	STATE_SPACING_MS = 1000,
	SLOW_SPAN_MS = 10000,
	DOWN_FAILURES = 3,
	PROBE_SPACING_MS = 10000,
	PROBE_TIMEOUT_MS = 15000,
};

void
line_send(struct cloud *cloud, const struct message_header *header,
    const void *body, size_t len)
{
	if (channel_send(&cloud->channel, header, body, len, NULL, 0) == -1) {
		log_error("the line does not take answers");
		loop_stop(cloud->loop);
		return;
	}
	loop_watch_events(cloud->watch, channel_events(&cloud->channel));
}

/* ---- state for the board ---- */

static enum cloud_state
state_now(const struct cloud *cloud, char *text, size_t size)
{
	const struct caller *caller = &cloud->caller;
	int64_t now_ms = clock_monotonic_ms();

	text[0] = '\0';
	if (caller->failures >= DOWN_FAILURES) {
		text_copy(text, size, caller->failure);
		return CLOUD_STATE_DOWN;
	}
	if (caller->throttled_ms != 0 &&
	    now_ms - caller->throttled_ms < SLOW_SPAN_MS) {
		text_copy(text, size, "AWS throttles");
		return CLOUD_STATE_SLOW;
	}
	return CLOUD_STATE_UP;
}

static void
probe_done(void *arg)
{
	struct cloud *cloud = arg;

	cloud->probing = false;
	cloud->caller.changed(cloud);
}

/*
 * While the cloud is down and the line waits, nobody would notice that it is
 * back. Any answer counts, a refusal too.
 */
static void
probe_due(void *arg)
{
	struct cloud *cloud = arg;
	struct call *call = &cloud->probe;
	size_t i = 0;

	while (i < LOT_INDEXES_MAX && cloud->lots[i] == NULL)
		i++;
	if (i == LOT_INDEXES_MAX || cloud->caller.failures < DOWN_FAILURES) {
		cloud->probing = false;
		return;
	}
	call->deadline_ms = clock_deadline(PROBE_TIMEOUT_MS);
	call_start(
	    call, cloud->lots[i]->account, OPERATION_LIST_CERTIFICATES, NULL);
	call_query(call, "pageSize", "1");
	call_send(call, probe_done, cloud);
}

/* At most one a second; the timer brings what came too early, and the end
 * of SLOW, which no call announces. */
static void
state_tell(void *arg)
{
	struct cloud *cloud = arg;
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_CLOUD_STATE};
	struct message_cloud_state state;
	int64_t now_ms = clock_monotonic_ms();

	memset(&state, 0, sizeof(state));
	state.state = state_now(cloud, state.text, sizeof(state.text));
	state.in_flight = cloud->caller.in_flight;
	state.throttled = cloud->caller.throttled;
	state.calls = cloud->caller.calls;
	if (state.state == CLOUD_STATE_SLOW)
		loop_timer_set(cloud->state_timer, now_ms + STATE_SPACING_MS);
	if (state.state == CLOUD_STATE_DOWN && !cloud->probing) {
		cloud->probing = true;
		loop_timer_set(cloud->probe_timer, now_ms + PROBE_SPACING_MS);
	}
	if (memcmp(&state, &cloud->state, sizeof(state)) == 0)
		return;
	if (cloud->state_sent_ms != 0 &&
	    now_ms - cloud->state_sent_ms < STATE_SPACING_MS) {
		loop_timer_set(cloud->state_timer,
		    cloud->state_sent_ms + STATE_SPACING_MS);
		return;
	}
	cloud->state = state;
	cloud->state_sent_ms = now_ms;
	line_send(cloud, &header, &state, sizeof(state));
}

/* ---- requests ---- */

/* Each request: its body and its answer's, and how it begins. */
static const struct request_row {
	uint16_t type;
	size_t answer_len;
	size_t lot_offset;
	void (*start)(struct task *);
} request_rows[] = {
    {MESSAGE_CLOUD_LOT, sizeof(struct message_done),
	offsetof(struct message_cloud_lot, lot), prove_start},
    {MESSAGE_ISSUE, sizeof(struct message_issue_done),
	offsetof(struct message_issue, lot), issue_start},
    {MESSAGE_BIND, sizeof(struct message_cloud_done),
	offsetof(struct message_register, lot), bind_start},
    {MESSAGE_PREREGISTER, sizeof(struct message_cloud_done),
	offsetof(struct message_register, lot), preregister_start},
    {MESSAGE_ACTIVATE, sizeof(struct message_cloud_done),
	offsetof(struct message_register, lot), activate_start},
    {MESSAGE_DISCARD, sizeof(struct message_cloud_done),
	offsetof(struct message_discard, lot), discard_start},
};

/* Answers a request that never became a task. */
static void
request_refuse(struct cloud *cloud, const struct request_row *row,
    const struct message_header *request, const struct fault *fault)
{
	union {
		struct message_issue_done issue;
		struct message_cloud_done cloud;
		struct message_done plain;
	} answer;
	struct message_header header = *request;

	memset(&answer, 0, sizeof(answer));
	answer.plain.fault = *fault;
	header.type++;
	line_send(cloud, &header, &answer, row->answer_len);
}

/* ---- messages ---- */

/* Puts a new lot into the table, or takes it out. True: prove it now. */
static bool
lot_change(struct cloud *cloud, const struct request_row *row,
    const struct message *message)
{
	const struct message_cloud_lot *change =
	    (const void *)message->body.bytes;
	struct cloud_lot *lot = NULL;
	struct fault fault = {0};

	if (change->lot >= LOT_INDEXES_MAX)
		fault_set(&fault, CAUSE_INTERNAL, "lot index %u is too large",
		    change->lot);
	else if (!change->close)
		lot = lot_open(cloud, message, &fault);
	if (fault.cause == CAUSE_NONE) {
		lot_drop(cloud->lots[change->lot]);
		cloud->lots[change->lot] = lot;
	}
	if (lot != NULL)
		return true;
	request_refuse(cloud, row, &message->header, &fault);
	return false;
}

static void
request_start(struct cloud *cloud, const struct request_row *row,
    const struct message *message)
{
	struct cloud_lot *lot = NULL;
	struct fault fault = {0};
	struct task *task;
	uint32_t index;

	memcpy(&index, message->body.bytes + row->lot_offset, sizeof(index));
	if (task_under_way(cloud, &message->header))
		return;
	if (row->type == MESSAGE_CLOUD_LOT && !lot_change(cloud, row, message))
		return;
	if (index < LOT_INDEXES_MAX)
		lot = cloud->lots[index];
	if (lot == NULL)
		fault_set(&fault, CAUSE_INTERNAL,
		    "the cloud role was not told of lot %u", index);
	else if (row->type != MESSAGE_CLOUD_LOT)
		fault = lot->fault;
	if (fault.cause == CAUSE_NONE) {
		task = task_new(cloud, message, row->answer_len, lot, &fault);
		if (task != NULL) {
			row->start(task);
			return;
		}
	}
	request_refuse(cloud, row, &message->header, &fault);
}

static void
message_take(struct cloud *cloud, const struct message *message)
{
	for (size_t i = 0; i < sizeof(request_rows) / sizeof(request_rows[0]);
	     i++) {
		if (request_rows[i].type == message->header.type) {
			request_start(cloud, &request_rows[i], message);
			return;
		}
	}
	log_error("the line sent a message of type %u", message->header.type);
}

static void
channel_ready(void *arg, short revents)
{
	struct cloud *cloud = arg;
	struct message message;
	int got = 1;

	(void)revents;
	if (channel_flush(&cloud->channel) == -1)
		got = -1;
	/* A bounded number a turn: answers must come out as well. */
	for (int i = 0; i < 16 && got == 1; i++) {
		got = channel_receive(&cloud->channel, &message);
		if (got == 1) {
			message_take(cloud, &message);
			message_close_fds(&message);
		}
	}
	if (got == -1)
		loop_stop(cloud->loop);
	else
		loop_watch_events(
		    cloud->watch, channel_events(&cloud->channel));
}

/* ---- start and end ---- */

static int
config_open(struct cloud *cloud, struct fault *fault)
{
	const void *data;

	if (file_map_sealed(ROLE_FD_CONFIG, sizeof(struct station_config),
		sizeof(struct station_config), &data, &cloud->config_len,
		fault) == -1)
		return -1;
	cloud->config = data;
	if (cloud->config->magic != CONFIG_MAGIC ||
	    cloud->config->size != sizeof(struct station_config) ||
	    cloud->config->cloud_count > CLOUDS_MAX)
		return fault_set(
		    fault, CAUSE_INTERNAL, "the configuration is not one");
	return 0;
}

/* Adds a path, or its folder, once. The texts live until the sandbox. */
static int
path_add(struct sandbox_paths *paths, char (*texts)[PATH_LEN], const char *path,
    bool folder, struct fault *fault)
{
	char copy[PATH_LEN];
	size_t i = 0;

	if (path[0] == '\0' || text_copy(copy, sizeof(copy), path) == -1)
		return 0;
	path = folder ? dirname(copy) : copy;
	while (paths->read[i] != NULL && strcmp(paths->read[i], path) != 0)
		i++;
	if (paths->read[i] != NULL)
		return 0;
	if (i + 1 == SANDBOX_PATHS_MAX)
		return fault_set(fault, CAUSE_BAD_CONFIG,
		    "the clouds name files in more than %d places",
		    SANDBOX_PATHS_MAX - 1);
	text_copy(texts[i], PATH_LEN, path);
	paths->read[i] = texts[i];
	return 0;
}

/*
 * A rule for a file is bound to its inode; credentials are replaced by
 * renaming, so for them the folder is named.
 */
static int
cloud_confine(struct cloud *cloud, struct fault *fault)
{
	char texts[SANDBOX_PATHS_MAX][PATH_LEN];
	struct sandbox_paths paths = {0};

	/* Where /etc/resolv.conf may point to. */
	if (path_add(&paths, texts, "/run/systemd/resolve", false, fault) ==
		-1 ||
	    path_add(&paths, texts, cloud->environment->file, true, fault) ==
		-1 ||
	    path_add(&paths, texts, cloud->environment->config_file, true,
		fault) == -1)
		return -1;
	for (uint32_t i = 0; i < cloud->config->cloud_count; i++) {
		const struct config_cloud *profile = &cloud->config->clouds[i];

		if (path_add(&paths, texts, profile->ca_file, false, fault) ==
			-1 ||
		    path_add(&paths, texts, profile->credentials_file, true,
			fault) == -1)
			return -1;
	}
	return sandbox_enter(ROLE_CLOUD, &paths, fault);
}

static int
cloud_open(struct cloud *cloud, struct fault *fault)
{
	if (config_open(cloud, fault) == -1 ||
	    secret_alloc(&cloud->secret, sizeof(*cloud->environment), fault) ==
		-1)
		return -1;
	cloud->environment = (void *)cloud->secret.data;
	if (credentials_environment_take(cloud->environment, fault) == -1 ||
	    cloud_confine(cloud, fault) == -1)
		return -1;
	cloud->loop = loop_new();
	if (cloud->loop == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	cloud->http = http_new(cloud->loop, fault);
	if (cloud->http == NULL)
		return -1;
	cloud->caller = (struct caller){.loop = cloud->loop,
	    .http = cloud->http,
	    .changed = state_tell,
	    .arg = cloud};
	channel_open(
	    &cloud->channel, ROLE_FD_CHANNEL, "line", ANSWERS_QUEUED_MAX);
	cloud->watch = loop_watch(cloud->loop, ROLE_FD_CHANNEL,
	    channel_events(&cloud->channel), channel_ready, cloud);
	cloud->state_timer = loop_timer(cloud->loop, state_tell, cloud);
	cloud->probe_timer = loop_timer(cloud->loop, probe_due, cloud);
	if (cloud->watch == NULL || cloud->state_timer == NULL ||
	    cloud->probe_timer == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	return call_open(&cloud->probe, &cloud->caller, fault);
}

static void
cloud_close(struct cloud *cloud)
{
	while (cloud->tasks != NULL)
		task_free(cloud->tasks);
	call_close(&cloud->probe);
	for (size_t i = 0; i < LOT_INDEXES_MAX; i++)
		lot_drop(cloud->lots[i]);
	/* An account that shares another's pace has none of its own. */
	for (size_t i = 0; i < CLOUDS_MAX; i++)
		account_close(&cloud->accounts[i], cloud->loop);
	http_free(cloud->http);
	if (cloud->channel.peer != NULL)
		channel_close(&cloud->channel);
	loop_free(cloud->loop);
	secret_free(&cloud->secret);
	if (cloud->config != NULL)
		munmap((void *)(uintptr_t)cloud->config, cloud->config_len);
}

int
cloud_role(void)
{
	static struct cloud cloud;
	struct fault fault = {0};
	int status = EX_SOFTWARE;

	if (cloud_open(&cloud, &fault) == -1) {
		log_error("%s", fault.text);
		goto out;
	}
	if (loop_run(cloud.loop, NULL, NULL) == 0)
		status = EX_OK;
out:
	cloud_close(&cloud);
	return status;
}
