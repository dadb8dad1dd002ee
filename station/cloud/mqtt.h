/*
 * One MQTT 3.1.1 connection over TLS on the role's loop, from its first try
 * to its end. fleet.c opens another one when it still has something to say.
 *
 * libmosquitto does the protocol; the loop, the addresses, the deadlines and
 * TLS are ours. A handle of the library lives for one connection: it would
 * send publications that were not acknowledged once more over the next one,
 * and what they ask for here must not be asked for twice.
 */
#ifndef CLOUD_MQTT_H
#define CLOUD_MQTT_H

#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/loop.h"
#include "cloud/mqtt_tls.h"

enum {
	MQTT_TOPIC_LEN = 257,	  /* AWS takes 256 bytes */
	MQTT_CLIENT_ID_LEN = 129, /* and 128 */
	MQTT_PAYLOAD_MAX = 128 * 1024,
	MQTT_TOPICS_MAX = 8, /* that AWS takes in one subscription */
	MQTT_KEEP_ALIVE_S = 60,
};

/* How far a connection came. */
enum mqtt_stage {
	MQTT_RESOLVE,
	MQTT_CONNECT,	/* TCP and TLS */
	MQTT_GREET,	/* CONNECT is sent, CONNACK is awaited */
	MQTT_SUBSCRIBE, /* SUBACK is awaited */
	MQTT_UP,
};

/* All borrowed for the connection's life. */
struct mqtt_target {
	const struct mqtt_tls *tls; /* with the host's name */
	uint16_t port;
	const char *client_id;
	const char *const *topics; /* to subscribe to, with QoS 1 */
	size_t topic_count;
};

struct mqtt_events {
	/* All topics are subscribed. */
	void (*up)(void *arg);
	/* The end; nothing is called after it. */
	void (*down)(void *arg, enum mqtt_stage, const struct fault *);
	/* The payload is wiped when this returns. Must not close the
	 * connection; the other two may. */
	void (*message)(
	    void *arg, const char *topic, const char *payload, size_t len);
};

struct mqtt; /* opaque */

/*
 * Starts; events are called from the loop, never from within. Null when not
 * even that is possible. Of several addresses each is tried.
 *
 * Causes of an end: CLOUD_TLS when the host is not trusted, CLOUD_DENIED when
 * it refuses the certificate, the connection or a topic in so many words,
 * otherwise CLOUD_UNAVAILABLE. AWS refuses without a word as well: the
 * connection ends at MQTT_GREET or MQTT_SUBSCRIBE.
 */
struct mqtt *mqtt_open(struct loop *, const struct mqtt_target *,
    const struct mqtt_events *, void *arg, struct fault *);
/* Ends it at once, without a call of down. Null is fine. */
void mqtt_close(struct mqtt *);

/*
 * With QoS 1. -1 when the connection is not up, or has ended: it may have
 * been sent all the same; down follows.
 */
int mqtt_publish(struct mqtt *, const char *topic, const void *payload,
    size_t len, struct fault *);

#endif
