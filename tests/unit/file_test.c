#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static char folder[64];

static int
folder_setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/station-file-XXXXXX");
	return mkdtemp(folder) == NULL ? -1 : 0;
}

/* Two levels are all that the tests make. */
static void
folder_empty(const char *path, int depth)
{
	char inner[512];
	struct dirent *entry;
	DIR *open_folder = opendir(path);

	while (open_folder != NULL && (entry = readdir(open_folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(
		    inner, sizeof(inner), "%s/%.200s", path, entry->d_name);
		if (depth > 0 && entry->d_type == DT_DIR)
			folder_empty(inner, depth - 1);
		else
			(void)unlink(inner);
	}
	if (open_folder != NULL)
		closedir(open_folder);
	(void)rmdir(path);
}

static int
folder_teardown(void **state)
{
	(void)state;
	folder_empty(folder, 4);
	return access(folder, F_OK) == 0 ? -1 : 0;
}

static const char *
in_folder(const char *name)
{
	static char path[256];

	assert_int_equal(file_join(path, sizeof(path), folder, name), 0);
	return path;
}

static size_t
folder_count(void)
{
	DIR *open_folder = opendir(folder);
	size_t count = 0;

	assert_non_null(open_folder);
	while (readdir(open_folder) != NULL)
		count++;
	closedir(open_folder);
	return count - 2; /* without . and .. */
}

static void
test_write_then_read(void **state)
{
	struct fault fault = {0};
	struct stat status;
	mode_t mask = umask(022);
	char *data = NULL;
	size_t len;

	(void)state;
	assert_int_equal(
	    file_write(in_folder("a"), "first", 5, 0666, &fault), 0);
	assert_int_equal(
	    file_write(in_folder("a"), "se\0ond!", 7, 0640, &fault), 0);
	umask(mask);
	assert_int_equal(folder_count(), 1);
	assert_int_equal(stat(in_folder("a"), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
	assert_int_equal(file_read(in_folder("a"), 7, &data, &len, &fault), 0);
	assert_int_equal(len, 7);
	assert_memory_equal(data, "se\0ond!", 8);
	free(data);
	assert_int_equal(unlink(in_folder("a")), 0);
}

static void
test_failed_write_leaves_nothing(void **state)
{
	struct fault fault = {0};

	(void)state;
	assert_int_equal(mkdir(in_folder("d"), 0755), 0);
	assert_int_equal(mkdir(in_folder("d/e"), 0755), 0);
	/* A folder that is not empty cannot be replaced by a file. */
	assert_int_equal(file_write(in_folder("d"), "x", 1, 0644, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_INTERNAL);
	assert_non_null(strstr(fault.text, "cannot rename "));
	assert_int_equal(folder_count(), 1);
	assert_int_equal(
	    file_write(in_folder("none/f"), "x", 1, 0644, &fault), -1);
	assert_non_null(strstr(fault.text, "No such file or directory"));
	assert_int_equal(rmdir(in_folder("d/e")), 0);
	assert_int_equal(rmdir(in_folder("d")), 0);
}

static void
test_read_refuses(void **state)
{
	struct fault fault = {0};
	char *data = NULL;
	size_t len;

	(void)state;
	assert_int_equal(
	    file_write(in_folder("b"), "123456", 6, 0644, &fault), 0);
	assert_int_equal(file_read(in_folder("b"), 5, &data, &len, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_BAD_CONFIG);
	assert_non_null(strstr(fault.text, "6 bytes; at most 5"));
	assert_int_equal(
	    file_read(in_folder("absent"), 5, &data, &len, &fault), -1);
	assert_int_equal(file_read(folder, 5, &data, &len, &fault), -1);
	assert_non_null(strstr(fault.text, "not a regular file"));
	/* A named pipe without a writer must not hold the reader. */
	assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
	assert_int_equal(
	    file_read(in_folder("pipe"), 5, &data, &len, &fault), -1);
	assert_null(data);
	assert_int_equal(unlink(in_folder("pipe")), 0);
	assert_int_equal(unlink(in_folder("b")), 0);
}

/* The offset is shared with whoever passed the descriptor. */
static void
test_read_fd_starts_at_the_start(void **state)
{
	struct fault fault = {0};
	char *data = NULL;
	size_t len;
	int fd;

	(void)state;
	fd = file_seal("test", "contents", 8, &fault);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 8, SEEK_SET), 8);
	assert_int_equal(file_read_fd(fd, "test", 8, &data, &len, &fault), 0);
	assert_string_equal(data, "contents");
	free(data);
	close(fd);
	assert_int_equal(file_read_fd(-1, "test", 8, &data, &len, &fault), -1);
}

static void
test_folders(void **state)
{
	struct fault fault = {0};
	struct stat status;

	(void)state;
	assert_int_equal(
	    file_make_folders(in_folder("x/y//z/"), 0750, &fault), 0);
	assert_int_equal(stat(in_folder("x/y/z"), &status), 0);
	assert_true(S_ISDIR(status.st_mode));
	assert_int_equal(file_make_folders(in_folder("x/y"), 0700, &fault), 0);
	assert_int_equal(
	    file_write(in_folder("x/file"), "", 0, 0644, &fault), 0);
	assert_int_equal(
	    file_make_folders(in_folder("x/file/w"), 0750, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_INTERNAL);
	assert_int_equal(
	    file_make_folders(in_folder("x/file"), 0750, &fault), -1);
	folder_empty(in_folder("x"), 4);
}

static void
test_join(void **state)
{
	char path[8];

	(void)state;
	assert_int_equal(file_join(path, sizeof(path), "a/b", "c"), 0);
	assert_string_equal(path, "a/b/c");
	assert_int_equal(file_join(path, sizeof(path), "a/b/", "c"), 0);
	assert_string_equal(path, "a/b/c");
	assert_int_equal(file_join(path, sizeof(path), "a/b", "/c"), 0);
	assert_string_equal(path, "/c");
	assert_int_equal(file_join(path, sizeof(path), "", "c"), 0);
	assert_string_equal(path, "c");
	assert_int_equal(file_join(path, sizeof(path), "abcd", "ef"), 0);
	assert_int_equal(file_join(path, sizeof(path), "abcd", "efg"), -1);
	assert_int_equal(file_join(path, sizeof(path), "", "12345678"), -1);
}

static void
test_seal_is_for_ever(void **state)
{
	struct fault fault = {0};
	const void *data;
	size_t len;
	int fd;

	(void)state;
	fd = file_seal("test", "sealed", 6, &fault);
	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(pwrite(fd, "X", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_true(mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
		    MAP_FAILED);
	assert_int_equal(file_map_sealed(fd, 1, 6, &data, &len, &fault), 0);
	assert_int_equal(len, 6);
	assert_memory_equal(data, "sealed", 6);
	assert_int_equal(munmap((void *)(uintptr_t)data, len), 0);
	assert_int_equal(file_map_sealed(fd, 7, 9, &data, &len, &fault), -1);
	assert_int_equal(file_map_sealed(fd, 1, 5, &data, &len, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_INTERNAL);
	close(fd);
}

static void
test_map_refuses_what_is_not_sealed(void **state)
{
	struct fault fault = {0};
	const void *data;
	size_t len;
	int fd;

	(void)state;
	fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "data", 4), 0);
	assert_int_equal(file_map_sealed(fd, 1, 9, &data, &len, &fault), -1);
	/* Without F_SEAL_WRITE the contents could still change. */
	assert_int_equal(
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
	    0);
	assert_int_equal(file_map_sealed(fd, 1, 9, &data, &len, &fault), -1);
	assert_non_null(strstr(fault.text, "without its seals"));
	close(fd);
	assert_int_equal(
	    file_write(in_folder("plain"), "data", 4, 0644, &fault), 0);
	fd = open(in_folder("plain"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_map_sealed(fd, 1, 9, &data, &len, &fault), -1);
	close(fd);
	assert_int_equal(unlink(in_folder("plain")), 0);
	fd = file_seal("empty", "", 0, &fault);
	assert_true(fd >= 0);
	assert_int_equal(file_map_sealed(fd, 1, 9, &data, &len, &fault), -1);
	assert_int_equal(file_map_sealed(fd, 0, 9, &data, &len, &fault), 0);
	assert_null(data);
	assert_int_equal(len, 0);
	close(fd);
}

static void
test_digest(void **state)
{
	/* FIPS 180-2, B.1: SHA-256 of "abc". */
	static const char abc[] = "ba7816bf8f01cfea414140de5dae2223"
				  "b00361a396177a9cb410ff61f20015ad";
	char text[DIGEST_TEXT_LEN];
	struct digest digest;
	struct fault fault = {0};

	(void)state;
	assert_int_equal(digest_bytes("abc", 3, &digest), 0);
	digest_text(&digest, text);
	assert_string_equal(text, abc);
	assert_int_equal(
	    file_write(in_folder("abc"), "abc", 3, 0644, &fault), 0);
	memset(&digest, 0, sizeof(digest));
	assert_int_equal(digest_file(in_folder("abc"), &digest, &fault), 0);
	digest_text(&digest, text);
	assert_string_equal(text, abc);
	assert_int_equal(unlink(in_folder("abc")), 0);
	assert_int_equal(digest_file(in_folder("abc"), &digest, &fault), -1);
	assert_int_equal(digest_file(folder, &digest, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_BAD_CONFIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_write_then_read),
	    cmocka_unit_test(test_failed_write_leaves_nothing),
	    cmocka_unit_test(test_read_refuses),
	    cmocka_unit_test(test_read_fd_starts_at_the_start),
	    cmocka_unit_test(test_folders),
	    cmocka_unit_test(test_join),
	    cmocka_unit_test(test_seal_is_for_ever),
	    cmocka_unit_test(test_map_refuses_what_is_not_sealed),
	    cmocka_unit_test(test_digest),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
