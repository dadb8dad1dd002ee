#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sysexits.h>

#include "base/file.h"
#include "keeper_bench.h"
#include "vault/role.h"

/*
 * The hsm role with SoftHSM (package softhsm2): a token of its own in the
 * test's folder, made by SoftHSM's own tool.
 */
static const char module_path[] = "/usr/lib/softhsm/libsofthsm2.so";
static const char pin[] = "4711";

/* The authorities whose keys are in the token, by label. */
static const struct {
	const char *label, *kind, *id;
} authorities[] = {
    {"ca-p256", "P-256", "01"},
    {"ca-p384", "P-384", "02"},
    {"ca-rsa", "RSA", "03"},
};
enum {
	AUTHORITIES = sizeof(authorities) / sizeof(authorities[0])
};
static char certificates[AUTHORITIES][PEM_MAX];
static char home[64] = "/tmp/softhsm-XXXXXX";

static void __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
	char command[1024];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(command, sizeof(command), format, list);
	va_end(list);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void
file_put(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", home, name);
	file = fopen(path, "w");
	must(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, name);
}

static void
token_make(const char *label)
{
	run("softhsm2-util --init-token --free --label %s --pin %s "
	    "--so-pin 12345678 >/dev/null",
	    label, pin);
}

static void
key_put(const char *token, EVP_PKEY *key, const char *label, const char *id)
{
	char pem[PEM_MAX];

	key_pem(key, NULL, pem);
	file_put("import.pem", pem);
	run("softhsm2-util --import %s/import.pem --token %s --label %s "
	    "--id %s --pin %s >/dev/null",
	    home, token, label, id, pin);
}

static int
softhsm_make(void **state)
{
	char text[256], path[128];
	size_t i;

	(void)state;
	if (access(module_path, R_OK) != 0) {
		print_message("SoftHSM (softhsm2) is not installed\n");
		return -1;
	}
	must(mkdtemp(home) != NULL, "a folder");
	(void)snprintf(text, sizeof(text),
	    "directories.tokendir = %s/tokens\nobjectstore.backend = file\n"
	    "log.level = ERROR\n",
	    home);
	file_put("softhsm2.conf", text);
	run("mkdir %s/tokens", home);
	(void)snprintf(path, sizeof(path), "%s/softhsm2.conf", home);
	setenv("SOFTHSM2_CONF", path, 1);
	token_make("station");
	for (i = 0; i < AUTHORITIES; i++) {
		EVP_PKEY *key = make_key(authorities[i].kind, 2048);

		make_certificate(
		    key, "maker", true, -DAY_S, DAY_S, certificates[i]);
		key_put(
		    "station", key, authorities[i].label, authorities[i].id);
		EVP_PKEY_free(key);
	}
	return 0;
}

static int
softhsm_remove(void **state)
{
	(void)state;
	run("rm -rf '%s'", home);
	return 0;
}

static void
hsm_start(struct bench *bench, const char *module)
{
	struct role_token token = {.path_count = 1};
	struct fault fault = {0};
	int job;

	strcpy(token.module, module);
	strcpy(token.paths[0], home);
	job = file_seal("token", &token, sizeof(token), &fault);
	assert_true(job >= 0);
	bench_start(bench, hsm_role, job);
	close(job);
}

static int
bench_open(void **state)
{
	struct bench *bench = bench_new();

	bench_file(bench, "pin", "4711\n", 0600);
	hsm_start(bench, module_path);
	*state = bench;
	return 0;
}

static int
bench_close(void **state)
{
	bench_stop(*state);
	bench_free(*state);
	return 0;
}

static enum fault_cause
key_give(
    struct bench *bench, uint32_t lot, const char *uri, const char *certificate)
{
	struct message_open_key key =
	    key_of(lot, KEY_CA, uri, bench_path(bench, "pin"), certificate);

	return bench_key(bench, &key);
}

static void
refused(struct bench *bench, const char *uri, const char *certificate,
    const char *text)
{
	assert_int_equal(
	    key_give(bench, 7, uri, certificate), CAUSE_VAULT_ERROR);
	if (strstr(bench->fault.text, text) == NULL)
		fail_msg("%s", bench->fault.text);
}

static void
test_every_kind_signs(void **state)
{
	struct bench *bench = *state;
	char uri[128];
	uint32_t i;

	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_VAULT_ERROR);
	for (i = 0; i < AUTHORITIES; i++) {
		(void)snprintf(uri, sizeof(uri),
		    "pkcs11:token=station;object=%s", authorities[i].label);
		if (key_give(bench, i, uri, certificates[i]) != CAUSE_NONE)
			fail_msg("%s", bench->fault.text);
	}
	/* All of them at once, as of lots that are open together. */
	for (i = 0; i < 2 * AUTHORITIES; i++) {
		assert_int_equal(
		    bench_sign(bench, i % AUTHORITIES, "UNIT-0007"),
		    CAUSE_NONE);
		assert_signed_by(bench, certificates[i % AUTHORITIES]);
	}
	assert_int_equal(bench_sign(bench, 0, "UNIT-0008"), CAUSE_CSR_SUBJECT);
	/* One lot is closed, the others go on. */
	bench_forget(bench, 0);
	assert_int_equal(
	    key_give(bench, 5, "pkcs11:id=%02;type=private;model=SoftHSM%20v2",
		certificates[1]),
	    CAUSE_NONE);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_VAULT_ERROR);
	assert_int_equal(bench_sign(bench, 5, "UNIT-0007"), CAUSE_NONE);
	assert_signed_by(bench, certificates[1]);
	assert_int_equal(bench_sign(bench, 2, "UNIT-0007"), CAUSE_NONE);
	assert_signed_by(bench, certificates[2]);
}

static void
test_keys_that_are_refused(void **state)
{
	struct bench *bench = *state;

	refused(bench, "pkcs11:token=elsewhere;object=ca-p256", certificates[0],
	    "0 of ");
	refused(bench, "pkcs11:token=station;object=nothing", certificates[0],
	    "has no private key \"nothing\"");
	refused(bench, "pkcs11:token=station;object=ca-p256;id=%09",
	    certificates[0], "has no private key");
	refused(bench, "pkcs11:token=station", certificates[0], "no key");
	/* Another key than the certificate's. */
	refused(bench, "pkcs11:token=station;object=ca-p384", certificates[0],
	    "does not belong");
	refused(bench, "pkcs11:token=station;object=ca-rsa", certificates[0],
	    "does not belong");
	refused(bench, "pkcs11:token=station;object=ca-p256", "", "BEGIN line");
	assert_int_equal(bench_sign(bench, 7, "UNIT-0007"), CAUSE_VAULT_ERROR);
}

/* Two of the same name are one too many. */
static void
test_names_that_are_not_unique(void **state)
{
	struct bench *bench = *state;
	EVP_PKEY *key = make_key("P-256", 0);

	token_make("twins");
	key_put("twins", key, "twin", "01");
	key_put("twins", key, "twin", "02");
	refused(bench, "pkcs11:token=twins;object=twin", certificates[0],
	    "more than one");
	/* SoftHSM's tool refuses a second token of a label: none is named. */
	refused(bench, "pkcs11:object=twin", certificates[0], "2 of 3");
	EVP_PKEY_free(key);
}

static void
test_pins(void **state)
{
	struct bench *bench = *state;
	static const char uri[] = "pkcs11:token=station;object=ca-p256";
	struct message_open_key key =
	    key_of(0, KEY_CA, uri, "", certificates[0]);

	assert_int_equal(bench_key(bench, &key), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "pin_file"));
	bench_file(bench, "pin", "4711\n", 0640);
	refused(bench, uri, certificates[0], "chmod 600");
	bench_file(bench, "pin", "1234\n", 0600);
	refused(bench, uri, certificates[0], "the PIN is wrong");
	assert_null(strstr(bench->fault.text, "1234"));
	/* A station that repeats does not lock the token. */
	refused(bench, uri, certificates[0], "has refused this PIN before");
	bench_file(bench, "pin", "4711\n", 0600);
	assert_int_equal(key_give(bench, 0, uri, certificates[0]), CAUSE_NONE);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_NONE);
}

static void
test_modules_that_are_none(void **state)
{
	static const struct {
		const char *path, *text;
	} rows[] = {
	    {"/nowhere/token.so", "cannot be loaded"},
	    {"/usr/lib/x86_64-linux-gnu/libz.so.1", "no PKCS #11 module"},
	};
	struct bench *bench = *state;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (i > 0 && access(rows[i].path, R_OK) != 0)
			continue;
		bench_stop(bench);
		hsm_start(bench, rows[i].path);
		refused(bench, "pkcs11:token=station;object=ca-p256",
		    certificates[0], rows[i].text);
		/* The role is there all the same, and says so again. */
		refused(bench, "pkcs11:token=station;object=ca-p256",
		    certificates[0], rows[i].text);
	}
}

/* Claim keys and passwords are the vault's, and only the line has signed. */
static void
test_other_words_are_refused(void **state)
{
	struct bench *bench = *state;
	static const char uri[] = "pkcs11:token=station;object=ca-p256";
	struct message_open_key key = key_of(
	    0, KEY_CLAIM, uri, bench_path(bench, "pin"), certificates[0]);
	struct message_vault_grant grant = {.lot = 0};
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_VAULT_GRANT};

	assert_int_equal(bench_key(bench, &key), CAUSE_VAULT_ERROR);
	key.kind = KEY_WIFI;
	assert_int_equal(bench_key(bench, &key), CAUSE_VAULT_ERROR);
	assert_int_equal(
	    channel_send(&bench->line, &header, &grant, sizeof(grant), NULL, 0),
	    0);
	bench_tell(bench, MESSAGE_VAULT_PAIR, 17, NULL, 0, NULL, 0);
	assert_int_equal(key_give(bench, 0, uri, certificates[0]), CAUSE_NONE);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_NONE);
	assert_signed_by(bench, certificates[0]);
}

/* ---- tokens that misbehave: tests/system/token_shim.c ---- */

static const char shim_uri[] = "pkcs11:token=station;object=ca-p256";

/* Starts the role with the shim, which stands beside this program. */
static void
shim_start(struct bench *bench)
{
	char path[PATH_LEN];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 64);

	assert_true(len > 0);
	path[len] = '\0';
	strcpy(strrchr(path, '/'), "/../tools/system/token_shim.so");
	if (access(path, R_OK) != 0)
		fail_msg("%s is not built", path);
	setenv("TOKEN_SHIM_FOLDER", home, 1);
	bench_stop(bench);
	hsm_start(bench, path);
}

static void
shim_wants(const char *name, bool wants)
{
	char path[128];

	file_put(name, "");
	if (wants)
		return;
	(void)snprintf(path, sizeof(path), "%s/%s", home, name);
	(void)unlink(path);
}

static void
test_lost_sessions_come_back(void **state)
{
	struct bench *bench = *state;

	shim_start(bench);
	assert_int_equal(
	    key_give(bench, 0, shim_uri, certificates[0]), CAUSE_NONE);
	shim_wants("lose", true);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_NONE);
	assert_signed_by(bench, certificates[0]);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_NONE);
	/* The PIN of a token that was taken out may be near its end. */
	shim_wants("lose", true);
	shim_wants("last", true);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_VAULT_ERROR);
	assert_non_null(strstr(bench->fault.text, "one try is left"));
	shim_wants("last", false);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_NONE);
}

static void
test_keys_that_want_the_pin_each_time(void **state)
{
	struct bench *bench = *state;

	shim_start(bench);
	shim_wants("ask", true);
	assert_int_equal(
	    key_give(bench, 0, shim_uri, certificates[0]), CAUSE_NONE);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_NONE);
	assert_int_equal(bench_sign(bench, 0, "UNIT-0007"), CAUSE_NONE);
	shim_wants("ask", false);
}

static void
test_hanging_token_ends_the_role(void **state)
{
	struct bench *bench = *state;
	struct message_open_key key = key_of(
	    0, KEY_CA, shim_uri, bench_path(bench, "pin"), certificates[0]);
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_VAULT_KEY};
	int status = -1, fd = open(key.secret_path, O_RDONLY | O_CLOEXEC);

	shim_start(bench);
	shim_wants("hang", true);
	assert_int_equal(
	    channel_send(&bench->parent, &header, &key, sizeof(key), &fd, 1),
	    0);
	close(fd);
	assert_int_equal(waitpid(bench->pid, &status, 0), bench->pid);
	shim_wants("hang", false);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EX_UNAVAILABLE);
	/* The parent starts it afresh. */
	channel_close(&bench->line);
	channel_close(&bench->parent);
	hsm_start(bench, module_path);
	assert_int_equal(
	    key_give(bench, 0, shim_uri, certificates[0]), CAUSE_NONE);
}

int
main(void)
{
#define BENCH_TEST(test) \
	cmocka_unit_test_setup_teardown(test, bench_open, bench_close)
	const struct CMUnitTest tests[] = {
	    BENCH_TEST(test_every_kind_signs),
	    BENCH_TEST(test_keys_that_are_refused),
	    BENCH_TEST(test_names_that_are_not_unique),
	    BENCH_TEST(test_pins),
	    BENCH_TEST(test_modules_that_are_none),
	    BENCH_TEST(test_other_words_are_refused),
	    BENCH_TEST(test_lost_sessions_come_back),
	    BENCH_TEST(test_keys_that_want_the_pin_each_time),
	    BENCH_TEST(test_hanging_token_ends_the_role),
	};

	return cmocka_run_group_tests(tests, softhsm_make, softhsm_remove);
}
