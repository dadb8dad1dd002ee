/*
 * AWS Signature Version 4 over the exact bytes that are sent.
 *
 * Called by headers.c once for every try of a request. The canonical form is
 * that of "Create a signed AWS API request", IAM User Guide. All services but
 * S3 encode the path twice: each segment as it stands on the wire is
 * percent-encoded once more, so the `%3A` of an ARN in a path becomes
 * `%253A`. libcurl's own signer differs there between its versions, therefore
 * it only carries what is signed here.
 */
#ifndef CLOUD_SIGV4_H
#define CLOUD_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fault.h"

enum {
	SIGV4_HEADERS_MAX = 24,
	SIGV4_SEGMENTS_MAX = 64,   /* of a path */
	SIGV4_PARAMETERS_MAX = 64, /* of a query */
	SIGV4_TIME_LEN = 17,	   /* "20150830T123600Z" and its NUL */
	SIGV4_CANONICAL_MAX = 128 * 1024,
	SIGV4_AUTHORIZATION_LEN = 1024,
};

struct sigv4_header {
	const char *name;
	const char *value;
};

/* What is to be signed; everything is borrowed. */
struct sigv4_request {
	const char *method;
	const char *path;  /* as on the wire, from its slash */
	const char *query; /* as on the wire, without '?'; may be empty */
	const struct sigv4_header *headers; /* all that are to be signed */
	size_t header_count;
	const char *body_sha256; /* hex; or null: of `body` */
	const void *body;
	size_t body_len;
	/* S3: the path is encoded once, and "//", "." and ".." in it are part
	 * of a key's name. */
	bool path_once;
};

/* Who signs, for which service. The texts are borrowed. */
struct sigv4_scope {
	const char *access_key;
	const char *secret_key;
	const char *region;
	const char *service;
	const char *time; /* SIGV4_TIME_LEN; equal to header x-amz-date */
};

/*
 * The key that is derived for one day, Region and service. Start with zeroes;
 * sigv4_key_wipe when the credentials change and at the end.
 */
struct sigv4_key {
	char day[9]; /* "20150830", or empty: nothing derived */
	char region[32];
	char service[16];
	uint8_t bytes[32];
};
void sigv4_key_wipe(struct sigv4_key *);

/* "20150830T123600Z" for a point of the wall clock. */
void sigv4_time(int64_t wall_ms, char text[SIGV4_TIME_LEN]);

/* Appends text with all but A-Z a-z 0-9 - _ . ~ as %XX. */
void sigv4_encode(struct buf *, const char *text, size_t len);

/*
 * Appends the canonical request and gives the list of signed header names
 * ("host;x-amz-date"). CAUSE_INTERNAL when a bound is passed.
 */
int sigv4_canonical(const struct sigv4_request *, struct buf *text,
    struct buf *signed_names, struct fault *);

/*
 * Writes the value of the Authorization header. The key is used when it fits
 * the scope and derived anew otherwise.
 */
int sigv4_sign(const struct sigv4_request *, const struct sigv4_scope *,
    struct sigv4_key *, char authorization[SIGV4_AUTHORIZATION_LEN],
    struct fault *);

#endif
