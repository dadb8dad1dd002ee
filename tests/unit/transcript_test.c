/* The transcript: readable lines, and never a secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "device/transcript.h"

enum {
	TEXT_MAX = 1 << 20
};

static char text[TEXT_MAX];
static int file;
static struct transcript *transcript;
static struct fault fault;

static int
setup(void **state)
{
	(void)state;
	file = memfd_create("transcript", MFD_CLOEXEC);
	transcript = transcript_new(file, TRANSCRIPT_BYTES_MAX);
	assert_non_null(transcript);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	transcript_free(transcript);
	close(file);
	return 0;
}

/* Ends the transcript and returns all of it. */
static const char *
whole(void)
{
	ssize_t len;

	transcript_free(transcript);
	transcript = NULL;
	len = pread(file, text, sizeof(text) - 1, 0);
	assert_true(len >= 0);
	text[len] = '\0';
	return text;
}

static void
say(enum port_direction direction, const char *what)
{
	transcript_bytes(transcript, direction, what, strlen(what));
}

static void
assert_has(const char *what)
{
	if (strstr(text, what) == NULL)
		fail_msg("\"%s\" is not in:\n%s", what, text);
}

static void
assert_has_not(const char *what)
{
	if (strstr(text, what) != NULL)
		fail_msg("\"%s\" is in:\n%s", what, text);
}

static void
a_conversation_reads_well(void **state)
{
	(void)state;
	say(PORT_SENT, "id\n");
	say(PORT_RECEIVED, "i");
	say(PORT_RECEIVED, "d\r\nid serial=\"1\" \\ \x1b[K\r\n> ");
	transcript_note(transcript, "next\nline");
	say(PORT_RECEIVED, "\xc0\n\xc0");
	(void)whole();
	assert_has(" > \"id\\n\"\n");
	assert_has(" < \"id\\r\\n\"\n");
	assert_has(" < \"id serial=\\\"1\\\" \\\\ \\x1b[K\\r\\n\"\n");
	assert_has(" < \"> \"\n");
	assert_has(" # next?line\n");
	/* A line feed within binary data is no end of a line. */
	assert_has(" < \"\\xc0\\n\\xc0\"\n");
}

static void
secrets_are_hidden_however_they_come(void **state)
{
	static const char secret[] = "hunter2-hunter2-hunter2";
	size_t i;

	(void)state;
	assert_int_equal(transcript_hide(transcript, "claim_key", secret,
			     strlen(secret), &fault),
	    0);
	say(PORT_SENT, "set key hunter2-hunter2-hunter2 now\n");
	for (i = 0; i < strlen(secret); i++) {
		transcript_bytes(transcript, PORT_RECEIVED, secret + i, 1);
		/* The other direction in between must not let it out. */
		transcript_bytes(transcript, PORT_SENT, ".", 1);
	}
	say(PORT_RECEIVED, "\r\n");
	say(PORT_RECEIVED, "ab hunter2-hunter3 hun");
	(void)whole();
	assert_has_not(secret);
	assert_has("set key ‹secret claim_key 23 bytes› now");
	/* What only begins like it is shown. */
	assert_has("ab hunter2-hunter3");
}

static void
the_beginning_of_a_secret_is_hidden_too(void **state)
{
	(void)state;
	assert_int_equal(
	    transcript_hide(transcript, "k", "abcdefghij", 10, &fault), 0);
	say(PORT_RECEIVED, "x abcdefg");
	(void)whole();
	assert_has("x ‹part of secret k 7 bytes›");
	assert_has_not("abcd");
}

static void
lines_of_a_pem_are_hidden_alone(void **state)
{
	static const char pem[] = "-----BEGIN EC PRIVATE KEY-----\n"
				  "MHcCAQEEIBRIghtfirstlineofthekey\n"
				  "AsecondlinewithmoreOfIt==\n"
				  "-----END EC PRIVATE KEY-----\n";

	(void)state;
	assert_int_equal(
	    transcript_hide(transcript, "key", pem, strlen(pem), &fault), 0);
	say(PORT_SENT, pem);
	say(PORT_RECEIVED, ". -----BEGIN EC PRIVATE KEY-----\r\n. ");
	say(PORT_RECEIVED, "MHcCAQEEIBRIghtfirstlineofthekey\r\n. ");
	say(PORT_RECEIVED, "AsecondlinewithmoreOfIt==\r\n. ");
	assert_true(transcript_holds_secret(
	    transcript, "error: AsecondlinewithmoreOf?", 29));
	assert_false(transcript_holds_secret(
	    transcript, "-----BEGIN EC PRIVATE KEY-----", 30));
	assert_false(transcript_holds_secret(transcript, "Asec", 4));
	(void)whole();
	assert_has_not("firstline");
	assert_has_not("secondline");
	assert_has("‹secret key 32 bytes›");
	assert_has("BEGIN EC PRIVATE KEY");
}

static void
secrets_survive_random_splits(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	char secret[41], noise[64];
	int round;
	size_t i, at, part;

	(void)state;
	print_message("seed %u\n", seed);
	srandom(seed);
	for (round = 0; round < 300; round++) {
		char said[256] = "";

		(void)setup(NULL);
		/* Of two letters, so that it begins again within itself. */
		for (i = 0; i < sizeof(secret) - 1; i++)
			secret[i] = random() % 4 == 0 ? 'b' : 'a';
		secret[i] = '\0';
		for (i = 0; i < sizeof(noise) - 1; i++)
			noise[i] = random() % 4 == 0 ? 'b' : 'a';
		noise[random() % 63] = '\0';
		noise[63] = '\0';
		strcat(said, noise);
		strcat(said, secret);
		strcat(said, noise);
		assert_int_equal(transcript_hide(transcript, "s", secret,
				     strlen(secret), &fault),
		    0);
		for (at = 0; at < strlen(said); at += part) {
			part = 1 + (size_t)random() % 7;
			if (part > strlen(said) - at)
				part = strlen(said) - at;
			transcript_bytes(
			    transcript, PORT_RECEIVED, said + at, part);
		}
		(void)whole();
		assert_has_not(secret);
		close(file);
	}
	(void)setup(NULL);
}

static void
it_is_bounded(void **state)
{
	size_t i, len;

	(void)state;
	transcript_free(transcript);
	transcript = transcript_new(file, 1000);
	for (i = 0; i < 100; i++)
		say(PORT_RECEIVED, "a line of some length\n");
	len = strlen(whole());
	assert_in_range(len, 900, 1100);
	assert_has("the transcript is full");
}

static void
without_a_file_it_only_knows_secrets(void **state)
{
	(void)state;
	transcript_free(transcript);
	transcript = transcript_new(-1, 0);
	assert_int_equal(
	    transcript_hide(transcript, "k", "0123456789abcdef", 16, &fault),
	    0);
	say(PORT_RECEIVED, "0123456789abcdef");
	assert_true(
	    transcript_holds_secret(transcript, "x0123456789abcdefx", 18));
	assert_int_equal(
	    transcript_hide(transcript, "k", "abc", 3, &fault), -1);
	transcript_note(NULL, "nobody");
	transcript_flush(NULL);
	transcript_free(NULL);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_conversation_reads_well),
	    TEST(secrets_are_hidden_however_they_come),
	    TEST(the_beginning_of_a_secret_is_hidden_too),
	    TEST(lines_of_a_pem_are_hidden_alone),
	    TEST(secrets_survive_random_splits),
	    TEST(it_is_bounded),
	    TEST(without_a_file_it_only_knows_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
