#include "control/pending.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct control_request {
	struct control_request *next;
	struct control_peer *peer; /* null when the client has left */
	json_int_t id;
	json_t *json;
	int fd;
	uid_t uid;
	void (*gone)(void *arg);
	void *gone_arg;
};

struct control_request *
control_pending_new(struct control_peer *peer, struct control_head *head)
{
	struct control_request *request = calloc(1, sizeof(*request));

	if (request == NULL) {
		control_head_free(head);
		return NULL;
	}
	request->peer = peer;
	request->id = head->id;
	request->json = head->json;
	request->fd = peer->received_fd;
	request->uid = peer->uid;
	peer->received_fd = -1;
	request->next = peer->requests;
	peer->requests = request;
	peer->pending++;
	return request;
}

void
control_pending_abandon(struct control_peer *peer)
{
	while (peer->requests != NULL) {
		struct control_request *request = peer->requests;

		peer->requests = request->next;
		request->next = NULL;
		request->peer = NULL;
		if (request->gone != NULL)
			request->gone(request->gone_arg);
	}
	peer->pending = 0;
}

static void
request_free(struct control_request *request)
{
	struct control_peer *peer = request->peer;

	if (peer != NULL) {
		struct control_request **at = &peer->requests;

		while (*at != request)
			at = &(*at)->next;
		*at = request->next;
		peer->pending--;
		control_peer_resume(peer);
	}
	if (request->fd != -1)
		close(request->fd);
	json_decref(request->json);
	free(request);
}

/* ---- what handlers ask ---- */

const json_t *
control_request_json(const struct control_request *request)
{
	return request->json;
}

const char *
control_request_text(const struct control_request *request, const char *name)
{
	return json_string_value(json_object_get(request->json, name));
}

const char *
control_request_need(
    struct control_request *request, const char *name, size_t size)
{
	const char *text = control_request_text(request, name);
	struct fault fault = {.cause = CAUSE_NONE};

	if (text != NULL && text[0] != '\0' && strlen(text) < size)
		return text;
	fault_set(&fault, CAUSE_BAD_REQUEST,
	    "\"%s\" must be a text of 1 to %zu bytes", name, size - 1);
	control_reply_fault(request, &fault);
	return NULL;
}

int
control_request_take_fd(struct control_request *request)
{
	int fd = request->fd;

	request->fd = -1;
	return fd;
}

uid_t
control_request_uid(const struct control_request *request)
{
	return request->uid;
}

void
control_request_watch(
    struct control_request *request, void (*gone)(void *arg), void *arg)
{
	request->gone = gone;
	request->gone_arg = arg;
}

/* ---- replies ---- */

char *
control_error_line(json_int_t id, const char *cause, const char *text,
    const char *action, int exit_status, size_t *len)
{
	return control_line(
	    json_pack("{s:i,s:I,s:b,s:{s:o,s:o,s:o,s:i}}", "v", CONTROL_VERSION,
		"id", id, "ok", 0, "error", "cause", control_text(cause),
		"text", control_text(text), "action", control_text(action),
		"exit", exit_status),
	    NULL, len);
}

static void
reply_send(struct control_request *request, char *line, size_t len)
{
	if (request->peer != NULL && line != NULL)
		control_peer_queue(request->peer, line, len);
	free(line);
	request_free(request);
}

void
control_reply(struct control_request *request, json_t *members)
{
	size_t len = 0;
	char *line;

	line = control_line(json_pack("{s:i,s:I,s:b}", "v", CONTROL_VERSION,
				"id", request->id, "ok", 1),
	    members, &len);
	if (line == NULL)
		line = control_error_line(request->id, "internal",
		    "the reply is too long for one line", "Call the engineer.",
		    EX_SOFTWARE, &len);
	reply_send(request, line, len);
}

void
control_reply_error(struct control_request *request, const char *cause,
    const char *text, const char *action, int exit_status)
{
	size_t len = 0;
	char *line = control_error_line(
	    request->id, cause, text, action, exit_status, &len);

	reply_send(request, line, len);
}

int
control_exit_status(enum fault_cause cause)
{
	const struct fault_row *row = fault_row(cause);

	switch (cause) {
	case CAUSE_NONE:
		return EX_OK;
	case CAUSE_BAD_REQUEST:
		return EX_USAGE;
	case CAUSE_BAD_CONFIG:
	case CAUSE_BAD_LOT:
		return EX_CONFIG;
	case CAUSE_LEDGER_ERROR:
		return EX_IOERR;
	case CAUSE_ROLE_DOWN:
	case CAUSE_LINE_HELD:
	case CAUSE_LOT_NOT_OPEN:
		return EX_TEMPFAIL;
	default:
		break;
	}
	switch (row->owner) {
	case FAULT_OWNER_MANIFEST:
	case FAULT_OWNER_DEVICE:
	case FAULT_OWNER_OPERATOR:
		return EX_DATAERR;
	case FAULT_OWNER_CLOUD:
	case FAULT_OWNER_CLOUD_POLICY:
	case FAULT_OWNER_FIXTURE:
		return EX_UNAVAILABLE;
	default:
		return EX_SOFTWARE;
	}
}

void
control_reply_problems(struct control_request *request,
    const struct fault *fault, const char *text)
{
	const struct fault_row *row = fault_row(fault->cause);

	control_reply_error(request, row->name, text, row->action,
	    control_exit_status(fault->cause));
}

void
control_reply_fault(struct control_request *request, const struct fault *fault)
{
	control_reply_problems(request, fault, fault->text);
}
