/*
 * The station's AWS credentials: from the environment or from the files that
 * the AWS tools share.
 *
 * Called by role.c before the sandbox (the environment) and by account.c when
 * a lot comes and again when AWS says that they have expired. The order is
 * that of the AWS tools ("Standardized credential providers", AWS SDKs and
 * Tools Reference Guide): a profile that the configuration names
 * wins over keys in the environment; then the environment, the shared
 * credentials file, the config file. Profiles that need another program or
 * service to get keys (role_arn, sso_*, credential_process) are refused with
 * that reason.
 */
#ifndef CLOUD_CREDENTIALS_H
#define CLOUD_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fault.h"
#include "base/message.h"
#include "lot/config.h"

enum {
	ACCESS_KEY_LEN = 129,
	SECRET_KEY_LEN = 257,
	SESSION_TOKEN_LEN = 8193,
	CREDENTIALS_FILE_MAX = 1024 * 1024,
};

/* Secret: lives in locked memory, wiped by credentials_wipe. */
struct credentials {
	char access_key[ACCESS_KEY_LEN];
	char secret_key[SECRET_KEY_LEN];
	char session_token[SESSION_TOKEN_LEN]; /* or empty */
};
void credentials_wipe(struct credentials *);

/* What the environment said when the role started. */
struct credentials_environment {
	bool given; /* `keys` holds an access key and its secret */
	struct credentials keys;
	char profile[NAME_LEN];	    /* AWS_PROFILE, or empty */
	char file[PATH_LEN];	    /* the shared credentials file */
	char config_file[PATH_LEN]; /* the shared config file */
};

/*
 * Takes the AWS_* variables and wipes their values from the process's
 * environment. CAUSE_CLOUD_CREDENTIALS when they are malformed: an access
 * key without its secret, or bytes that no key has.
 */
int
credentials_environment_take(struct credentials_environment *, struct fault *);

/*
 * Finds the credentials for a cloud profile of the configuration. The fault
 * says where they were looked for; CAUSE_CLOUD_CREDENTIALS.
 */
int credentials_find(const struct config_cloud *,
    const struct credentials_environment *, struct credentials *,
    struct fault *);

/* The two kinds of shared file name their profiles differently. */
enum credentials_file_kind {
	CREDENTIALS_FILE_SHARED, /* [name] */
	CREDENTIALS_FILE_CONFIG, /* [profile name], [default] */
};

/*
 * Reads one profile out of a file's text (len bytes, with a NUL behind). 1
 * when it holds keys, 0 when it does not, -1 with a fault. `name` is for the
 * fault's text, which never quotes the file.
 */
int credentials_parse(const char *name, const char *text, size_t len,
    enum credentials_file_kind, const char *profile, struct credentials *,
    struct fault *);

#endif
