/*
 * The station's AWS credentials, and what the environment says about them.
 *
 * role.c takes the environment before the sandbox. Where credentials come
 * from is decided by credentials_plan.h, they are fetched by
 * credentials_fetch.h and kept fresh by keyring.h; all three share these
 * structs.
 */
#ifndef CLOUD_CREDENTIALS_H
#define CLOUD_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/message.h"

enum {
	ACCESS_KEY_LEN = 129,
	SECRET_KEY_LEN = 257,
	SESSION_TOKEN_LEN = 8193, /* with its NUL, as are the others */
	ROLE_ARN_LEN = 2049,	  /* STS takes 20..2048 */
	ROLE_SESSION_LEN = 65,	  /* 2..64 */
	EXTERNAL_ID_LEN = 1225,	  /* 2..1224 */
};

/* Secret: lives in locked memory, wiped by credentials_wipe. */
struct credentials {
	char access_key[ACCESS_KEY_LEN];
	char secret_key[SECRET_KEY_LEN];
	char session_token[SESSION_TOKEN_LEN]; /* or empty */
	int64_t expires_wall_ms;	       /* by AWS's clock; 0: never */
};
void credentials_wipe(struct credentials *);
/* Equal keys and token; the time of their end does not count. */
bool credentials_equal(const struct credentials *, const struct credentials *);

/*
 * Copies len bytes into a member of that size. -1 when they are empty, too
 * long, or have anything but printable ASCII without spaces: what goes into a
 * header must not end it.
 */
int credentials_copy(char *to, size_t size, const char *from, size_t len);

/*
 * What the environment said when the role started ("Settings reference", AWS
 * SDKs and Tools Reference Guide); texts that were absent are empty.
 */
struct credentials_environment {
	bool given; /* `keys` holds an access key and its secret */
	struct credentials keys;
	char profile[NAME_LEN];	    /* AWS_PROFILE */
	char file[PATH_LEN];	    /* the shared credentials file */
	char config_file[PATH_LEN]; /* the shared config file */

	/* AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME */
	char web_token_file[PATH_LEN];
	char role_arn[ROLE_ARN_LEN];
	char role_session[ROLE_SESSION_LEN];

	/* AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, ..._FULL_URI and
	 * AWS_CONTAINER_AUTHORIZATION_TOKEN (secret), ..._TOKEN_FILE */
	char container_relative[512];
	char container_full[512];
	char container_token[SESSION_TOKEN_LEN];
	char container_token_file[PATH_LEN];

	bool instance_disabled;	     /* AWS_EC2_METADATA_DISABLED */
	char instance_endpoint[256]; /* without a slash at its end */
	uint32_t instance_timeout_ms, instance_tries;
};

/*
 * Takes the AWS_* variables and wipes the secret ones from the process's
 * environment. CAUSE_CLOUD_CREDENTIALS when they are malformed: an access
 * key without its secret, a text that is too long, or bytes that no key has.
 * `environment` must lie in locked memory.
 */
int
credentials_environment_take(struct credentials_environment *, struct fault *);

#endif
