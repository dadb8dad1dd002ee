#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/channel.h"
#include "base/log.h"
#include "base/message.h"
#include "cloud/prove.h"
#include "cloud/vault_pair.h"

/* A vault of the test's own, in a process, that may misbehave. */
enum manner {
	HONEST,
	LATE,	 /* an older request's answer comes first */
	REFUSES, /* every proof */
	ENDS,	 /* instead of an answer */
	EMPTY,	 /* a signature of no bytes */
};

struct bench {
	struct vault_pair pair;
	struct prover prover;
	pid_t vault;
	EVP_PKEY *key;
	X509 *certificate;
};

static X509 *
certificate_make(EVP_PKEY *key)
{
	X509 *certificate = X509_new();

	assert_non_null(certificate);
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN",
	    MBSTRING_ASC, (const unsigned char *)"claim", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	return certificate;
}

/* What the vault does by message.h: a digest, a padded block, or less. */
static void
vault_sign(EVP_PKEY *key, const struct message_prove *request,
    struct message_prove_done *done)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
	size_t len = sizeof(done->signature);
	bool good = context != NULL && EVP_PKEY_sign_init(context) == 1;

	if (good && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		good = EVP_PKEY_CTX_set_rsa_padding(
			   context, (int)request->len == EVP_PKEY_get_size(key)
					? RSA_NO_PADDING
					: RSA_PKCS1_PADDING) == 1;
	good = good && EVP_PKEY_sign(context, done->signature, &len,
			   request->input, request->len) == 1;
	done->len = good ? (uint32_t)len : 0;
	EVP_PKEY_CTX_free(context);
}

static void __attribute__((noreturn))
vault_run(int fd, EVP_PKEY *key, enum manner manner)
{
	struct channel channel;
	struct message message;
	struct message_prove_done done;
	struct message_header header;
	struct fault fault = {0};

	channel_open(&channel, fd, "cloud", 0);
	while (channel_receive_wait(&channel, &message, 0, &fault) == 0) {
		memset(&done, 0, sizeof(done));
		header = message.header;
		if (manner == ENDS)
			break;
		if (manner == LATE) {
			header.sequence--;
			header.type++;
			channel_send(
			    &channel, &header, &done, sizeof(done), NULL, 0);
			header = message.header;
		}
		if (manner == REFUSES)
			fault_set(&done.fault, CAUSE_VAULT_ERROR, "no proofs");
		else if (header.type == MESSAGE_PROVE && manner != EMPTY)
			vault_sign(key, (void *)message.body.bytes, &done);
		header.type++;
		channel_send(&channel, &header, &done,
		    header.type == MESSAGE_PROVE_DONE
			? sizeof(done)
			: sizeof(struct message_done),
		    NULL, 0);
	}
	_exit(0);
}

static void
bench_open(struct bench *bench, EVP_PKEY *key, enum manner manner)
{
	int fds[2];

	memset(bench, 0, sizeof(*bench));
	assert_non_null(key);
	bench->key = key;
	bench->certificate = certificate_make(key);
	assert_int_equal(channel_pair(fds), 0);
	bench->vault = fork();
	assert_true(bench->vault >= 0);
	if (bench->vault == 0) {
		close(fds[0]);
		vault_run(fds[1], key, manner);
	}
	close(fds[1]);
	vault_pair_join(&bench->pair, fds[0]);
	bench->prover.vault = &bench->pair;
}

static void
bench_close(struct bench *bench)
{
	vault_pair_close(&bench->pair);
	assert_int_equal(waitpid(bench->vault, NULL, 0), bench->vault);
	X509_free(bench->certificate);
	EVP_PKEY_free(bench->key);
}

/* A server that wants a certificate, trusting the bench's own. */
static SSL_CTX *
server_make(struct bench *bench, int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = certificate_make(key);

	SSL_CTX_set_min_proto_version(context, version);
	SSL_CTX_set_max_proto_version(context, version);
	SSL_CTX_use_certificate(context, certificate);
	SSL_CTX_use_PrivateKey(context, key);
	SSL_CTX_set_verify(
	    context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_STORE_add_cert(
	    SSL_CTX_get_cert_store(context), bench->certificate);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

/* One handshake over two pairs of memory; 1 when both ends are content. */
static int
shake(SSL *client, SSL *server)
{
	BIO *one = NULL, *other = NULL;
	int at_client = 0, at_server = 0;

	assert_int_equal(BIO_new_bio_pair(&one, 0, &other, 0), 1);
	SSL_set_bio(client, one, one);
	SSL_set_bio(server, other, other);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	for (int i = 0; i < 20 && (at_client != 1 || at_server != 1); i++) {
		at_client = SSL_do_handshake(client);
		at_server = SSL_do_handshake(server);
	}
	return at_client == 1 && at_server == 1;
}

static int
proved(struct bench *bench, int version)
{
	struct fault fault = {0};
	SSL_CTX *server_context = server_make(bench, version);
	SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
	EVP_PKEY *key = prove_key(&bench->prover, bench->certificate, &fault);
	SSL *client, *server;
	int result;

	assert_non_null(key);
	assert_int_equal(
	    SSL_CTX_use_certificate(client_context, bench->certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(client_context, key), 1);
	EVP_PKEY_free(key);
	client = SSL_new(client_context);
	server = SSL_new(server_context);
	result = shake(client, server);
	if (result == 1) {
		assert_int_equal(SSL_get_verify_result(server), X509_V_OK);
		assert_non_null(SSL_get0_peer_certificate(server));
	}
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(client_context);
	SSL_CTX_free(server_context);
	return result;
}

static void
kinds_are_proved(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct bench bench;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (size_t kind = 0; kind < 3; kind++) {
			EVP_PKEY *key = kind == 0   ? EVP_EC_gen("P-256")
					: kind == 1 ? EVP_EC_gen("P-384")
						    : EVP_RSA_gen(2048);

			bench_open(&bench, key, HONEST);
			assert_int_equal(proved(&bench, versions[i]), 1);
			/* The second time as well: the key is not used up. */
			assert_int_equal(proved(&bench, versions[i]), 1);
			bench_close(&bench);
		}
	}
}

static void
another_key_proves_nothing(void **state)
{
	struct bench bench;

	(void)state;
	bench_open(&bench, EVP_EC_gen("P-256"), HONEST);
	X509_free(bench.certificate);
	EVP_PKEY *other = EVP_EC_gen("P-256");
	bench.certificate = certificate_make(other);
	EVP_PKEY_free(other);
	assert_int_equal(proved(&bench, TLS1_3_VERSION), 0);
	bench_close(&bench);
}

static void
late_answers_are_passed_over(void **state)
{
	struct bench bench;

	(void)state;
	bench_open(&bench, EVP_EC_gen("P-256"), LATE);
	assert_int_equal(proved(&bench, TLS1_3_VERSION), 1);
	bench_close(&bench);
}

static void
fault_of_the_vault_is_kept(void **state)
{
	static const struct {
		enum manner manner;
		enum fault_cause cause;
		bool joined;
	} rows[] = {{REFUSES, CAUSE_VAULT_ERROR, true},
	    {EMPTY, CAUSE_VAULT_ERROR, true}, {ENDS, CAUSE_ROLE_DOWN, false}};
	struct bench bench;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bench_open(&bench, EVP_EC_gen("P-256"), rows[i].manner);
		assert_int_equal(proved(&bench, TLS1_2_VERSION), 0);
		assert_int_equal(bench.prover.fault.cause, rows[i].cause);
		assert_int_equal(bench.pair.joined, rows[i].joined);
		bench_close(&bench);
	}
}

static void
deposit_and_pair(void **state)
{
	struct bench bench;
	struct fault fault = {0};
	char long_key[CERTIFICATE_LEN + 1];

	(void)state;
	bench_open(&bench, EVP_EC_gen("P-256"), HONEST);
	assert_int_equal(
	    vault_pair_deposit(&bench.pair, 1, 7, "key", 3, "pem", &fault), 0);
	vault_pair_forget(&bench.pair, 1, 7);
	memset(long_key, 'k', sizeof(long_key));
	assert_int_equal(vault_pair_deposit(&bench.pair, 1, 7, long_key,
			     sizeof(long_key), "pem", &fault),
	    -1);
	assert_true(bench.pair.joined);
	vault_pair_close(&bench.pair);
	fault_clear(&fault);
	assert_int_equal(
	    vault_pair_deposit(&bench.pair, 1, 7, "key", 3, "pem", &fault), -1);
	assert_int_equal(fault.cause, CAUSE_ROLE_DOWN);
	bench_close(&bench);
}

static void
other_kinds_are_refused(void **state)
{
	struct prover prover = {0};
	struct fault fault = {0};
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *certificate = X509_new();

	(void)state;
	assert_non_null(key);
	X509_set_pubkey(certificate, key);
	assert_null(prove_key(&prover, certificate, &fault));
	assert_int_equal(fault.cause, CAUSE_BAD_LOT);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(kinds_are_proved),
	    cmocka_unit_test(another_key_proves_nothing),
	    cmocka_unit_test(late_answers_are_passed_over),
	    cmocka_unit_test(fault_of_the_vault_is_kept),
	    cmocka_unit_test(deposit_and_pair),
	    cmocka_unit_test(other_kinds_are_refused),
	};

	log_open("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
