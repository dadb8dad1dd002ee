#include "cloud/confine.h"

#include <libgen.h>
#include <string.h>

#include "base/buf.h"
#include "base/sandbox.h"
#include "cloud/credentials_plan.h"
#include "pki/key.h"

/* The texts live until the sandbox is entered. */
struct readable {
	struct sandbox_paths paths;
	char texts[SANDBOX_PATHS_MAX][PATH_LEN];
	size_t count;
	bool full;
};

static void
path_add(struct readable *readable, const char *path)
{
	size_t i = 0;

	if (path[0] == '\0')
		return;
	while (i < readable->count && strcmp(readable->texts[i], path) != 0)
		i++;
	if (i < readable->count)
		return;
	if (readable->count + 1 == SANDBOX_PATHS_MAX) {
		readable->full = true;
		return;
	}
	text_copy(readable->texts[i], PATH_LEN, path);
	readable->paths.read[i] = readable->texts[i];
	readable->count++;
}

/*
 * A rule for a file is bound to its inode; what is replaced by renaming has
 * its folder named.
 */
static void
folder_add(struct readable *readable, const char *path)
{
	char copy[PATH_LEN];

	if (path[0] != '\0' && text_copy(copy, sizeof(copy), path) == 0)
		path_add(readable, dirname(copy));
}

/*
 * The token file of a web identity may stand in a profile. What is wrong with
 * the profile is told when a lot needs it.
 */
static int
web_token_add(struct readable *readable, const struct config_cloud *cloud,
    const struct credentials_environment *environment, struct fault *fault)
{
	struct secret secret = {0};
	struct credentials_plan *plan;
	struct fault none;

	if (secret_alloc(&secret, sizeof(*plan), fault) == -1)
		return -1;
	plan = (void *)secret.data;
	if (credentials_plan(cloud, environment, plan, &none) == 0)
		folder_add(readable, plan->web_token_file);
	secret_free(&secret);
	return 0;
}

int
cloud_confine(const struct station_config *config,
    const struct credentials_environment *environment, struct fault *fault)
{
	static struct readable readable;

	/* Where /etc/resolv.conf may point to. */
	path_add(&readable, "/run/systemd/resolve");
	folder_add(&readable, environment->file);
	folder_add(&readable, environment->config_file);
	folder_add(&readable, environment->web_token_file);
	folder_add(&readable, environment->container_token_file);
	for (uint32_t i = 0; i < config->cloud_count; i++) {
		const struct config_cloud *cloud = &config->clouds[i];

		path_add(&readable, cloud->ca_file);
		folder_add(&readable, cloud->credentials_file);
		folder_add(&readable, cloud->iot.certificate);
		folder_add(&readable, cloud->iot.key);
		if (web_token_add(&readable, cloud, environment, fault) == -1)
			return -1;
	}
	if (readable.full)
		return fault_set(fault, CAUSE_BAD_CONFIG,
		    "the clouds name files in more than %d places",
		    SANDBOX_PATHS_MAX - 1);
	return sandbox_enter(ROLE_CLOUD, &readable.paths, fault);
}
