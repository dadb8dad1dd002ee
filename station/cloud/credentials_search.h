/*
 * What credentials_plan.c (the order) and credentials_origin.c (each origin)
 * share while they search.
 */
#ifndef CLOUD_CREDENTIALS_SEARCH_H
#define CLOUD_CREDENTIALS_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cloud/credentials_file.h"
#include "cloud/credentials_plan.h"

/* One profile, as both files have it. */
struct profile_pair {
	struct credentials_profile shared, config;
};

/* The credentials file's setting wins over the config file's. */
#define SETTING(pair, member)                                     \
	((pair)->shared.member[0] != '\0' ? (pair)->shared.member \
					  : (pair)->config.member)

/* What a search goes by; all in one piece of locked memory. */
struct search {
	const struct config_cloud *cloud;
	const struct credentials_environment *environment;
	const char *file; /* the shared credentials file */
	struct credentials_plan *plan;
	struct fault *fault;
	struct profile_pair pair;
	/* Profiles on the way from role to role. */
	char visited[CREDENTIALS_ROLES_MAX + 1][NAME_LEN];
	uint32_t visited_count;
};

/* Reads that profile of both files into the pair; -1 with the fault. */
int search_read(struct search *, const char *profile);
/* -1 with CAUSE_CLOUD_CREDENTIALS and the cloud's name before the text. */
int search_refuse(struct search *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Each of these: 1 it is the one, and the plan says so; 0 it is not set up;
 * -1 it is refused. Those with a profile look at the pair, which is its.
 */
int origin_environment(struct search *);
int origin_shared_keys(struct search *, const char *profile);
int origin_config_keys(struct search *, const char *profile);
int origin_process(struct search *, const char *profile);
int origin_sso(struct search *, const char *profile);
int origin_login(struct search *, const char *profile);
/* With `environment` AWS_WEB_IDENTITY_TOKEN_FILE and its like count too. */
int origin_web_identity(struct search *, const char *profile, bool environment);
int origin_container(struct search *);
int origin_instance(struct search *);
int origin_iot(struct search *);

#endif
