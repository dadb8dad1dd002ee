#include "cloud/mqtt_tls.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "pki/openssl.h"

enum {
	PORT_HTTPS = 443
};

static bool
host_is_address(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) == 1 ||
	       inet_pton(AF_INET6, host, &address) == 1;
}

/*
 * libmosquitto has set the address that it connects to; the ClientHello is
 * written after this. An address is no name that SNI may carry (RFC 6066, 3).
 */
static void
handshake_starts(const SSL *ssl, int where, int value)
{
	struct mqtt_tls *tls;
	SSL *own;

	(void)value;
	if ((where & SSL_CB_HANDSHAKE_START) == 0)
		return;
	tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	own = (SSL *)(uintptr_t)ssl;
	SSL_set_tlsext_host_name(
	    own, host_is_address(tls->host) ? NULL : tls->host);
}

static BIO *
text_open(const char *text)
{
	return BIO_new_mem_buf(text, (int)strlen(text));
}

static int
authorities_add(SSL_CTX *context, const char *text)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	BIO *bio = text_open(text);
	X509 *authority;
	int count = 0;

	if (bio == NULL)
		return -1;
	while ((authority = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		if (X509_STORE_add_cert(store, authority) == 1)
			count++;
		X509_free(authority);
	}
	BIO_free(bio);
	/* The end of the text is an error too. */
	openssl_forget();
	return count > 0 ? 0 : -1;
}

static int
host_expect(SSL_CTX *context, const char *host)
{
	X509_VERIFY_PARAM *rules = SSL_CTX_get0_param(context);

	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (host_is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(rules, host) == 1 ? 0 : -1;
	X509_VERIFY_PARAM_set_hostflags(
	    rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(rules, host, 0) == 1 ? 0 : -1;
}

static int
certificate_use(SSL_CTX *context, const char *text, struct prover *prover,
    struct fault *fault)
{
	BIO *bio = text_open(text);
	X509 *certificate = NULL;
	EVP_PKEY *key = NULL;
	int result = -1;

	if (bio != NULL)
		certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (certificate == NULL) {
		openssl_forget();
		fault_set(fault, CAUSE_BAD_LOT,
		    "the claim certificate cannot be read");
		goto out;
	}
	key = prove_key(prover, certificate, fault);
	if (key == NULL)
		goto out;
	if (SSL_CTX_use_certificate(context, certificate) == 1 &&
	    SSL_CTX_use_PrivateKey(context, key) == 1) {
		result = 0;
		goto out;
	}
	openssl_forget();
	fault_set(fault, CAUSE_BAD_LOT,
	    "the claim certificate is not one that TLS can use");
out:
	EVP_PKEY_free(key);
	X509_free(certificate);
	BIO_free(bio);
	return result;
}

static void
context_prepare(SSL_CTX *context, struct mqtt_tls *tls, uint16_t port)
{
	/* As on the wire: each name behind its length. */
	static const unsigned char mqtt[] = "\016x-amzn-mqtt-ca";

	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	/* A key that AWS made comes in this way: what was read is wiped. */
	SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT |
					 SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_app_data(context, tls);
	SSL_CTX_set_info_callback(context, handshake_starts);
	if (port == PORT_HTTPS)
		SSL_CTX_set_alpn_protos(context, mqtt, sizeof(mqtt) - 1);
}

int
mqtt_tls_open(struct mqtt_tls *tls, const char *host, uint16_t port,
    const char *root_ca, const char *certificate, struct prover *prover,
    struct fault *fault)
{
	if (text_copy(tls->host, sizeof(tls->host), host) == -1)
		return fault_set(
		    fault, CAUSE_BAD_LOT, "the endpoint's name is too long");
	tls->context = SSL_CTX_new(TLS_client_method());
	if (tls->context == NULL) {
		openssl_forget();
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	}
	context_prepare(tls->context, tls, port);
	if (host_expect(tls->context, host) == -1)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "endpoint %s is neither a name nor an address", host);
	if (authorities_add(tls->context, root_ca) == -1)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "the lot's root CA has no certificate that can be read");
	return certificate_use(tls->context, certificate, prover, fault);
}

void
mqtt_tls_close(struct mqtt_tls *tls)
{
	SSL_CTX_free(tls->context);
	tls->context = NULL;
}
