#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>

#include "lot/lot_freeze.h"
#include "lot_scratch.h"

static struct problems problems;

static int
each_open(void **state)
{
	(void)state;
	problems_init(&problems);
	lot_scratch_open(state);
	return 0;
}

static int
each_close(void **state)
{
	problems_free(&problems);
	return lot_scratch_close(state);
}

static struct lot_bundle *
bundle_open(const char *folder, bool frozen)
{
	struct lot_bundle *bundle = lot_bundle_load(
	    &lot_config, scratch_path(folder), frozen, &problems);

	if (bundle == NULL)
		print_message("%s", problems.text.data);
	assert_non_null(bundle);
	return bundle;
}

static int
freeze(void)
{
	struct lot_bundle *bundle = bundle_open("lots/L1", false);
	int result = lot_freeze(&lot_config, bundle, &problems);

	if (result == 0)
		assert_string_equal(
		    bundle->image.frozen, scratch_path("state/lots/L1"));
	lot_bundle_free(bundle);
	return result;
}

static char *
text_of(const char *name)
{
	char *data = NULL;
	size_t len;
	struct fault fault;

	assert_int_equal(
	    file_read(scratch_path(name), 1 << 20, &data, &len, &fault), 0);
	return data;
}

static size_t
names_in(const char *folder)
{
	DIR *open = opendir(scratch_path(folder));
	size_t count = 0;

	assert_non_null(open);
	for (struct dirent *entry; (entry = readdir(open)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(open);
	return count;
}

/* sha256sum(1) is the witness of the list of hashes. */
static void
test_copies_everything(void **state)
{
	char command[600];
	char *origin;
	char *yaml = lot_yaml_made();
	char *copy;

	(void)state;
	assert_int_equal(freeze(), 0);
	assert_int_equal(names_in("state/lots"), 1);
	assert_int_equal(names_in("state/lots/L1"), 8);
	copy = text_of("state/lots/L1/lot.yaml");
	assert_string_equal(copy, yaml);
	origin = text_of("state/lots/L1/origin");
	(void)snprintf(
	    command, sizeof(command), "%s\n", scratch_path("lots/L1"));
	assert_string_equal(origin, command);
	(void)snprintf(command, sizeof(command),
	    "cd '%s' && sha256sum --check --strict --quiet frozen.sha256 && "
	    "test \"$(wc -l <frozen.sha256)\" = 9",
	    scratch_path("state/lots/L1"));
	assert_int_equal(system(command), 0);
	assert_int_equal(
	    access(scratch_path("state/lots/L1/claim.key"), F_OK), -1);
	free(origin);
	free(copy);
	free(yaml);
}

/* The copy is loadable when nothing else is left but the claim key. */
static void
test_copy_stands_alone(void **state)
{
	static const char *const gone[] = {"lots/L1/lot.yaml",
	    "lots/L1/manifest.csv", "lots/L1/root-ca.pem", "lots/L1/claim.pem",
	    "lots/L1/firmware/app.bin", "profiles/claims.yaml"};
	struct lot_bundle *first, *second;

	(void)state;
	first = bundle_open("lots/L1", false);
	assert_int_equal(lot_freeze(&lot_config, first, &problems), 0);
	for (size_t at = 0; at < sizeof(gone) / sizeof(gone[0]); at++)
		assert_int_equal(unlink(scratch_path(gone[at])), 0);
	second = bundle_open("state/lots/L1", true);
	assert_int_equal(lot_frozen_match(second, &problems), 0);
	assert_string_equal(second->image.folder, first->image.frozen);
	assert_string_equal(second->image.frozen, first->image.frozen);
	assert_string_equal(
	    second->image.claim_key_path, first->image.claim_key_path);
	memcpy(second->image.folder, first->image.folder,
	    sizeof(first->image.folder));
	assert_memory_equal(
	    &second->image, &first->image, sizeof(first->image));
	lot_bundle_free(first);
	lot_bundle_free(second);
}

static void
test_same_contents_are_kept(void **state)
{
	struct stat before, after;

	(void)state;
	assert_int_equal(freeze(), 0);
	assert_int_equal(
	    stat(scratch_path("state/lots/L1/lot.yaml"), &before), 0);
	assert_int_equal(freeze(), 0);
	assert_int_equal(
	    stat(scratch_path("state/lots/L1/lot.yaml"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(names_in("state/lots"), 1);
}

static void
test_other_contents_are_refused(void **state)
{
	static const char changed[] = "serial,mac,rev\n"
				      "A1,24:6f:28:00:00:01,B\n"
				      "A2,24:6f:28:00:00:02,B\n";
	char expected[500];

	(void)state;
	assert_int_equal(freeze(), 0);
	scratch_text("lots/L1/manifest.csv", changed);
	assert_int_equal(freeze(), -1);
	(void)snprintf(expected, sizeof(expected),
	    "%s: lot L1 was opened before with other contents; close it and "
	    "give the changed lot a new name\n",
	    scratch_path("lots/L1"));
	assert_string_equal(problems.text.data, expected);
}

static void
test_changed_copies_are_refused(void **state)
{
	static const char *const names[] = {"lot.yaml", "profile.yaml",
	    "manifest.csv", "root-ca.pem", "claim-certificate.pem",
	    "firmware/flasher_args.json", "firmware/app.bin",
	    "firmware/tables/partition-table.bin"};
	char name[128];
	char expected[600];

	(void)state;
	assert_int_equal(freeze(), 0);
	for (size_t at = 0; at < sizeof(names) / sizeof(names[0]); at++) {
		char *kept;
		char *damaged;

		(void)snprintf(
		    name, sizeof(name), "state/lots/L1/%s", names[at]);
		kept = text_of(name);
		if (asprintf(&damaged, "%s ", kept) < 0)
			fail();
		scratch_text(name, damaged);
		problems_free(&problems);
		problems_init(&problems);
		assert_null(lot_bundle_load(&lot_config,
		    scratch_path("state/lots/L1"), true, &problems));
		(void)snprintf(expected, sizeof(expected),
		    "%s: the file was changed after the lot was frozen; "
		    "accepted is the SHA-256 in %s\n",
		    scratch_path(name),
		    scratch_path("state/lots/L1/frozen.sha256"));
		assert_string_equal(problems.text.data, expected);
		/* A new start of the lot finds it, too. */
		assert_int_equal(freeze(), -1);
		scratch_text(name, kept);
		free(kept);
		free(damaged);
	}
	assert_int_equal(freeze(), 0);
}

/* A list that leaves a file out does not hide its change. */
static void
test_shortened_list_is_refused(void **state)
{
	char *list;
	struct lot_bundle *bundle;

	(void)state;
	assert_int_equal(freeze(), 0);
	list = text_of("state/lots/L1/frozen.sha256");
	*(strchr(list, '\n') + 1) = '\0';
	scratch_text("state/lots/L1/frozen.sha256", list);
	free(list);
	bundle = bundle_open("state/lots/L1", true);
	assert_int_equal(lot_frozen_match(bundle, &problems), -1);
	lot_bundle_free(bundle);
}

static void
test_hostile_lists(void **state)
{
	static const char *const lists[] = {"x\n", "00  lot.yaml\n",
	    "zz00000000000000000000000000000000000000000000000000000000000000"
	    "  lot.yaml\n",
	    "0000000000000000000000000000000000000000000000000000000000000000"
	    "  ../../../etc/passwd\n",
	    "0000000000000000000000000000000000000000000000000000000000000000"
	    "  /etc/passwd\n",
	    "0000000000000000000000000000000000000000000000000000000000000000"
	    "  a/../../b\n",
	    "0000000000000000000000000000000000000000000000000000000000000000"
	    "  \n"};

	(void)state;
	assert_int_equal(freeze(), 0);
	for (size_t at = 0; at < sizeof(lists) / sizeof(lists[0]); at++) {
		scratch_text("state/lots/L1/frozen.sha256", lists[at]);
		problems_free(&problems);
		problems_init(&problems);
		assert_null(lot_bundle_load(&lot_config,
		    scratch_path("state/lots/L1"), true, &problems));
		assert_int_equal(problems.count, 1);
		assert_non_null(strstr(problems.text.data, ":1:1: "));
		assert_null(strstr(problems.text.data, "root:"));
	}
}

/* What is copied is what was checked. */
static void
test_file_that_changes_meanwhile(void **state)
{
	struct lot_bundle *bundle;

	(void)state;
	bundle = bundle_open("lots/L1", false);
	scratch_text("lots/L1/firmware/app.bin", "another application");
	assert_int_equal(lot_freeze(&lot_config, bundle, &problems), -1);
	assert_non_null(strstr(problems.text.data,
	    "firmware/app.bin: the file changed while the lot was opened"));
	assert_int_equal(names_in("state/lots"), 0);
	lot_bundle_free(bundle);
}

static void
test_leftovers_go(void **state)
{
	(void)state;
	scratch_text("state/lots/L1.tmp-abcdef/firmware/app.bin", "half");
	scratch_text("state/lots/L10.tmp-abcdef/lot.yaml", "another lot's");
	assert_int_equal(freeze(), 0);
	assert_int_equal(names_in("state/lots"), 2);
	assert_int_equal(
	    access(scratch_path("state/lots/L10.tmp-abcdef"), F_OK), 0);
}

/* The folder may move; the key is then where the lot was opened last. */
static void
test_origin_follows(void **state)
{
	struct lot_bundle *bundle;

	(void)state;
	assert_int_equal(freeze(), 0);
	assert_int_equal(mkdir(scratch_path("moved"), 0755), 0);
	assert_int_equal(
	    rename(scratch_path("lots/L1"), scratch_path("moved/L1")), 0);
	bundle = bundle_open("moved/L1", false);
	assert_int_equal(lot_freeze(&lot_config, bundle, &problems), 0);
	lot_bundle_free(bundle);
	bundle = bundle_open("state/lots/L1", true);
	assert_string_equal(
	    bundle->image.claim_key_path, scratch_path("moved/L1/claim.key"));
	lot_bundle_free(bundle);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define EACH(test) cmocka_unit_test_setup_teardown(test, each_open, each_close)
	    EACH(test_copies_everything),
	    EACH(test_copy_stands_alone),
	    EACH(test_same_contents_are_kept),
	    EACH(test_other_contents_are_refused),
	    EACH(test_changed_copies_are_refused),
	    EACH(test_shortened_list_is_refused),
	    EACH(test_hostile_lists),
	    EACH(test_file_that_changes_meanwhile),
	    EACH(test_leftovers_go),
	    EACH(test_origin_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
