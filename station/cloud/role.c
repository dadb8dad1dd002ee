#include "cloud/role.h"

#include <inttypes.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "cloud/cloud.h"
#include "cloud/confine.h"
#include "cloud/fleet_token.h"
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
    const void *body, size_t len, const int *fds, size_t fd_count)
{
	if (channel_send(&cloud->channel, header, body, len, fds, fd_count) ==
	    -1) {
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
	for (size_t i = 0; i < CLOUDS_MAX; i++) {
		if (cloud->accounts[i].cloud != NULL &&
		    keyring_lapsed(&cloud->accounts[i].keyring, text, size))
			return CLOUD_STATE_LAPSED;
	}
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
	/* What holds and releases the line does not wait. */
	if (cloud->state_sent_ms != 0 &&
	    (state.state == CLOUD_STATE_LAPSED) ==
		(cloud->state.state == CLOUD_STATE_LAPSED) &&
	    now_ms - cloud->state_sent_ms < STATE_SPACING_MS) {
		loop_timer_set(cloud->state_timer,
		    cloud->state_sent_ms + STATE_SPACING_MS);
		return;
	}
	cloud->state = state;
	cloud->state_sent_ms = now_ms;
	line_send(cloud, &header, &state, sizeof(state), NULL, 0);
}

/* ---- requests ---- */

/* Each request: where its lot stands, its answer, and how it begins. */
static const struct request_row {
	uint16_t type;
	size_t lot_at;
	size_t answer_len;
	size_t request_id_at; /* in the answer; 0: it has none */
	void (*start)(struct task *);
} request_rows[] = {
    {MESSAGE_CLOUD_LOT, offsetof(struct message_cloud_lot, lot),
	sizeof(struct message_done), 0, preflight_start},
    {MESSAGE_ISSUE, offsetof(struct message_issue, lot),
	sizeof(struct message_issue_done),
	offsetof(struct message_issue_done, request_id), issue_start},
    {MESSAGE_BIND, offsetof(struct message_register, lot),
	sizeof(struct message_cloud_done),
	offsetof(struct message_cloud_done, request_id), bind_start},
    {MESSAGE_PREREGISTER, offsetof(struct message_register, lot),
	sizeof(struct message_cloud_done),
	offsetof(struct message_cloud_done, request_id), preregister_start},
    {MESSAGE_ACTIVATE, offsetof(struct message_register, lot),
	sizeof(struct message_cloud_done),
	offsetof(struct message_cloud_done, request_id), activate_start},
    {MESSAGE_CONFIRM, offsetof(struct message_register, lot),
	sizeof(struct message_confirm_done),
	offsetof(struct message_confirm_done, request_id), confirm_start},
    {MESSAGE_DISCARD, offsetof(struct message_discard, lot),
	sizeof(struct message_cloud_done),
	offsetof(struct message_cloud_done, request_id), discard_start},
    {MESSAGE_CLAIM_CREATE, offsetof(struct message_claim, lot),
	sizeof(struct message_claim_done),
	offsetof(struct message_claim_done, request_id), claim_create_start},
    {MESSAGE_PERMIT, offsetof(struct message_permit, lot),
	sizeof(struct message_done), 0, permit_start},
    {MESSAGE_BULK_START, offsetof(struct message_bulk, lot),
	sizeof(struct message_bulk_done),
	offsetof(struct message_bulk_done, request_id), bulk_task_start},
    {MESSAGE_BULK_POLL, offsetof(struct message_bulk, lot),
	sizeof(struct message_bulk_done),
	offsetof(struct message_bulk_done, request_id), bulk_task_poll},
};

/* The line's index of the lot that the request names. */
static uint64_t
request_lot(const struct request_row *row, const struct message *message)
{
	const char *at = message->body.bytes + row->lot_at;
	uint64_t wide;
	uint32_t index;

	if (row->type == MESSAGE_BULK_START || row->type == MESSAGE_BULK_POLL) {
		memcpy(&wide, at, sizeof(wide));
		return wide;
	}
	memcpy(&index, at, sizeof(index));
	return index;
}

/* Answers a request that never became a task. */
static void
request_refuse(struct cloud *cloud, const struct request_row *row,
    const struct message_header *request, const struct fault *fault)
{
	union {
		struct message_issue_done issue;
		struct message_cloud_done cloud;
		struct message_confirm_done confirm;
		struct message_claim_done claim;
		struct message_bulk_done bulk;
		struct message_done plain;
	} answer;
	struct message_header header = *request;

	memset(&answer, 0, sizeof(answer));
	answer.plain.fault = *fault;
	header.type++;
	line_send(cloud, &header, &answer, row->answer_len, NULL, 0);
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
	uint64_t index = request_lot(row, message);

	if (task_under_way(cloud, &message->header))
		return;
	if (row->type == MESSAGE_CLOUD_LOT && !lot_change(cloud, row, message))
		return;
	if (index < LOT_INDEXES_MAX)
		lot = cloud->lots[index];
	if (lot == NULL)
		fault_set(&fault, CAUSE_INTERNAL,
		    "the cloud role was not told of lot %" PRIu64, index);
	else if (row->type != MESSAGE_CLOUD_LOT)
		fault = lot->fault;
	if (fault.cause == CAUSE_NONE) {
		task = task_new(cloud, message, row->answer_len,
		    row->request_id_at, lot, &fault);
		if (task != NULL) {
			row->start(task);
			return;
		}
	}
	request_refuse(cloud, row, &message->header, &fault);
}

static void
message_take(struct cloud *cloud, struct message *message)
{
	if (message->header.type == MESSAGE_CLOUD_VAULT &&
	    message->fd_count == 1) {
		vault_pair_join(&cloud->vault, message->fds[0]);
		message->fd_count = 0;
		return;
	}
	if (message->header.type == MESSAGE_TOOL_DONE) {
		tools_answer(&cloud->tools, &message->header,
		    (const void *)message->body.bytes);
		return;
	}
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

static void
tool_ask(void *arg, const struct message_header *header,
    const struct message_tool *request, int fd)
{
	line_send(arg, header, request, sizeof(*request), &fd, 1);
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

/*
 * Answers may hold a private key (CreateProvisioningClaim): what jansson
 * gives back is wiped, its copies of a text within a parse as well.
 */
static void
json_forget(void *memory)
{
	if (memory != NULL)
		OPENSSL_cleanse(memory, malloc_usable_size(memory));
	free(memory);
}

static int
cloud_open(struct cloud *cloud, struct fault *fault)
{
	json_set_alloc_funcs(malloc, json_forget);
	if (config_open(cloud, fault) == -1 ||
	    secret_alloc(&cloud->secret, sizeof(*cloud->environment), fault) ==
		-1)
		return -1;
	cloud->environment = (void *)cloud->secret.data;
	if (credentials_environment_take(cloud->environment, fault) == -1 ||
	    cloud_confine(cloud->config, cloud->environment, fault) == -1)
		return -1;
	cloud->loop = loop_new();
	if (cloud->loop == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	cloud->http = http_new(cloud->loop, fault);
	if (cloud->http == NULL)
		return -1;
	cloud->tools =
	    (struct tools){.loop = cloud->loop, .send = tool_ask, .arg = cloud};
	cloud->base = (struct credentials_base){.loop = cloud->loop,
	    .http = cloud->http,
	    .tools = &cloud->tools,
	    .environment = cloud->environment,
	    .station = cloud->config->station};
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
	vault_pair_close(&cloud->vault);
	fleet_tokens_free(cloud->tokens);
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
