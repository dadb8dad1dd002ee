#include "cloud/sigv4.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/file.h"

struct piece {
	const char *text;
	size_t len;
};

/* A parameter of the query, encoded, inside one shared buffer. */
struct parameter {
	size_t name, name_len;
	size_t value, value_len;
};

void
sigv4_key_wipe(struct sigv4_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

void
sigv4_time(int64_t wall_ms, char text[SIGV4_TIME_LEN])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	(void)strftime(text, SIGV4_TIME_LEN, "%Y%m%dT%H%M%SZ", &tm);
}

static bool
is_unreserved(unsigned char byte)
{
	return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
	       (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' ||
	       byte == '.' || byte == '~';
}

void
sigv4_encode(struct buf *to, const char *text, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];
		char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};

		if (is_unreserved(byte))
			buf_add(to, &text[i], 1);
		else
			buf_add(to, escape, sizeof(escape));
	}
}

/*
 * The path without empty, "." and ".." segments; a slash at the end stays.
 */
static int
add_path(struct buf *to, const char *path, struct fault *fault)
{
	struct piece segments[SIGV4_SEGMENTS_MAX];
	size_t count = 0;
	bool slash = true;

	for (const char *at = path; *at != '\0';) {
		size_t len;

		if (*at == '/') {
			slash = true;
			at++;
			continue;
		}
		len = strcspn(at, "/");
		slash = false;
		if (len == 2 && memcmp(at, "..", 2) == 0) {
			count -= count > 0 ? 1 : 0;
			slash = true;
		} else if (len == 1 && *at == '.') {
			slash = true;
		} else if (count == SIGV4_SEGMENTS_MAX) {
			return fault_set(fault, CAUSE_INTERNAL,
			    "a path has more than %d segments",
			    SIGV4_SEGMENTS_MAX);
		} else {
			segments[count++] = (struct piece){at, len};
		}
		at += len;
	}
	for (size_t i = 0; i < count; i++) {
		buf_add_text(to, "/");
		sigv4_encode(to, segments[i].text, segments[i].len);
	}
	if (slash || count == 0)
		buf_add_text(to, "/");
	buf_add_text(to, "\n");
	return 0;
}

/* Decodes the %XX of a wire text and encodes the result anew. */
static void
add_recoded(struct buf *to, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)text[i];
		char plain;

		if (text[i] == '%' && i + 2 < len &&
		    isxdigit((unsigned char)text[i + 1]) &&
		    isxdigit((unsigned char)text[i + 2])) {
			char digits[3] = {text[i + 1], text[i + 2], '\0'};

			if (hex_decode(&byte, 1, digits) == 0)
				i += 2;
		}
		plain = (char)byte;
		sigv4_encode(to, &plain, 1);
	}
}

/* Slashes stay, everything between them is encoded once. */
static void
add_path_once(struct buf *to, const char *path)
{
	for (;;) {
		size_t len = strcspn(path, "/");

		add_recoded(to, path, len);
		path += len;
		if (*path == '\0')
			break;
		buf_add_text(to, "/");
		path++;
	}
	buf_add_text(to, "\n");
}

static int
span_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	if (order != 0)
		return order;
	return (a_len > b_len) - (a_len < b_len);
}

static int
parameter_compare(
    const char *pool, const struct parameter *a, const struct parameter *b)
{
	int order = span_compare(
	    pool + a->name, a->name_len, pool + b->name, b->name_len);

	if (order != 0)
		return order;
	return span_compare(
	    pool + a->value, a->value_len, pool + b->value, b->value_len);
}

/* Encodes one `name=value` of the wire's query into the pool. */
static struct parameter
parameter_read(struct buf *pool, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals != NULL ? (size_t)(equals - text) : len;
	struct parameter parameter = {.name = pool->len};

	add_recoded(pool, text, name_len);
	parameter.name_len = pool->len - parameter.name;
	parameter.value = pool->len;
	if (equals != NULL)
		add_recoded(pool, equals + 1, len - name_len - 1);
	parameter.value_len = pool->len - parameter.value;
	return parameter;
}

/* Reads a wire query into the list, sorted; -1 when it is too long. */
static int
parameters_read(struct parameter *sorted, size_t *count, struct buf *pool,
    const char *query)
{
	size_t len, place;

	for (; *query != '\0'; query += len + (query[len] == '&')) {
		struct parameter new;

		len = strcspn(query, "&");
		if (len == 0)
			continue;
		if (*count == SIGV4_PARAMETERS_MAX)
			return -1;
		new = parameter_read(pool, query, len);
		if (pool->failed)
			return -1;
		for (place = (*count)++; place > 0; place--) {
			if (parameter_compare(
				pool->data, &sorted[place - 1], &new) <= 0)
				break;
			sorted[place] = sorted[place - 1];
		}
		sorted[place] = new;
	}
	return 0;
}

static int
add_query(struct buf *to, const char *query, struct fault *fault)
{
	struct parameter sorted[SIGV4_PARAMETERS_MAX];
	struct buf pool;
	size_t count = 0;
	int result = -1;

	buf_init(&pool, SIGV4_CANONICAL_MAX);
	buf_add_text(&pool, ""); /* data is there, whatever is added */
	if (pool.failed ||
	    parameters_read(sorted, &count, &pool, query) == -1) {
		fault_set(fault, CAUSE_INTERNAL,
		    "a query is too long to sign; it may have %d parameters",
		    SIGV4_PARAMETERS_MAX);
		goto out;
	}
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_add_text(to, "&");
		buf_add(to, pool.data + sorted[i].name, sorted[i].name_len);
		buf_add_text(to, "=");
		buf_add(to, pool.data + sorted[i].value, sorted[i].value_len);
	}
	buf_add_text(to, "\n");
	result = 0;
out:
	buf_free(&pool);
	return result;
}

/* Without white space at the ends, runs of it inside as one space. */
static void
add_value(struct buf *to, const char *value)
{
	bool space = false, started = false;

	for (const char *at = value; *at != '\0'; at++) {
		if (isspace((unsigned char)*at)) {
			space = started;
			continue;
		}
		if (space)
			buf_add_text(to, " ");
		buf_add(to, at, 1);
		space = false;
		started = true;
	}
}

static void
add_lower(struct buf *to, const char *text)
{
	for (; *text != '\0'; text++) {
		char byte = (char)tolower((unsigned char)*text);

		buf_add(to, &byte, 1);
	}
}

/*
 * Headers by name; equal names keep their order and share one line.
 */
static int
add_headers(struct buf *to, const struct sigv4_request *request,
    struct buf *signed_names, struct fault *fault)
{
	const struct sigv4_header *sorted[SIGV4_HEADERS_MAX];
	size_t count = request->header_count;

	if (count > SIGV4_HEADERS_MAX)
		return fault_set(fault, CAUSE_INTERNAL,
		    "%zu headers are more than can be signed", count);
	for (size_t i = 0; i < count; i++) {
		const struct sigv4_header *header = &request->headers[i];
		size_t place = i;

		for (; place > 0; place--) {
			if (strcasecmp(sorted[place - 1]->name, header->name) <=
			    0)
				break;
			sorted[place] = sorted[place - 1];
		}
		sorted[place] = header;
	}
	for (size_t i = 0; i < count; i++) {
		if (i > 0 &&
		    strcasecmp(sorted[i - 1]->name, sorted[i]->name) == 0) {
			buf_add_text(to, ",");
		} else {
			if (i > 0) {
				buf_add_text(to, "\n");
				buf_add_text(signed_names, ";");
			}
			add_lower(to, sorted[i]->name);
			buf_add_text(to, ":");
			add_lower(signed_names, sorted[i]->name);
		}
		add_value(to, sorted[i]->value);
	}
	buf_add_text(to, "\n\n");
	return 0;
}

int
sigv4_canonical(const struct sigv4_request *request, struct buf *text,
    struct buf *signed_names, struct fault *fault)
{
	char digest_hex[DIGEST_TEXT_LEN];
	const char *body_hex = request->body_sha256;
	struct digest digest;

	buf_add_text(text, request->method);
	buf_add_text(text, "\n");
	if (request->path_once)
		add_path_once(text, request->path);
	else if (add_path(text, request->path, fault) == -1)
		return -1;
	if (add_query(text, request->query, fault) == -1 ||
	    add_headers(text, request, signed_names, fault) == -1)
		return -1;
	if (body_hex == NULL) {
		if (digest_bytes(request->body, request->body_len, &digest) ==
		    -1)
			return fault_set(fault, CAUSE_INTERNAL,
			    "SHA-256 of a request failed");
		digest_text(&digest, digest_hex);
		body_hex = digest_hex;
	}
	buf_add(text, signed_names->data, signed_names->len);
	buf_add_text(text, "\n");
	buf_add_text(text, body_hex);
	if (text->failed || signed_names->failed)
		return fault_set(
		    fault, CAUSE_INTERNAL, "a request is too long to sign");
	return 0;
}

static int
hmac(const uint8_t *key, size_t key_len, const char *text, size_t text_len,
    uint8_t out[32])
{
	size_t len = 0;

	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_len,
		(const unsigned char *)text, text_len, out, 32, &len) == NULL ||
	    len != 32)
		return -1;
	return 0;
}

static bool
key_fits(const struct sigv4_key *key, const struct sigv4_scope *scope)
{
	return key->day[0] != '\0' && strncmp(key->day, scope->time, 8) == 0 &&
	       strcmp(key->region, scope->region) == 0 &&
	       strcmp(key->service, scope->service) == 0;
}

/* The chain of HMACs: secret, day, Region, service, "aws4_request". */
static int
key_derive(
    struct sigv4_key *key, const struct sigv4_scope *scope, struct fault *fault)
{
	char secret[512];
	uint8_t a[32], b[32];
	int len, result = -1;

	sigv4_key_wipe(key);
	len = snprintf(secret, sizeof(secret), "AWS4%s", scope->secret_key);
	if (len < 0 || (size_t)len >= sizeof(secret) ||
	    strlen(scope->time) + 1 != SIGV4_TIME_LEN)
		goto out;
	if (hmac((const uint8_t *)secret, (size_t)len, scope->time, 8, a) ==
		-1 ||
	    hmac(a, sizeof(a), scope->region, strlen(scope->region), b) == -1 ||
	    hmac(b, sizeof(b), scope->service, strlen(scope->service), a) ==
		-1 ||
	    hmac(a, sizeof(a), "aws4_request", 12, key->bytes) == -1)
		goto out;
	if (text_copy(key->region, sizeof(key->region), scope->region) == -1 ||
	    text_copy(key->service, sizeof(key->service), scope->service) == -1)
		goto out;
	memcpy(key->day, scope->time, 8);
	key->day[8] = '\0';
	result = 0;
out:
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(a, sizeof(a));
	OPENSSL_cleanse(b, sizeof(b));
	if (result == -1)
		return fault_set(fault, CAUSE_INTERNAL,
		    "a signing key cannot be derived for %s in %s",
		    scope->service, scope->region);
	return 0;
}

int
sigv4_sign(const struct sigv4_request *request, const struct sigv4_scope *scope,
    struct sigv4_key *key, char authorization[SIGV4_AUTHORIZATION_LEN],
    struct fault *fault)
{
	char canonical_hex[DIGEST_TEXT_LEN], signature_hex[65];
	struct buf canonical, names, to_sign;
	struct digest digest;
	uint8_t signature[32];
	int len, result = -1;

	buf_init(&canonical, SIGV4_CANONICAL_MAX);
	buf_init(&names, SIGV4_AUTHORIZATION_LEN);
	buf_init(&to_sign, SIGV4_AUTHORIZATION_LEN);
	if (sigv4_canonical(request, &canonical, &names, fault) == -1)
		goto out;
	if (!key_fits(key, scope) && key_derive(key, scope, fault) == -1)
		goto out;
	if (digest_bytes(canonical.data, canonical.len, &digest) == -1) {
		fault_set(fault, CAUSE_INTERNAL, "SHA-256 of a request failed");
		goto out;
	}
	digest_text(&digest, canonical_hex);
	buf_add_format(&to_sign,
	    "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", scope->time,
	    key->day, scope->region, scope->service, canonical_hex);
	if (to_sign.failed || hmac(key->bytes, sizeof(key->bytes), to_sign.data,
				  to_sign.len, signature) == -1) {
		fault_set(fault, CAUSE_INTERNAL, "a request cannot be signed");
		goto out;
	}
	hex_encode(signature_hex, signature, sizeof(signature));
	len = snprintf(authorization, SIGV4_AUTHORIZATION_LEN,
	    "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, "
	    "SignedHeaders=%s, Signature=%s",
	    scope->access_key, key->day, scope->region, scope->service,
	    names.data, signature_hex);
	if (len < 0 || len >= SIGV4_AUTHORIZATION_LEN) {
		fault_set(fault, CAUSE_INTERNAL,
		    "an Authorization header is too long");
		goto out;
	}
	result = 0;
out:
	buf_free(&canonical);
	buf_free(&names);
	buf_free(&to_sign);
	return result;
}
