#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cloud/credentials.h"

static const char *const variables[] = {"AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE"};

/* A folder that stands for HOME, and an environment without AWS_*. */
static char folder[64];

static int
folder_open(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	strcpy(folder, "/tmp/credentials-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	return setenv("HOME", folder, 1);
}

static int
folder_close(void **state)
{
	static const char *const names[] = {
	    "/.aws/credentials", "/.aws/config", "/other", "/.aws", ""};
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", folder, names[i]);
		remove(path);
	}
	return 0;
}

static void
file_put(const char *name, const char *text)
{
	char path[128];
	struct fault fault = {0};

	snprintf(path, sizeof(path), "%s/.aws", folder);
	file_make_folders(path, 0700, &fault);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(file_write(path, text, strlen(text), 0600, &fault), 0);
}

static int
find(const struct config_cloud *cloud, struct credentials *found,
    struct fault *fault)
{
	static struct credentials_environment environment;

	fault_clear(fault);
	if (credentials_environment_take(&environment, fault) == -1)
		return -1;
	return credentials_find(cloud, &environment, found, fault);
}

static void
test_environment_is_taken_and_wiped(void **state)
{
	struct config_cloud cloud = {.credentials = CREDENTIAL_DEFAULT};
	struct credentials found;
	struct fault fault;
	char *kept;

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret/env+", 1);
	setenv("AWS_SESSION_TOKEN", "token==", 1);
	kept = getenv("AWS_SECRET_ACCESS_KEY");
	assert_int_equal(find(&cloud, &found, &fault), 0);
	assert_string_equal(found.access_key, "AKIDENV");
	assert_string_equal(found.secret_key, "secret/env+");
	assert_string_equal(found.session_token, "token==");
	assert_null(getenv("AWS_SECRET_ACCESS_KEY"));
	assert_null(getenv("AWS_SESSION_TOKEN"));
	assert_int_equal(kept[0], '\0');
	credentials_wipe(&found);
	assert_int_equal(found.secret_key[0], '\0');
}

static void
test_environment_that_is_wrong(void **state)
{
	struct config_cloud cloud = {.credentials = CREDENTIAL_ENVIRONMENT};
	struct credentials found;
	struct fault fault;

	(void)state;
	strcpy(cloud.name, "prod");
	assert_int_equal(find(&cloud, &found, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_CLOUD_CREDENTIALS);
	assert_non_null(strstr(fault.text, "prod"));
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	assert_int_equal(find(&cloud, &found, &fault), -1);
	assert_non_null(strstr(fault.text, "AWS_SECRET_ACCESS_KEY"));
	/* A line break would end the header that carries the key. */
	setenv("AWS_ACCESS_KEY_ID", "AKID\r\nX: y", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	assert_int_equal(find(&cloud, &found, &fault), -1);
	assert_null(strstr(fault.text, "AKID\r"));
}

static void
test_order_of_sources(void **state)
{
	struct config_cloud cloud = {.credentials = CREDENTIAL_DEFAULT};
	struct credentials found;
	struct fault fault;
	char path[96];

	(void)state;
	file_put(".aws/credentials", "[default]\naws_access_key_id=AKIDSHARED\n"
				     "aws_secret_access_key=s1\n");
	file_put(".aws/config",
	    "[default]\naws_access_key_id=AKIDCONFIG\n"
	    "aws_secret_access_key=s2\n[profile p]\n"
	    "aws_access_key_id=AKIDPROFILE\naws_secret_access_key=s3\n");
	file_put("other",
	    "[q]\naws_access_key_id=AKIDOTHER\naws_secret_access_key=s4\n");
	assert_int_equal(find(&cloud, &found, &fault), 0);
	assert_string_equal(found.access_key, "AKIDSHARED");
	/* AWS_PROFILE, and a profile that only the config file has. */
	setenv("AWS_PROFILE", "p", 1);
	assert_int_equal(find(&cloud, &found, &fault), 0);
	assert_string_equal(found.access_key, "AKIDPROFILE");
	/* Keys in the environment win over AWS_PROFILE ... */
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s5", 1);
	assert_int_equal(find(&cloud, &found, &fault), 0);
	assert_string_equal(found.access_key, "AKIDENV");
	/* ... but not over a profile that the configuration names. */
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s5", 1);
	strcpy(cloud.credentials_profile, "default");
	assert_int_equal(find(&cloud, &found, &fault), 0);
	assert_string_equal(found.access_key, "AKIDSHARED");
	/* The configuration's file before the environment's. */
	snprintf(path, sizeof(path), "%s/other", folder);
	strcpy(cloud.credentials_file, path);
	strcpy(cloud.credentials_profile, "q");
	cloud.credentials = CREDENTIAL_FILE;
	assert_int_equal(find(&cloud, &found, &fault), 0);
	assert_string_equal(found.access_key, "AKIDOTHER");
	strcpy(cloud.credentials_profile, "absent");
	assert_int_equal(find(&cloud, &found, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_CLOUD_CREDENTIALS);
	assert_non_null(strstr(fault.text, "absent"));
	assert_non_null(strstr(fault.text, path));
	/* AWS_SHARED_CREDENTIALS_FILE moves the shared file. */
	memset(&cloud, 0, sizeof(cloud));
	cloud.credentials = CREDENTIAL_FILE;
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	setenv("AWS_PROFILE", "q", 1);
	assert_int_equal(find(&cloud, &found, &fault), 0);
	assert_string_equal(found.access_key, "AKIDOTHER");
}

struct file_case {
	const char *text;
	enum credentials_file_kind kind;
	const char *profile;
	int result;
	const char *access_key;
	const char *fault; /* part of the text */
};

#define KEYS "aws_access_key_id = AK\naws_secret_access_key = SK\n"
static const struct file_case cases[] = {
    {"", CREDENTIALS_FILE_SHARED, "a", 0, NULL, NULL},
    {"[a]\n" KEYS, CREDENTIALS_FILE_SHARED, "a", 1, "AK", NULL},
    {"[a]\n" KEYS, CREDENTIALS_FILE_SHARED, "b", 0, NULL, NULL},
    {"[ab]\n" KEYS, CREDENTIALS_FILE_SHARED, "a", 0, NULL, NULL},
    {"\xef\xbb\xbf[a]\n" KEYS, CREDENTIALS_FILE_SHARED, "a", 1, "AK", NULL},
    {"[a]\r\n# c\r\n; c\r\n\r\nAWS_ACCESS_KEY_ID=AK # x\r\n"
     "aws_secret_access_key=S#K\r\n",
	CREDENTIALS_FILE_SHARED, "a", 1, "AK", NULL},
    {"[profile a]\n" KEYS, CREDENTIALS_FILE_CONFIG, "a", 1, "AK", NULL},
    {"[a]\n" KEYS, CREDENTIALS_FILE_CONFIG, "a", 0, NULL, NULL},
    {"[default]\n" KEYS, CREDENTIALS_FILE_CONFIG, "default", 1, "AK", NULL},
    {"[profile a]\ns3 =\n  aws_access_key_id = XX\nregion = r\n" KEYS,
	CREDENTIALS_FILE_CONFIG, "a", 1, "AK", NULL},
    {"[a]\naws_access_key_id = AK\n", CREDENTIALS_FILE_SHARED, "a", -1, NULL,
	"without aws_secret_access_key"},
    {"[a]\naws_access_key_id =\n", CREDENTIALS_FILE_SHARED, "a", -1, NULL,
	"f:2: aws_access_key_id is empty"},
    {"[a\n" KEYS, CREDENTIALS_FILE_SHARED, "a", -1, NULL, "f:1: a section"},
    {"[a]\nnonsense\n", CREDENTIALS_FILE_SHARED, "a", -1, NULL, "f:2:"},
    {"[a]\nrole_arn = arn:x\nsource_profile = b\n", CREDENTIALS_FILE_SHARED,
	"a", -1, NULL, "role_arn"},
    {"[a]\ncredential_process = x\n", CREDENTIALS_FILE_CONFIG, "a", 0, NULL,
	NULL},
    {"[a]\nrole_arn = arn:x\n" KEYS, CREDENTIALS_FILE_SHARED, "a", 1, "AK",
	NULL},
};

static void
test_files(void **state)
{
	struct credentials found;
	struct fault fault;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct file_case *one = &cases[i];

		print_message("case %zu\n", i);
		fault_clear(&fault);
		assert_int_equal(
		    credentials_parse("f", one->text, strlen(one->text),
			one->kind, one->profile, &found, &fault),
		    one->result);
		if (one->access_key != NULL)
			assert_string_equal(found.access_key, one->access_key);
		else
			assert_int_equal(found.access_key[0], '\0');
		if (one->fault != NULL)
			assert_non_null(strstr(fault.text, one->fault));
		assert_null(strstr(fault.text, "SK"));
	}
	assert_int_equal(credentials_parse("f", "[a]\n\0x", 6,
			     CREDENTIALS_FILE_SHARED, "a", &found, &fault),
	    -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_environment_is_taken_and_wiped, folder_open, folder_close),
	    cmocka_unit_test_setup_teardown(
		test_environment_that_is_wrong, folder_open, folder_close),
	    cmocka_unit_test_setup_teardown(
		test_order_of_sources, folder_open, folder_close),
	    cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
