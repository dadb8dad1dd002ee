/*
 * Times the load of a manifest with ROWS rows (1,000,000), from a file, with
 * its checks and the sealed memory file: {"rows":...,"seconds":...}.
 *
 *	manifest_load [ROWS]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "lot/manifest.h"

/* Serials in no order: the factor is odd, so that none is there twice. */
static int
manifest_write(FILE *file, uint32_t rows)
{
	(void)fputs("serial,mac,revision\r\n", file);
	for (uint32_t at = 0; at < rows; at++) {
		uint32_t n = at * 2654435761u & 0xfffffff;

		if (fprintf(file,
			"SN-%07" PRIx32 ",24:6f:2%" PRIx32 ":%02" PRIx32
			":%02" PRIx32 ":%02" PRIx32 ",B\r\n",
			n, n >> 24, n >> 16 & 0xff, n >> 8 & 0xff,
			n & 0xff) < 0)
			return -1;
	}
	return fflush(file);
}

static int
run(const char *path, uint32_t wanted)
{
	struct problems problems;
	struct rusage usage;
	uint32_t rows = 0;
	int64_t start_us = clock_monotonic_us();
	int64_t end_us;
	int fd;

	problems_init(&problems);
	fd = manifest_load(path, &rows, &problems);
	end_us = clock_monotonic_us();
	(void)getrusage(RUSAGE_SELF, &usage);
	if (fd < 0 || rows != wanted)
		(void)fprintf(stderr, "%s\n",
		    problems.text.data == NULL ? "rows are missing"
					       : problems.text.data);
	else
		printf("{\"rows\":%" PRIu32
		       ",\"seconds\":%.3f,\"peak_mib\":%ld}\n",
		    rows, (double)(end_us - start_us) / 1e6,
		    usage.ru_maxrss / 1024);
	problems_free(&problems);
	if (fd >= 0)
		close(fd);
	return fd >= 0 && rows == wanted ? 0 : 1;
}

int
main(int argc, char **argv)
{
	char path[] = "/tmp/station-manifest-XXXXXX";
	uint32_t rows = 1000000;
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	int status = 1;

	if (argc > 1)
		rows = (uint32_t)strtoul(argv[1], NULL, 10);
	if (file == NULL || manifest_write(file, rows) != 0)
		perror(path);
	else
		status = run(path, rows);
	if (file != NULL)
		(void)fclose(file);
	(void)unlink(path);
	return status;
}
