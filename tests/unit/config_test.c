#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cloud/operation.h"
#include "lot/config.h"
#include "scratch.h"

static const char good[] =
    "schema: 1\n"					      /* 1 */
    "station: bench-1\n"				      /* 2 */
    "site: plant\n"					      /* 3 */
    "user: station\n"					      /* 4 */
    "state: state\n"					      /* 5 */
    "ledger: state/l.db\n"				      /* 6 */
    "lots: ./lots\n"					      /* 7 */
    "profiles: profiles\n"				      /* 8 */
    "takt: 9s\n"					      /* 9 */
    "control: {socket: c.sock, mode: \"0600\", group: ops}\n" /* 10 */
    "transcripts: {mib: 10, days: 3}\n"			      /* 11 */
    "alarm: {percent: 2.5, window: 50, minimum: 10, hold: true}\n"
    "slots:\n"						 /* 13 */
    "  - {name: \"1\", usb: 1-1.4.2, interface: 1}\n"	 /* 14 */
    "  - {name: \"2\", usb: \"pci-0000:00:14.0/1-1\"}\n" /* 15 */
    "  - {name: \"3\", port: p3, lines: p3.lines}\n"	 /* 16 */
    "clouds:\n"						 /* 17 */
    "  - name: main\n"					 /* 18 */
    "    account: 123456789012\n"			 /* 19 */
    "    region: eu-central-1\n"			 /* 20 */
    "    endpoint: https://localhost:8443/\n"		 /* 21 */
    "    ca_file: ca.pem\n"				 /* 22 */
    "    credentials: {source: file, file: cred, profile: p}\n"
    "    share_percent: 50\n"		/* 24 */
    "    rates: {CreateThing: 12.5}\n"; /* 25 */

static int
open_folder(void **state)
{
	(void)state;
	scratch_open();
	scratch_text("lots/README.md", "");
	scratch_text("profiles/README.md", "");
	scratch_text("ca.pem", "");
	scratch_text("cred", "");
	return 0;
}

static int
close_folder(void **state)
{
	(void)state;
	scratch_close();
	return 0;
}

/* The problems of a file, without its path; owned. */
static char *
problems_of(const char *text, struct station_config *config)
{
	struct problems problems;
	char *found;
	int result;
	const char *path = scratch_text("station.yaml", text);

	problems_init(&problems);
	result = config_load(path, config, &problems);
	found = strdup(problems.text.data == NULL ? "" : problems.text.data);
	assert_non_null(found);
	assert_int_equal(result, found[0] == '\0' ? 0 : -1);
	problems_free(&problems);
	return lines_stripped(lines_stripped(found, path), ":");
}

static void
test_reads_every_key(void **state)
{
	static struct station_config config;
	char *problems = problems_of(good, &config);

	(void)state;
	assert_string_equal(problems, "");
	free(problems);
	assert_int_equal(config.magic, CONFIG_MAGIC);
	assert_int_equal(config.size, sizeof(config));
	assert_string_equal(config.file, scratch_path("station.yaml"));
	assert_string_equal(config.station, "bench-1");
	assert_string_equal(config.site, "plant");
	assert_string_equal(config.user, "station");
	assert_string_equal(config.state, scratch_path("state"));
	assert_string_equal(config.ledger, scratch_path("state/l.db"));
	assert_string_equal(config.lots, scratch_path("lots"));
	assert_string_equal(config.profiles, scratch_path("profiles"));
	assert_int_equal(config.takt_ms, 9000);
	assert_string_equal(config.socket, scratch_path("c.sock"));
	assert_int_equal(config.socket_mode, 0600);
	assert_string_equal(config.socket_group, "ops");
	assert_int_equal(config.transcript_mib, 10);
	assert_int_equal(config.transcript_days, 3);
	assert_int_equal(config.alarm.ratio_milli, 25);
	assert_int_equal(config.alarm.window, 50);
	assert_int_equal(config.alarm.minimum, 10);
	assert_int_equal(config.alarm.hold, 1);
	assert_int_equal(config.slot_count, 3);
	assert_string_equal(config.slots[0].usb, "1-1.4.2");
	assert_int_equal(config.slots[0].interface, 1);
	assert_string_equal(config.slots[1].usb, "pci-0000:00:14.0/1-1");
	assert_string_equal(config.slots[2].port, scratch_path("p3"));
	assert_string_equal(config.slots[2].lines, scratch_path("p3.lines"));
	assert_int_equal(config.cloud_count, 1);
	assert_string_equal(config.clouds[0].account, "123456789012");
	assert_string_equal(
	    config.clouds[0].endpoint, "https://localhost:8443");
	assert_string_equal(config.clouds[0].sts_endpoint, "");
	assert_string_equal(config.clouds[0].ca_file, scratch_path("ca.pem"));
	assert_int_equal(config.clouds[0].credentials, CREDENTIAL_FILE);
	assert_string_equal(
	    config.clouds[0].credentials_file, scratch_path("cred"));
	assert_string_equal(config.clouds[0].credentials_profile, "p");
	assert_int_equal(config.clouds[0].share_percent, 50);
	assert_int_equal(config.clouds[0].rate_count, 1);
	assert_string_equal(config.clouds[0].rates[0].operation, "CreateThing");
	assert_int_equal(config.clouds[0].rates[0].per_second_milli, 12500);
	assert_ptr_equal(config_cloud_find(&config, "main"), config.clouds);
	assert_null(config_cloud_find(&config, "other"));
}

static void
test_defaults(void **state)
{
	static struct station_config config;
	char *problems = problems_of("schema: 1\n"
				     "station: s\n"
				     "site: p\n"
				     "slots: [{name: a, port: /dev/x}]\n"
				     "clouds:\n"
				     "  - name: c\n"
				     "    account: \"000000000001\"\n"
				     "    region: us-east-1\n",
	    &config);

	(void)state;
	assert_string_equal(problems, "");
	free(problems);
	assert_string_equal(config.user, "");
	assert_string_equal(config.state, "/var/lib/station");
	assert_string_equal(config.ledger, "/var/lib/station/ledger.db");
	assert_string_equal(config.lots, scratch_path("lots"));
	assert_string_equal(config.profiles, scratch_path("profiles"));
	assert_string_equal(config.socket, "/run/station/control.sock");
	assert_int_equal(config.socket_mode, 0660);
	assert_int_equal(config.takt_ms, 0);
	assert_int_equal(config.transcript_mib, 1024);
	assert_int_equal(config.transcript_days, 90);
	assert_int_equal(config.alarm.ratio_milli, 50);
	assert_int_equal(config.alarm.window, 100);
	assert_int_equal(config.alarm.minimum, 20);
	assert_int_equal(config.alarm.hold, 0);
	assert_string_equal(config.slots[0].port, "/dev/x");
	assert_int_equal(config.clouds[0].credentials, CREDENTIAL_DEFAULT);
	assert_int_equal(config.clouds[0].share_percent, 100);
}

/* A token with signing keys: its module and what that reads. */
static void
test_pkcs11(void **state)
{
	static struct station_config config;
	static const struct {
		const char *with, *problems;
	} tokens[] = {
	    {"pkcs11: {module: ca.pem, paths: [lots, cred]}\nslots:", ""},
	    {"pkcs11: {module: ca.pem}\nslots:", ""},
	    {"pkcs11: {paths: lots}\nslots:",
		"13:9: module is missing; a text of at most 511 bytes is "
		"accepted\n"},
	    {"pkcs11: {module: lots}\nslots:",
		"13:18: module: @/lots is not a regular file\n"},
	    {"pkcs11: {module: ca.pem, paths: [none]}\nslots:",
		"13:34: paths: there is no @/none; accepted is what the "
		"token's module reads\n"},
	    {"pkcs11: {module: ca.pem, paths: [a, b, c, d, e]}\nslots:",
		"*13:46: path \"e\" is one too many; accepted are up to 4\n"},
	    {"pkcs11: {module: ca.pem, pin: 1}\nslots:",
		"13:26: unknown key pin; accepted are module, paths\n"},
	};

	(void)state;
	for (size_t at = 0; at < sizeof(tokens) / sizeof(tokens[0]); at++) {
		char *text = text_replaced(good, "slots:", tokens[at].with);
		char *found = problems_of(text, &config);
		char *expected = strchr(tokens[at].problems, '@') == NULL
				     ? strdup(tokens[at].problems)
				     : text_replaced(tokens[at].problems, "@",
					   scratch_folder);

		if (expected[0] == '*')
			assert_non_null(strstr(found, expected + 1));
		else
			assert_string_equal(found, expected);
		if (at == 0) {
			assert_string_equal(
			    config.pkcs11_module, scratch_path("ca.pem"));
			assert_int_equal(config.pkcs11_path_count, 2);
			assert_string_equal(
			    config.pkcs11_paths[1], scratch_path("cred"));
		}
		free(expected);
		free(found);
		free(text);
	}
}

/* The station's own certificate as the source of its credentials. */
static void
test_iot_provider(void **state)
{
	static struct station_config config;
	char *text = text_replaced(good,
	    "{source: file, file: cred, profile: p}",
	    "{source: iot, endpoint: \"https://x.example/\", role_alias: line,"
	    " certificate: ca.pem, key: cred, thing: st:1}");
	char *problems = problems_of(text, &config);
	const struct config_iot_provider *iot = &config.clouds[0].iot;

	(void)state;
	assert_string_equal(problems, "");
	assert_int_equal(config.clouds[0].credentials, CREDENTIAL_IOT);
	assert_string_equal(iot->endpoint, "https://x.example");
	assert_string_equal(iot->role_alias, "line");
	assert_string_equal(iot->certificate, scratch_path("ca.pem"));
	assert_string_equal(iot->key, scratch_path("cred"));
	assert_string_equal(iot->thing, "st:1");
	free(problems);
	free(text);
}

/* What the cloud role paces may be given another quota, all of it. */
static void
test_every_operation_has_a_rate(void **state)
{
	static struct station_config config;

	(void)state;
	for (int i = 0; i < OPERATION_COUNT; i++) {
		char *text = text_replaced(good,
		    "CreateThing:", operation_row((enum operation)i)->name);
		char *whole = text_replaced(text, " 12.5}", ": 12.5}");
		char *problems = problems_of(whole, &config);

		assert_string_equal(problems, "");
		assert_string_equal(config.clouds[0].rates[0].operation,
		    operation_row((enum operation)i)->name);
		free(problems);
		free(whole);
		free(text);
	}
}

/* One change to the good file, and exactly what is said about it. */
static const struct {
	const char *find, *with, *problems;
} bad[] = {
    {"schema: 1", "schema: 2",
	"1:9: schema is 2; a whole number from 1 to 1 is accepted\n"},
    {"station: bench-1", "station: -x",
	"2:10: station \"-x\" is not accepted; accepted are 1 to 64 of A-Z "
	"a-z 0-9 . _ -, the first a letter or digit\n"},
    {"site: plant\n", "",
	"1:1: site is missing; a text of at most 64 bytes is accepted\n"},
    {"user: station", "usr: station",
	"4:1: unknown key usr; accepted are schema, station, site, user, "
	"takt, state, ledger, lots, profiles, control, transcripts, alarm, "
	"pkcs11, slots, clouds\n"},
    {"./lots", "nowhere",
	"7:7: lots: there is no @/nowhere; accepted is a folder that "
	"exists\n"},
    {"profiles: profiles", "profiles: cred",
	"8:11: profiles: @/cred is not a folder\n"},
    {"takt: 9s", "takt: 9",
	"9:7: takt is 9; a time such as 300ms, 5s, 2m or 1h is accepted\n"},
    {"\"0600\"", "\"0060\"",
	"10:33: mode \"0060\" is not accepted; accepted are 0600 to 0777 in "
	"octal, the owner's read and write included\n"},
    {"c.sock",
	"/tmp/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"10:19: socket path /tmp/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"aaaaaaa has 108 bytes; accepted are up to 107\n"},
    {"percent: 2.5", "percent: 0",
	"12:18: percent is 0; a number from 0.1 to 100 is accepted\n"},
    {"minimum: 10", "minimum: 60",
	"12:8: minimum 60 is more than window 50; the alarm would never ring; "
	"accepted are 1 to window\n"},
    {"1-1.4.2", "1-1.4.",
	"14:22: usb \"1-1.4.\" is not accepted; accepted is a position such "
	"as 1-1.4.2, or with its controller pci-0000:00:14.0/1-1.4.2\n"},
    {"name: \"2\"", "name: \"1\"",
	"15:5: slot \"1\" is there twice; accepted is one slot a name\n"},
    {"usb: \"pci-0000:00:14.0/1-1\"", "usb: 1-1.4.2, interface: 1",
	"15:5: slot \"2\" has the place of slot \"1\" (1-1.4.2); accepted is "
	"one slot a usb position and interface, or port\n"},
    {"usb: \"pci-0000:00:14.0/1-1\"", "lines: x",
	"15:24: lines stands without port; accepted is the socket that stands "
	"for DTR and RTS of a port without hardware\n"
	"15:5: slot \"2\" has no place; accepted is exactly one of usb and "
	"port\n"},
    {"usb: \"pci-0000:00:14.0/1-1\"", "usb: 1-1, port: x",
	"15:5: slot \"2\" has both usb and port; accepted is exactly one of "
	"usb and port\n"},
    {"port: p3", "port: p3, interface: 1",
	"16:38: interface stands alone; accepted is it beside usb\n"},
    {"account: 123456789012", "account: 12345678901",
	"19:14: account \"12345678901\" is not accepted; accepted are 12 "
	"digits\n"},
    {"https://localhost:8443/", "http://localhost",
	"21:15: endpoint \"http://localhost\" is not accepted; accepted is "
	"https://HOST or https://HOST:PORT, without a path\n"},
    {"https://localhost:8443/", "https://localhost/x",
	"21:15: endpoint \"https://localhost/x\" is not accepted; accepted is "
	"https://HOST or https://HOST:PORT, without a path\n"},
    {"ca.pem", "no.pem",
	"22:14: ca_file: there is no @/no.pem; accepted is a file that "
	"exists\n"},
    {"source: file", "source: env",
	"23:27: source is env; environment, file, default, role, web-identity, "
	"process, container, instance or iot is accepted\n"},
    {"source: file", "source: environment",
	"23:46: source environment stands with file; accepted is file with "
	"sources that read the shared files\n"
	"23:61: source environment stands with profile; accepted is profile "
	"with sources that read the shared files\n"},
    {"source: file, file", "source: process, thing: a, file",
	"23:43: source process stands with thing; accepted is thing with "
	"source iot\n"},
    {"{source: file, file: cred, profile: p}",
	"{source: iot, endpoint: \"http://x\", role_alias: a,"
	" certificate: ca.pem, key: none}",
	"23:42: endpoint \"http://x\" is not accepted; accepted is "
	"https://HOST or https://HOST:PORT, without a path\n"
	"23:95: key: there is no @/none; accepted is a file that exists\n"},
    {"share_percent: 50", "share_percent: 101",
	"24:20: share_percent is 101; a whole number from 1 to 100 is "
	"accepted\n"},
    {"CreateThing: 12.5", "MakeThing: 1",
	"25:13: unknown key MakeThing; accepted are AddThingToThingGroup, "
	"AttachPolicy, AttachThingPrincipal, CreateCertificateFromCsr, "
	"CreateProvisioningClaim, CreateThing, DeleteCertificate, "
	"DescribeCACertificate, DescribeCertificate, "
	"DescribeProvisioningTemplate, DescribeThing, DescribeThingGroup, "
	"DescribeThingRegistrationTask, DescribeThingType, DetachPolicy, "
	"DetachThingPrincipal, GetCallerIdentity, GetPolicy, HeadObject, "
	"ListCertificates, ListPrincipalThings, ListThingPrincipals, "
	"ListThingRegistrationTaskReports, ListThingRegistrationTasks, "
	"PutObject, RegisterCertificate, RegisterCertificateWithoutCA, "
	"RegisterThing, StartThingRegistrationTask, UpdateCertificate, "
	"UpdateThing, mqtt:CreateCertificateFromCsr, "
	"mqtt:CreateKeysAndCertificate, mqtt:RegisterThing\n"},
};

static void
test_says_what_is_wrong(void **state)
{
	static struct station_config config;

	(void)state;
	for (size_t at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
		char *text = text_replaced(good, bad[at].find, bad[at].with);
		char *expected =
		    strchr(bad[at].problems, '@') == NULL
			? strdup(bad[at].problems)
			: text_replaced(bad[at].problems, "@", scratch_folder);
		char *problems = problems_of(text, &config);

		assert_string_equal(problems, expected);
		free(problems);
		free(expected);
		free(text);
	}
}

static void
test_relative_paths_leave_the_folder(void **state)
{
	static struct station_config config;
	char *text = text_replaced(good, "state: state", "state: ../x/./y");
	char *problems;
	char expected[300];

	(void)state;
	problems = problems_of(text, &config);
	assert_string_equal(problems, "");
	(void)snprintf(expected, sizeof(expected), "%s", scratch_folder);
	strcpy(strrchr(expected, '/'), "/x/./y");
	assert_string_equal(config.state, expected);
	free(problems);
	free(text);
}

static void
test_absent_and_damaged_files(void **state)
{
	static struct station_config config;
	struct problems problems;
	char *found;

	(void)state;
	problems_init(&problems);
	assert_int_equal(
	    config_load(scratch_path("none.yaml"), &config, &problems), -1);
	assert_int_equal(problems.count, 1);
	assert_non_null(strstr(problems.text.data,
	    "none.yaml: cannot be read: No such file or directory"));
	problems_free(&problems);
	found = problems_of("station: [\n", &config);
	assert_int_equal(strncmp(found, "2:1: ", 5), 0);
	free(found);
	found = problems_of("", &config);
	assert_string_not_equal(found, "");
	free(found);
	found = problems_of("- a\n", &config);
	assert_string_equal(found,
	    "1:1: the file holds no map; `key: value` lines are accepted\n");
	free(found);
}

static void
test_memory_file_holds_the_same(void **state)
{
	static struct station_config config;
	struct problems problems;
	struct fault fault;
	const void *data;
	size_t len;
	const char *path = scratch_text("station.yaml", good);
	int fd;

	(void)state;
	problems_init(&problems);
	assert_int_equal(config_load(path, &config, &problems), 0);
	fd = config_to_memfd(path, &problems);
	assert_true(fd >= 0);
	assert_int_equal(file_map_sealed(fd, sizeof(config), sizeof(config),
			     &data, &len, &fault),
	    0);
	assert_memory_equal(data, &config, sizeof(config));
	close(fd);
	path = scratch_text("bad.yaml", "schema: 3\n");
	assert_int_equal(config_to_memfd(path, &problems), -1);
	assert_true(problems.count > 0);
	problems_free(&problems);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_every_key),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_pkcs11),
	    cmocka_unit_test(test_iot_provider),
	    cmocka_unit_test(test_every_operation_has_a_rate),
	    cmocka_unit_test(test_says_what_is_wrong),
	    cmocka_unit_test(test_relative_paths_leave_the_folder),
	    cmocka_unit_test(test_absent_and_damaged_files),
	    cmocka_unit_test(test_memory_file_holds_the_same),
	};

	return cmocka_run_group_tests(tests, open_folder, close_folder);
}
