/*
 * The cloud role on a leash: runs cloud_role() in a child process with the
 * descriptors that stationd would give it, and translates JSON lines on
 * standard input into messages, answers into JSON lines on standard output.
 *
 *	cloud_role SET-UP.json
 *
 * The set-up names the clouds and lots; cloud_role_test.py writes it and
 * documents by use. Credentials come from this program's own environment.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/message.h"
#include "base/role.h"
#include "cloud/role.h"
#include "lot/config.h"
#include "lot/lot.h"
#include "pki/csr.h"
#include "cloud_role_setup.h"

enum {
	LINE_MAX_LEN = 64 * 1024,
	QUEUED_MAX = 1024
};

/* ---- the child ---- */

static void
fd_place(int fd, int place)
{
	if (dup2(fd, place) == -1)
		die("dup2 to %d failed", place);
}

static pid_t
role_start(int config, int *channel)
{
	int pair[2], high;
	pid_t pid;

	if (channel_pair(pair) == -1)
		die("no channel");
	pid = fork();
	if (pid == -1)
		die("no fork");
	if (pid != 0) {
		close(pair[1]);
		*channel = pair[0];
		return pid;
	}
	/* Out of the way first: the places may be taken by what is moved. */
	high = fcntl(pair[1], F_DUPFD_CLOEXEC, ROLE_FD_END);
	config = fcntl(config, F_DUPFD_CLOEXEC, ROLE_FD_END);
	fd_place(high, ROLE_FD_CHANNEL);
	fd_place(config, ROLE_FD_CONFIG);
	if (close_range(ROLE_FD_CONFIG + 1, ~0U, 0) == -1)
		die("close_range failed");
	log_open("cloud", LOG_LEVEL_DEBUG);
	_exit(cloud_role());
}

/* ---- requests ---- */

static void
issue_send(
    struct channel *channel, struct message_header *header, const json_t *json)
{
	struct message_issue issue;
	struct fault fault = {0};
	struct csr csr;

	memset(&issue, 0, sizeof(issue));
	issue.lot = (uint32_t)number_of(json, "lot", 0);
	issue.look_up = (uint32_t)number_of(json, "look_up", 0);
	issue.since_wall_ms = number_of(json, "since_wall_ms", 0);
	issue.kind = text_of(json, "certificate")[0] != '\0' ? ISSUE_CERTIFICATE
							     : ISSUE_CSR;
	text_take(issue.request, sizeof(issue.request), json,
	    issue.kind == ISSUE_CSR ? "csr" : "certificate");
	text_take(issue.thing, sizeof(issue.thing), json, "thing");
	text_take(issue.mac, sizeof(issue.mac), json, "mac");
	text_take(issue.extra, sizeof(issue.extra), json, "extra");
	text_take(issue.serial, sizeof(issue.serial), json, "serial");
	text_take(issue.known_id, sizeof(issue.known_id), json, "known_id");
	text_take(issue.known_certificate, sizeof(issue.known_certificate),
	    json, "known_certificate");
	if (text_of(json, "spki")[0] != '\0')
		hex_decode(issue.spki.bytes, sizeof(issue.spki.bytes),
		    text_of(json, "spki"));
	else if (csr_check(issue.request, strlen(issue.request), issue.serial,
		     CSR_KEY_ANY, &csr, &fault) == 0)
		issue.spki = csr.spki;
	header->type = MESSAGE_ISSUE;
	channel_send(channel, header, &issue, sizeof(issue), NULL, 0);
}

static void
register_send(struct channel *channel, struct message_header *header,
    const json_t *json, uint16_t type)
{
	struct message_register bind;

	memset(&bind, 0, sizeof(bind));
	bind.lot = (uint32_t)number_of(json, "lot", 0);
	text_take(bind.serial, sizeof(bind.serial), json, "serial");
	text_take(bind.thing, sizeof(bind.thing), json, "thing");
	text_take(bind.certificate_id, sizeof(bind.certificate_id), json,
	    "certificate_id");
	text_take(bind.arn, sizeof(bind.arn), json, "arn");
	text_take(bind.extra, sizeof(bind.extra), json, "extra");
	text_take(bind.mac, sizeof(bind.mac), json, "mac");
	header->type = type;
	channel_send(channel, header, &bind, sizeof(bind), NULL, 0);
}

static void
discard_send(
    struct channel *channel, struct message_header *header, const json_t *json)
{
	struct message_discard discard;

	memset(&discard, 0, sizeof(discard));
	discard.lot = (uint32_t)number_of(json, "lot", 0);
	discard.since_wall_ms = number_of(json, "since_wall_ms", 0);
	text_take(discard.certificate_id, sizeof(discard.certificate_id), json,
	    "certificate_id");
	text_take(discard.keep_id, sizeof(discard.keep_id), json, "keep_id");
	text_take(discard.thing, sizeof(discard.thing), json, "thing");
	text_take(discard.revoke, sizeof(discard.revoke), json, "revoke");
	hex_decode(discard.spki.bytes, sizeof(discard.spki.bytes),
	    text_of(json, "spki"));
	header->type = MESSAGE_DISCARD;
	channel_send(channel, header, &discard, sizeof(discard), NULL, 0);
}

static void
lot_send(struct channel *channel, struct message_header *header,
    const json_t *setup, const json_t *json)
{
	struct message_cloud_lot change;
	int fd;

	memset(&change, 0, sizeof(change));
	change.lot = (uint32_t)number_of(json, "lot", 0);
	change.close = (uint32_t)number_of(json, "close", 0);
	fd = lot_seal(
	    json_array_get(json_object_get(setup, "lots"), change.lot));
	header->type = MESSAGE_CLOUD_LOT;
	channel_send(channel, header, &change, sizeof(change), &fd,
	    change.close ? 0 : 1);
	close(fd);
}

static void
claim_send(
    struct channel *channel, struct message_header *header, const json_t *json)
{
	struct message_claim claim;

	memset(&claim, 0, sizeof(claim));
	claim.lot = (uint32_t)number_of(json, "lot", 0);
	text_take(claim.serial, sizeof(claim.serial), json, "serial");
	header->type = MESSAGE_CLAIM_CREATE;
	channel_send(channel, header, &claim, sizeof(claim), NULL, 0);
}

static void
permit_send(
    struct channel *channel, struct message_header *header, const json_t *json)
{
	struct message_permit permit;

	memset(&permit, 0, sizeof(permit));
	permit.lot = (uint32_t)number_of(json, "lot", 0);
	header->type = MESSAGE_PERMIT;
	channel_send(channel, header, &permit, sizeof(permit), NULL, 0);
}

static void
bulk_send(struct channel *channel, struct message_header *header,
    const json_t *json, uint16_t type)
{
	const char *input = text_of(json, "input");
	struct message_bulk bulk;
	struct fault fault = {0};
	int fd = -1;

	memset(&bulk, 0, sizeof(bulk));
	bulk.lot = (uint64_t)number_of(json, "lot", 0);
	bulk.bulk = (uint64_t)number_of(json, "bulk", 1);
	text_take(bulk.key, sizeof(bulk.key), json, "key");
	text_take(bulk.task, sizeof(bulk.task), json, "task");
	if (input[0] != '\0')
		fd = file_seal("input", input, strlen(input), &fault);
	header->type = type;
	channel_send(
	    channel, header, &bulk, sizeof(bulk), &fd, fd != -1 ? 1 : 0);
	if (fd != -1)
		close(fd);
}

static void
request_send(struct channel *channel, const json_t *setup, const char *line)
{
	json_t *json = json_loads(line, 0, NULL);
	const char *type = text_of(json, "type");
	struct message_header header = {.version = MESSAGE_VERSION};

	header.attempt = (uint64_t)number_of(json, "attempt", 0);
	header.sequence = (uint32_t)number_of(json, "sequence", 0);
	header.deadline_ms =
	    clock_deadline(number_of(json, "timeout_ms", 60000));
	if (strcmp(type, "lot") == 0)
		lot_send(channel, &header, setup, json);
	else if (strcmp(type, "issue") == 0)
		issue_send(channel, &header, json);
	else if (strcmp(type, "bind") == 0)
		register_send(channel, &header, json, MESSAGE_BIND);
	else if (strcmp(type, "preregister") == 0)
		register_send(channel, &header, json, MESSAGE_PREREGISTER);
	else if (strcmp(type, "activate") == 0)
		register_send(channel, &header, json, MESSAGE_ACTIVATE);
	else if (strcmp(type, "confirm") == 0)
		register_send(channel, &header, json, MESSAGE_CONFIRM);
	else if (strcmp(type, "claim") == 0)
		claim_send(channel, &header, json);
	else if (strcmp(type, "permit") == 0)
		permit_send(channel, &header, json);
	else if (strcmp(type, "bulk-start") == 0)
		bulk_send(channel, &header, json, MESSAGE_BULK_START);
	else if (strcmp(type, "bulk-poll") == 0)
		bulk_send(channel, &header, json, MESSAGE_BULK_POLL);
	else if (strcmp(type, "discard") == 0)
		discard_send(channel, &header, json);
	else
		die("no such request: %s", line);
	json_decref(json);
	if (channel->failed)
		die("the role takes no messages");
}

/* ---- answers ---- */

/* A report's text; null when there is no such descriptor. */
static json_t *
report_read(const struct message *message, size_t at)
{
	struct fault fault = {0};
	json_t *text;
	char *data;
	size_t len;

	if (at >= message->fd_count)
		return json_null();
	if (file_read_fd(message->fds[at], "report", 64 * 1024 * 1024, &data,
		&len, &fault) == -1)
		die("%s", fault.text);
	text = json_stringn(data, len);
	free(data);
	return text;
}

static json_t *
bulk_fields(const struct message *message)
{
	const struct message_bulk_done *bulk =
	    (const void *)message->body.bytes;

	return json_pack("{s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:o,s:o}", "task",
	    bulk->task, "key", bulk->key, "status", bulk->status, "ended",
	    (int)bulk->ended, "succeeded", (int)bulk->succeeded, "failed",
	    (int)bulk->failed, "percent", (int)bulk->percent, "results",
	    report_read(message, 0), "errors", report_read(message, 1));
}

static json_t *
confirm_fields(const struct message *message)
{
	const struct message_confirm_done *confirm =
	    (const void *)message->body.bytes;
	json_t *others = json_array();

	for (size_t i = 0; i < OTHERS_MAX; i++)
		if (confirm->others[i][0] != '\0')
			json_array_append_new(
			    others, json_string(confirm->others[i]));
	return json_pack("{s:s,s:s,s:s,s:o}", "certificate_id",
	    confirm->certificate_id, "arn", confirm->arn, "cloud_state",
	    confirm->cloud_state, "others", others);
}

/* What the answer has besides its fault; null: nothing. */
static json_t *
fields_make(const struct message *message)
{
	const struct message_issue_done *issue =
	    (const void *)message->body.bytes;
	const struct message_cloud_done *cloud =
	    (const void *)message->body.bytes;
	const struct message_claim_done *claim =
	    (const void *)message->body.bytes;

	switch (message->header.type) {
	case MESSAGE_ISSUE_DONE:
		return json_pack("{s:s,s:s,s:s,s:s,s:s,s:i}", "certificate_id",
		    issue->certificate_id, "certificate", issue->certificate,
		    "arn", issue->arn, "request_id", issue->request_id,
		    "cloud_state", issue->cloud_state, "stray",
		    (int)issue->stray);
	case MESSAGE_CONFIRM_DONE:
		return confirm_fields(message);
	case MESSAGE_CLAIM_CREATE_DONE:
		return json_pack("{s:s,s:s,s:I}", "certificate",
		    claim->certificate, "certificate_id", claim->certificate_id,
		    "expires_wall_ms", (json_int_t)claim->expires_wall_ms);
	case MESSAGE_BULK_START_DONE:
	case MESSAGE_BULK_POLL_DONE:
		return bulk_fields(message);
	case MESSAGE_CLOUD_LOT_DONE:
	case MESSAGE_PERMIT_DONE:
		return NULL;
	default:
		return json_pack("{s:s,s:s}", "cloud_state", cloud->cloud_state,
		    "request_id", cloud->request_id);
	}
}

static void
line_print(json_t *json)
{
	json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(json);
}

static void
answer_print(const struct message *message)
{
	const struct message_done *done = (const void *)message->body.bytes;
	const struct message_cloud_state *state =
	    (const void *)message->body.bytes;
	json_t *json;

	if (message->header.type == MESSAGE_CLOUD_STATE) {
		json = json_pack("{s:s,s:i,s:i,s:i,s:i,s:s}", "type", "state",
		    "state", (int)state->state, "in_flight",
		    (int)state->in_flight, "throttled", (int)state->throttled,
		    "calls", (int)state->calls, "text", state->text);
	} else {
		json = json_pack("{s:s,s:I,s:I,s:s,s:s,s:s}", "type", "answer",
		    "attempt", (json_int_t)message->header.attempt, "sequence",
		    (json_int_t)message->header.sequence, "cause",
		    fault_row(done->fault.cause)->name, "text",
		    done->fault.text, "fault_request_id",
		    done->fault.request_id);
		json_object_update_new(json, fields_make(message));
	}
	line_print(json);
}

/* ---- the vault's part ---- */

/* Takes every key that is deposited, and shows it. */
static void
vault_answer(struct channel *vault, const struct message *message)
{
	const struct message_deposit *deposit =
	    (const void *)message->body.bytes;
	struct message_header header = message->header;
	struct message_done done;

	memset(&done, 0, sizeof(done));
	header.type++;
	if (message->header.type == MESSAGE_DEPOSIT)
		line_print(json_pack("{s:s,s:I,s:s%,s:s}", "type", "deposit",
		    "attempt", (json_int_t)header.attempt, "key", deposit->pem,
		    (size_t)deposit->len, "certificate", deposit->certificate));
	else
		die("the vault was asked for %u", message->header.type);
	channel_send(vault, &header, &done, sizeof(done), NULL, 0);
}

static void
vault_join(struct channel *vault, struct channel *channel)
{
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_CLOUD_VAULT};
	int pair[2];

	if (channel_pair(pair) == -1)
		die("no channel");
	channel_open(vault, pair[0], "cloud's pair", QUEUED_MAX);
	channel_send(channel, &header, NULL, 0, &pair[1], 1);
	close(pair[1]);
}

/* Sends the whole lines that have come; false at the end of input. */
static bool
input_take(struct channel *channel, const json_t *setup, struct buf *input)
{
	static char bytes[LINE_MAX_LEN];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
	char *end;

	if (got <= 0)
		return false;
	buf_add(input, bytes, (size_t)got);
	while (input->len > 0 &&
	       (end = memchr(input->data, '\n', input->len)) != NULL) {
		*end = '\0';
		request_send(channel, setup, input->data);
		buf_drop(input, (size_t)(end - input->data) + 1);
	}
	return true;
}

static void
translate(struct channel *channel, const json_t *setup)
{
	static struct message message;
	struct channel vault;
	struct buf input;
	int got = 0;

	buf_init(&input, 16 * 1024 * 1024);
	vault_join(&vault, channel);
	while (got != -1) {
		struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0},
		    {channel->fd, channel_events(channel), 0},
		    {vault.fd, channel_events(&vault), 0}};

		poll(fds, 3, -1);
		if ((fds[0].revents & (POLLIN | POLLHUP)) != 0 &&
		    !input_take(channel, setup, &input))
			break;
		channel_flush(channel);
		while ((got = channel_receive(&vault, &message)) == 1)
			vault_answer(&vault, &message);
		while ((got = channel_receive(channel, &message)) == 1) {
			answer_print(&message);
			message_close_fds(&message);
		}
	}
	channel_close(&vault);
	buf_free(&input);
}

int
main(int argc, char **argv)
{
	struct channel channel;
	json_error_t error;
	json_t *setup;
	int status, fd;
	pid_t pid;

	if (argc != 2)
		die("usage: cloud_role SET-UP.json");
	setup = json_load_file(argv[1], 0, &error);
	if (setup == NULL)
		die("%s: %s", argv[1], error.text);
	pid = role_start(config_seal(setup), &fd);
	channel_open(&channel, fd, "cloud", QUEUED_MAX);
	translate(&channel, setup);
	channel_close(&channel);
	json_decref(setup);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != 0)
		die("the role ended with wait status 0x%x", (unsigned)status);
	return 0;
}
