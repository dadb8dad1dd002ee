/* Where a service answers. */
#ifndef CLOUD_ENDPOINT_H
#define CLOUD_ENDPOINT_H

#include "base/fault.h"

struct endpoint {
	char url[300];	/* without a slash at its end */
	char host[280]; /* as in the Host header: a port only if not 443 */
};

/*
 * Splits "https://host[:port][/]". CAUSE_BAD_CONFIG when it is anything
 * else.
 */
int endpoint_parse(struct endpoint *, const char *url, struct fault *);

#endif
