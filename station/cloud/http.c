#include "cloud/http.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/file.h"

struct http {
	struct loop *loop;
	struct loop_timer *timer;
	CURLM *multi;
	/* Handles that wait for their next exchange, all set up but for what
	 * differs from one to the next: making one costs more than a request
	 * that it carries. */
	struct spare {
		CURL *easy;
		const char *ca_file; /* or null */
	} spares[HTTP_CONNECTIONS_MAX];
	size_t spare_count;
};

/* curl's view of a socket's readiness, and the loop's. */
static short
events_of(int what)
{
	return (short)((what & CURL_POLL_IN ? POLLIN : 0) |
		       (what & CURL_POLL_OUT ? POLLOUT : 0));
}

/*
 * Sorts curl's results: `final` ones no repeat can mend, and those where AWS
 * surely never saw a whole request.
 */
static void
exchange_judge(struct http_exchange *exchange, CURLcode code)
{
	const char *why = exchange->error[0] != '\0' ? exchange->error
						     : curl_easy_strerror(code);
	long request_bytes = 0;

	/* What source_seek refuses: curl would send the request again. */
	if (code == CURLE_SEND_FAIL_REWIND)
		why = "the connection ended before the answer";
	switch (code) {
	case CURLE_OK:
		exchange->sent = true;
		return;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_INVALIDCERTSTATUS:
		exchange->final = true;
		fault_set(&exchange->fault, CAUSE_CLOUD_TLS, "%s", why);
		return;
	case CURLE_WRITE_ERROR:
		exchange->sent = true;
		exchange->final = true;
		fault_set(&exchange->fault, CAUSE_CLOUD_ANSWER,
		    "the answer is longer than %zu bytes",
		    exchange->sink != NULL ? (size_t)exchange->sink->max
					   : exchange->body.max);
		return;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
		exchange->final = true;
		fault_set(&exchange->fault, CAUSE_INTERNAL, "%s", why);
		return;
	default:
		curl_easy_getinfo(
		    exchange->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
		exchange->sent = request_bytes > 0;
		fault_set(&exchange->fault, CAUSE_CLOUD_UNAVAILABLE, "%s", why);
		return;
	}
}

/* Gives the exchange's handle back. It is in no transfer any more. */
static void
easy_give(struct http_exchange *exchange)
{
	struct http *http = exchange->http;
	CURL *easy = exchange->easy;

	exchange->easy = NULL;
	if (exchange->special || http->spare_count == HTTP_CONNECTIONS_MAX) {
		curl_easy_cleanup(easy);
		return;
	}
	/* Nothing of the exchange is looked at from here on. */
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, NULL);
	curl_easy_setopt(easy, CURLOPT_READDATA, NULL);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, NULL);
	http->spares[http->spare_count++] =
	    (struct spare){easy, exchange->ca_file};
}

static void
exchange_finish(struct http_exchange *exchange, CURLcode code)
{
	CURLM *multi = exchange->http->multi;

	curl_easy_getinfo(
	    exchange->easy, CURLINFO_RESPONSE_CODE, &exchange->status);
	exchange_judge(exchange, code);
	curl_multi_remove_handle(multi, exchange->easy);
	easy_give(exchange);
	exchange->done(exchange->arg);
}

/* Hands out what has ended; done may start new exchanges meanwhile. */
static void
http_reap(struct http *http)
{
	struct http_exchange *exchange;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(
		    message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
		exchange_finish(exchange, code);
	}
}

static void
http_act(struct http *http, curl_socket_t socket, int events)
{
	int running;

	curl_multi_socket_action(http->multi, socket, events, &running);
	http_reap(http);
}

/* A socket of the multi handle that the loop watches. */
struct http_socket {
	struct http *http;
	curl_socket_t socket;
	struct loop_watch *watch;
};

static void
socket_ready(void *arg, short revents)
{
	/* The action may forget the socket and with it this struct. */
	struct http_socket watched = *(struct http_socket *)arg;
	int events = 0;

	if (revents & (POLLIN | POLLHUP))
		events |= CURL_CSELECT_IN;
	if (revents & POLLOUT)
		events |= CURL_CSELECT_OUT;
	if (revents & (POLLERR | POLLNVAL))
		events |= CURL_CSELECT_ERR;
	http_act(watched.http, watched.socket, events);
}

static int
socket_change(
    CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
	struct http *http = arg;
	struct http_socket *watched = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched != NULL)
			loop_unwatch(http->loop, watched->watch);
		free(watched);
		return 0;
	}
	if (watched != NULL) {
		loop_watch_events(watched->watch, events_of(what));
		return 0;
	}
	watched = calloc(1, sizeof(*watched));
	if (watched == NULL)
		return -1;
	watched->http = http;
	watched->socket = socket;
	watched->watch = loop_watch(
	    http->loop, socket, events_of(what), socket_ready, watched);
	if (watched->watch == NULL) {
		free(watched);
		return -1;
	}
	curl_multi_assign(http->multi, socket, watched);
	return 0;
}

static void
timer_due(void *arg)
{
	http_act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int
timer_change(CURLM *multi, long timeout_ms, void *arg)
{
	struct http *http = arg;

	(void)multi;
	loop_timer_set(
	    http->timer, timeout_ms < 0 ? 0 : clock_deadline(timeout_ms));
	return 0;
}

struct http *
http_new(struct loop *loop, struct fault *fault)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		goto fail;
	http->loop = loop;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		goto fail;
	http->multi = curl_multi_init();
	http->timer = loop_timer(loop, timer_due, http);
	if (http->multi == NULL || http->timer == NULL)
		goto fail;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_change);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_change);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(
	    http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
	    (long)HTTP_CONNECTIONS_MAX);
	curl_multi_setopt(
	    http->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CONNECTIONS_MAX);
	return http;
fail:
	http_free(http);
	fault_set(fault, CAUSE_INTERNAL, "libcurl cannot be started");
	return NULL;
}

void
http_free(struct http *http)
{
	if (http == NULL)
		return;
	while (http->spare_count > 0)
		curl_easy_cleanup(http->spares[--http->spare_count].easy);
	if (http->multi != NULL) {
		curl_multi_cleanup(http->multi);
		curl_global_cleanup();
	}
	if (http->timer != NULL)
		loop_timer_free(http->loop, http->timer);
	free(http);
}

static size_t
body_write(char *data, size_t size, size_t count, void *arg)
{
	struct http_exchange *exchange = arg;
	struct http_sink *sink = exchange->sink;
	size_t len = size * count;

	if (sink == NULL) {
		buf_add(&exchange->body, data, len);
		return exchange->body.failed ? 0 : len;
	}
	if (sink->size + len > sink->max ||
	    file_write_all(sink->fd, data, len) == -1)
		return 0;
	sink->size += len;
	return len;
}

/* Copies a header's value when the line has that name. */
static bool
header_take(
    const char *line, size_t len, const char *name, char *to, size_t size)
{
	size_t name_len = strlen(name);

	if (len <= name_len || strncasecmp(line, name, name_len) != 0 ||
	    line[name_len] != ':')
		return false;
	line += name_len + 1;
	len -= name_len + 1;
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len > 0 && strchr("\r\n \t", line[len - 1]) != NULL)
		len--;
	text_escape(to, size, line, len);
	return true;
}

static size_t
header_read(char *data, size_t size, size_t count, void *arg)
{
	struct http_exchange *exchange = arg;
	size_t len = size * count;
	char date[64];
	time_t seconds;

	if (header_take(data, len, "x-amzn-ErrorType", exchange->error_type,
		sizeof(exchange->error_type)) ||
	    header_take(data, len, "x-amzn-RequestId", exchange->request_id,
		sizeof(exchange->request_id)))
		return len;
	if (header_take(data, len, "Date", date, sizeof(date))) {
		seconds = curl_getdate(date, NULL);
		exchange->date_wall_ms =
		    seconds > 0 ? (int64_t)seconds * 1000 : 0;
	}
	return len;
}

static size_t
source_read(char *to, size_t size, size_t count, void *arg)
{
	struct http_exchange *exchange = arg;
	size_t len = size * count;

	if (len > exchange->source_len)
		len = exchange->source_len;
	memcpy(to, exchange->source, len);
	exchange->source += len;
	exchange->source_len -= len;
	return len;
}

static int
source_seek(void *arg, curl_off_t offset, int origin)
{
	(void)arg;
	(void)offset;
	(void)origin;
	return CURL_SEEKFUNC_FAIL;
}

static void
body_set(struct http_exchange *exchange, const struct http_request *request)
{
	CURL *easy = exchange->easy;

	if (request->body == NULL) {
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
		/* Of HEAD curl must know that no body follows. */
		if (strcmp(request->method, "HEAD") == 0)
			curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		return;
	}
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(
	    easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
	if (!request->once) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
		return;
	}
	exchange->source = request->body;
	exchange->source_len = request->body_len;
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, source_read);
	curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, source_seek);
}

/* What is the same for every exchange of a handle. */
static CURL *
easy_new(const char *ca_file)
{
	CURL *easy = curl_easy_init();

	if (easy == NULL)
		return NULL;
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(
	    easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(
	    easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(
	    easy, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_write);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_read);
	return easy;
}

/* A handle that trusts the same authorities, a spare one if there is any. */
static CURL *
easy_take(struct http *http, const struct http_exchange *exchange)
{
	size_t i = http->spare_count;

	while (!exchange->special && i-- > 0) {
		struct spare spare = http->spares[i];

		if (!text_equal(spare.ca_file, exchange->ca_file))
			continue;
		http->spares[i] = http->spares[--http->spare_count];
		return spare.easy;
	}
	return easy_new(exchange->ca_file);
}

/* What makes a handle unfit for others. */
static void
special_set(CURL *easy, const struct http_request *request)
{
	if (request->plain) {
		curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	}
	if (request->certificate == NULL)
		return;
	/* A renewed pair counts at once, and no connection outlives the
	 * exchange that it proved. */
	curl_easy_setopt(easy, CURLOPT_SSLCERT, request->certificate);
	curl_easy_setopt(easy, CURLOPT_SSLKEY, request->key);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
}

int
http_send(struct http *http, struct http_exchange *exchange,
    const struct http_request *request, void (*done)(void *arg), void *arg)
{
	CURL *easy;

	http_exchange_end(exchange);
	memset(exchange, 0, sizeof(*exchange));
	buf_init(&exchange->body,
	    request->answer_max != 0 ? request->answer_max : HTTP_ANSWER_MAX);
	exchange->http = http;
	exchange->sink = request->sink;
	exchange->done = done;
	exchange->arg = arg;
	exchange->ca_file = request->ca_file;
	exchange->special = request->plain || request->certificate != NULL;
	easy = exchange->easy = easy_take(http, exchange);
	if (easy == NULL)
		goto fail;
	if (exchange->special)
		special_set(easy, request);
	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
	body_set(exchange, request);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
	if (curl_multi_add_handle(http->multi, easy) == CURLM_OK)
		return 0;
	curl_easy_cleanup(easy);
fail:
	exchange->easy = NULL;
	exchange->final = true;
	return fault_set(
	    &exchange->fault, CAUSE_INTERNAL, "a transfer cannot be started");
}

void
http_exchange_end(struct http_exchange *exchange)
{
	if (exchange->easy != NULL) {
		curl_multi_remove_handle(exchange->http->multi, exchange->easy);
		easy_give(exchange);
	}
	buf_free(&exchange->body);
}
