/*
 * The addresses of a name, asked for in a thread of the C library: a name
 * server that does not answer must not hold the role's other requests.
 *
 * libmosquitto would ask in its call to connect, and wait there; with an
 * address it has nothing to ask. An address given as text, and "localhost",
 * whose addresses are known without asking (RFC 6761, 6.3), need no thread.
 */
#ifndef CLOUD_MQTT_RESOLVE_H
#define CLOUD_MQTT_RESOLVE_H

#include <netinet/in.h>
#include <stddef.h>

#include "base/fault.h"
#include "base/loop.h"

enum {
	ADDRESSES_MAX = 4
};

/* In the order in which they are to be tried (RFC 6724). */
struct mqtt_addresses {
	size_t count;
	char text[ADDRESSES_MAX][INET6_ADDRSTRLEN];
};

struct mqtt_resolve; /* opaque; one question */

/*
 * done(arg) is called from the loop, never from within; count 0 comes with a
 * fault. The question is the caller's to close, also behind done. Null when
 * it cannot be asked.
 */
struct mqtt_resolve *mqtt_resolve_open(struct loop *, const char *host,
    void (*done)(
	void *arg, const struct mqtt_addresses *, const struct fault *),
    void *arg, struct fault *);
/* Ends it without a call of done. Null is fine. */
void mqtt_resolve_close(struct mqtt_resolve *);

#endif
