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
#include "cloud/credentials_fetch.h"
#include "cloud/credentials_file.h"
#include "cloud/credentials_plan.h"

static const char *const variables[] = {"AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "AWS_METADATA_SERVICE_TIMEOUT",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS"};

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
find(const struct config_cloud *cloud, struct credentials_plan *plan,
    struct fault *fault)
{
	static struct credentials_environment environment;

	fault_clear(fault);
	if (credentials_environment_take(&environment, fault) == -1)
		return -1;
	return credentials_plan(cloud, &environment, plan, fault);
}

static void
test_environment_is_taken_and_wiped(void **state)
{
	struct config_cloud cloud = {.credentials = CREDENTIAL_DEFAULT};
	static struct credentials_plan plan;
	struct fault fault;
	char *kept;

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret/env+", 1);
	setenv("AWS_SESSION_TOKEN", "token==", 1);
	setenv("AWS_CREDENTIAL_EXPIRATION", "2026-11-20T21:14:03Z", 1);
	kept = getenv("AWS_SECRET_ACCESS_KEY");
	assert_int_equal(find(&cloud, &plan, &fault), 0);
	assert_int_equal(plan.origin, ORIGIN_KEYS);
	assert_string_equal(plan.keys.access_key, "AKIDENV");
	assert_string_equal(plan.keys.secret_key, "secret/env+");
	assert_string_equal(plan.keys.session_token, "token==");
	assert_int_equal(plan.keys.expires_wall_ms, INT64_C(1795209243000));
	assert_null(getenv("AWS_SECRET_ACCESS_KEY"));
	assert_null(getenv("AWS_SESSION_TOKEN"));
	assert_int_equal(kept[0], '\0');
	credentials_plan_wipe(&plan);
	assert_int_equal(plan.keys.secret_key[0], '\0');
}

static void
test_environment_that_is_wrong(void **state)
{
	struct config_cloud cloud = {.credentials = CREDENTIAL_ENVIRONMENT};
	static struct credentials_plan plan;
	struct fault fault;

	(void)state;
	strcpy(cloud.name, "prod");
	assert_int_equal(find(&cloud, &plan, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_CLOUD_CREDENTIALS);
	assert_non_null(strstr(fault.text, "prod"));
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	assert_int_equal(find(&cloud, &plan, &fault), -1);
	assert_non_null(strstr(fault.text, "AWS_SECRET_ACCESS_KEY"));
	/* A line break would end the header that carries the key. */
	setenv("AWS_ACCESS_KEY_ID", "AKID\r\nX: y", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	assert_int_equal(find(&cloud, &plan, &fault), -1);
	assert_null(strstr(fault.text, "AKID\r"));
	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	setenv("AWS_CREDENTIAL_EXPIRATION", "tomorrow", 1);
	assert_int_equal(find(&cloud, &plan, &fault), -1);
	assert_non_null(strstr(fault.text, "AWS_CREDENTIAL_EXPIRATION"));
	unsetenv("AWS_CREDENTIAL_EXPIRATION");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\nb", 1);
	assert_int_equal(find(&cloud, &plan, &fault), -1);
	assert_non_null(strstr(fault.text, "AUTHORIZATION_TOKEN"));
}

static void
test_order_of_files(void **state)
{
	struct config_cloud cloud = {.credentials = CREDENTIAL_DEFAULT};
	static struct credentials_plan plan;
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
	assert_int_equal(find(&cloud, &plan, &fault), 0);
	assert_string_equal(plan.keys.access_key, "AKIDSHARED");
	/* AWS_PROFILE, and a profile that only the config file has. */
	setenv("AWS_PROFILE", "p", 1);
	assert_int_equal(find(&cloud, &plan, &fault), 0);
	assert_string_equal(plan.keys.access_key, "AKIDPROFILE");
	/* Keys in the environment win over AWS_PROFILE ... */
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s5", 1);
	assert_int_equal(find(&cloud, &plan, &fault), 0);
	assert_string_equal(plan.keys.access_key, "AKIDENV");
	/* ... but not over a profile that the configuration names. */
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s5", 1);
	strcpy(cloud.credentials_profile, "default");
	assert_int_equal(find(&cloud, &plan, &fault), 0);
	assert_string_equal(plan.keys.access_key, "AKIDSHARED");
	/* The configuration's file before the environment's. */
	snprintf(path, sizeof(path), "%s/other", folder);
	strcpy(cloud.credentials_file, path);
	strcpy(cloud.credentials_profile, "q");
	cloud.credentials = CREDENTIAL_FILE;
	assert_int_equal(find(&cloud, &plan, &fault), 0);
	assert_string_equal(plan.keys.access_key, "AKIDOTHER");
	strcpy(cloud.credentials_profile, "absent");
	assert_int_equal(find(&cloud, &plan, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_CLOUD_CREDENTIALS);
	assert_non_null(strstr(fault.text, "absent"));
	assert_non_null(strstr(fault.text, path));
	/* AWS_SHARED_CREDENTIALS_FILE moves the shared file. */
	memset(&cloud, 0, sizeof(cloud));
	cloud.credentials = CREDENTIAL_FILE;
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	setenv("AWS_PROFILE", "q", 1);
	assert_int_equal(find(&cloud, &plan, &fault), 0);
	assert_string_equal(plan.keys.access_key, "AKIDOTHER");
}

#define KEYS(name) "aws_access_key_id = " name "\naws_secret_access_key = SK\n"

struct plan_case {
	const char *name;
	const char *config, *shared; /* the two files */
	const char *variables[3];    /* "NAME=value" */
	enum credential_source source;
	const char *profile;
	int result;
	enum credentials_origin origin;
	const char *what;  /* the key, the token file, the profile */
	const char *roles; /* as they are assumed, with a blank between */
	const char *fault;
};

/* The chain of the AWS tools; the origin of a refused one does not count. */
static const struct plan_case plans[] = {
    {"a role with another profile's keys",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n", "[b]\n" KEYS("BK"),
	{0}, CREDENTIAL_DEFAULT, "a", 0, ORIGIN_KEYS, "BK", "R1", NULL},
    {"roles one behind the other",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n"
	"[profile b]\nrole_arn = R2\nsource_profile = c\n"
	"[profile c]\nrole_arn = R3\ncredential_source = Environment\n",
	"", {"AWS_ACCESS_KEY_ID=EK", "AWS_SECRET_ACCESS_KEY=s"},
	CREDENTIAL_DEFAULT, "a", 0, ORIGIN_KEYS, "EK", "R3 R2 R1", NULL},
    {"a role comes before the profile's own keys",
	"[profile a]\nrole_arn = R1\nsource_profile = a\n", "[a]\n" KEYS("AK"),
	{0}, CREDENTIAL_DEFAULT, "a", 0, ORIGIN_KEYS, "AK", "R1", NULL},
    {"a source with keys is not asked for its role",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n"
	"[profile b]\nrole_arn = R2\nsource_profile = a\n" KEYS("BK"),
	"", {0}, CREDENTIAL_DEFAULT, "a", 0, ORIGIN_KEYS, "BK", "R1", NULL},
    {"a role with an instance",
	"[profile a]\nrole_arn = R1\n"
	"credential_source = Ec2InstanceMetadata\n",
	"", {0}, CREDENTIAL_DEFAULT, "a", 0, ORIGIN_INSTANCE, "", "R1", NULL},
    {"a role with a container",
	"[profile a]\nrole_arn = R1\ncredential_source = EcsContainer\n", "",
	{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x"}, CREDENTIAL_DEFAULT, "a",
	0, ORIGIN_CONTAINER, "", "R1", NULL},
    {"a role with a container that is none",
	"[profile a]\nrole_arn = R1\ncredential_source = EcsContainer\n", "",
	{0}, CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL,
	"EcsContainer"},
    {"a role with a process",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n"
	"[profile b]\ncredential_process = /bin/x\n",
	"", {0}, CREDENTIAL_ROLE, "a", 0, ORIGIN_PROCESS, "b", "R1", NULL},
    {"a role with a web identity",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n"
	"[profile b]\nrole_arn = R2\nweb_identity_token_file = /t\n",
	"", {0}, CREDENTIAL_DEFAULT, "a", 0, ORIGIN_WEB_IDENTITY, "/t", "R1",
	NULL},
    {"a circle",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n"
	"[profile b]\nrole_arn = R2\nsource_profile = a\n",
	"", {0}, CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL,
	"circle"},
    {"itself without keys", "[profile a]\nrole_arn = R1\nsource_profile = a\n",
	"", {0}, CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL,
	"circle"},
    {"too many roles",
	"[profile a]\nrole_arn=1\nsource_profile=b\n"
	"[profile b]\nrole_arn=2\nsource_profile=c\n"
	"[profile c]\nrole_arn=3\nsource_profile=d\n"
	"[profile d]\nrole_arn=4\nsource_profile=e\n"
	"[profile e]\nrole_arn=5\nsource_profile=f\n"
	"[profile f]\nrole_arn=6\nsource_profile=g\n[profile g]\n" KEYS("K"),
	"", {0}, CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL, "roles"},
    {"no source", "[profile a]\nrole_arn = R1\n", "", {0}, CREDENTIAL_DEFAULT,
	"a", -1, ORIGIN_KEYS, NULL, NULL, "neither"},
    {"two sources",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n"
	"credential_source = Environment\n",
	"", {0}, CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL, "both"},
    {"a source that is not there",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n", "", {0},
	CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL,
	"source_profile b"},
    {"a source without anything",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n"
	"[profile b]\nregion = x\n",
	"", {0}, CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL,
	"no credentials"},
    {"a source of another kind",
	"[profile a]\nrole_arn = R1\ncredential_source = Sun\n", "", {0},
	CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL, "Sun"},
    {"a person's code",
	"[profile a]\nrole_arn = R1\nsource_profile = b\nmfa_serial = m\n",
	"[b]\n" KEYS("BK"), {0}, CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL,
	NULL, "mfa_serial"},
    {"a bad duration",
	"[profile a]\nrole_arn = R1\nsource_profile = b\n"
	"duration_seconds = 60\n",
	"[b]\n" KEYS("BK"), {0}, CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL,
	NULL, "900"},
    {"a web identity of the environment", "", "[default]\n" KEYS("DK"),
	{"AWS_WEB_IDENTITY_TOKEN_FILE=/w", "AWS_ROLE_ARN=R9"},
	CREDENTIAL_DEFAULT, "", 0, ORIGIN_WEB_IDENTITY, "/w", "", NULL},
    {"a web identity without a role", "", "",
	{"AWS_WEB_IDENTITY_TOKEN_FILE=/w"}, CREDENTIAL_DEFAULT, "", -1,
	ORIGIN_KEYS, NULL, NULL, "AWS_ROLE_ARN"},
    {"a chosen profile's web identity, not the environment's",
	"[profile a]\nrole_arn = R1\nweb_identity_token_file = /t\n", "",
	{"AWS_WEB_IDENTITY_TOKEN_FILE=/w", "AWS_ROLE_ARN=R9"},
	CREDENTIAL_DEFAULT, "a", 0, ORIGIN_WEB_IDENTITY, "/t", "", NULL},
    {"single sign-on", "[profile a]\nsso_session = s\n" KEYS("AK"), "", {0},
	CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL, "sso_session"},
    {"a log-in", "[profile a]\nlogin_session = s\n", "", {0},
	CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL, "login_session"},
    {"keys before a log-in", "[profile a]\nlogin_session = s\n",
	"[a]\n" KEYS("AK"), {0}, CREDENTIAL_DEFAULT, "a", 0, ORIGIN_KEYS, "AK",
	"", NULL},
    {"a process before the config file's keys",
	"[profile a]\ncredential_process = /bin/x\n" KEYS("AK"), "", {0},
	CREDENTIAL_DEFAULT, "a", 0, ORIGIN_PROCESS, "a", "", NULL},
    {"the shared file's keys before a process",
	"[profile a]\ncredential_process = /bin/x\n", "[a]\n" KEYS("AK"), {0},
	CREDENTIAL_DEFAULT, "a", 0, ORIGIN_KEYS, "AK", "", NULL},
    {"a process in the shared file", "", "[a]\ncredential_process = x\n", {0},
	CREDENTIAL_DEFAULT, "a", -1, ORIGIN_KEYS, NULL, NULL, "move the line"},
    {"a container before an instance", "", "",
	{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost/x"},
	CREDENTIAL_DEFAULT, "", 0, ORIGIN_CONTAINER, "", "", NULL},
    {"an instance at last", "", "", {0}, CREDENTIAL_DEFAULT, "", 0,
	ORIGIN_INSTANCE, "", "", NULL},
    {"nothing at all", "", "", {"AWS_EC2_METADATA_DISABLED=TRUE"},
	CREDENTIAL_DEFAULT, "", -1, ORIGIN_KEYS, NULL, NULL, "no credentials"},
    {"a named profile that is not there", "", "", {0}, CREDENTIAL_DEFAULT, "a",
	-1, ORIGIN_KEYS, NULL, NULL, "no profile a"},
    {"AWS_PROFILE that is not there", "", "", {"AWS_PROFILE=z"},
	CREDENTIAL_DEFAULT, "", -1, ORIGIN_KEYS, NULL, NULL, "no profile z"},
    {"a source that is pinned: environment", "", "[default]\n" KEYS("DK"), {0},
	CREDENTIAL_ENVIRONMENT, "", -1, ORIGIN_KEYS, NULL, NULL,
	"AWS_ACCESS_KEY_ID"},
    {"a source that is pinned: file",
	"[profile a]\nrole_arn = R1\nsource_profile = a\n", "[a]\n" KEYS("AK"),
	{"AWS_ACCESS_KEY_ID=EK", "AWS_SECRET_ACCESS_KEY=s"}, CREDENTIAL_FILE,
	"a", 0, ORIGIN_KEYS, "AK", "", NULL},
    {"a source that is pinned: role", "", "[a]\n" KEYS("AK"), {0},
	CREDENTIAL_ROLE, "a", -1, ORIGIN_KEYS, NULL, NULL, "role_arn"},
    {"a source that is pinned: process", "", "[a]\n" KEYS("AK"), {0},
	CREDENTIAL_PROCESS, "a", -1, ORIGIN_KEYS, NULL, NULL,
	"credential_process"},
    {"a source that is pinned: container", "", "", {0}, CREDENTIAL_CONTAINER,
	"", -1, ORIGIN_KEYS, NULL, NULL, "RELATIVE_URI"},
    {"a source that is pinned: instance", "", "[default]\n" KEYS("DK"), {0},
	CREDENTIAL_INSTANCE, "", 0, ORIGIN_INSTANCE, "", "", NULL},
    {"a source that is pinned: iot", "nonsense", "nonsense", {0},
	CREDENTIAL_IOT, "", 0, ORIGIN_IOT, "", "", NULL},
};

static void
plan_try(const struct plan_case *one)
{
	struct config_cloud cloud = {.credentials = (uint32_t)one->source};
	static struct credentials_plan plan;
	struct fault fault;
	char roles[64] = "", name[64];

	print_message("%s\n", one->name);
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	for (size_t i = 0; i < 3 && one->variables[i] != NULL; i++) {
		size_t len = strcspn(one->variables[i], "=");

		snprintf(
		    name, sizeof(name), "%.*s", (int)len, one->variables[i]);
		setenv(name, one->variables[i] + len + 1, 1);
	}
	file_put(".aws/config", one->config);
	file_put(".aws/credentials", one->shared);
	strcpy(cloud.credentials_profile, one->profile);
	assert_int_equal(find(&cloud, &plan, &fault), one->result);
	if (one->result == -1) {
		assert_int_equal(fault.cause, CAUSE_CLOUD_CREDENTIALS);
		if (strstr(fault.text, one->fault) == NULL)
			fail_msg("%s", fault.text);
		assert_null(strstr(fault.text, "SK"));
		return;
	}
	assert_int_equal(plan.origin, one->origin);
	assert_string_equal(plan.origin == ORIGIN_KEYS ? plan.keys.access_key
			    : plan.origin == ORIGIN_WEB_IDENTITY
				? plan.web_token_file
				: plan.profile,
	    one->what);
	for (uint32_t i = 0; i < plan.role_count; i++) {
		strcat(roles, i > 0 ? " " : "");
		strcat(roles, plan.roles[i].arn);
	}
	assert_string_equal(roles, one->roles);
	assert_true(plan.text[0] != '\0');
	assert_null(strstr(plan.text, "SK"));
}

static void
test_plans(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		plan_try(&plans[i]);
}

static void
test_role_settings(void **state)
{
	struct config_cloud cloud = {.credentials = CREDENTIAL_DEFAULT};
	static struct credentials_plan plan;
	struct fault fault;

	(void)state;
	strcpy(cloud.credentials_profile, "a");
	file_put(".aws/config",
	    "[profile a]\nrole_arn = arn:aws:iam::1:role/a\n"
	    "source_profile = b\nexternal_id = E=1\nduration_seconds = 43200\n"
	    "role_session_name = line\n");
	/* The credentials file's settings win. */
	file_put(
	    ".aws/credentials", "[b]\n" KEYS("BK") "[a]\nexternal_id = E2\n");
	assert_int_equal(find(&cloud, &plan, &fault), 0);
	assert_int_equal(plan.role_count, 1);
	assert_string_equal(plan.roles[0].arn, "arn:aws:iam::1:role/a");
	assert_string_equal(plan.roles[0].external_id, "E2");
	assert_string_equal(plan.roles[0].session, "line");
	assert_int_equal(plan.roles[0].duration_s, 43200);
}

struct file_case {
	const char *text;
	enum credentials_file_kind kind;
	const char *profile;
	int result; /* 1: with keys */
	const char *access_key;
	const char *fault; /* part of the text */
};

static const struct file_case cases[] = {
    {"", CREDENTIALS_FILE_SHARED, "a", 0, NULL, NULL},
    {"[a]\n" KEYS("AK"), CREDENTIALS_FILE_SHARED, "a", 1, "AK", NULL},
    {"[a]\n" KEYS("AK"), CREDENTIALS_FILE_SHARED, "b", 0, NULL, NULL},
    {"[ab]\n" KEYS("AK"), CREDENTIALS_FILE_SHARED, "a", 0, NULL, NULL},
    {"\xef\xbb\xbf[a]\n" KEYS("AK"), CREDENTIALS_FILE_SHARED, "a", 1, "AK",
	NULL},
    {"[a]\r\n# c\r\n; c\r\n\r\nAWS_ACCESS_KEY_ID=AK # x\r\n"
     "aws_secret_access_key=S#K\r\n",
	CREDENTIALS_FILE_SHARED, "a", 1, "AK", NULL},
    {"[profile a]\n" KEYS("AK"), CREDENTIALS_FILE_CONFIG, "a", 1, "AK", NULL},
    {"[a]\n" KEYS("AK"), CREDENTIALS_FILE_CONFIG, "a", 0, NULL, NULL},
    {"[default]\n" KEYS("AK"), CREDENTIALS_FILE_CONFIG, "default", 1, "AK",
	NULL},
    {"[profile a]\ns3 =\n  aws_access_key_id = XX\nregion = r\n" KEYS("AK"),
	CREDENTIALS_FILE_CONFIG, "a", 1, "AK", NULL},
    {"[a]\naws_access_key_id = AK\n", CREDENTIALS_FILE_SHARED, "a", -1, NULL,
	"without aws_secret_access_key"},
    {"[a]\naws_access_key_id =\n", CREDENTIALS_FILE_SHARED, "a", -1, NULL,
	"f:2: aws_access_key_id is empty"},
    {"[a\n" KEYS("AK"), CREDENTIALS_FILE_SHARED, "a", -1, NULL,
	"f:1: a section"},
    {"[a]\nnonsense\n", CREDENTIALS_FILE_SHARED, "a", -1, NULL, "f:2:"},
    {"[a]\nduration_seconds = 12345678\n", CREDENTIALS_FILE_SHARED, "a", -1,
	NULL, "duration_seconds is longer"},
    {"[a]\ncredential_process = /bin/x 'a b'\n", CREDENTIALS_FILE_CONFIG, "a",
	0, NULL, NULL},
};

static void
test_files(void **state)
{
	static struct credentials_profile found;
	struct fault fault;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct file_case *one = &cases[i];
		int result;

		print_message("case %zu\n", i);
		fault_clear(&fault);
		result = credentials_parse("f", one->text, strlen(one->text),
		    one->kind, one->profile, &found, &fault);
		assert_int_equal(result, one->result == -1 ? -1 : 0);
		assert_int_equal(
		    found.keys.access_key[0] != '\0', one->result == 1);
		if (one->access_key != NULL)
			assert_string_equal(
			    found.keys.access_key, one->access_key);
		if (one->fault != NULL)
			assert_non_null(strstr(fault.text, one->fault));
		assert_null(strstr(fault.text, "SK"));
	}
	assert_int_equal(credentials_parse("f", "[a]\n\0x", 6,
			     CREDENTIALS_FILE_SHARED, "a", &found, &fault),
	    -1);
}

static void
test_container_addresses(void **state)
{
	static const struct {
		const char *relative, *full, *url; /* null: refused */
	} rows[] = {
	    {"/v2/credentials/x", "", "http://169.254.170.2/v2/credentials/x"},
	    {"/x", "http://evil/", "http://169.254.170.2/x"},
	    {"x", "", NULL},
	    {"", "https://anywhere.example/x", "https://anywhere.example/x"},
	    {"", "https://", NULL},
	    {"", "http://localhost:80/x", "http://localhost:80/x"},
	    {"", "http://127.0.0.1/x", "http://127.0.0.1/x"},
	    {"", "http://127.9.9.9:1/x", "http://127.9.9.9:1/x"},
	    {"", "http://[::1]:8080/x", "http://[::1]:8080/x"},
	    {"", "http://169.254.170.2/x", "http://169.254.170.2/x"},
	    {"", "http://169.254.170.23/x", "http://169.254.170.23/x"},
	    {"", "http://[fd00:ec2::23]/x", "http://[fd00:ec2::23]/x"},
	    {"", "http://10.0.0.1/x", NULL},
	    {"", "http://169.254.169.254/x", NULL},
	    {"", "http://127.0.0.1.evil.example/x", NULL},
	    {"", "http://localhost.evil.example/x", NULL},
	    {"", "http://localhost@evil.example/x", NULL},
	    {"", "http://localhost:80@evil.example/x", NULL},
	    {"", "http://[::1]@evil.example/x", NULL},
	    {"", "http://", NULL},
	    {"", "ftp://localhost/x", NULL},
	    {"", "", NULL},
	};
	static struct credentials_environment environment;
	struct fault fault;
	char url[640];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s %s\n", rows[i].relative, rows[i].full);
		strcpy(environment.container_relative, rows[i].relative);
		strcpy(environment.container_full, rows[i].full);
		assert_int_equal(credentials_container_url(
				     &environment, url, sizeof(url), &fault),
		    rows[i].url != NULL ? 0 : -1);
		if (rows[i].url != NULL)
			assert_string_equal(url, rows[i].url);
	}
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
		test_order_of_files, folder_open, folder_close),
	    cmocka_unit_test_setup_teardown(
		test_plans, folder_open, folder_close),
	    cmocka_unit_test_setup_teardown(
		test_role_settings, folder_open, folder_close),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_container_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
