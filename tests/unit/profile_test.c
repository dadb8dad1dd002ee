#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lot/check.h"
#include "lot_scratch.h"

static struct profile profile;

/* The problems of a profile, without its path; owned. */
static char *
problems_of(const char *text)
{
	struct problems problems;
	struct digest digest;
	char *found;
	const char *path = scratch_text("profiles/x.yaml", text);

	problems_init(&problems);
	if (profile_load(path, &profile, &digest, &problems) == 0)
		assert_int_equal(problems.count, 0);
	else
		assert_true(problems.count > 0);
	found = strdup(problems.text.data == NULL ? "" : problems.text.data);
	assert_non_null(found);
	problems_free(&problems);
	unlink(path);
	return lines_stripped(lines_stripped(found, path), ":");
}

static void
test_reads_both_modes(void **state)
{
	char *problems = problems_of(lot_claim_profile);

	(void)state;
	assert_string_equal(problems, "");
	free(problems);
	assert_string_equal(profile.name, "claims");
	assert_int_equal(profile.mode, PROFILE_CLAIM);
	assert_int_equal(profile.flasher, FLASHER_ESP_ROM);
	assert_int_equal(
	    profile.esp.chips, 1u << ESP_CHIP_ESP32C3 | 1u << ESP_CHIP_ESP32S3);
	assert_int_equal(profile.inject_count, 1);
	assert_int_equal(profile.injects[0].offset, 0xd000);
	assert_int_equal(profile.total_timeout_ms, 300000);
	problems = problems_of(lot_csr_profile);
	assert_string_equal(problems, "");
	free(problems);
	assert_int_equal(profile.mode, PROFILE_CSR);
	assert_int_equal(profile.inject_count, 0);
	assert_true(profile.program.registers);
	assert_true(profile.program.identifies);
}

static const struct {
	const char *text, *find, *with, *problems;
} bad[] = {
    {lot_claim_profile, "schema: 1", "schema: 9",
	"1:9: schema is 9; a whole number from 1 to 1 is accepted\n"},
    {lot_claim_profile, "name: claims", "name: my claims",
	"2:7: name \"my claims\" is not accepted; accepted are 1 to 64 of A-Z "
	"a-z 0-9 . _ -, the first a letter or digit\n"},
    {lot_claim_profile, "mode: claim", "mode: jitr",
	"3:7: mode is jitr; claim, csr, readback or keys is accepted\n"},
    {lot_claim_profile, "mode: claim", "mode: csr",
	"3:7: mode csr writes a claim key; accepted are inject entries and "
	"steps without ${claim_key}\n"
	"3:7: mode csr has no step register; accepted is a program with a step "
	"register: {csr: ...}\n"},
    {lot_claim_profile, "${claim_key}", "${claim_cert}",
	"3:7: mode claim writes no claim key; accepted is an inject entry or "
	"a step with ${claim_key}\n"},
    {lot_csr_profile, "mode: csr", "mode: claim",
	"3:7: mode claim writes no claim key; accepted is an inject entry or "
	"a step with ${claim_key}\n"
	"3:7: mode claim has another step register; accepted is a program with "
	"no step register\n"},
    {lot_csr_profile, "mode: csr", "mode: readback",
	"3:7: mode readback has another step register; accepted is a program "
	"with a step register: {cert: ...}\n"},
    {lot_csr_profile, "mode: csr", "mode: keys",
	"3:7: mode keys has another step register; accepted is a program with "
	"a step register: {keys: aws}\n"
	"3:7: mode keys does not write the unit's key; accepted is a step with "
	"${device_key}\n"},
    {lot_csr_profile, "send: csr", "send: \"csr ${claim_key}\"",
	"3:7: mode csr writes a claim key; accepted are inject entries and "
	"steps without ${claim_key}\n"},
    {lot_claim_profile, "kind: esp-rom", "kind: dfu",
	"4:17: kind is dfu; esp-rom is accepted\n"},
    {lot_claim_profile, "mode: claim\n", "mode: claim\ntotal_timeout: 2h\n",
	"4:16: total_timeout is 7200000 ms; accepted are 1ms to 1h\n"},
    {lot_claim_profile, "mode: claim\n", "mode: claim\nboot: 2s\n",
	"4:1: unknown key boot; accepted are "},
    {lot_claim_profile, "flasher: {kind: esp-rom, chip: [esp32c3, esp32s3]}\n",
	"", "1:1: flasher is missing; a map is accepted\n"},
    {lot_claim_profile, "${serial}", "${serail}",
	"11:27: unknown variable in \"${serail}\"; accepted are "},
    {lot_claim_profile, "      - {type: 51",
	"  - {kind: nvs, offset: 0xE000, size: 0x3000, namespace: n, entries: "
	"[{key: k, value: v}]}\n  - kind: esp-secure-cert\n"
	"    offset: 0x20000\n    size: 0x2000\n    entries:\n"
	"      - {type: 51",
	"11:5: the image at 0xe000 overlaps the one at 0xd000; accepted are "
	"images apart\n"},
};

static void
test_says_what_is_wrong(void **state)
{
	(void)state;
	for (size_t at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
		char *text =
		    text_replaced(bad[at].text, bad[at].find, bad[at].with);
		char *problems = problems_of(text);
		size_t len = strlen(bad[at].problems);

		/* Where another module lists its keys, only what is ours. */
		if (len == 0 || bad[at].problems[len - 1] == '\n' ||
		    strncmp(problems, bad[at].problems, len) != 0)
			assert_string_equal(problems, bad[at].problems);
		free(problems);
		free(text);
	}
}

static void
test_mentions(void **state)
{
	char *problems = problems_of(lot_claim_profile);

	(void)state;
	free(problems);
	assert_true(profile_mentions(&profile, "claim_key"));
	assert_true(profile_mentions(&profile, "serial"));
	assert_false(profile_mentions(&profile, "claim"));
	assert_false(profile_mentions(&profile, "found"));
	problems = problems_of(lot_csr_profile);
	free(problems);
	assert_true(profile_mentions(&profile, "found"));
	assert_false(profile_mentions(&profile, "foun"));
}

/* Profiles that are shipped are good, and named as their files. */
static void
test_shipped_profiles(void **state)
{
	static const struct {
		const char *path;
		uint32_t mode;
	} shipped[] = {
	    {"fixtures/profiles/esp32-secure-cert.yaml", PROFILE_CLAIM},
	    {"fixtures/profiles/esp32-nvs.yaml", PROFILE_CLAIM},
	    {"fixtures/profiles/esp32-csr.yaml", PROFILE_CSR},
	    {"fixtures/profiles/esp32-fleet.yaml", PROFILE_CLAIM},
	    {"fixtures/profiles/esp32-connect.yaml", PROFILE_CSR},
	    {"fixtures/profiles/esp32-birth.yaml", PROFILE_READBACK},
	    {"fixtures/profiles/esp32-keys.yaml", PROFILE_KEYS},
	};

	(void)state;
	for (size_t at = 0; at < sizeof(shipped) / sizeof(shipped[0]); at++) {
		struct problems problems;
		struct digest digest;

		problems_init(&problems);
		if (profile_load(
			shipped[at].path, &profile, &digest, &problems) != 0)
			print_message("%s", problems.text.data);
		assert_int_equal(problems.count, 0);
		assert_int_equal(profile.mode, shipped[at].mode);
		assert_true(profile.program.identifies);
		assert_non_null(strstr(shipped[at].path, profile.name));
		problems_free(&problems);
	}
}

static const char check_config[] = "schema: 1\n"
				   "station: bench-1\n"
				   "site: here\n"
				   "state: state\n"
				   "slots: [{name: \"1\", usb: 1-1}]\n"
				   "clouds:\n"
				   "  - name: main\n"
				   "    account: 123456789012\n"
				   "    region: eu-west-1\n";

/* `stationd --check`: all files, each problem once. */
static void
test_check_all(void **state)
{
	struct problems problems;
	const char *path = scratch_text("station.yaml", check_config);
	char *yaml = lot_yaml_made();
	char *second = text_replaced(yaml, "lot: L1", "lot: L2");
	char expected[1000];

	(void)state;
	lot_files_write();
	scratch_text("lots/README.md", "not a lot");
	problems_init(&problems);
	if (lot_check_all(path, &problems) != 0)
		print_message("%s", problems.text.data);
	assert_int_equal(problems.count, 0);
	scratch_text("profiles/claims.yaml", "schema: 1\nname: 2\n");
	scratch_text("lots/L2/lot.yaml", second);
	assert_int_equal(lot_check_all(path, &problems), -1);
	(void)snprintf(expected, sizeof(expected),
	    "%s:1:1: mode is missing; claim, csr, readback or keys is "
	    "accepted\n"
	    "%s:1:1: flasher is missing; a map is accepted\n",
	    scratch_path("profiles/claims.yaml"),
	    scratch_path("profiles/claims.yaml"));
	assert_memory_equal(problems.text.data, expected, strlen(expected));
	/* Both lots use the profile. */
	assert_null(
	    strstr(problems.text.data + strlen(expected), "mode is missing"));
	assert_non_null(strstr(problems.text.data,
	    "/lots/L2/manifest.csv: cannot be read: No such file or directory; "
	    "accepted is a file that the station may read\n"));
	problems_free(&problems);
	free(second);
	free(yaml);
}

/* The example of a real bench, and the lots of the demo. */
static void
test_shipped_config(void **state)
{
	struct station_config *config = calloc(1, sizeof(*config));
	struct problems problems;
	struct fault fault;
	char *data;
	size_t len;
	const char *path;

	(void)state;
	assert_non_null(config);
	assert_int_equal(
	    file_read("config/station.yaml", 1 << 20, &data, &len, &fault), 0);
	path = scratch_write("shipped.yaml", data, len);
	problems_init(&problems);
	if (config_load(path, config, &problems) != 0)
		print_message("%s", problems.text.data);
	assert_int_equal(problems.count, 0);
	assert_int_equal(config->slot_count, 8);
	problems_free(&problems);
	free(data);
	free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_both_modes),
	    cmocka_unit_test(test_says_what_is_wrong),
	    cmocka_unit_test(test_mentions),
	    cmocka_unit_test(test_shipped_profiles),
	    cmocka_unit_test(test_shipped_config),
	    cmocka_unit_test(test_check_all),
	};

	return cmocka_run_group_tests(
	    tests, lot_scratch_open, lot_scratch_close);
}
