/*
 * The header lines of one request, and the signature among them.
 *
 * Used by transmit.c for calls and by credentials_fetch.c for STS. The lines
 * stand in one piece of memory and make a list that libcurl borrows, so a
 * request costs no allocation once its struct has been used.
 */
#ifndef CLOUD_HEADERS_H
#define CLOUD_HEADERS_H

#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/fault.h"
#include "cloud/credentials.h"
#include "cloud/operation.h"
#include "cloud/sigv4.h"

enum {
	HEADERS_MAX = 16
};

/* Zero at the start; one of the lines may be a session token. */
struct headers {
	struct buf text; /* the lines, each with its NUL */
	size_t starts[HEADERS_MAX];
	struct curl_slist nodes[HEADERS_MAX];
	size_t count;
};

/* "name: value"; an empty value leaves the line out. */
void headers_add(struct headers *, const char *name, const char *value);
/* Takes away a line that libcurl adds by itself, such as "Accept". */
void headers_omit(struct headers *, const char *name);
/*
 * The list, borrowed until the next change; null when a line was too many or
 * memory ran out.
 */
struct curl_slist *headers_list(struct headers *);
/* Wipes the lines and keeps the memory; wipes and frees. */
void headers_reset(struct headers *);
void headers_free(struct headers *);

/* Who signs, as of when; all borrowed. */
struct signer {
	const struct credentials *credentials;
	struct sigv4_key *key; /* cache; of that service and Region */
	const char *region;
	enum service service;
	int64_t wall_ms; /* AWS's clock */
};

/* What is signed; all borrowed. */
struct signed_request {
	const char *method;
	const char *host;
	const char *path;      /* as on the wire */
	const char *query;     /* as on the wire; may be empty */
	const char *type;      /* Content-Type; empty: no body */
	const char *principal; /* x-amzn-principal; may be empty */
	const void *body;
	size_t body_len;
};

/*
 * Replaces the lines by those of that request, signed, without anything of
 * libcurl's own besides Content-Length.
 */
int headers_sign(struct headers *, const struct signed_request *,
    const struct signer *, struct fault *);

#endif
