#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lot/manifest.h"
#include "lot_scratch.h"

/* The problems of lots/L1, without the folder's path; owned. */
static char *
problems_of_lot(void)
{
	struct problems problems;
	struct lot_bundle *bundle;
	char *found;
	char prefix[300];

	problems_init(&problems);
	bundle = lot_bundle_load(
	    &lot_config, scratch_path("lots/L1"), false, &problems);
	assert_int_equal(bundle != NULL, problems.count == 0);
	lot_bundle_free(bundle);
	found = strdup(problems.text.data == NULL ? "" : problems.text.data);
	assert_non_null(found);
	problems_free(&problems);
	(void)snprintf(prefix, sizeof(prefix), "%s/lots/L1/", scratch_folder);
	return lines_stripped(found, prefix);
}

static void
assert_problems(const char *expected)
{
	char *wanted = strstr(expected, "@/") == NULL
			   ? strdup(expected)
			   : text_replaced(expected, "@", scratch_folder);
	char *found = problems_of_lot();

	assert_string_equal(found, wanted);
	free(found);
	free(wanted);
}

static void
test_reads_every_key(void **state)
{
	struct problems problems;
	struct lot_bundle *bundle;
	const struct lot_image *image;
	char text[DIGEST_TEXT_LEN];

	(void)state;
	lot_files_write();
	problems_init(&problems);
	bundle = lot_bundle_load(
	    &lot_config, scratch_path("lots/L1"), false, &problems);
	if (bundle == NULL)
		print_message("%s", problems.text.data);
	assert_non_null(bundle);
	image = &bundle->image;
	assert_int_equal(image->magic, LOT_MAGIC);
	assert_int_equal(image->size, sizeof(*image));
	assert_string_equal(image->folder, scratch_path("lots/L1"));
	assert_string_equal(image->frozen, scratch_path("state/lots/L1"));
	assert_string_equal(image->name, "L1");
	assert_string_equal(image->product, "sensor");
	assert_string_equal(image->part_number, "PN-1");
	assert_int_equal(image->quantity, 2);
	assert_int_equal(image->pattern, PATTERN_CLAIM);
	assert_int_equal(image->serial_from, SERIAL_FROM_MAC);
	assert_string_equal(image->cloud, "main");
	assert_string_equal(image->account, "123456789012");
	assert_string_equal(
	    image->endpoint, "x-ats.iot.eu-west-1.amazonaws.com");
	assert_string_equal(image->thing_rule, "device-${serial}");
	assert_string_equal(image->thing_type, "Sensor");
	assert_int_equal(image->group_count, 2);
	assert_string_equal(image->groups[1], "line-1");
	assert_string_equal(image->policy, "");
	assert_int_equal(image->attribute_count, 1);
	assert_string_equal(image->attributes[0].name, "revision");
	assert_string_equal(image->attributes[0].rule, "${manifest.rev}");
	assert_string_equal(image->template_name, "Fleet");
	assert_int_equal(image->claim_limit, 3);
	assert_non_null(strstr(image->root_ca, "BEGIN CERTIFICATE"));
	assert_non_null(strstr(image->claim_certificate, "BEGIN CERTIFICATE"));
	assert_string_equal(
	    image->claim_key_path, scratch_path("lots/L1/claim.key"));
	assert_string_equal(image->firmware_version, "1.0.0");
	digest_text(&image->firmware_digest, text);
	assert_string_equal(text, lot_firmware_sha256);
	assert_string_equal(image->profile.name, "claims");
	assert_int_equal(image->profile.inject_count, 1);
	assert_int_equal(bundle->rows, 3);
	assert_int_equal(bundle->firmware.count, 3);
	assert_int_equal(bundle->firmware.sources[1].offset, 0x8000);
	assert_string_equal(
	    bundle->firmware.sources[1].name, "tables/partition-table.bin");
	assert_int_equal(bundle->firmware.sources[2].len, 11);
	assert_string_equal(bundle->firmware.chip, "esp32c3");
	assert_int_equal(bundle->file_count, 9);
	lot_bundle_free(bundle);
	problems_free(&problems);
}

/* One change to the good lot, and exactly what is said about it. */
static const struct {
	const char *find, *with, *problems;
} bad[] = {
    {"lot: L1", "lot: L2",
	"lot.yaml:2:6: lot \"L2\" stands in the folder \"L1\"; accepted is "
	"the folder's name\n"},
    {"product: sensor", "product: a sensor",
	"lot.yaml:3:10: product \"a sensor\" is not accepted; accepted are 1 "
	"to 64 of A-Z a-z 0-9 _ . , @ / : # -, the first a letter or "
	"digit\n"},
    {"part_number: PN-1\n", "",
	"lot.yaml:1:1: part_number is missing; a text of at most 64 bytes is "
	"accepted\n"},
    {"quantity: 2", "quantity: 4",
	"lot.yaml:5:11: quantity 4 is more than the manifest's 3 rows; "
	"accepted are 1 to 3\n"},
    {"quantity: 2", "quantity: 0",
	"lot.yaml:5:11: quantity is 0; a whole number from 1 to 4000000 is "
	"accepted\n"},
    {"profile: claims", "profile: other",
	"lot.yaml:6:10: profile \"other\" is not there; accepted is the name "
	"of a file NAME.yaml in @/profiles\n"},
    {"profile: claims", "profile: requests",
	"lot.yaml:6:10: profile \"requests\" is of mode csr and does not go "
	"with pattern claim, ending field; accepted is one of mode claim\n"},
    {"pattern: claim", "pattern: jitx",
	"lot.yaml:7:10: pattern is jitx; claim, csr, register-thing, "
	"certificate-readback, trusted-user, jitp, jitr or bulk is "
	"accepted\n"},
    {"serial_from: mac", "serial_from: device",
	"lot.yaml:8:14: serial_from device needs a step identify in profile "
	"\"claims\"; accepted without it are mac, scan and next\n"
	"lot.yaml:8:14: serial_from device does not go with profile "
	"\"claims\", which writes the serial before the device can tell it; "
	"accepted are mac, scan and next\n"},
    {"cloud: main", "cloud: spare",
	"lot.yaml:9:8: cloud profile \"spare\" is not in @/station.yaml; "
	"accepted is the name of one of its clouds\n"},
    {"account: 123456789012", "account: 123456789013",
	"lot.yaml:10:10: account 123456789013 is not that of cloud profile "
	"\"main\"; accepted is 123456789012\n"},
    {"endpoint: x-ats", "endpoint: https://x-ats",
	"lot.yaml:11:11: endpoint \"https://x-ats.iot.eu-west-1.amazonaws.com"
	"\" is not accepted; accepted are a host name without scheme or path, "
	"such as example-ats.iot.eu-central-1.amazonaws.com\n"},
    {"version: 1.0.0", "version: 1.0.0 beta",
	"lot.yaml:13:12: version \"1.0.0 beta\" is not accepted; accepted are "
	"1 to 31 of A-Z a-z 0-9 . _ -, the first a letter or digit\n"},
    {"args: firmware", "args: build",
	"lot.yaml:14:9: args: @/lots/L1/build/flasher_args.json cannot be "
	"read: No such file or directory; accepted is a file that the station "
	"may read\n"},
    {"firmware/flasher_args.json\n  sha256: ",
	"firmware/flasher_args.json\n  sha256: 0",
	"lot.yaml:15:11: sha256 is "
	"0FIRMWARE_SHA2; a text of at most 64 bytes is accepted\n"},
    {"name: device-${serial}", "name: device-${lot}",
	"lot.yaml:17:9: name \"device-${lot}\" is the same for many units; "
	"accepted is a rule with ${serial} or ${mac}\n"},
    {"name: device-${serial}", "name: device ${serial}",
	"manifest.csv:2:1: thing name \"device A1\" is not accepted; accepted "
	"are 1 to 128 of A-Z a-z 0-9 : _ -\n"
	"manifest.csv:3:1: thing name \"device A2\" is not accepted; accepted "
	"are 1 to 128 of A-Z a-z 0-9 : _ -\n"
	"manifest.csv:4:1: thing name \"device A3\" is not accepted; accepted "
	"are 1 to 128 of A-Z a-z 0-9 : _ -\n"},
    {"  type: Sensor\n", "",
	"lot.yaml:17:3: type is missing; a thing without one holds 3 "
	"attributes and the station gives it 4 of its own; accepted are 1 to "
	"128 of A-Z a-z 0-9 : _ -\n"},
    {"type: Sensor", "type: Sensor.1",
	"lot.yaml:18:9: type \"Sensor.1\" is not accepted; accepted are 1 to "
	"128 of A-Z a-z 0-9 : _ -\n"},
    {"line-1]", "factory]",
	"lot.yaml:19:21: group \"factory\" is there twice; accepted is each "
	"group once\n"},
    {"line-1]", "line 1]",
	"lot.yaml:19:21: group \"line 1\" is not accepted; accepted are 1 to "
	"128 of A-Z a-z 0-9 : _ -\n"},
    {"line-1]", "b, c, d, e, f, g, h, i, j, k]",
	"lot.yaml:19:48: group \"k\" is one too many; accepted are up to "
	"10\n"},
    {"revision: ", "lot: ",
	"lot.yaml:21:10: attribute lot is the station's own; accepted are "
	"names other than serial, lot, station and firmware\n"},
    {"revision: ", "my revision: ",
	"lot.yaml:21:18: attribute name \"my revision\" is not accepted; "
	"accepted are 1 to 128 of A-Z a-z 0-9 _ . , @ / : # -\n"},
    {"revision: ${manifest.rev}", "revision: ${manifest.hue}",
	"manifest.csv:2:1: attribute revision \"${manifest.hue}\": "
	"${manifest.hue} is not known; accepted are serial, mac, lot, "
	"product, part_number, station, firmware_version and manifest.COLUMN "
	"with a column of the manifest\n"
	"manifest.csv:3:1: attribute revision \"${manifest.hue}\": "
	"${manifest.hue} is not known; accepted are serial, mac, lot, "
	"product, part_number, station, firmware_version and manifest.COLUMN "
	"with a column of the manifest\n"
	"manifest.csv:4:1: attribute revision \"${manifest.hue}\": "
	"${manifest.hue} is not known; accepted are serial, mac, lot, "
	"product, part_number, station, firmware_version and manifest.COLUMN "
	"with a column of the manifest\n"},
    {"revision: ${manifest.rev}", "note: a note",
	"manifest.csv:2:1: attribute note \"a note\" is not accepted; "
	"accepted are 1 to 800 of A-Z a-z 0-9 _ . , @ / : # = [ ] - (no "
	"spaces)\n"},
    {"root_ca: root-ca.pem", "root_ca: none.pem",
	"lot.yaml:22:10: root_ca: @/lots/L1/none.pem cannot be read: No such "
	"file or directory; accepted is a file that the station may read\n"},
    {"root_ca: root-ca.pem", "root_ca: claim.pem", "claim.pem:1:1: *"},
    {"root_ca: root-ca.pem", "root_ca: manifest.csv", "manifest.csv:1:1: *"},
    {"certificate: claim.pem", "certificate: claim.key", "claim.key:1:1: *"},
    {"key: claim.key", "key: no.key",
	"lot.yaml:25:8: key: there is no @/lots/L1/no.key; accepted is the "
	"file of the claim's private key\n"},
    {"key: claim.key", "key: firmware",
	"lot.yaml:25:8: key: @/lots/L1/firmware is not a regular file; "
	"accepted is the file of the claim's private key\n"},
    {"endpoint: x-ats.iot.eu-west-1.amazonaws.com", "endpoint: x:70000",
	"lot.yaml:11:11: endpoint \"x:70000\" has no port behind its colon; "
	"accepted are HOST and HOST:PORT with 1 to 65535\n"},
    {"name: Fleet", "name: a template",
	"lot.yaml:27:9: name \"a template\" is not accepted; accepted are 1 "
	"to 36 of 0-9 A-Z a-z _ -\n"},
    {"claim.key\n", "claim.key\n  limit: 1\n",
	"lot.yaml:26:10: limit 1 is less than quantity 2; accepted are 2 and "
	"more\n"},
    {"  name: Fleet\n", "  file: none.json\n",
	"lot.yaml:27:3: name is missing; a text of at most 36 bytes is "
	"accepted\n"
	"lot.yaml:27:9: file: @/lots/L1/none.json cannot be read: No such "
	"file or directory; accepted is a file that the station may read\n"},
    {"template:\n  name: Fleet\n", "",
	"lot.yaml:1:1: template is missing; a map is accepted\n"},
    {"claim.key\n", "claim.key\n  template: Fleet\n",
	"lot.yaml:26:13: template does not belong to claim; accepted is "
	"template: {name: NAME} beside it\n"},
    {"name: Fleet\n", "name: Fleet\nclaims: 3\n",
	"lot.yaml:28:1: unknown key claims; accepted are schema, lot, "
	"product, part_number, quantity, cloud, account, endpoint, profile, "
	"ending, activate, activation, confirm_timeout, keys, claim, wifi, ca, "
	"readback, bulk, template, pattern, serial_from, firmware, thing, "
	"root_ca\n"},
};

static void
test_says_what_is_wrong(void **state)
{
	(void)state;
	lot_files_write();
	for (size_t at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
		char *good = lot_yaml_made();
		char *text = text_replaced(good, bad[at].find, bad[at].with);
		size_t len = strlen(bad[at].problems);

		scratch_text("lots/L1/lot.yaml", text);
		if (bad[at].problems[len - 1] == '*') {
			/* The middle of the text is the PEM reader's. */
			char *found = problems_of_lot();

			assert_memory_equal(found, bad[at].problems, len - 1);
			assert_non_null(strstr(found, "; accepted "));
			free(found);
		} else if (strstr(bad[at].problems, "FIRMWARE_SHA2") != NULL) {
			char *found = problems_of_lot();

			assert_memory_equal(
			    found, "lot.yaml:15:11: sha256 is", 25);
			free(found);
		} else {
			assert_problems(bad[at].problems);
		}
		free(text);
		free(good);
	}
}

/* The expected digest can be pasted from the message. */
static void
test_firmware_digest(void **state)
{
	char *good = lot_yaml_made();
	char *text = text_replaced(good, lot_firmware_sha256,
	    "0000000000000000000000000000000000000000000000000000000000000000");
	char expected[256];

	(void)state;
	lot_files_write();
	scratch_text("lots/L1/lot.yaml", text);
	(void)snprintf(expected, sizeof(expected),
	    "lot.yaml:15:11: sha256 is not that of the firmware files; "
	    "accepted for them as they are is %s\n",
	    lot_firmware_sha256);
	assert_problems(expected);
	free(text);
	free(good);
}

static const struct {
	const char *find, *with, *problems;
} bad_args[] = {
    {"\"esp32c3\"", "\"esp32\"",
	"firmware/flasher_args.json:7:34: the firmware is for chip \"esp32\"; "
	"accepted are the profile's chips: "},
    {"\"chip\"", "\"chop\"",
	"firmware/flasher_args.json:7:3: extra_esptool_args.chip is not "
	"there; accepted are the profile's chips: "},
    {"0x8000", "0x8001",
	"firmware/flasher_args.json:5:5: offset \"0x8001\" is not accepted; "
	"accepted are multiples of 0x1000 below 0x1000000\n"},
    {"0x8000", "0x1000000",
	"firmware/flasher_args.json:5:5: offset \"0x1000000\" is not "
	"accepted; accepted are multiples of 0x1000 below 0x1000000\n"},
    {"\"app.bin\"", "\"../app.bin\"",
	"firmware/flasher_args.json:3:16: the file at 0x20000 is not "
	"accepted; accepted is a path below the folder of flasher_args.json, "
	"without spaces\n"},
    {"\"app.bin\"", "\"/etc/passwd\"",
	"firmware/flasher_args.json:3:16: the file at 0x20000 is not "
	"accepted; accepted is a path below the folder of flasher_args.json, "
	"without spaces\n"},
    {"\"app.bin\"", "7",
	"firmware/flasher_args.json:3:5: the file at 0x20000 is not accepted; "
	"accepted is a path below the folder of flasher_args.json, without "
	"spaces\n"},
    {"\"app.bin\"", "\"none.bin\"",
	"firmware/flasher_args.json:3:16: none.bin cannot be read: No such "
	"file or directory; accepted is a file of the build\n"},
    {"\"0x20000\"", "\"0xE000\"",
	"firmware/flasher_args.json:3:15: app.bin overlaps the profile's "
	"credentials at 0xd000; accepted are files outside of them\n"},
    {"\"0x0\"", "\"0x20000\"", "firmware/flasher_args.json:4:13: "},
    {"flash_files", "files",
	"firmware/flasher_args.json:1:1: flash_files is not as ESP-IDF writes "
	"it; accepted is an object of 1 to 32 pairs of offset and file\n"},
    {"}\n}\n", "}\n", "firmware/flasher_args.json:8:1: "},
};

static void
test_flasher_args(void **state)
{
	(void)state;
	lot_files_write();
	for (size_t at = 0; at < sizeof(bad_args) / sizeof(bad_args[0]); at++) {
		char *text = text_replaced(
		    lot_flasher_args, bad_args[at].find, bad_args[at].with);
		char *found;
		size_t len = strlen(bad_args[at].problems);

		scratch_text("lots/L1/firmware/flasher_args.json", text);
		found = problems_of_lot();
		if (strncmp(found, bad_args[at].problems, len) != 0)
			assert_string_equal(found, bad_args[at].problems);
		free(found);
		free(text);
	}
}

static void
test_files_that_share_a_sector(void **state)
{
	static char big[0x8001];

	(void)state;
	lot_files_write();
	memset(big, 'b', sizeof(big));
	scratch_write("lots/L1/firmware/bootloader.bin", big, sizeof(big));
	assert_problems(
	    "firmware/flasher_args.json:4:12: bootloader.bin ends at 0x9000 "
	    "and overlaps tables/partition-table.bin at 0x8000; accepted are "
	    "files that share no sector\n");
	scratch_text("lots/L1/firmware/bootloader.bin", "");
	assert_problems(
	    "firmware/flasher_args.json:4:12: the file is empty; accepted is "
	    "a file with 1 byte or more\n");
}

static void
test_certificates_in_time(void **state)
{
	char *pem = pem_made("Old", false, -1);
	char *found;

	(void)state;
	lot_files_write();
	scratch_text("lots/L1/claim.pem", pem);
	found = problems_of_lot();
	assert_int_equal(strncmp(found, "claim.pem:1:1: ", 15), 0);
	assert_non_null(strstr(
	    found, "; accepted is one PEM certificate that is valid now\n"));
	free(found);
	free(pem);
	lot_files_write();
	pem = pem_made("Old", true, -1);
	scratch_text("lots/L1/root-ca.pem", pem);
	found = problems_of_lot();
	assert_int_equal(strncmp(found, "root-ca.pem:1:1: ", 17), 0);
	free(found);
	free(pem);
}

static void
test_columns_that_the_serial_needs(void **state)
{
	char *good = lot_yaml_made();
	char *text;

	(void)state;
	lot_files_write();
	scratch_text("lots/L1/manifest.csv", "serial,rev\nA1,B\nA2,B\n");
	assert_problems(
	    "manifest.csv:1:1: there is no column mac, which serial_from mac "
	    "needs; accepted is a header line with it\n");
	scratch_text("lots/L1/manifest.csv",
	    "serial,mac,rev\nA1,246f28000001,B\nA2,,B\n");
	assert_problems(
	    "manifest.csv:3:1: the row has no mac, which serial_from mac "
	    "needs; accepted is a mac in every row\n");
	text = text_replaced(good, "serial_from: mac", "serial_from: scan");
	scratch_text("lots/L1/lot.yaml", text);
	assert_problems("");
	scratch_text("lots/L1/manifest.csv",
	    "mac,rev\n246f28000001,B\n246f28000002,B\n");
	assert_problems(
	    "manifest.csv:1:1: there is no column serial, which serial_from "
	    "scan needs; accepted is a header line with it\n");
	free(text);
	free(good);
}

static void
test_pattern_csr(void **state)
{
	char *good = lot_yaml_made();
	char *text = text_replaced(good,
	    "profile: claims\npattern: claim\n"
	    "serial_from: mac",
	    "profile: requests\npattern: csr\nserial_from: device");
	char *bare;
	char *whole;

	(void)state;
	lot_files_write();
	scratch_text("lots/L1/lot.yaml", text);
	assert_problems(
	    "lot.yaml:17:3: policy is missing; a text of at most 128 bytes is "
	    "accepted\n"
	    "lot.yaml:24:3: claim does not go with pattern csr; accepted is it "
	    "with pattern claim\n"
	    "lot.yaml:27:3: template does not go with pattern csr; accepted is "
	    "it with pattern claim, trusted-user, register-thing, jitp and "
	    "bulk\n");
	bare = text_replaced(text,
	    "claim:\n  certificate: claim.pem\n  key: claim.key\n"
	    "template:\n  name: Fleet\n",
	    "");
	whole = text_replaced(
	    bare, "  type: Sensor\n", "  type: Sensor\n  policy: Fleet+1\n");
	scratch_text("lots/L1/lot.yaml", whole);
	assert_problems("");
	free(whole);
	free(bare);
	free(text);
	free(good);
}

static void
test_image_alone(void **state)
{
	struct problems problems;
	struct lot_image *image = calloc(1, sizeof(*image));

	(void)state;
	assert_non_null(image);
	lot_files_write();
	problems_init(&problems);
	assert_int_equal(lot_load(&lot_config, scratch_path("lots/L1"), false,
			     image, &problems),
	    0);
	assert_string_equal(image->name, "L1");
	assert_int_equal(lot_load(&lot_config, scratch_path("lots/L2"), false,
			     image, &problems),
	    -1);
	assert_int_equal(problems.count, 1);
	problems_free(&problems);
	free(image);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_every_key),
	    cmocka_unit_test(test_says_what_is_wrong),
	    cmocka_unit_test(test_firmware_digest),
	    cmocka_unit_test(test_flasher_args),
	    cmocka_unit_test(test_files_that_share_a_sector),
	    cmocka_unit_test(test_certificates_in_time),
	    cmocka_unit_test(test_columns_that_the_serial_needs),
	    cmocka_unit_test(test_pattern_csr),
	    cmocka_unit_test(test_image_alone),
	};

	return cmocka_run_group_tests(
	    tests, lot_scratch_open, lot_scratch_close);
}
