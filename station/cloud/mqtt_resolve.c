#include "cloud/mqtt_resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"

enum {
	LOOK_FIRST_MS = 5,
	LOOK_MOST_MS = 100,
};

struct mqtt_resolve {
	struct loop *loop;
	struct loop_timer *timer;
	char host[NI_MAXHOST];
	struct addrinfo hints;
	struct gaicb question;
	bool asked;	/* a thread has the question */
	bool abandoned; /* nobody waits; the thread has not ended yet */
	int64_t look_ms;
	struct mqtt_addresses addresses;
	void (*done)(
	    void *arg, const struct mqtt_addresses *, const struct fault *);
	void *arg;
};

static void
resolve_free(struct mqtt_resolve *resolve)
{
	if (resolve->question.ar_result != NULL)
		freeaddrinfo(resolve->question.ar_result);
	if (resolve->timer != NULL)
		loop_timer_free(resolve->loop, resolve->timer);
	free(resolve);
}

static void
address_add(struct mqtt_addresses *addresses, const struct sockaddr *address)
{
	const struct sockaddr_in *four = (const void *)address;
	const struct sockaddr_in6 *six = (const void *)address;
	char *to = addresses->text[addresses->count];
	const char *text = NULL;

	if (address->sa_family == AF_INET)
		text =
		    inet_ntop(AF_INET, &four->sin_addr, to, INET6_ADDRSTRLEN);
	else if (address->sa_family == AF_INET6)
		text =
		    inet_ntop(AF_INET6, &six->sin6_addr, to, INET6_ADDRSTRLEN);
	addresses->count += text != NULL;
}

static void
resolve_answered(struct mqtt_resolve *resolve, int error)
{
	const struct addrinfo *each = resolve->question.ar_result;
	struct fault fault = {0};

	for (; error == 0 && each != NULL &&
	       resolve->addresses.count < ADDRESSES_MAX;
	     each = each->ai_next)
		address_add(&resolve->addresses, each->ai_addr);
	if (resolve->addresses.count == 0)
		fault_set(&fault, CAUSE_CLOUD_UNAVAILABLE,
		    "no address of %s: %s", resolve->host,
		    error != 0 ? gai_strerror(error) : "none is usable");
	resolve->done(resolve->arg, &resolve->addresses, &fault);
}

/*
 * The library has a notification by signal or by a thread of its own only;
 * to look again, soon at first, costs less than either.
 */
static void
resolve_look(void *arg)
{
	struct mqtt_resolve *resolve = arg;
	int error = resolve->asked ? gai_error(&resolve->question) : 0;

	if (error == EAI_INPROGRESS) {
		loop_timer_set(
		    resolve->timer, clock_deadline(resolve->look_ms));
		if (resolve->look_ms < LOOK_MOST_MS)
			resolve->look_ms *= 2;
		return;
	}
	resolve->asked = false;
	if (resolve->abandoned)
		resolve_free(resolve);
	else
		resolve_answered(resolve, error);
}

/* True when nobody needs to be asked. */
static bool
address_is_known(struct mqtt_addresses *addresses, const char *host)
{
	struct in6_addr address;

	if (strcasecmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &address) != 1 &&
	    inet_pton(AF_INET6, host, &address) != 1)
		return false;
	return text_copy(addresses->text[addresses->count++], INET6_ADDRSTRLEN,
		   host) == 0;
}

struct mqtt_resolve *
mqtt_resolve_open(struct loop *loop, const char *host,
    void (*done)(
	void *arg, const struct mqtt_addresses *, const struct fault *),
    void *arg, struct fault *fault)
{
	struct mqtt_resolve *resolve = calloc(1, sizeof(*resolve));
	struct gaicb *list[1];

	if (resolve == NULL)
		goto fail;
	resolve->loop = loop;
	resolve->done = done;
	resolve->arg = arg;
	resolve->look_ms = LOOK_FIRST_MS;
	resolve->timer = loop_timer(loop, resolve_look, resolve);
	if (resolve->timer == NULL ||
	    text_copy(resolve->host, sizeof(resolve->host), host) == -1)
		goto fail;
	loop_timer_set(resolve->timer, clock_monotonic_ms());
	if (address_is_known(&resolve->addresses, host))
		return resolve;
	resolve->hints.ai_family = AF_UNSPEC;
	resolve->hints.ai_socktype = SOCK_STREAM;
	resolve->hints.ai_flags = AI_ADDRCONFIG;
	resolve->question.ar_name = resolve->host;
	resolve->question.ar_request = &resolve->hints;
	list[0] = &resolve->question;
	resolve->asked = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) == 0;
	if (resolve->asked)
		return resolve;
fail:
	fault_set(fault, CAUSE_INTERNAL, "%s cannot be looked up", host);
	if (resolve != NULL)
		resolve_free(resolve);
	return NULL;
}

void
mqtt_resolve_close(struct mqtt_resolve *resolve)
{
	if (resolve == NULL)
		return;
	/* A question under way belongs to its thread until that has ended. */
	if (resolve->asked && gai_cancel(&resolve->question) == EAI_NOTCANCELED)
		resolve->abandoned = true;
	else
		resolve_free(resolve);
}
