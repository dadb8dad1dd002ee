/* Which transcripts are kept: line/transcripts.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "line/transcripts.h"

static struct station_config config;

static void
make(const char *name, size_t len, int days_old)
{
	char path[PATH_LEN + 64];
	struct timespec times[2];
	int fd;

	snprintf(path, sizeof(path), "%s/transcripts/%s", config.state, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd != -1);
	for (size_t i = 0; i < len; i += 4096) {
		char block[4096];

		memset(block, 'x', sizeof(block));
		assert_int_equal(write(fd, block, sizeof(block)), 4096);
	}
	times[0].tv_sec = times[1].tv_sec =
	    time(NULL) - (time_t)days_old * 24 * 3600;
	times[0].tv_nsec = times[1].tv_nsec = 0;
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static int
there(const char *name)
{
	char path[PATH_LEN + 64];

	snprintf(path, sizeof(path), "%s/transcripts/%s", config.state, name);
	return access(path, F_OK) == 0;
}

static int
folder_make(void **state)
{
	char path[PATH_LEN + 64];

	(void)state;
	memset(&config, 0, sizeof(config));
	snprintf(config.state, sizeof(config.state),
	    "/tmp/station-transcripts.XXXXXX");
	assert_non_null(mkdtemp(config.state));
	snprintf(path, sizeof(path), "%s/transcripts", config.state);
	return mkdir(path, 0700);
}

static int
folder_remove(void **state)
{
	char command[PATH_LEN + 64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", config.state);
	return system(command);
}

static void
test_old_ones_go(void **state)
{
	(void)state;
	config.transcript_mib = 100;
	config.transcript_days = 10;
	make("attempt-1.log", 4096, 11);
	make("attempt-2.log", 4096, 9);
	transcripts_prune(&config);
	assert_false(there("attempt-1.log"));
	assert_true(there("attempt-2.log"));
}

static void
test_the_oldest_go_first(void **state)
{
	(void)state;
	config.transcript_mib = 1;
	config.transcript_days = 100;
	make("attempt-3.log", 600 * 1024, 3);
	make("attempt-1.log", 600 * 1024, 2);
	make("attempt-2.log", 300 * 1024, 1);
	transcripts_prune(&config);
	assert_false(there("attempt-3.log"));
	assert_true(there("attempt-1.log"));
	assert_true(there("attempt-2.log"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_old_ones_go, folder_make, folder_remove),
	    cmocka_unit_test_setup_teardown(
		test_the_oldest_go_first, folder_make, folder_remove),
	};

	return cmocka_run_group_tests_name("transcripts", tests, NULL, NULL);
}
