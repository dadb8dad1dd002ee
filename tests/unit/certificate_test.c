#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/err.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "pki/certificate.h"
#include "pki/csr.h"
#include "pki/key.h"
#include "pki_make.h"

enum {
	DAY_S = 86400
};

static struct fault fault;

static int
parse(const char *pem, struct certificate *certificate)
{
	int result;

	fault_clear(&fault);
	result = certificate_parse(
	    pem, strlen(pem), CAUSE_CLOUD_ANSWER, certificate, &fault);
	assert_int_equal(ERR_peek_error(), 0);
	return result;
}

static void
refused(const char *pem, const char *text)
{
	struct certificate certificate;

	assert_int_equal(parse(pem, &certificate), -1);
	assert_int_equal(fault.cause, CAUSE_CLOUD_ANSWER);
	if (strstr(fault.text, text) == NULL)
		fail_msg("%s", fault.text);
}

static void
test_parse(void **state)
{
	static const char *const names[] = {"UNIT-0007", NULL};
	EVP_PKEY *key = make_key("P-256", 0), *other = make_key("P-256", 0);
	struct certificate certificate;
	char pem[PEM_MAX], request[PEM_MAX], id[DIGEST_TEXT_LEN];
	unsigned char *der = NULL;
	struct digest digest;
	struct csr csr;
	int64_t now_ms = clock_wall_ms();
	BIO *bio;
	X509 *parsed;
	int len;

	(void)state;
	make_certificate(key, "UNIT-0007", false, -DAY_S, DAY_S, pem);
	assert_int_equal(parse(pem, &certificate), 0);
	assert_string_equal(certificate.name, "UNIT-0007");
	assert_false(certificate.authority);
	assert_in_range(now_ms - certificate.not_before_ms,
	    DAY_S * 1000L - 60000, DAY_S * 1000L + 60000);
	assert_in_range(certificate.not_after_ms - now_ms,
	    DAY_S * 1000L - 60000, DAY_S * 1000L + 60000);
	/* The id is AWS IoT's: SHA-256 of the DER, in hex. */
	bio = BIO_new_mem_buf(pem, -1);
	parsed = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	len = i2d_X509(parsed, &der);
	assert_int_equal(digest_bytes(der, (size_t)len, &digest), 0);
	digest_text(&digest, id);
	assert_string_equal(certificate.id, id);
	OPENSSL_free(der);
	X509_free(parsed);
	BIO_free(bio);
	/* Its key is the one that the request proved. */
	make_request(key, key, EVP_sha256(), names, request);
	assert_int_equal(csr_check(request, strlen(request), "UNIT-0007",
			     CSR_KEY_ANY, &csr, &fault),
	    0);
	assert_true(certificate_has_key(&certificate, &csr.spki));
	make_request(other, other, EVP_sha256(), names, request);
	assert_int_equal(csr_check(request, strlen(request), "UNIT-0007",
			     CSR_KEY_ANY, &csr, &fault),
	    0);
	assert_false(certificate_has_key(&certificate, &csr.spki));
	make_certificate(key, NULL, true, -DAY_S, DAY_S, pem);
	assert_int_equal(parse(pem, &certificate), 0);
	assert_string_equal(certificate.name, "");
	assert_true(certificate.authority);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static void
test_refused(void **state)
{
	EVP_PKEY *key = make_key("P-256", 0);
	char pem[PEM_MAX], text[2 * PEM_MAX];

	(void)state;
	make_certificate(key, "a", false, -DAY_S, DAY_S, pem);
	refused("", "its BEGIN line is missing");
	(void)snprintf(text, sizeof(text), "%s%s", pem, pem);
	refused(text, "has more than one PEM block");
	(void)snprintf(text, sizeof(text), "%.300s", pem);
	refused(text, "is cut");
	key_pem(key, NULL, text);
	refused(text, "is PEM of another kind");
	refused("-----BEGIN CERTIFICATE-----\nMAA=\n"
		"-----END CERTIFICATE-----\n",
	    "is not well-formed: ");
	EVP_PKEY_free(key);
}

static void
test_validity(void **state)
{
	struct certificate certificate = {
	    .name = "a", .not_before_ms = 5000, .not_after_ms = 9000};

	(void)state;
	assert_int_equal(
	    certificate_check_time(&certificate, 5000, CAUSE_BAD_LOT, &fault),
	    0);
	assert_int_equal(
	    certificate_check_time(&certificate, 9000, CAUSE_BAD_LOT, &fault),
	    0);
	assert_int_equal(
	    certificate_check_time(&certificate, 4999, CAUSE_BAD_LOT, &fault),
	    -1);
	assert_int_equal(fault.cause, CAUSE_BAD_LOT);
	assert_string_equal(fault.text,
	    "the certificate of \"a\" is not valid before "
	    "1970-01-01T00:00:05.000Z; the station's clock says "
	    "1970-01-01T00:00:04.999Z");
	assert_int_equal(
	    certificate_check_time(&certificate, 9001, CAUSE_BAD_LOT, &fault),
	    -1);
	assert_non_null(
	    strstr(fault.text, "ended at 1970-01-01T00:00:09.000Z"));
}

static int
check_authorities(const char *pem)
{
	int result;

	fault_clear(&fault);
	result = certificate_check_authorities(
	    pem, strlen(pem), clock_wall_ms(), CAUSE_BAD_LOT, &fault);
	assert_int_equal(ERR_peek_error(), 0);
	return result;
}

static void
test_authorities(void **state)
{
	EVP_PKEY *key = make_key("P-256", 0);
	char good[PEM_MAX], leaf[PEM_MAX], old[PEM_MAX], text[4 * PEM_MAX];

	(void)state;
	make_certificate(key, "root", true, -DAY_S, DAY_S, good);
	make_certificate(key, "leaf", false, -DAY_S, DAY_S, leaf);
	make_certificate(key, "old", true, -2 * DAY_S, -DAY_S, old);
	assert_int_equal(check_authorities(good), 0);
	(void)snprintf(
	    text, sizeof(text), "# one\n%s\n# two\n%s\n", good, good);
	assert_int_equal(check_authorities(text), 0);
	(void)snprintf(text, sizeof(text), "%s%s", good, leaf);
	assert_int_equal(check_authorities(text), -1);
	assert_int_equal(fault.cause, CAUSE_BAD_LOT);
	assert_non_null(strstr(fault.text, "\"leaf\" is not an authority's"));
	(void)snprintf(text, sizeof(text), "%s%s", good, old);
	assert_int_equal(check_authorities(text), -1);
	assert_non_null(strstr(fault.text, "\"old\" ended at"));
	(void)snprintf(text, sizeof(text), "%s%.200s", good, good);
	assert_int_equal(check_authorities(text), -1);
	assert_non_null(strstr(fault.text, "is not well-formed"));
	assert_int_equal(check_authorities(""), -1);
	assert_non_null(strstr(fault.text, "no certificate is in it"));
	key_pem(key, NULL, text);
	assert_int_equal(check_authorities(text), -1);
	EVP_PKEY_free(key);
}

static void
test_keys(void **state)
{
	EVP_PKEY *key = make_key("P-256", 0), *other = make_key("RSA", 2048);
	char pem[PEM_MAX], certificate[PEM_MAX], text[2 * PEM_MAX];
	EVP_PKEY *loaded;

	(void)state;
	make_certificate(key, "claim", false, -DAY_S, DAY_S, certificate);
	key_pem(key, NULL, pem);
	loaded = key_load(pem, strlen(pem), &fault);
	assert_non_null(loaded);
	assert_int_equal(EVP_PKEY_eq(loaded, key), 1);
	EVP_PKEY_free(loaded);
	assert_int_equal(key_check(pem, strlen(pem), certificate,
			     strlen(certificate), &fault),
	    0);
	key_pem(other, NULL, text);
	assert_int_equal(key_check(text, strlen(text), certificate,
			     strlen(certificate), &fault),
	    -1);
	assert_int_equal(fault.cause, CAUSE_VAULT_ERROR);
	assert_string_equal(
	    fault.text, "the key does not belong to its certificate");
	assert_int_equal(
	    key_check(pem, strlen(pem), pem, strlen(pem), &fault), -1);
	assert_non_null(strstr(fault.text, "the certificate of the key is "));
	key_pem(key, "secret", text);
	assert_null(key_load(text, strlen(text), &fault));
	assert_string_equal(fault.text,
	    "the key is encrypted; one without a passphrase is accepted");
	(void)snprintf(text, sizeof(text), "%s%s", pem, pem);
	assert_null(key_load(text, strlen(text), &fault));
	assert_non_null(strstr(fault.text, "has more than one PEM block"));
	assert_null(key_load(certificate, strlen(certificate), &fault));
	assert_non_null(strstr(fault.text, "is not a private key in PEM"));
	/* A fault goes to logs: none of the above may show a key. */
	assert_null(strstr(fault.text, "MI"));
	assert_int_equal(ERR_peek_error(), 0);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static void
test_keys_with_a_passphrase(void **state)
{
	EVP_PKEY *key = make_key("RSA", 2048), *other = make_key("P-256", 0);
	EVP_PKEY *loaded;
	struct secret written = {0};
	char pem[PEM_MAX], certificate[PEM_MAX];

	(void)state;
	make_certificate(key, "maker", true, -DAY_S, DAY_S, certificate);
	key_pem(key, "open sesame", pem);
	loaded = key_load_encrypted(pem, strlen(pem), "open sesame", &fault);
	assert_non_null(loaded);
	assert_int_equal(
	    key_fits(loaded, certificate, strlen(certificate), &fault), 0);
	assert_int_equal(
	    key_fits(other, certificate, strlen(certificate), &fault), -1);
	assert_string_equal(
	    fault.text, "the key does not belong to its certificate");
	/* What is written needs no passphrase any more. */
	assert_int_equal(key_write(loaded, PEM_MAX, &written, &fault), 0);
	assert_int_equal(key_check(written.data, written.len, certificate,
			     strlen(certificate), &fault),
	    0);
	assert_int_equal(strlen(written.data), written.len);
	secret_free(&written);
	assert_int_equal(key_write(loaded, 100, &written, &fault), -1);
	assert_null(written.data);
	EVP_PKEY_free(loaded);
	assert_null(
	    key_load_encrypted(pem, strlen(pem), "open barley", &fault));
	assert_non_null(strstr(fault.text, "cannot be decrypted"));
	assert_null(strstr(fault.text, "barley"));
	assert_null(key_load_encrypted(pem, strlen(pem), NULL, &fault));
	assert_non_null(strstr(fault.text, "is encrypted"));
	/* One that is not encrypted needs none. */
	key_pem(other, NULL, pem);
	loaded = key_load_encrypted(pem, strlen(pem), "open sesame", &fault);
	assert_non_null(loaded);
	EVP_PKEY_free(loaded);
	assert_int_equal(ERR_peek_error(), 0);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* Kilobytes of this process's memory that are locked. */
static long
locked_kib(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	assert_non_null(status);
	while (fgets(line, sizeof(line), status) != NULL)
		if (sscanf(line, "VmLck: %ld", &kib) == 1)
			break;
	(void)fclose(status);
	return kib;
}

static void
test_secret_memory(void **state)
{
	struct secret secret = {0};
	long before_kib = locked_kib();
	int status;
	pid_t pid;

	(void)state;
	secret_free(&secret);
	secret_free(NULL);
	assert_int_equal(secret_alloc(&secret, 5000, &fault), 0);
	assert_int_equal(secret.size, 5000);
	assert_int_equal(secret.len, 0);
#ifndef STATION_SANITIZED /* whose runtime makes mlock(2) do nothing */
	assert_true(locked_kib() >= before_kib + 5);
#endif
	strcpy(secret.data, "do not tell");
	/* A child of this process has zeros there. */
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(secret.data[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	secret_free(&secret);
	assert_null(secret.data);
	assert_int_equal(locked_kib(), before_kib);
}

static void
test_secret_from_a_file(void **state)
{
	struct secret secret = {0};
	int fd, pipes[2];

	(void)state;
	fd = file_seal("key", "0123456789", 10, &fault);
	assert_true(fd >= 0);
	assert_int_equal(secret_read_fd(&secret, fd, "the key", 10, &fault), 0);
	assert_int_equal(secret.len, 10);
	assert_string_equal(secret.data, "0123456789");
	secret_free(&secret);
	assert_int_equal(secret_read_fd(&secret, fd, "the key", 9, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_VAULT_ERROR);
	assert_string_equal(
	    fault.text, "the key: a regular file of 1 to 9 bytes is accepted");
	assert_null(secret.data);
	close(fd);
	fd = file_seal("key", "", 0, &fault);
	assert_int_equal(secret_read_fd(&secret, fd, "the key", 9, &fault), -1);
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(
	    secret_read_fd(&secret, pipes[0], "the key", 9, &fault), -1);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(secret_read_fd(&secret, -1, "the key", 9, &fault), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_validity),
	    cmocka_unit_test(test_authorities),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_keys_with_a_passphrase),
	    cmocka_unit_test(test_secret_memory),
	    cmocka_unit_test(test_secret_from_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
