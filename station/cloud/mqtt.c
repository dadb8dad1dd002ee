#include "cloud/mqtt.h"

#include <errno.h>
#include <malloc.h>
#include <mosquitto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "cloud/mqtt_resolve.h"

enum {
	CONNECT_TIMEOUT_MS = 5000, /* an address: TCP and TLS */
	GREET_TIMEOUT_MS = 10000,  /* CONNACK and SUBACK */
	TICK_MS = 500,		   /* of the library's keep-alive */
	QOS = 1,
	SUBACK_REFUSED = 0x80,
	FREED_BYTE = 0xa5,
};

struct mqtt {
	struct loop *loop;
	struct mqtt_target target;
	struct mqtt_events events;
	void *arg;
	enum mqtt_stage stage;
	struct loop_timer *timer;
	int64_t deadline_ms; /* of the stage */
	struct mqtt_resolve *resolve;
	struct mqtt_addresses addresses;
	size_t address; /* in use */
	struct mosquitto *handle;
	struct loop_watch *watch;
	bool subscribed;
	bool refused;	  /* `reason` says by whom */
	char reason[200]; /* what the library or the broker said last */
};

static void mqtt_progress(struct mqtt *mqtt, int code);
static void mqtt_connect(struct mqtt *mqtt);

/* ---- what the library calls ---- */

/* Of "error:0A000086:SSL routines::certificate verify failed" the end. */
static void
library_logged(struct mosquitto *handle, void *arg, int level, const char *text)
{
	struct mqtt *mqtt = arg;
	const char *last = strrchr(text, ':');

	(void)handle;
	if ((level & MOSQ_LOG_ERR) == 0 || mqtt->reason[0] != '\0')
		return;
	last = last != NULL && last[1] != '\0' ? last + 1 : text;
	text_escape(mqtt->reason, sizeof(mqtt->reason), last, strlen(last));
}

static void
library_greeted(struct mosquitto *handle, void *arg, int code)
{
	struct mqtt *mqtt = arg;
	char *topics[MQTT_TOPICS_MAX];

	if (code != 0) {
		mqtt->refused = true;
		text_copy(mqtt->reason, sizeof(mqtt->reason),
		    mosquitto_connack_string(code));
		return;
	}
	mqtt->stage = MQTT_SUBSCRIBE;
	/* The library's array is not const, but it only reads. */
	memcpy(topics, mqtt->target.topics,
	    mqtt->target.topic_count * sizeof(topics[0]));
	if (mosquitto_subscribe_multiple(handle, NULL,
		(int)mqtt->target.topic_count, topics, QOS, 0,
		NULL) != MOSQ_ERR_SUCCESS)
		text_copy(mqtt->reason, sizeof(mqtt->reason),
		    "the subscription cannot be sent");
}

static void
library_subscribed(struct mosquitto *handle, void *arg, int number, int count,
    const int *granted)
{
	struct mqtt *mqtt = arg;

	(void)handle;
	(void)number;
	mqtt->subscribed = true;
	for (int i = 0; i < count; i++) {
		if (granted[i] < SUBACK_REFUSED || mqtt->refused)
			continue;
		mqtt->refused = true;
		snprintf(mqtt->reason, sizeof(mqtt->reason),
		    "no right to subscribe to %s",
		    (size_t)i < mqtt->target.topic_count
			? mqtt->target.topics[i]
			: "a topic");
	}
}

static void
library_received(
    struct mosquitto *handle, void *arg, const struct mosquitto_message *got)
{
	struct mqtt *mqtt = arg;
	size_t len = got->payloadlen > 0 ? (size_t)got->payloadlen : 0;

	(void)handle;
	if (len > MQTT_PAYLOAD_MAX)
		log_warning("mqtt: a message of %zu bytes is dropped", len);
	else
		mqtt->events.message(
		    mqtt->arg, got->topic, len > 0 ? got->payload : "", len);
	if (len > 0)
		OPENSSL_cleanse(got->payload, len);
}

/* ---- one try ---- */

static void
handle_drop(struct mqtt *mqtt)
{
	loop_unwatch(mqtt->loop, mqtt->watch);
	mqtt->watch = NULL;
	mosquitto_destroy(mqtt->handle);
	mqtt->handle = NULL;
}

static bool
tls_is_shaking(const struct mqtt *mqtt)
{
	const SSL *ssl = mosquitto_ssl_get(mqtt->handle);

	return ssl != NULL && !SSL_is_init_finished(ssl);
}

/*
 * The library's own mosquitto_want_write stays true through a whole
 * handshake once a write had to wait, and the loop would spin.
 */
static short
handle_events(const struct mqtt *mqtt)
{
	const SSL *ssl = mosquitto_ssl_get(mqtt->handle);

	if (tls_is_shaking(mqtt))
		return SSL_want_write(ssl) ? POLLOUT : POLLIN;
	return mosquitto_want_write(mqtt->handle) ? POLLIN | POLLOUT : POLLIN;
}

/* What TCP says, when it was not the library that closed the socket. */
static void
reason_of_socket(struct mqtt *mqtt)
{
	int fd = mosquitto_socket(mqtt->handle), error = 0;
	socklen_t len = sizeof(error);

	if (fd != -1 && mqtt->reason[0] == '\0' &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
	    error != 0)
		text_copy(mqtt->reason, sizeof(mqtt->reason), strerror(error));
}

static void
handle_ready(void *arg, short revents)
{
	struct mqtt *mqtt = arg;
	bool shaking = tls_is_shaking(mqtt);
	int code = MOSQ_ERR_SUCCESS;

	/* Reading is what carries the handshake on, whatever it waits for. */
	if (shaking || (revents & ~POLLOUT) != 0)
		code = mosquitto_loop_read(mqtt->handle, 1);
	if (code == MOSQ_ERR_SUCCESS && !shaking && (revents & POLLOUT) != 0)
		code = mosquitto_loop_write(mqtt->handle, 1);
	/* A handshake on a connection that is none is no error to it. */
	if (code == MOSQ_ERR_SUCCESS && tls_is_shaking(mqtt) &&
	    (revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
		reason_of_socket(mqtt);
		code = MOSQ_ERR_CONN_LOST;
	}
	mqtt_progress(mqtt, code);
}

static int
handle_make(struct mqtt *mqtt)
{
	mqtt->handle = mosquitto_new(mqtt->target.client_id, true, mqtt);
	if (mqtt->handle == NULL)
		return MOSQ_ERR_NOMEM;
	mosquitto_log_callback_set(mqtt->handle, library_logged);
	mosquitto_connect_callback_set(mqtt->handle, library_greeted);
	mosquitto_subscribe_callback_set(mqtt->handle, library_subscribed);
	mosquitto_message_callback_set(mqtt->handle, library_received);
	mosquitto_int_option(mqtt->handle, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_int_option(mqtt->handle, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
	return mosquitto_void_option(
	    mqtt->handle, MOSQ_OPT_SSL_CTX, mqtt->target.tls->context);
}

/* Tries the address that is next. */
static void
mqtt_connect(struct mqtt *mqtt)
{
	int code, fd;

	mqtt->stage = MQTT_CONNECT;
	mqtt->reason[0] = '\0';
	mqtt->deadline_ms = clock_deadline(CONNECT_TIMEOUT_MS);
	loop_timer_set(mqtt->timer, mqtt->deadline_ms);
	code = handle_make(mqtt);
	if (code == MOSQ_ERR_SUCCESS)
		code = mosquitto_connect_async(mqtt->handle,
		    mqtt->addresses.text[mqtt->address], mqtt->target.port,
		    MQTT_KEEP_ALIVE_S);
	if (code == MOSQ_ERR_ERRNO)
		text_copy(mqtt->reason, sizeof(mqtt->reason), strerror(errno));
	fd = mqtt->handle == NULL ? -1 : mosquitto_socket(mqtt->handle);
	if (fd != -1)
		mqtt->watch =
		    loop_watch(mqtt->loop, fd, POLLOUT, handle_ready, mqtt);
	if (code == MOSQ_ERR_SUCCESS && mqtt->watch == NULL)
		code = MOSQ_ERR_NOMEM;
	mqtt_progress(mqtt, code);
}

/* ---- ends ---- */

static void
fault_of_connect(const struct mqtt *mqtt, long verified, const char *why,
    struct fault *fault)
{
	const char *host = mqtt->target.tls->host;

	if (verified != X509_V_OK)
		fault_set(fault, CAUSE_CLOUD_TLS,
		    "%s is not the host that the lot trusts: %s", host,
		    X509_verify_cert_error_string(verified));
	else
		fault_set(fault, CAUSE_CLOUD_UNAVAILABLE,
		    "%s port %u at %s: no connection: %s", host,
		    mqtt->target.port, mqtt->addresses.text[mqtt->address],
		    why);
}

static void
fault_make(const struct mqtt *mqtt, long verified, bool late, int code,
    struct fault *fault)
{
	static const char *const ends[] = {[MQTT_CONNECT] = "no connection",
	    [MQTT_GREET] = "it ends the connection after TLS (does the "
			   "certificate's policy allow iot:Connect?)",
	    [MQTT_SUBSCRIBE] = "it ends the connection at the subscription "
			       "(does the certificate's policy allow it?)",
	    [MQTT_UP] = "the connection has ended"};
	const char *why = mqtt->reason;

	if (late)
		why = "no answer in time";
	else if (why[0] == '\0')
		why = mosquitto_strerror(code);
	/* An alert of TLS 1.3 comes when the handshake is over for us. */
	if (mqtt->refused || strstr(mqtt->reason, "alert") != NULL)
		fault_set(fault, CAUSE_CLOUD_DENIED, "%s refuses client %s: %s",
		    mqtt->target.tls->host, mqtt->target.client_id, why);
	else if (mqtt->stage == MQTT_CONNECT)
		fault_of_connect(mqtt, verified, why, fault);
	else
		fault_set(fault, CAUSE_CLOUD_UNAVAILABLE,
		    "%s, client %s: %s: %s", mqtt->target.tls->host,
		    mqtt->target.client_id, ends[mqtt->stage], why);
}

/* Goes on with the next address, or tells the end. */
static void
mqtt_fail(struct mqtt *mqtt, bool late, int code)
{
	const SSL *ssl =
	    mqtt->handle == NULL ? NULL : mosquitto_ssl_get(mqtt->handle);
	long verified = ssl == NULL ? X509_V_OK : SSL_get_verify_result(ssl);
	struct fault fault = {0};

	fault_make(mqtt, verified, late, code, &fault);
	handle_drop(mqtt);
	if (mqtt->stage == MQTT_CONNECT &&
	    fault.cause == CAUSE_CLOUD_UNAVAILABLE &&
	    mqtt->address + 1 < mqtt->addresses.count) {
		log_debug("%s", fault.text);
		mqtt->address++;
		mqtt_connect(mqtt);
		return;
	}
	loop_timer_set(mqtt->timer, 0);
	mqtt->events.down(mqtt->arg, mqtt->stage, &fault);
}

/* After each call of the library: what has come of it? */
static void
mqtt_progress(struct mqtt *mqtt, int code)
{
	/* Some ends the library tells by closing alone. */
	if (code != MOSQ_ERR_SUCCESS || mqtt->refused ||
	    mosquitto_socket(mqtt->handle) == -1) {
		mqtt_fail(mqtt, false,
		    code == MOSQ_ERR_SUCCESS ? MOSQ_ERR_CONN_LOST : code);
		return;
	}
	loop_watch_events(mqtt->watch, handle_events(mqtt));
	if (mqtt->stage == MQTT_CONNECT && !tls_is_shaking(mqtt)) {
		mqtt->stage = MQTT_GREET;
		mqtt->deadline_ms = clock_deadline(GREET_TIMEOUT_MS);
		loop_timer_set(mqtt->timer, mqtt->deadline_ms);
	}
	if (mqtt->stage == MQTT_SUBSCRIBE && mqtt->subscribed) {
		mqtt->stage = MQTT_UP;
		loop_timer_set(mqtt->timer, clock_deadline(TICK_MS));
		mqtt->events.up(mqtt->arg);
	}
}

static void
mqtt_tick(void *arg)
{
	struct mqtt *mqtt = arg;

	if (mqtt->stage != MQTT_UP) {
		mqtt_fail(mqtt, true, MOSQ_ERR_CONN_LOST);
		return;
	}
	loop_timer_set(mqtt->timer, clock_deadline(TICK_MS));
	mqtt_progress(mqtt, mosquitto_loop_misc(mqtt->handle));
}

static void
mqtt_resolved(void *arg, const struct mqtt_addresses *addresses,
    const struct fault *fault)
{
	struct mqtt *mqtt = arg;
	struct fault why = *fault;

	mqtt->addresses = *addresses;
	mqtt_resolve_close(mqtt->resolve);
	mqtt->resolve = NULL;
	if (mqtt->addresses.count == 0)
		mqtt->events.down(mqtt->arg, MQTT_RESOLVE, &why);
	else
		mqtt_connect(mqtt);
}

/* ---- the connection ---- */

/*
 * Once a process. The library writes to sockets that may have ended. What it
 * receives may be a private key, and it gives memory back as it is: the C
 * library is told to overwrite it.
 */
static bool
library_prepare(void)
{
	static bool ready;

	if (ready)
		return true;
	signal(SIGPIPE, SIG_IGN);
	mallopt(M_PERTURB, FREED_BYTE);
	ready = mosquitto_lib_init() == MOSQ_ERR_SUCCESS;
	return ready;
}

struct mqtt *
mqtt_open(struct loop *loop, const struct mqtt_target *target,
    const struct mqtt_events *events, void *arg, struct fault *fault)
{
	struct mqtt *mqtt = calloc(1, sizeof(*mqtt));

	if (mqtt == NULL || !library_prepare() ||
	    target->topic_count > MQTT_TOPICS_MAX) {
		fault_set(fault, CAUSE_INTERNAL, "no MQTT connection");
		goto fail;
	}
	mqtt->loop = loop;
	mqtt->target = *target;
	mqtt->events = *events;
	mqtt->arg = arg;
	mqtt->timer = loop_timer(loop, mqtt_tick, mqtt);
	if (mqtt->timer == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto fail;
	}
	mqtt->resolve = mqtt_resolve_open(
	    loop, target->tls->host, mqtt_resolved, mqtt, fault);
	if (mqtt->resolve != NULL)
		return mqtt;
fail:
	mqtt_close(mqtt);
	return NULL;
}

void
mqtt_close(struct mqtt *mqtt)
{
	if (mqtt == NULL)
		return;
	mqtt_resolve_close(mqtt->resolve);
	if (mqtt->stage == MQTT_UP && mqtt->handle != NULL)
		/* The broker need not wait for the keep-alive to end. */
		(void)mosquitto_disconnect(mqtt->handle);
	handle_drop(mqtt);
	if (mqtt->timer != NULL)
		loop_timer_free(mqtt->loop, mqtt->timer);
	free(mqtt);
}

int
mqtt_publish(struct mqtt *mqtt, const char *topic, const void *payload,
    size_t len, struct fault *fault)
{
	int code = MOSQ_ERR_NO_CONN;

	if (mqtt->stage == MQTT_UP && mqtt->handle != NULL &&
	    len <= MQTT_PAYLOAD_MAX)
		code = mosquitto_publish(
		    mqtt->handle, NULL, topic, (int)len, payload, QOS, false);
	if (code != MOSQ_ERR_SUCCESS)
		/* What has ended is told from the loop, not from within. */
		loop_timer_set(mqtt->timer, clock_monotonic_ms());
	else
		loop_watch_events(mqtt->watch, handle_events(mqtt));
	if (code == MOSQ_ERR_SUCCESS)
		return 0;
	return fault_set(fault, CAUSE_CLOUD_UNAVAILABLE, "%s: %s", topic,
	    mosquitto_strerror(code));
}
