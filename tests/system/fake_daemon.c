/*
 * A daemon for tests of the clients: the real server half of the control
 * protocol over a board that the test writes.
 *
 *	fake_daemon SOCKET
 *
 * Standard input, one JSON object a line, each applied at once:
 *
 *	{"snapshot":{...}}  the snapshot, without its "lots"
 *	{"lots":[...]}      lot objects; the open ones stand in the snapshot
 *	{"slot":{...}}      members to change of the slot with that "name"
 *	{"verdict":{...}}   a verdict event; changes no counts
 *	{"event":NAME,"members":{...}}
 *	{"report":"..."}    what a report writes
 *	{"refuse":COMMAND,"exit":n} the next such request is refused
 *
 * Standard output: "ready", then every request but status, subscribe and
 * reports, as JSON. It ends at the end of standard input.
 */
#include <jansson.h>
#include <signal.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "control/server.h"

struct fake {
	struct loop *loop;
	struct control_server *server;
	struct buf input;
	json_t *snapshot;
	json_t *lots; /* by name */
	char *report;
	char refuse[64];
	int refuse_exit;
	json_int_t last_attempt;
};

static json_t *
snapshot_build(void *arg)
{
	struct fake *fake = arg;
	json_t *snapshot = json_deep_copy(fake->snapshot);
	json_t *lots = json_array();
	const char *name;
	json_t *lot;

	json_object_foreach (fake->lots, name, lot) {
		const char *state =
		    json_string_value(json_object_get(lot, "state"));

		if (text_equal(state, "open"))
			json_array_append_new(lots, json_deep_copy(lot));
	}
	json_object_set_new(snapshot, "lots", lots);
	return snapshot;
}

/* ---- requests ---- */

/* Prints the request; true when it is the one to be refused. */
static bool
request_begin(struct fake *fake, struct control_request *request)
{
	json_t *json = json_deep_copy(control_request_json(request));
	bool refused;

	json_object_del(json, "id");
	json_object_del(json, "v");
	json_dumpf(json, stdout, JSON_COMPACT | JSON_SORT_KEYS);
	putchar('\n');
	fflush(stdout);
	json_decref(json);
	refused =
	    text_equal(control_request_text(request, "command"), fake->refuse);
	if (!refused)
		return false;
	fake->refuse[0] = '\0';
	control_reply_error(request, "test", "the test refuses",
	    "Do something else.", fake->refuse_exit);
	return true;
}

static json_t *
lot_find(struct fake *fake, struct control_request *request)
{
	const char *name = control_request_text(request, "lot");
	json_t *lot = name == NULL ? NULL : json_object_get(fake->lots, name);

	if (lot == NULL)
		control_reply_error(request, "bad-request",
		    "there is no such lot", "Look at 'station lot list'.", 66);
	return lot;
}

static void
lot_reply(struct fake *fake, struct control_request *request, const char *state)
{
	json_t *lot = lot_find(fake, request);

	if (lot == NULL)
		return;
	if (state != NULL) {
		json_object_set_new(lot, "state", json_string(state));
		control_server_touch(fake->server);
	}
	control_reply(request, json_pack("{s:o}", "lot", json_deep_copy(lot)));
}

static void
lot_open(struct control_request *request, void *arg)
{
	if (!request_begin(arg, request))
		lot_reply(arg, request, "open");
}

static void
lot_close(struct control_request *request, void *arg)
{
	if (!request_begin(arg, request))
		lot_reply(arg, request, "closed");
}

static void
lot_show(struct control_request *request, void *arg)
{
	if (!request_begin(arg, request))
		lot_reply(arg, request, NULL);
}

static void
lot_list(struct control_request *request, void *arg)
{
	struct fake *fake = arg;
	json_t *lots = json_array();
	const char *name;
	json_t *lot;

	if (request_begin(arg, request)) {
		json_decref(lots);
		return;
	}
	json_object_foreach (fake->lots, name, lot)
		json_array_append_new(lots, json_deep_copy(lot));
	control_reply(request, json_pack("{s:o}", "lots", lots));
}

static void
line_hold(struct control_request *request, void *arg)
{
	struct fake *fake = arg;
	const char *reason;

	if (request_begin(arg, request))
		return;
	reason = control_request_need(request, "reason", 200);
	if (reason == NULL)
		return;
	json_object_set_new(fake->snapshot, "held", json_true());
	json_object_set_new(fake->snapshot, "hold_reason", json_string(reason));
	control_server_touch(fake->server);
	control_reply(request, NULL);
}

static void
line_release(struct control_request *request, void *arg)
{
	struct fake *fake = arg;

	if (request_begin(arg, request))
		return;
	json_object_set_new(fake->snapshot, "held", json_false());
	control_server_touch(fake->server);
	control_reply(request, NULL);
}

static json_t *
slot_find(struct fake *fake, const char *name)
{
	json_t *slots = json_object_get(fake->snapshot, "slots");
	json_t *slot;
	size_t i;

	json_array_foreach (slots, i, slot)
		if (text_equal(
			name, json_string_value(json_object_get(slot, "name"))))
			return slot;
	return NULL;
}

static void
slot_acknowledge(struct control_request *request, void *arg)
{
	struct fake *fake = arg;
	json_t *slot;

	if (request_begin(arg, request))
		return;
	slot = slot_find(fake, control_request_text(request, "slot"));
	if (slot != NULL)
		json_object_set_new(slot, "acknowledged", json_true());
	control_server_touch(fake->server);
	control_reply(request, NULL);
}

static void
unit_make(struct control_request *request, void *arg)
{
	struct fake *fake = arg;

	if (!request_begin(arg, request))
		control_reply(request,
		    json_pack("{s:I}", "attempt", ++fake->last_attempt));
}

static void
plain(struct control_request *request, void *arg)
{
	if (!request_begin(arg, request))
		control_reply(request, NULL);
}

static void
report(struct control_request *request, void *arg)
{
	struct fake *fake = arg;
	int fd = control_request_take_fd(request);
	json_t *lot = lot_find(fake, request);

	if (lot == NULL)
		goto out;
	if (fd == -1 ||
	    file_write_all(fd, fake->report, strlen(fake->report)) == -1) {
		control_reply_error(request, "bad-request",
		    "the report cannot be written", "", EX_IOERR);
		goto out;
	}
	control_reply(request,
	    json_pack("{s:i,s:o}", "rows", 1, "lot", json_deep_copy(lot)));
out:
	if (fd != -1)
		close(fd);
}

static const struct control_command commands[] = {
    {"lot-open", CONTROL_ACCESS_WRITE, lot_open},
    {"lot-close", CONTROL_ACCESS_WRITE, lot_close},
    {"lot-show", CONTROL_ACCESS_READ, lot_show},
    {"lot-list", CONTROL_ACCESS_READ, lot_list},
    {"make", CONTROL_ACCESS_WRITE, unit_make},
    {"abort", CONTROL_ACCESS_WRITE, plain},
    {"dispose", CONTROL_ACCESS_WRITE, plain},
    {"acknowledge", CONTROL_ACCESS_WRITE, slot_acknowledge},
    {"hold", CONTROL_ACCESS_WRITE, line_hold},
    {"release", CONTROL_ACCESS_WRITE, line_release},
    {"report", CONTROL_ACCESS_READ, report},
    {NULL, CONTROL_ACCESS_READ, NULL},
};

/* ---- the test's lines ---- */

static void
lots_apply(struct fake *fake, json_t *lots)
{
	json_t *lot;
	size_t i;

	json_array_foreach (lots, i, lot)
		json_object_set(fake->lots,
		    json_string_value(json_object_get(lot, "lot")), lot);
	control_server_touch(fake->server);
}

static void
line_apply(struct fake *fake, json_t *line)
{
	json_t *part;

	if ((part = json_object_get(line, "lots")) != NULL)
		lots_apply(fake, part);
	if ((part = json_object_get(line, "snapshot")) != NULL) {
		json_decref(fake->snapshot);
		fake->snapshot = json_incref(part);
		control_server_touch(fake->server);
	}
	if ((part = json_object_get(line, "slot")) != NULL) {
		json_object_update(
		    slot_find(
			fake, json_string_value(json_object_get(part, "name"))),
		    part);
		control_server_touch(fake->server);
	}
	if ((part = json_object_get(line, "report")) != NULL) {
		free(fake->report);
		fake->report = strdup(json_string_value(part));
	}
	if ((part = json_object_get(line, "refuse")) != NULL) {
		text_copy(fake->refuse, sizeof(fake->refuse),
		    json_string_value(part));
		fake->refuse_exit =
		    (int)json_integer_value(json_object_get(line, "exit"));
	}
	if ((part = json_object_get(line, "verdict")) != NULL)
		control_server_verdict(fake->server,
		    json_string_value(json_object_get(part, "lot")),
		    json_incref(part));
	if ((part = json_object_get(line, "event")) != NULL) {
		json_t *members = json_object_get(line, "members");
		json_t *lot = json_object_get(members, "lot");

		control_server_event(fake->server, json_string_value(part),
		    json_string_value(json_object_get(lot, "lot")),
		    json_incref(members));
	}
}

static void
input_ready(void *arg, short revents)
{
	struct fake *fake = arg;
	char bytes[65536];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
	char *end;

	(void)revents;
	if (got <= 0) {
		loop_stop(fake->loop);
		return;
	}
	buf_add(&fake->input, bytes, (size_t)got);
	while (fake->input.len > 0 && (end = memchr(fake->input.data, '\n',
					   fake->input.len)) != NULL) {
		size_t len = (size_t)(end - fake->input.data);
		json_error_t error;
		json_t *line = json_loadb(fake->input.data, len, 0, &error);

		if (line == NULL) {
			fprintf(stderr, "fake_daemon: %s\n", error.text);
			exit(EX_DATAERR);
		}
		line_apply(fake, line);
		json_decref(line);
		buf_drop(&fake->input, len + 1);
	}
}

int
main(int argc, char **argv)
{
	struct fake fake = {.last_attempt = 100};
	struct control_server_setup setup = {
	    .commands = commands,
	    .group = (gid_t)-1,
	    .snapshot = snapshot_build,
	    .arg = &fake,
	};
	struct fault fault = {.cause = CAUSE_NONE};
	struct loop_watch *watch;
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: fake_daemon SOCKET\n");
		return EX_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	log_open("fake", LOG_LEVEL_WARNING);
	buf_init(&fake.input, 1 << 20);
	fake.snapshot = json_object();
	fake.lots = json_object();
	fake.report = strdup("");
	fake.loop = loop_new();
	fd = control_listen(argv[1], 0660, "", &fault);
	if (fd != -1)
		fake.server = control_server_new(fake.loop, fd, &setup, &fault);
	if (fake.server == NULL) {
		fprintf(stderr, "fake_daemon: %s\n", fault.text);
		return EX_UNAVAILABLE;
	}
	watch = loop_watch(fake.loop, STDIN_FILENO, POLLIN, input_ready, &fake);
	printf("ready\n");
	fflush(stdout);
	loop_run(fake.loop, NULL, NULL);
	loop_unwatch(fake.loop, watch);
	control_server_free(fake.server);
	loop_free(fake.loop);
	json_decref(fake.snapshot);
	json_decref(fake.lots);
	buf_free(&fake.input);
	free(fake.report);
	return EX_OK;
}
