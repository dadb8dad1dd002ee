#include "cloud/endpoint.h"

#include <string.h>

int
endpoint_parse(struct endpoint *endpoint, const char *url, struct fault *fault)
{
	static const char scheme[] = "https://";
	size_t len = strlen(url), prefix = sizeof(scheme) - 1;
	const char *host = url + prefix;

	if (strncmp(url, scheme, prefix) != 0)
		goto bad;
	while (len > prefix && url[len - 1] == '/')
		len--;
	if (len == prefix || len >= sizeof(endpoint->url) ||
	    len - prefix >= sizeof(endpoint->host) ||
	    strcspn(host, "/?#@ ") < len - prefix)
		goto bad;
	memcpy(endpoint->url, url, len);
	endpoint->url[len] = '\0';
	memcpy(endpoint->host, host, len - prefix);
	endpoint->host[len - prefix] = '\0';
	len -= prefix;
	if (len > 4 && strcmp(endpoint->host + len - 4, ":443") == 0)
		endpoint->host[len - 4] = '\0';
	return 0;
bad:
	return fault_set(fault, CAUSE_BAD_CONFIG,
	    "endpoint %s is not https://HOST or https://HOST:PORT", url);
}
