/* The firmware file: what goes in comes out, and nothing else is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "device/firmware.h"

static const uint8_t small[5] = {0xE9, 1, 2, 3, 4};
static uint8_t large[300000];

static void
regions_come_back(void **state)
{
	const struct firmware_source sources[] = {
	    {"bootloader.bin", 0, small, sizeof(small)},
	    {"app.bin", 0x10000, large, sizeof(large)},
	};
	struct firmware_view view;
	struct fault fault = {0};
	uint8_t *file = NULL, *out;
	uint8_t md5[16];
	uLongf len;
	size_t file_len;
	int fd;

	(void)state;
	memset(large, 0x55, sizeof(large));
	assert_int_equal(
	    firmware_build(sources, 2, &file, &file_len, &fault), 0);
	fd = file_seal("firmware", file, file_len, &fault);
	assert_true(fd >= 0);
	assert_int_equal(firmware_map(fd, &view, &fault), 0);
	close(fd);
	assert_int_equal(view.header->region_count, 2);
	assert_int_equal(firmware_bytes(&view), 8 + sizeof(large));
	/* Padded to words with FF, and hashed so. */
	out = malloc(sizeof(large));
	len = sizeof(large);
	assert_int_equal(
	    uncompress(out, &len, view.data + view.region[0].packed_offset,
		view.region[0].packed_len),
	    Z_OK);
	assert_int_equal(len, 8);
	assert_memory_equal(out, "\xe9\1\2\3\4\xff\xff\xff", 8);
	EVP_Digest(out, 8, md5, NULL, EVP_md5(), NULL);
	assert_memory_equal(md5, view.region[0].md5, 16);
	/* One block of a long run becomes nearly everything. */
	assert_int_equal(view.region[1].offset, 0x10000);
	assert_int_equal(view.region[1].burst_len, sizeof(large));
	free(out);
	firmware_unmap(&view);
	firmware_unmap(&view);
	free(file);
}

static void
bad_sources_are_refused(void **state)
{
	struct firmware_source sources[2] = {
	    {"one", 0x1000, small, sizeof(small)},
	    {"two", 0x2000, small, sizeof(small)},
	};
	struct fault fault = {0};
	uint8_t *file;
	size_t len;

	(void)state;
	assert_int_equal(firmware_build(sources, 0, &file, &len, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_BAD_LOT);
	sources[1].offset = 0x1004;
	assert_int_equal(firmware_build(sources, 2, &file, &len, &fault), -1);
	assert_non_null(strstr(fault.text, "0x1004"));
	sources[1].offset = 0x1000;
	assert_int_equal(firmware_build(sources, 2, &file, &len, &fault), -1);
	assert_non_null(strstr(fault.text, "one and two share"));
	sources[1].offset = 0xFFF000;
	sources[1].data = large;
	sources[1].len = 4097;
	assert_int_equal(firmware_build(sources, 2, &file, &len, &fault), -1);
	assert_non_null(strstr(fault.text, "16 MiB"));
	sources[1].len = 0;
	assert_int_equal(firmware_build(sources, 2, &file, &len, &fault), -1);
	assert_null(file);
}

static void
damage_is_noticed(void **state)
{
	const struct firmware_source source = {"a", 0, small, sizeof(small)};
	struct firmware_header *header;
	struct firmware_region *region;
	struct firmware_view view;
	struct fault fault = {0};
	uint8_t *file;
	size_t len;

	(void)state;
	assert_int_equal(firmware_build(&source, 1, &file, &len, &fault), 0);
	header = (struct firmware_header *)(void *)file;
	region = (struct firmware_region *)(void *)(header + 1);
	assert_int_equal(firmware_check(file, len, &view, &fault), 0);
	assert_int_equal(firmware_check(file, len - 1, &view, &fault), -1);
	header->region_count = 33;
	assert_int_equal(firmware_check(file, len, &view, &fault), -1);
	header->region_count = 2; /* the table runs into the data */
	assert_int_equal(firmware_check(file, len, &view, &fault), -1);
	header->region_count = 1;
	region->packed_len++;
	assert_int_equal(firmware_check(file, len, &view, &fault), -1);
	region->packed_len--;
	region->packed_offset = UINT32_MAX;
	assert_int_equal(firmware_check(file, len, &view, &fault), -1);
	region->packed_offset = 0; /* inside the header */
	assert_int_equal(firmware_check(file, len, &view, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_INTERNAL);
	assert_null(view.data);
	free(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(regions_come_back),
	    cmocka_unit_test(bad_sources_are_refused),
	    cmocka_unit_test(damage_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
