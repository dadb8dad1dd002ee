/*
 * The cloud role and the vault role on a leash, joined as the parent joins
 * them: both run in processes of their own, each in its sandbox. JSON lines
 * on standard input become the line's and the parent's messages, answers
 * become JSON lines on standard output.
 *
 *	proxy_role SET-UP.json
 *
 * proxy_role_test.py writes the set-up of the one cloud and the one lot, and
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
#include "vault/role.h"

enum {
	LINE_MAX_LEN = 64 * 1024,
	QUEUED_MAX = 256,
	TIMEOUT_MS = 20000,
	FILE_MAX = 16 * 1024,
};

struct leash {
	json_t *setup;
	struct channel cloud, vault, parent; /* parent: vault's other one */
	pid_t pids[2];
};

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

static void
text_take(char *to, size_t size, const json_t *object, const char *name)
{
	if (text_copy(to, size, text_of(object, name)) == -1)
		die("%s is too long", name);
}

static int64_t
number_of(const json_t *object, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* A member that names a file: its text. */
static void
file_take(char *to, size_t size, const json_t *object, const char *name)
{
	struct fault fault = {0};
	char *data;
	size_t len;

	if (text_of(object, name)[0] == '\0')
		return;
	if (file_read(text_of(object, name), FILE_MAX, &data, &len, &fault) ==
		-1 ||
	    text_copy(to, size, data) == -1)
		die("%s: %s", name, fault.text);
	free(data);
}

/* ---- set-up ---- */

static int
config_seal(const json_t *setup)
{
	static struct station_config config;
	struct config_cloud *cloud = &config.clouds[0];
	struct fault fault = {0};
	int fd;

	config.magic = CONFIG_MAGIC;
	config.size = sizeof(config);
	config.cloud_count = 1;
	text_take(config.station, sizeof(config.station), setup, "station");
	text_take(cloud->name, sizeof(cloud->name), setup, "cloud");
	text_take(cloud->account, sizeof(cloud->account), setup, "account");
	text_take(cloud->region, sizeof(cloud->region), setup, "region");
	text_take(cloud->endpoint, sizeof(cloud->endpoint), setup, "endpoint");
	text_take(cloud->sts_endpoint, sizeof(cloud->sts_endpoint), setup,
	    "endpoint");
	text_take(cloud->ca_file, sizeof(cloud->ca_file), setup, "ca_file");
	cloud->credentials = CREDENTIAL_ENVIRONMENT;
	cloud->share_percent = 100;
	fd = file_seal("config", &config, sizeof(config), &fault);
	if (fd == -1)
		die("%s", fault.text);
	return fd;
}

static int
lot_seal(const json_t *setup)
{
	static struct lot_image lot;
	struct fault fault = {0};
	const char *name;
	json_t *rule;
	int fd;

	memset(&lot, 0, sizeof(lot));
	lot.magic = LOT_MAGIC;
	lot.size = sizeof(lot);
	text_take(lot.name, sizeof(lot.name), setup, "lot");
	text_take(lot.cloud, sizeof(lot.cloud), setup, "cloud");
	text_take(lot.account, sizeof(lot.account), setup, "account");
	text_take(lot.endpoint, sizeof(lot.endpoint), setup, "mqtt");
	text_take(
	    lot.template_name, sizeof(lot.template_name), setup, "template");
	text_take(lot.thing_rule, sizeof(lot.thing_rule), setup, "thing");
	lot.pattern = json_is_true(json_object_get(setup, "trusted_user"))
			  ? PATTERN_TRUSTED_USER
			  : PATTERN_CLAIM;
	lot.ending = ENDING_PROXY;
	lot.keys_by_cloud = json_is_true(json_object_get(setup, "keys_by_aws"));
	file_take(lot.root_ca, sizeof(lot.root_ca), setup, "root_ca");
	file_take(lot.claim_certificate, sizeof(lot.claim_certificate), setup,
	    "claim_certificate");
	json_object_foreach (json_object_get(setup, "parameters"), name, rule) {
		struct lot_parameter *to =
		    &lot.parameters[lot.parameter_count++];

		text_copy(to->name, sizeof(to->name), name);
		text_copy(to->rule, sizeof(to->rule), json_string_value(rule));
	}
	fd = file_seal("lot", &lot, sizeof(lot), &fault);
	if (fd == -1)
		die("%s", fault.text);
	return fd;
}

/* ---- roles ---- */

static void __attribute__((noreturn))
role_run(enum role role, int channel, int first)
{
	channel = fcntl(channel, F_DUPFD, ROLE_FD_END);
	first = fcntl(first, F_DUPFD, ROLE_FD_END);
	if (dup2(channel, ROLE_FD_CHANNEL) == -1 ||
	    dup2(first, role == ROLE_CLOUD ? ROLE_FD_CONFIG : ROLE_FD_FIRST) ==
		-1)
		_exit(99);
	if (role == ROLE_VAULT)
		close(ROLE_FD_CONFIG);
	close_range(
	    role == ROLE_CLOUD ? ROLE_FD_FIRST : ROLE_FD_FIRST + 1, ~0U, 0);
	log_open(role_name(role), LOG_LEVEL_INFO);
	_exit(role == ROLE_CLOUD ? cloud_role() : vault_role());
}

/* first: the configuration, or the far end of the parent's channel. */
static pid_t
role_start(enum role role, struct channel *channel, int first)
{
	int pair[2];
	pid_t pid;

	if (channel_pair(pair) == -1)
		die("no channel");
	pid = fork();
	if (pid == -1)
		die("no process");
	if (pid == 0)
		role_run(role, pair[1], first);
	close(pair[1]);
	close(first);
	channel_open(channel, pair[0], role_name(role), QUEUED_MAX);
	return pid;
}

/* ---- the vault ---- */

/* Sends and waits: the vault is never slow. */
static const struct message_done *
vault_ask(struct channel *channel, uint16_t type, uint64_t attempt,
    const void *body, size_t len, const int *fds, size_t fd_count)
{
	static struct message message;
	static uint32_t sequence;
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = type,
	    .attempt = attempt,
	    .sequence = ++sequence};
	struct fault fault = {0};

	if (channel_send(channel, &header, body, len, fds, fd_count) == -1 ||
	    channel_receive_wait(
		channel, &message, clock_deadline(TIMEOUT_MS), &fault) == -1 ||
	    message.header.type != type + 1)
		die("the vault does not answer: %s", fault.text);
	return (const void *)message.body.bytes;
}

static void
vault_key_give(struct leash *leash)
{
	struct message_open_key body = {.kind = KEY_CLAIM, .proves = 1};
	const struct message_done *done;
	int fd;

	text_take(body.path, sizeof(body.path), leash->setup, "claim_key");
	if (body.path[0] == '\0')
		return;
	file_take(body.certificate, sizeof(body.certificate), leash->setup,
	    "claim_certificate");
	fd = open(body.path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		die("%s cannot be opened", body.path);
	done = vault_ask(
	    &leash->parent, MESSAGE_VAULT_KEY, 0, &body, sizeof(body), &fd, 1);
	close(fd);
	if (done->fault.cause != CAUSE_NONE)
		die("%s", done->fault.text);
}

static void
note_send(struct channel *channel, uint16_t type, uint64_t attempt, int fd)
{
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = type, .attempt = attempt};

	if (channel_send(channel, &header, NULL, 0, &fd, 1) == -1)
		die("a role takes no messages");
	close(fd);
}

/* With `broken` the vault's end is closed at once. */
static void
roles_join(struct leash *leash, bool broken)
{
	int pair[2];

	if (channel_pair(pair) == -1)
		die("no channel");
	if (broken)
		close(pair[0]);
	else
		note_send(&leash->parent, MESSAGE_VAULT_CLOUD, 0, pair[0]);
	note_send(&leash->cloud, MESSAGE_CLOUD_VAULT, 0, pair[1]);
}

static void
line_print(json_t *json)
{
	json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(json);
}

/* The deposited key, as the attempt's slot gets it. */
static void
grant(struct leash *leash, const json_t *json)
{
	static struct message message;
	const struct message_secret *secret = (const void *)message.body.bytes;
	const struct message_vault_grant body = {.deposit = 1};
	uint64_t attempt = (uint64_t)number_of(json, "attempt", 1);
	const struct message_done *done;
	struct channel slot;
	struct fault fault = {0};
	int pair[2];

	if (channel_pair(pair) == -1)
		die("no channel");
	channel_open(&slot, pair[0], "vault", 0);
	note_send(&leash->parent, MESSAGE_VAULT_PAIR, attempt, pair[1]);
	done = vault_ask(&leash->vault, MESSAGE_VAULT_GRANT, attempt, &body,
	    sizeof(body), NULL, 0);
	if (done->fault.cause == CAUSE_NONE &&
	    channel_receive_wait(
		&slot, &message, clock_deadline(TIMEOUT_MS), &fault) == -1)
		die("%s", fault.text);
	line_print(json_pack("{s:s,s:I,s:s,s:s,s:s}", "type", "answer",
	    "sequence", (json_int_t)number_of(json, "sequence", 0), "cause",
	    fault_row(done->fault.cause)->name, "text", done->fault.text, "key",
	    done->fault.cause == CAUSE_NONE ? secret->pem : ""));
	channel_close(&slot);
}

/* ---- requests to the cloud ---- */

static void
issue_send(struct channel *channel, struct message_header *header,
    const json_t *json, bool keys)
{
	struct message_issue issue;

	memset(&issue, 0, sizeof(issue));
	issue.kind = keys ? ISSUE_KEYS : ISSUE_CSR;
	issue.look_up = (uint32_t)number_of(json, "look_up", 0);
	text_take(issue.request, sizeof(issue.request), json, "csr");
	text_take(issue.serial, sizeof(issue.serial), json, "serial");
	text_take(issue.thing, sizeof(issue.thing), json, "thing");
	text_take(issue.known_id, sizeof(issue.known_id), json, "known_id");
	text_take(issue.known_certificate, sizeof(issue.known_certificate),
	    json, "known_certificate");
	if (!keys && hex_decode(issue.spki.bytes, sizeof(issue.spki.bytes),
			 text_of(json, "spki")) == -1)
		die("spki is no digest");
	header->type = MESSAGE_ISSUE;
	channel_send(channel, header, &issue, sizeof(issue), NULL, 0);
}

static void
activate_send(
    struct channel *channel, struct message_header *header, const json_t *json)
{
	struct message_register unit;

	memset(&unit, 0, sizeof(unit));
	text_take(unit.serial, sizeof(unit.serial), json, "serial");
	text_take(unit.thing, sizeof(unit.thing), json, "thing");
	text_take(unit.mac, sizeof(unit.mac), json, "mac");
	text_take(unit.extra, sizeof(unit.extra), json, "extra");
	text_take(unit.certificate_id, sizeof(unit.certificate_id), json,
	    "certificate_id");
	header->type = MESSAGE_ACTIVATE;
	channel_send(channel, header, &unit, sizeof(unit), NULL, 0);
}

static void
lot_send(struct leash *leash, struct message_header *header, uint32_t close_it)
{
	struct message_cloud_lot change = {.close = close_it};
	int fd;

	vault_key_give(leash);
	fd = lot_seal(leash->setup);
	header->type = MESSAGE_CLOUD_LOT;
	channel_send(&leash->cloud, header, &change, sizeof(change), &fd,
	    close_it ? 0 : 1);
	close(fd);
}

static void
request_take(struct leash *leash, const char *line)
{
	json_t *json = json_loads(line, 0, NULL);
	const char *type = text_of(json, "type");
	struct message_header header = {.version = MESSAGE_VERSION};

	header.attempt = (uint64_t)number_of(json, "attempt", 1);
	header.sequence = (uint32_t)number_of(json, "sequence", 0);
	header.deadline_ms =
	    clock_deadline(number_of(json, "timeout_ms", 60000));
	if (strcmp(type, "lot") == 0)
		lot_send(leash, &header, 0);
	else if (strcmp(type, "close") == 0)
		lot_send(leash, &header, 1);
	else if (strcmp(type, "issue") == 0 || strcmp(type, "keys") == 0)
		issue_send(
		    &leash->cloud, &header, json, strcmp(type, "keys") == 0);
	else if (strcmp(type, "activate") == 0)
		activate_send(&leash->cloud, &header, json);
	else if (strcmp(type, "grant") == 0)
		grant(leash, json);
	else if (strcmp(type, "join") == 0 || strcmp(type, "break") == 0)
		roles_join(leash, strcmp(type, "break") == 0);
	else
		die("no such request: %s", line);
	json_decref(json);
}

/* ---- answers ---- */

static void
answer_print(const struct message *message)
{
	const struct message_issue_done *issue =
	    (const void *)message->body.bytes;
	const struct message_cloud_done *cloud =
	    (const void *)message->body.bytes;
	json_t *json;

	if (message->header.type == MESSAGE_CLOUD_STATE)
		return;
	json = json_pack("{s:s,s:I,s:s,s:s}", "type", "answer", "sequence",
	    (json_int_t)message->header.sequence, "cause",
	    fault_row(issue->fault.cause)->name, "text", issue->fault.text);
	if (message->header.type == MESSAGE_ISSUE_DONE)
		json_object_update_new(
		    json, json_pack("{s:s,s:s,s:s,s:i}", "certificate_id",
			      issue->certificate_id, "certificate",
			      issue->certificate, "arn", issue->arn, "stray",
			      (int)issue->stray));
	else if (message->header.type == MESSAGE_ACTIVATE_DONE)
		json_object_set_new(
		    json, "cloud_state", json_string(cloud->cloud_state));
	line_print(json);
}

/* Takes the whole lines that have come; false at the end of input. */
static bool
input_take(struct leash *leash, struct buf *input)
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
		request_take(leash, input->data);
		buf_drop(input, (size_t)(end - input->data) + 1);
	}
	return true;
}

static void
translate(struct leash *leash)
{
	static struct message message;
	struct channel *channel = &leash->cloud;
	struct buf input;
	int got = 0;

	buf_init(&input, 16 * 1024 * 1024);
	while (got != -1) {
		struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0},
		    {channel->fd, channel_events(channel), 0}};

		poll(fds, 2, -1);
		if ((fds[0].revents & (POLLIN | POLLHUP)) != 0 &&
		    !input_take(leash, &input))
			break;
		channel_flush(channel);
		while ((got = channel_receive(channel, &message)) == 1) {
			answer_print(&message);
			message_close_fds(&message);
		}
	}
	buf_free(&input);
}

int
main(int argc, char **argv)
{
	struct leash leash = {0};
	json_error_t error;
	int status, parent[2], failed = 0;

	if (argc != 2)
		die("usage: proxy_role SET-UP.json");
	leash.setup = json_load_file(argv[1], 0, &error);
	if (leash.setup == NULL)
		die("%s: %s", argv[1], error.text);
	if (channel_pair(parent) == -1)
		die("no channel");
	leash.pids[0] = role_start(ROLE_VAULT, &leash.vault, parent[1]);
	leash.pids[1] =
	    role_start(ROLE_CLOUD, &leash.cloud, config_seal(leash.setup));
	channel_open(&leash.parent, parent[0], "vault", QUEUED_MAX);
	roles_join(&leash, false);
	translate(&leash);
	channel_close(&leash.cloud);
	channel_close(&leash.vault);
	channel_close(&leash.parent);
	json_decref(leash.setup);
	for (size_t i = 0; i < 2; i++)
		failed |=
		    waitpid(leash.pids[i], &status, 0) == -1 || status != 0;
	if (failed != 0)
		die("a role ended in another way than by itself");
	return 0;
}
