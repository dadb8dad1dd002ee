/*
 * station report: the daemon's report role streams straight into our
 * descriptor, so that a report of any size costs this command nothing. From
 * a backup of the ledger the same writer works here.
 */
#include "command/command.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "report/report.h"

/* A file that is not there under its name before it is whole. */
struct output {
	const char *path; /* borrowed; null: standard output */
	char temporary[4096];
	int fd;
};

static int
output_open(struct output *output, const char *path)
{
	mode_t mask;
	int len;

	output->path = path;
	output->temporary[0] = '\0';
	output->fd = STDOUT_FILENO;
	if (path == NULL)
		return EX_OK;
	len = snprintf(
	    output->temporary, sizeof(output->temporary), "%s.XXXXXX", path);
	if (len < 0 || (size_t)len >= sizeof(output->temporary)) {
		output->temporary[0] = '\0';
		return command_error(EX_CANTCREAT,
		    "the file's name is too long; use a shorter one");
	}
	output->fd = mkostemp(output->temporary, O_CLOEXEC);
	if (output->fd == -1) {
		output->temporary[0] = '\0';
		return command_error(EX_CANTCREAT,
		    "cannot write beside %s: %s; use a folder that is yours",
		    path, strerror(errno));
	}
	/* mkostemp(3) makes it 0600: give it what open(2) would. */
	mask = umask(0);
	umask(mask);
	(void)fchmod(output->fd, 0666 & ~mask);
	return EX_OK;
}

static int
folder_sync(const char *path)
{
	char *copy = strdup(path);
	int fd = -1;
	int rc = -1;

	if (copy == NULL)
		return -1;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1)
		rc = fsync(fd);
	if (fd != -1)
		close(fd);
	free(copy);
	return rc;
}

/* Gives the whole file its name. A failed fsync is final. */
static int
output_commit(struct output *output)
{
	if (output->path == NULL)
		return EX_OK;
	if (fsync(output->fd) == -1 ||
	    rename(output->temporary, output->path) == -1)
		return command_error(EX_IOERR,
		    "cannot write %s: %s; check the disk", output->path,
		    strerror(errno));
	output->temporary[0] = '\0';
	if (folder_sync(output->path) == -1)
		return command_error(EX_IOERR,
		    "cannot write the folder of %s: %s; check the disk",
		    output->path, strerror(errno));
	return EX_OK;
}

static void
output_close(struct output *output)
{
	if (output->temporary[0] != '\0')
		unlink(output->temporary);
	if (output->path != NULL && output->fd != -1)
		close(output->fd);
}

static int
sum_print(const struct snapshot_lot *lot)
{
	char sum[240];

	if (lot_reconciliation(lot, sum, sizeof(sum)) == -1)
		return command_error(EX_SOFTWARE,
		    "%s; call the engineer: the ledger is not whole", sum);
	fprintf(stderr, "%s\n", sum);
	return EX_OK;
}

/* The daemon's report role writes; its counts are of the same moment. */
static int
report_ask(
    const struct invocation *invocation, int fd, struct snapshot_lot *lot)
{
	json_t *reply = NULL;
	int status = command_call(invocation, "report",
	    json_pack(
		"{s:s,s:s}", "lot", invocation->arguments[0], "format", "csv"),
	    fd, WAIT_REPORT_MS, &reply);

	if (status != EX_OK)
		return status;
	if (snapshot_read_lot(json_object_get(reply, "lot"), lot) == -1)
		status = command_error(EX_PROTOCOL,
		    "the daemon sent no counts; install the station command "
		    "of its version");
	json_decref(reply);
	return status;
}

/* Without a daemon: from a copy of its ledger. */
static int
report_offline(
    const struct invocation *invocation, int fd, struct snapshot_lot *lot)
{
	struct fault fault = {.cause = CAUSE_NONE};
	struct lot_counts counts;
	uint64_t rows = 0;

	memset(lot, 0, sizeof(*lot));
	if (report_write(invocation->ledger, invocation->arguments[0], fd,
		&counts, &rows, &fault) == -1)
		return command_error(
		    fault.cause == CAUSE_BAD_REQUEST ? EX_NOINPUT : EX_IOERR,
		    "%s", fault.text);
	lot->rows = counts.rows;
	lot->passed = counts.passed;
	lot->failed = counts.failed;
	lot->staged = counts.staged;
	lot->quarantined = counts.quarantined;
	lot->scrapped = counts.scrapped;
	lot->in_progress = counts.in_progress;
	lot->missing = counts.missing;
	return EX_OK;
}

int
report_command(const struct invocation *invocation)
{
	struct output output = {.fd = -1};
	struct snapshot_lot lot;
	int status = output_open(&output, invocation->output);

	if (status == EX_OK)
		status = invocation->ledger == NULL
			     ? report_ask(invocation, output.fd, &lot)
			     : report_offline(invocation, output.fd, &lot);
	if (status == EX_OK)
		status = output_commit(&output);
	if (status == EX_OK)
		status = sum_print(&lot);
	output_close(&output);
	return status;
}
