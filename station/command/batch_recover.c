/*
 * What a batch did not hear itself, from the lot's report: which attempts
 * were judged before it began, and which while the daemon was away.
 */
#include "command/batch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/csv.h"

/* The columns of the report that a verdict event has members for. */
static const struct {
	const char *column;
	const char *member;
} columns[] = {
    {"attempt", "attempt"},
    {"verdict", "verdict"},
    {"lot", "lot"},
    {"slot", "slot"},
    {"serial", "serial"},
    {"mac", "mac"},
    {"thing", "thing"},
    {"certificate_id", "certificate_id"},
    {"cloud_state", "cloud_state"},
    {"pattern", "pattern"},
    {"firmware_version", "firmware_version"},
    {"failure_class", "class"},
    {"cause", "cause"},
    {"action", "action"},
    {"start", "start"},
    {"end", "end"},
};
enum {
	COLUMN_ATTEMPT,
	COLUMN_VERDICT,
	COLUMN_COUNT = sizeof(columns) / sizeof(columns[0])
};

struct report {
	char *data; /* mapped, private: the reader unescapes in place */
	size_t len;
	struct csv_reader reader;
	size_t index[COLUMN_COUNT]; /* of the field in a record */
};

static int
failure_report(struct batch *batch, const char *what)
{
	batch->failure.exit_status = EX_PROTOCOL;
	batch->failure.lost = false;
	snprintf(batch->failure.text, sizeof(batch->failure.text),
	    "the lot's report cannot be read: %s", what);
	snprintf(batch->failure.action, sizeof(batch->failure.action),
	    "install the station command of the daemon's version");
	return -1;
}

static int
header_read(struct batch *batch, struct report *report)
{
	if (csv_next(&report->reader) != 1)
		return failure_report(batch, "it has no header");
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		size_t at = 0;
		size_t len = strlen(columns[i].column);

		while (at < report->reader.count &&
		       (report->reader.fields[at].len != len ||
			   memcmp(report->reader.fields[at].text,
			       columns[i].column, len) != 0))
			at++;
		if (at == report->reader.count)
			return failure_report(batch, columns[i].column);
		report->index[i] = at;
	}
	return 0;
}

/* Has the daemon write its report into memory, and maps it. */
static int
report_fetch(struct batch *batch, struct report *report)
{
	struct stat status;
	json_t *reply = NULL;
	void *data;
	int fd = memfd_create("report", MFD_CLOEXEC);
	int rc = -1;

	report->data = NULL;
	if (fd == -1)
		return failure_report(batch, strerror(errno));
	reply = control_call(batch->client, "report",
	    json_pack("{s:s,s:s}", "lot", batch->lot_name, "format", "csv"), fd,
	    clock_deadline(WAIT_REPORT_MS), &batch->failure);
	if (reply == NULL)
		goto out;
	if (fstat(fd, &status) == -1 || status.st_size == 0) {
		failure_report(batch, "it is empty");
		goto out;
	}
	report->len = (size_t)status.st_size;
	data =
	    mmap(NULL, report->len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		failure_report(batch, strerror(errno));
		goto out;
	}
	report->data = data;
	csv_open(&report->reader, report->data, report->len);
	rc = header_read(batch, report);
out:
	close(fd);
	json_decref(reply);
	return rc;
}

static void
report_close(struct report *report)
{
	if (report->data != NULL)
		munmap(report->data, report->len);
	report->data = NULL;
}

static const struct csv_field *
report_field(const struct report *report, size_t column)
{
	static const struct csv_field none = {.text = ""};
	size_t at = report->index[column];

	return at < report->reader.count ? &report->reader.fields[at] : &none;
}

/*
 * The attempt that the record is about; 0 for the row of a unit without one,
 * and for an attempt without a verdict.
 */
static uint64_t
record_attempt(const struct report *report)
{
	const struct csv_field *field = report_field(report, COLUMN_ATTEMPT);
	const struct csv_field *verdict = report_field(report, COLUMN_VERDICT);
	char name[16] = "";
	uint64_t attempt = 0;

	if (verdict->len < sizeof(name))
		memcpy(name, verdict->text, verdict->len);
	if (snapshot_verdict(name) == VERDICT_NONE || field->len > 18)
		return 0;
	for (size_t i = 0; i < field->len; i++) {
		if (field->text[i] < '0' || field->text[i] > '9')
			return 0;
		attempt = attempt * 10 + (uint64_t)(field->text[i] - '0');
	}
	return attempt;
}

/* The record as the verdict event that it was. */
static json_t *
record_event(const struct report *report, uint64_t attempt)
{
	json_t *event = json_pack("{s:i,s:s,s:s,s:s}", "v", CONTROL_VERSION,
	    "event", "verdict", "step", "", "text", "");
	int64_t start = 0;
	int64_t end = 0;

	if (event == NULL)
		return NULL;
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		const struct csv_field *field = report_field(report, i);
		json_t *value = i == COLUMN_ATTEMPT
				    ? json_integer((json_int_t)attempt)
				    : json_stringn(field->text, field->len);

		json_object_set_new(event, columns[i].member, value);
	}
	if (clock_parse(json_string_value(json_object_get(event, "start")),
		&start) == 0 &&
	    clock_parse(
		json_string_value(json_object_get(event, "end")), &end) == 0)
		json_object_set_new(
		    event, "seconds", json_real((double)(end - start) / 1000));
	json_object_set_new(event, "recovered", json_true());
	return event;
}

static int
record_say(struct batch *batch, const struct report *report, uint64_t attempt)
{
	json_t *event;

	if (attempt_set_has(&batch->before, attempt) ||
	    attempt_set_has(&batch->said, attempt))
		return 0;
	event = record_event(report, attempt);
	if (event == NULL)
		return failure_report(batch, "out of memory");
	batch->recovered++;
	batch_say(batch, event, NULL);
	json_decref(event);
	return 0;
}

static int
report_walk(struct batch *batch,
    int (*each)(struct batch *, const struct report *, uint64_t attempt))
{
	struct report report;
	int rc = report_fetch(batch, &report);
	int more = 0;

	while (rc == 0 && (more = csv_next(&report.reader)) == 1) {
		uint64_t attempt = record_attempt(&report);

		if (attempt != 0)
			rc = each(batch, &report, attempt);
	}
	if (rc == 0 && more == -1)
		rc = failure_report(batch, report.reader.error);
	report_close(&report);
	return rc;
}

static int
record_before(
    struct batch *batch, const struct report *report, uint64_t attempt)
{
	(void)report;
	if (attempt_set_add(&batch->before, attempt) == -1)
		return failure_report(batch, "out of memory");
	return 0;
}

int
batch_recover_before(struct batch *batch)
{
	return report_walk(batch, record_before);
}

int
batch_recover_missed(struct batch *batch)
{
	return report_walk(batch, record_say);
}
