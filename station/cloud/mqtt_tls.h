/*
 * TLS as the MQTT endpoint of AWS IoT wants it: SNI, a client certificate,
 * and on port 443 the protocol's name by ALPN ("x-amzn-mqtt-ca"; "Device
 * communication protocols", AWS IoT Core developer guide). TLS 1.2 or 1.3.
 *
 * libmosquitto takes a context that is its caller's own as it is: none of its
 * own checks are set up then, and the name that it asks for by SNI is the one
 * it connects to, which is an address here. Both are therefore done by the
 * context: the chain up to the lot's root CA, the host's name, and SNI.
 */
#ifndef CLOUD_MQTT_TLS_H
#define CLOUD_MQTT_TLS_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/fault.h"
#include "cloud/prove.h"

enum {
	MQTT_HOST_LEN = 256
};

struct mqtt_tls {
	SSL_CTX *context;
	char host[MQTT_HOST_LEN]; /* the name to be asked for and proved */
};

/*
 * The host is a name or an address, root_ca one or more PEM certificates,
 * certificate the client's own; its key is the prover's, which must outlive
 * the context. Zero before; mqtt_tls_close takes what a failure left.
 * Cause BAD_LOT.
 */
int mqtt_tls_open(struct mqtt_tls *, const char *host, uint16_t port,
    const char *root_ca, const char *certificate, struct prover *,
    struct fault *);
void mqtt_tls_close(struct mqtt_tls *);

#endif
