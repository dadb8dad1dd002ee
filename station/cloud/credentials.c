#include "cloud/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"

/* A piece of a line, borrowed from the file's text. */
struct word {
	const char *text;
	size_t len;
};

/* What of a profile has been read so far. */
struct profile_reader {
	const char *name; /* of the file */
	size_t line;
	enum credentials_file_kind kind;
	const char *profile;
	bool inside;	     /* the section is the profile's */
	const char *foreign; /* a key that needs another provider, or null */
	struct credentials *credentials;
};

void
credentials_wipe(struct credentials *credentials)
{
	OPENSSL_cleanse(credentials, sizeof(*credentials));
}

/*
 * Printable, without spaces: what goes into a header must not end it.
 */
static bool
key_is_clean(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	}
	return len > 0;
}

static int
key_copy(char *to, size_t size, const char *from, size_t len)
{
	if (len >= size || !key_is_clean(from, len))
		return -1;
	memcpy(to, from, len);
	to[len] = '\0';
	return 0;
}

/*
 * Moves a variable's value: 1 taken, 0 absent or empty, -1 malformed. The
 * value is overwritten where the kernel put it, so that neither
 * /proc/PID/environ nor a later getenv shows it.
 */
static int
variable_take(const char *name, char *to, size_t size)
{
	char *value = getenv(name);
	int result;

	if (value == NULL || value[0] == '\0')
		return 0;
	result = key_copy(to, size, value, strlen(value)) == -1 ? -1 : 1;
	OPENSSL_cleanse(value, strlen(value));
	unsetenv(name);
	return result;
}

static int
keys_take(struct credentials_environment *environment, struct fault *fault)
{
	struct credentials *keys = &environment->keys;
	int access, secret, token;

	access = variable_take(
	    "AWS_ACCESS_KEY_ID", keys->access_key, sizeof(keys->access_key));
	secret = variable_take("AWS_SECRET_ACCESS_KEY", keys->secret_key,
	    sizeof(keys->secret_key));
	token = variable_take("AWS_SESSION_TOKEN", keys->session_token,
	    sizeof(keys->session_token));
	if (token == 0)
		token = variable_take("AWS_SECURITY_TOKEN", keys->session_token,
		    sizeof(keys->session_token));
	if (access == -1 || secret == -1 || token == -1)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s in the environment is too long or has characters "
		    "that no AWS key has; give it again",
		    access == -1   ? "AWS_ACCESS_KEY_ID"
		    : secret == -1 ? "AWS_SECRET_ACCESS_KEY"
				   : "AWS_SESSION_TOKEN");
	if (access != secret)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the environment has %s without %s; give both or none",
		    access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		    access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	environment->given = access == 1;
	return 0;
}

static int
path_take(const char *name, const char *fallback, char *to, size_t size)
{
	const char *value = getenv(name), *home = getenv("HOME");
	const struct passwd *passwd = NULL;

	if (value != NULL && value[0] != '\0')
		return text_copy(to, size, value);
	if (home == NULL || home[0] == '\0') {
		passwd = getpwuid(getuid());
		home = passwd != NULL ? passwd->pw_dir : "/";
	}
	return file_join(to, size, home, fallback);
}

int
credentials_environment_take(
    struct credentials_environment *environment, struct fault *fault)
{
	const char *profile = getenv("AWS_PROFILE");

	memset(environment, 0, sizeof(*environment));
	if (keys_take(environment, fault) == -1) {
		credentials_wipe(&environment->keys);
		return -1;
	}
	if (profile == NULL || profile[0] == '\0')
		profile = getenv("AWS_DEFAULT_PROFILE");
	if (profile != NULL && text_copy(environment->profile,
				   sizeof(environment->profile), profile) == -1)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "AWS_PROFILE is longer than %d characters", NAME_LEN - 1);
	if (path_take("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials",
		environment->file, sizeof(environment->file)) == -1 ||
	    path_take("AWS_CONFIG_FILE", ".aws/config",
		environment->config_file,
		sizeof(environment->config_file)) == -1)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "the path of an AWS credentials file is too long");
	return 0;
}

static struct word
word_trim(struct word word)
{
	while (word.len > 0 && strchr(" \t\r", word.text[0]) != NULL) {
		word.text++;
		word.len--;
	}
	while (word.len > 0 && strchr(" \t\r", word.text[word.len - 1]) != NULL)
		word.len--;
	return word;
}

static bool
word_is(struct word word, const char *text)
{
	return word.len == strlen(text) &&
	       strncasecmp(word.text, text, word.len) == 0;
}

/* "[name]", and in the config file "[profile name]". */
static int
section_read(
    struct profile_reader *reader, struct word line, struct fault *fault)
{
	const char *end = memchr(line.text, ']', line.len);
	struct word name;
	bool plain = true;

	if (end == NULL)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s:%zu: a section has no closing bracket", reader->name,
		    reader->line);
	name.text = line.text + 1;
	name.len = (size_t)(end - name.text);
	name = word_trim(name);
	if (reader->kind == CREDENTIALS_FILE_CONFIG && name.len > 8 &&
	    strncmp(name.text, "profile", 7) == 0 &&
	    (name.text[7] == ' ' || name.text[7] == '\t')) {
		name.text += 7;
		name.len -= 7;
		name = word_trim(name);
		plain = false;
	}
	reader->inside = name.len == strlen(reader->profile) &&
			 memcmp(name.text, reader->profile, name.len) == 0 &&
			 (reader->kind == CREDENTIALS_FILE_SHARED || !plain ||
			     strcmp(reader->profile, "default") == 0);
	return 0;
}

/* A value ends at white space with a comment sign behind it. */
static struct word
comment_strip(struct word value)
{
	for (size_t i = 1; i < value.len; i++) {
		if ((value.text[i] == '#' || value.text[i] == ';') &&
		    strchr(" \t", value.text[i - 1]) != NULL) {
			value.len = i;
			break;
		}
	}
	return word_trim(value);
}

/* Keys whose profile gets its credentials from somewhere else. */
static const char *const foreign_keys[] = {
    "role_arn",
    "credential_process",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
    "login_session",
};

static int
pair_read(struct profile_reader *reader, struct word line, struct fault *fault)
{
	struct credentials *credentials = reader->credentials;
	const struct {
		const char *key;
		char *to;
		size_t size;
	} wanted[] = {
	    {"aws_access_key_id", credentials->access_key,
		sizeof(credentials->access_key)},
	    {"aws_secret_access_key", credentials->secret_key,
		sizeof(credentials->secret_key)},
	    {"aws_session_token", credentials->session_token,
		sizeof(credentials->session_token)},
	};
	const char *equals = memchr(line.text, '=', line.len);
	struct word key, value;

	if (equals == NULL)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s:%zu: a line is neither [profile], key = value nor a "
		    "comment",
		    reader->name, reader->line);
	key.text = line.text;
	key.len = (size_t)(equals - line.text);
	key = word_trim(key);
	value.text = equals + 1;
	value.len = line.len - (size_t)(equals + 1 - line.text);
	value = comment_strip(word_trim(value));
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (!word_is(key, wanted[i].key))
			continue;
		if (key_copy(wanted[i].to, wanted[i].size, value.text,
			value.len) == -1)
			return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
			    "%s:%zu: %s is empty, too long or has characters "
			    "that no AWS key has",
			    reader->name, reader->line, wanted[i].key);
	}
	for (size_t i = 0; i < sizeof(foreign_keys) / sizeof(foreign_keys[0]);
	     i++) {
		if (word_is(key, foreign_keys[i]))
			reader->foreign = foreign_keys[i];
	}
	return 0;
}

static int
line_read(struct profile_reader *reader, struct word line, struct fault *fault)
{
	bool nested = line.len > 0 && strchr(" \t", line.text[0]) != NULL;

	line = word_trim(line);
	if (line.len == 0 || line.text[0] == '#' || line.text[0] == ';')
		return 0;
	if (line.text[0] == '[')
		return section_read(reader, line, fault);
	/* Indented lines belong to settings of single services (s3 =). */
	if (!reader->inside || nested)
		return 0;
	return pair_read(reader, line, fault);
}

/* 1 when the profile had keys, 0 when not, -1 when it had half of them or
 * gets them in a way that the station has not. */
static int
profile_judge(const struct profile_reader *reader, struct fault *fault)
{
	const struct credentials *credentials = reader->credentials;
	bool access = credentials->access_key[0] != '\0';
	bool secret = credentials->secret_key[0] != '\0';

	if (access != secret)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s: profile %s has %s without %s", reader->name,
		    reader->profile,
		    access ? "aws_access_key_id" : "aws_secret_access_key",
		    access ? "aws_secret_access_key" : "aws_access_key_id");
	if (!access && reader->foreign != NULL)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s: profile %s gets its keys by %s, which the station "
		    "does not do; put keys into the profile or into the "
		    "environment",
		    reader->name, reader->profile, reader->foreign);
	return access;
}

static int
lines_read(struct profile_reader *reader, const char *text, size_t len,
    struct fault *fault)
{
	static const char mark[] = "\xef\xbb\xbf"; /* byte order mark */
	size_t at = len >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;

	while (at < len) {
		const char *end = memchr(text + at, '\n', len - at);
		struct word line = {text + at,
		    end != NULL ? (size_t)(end - text) - at : len - at};

		reader->line++;
		at += line.len + 1;
		if (line.len > 0 && memchr(line.text, '\0', line.len) != NULL)
			return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
			    "%s:%zu: a NUL byte: this is not a credentials "
			    "file",
			    reader->name, reader->line);
		if (line_read(reader, line, fault) == -1)
			return -1;
	}
	return 0;
}

int
credentials_parse(const char *name, const char *text, size_t len,
    enum credentials_file_kind kind, const char *profile,
    struct credentials *credentials, struct fault *fault)
{
	struct profile_reader reader = {
	    .name = name,
	    .kind = kind,
	    .profile = profile,
	    .credentials = credentials,
	};
	int found;

	credentials_wipe(credentials);
	found = lines_read(&reader, text, len, fault);
	if (found == 0)
		found = profile_judge(&reader, fault);
	if (found != 1)
		credentials_wipe(credentials);
	return found;
}

/* As credentials_parse; a file that does not exist holds no keys. */
static int
file_parse(const char *path, enum credentials_file_kind kind,
    const char *profile, struct credentials *credentials, struct fault *fault)
{
	struct stat status;
	char *text = NULL;
	size_t len = 0;
	int fd, found = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd == -1 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd == -1) {
		fault_set_errno(fault, CAUSE_CLOUD_CREDENTIALS, errno,
		    "%s cannot be read", path);
		goto out;
	}
	if (fstat(fd, &status) == 0 && (status.st_mode & 077) != 0)
		log_warning("%s can be read by others; chmod 600 it", path);
	if (file_read_fd(fd, path, CREDENTIALS_FILE_MAX, &text, &len, fault) ==
	    -1) {
		if (fault != NULL)
			fault->cause = CAUSE_CLOUD_CREDENTIALS;
		goto out;
	}
	found = credentials_parse(
	    path, text, len, kind, profile, credentials, fault);
out:
	if (text != NULL)
		OPENSSL_cleanse(text, len);
	free(text);
	if (fd != -1)
		close(fd);
	return found;
}

int
credentials_find(const struct config_cloud *cloud,
    const struct credentials_environment *environment,
    struct credentials *credentials, struct fault *fault)
{
	const char *file = cloud->credentials_file[0] != '\0'
			       ? cloud->credentials_file
			       : environment->file;
	const char *profile = cloud->credentials_profile[0] != '\0'
				  ? cloud->credentials_profile
				  : environment->profile;
	/* As in the AWS tools: a profile in code or configuration is a choice
	 * against the environment's keys, AWS_PROFILE is not. */
	bool chosen = cloud->credentials_profile[0] != '\0' ||
		      cloud->credentials_file[0] != '\0';
	int found = 0;

	if (profile[0] == '\0')
		profile = "default";
	if (environment->given && cloud->credentials != CREDENTIAL_FILE &&
	    (cloud->credentials == CREDENTIAL_ENVIRONMENT || !chosen)) {
		*credentials = environment->keys;
		return 0;
	}
	if (cloud->credentials == CREDENTIAL_ENVIRONMENT)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "cloud %s takes its credentials from the environment, "
		    "which has no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
		    cloud->name);
	found = file_parse(
	    file, CREDENTIALS_FILE_SHARED, profile, credentials, fault);
	if (found == 0)
		found = file_parse(environment->config_file,
		    CREDENTIALS_FILE_CONFIG, profile, credentials, fault);
	if (found == 0)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "cloud %s: no keys for profile %s in %s or %s%s",
		    cloud->name, profile, file, environment->config_file,
		    cloud->credentials == CREDENTIAL_DEFAULT
			? ", and none in the environment"
			: "");
	return found == 1 ? 0 : -1;
}
