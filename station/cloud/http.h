/*
 * HTTP/1.1 over TLS on the role's loop: one curl multi handle, keep-alive
 * connections, bounded answers. It carries what call.c has built and signed
 * and knows nothing of AWS but the names of three headers.
 *
 * Certificates are always verified. curl must not change what is signed, so
 * paths go out as they are, and it must not repeat what may not be repeated:
 * a request marked `once` gives its body through a reader that cannot be
 * rewound, so that curl's own repeat over a connection that died between two
 * requests ends as a fault here.
 */
#ifndef CLOUD_HTTP_H
#define CLOUD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/loop.h"

enum {
	HTTP_ANSWER_MAX = 256 * 1024,
	HTTP_CONNECTIONS_MAX = 64,
	HTTP_CONNECT_TIMEOUT_MS = 10000,
};

struct http; /* opaque; one a process */

/* Where an answer's body goes that is too large for memory. */
struct http_sink {
	int fd;	       /* borrowed; written from where it stands */
	uint64_t size; /* what it has taken so far */
	uint64_t max;
};

/* Everything is borrowed until the exchange is done. */
struct http_request {
	const char *method;
	const char *url;
	const char *ca_file; /* or null: the system's */
	/* PEM files of a client's certificate and key, or null. They are read
	 * for each exchange, on a connection of its own. */
	const char *certificate, *key;
	bool plain; /* http:// too, and past a proxy: metadata of a host */
	struct curl_slist *headers;
	const char *body; /* or null */
	size_t body_len;
	size_t answer_max; /* 0: HTTP_ANSWER_MAX */
	bool once;
	struct http_sink *sink; /* instead of the exchange's body; or null */
	int64_t timeout_ms;
};

/* One request and its answer; embedded in the caller's struct. */
struct http_exchange {
	/* How it ended: CAUSE_NONE when there is an answer of any status. */
	struct fault fault;
	bool sent;  /* AWS may have seen the request */
	bool final; /* a repeat cannot end otherwise: trust, set-up */
	long status;
	char error_type[128];
	char request_id[80];
	int64_t date_wall_ms; /* of the answer's Date header, or 0 */
	struct buf body;

	/* http.c's own */
	struct http *http;
	CURL *easy;
	bool special; /* its handle serves no other exchange */
	const char *ca_file;
	struct http_sink *sink;
	const char *source; /* what of a `once` body is left to send */
	size_t source_len;
	char error[CURL_ERROR_SIZE];
	void (*done)(void *arg);
	void *arg;
};

struct http *http_new(struct loop *, struct fault *);
void http_free(struct http *);

/*
 * Starts; done(arg) is called from the loop when it has ended, never from
 * within. -1 when it cannot even be started. The exchange starts as zeroes.
 */
int http_send(struct http *, struct http_exchange *,
    const struct http_request *, void (*done)(void *arg), void *arg);
/* Ends an exchange under way without a call of done; frees its answer. */
void http_exchange_end(struct http_exchange *);

#endif
