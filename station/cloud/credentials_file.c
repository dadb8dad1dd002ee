#include "cloud/credentials_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

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
	const char *wanted; /* the profile's name */
	bool inside;	    /* the section is the profile's */
	struct credentials_profile *profile;
};

void
credentials_profile_wipe(struct credentials_profile *profile)
{
	OPENSSL_cleanse(profile, sizeof(*profile));
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
	reader->inside = name.len == strlen(reader->wanted) &&
			 memcmp(name.text, reader->wanted, name.len) == 0 &&
			 (reader->kind == CREDENTIALS_FILE_SHARED || !plain ||
			     strcmp(reader->wanted, "default") == 0);
	if (reader->inside)
		reader->profile->present = true;
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

static int
key_set(struct profile_reader *reader, const char *key, char *to, size_t size,
    struct word value, struct fault *fault)
{
	if (credentials_copy(to, size, value.text, value.len) == 0)
		return 0;
	return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
	    "%s:%zu: %s is empty, too long or has characters that no AWS key "
	    "has",
	    reader->name, reader->line, key);
}

static int
setting_set(struct profile_reader *reader, const char *key, char *to,
    size_t size, struct word value, struct fault *fault)
{
	if (value.len >= size)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s:%zu: %s is longer than %zu characters", reader->name,
		    reader->line, key, size - 1);
	memcpy(to, value.text, value.len);
	to[value.len] = '\0';
	return 0;
}

enum setting_kind {
	SETTING_KEY,  /* goes into a header */
	SETTING_TEXT, /* a name, a path, a command */
	SETTING_MARK, /* only that it is there counts */
};

static int
pair_set(struct profile_reader *reader, struct word key, struct word value,
    struct fault *fault)
{
	struct credentials_profile *to = reader->profile;
#define SETTING(kind, name, member)                                  \
	{                                                            \
		name, SETTING_##kind, to->member, sizeof(to->member) \
	}
	const struct {
		const char *name;
		enum setting_kind kind;
		char *to;
		size_t size;
	} settings[] = {
	    SETTING(KEY, "aws_access_key_id", keys.access_key),
	    SETTING(KEY, "aws_secret_access_key", keys.secret_key),
	    SETTING(KEY, "aws_session_token", keys.session_token),
	    SETTING(TEXT, "role_arn", role_arn),
	    SETTING(TEXT, "source_profile", source_profile),
	    SETTING(TEXT, "credential_source", credential_source),
	    SETTING(TEXT, "external_id", external_id),
	    SETTING(TEXT, "role_session_name", role_session_name),
	    SETTING(TEXT, "duration_seconds", duration_seconds),
	    SETTING(TEXT, "mfa_serial", mfa_serial),
	    SETTING(TEXT, "web_identity_token_file", web_identity_token_file),
	    SETTING(TEXT, "credential_process", credential_process),
	    SETTING(MARK, "sso_session", sso),
	    SETTING(MARK, "sso_start_url", sso),
	    SETTING(MARK, "login_session", login_session),
	};
#undef SETTING

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		const char *name = settings[i].name;

		if (!word_is(key, name))
			continue;
		if (settings[i].kind == SETTING_KEY)
			return key_set(reader, name, settings[i].to,
			    settings[i].size, value, fault);
		if (settings[i].kind == SETTING_MARK) {
			value.text = name;
			value.len = strlen(name);
		}
		return setting_set(reader, name, settings[i].to,
		    settings[i].size, value, fault);
	}
	return 0;
}

static int
pair_read(struct profile_reader *reader, struct word line, struct fault *fault)
{
	const char *equals = memchr(line.text, '=', line.len);
	struct word key, value;

	if (equals == NULL)
		return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
		    "%s:%zu: a line is neither [profile], key = value nor a "
		    "comment",
		    reader->name, reader->line);
	key.text = line.text;
	key.len = (size_t)(equals - line.text);
	value.text = equals + 1;
	value.len = line.len - (size_t)(equals + 1 - line.text);
	return pair_set(
	    reader, word_trim(key), comment_strip(word_trim(value)), fault);
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

static int
keys_judge(const struct profile_reader *reader, struct fault *fault)
{
	const struct credentials *keys = &reader->profile->keys;
	bool access = keys->access_key[0] != '\0';
	bool secret = keys->secret_key[0] != '\0';

	if (access == secret)
		return 0;
	return fault_set(fault, CAUSE_CLOUD_CREDENTIALS,
	    "%s: profile %s has %s without %s", reader->name, reader->wanted,
	    access ? "aws_access_key_id" : "aws_secret_access_key",
	    access ? "aws_secret_access_key" : "aws_access_key_id");
}

int
credentials_parse(const char *name, const char *text, size_t len,
    enum credentials_file_kind kind, const char *wanted,
    struct credentials_profile *profile, struct fault *fault)
{
	struct profile_reader reader = {
	    .name = name,
	    .kind = kind,
	    .wanted = wanted,
	    .profile = profile,
	};

	credentials_profile_wipe(profile);
	if (lines_read(&reader, text, len, fault) == -1 ||
	    keys_judge(&reader, fault) == -1) {
		credentials_profile_wipe(profile);
		return -1;
	}
	return 0;
}

int
credentials_file_read(const char *path, enum credentials_file_kind kind,
    const char *wanted, struct credentials_profile *profile,
    struct fault *fault)
{
	struct stat status;
	char *text = NULL;
	size_t len = 0;
	int fd, result = -1;

	credentials_profile_wipe(profile);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd == -1 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd == -1) {
		fault_set_errno(fault, CAUSE_CLOUD_CREDENTIALS, errno,
		    "%s cannot be read", path);
		goto out;
	}
	if (file_read_fd(fd, path, CREDENTIALS_FILE_MAX, &text, &len, fault) ==
	    -1) {
		if (fault != NULL)
			fault->cause = CAUSE_CLOUD_CREDENTIALS;
		goto out;
	}
	result =
	    credentials_parse(path, text, len, kind, wanted, profile, fault);
	if (profile->keys.secret_key[0] != '\0' && fstat(fd, &status) == 0 &&
	    (status.st_mode & 077) != 0)
		log_warning("%s can be read by others; chmod 600 it", path);
out:
	if (text != NULL)
		OPENSSL_cleanse(text, len);
	free(text);
	if (fd != -1)
		close(fd);
	return result;
}
