#include "cloud/headers.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/file.h"

enum {
	LINES_MAX_LEN = SESSION_TOKEN_LEN + 4096,
	SIGNED_MAX = 6,
};

/* Appends a line of three parts; their sum may move earlier ones. */
static void
line_add(struct headers *headers, const char *name, const char *between,
    const char *value)
{
	if (headers->text.max == 0)
		buf_init(&headers->text, LINES_MAX_LEN);
	if (headers->count == HEADERS_MAX) {
		headers->text.failed = true;
		return;
	}
	headers->starts[headers->count++] = headers->text.len;
	buf_add_text(&headers->text, name);
	buf_add_text(&headers->text, between);
	buf_add_text(&headers->text, value);
	buf_add(&headers->text, "", 1);
}

void
headers_add(struct headers *headers, const char *name, const char *value)
{
	if (value[0] != '\0')
		line_add(headers, name, ": ", value);
}

void
headers_omit(struct headers *headers, const char *name)
{
	line_add(headers, name, ":", "");
}

struct curl_slist *
headers_list(struct headers *headers)
{
	if (headers->text.failed || headers->count == 0)
		return NULL;
	for (size_t i = 0; i < headers->count; i++) {
		headers->nodes[i].data =
		    headers->text.data + headers->starts[i];
		headers->nodes[i].next =
		    i + 1 < headers->count ? &headers->nodes[i + 1] : NULL;
	}
	return headers->nodes;
}

void
headers_reset(struct headers *headers)
{
	if (headers->text.data != NULL)
		OPENSSL_cleanse(headers->text.data, headers->text.len);
	buf_reset(&headers->text);
	headers->count = 0;
}

void
headers_free(struct headers *headers)
{
	headers_reset(headers);
	buf_free(&headers->text);
	memset(headers, 0, sizeof(*headers));
}

/* Adds a line that is signed; an empty one is neither sent nor signed. */
static void
signed_add(struct headers *headers, struct sigv4_header *list, size_t *count,
    const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	headers_add(headers, name, value);
	list[(*count)++] = (struct sigv4_header){name, value};
}

/* What libcurl sends unasked would be neither wanted nor signed. */
static void
unsigned_add(struct headers *headers, const struct signed_request *request)
{
	headers_add(headers, "User-Agent", "station/" STATION_VERSION);
	headers_omit(headers, "Accept");
	headers_omit(headers, "Expect");
	if (request->type[0] == '\0')
		headers_omit(headers, "Content-Type");
}

int
headers_sign(struct headers *headers, const struct signed_request *request,
    const struct signer *signer, struct fault *fault)
{
	struct sigv4_header list[SIGNED_MAX];
	char authorization[SIGV4_AUTHORIZATION_LEN];
	char time[SIGV4_TIME_LEN], body_text[DIGEST_TEXT_LEN];
	struct digest body;
	struct sigv4_request canonical = {
	    .method = request->method,
	    .path = request->path,
	    .query = request->query,
	    .headers = list,
	    .body_sha256 = body_text,
	    .path_once = signer->service == SERVICE_S3,
	};
	struct sigv4_scope scope = {
	    .access_key = signer->credentials->access_key,
	    .secret_key = signer->credentials->secret_key,
	    .region = signer->region,
	    .service = service_signing_name(signer->service),
	    .time = time,
	};
	size_t *count = &canonical.header_count;

	headers_reset(headers);
	sigv4_time(signer->wall_ms, time);
	if (digest_bytes(request->body, request->body_len, &body) == -1)
		return fault_set(
		    fault, CAUSE_INTERNAL, "SHA-256 of a request failed");
	digest_text(&body, body_text);
	signed_add(headers, list, count, "Host", request->host);
	signed_add(headers, list, count, "X-Amz-Date", time);
	/* S3 alone wants the digest as a header too. */
	signed_add(headers, list, count, "X-Amz-Content-Sha256",
	    signer->service == SERVICE_S3 ? body_text : "");
	signed_add(headers, list, count, "X-Amz-Security-Token",
	    signer->credentials->session_token);
	signed_add(
	    headers, list, count, "x-amzn-principal", request->principal);
	signed_add(headers, list, count, "Content-Type", request->type);
	if (sigv4_sign(&canonical, &scope, signer->key, authorization, fault) ==
	    -1)
		return -1;
	headers_add(headers, "Authorization", authorization);
	unsigned_add(headers, request);
	if (headers->text.failed)
		return fault_set(
		    fault, CAUSE_INTERNAL, "the headers are too long");
	return 0;
}
