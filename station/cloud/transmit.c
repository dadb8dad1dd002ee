#include "cloud/transmit.h"

#include <string.h>

#include "base/clock.h"

/* The type of a body, by what the service takes. */
static const char *
body_type(const struct call *call)
{
	static const char *const types[SERVICE_COUNT] = {
	    [SERVICE_IOT] = "application/json",
	    [SERVICE_STS] = "application/x-www-form-urlencoded; charset=utf-8",
	    [SERVICE_S3] = "application/octet-stream"};

	if (call->body == NULL)
		return "";
	return types[operation_row(call->operation)->service];
}

/* The time and so the signature are this try's own. */
static int
call_sign(struct call *call, struct fault *fault)
{
	const struct operation_row *row = operation_row(call->operation);
	struct account *account = call->account;
	struct signed_request request = {
	    .method = row->method,
	    .host = account->endpoints[row->service].host,
	    .path = call->target.data,
	    .query = call->query.len > 0 ? call->query.data : "",
	    .type = body_type(call),
	    .principal = call->principal,
	    .body = call->body != NULL ? call->body : "",
	    .body_len = call->body_len,
	};
	struct signer signer = {
	    .credentials = account->keyring.credentials,
	    .key = &account->keys[row->service],
	    .region = account->cloud->region,
	    .service = row->service,
	    .wall_ms = account_wall_ms(account),
	};

	call->generation = account->keyring.generation;
	call->skew_ms = account->skew_ms;
	/* A key that was derived from another secret must not sign. */
	if (account->keys_generation != call->generation)
		account_keys_forget(account);
	return headers_sign(&call->headers, &request, &signer, fault);
}

int
call_transmit(
    struct call *call, void (*answered)(void *arg), struct fault *fault)
{
	const struct operation_row *row = operation_row(call->operation);
	struct account *account = call->account;
	const char *ca_file = account->cloud->ca_file;
	struct http_request request = {
	    .method = row->method,
	    .ca_file = ca_file[0] != '\0' ? ca_file : NULL,
	    .body_len = call->body_len,
	    .once = row->effect == EFFECT_ONCE,
	};

	buf_reset(&call->url);
	buf_add_text(&call->url, account->endpoints[row->service].url);
	buf_add(&call->url, call->target.data, call->target.len);
	if (call->query.len > 0) {
		buf_add_text(&call->url, "?");
		buf_add(&call->url, call->query.data, call->query.len);
	}
	if (call->url.failed)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	if (call_sign(call, fault) == -1)
		return -1;
	/* A body of no bytes makes curl send Content-Length: 0. */
	if (call->body != NULL)
		request.body = call->body;
	else if (strcmp(row->method, "GET") != 0 &&
		 strcmp(row->method, "HEAD") != 0)
		request.body = "";
	request.url = call->url.data;
	request.headers = headers_list(&call->headers);
	request.timeout_ms = clock_remaining_ms(call->deadline_ms);
	/* An object may be large: it has all the time that there is. */
	if (call->operation != OPERATION_PUT_OBJECT &&
	    request.timeout_ms > CALL_TIMEOUT_MS)
		request.timeout_ms = CALL_TIMEOUT_MS;
	if (http_send(call->caller->http, &call->exchange, &request, answered,
		call) == 0)
		return 0;
	if (fault != NULL)
		*fault = call->exchange.fault;
	return -1;
}
