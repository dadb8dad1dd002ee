/*
 * One profile of the AWS tools' shared files, as it stands there.
 *
 * "Shared config and credentials files", AWS SDKs and Tools Reference Guide:
 * the credentials file names a profile [name], the config file
 * [profile name] or [default]. credentials_plan.c makes sense of what was
 * read; the tool role takes its command from here.
 */
#ifndef CLOUD_CREDENTIALS_FILE_H
#define CLOUD_CREDENTIALS_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fault.h"
#include "cloud/credentials.h"

enum {
	CREDENTIALS_FILE_MAX = 1024 * 1024,
	CREDENTIALS_COMMAND_LEN = 2048,
};

enum credentials_file_kind {
	CREDENTIALS_FILE_SHARED,
	CREDENTIALS_FILE_CONFIG,
};

/*
 * Absent settings are empty. Secret because of its keys; wiped by
 * credentials_profile_wipe.
 */
struct credentials_profile {
	bool present; /* the file has such a section */
	struct credentials keys;
	char role_arn[ROLE_ARN_LEN];
	char source_profile[NAME_LEN];
	char credential_source[32];
	char external_id[EXTERNAL_ID_LEN];
	char role_session_name[ROLE_SESSION_LEN];
	char duration_seconds[8];
	char mfa_serial[256];
	char web_identity_token_file[PATH_LEN];
	char credential_process[CREDENTIALS_COMMAND_LEN];
	char sso[NAME_LEN];	      /* sso_session or sso_start_url is set */
	char login_session[NAME_LEN]; /* is set: not the text itself */
};
void credentials_profile_wipe(struct credentials_profile *);

/*
 * Reads one profile out of a file's text (len bytes, with a NUL behind).
 * -1 with CAUSE_CLOUD_CREDENTIALS and a wiped profile when the file is
 * malformed, has half of a pair of keys or a setting that is too long.
 * `name` is the file's, for the fault's text, which never quotes a value.
 */
int credentials_parse(const char *name, const char *text, size_t len,
    enum credentials_file_kind, const char *wanted,
    struct credentials_profile *, struct fault *);

/*
 * The same from a path; a file that does not exist has no profile. One that
 * others may read is warned of when it holds keys.
 */
int credentials_file_read(const char *path, enum credentials_file_kind,
    const char *wanted, struct credentials_profile *, struct fault *);

#endif
