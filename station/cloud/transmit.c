#include "cloud/transmit.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/clock.h"

enum {
	HEADERS_MAX = 5
};

void
call_forget_headers(struct call *call)
{
	for (struct curl_slist *at = call->headers; at != NULL; at = at->next)
		OPENSSL_cleanse(at->data, strlen(at->data));
	curl_slist_free_all(call->headers);
	call->headers = NULL;
}

static int
header_add(struct call *call, struct sigv4_header *signed_headers,
    size_t *count, const char *name, const char *value)
{
	struct curl_slist *list;
	struct buf line;

	if (value[0] == '\0')
		return 0;
	signed_headers[*count] = (struct sigv4_header){name, value};
	(*count)++;
	buf_init(&line, SESSION_TOKEN_LEN + 64);
	buf_add_format(&line, "%s: %s", name, value);
	list = line.failed ? NULL : curl_slist_append(call->headers, line.data);
	if (line.data != NULL)
		OPENSSL_cleanse(line.data, line.len);
	buf_free(&line);
	if (list == NULL)
		return -1;
	call->headers = list;
	return 0;
}

/* Headers that are not signed: empty ones take curl's own away. */
static int
headers_finish(struct call *call, const char *authorization)
{
	char line[SIGV4_AUTHORIZATION_LEN + 32];
	static const char agent[] = "User-Agent: station/" STATION_VERSION;
	const char *const lines[] = {line, "Expect:", "Accept:", agent,
	    call->body == NULL ? "Content-Type:" : NULL};
	struct curl_slist *list;

	snprintf(line, sizeof(line), "Authorization: %s", authorization);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (lines[i] == NULL)
			continue;
		list = curl_slist_append(call->headers, lines[i]);
		if (list == NULL)
			return -1;
		call->headers = list;
	}
	return 0;
}

/* Every header that is signed; an empty one is not sent. */
static int
headers_build(struct call *call, const char *time, struct sigv4_header *headers,
    size_t *count)
{
	enum service service = operation_row(call->operation)->service;
	const struct account *account = call->account;
	const char *type =
	    service == SERVICE_STS
		? "application/x-www-form-urlencoded; charset=utf-8"
		: "application/json";

	call_forget_headers(call);
	if (header_add(call, headers, count, "Host",
		account->endpoints[service].host) == -1 ||
	    header_add(call, headers, count, "X-Amz-Date", time) == -1 ||
	    header_add(call, headers, count, "X-Amz-Security-Token",
		account->credentials->session_token) == -1 ||
	    header_add(call, headers, count, "x-amzn-principal",
		call->principal) == -1 ||
	    header_add(call, headers, count, "Content-Type",
		call->body != NULL ? type : "") == -1)
		return -1;
	return 0;
}

/* The time and so the signature are this try's own. */
static int
call_sign(struct call *call, struct fault *fault)
{
	const struct operation_row *row = operation_row(call->operation);
	struct account *account = call->account;
	struct sigv4_header headers[HEADERS_MAX];
	char time[SIGV4_TIME_LEN];
	char authorization[SIGV4_AUTHORIZATION_LEN];
	struct sigv4_request request = {
	    .method = row->method,
	    .path = call->target.data,
	    .query = call->query.len > 0 ? call->query.data : "",
	    .headers = headers,
	    .body = call->body != NULL ? call->body : "",
	    .body_len = call->body != NULL ? strlen(call->body) : 0,
	};
	struct sigv4_scope scope = {
	    .access_key = account->credentials->access_key,
	    .secret_key = account->credentials->secret_key,
	    .region = account->cloud->region,
	    .service = service_signing_name(row->service),
	    .time = time,
	};

	sigv4_time(account_wall_ms(account), time);
	call->generation = account->generation;
	call->skew_ms = account->skew_ms;
	if (headers_build(call, time, headers, &request.header_count) == -1)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	if (sigv4_sign(&request, &scope, &account->keys[row->service],
		authorization, fault) == -1)
		return -1;
	if (headers_finish(call, authorization) == -1)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	return 0;
}

int
call_transmit(
    struct call *call, void (*answered)(void *arg), struct fault *fault)
{
	const struct operation_row *row = operation_row(call->operation);
	struct account *account = call->account;
	const char *ca_file = account->cloud->ca_file;
	struct buf url;
	struct http_request request = {
	    .method = row->method,
	    .ca_file = ca_file[0] != '\0' ? ca_file : NULL,
	    .once = row->effect == EFFECT_ONCE,
	};
	int result = -1;

	buf_init(&url, 8192);
	buf_add_format(&url, "%s%s%s%s", account->endpoints[row->service].url,
	    call->target.data, call->query.len > 0 ? "?" : "",
	    call->query.len > 0 ? call->query.data : "");
	if (url.failed) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto out;
	}
	if (call_sign(call, fault) == -1)
		goto out;
	/* A body of no bytes makes curl send Content-Length: 0. */
	if (call->body != NULL)
		request.body = call->body;
	else if (strcmp(row->method, "GET") != 0)
		request.body = "";
	request.body_len = request.body != NULL ? strlen(request.body) : 0;
	request.url = url.data;
	request.headers = call->headers;
	request.timeout_ms = clock_remaining_ms(call->deadline_ms);
	if (request.timeout_ms > CALL_TIMEOUT_MS)
		request.timeout_ms = CALL_TIMEOUT_MS;
	result = http_send(
	    call->caller->http, &call->exchange, &request, answered, call);
	if (result == -1 && fault != NULL)
		*fault = call->exchange.fault;
out:
	buf_free(&url);
	return result;
}
