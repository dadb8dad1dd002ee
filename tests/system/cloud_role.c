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

enum {
	LINE_MAX_LEN = 64 * 1024,
	QUEUED_MAX = 1024
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

/* ---- set-up ---- */

static void
cloud_read(struct config_cloud *cloud, const json_t *json)
{
	const char *name;
	json_t *rate;

	text_take(cloud->name, sizeof(cloud->name), json, "name");
	text_take(cloud->account, sizeof(cloud->account), json, "account");
	text_take(cloud->region, sizeof(cloud->region), json, "region");
	text_take(cloud->endpoint, sizeof(cloud->endpoint), json, "endpoint");
	text_take(
	    cloud->sts_endpoint, sizeof(cloud->sts_endpoint), json, "endpoint");
	text_take(cloud->ca_file, sizeof(cloud->ca_file), json, "ca_file");
	text_take(cloud->credentials_file, sizeof(cloud->credentials_file),
	    json, "credentials_file");
	text_take(cloud->credentials_profile,
	    sizeof(cloud->credentials_profile), json, "credentials_profile");
	cloud->credentials =
	    (uint32_t)number_of(json, "credentials", CREDENTIAL_DEFAULT);
	cloud->share_percent = (uint32_t)number_of(json, "share_percent", 80);
	json_object_foreach (json_object_get(json, "rates"), name, rate) {
		struct config_rate *to = &cloud->rates[cloud->rate_count++];

		text_copy(to->operation, sizeof(to->operation), name);
		to->per_second_milli = (uint32_t)json_integer_value(rate);
	}
}

static int
config_seal(const json_t *setup)
{
	static struct station_config config;
	const json_t *clouds = json_object_get(setup, "clouds");
	struct fault fault = {0};
	int fd;

	config.magic = CONFIG_MAGIC;
	config.size = sizeof(config);
	text_take(config.station, sizeof(config.station), setup, "station");
	config.cloud_count = (uint32_t)json_array_size(clouds);
	for (uint32_t i = 0; i < config.cloud_count; i++)
		cloud_read(&config.clouds[i], json_array_get(clouds, i));
	fd = file_seal("config", &config, sizeof(config), &fault);
	if (fd == -1)
		die("%s", fault.text);
	return fd;
}

static int
lot_seal(const json_t *json)
{
	static struct lot_image lot;
	const json_t *groups = json_object_get(json, "groups");
	struct fault fault = {0};
	const char *name;
	json_t *rule;
	int fd;

	memset(&lot, 0, sizeof(lot));
	lot.magic = LOT_MAGIC;
	lot.size = sizeof(lot);
	text_take(lot.name, sizeof(lot.name), json, "name");
	text_take(lot.cloud, sizeof(lot.cloud), json, "cloud");
	text_take(lot.account, sizeof(lot.account), json, "account");
	text_take(lot.thing_type, sizeof(lot.thing_type), json, "thing_type");
	text_take(lot.policy, sizeof(lot.policy), json, "policy");
	text_take(lot.firmware_version, sizeof(lot.firmware_version), json,
	    "firmware");
	lot.group_count = (uint32_t)json_array_size(groups);
	for (uint32_t i = 0; i < lot.group_count; i++)
		text_copy(lot.groups[i], sizeof(lot.groups[i]),
		    json_string_value(json_array_get(groups, i)));
	json_object_foreach (json_object_get(json, "attributes"), name, rule) {
		struct lot_attribute *to =
		    &lot.attributes[lot.attribute_count++];

		text_copy(to->name, sizeof(to->name), name);
		text_copy(to->rule, sizeof(to->rule), json_string_value(rule));
	}
	fd = file_seal("lot", &lot, sizeof(lot), &fault);
	if (fd == -1)
		die("%s", fault.text);
	return fd;
}

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
	text_take(issue.request, sizeof(issue.request), json, "csr");
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
activate_send(
    struct channel *channel, struct message_header *header, const json_t *json)
{
	struct message_register activate;

	memset(&activate, 0, sizeof(activate));
	activate.lot = (uint32_t)number_of(json, "lot", 0);
	text_take(activate.certificate_id, sizeof(activate.certificate_id),
	    json, "certificate_id");
	header->type = MESSAGE_ACTIVATE;
	channel_send(channel, header, &activate, sizeof(activate), NULL, 0);
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
		activate_send(channel, &header, json);
	else if (strcmp(type, "discard") == 0)
		discard_send(channel, &header, json);
	else
		die("no such request: %s", line);
	json_decref(json);
	if (channel->failed)
		die("the role takes no messages");
}

/* ---- answers ---- */

static void
fields_add(json_t *json, const struct message *message)
{
	const struct message_issue_done *issue =
	    (const void *)message->body.bytes;
	const struct message_cloud_done *cloud =
	    (const void *)message->body.bytes;

	if (message->header.type == MESSAGE_ISSUE_DONE)
		json_object_update_new(json,
		    json_pack("{s:s,s:s,s:s,s:s,s:i}", "certificate_id",
			issue->certificate_id, "certificate",
			issue->certificate, "arn", issue->arn, "request_id",
			issue->request_id, "stray", (int)issue->stray));
	else if (message->header.type != MESSAGE_CLOUD_LOT_DONE)
		json_object_update_new(json,
		    json_pack("{s:s,s:s}", "cloud_state", cloud->cloud_state,
			"request_id", cloud->request_id));
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
		fields_add(json, message);
	}
	json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(json);
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
	struct buf input;
	int got = 0;

	buf_init(&input, 16 * 1024 * 1024);
	while (got != -1) {
		struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0},
		    {channel->fd, channel_events(channel), 0}};

		poll(fds, 2, -1);
		if ((fds[0].revents & (POLLIN | POLLHUP)) != 0 &&
		    !input_take(channel, setup, &input))
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
