/* The report: every attempt and every manifest row, and a sum that is so. */
#include "ledger_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/csv.h"
#include "base/role.h"
#include "lot/config.h"
#include "report/report.h"
#include "report/role.h"

static const struct fixture_lot csr = {.name = "=CSR",
    .pattern = PATTERN_CSR,
    .serial_from = SERIAL_FROM_MAC,
    .rows = 6};

static const char header_line[] =
    "lot,serial,mac,attempt,slot,station,operator,start,end,"
    "firmware_version,firmware_sha256,pattern,thing,certificate_id,"
    "csr_key_sha256,cloud_state,verdict,failure_class,cause,action\r\n";

enum {
	COLUMNS = 20,
	RECORDS_MAX = 64
};

struct table {
	char *data;
	size_t len;
	size_t records;
	char cells[RECORDS_MAX][COLUMNS][200];
	struct lot_counts counts;
	uint64_t rows;
};

static void
table_parse(struct table *table)
{
	struct csv_reader *reader = malloc(sizeof(*reader));
	size_t i;

	assert_non_null(reader);
	assert_memory_equal(table->data, header_line, strlen(header_line));
	csv_open(reader, table->data, table->len);
	assert_int_equal(csv_next(reader), 1);
	while (csv_next(reader) == 1) {
		assert_int_equal(reader->count, COLUMNS);
		assert_true(table->records < RECORDS_MAX);
		for (i = 0; i < COLUMNS; i++)
			(void)snprintf(table->cells[table->records][i], 200,
			    "%.*s", (int)reader->fields[i].len,
			    reader->fields[i].text);
		table->records++;
	}
	assert_int_equal(table->records, table->rows);
	free(reader);
}

static struct table *
table_write(const char *ledger, const char *lot)
{
	struct table *table = calloc(1, sizeof(*table));
	const char *path = scratch_path("report.csv");
	struct fault fault;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_non_null(table);
	if (report_write(
		ledger, lot, fd, &table->counts, &table->rows, &fault) != 0)
		fail_msg("%s", fault.text);
	close(fd);
	assert_int_equal(
	    file_read(path, 1 << 24, &table->data, &table->len, &fault), 0);
	table_parse(table);
	return table;
}

static void
table_free(struct table *table)
{
	free(table->data);
	free(table);
}

/* A lot with one of each. */
static uint64_t
fill(struct fixture *fixture)
{
	uint64_t lot = fixture_open_lot(fixture, &csr), attempt;
	char mac[MAC_LEN];

	fixture_pass(fixture, lot, "=CSR", PATTERN_CSR, 0);
	attempt = fixture_begin(fixture, lot, "2");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "=CSR", 1)),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_judge(fixture, attempt, VERDICT_FAIL, CAUSE_RESET_LOOP),
	    CAUSE_NONE);
	attempt = fixture_begin(fixture, lot, "3");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", fixture_mac(mac, "=CSR", 2)),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_intend_key(fixture, attempt, INTENT_ISSUE, "k"),
	    CAUSE_NONE);
	assert_int_equal(
	    fixture_dispose(fixture, lot, "=CSR-0000003", DISPOSE_SCRAP),
	    CAUSE_NONE);
	attempt = fixture_begin(fixture, lot, "4");
	assert_int_equal(
	    fixture_gate(fixture, attempt, "", "02:00:00:00:00:01"),
	    CAUSE_NOT_IN_MANIFEST);
	assert_int_equal(fixture_judge(fixture, attempt, VERDICT_REFUSED,
			     CAUSE_NOT_IN_MANIFEST),
	    CAUSE_NONE);
	return lot;
}

static void
check_table(const struct table *table)
{
	const char(*row)[200] = table->cells[0];
	int64_t start, end;
	char key[DIGEST_TEXT_LEN];
	struct digest digest;

	assert_int_equal(table->records, 4 + 3);
	assert_string_equal(row[0], "'=CSR"); /* CWE-1236 */
	assert_string_equal(row[1], "'=CSR-0000000");
	assert_int_equal(strlen(row[2]), 17);
	assert_string_equal(row[3], "1");
	assert_string_equal(row[4], "1");
	assert_string_equal(row[5], "bench-1");
	assert_string_equal(row[6], "ann");
	assert_int_equal(clock_parse(row[7], &start), 0);
	assert_int_equal(clock_parse(row[8], &end), 0);
	assert_true(end >= start);
	assert_string_equal(row[9], "1.2.0");
	digest_bytes("firmware", 8, &digest);
	digest_text(&digest, key);
	assert_string_equal(row[10], key);
	assert_string_equal(row[11], "csr");
	assert_string_equal(row[12], "lamp-=CSR-0000000");
	assert_string_equal(row[13], "cert-1");
	digest_bytes("key =CSR 0", 10, &digest);
	digest_text(&digest, key);
	assert_string_equal(row[14], key);
	assert_string_equal(row[15], "ACTIVE");
	assert_string_equal(row[16], "PASS");
	assert_string_equal(row[17], "");
	assert_string_equal(row[18], "");
	row = table->cells[1];
	assert_string_equal(row[16], "FAIL");
	assert_string_equal(row[17], "DEVICE");
	assert_string_equal(row[18], "reset-loop");
	assert_string_equal(row[19], "Reject the unit: it does not boot.");
	row = table->cells[2];
	assert_string_equal(row[8], "");
	assert_string_equal(row[16], "IN-PROGRESS");
	row = table->cells[3];
	assert_string_equal(row[1], "");
	assert_string_equal(row[2], "02:00:00:00:00:01");
	assert_string_equal(row[16], "REFUSED");
	assert_string_equal(row[17], "MANIFEST");
	row = table->cells[4];
	assert_string_equal(row[1], "'=CSR-0000003");
	assert_string_equal(row[3], "");
	assert_string_equal(row[16], "SCRAPPED");
	assert_string_equal(table->cells[5][16], "MISSING");
	assert_string_equal(table->cells[6][1], "'=CSR-0000005");
	assert_int_equal(table->counts.rows, 6);
	assert_int_equal(table->counts.passed, 1);
	assert_int_equal(table->counts.failed, 1);
	assert_int_equal(table->counts.in_progress, 1);
	assert_int_equal(table->counts.scrapped, 1);
	assert_int_equal(table->counts.missing, 2);
}

static void
test_live(void **state)
{
	struct fixture *fixture = *state;
	struct table *table;

	fill(fixture);
	table = table_write(fixture->path, "=CSR");
	check_table(table);
	table_free(table);
}

/* A copy of the file alone, in a folder that cannot be written. */
static void
test_backup(void **state)
{
	struct fixture *fixture = *state;
	const char *backup = scratch_path("a%20 backup?.db");
	struct table *table;
	char sql[700];

	fill(fixture);
	(void)snprintf(sql, sizeof(sql), "VACUUM INTO '%s'", backup);
	assert_int_equal(store_script(&fixture->ledger->store, sql), 0);
	table = table_write(backup, "=CSR");
	check_table(table);
	table_free(table);
}

static void
test_refused(void **state)
{
	struct fixture *fixture = *state;
	struct lot_counts counts;
	struct fault fault;
	uint64_t rows;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	fill(fixture);
	assert_int_equal(
	    report_write(fixture->path, "other", fd, &counts, &rows, &fault),
	    -1);
	assert_int_equal(fault.cause, CAUSE_BAD_REQUEST);
	assert_non_null(strstr(fault.text, "has no lot other"));
	assert_int_equal(
	    report_write(fixture->path, "=CSR", fd, &counts, &rows, &fault),
	    -1);
	assert_non_null(strstr(fault.text, "cannot write the report"));
	assert_int_equal(report_write(scratch_path("nothing.db"), "x", fd,
			     &counts, &rows, &fault),
	    -1);
	assert_int_equal(fault.cause, CAUSE_LEDGER_ERROR);
	close(fd);
	/* Numbers that the manifest does not bear out are not reported. */
	assert_int_equal(
	    store_script(&fixture->ledger->store,
		"UPDATE tally SET count = count + 1 WHERE name = 'passed'"),
	    0);
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(
	    report_write(fixture->path, "=CSR", fd, &counts, &rows, &fault),
	    -1);
	assert_non_null(
	    strstr(fault.text, "counts 1 missing and its manifest has 2"));
	close(fd);
	assert_int_equal(ledger_rebuild(fixture->ledger, &fault), 0);
}

/* ---- the role ---- */

static _Noreturn void
role_child(int channel, int config, int out)
{
	channel = fcntl(channel, F_DUPFD, 64);
	config = fcntl(config, F_DUPFD, 64);
	out = fcntl(out, F_DUPFD, 64);
	if (dup2(channel, ROLE_FD_CHANNEL) < 0 ||
	    dup2(config, ROLE_FD_CONFIG) < 0 || dup2(out, ROLE_FD_FIRST) < 0)
		_exit(70);
	_exit(report_role());
}

static void
test_role(void **state)
{
	struct fixture *fixture = *state;
	struct station_config *config = calloc(1, sizeof(*config));
	struct table *table = calloc(1, sizeof(*table));
	struct message *reply = malloc(sizeof(*reply));
	const struct message_report_done *done;
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_REPORT};
	struct message_report body;
	struct channel channel;
	struct fault fault;
	int pair[2], out[2], sealed, status;
	pid_t child;
	ssize_t count;

	assert_true(config != NULL && table != NULL && reply != NULL);
	memset(&body, 0, sizeof(body));
	body.lot = fill(fixture);
	text_copy(body.format, sizeof(body.format), "csv");
	config->magic = CONFIG_MAGIC;
	text_copy(config->ledger, sizeof(config->ledger), fixture->path);
	sealed = file_seal("config", config, sizeof(*config), NULL);
	assert_int_equal(channel_pair(pair), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0)
		role_child(pair[1], sealed, out[1]);
	close(pair[1]);
	close(out[1]);
	close(sealed);
	channel_open(&channel, pair[0], "report", 4);
	assert_int_equal(
	    channel_send_wait(&channel, &header, &body, sizeof(body), NULL, 0,
		clock_deadline(30000), &fault),
	    0);
	table->data = malloc(65536);
	while ((count = read(
		    out[0], table->data + table->len, 65535 - table->len)) > 0)
		table->len += (size_t)count;
	assert_int_equal(count, 0);
	close(out[0]);
	assert_int_equal(channel_receive_wait(
			     &channel, reply, clock_deadline(30000), &fault),
	    0);
	done = (const void *)reply->body.bytes;
	assert_int_equal(reply->header.type, MESSAGE_REPORT_DONE);
	assert_int_equal(done->fault.cause, CAUSE_NONE);
	table->counts = done->counts;
	table->rows = done->rows;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	channel_close(&channel);
	table_parse(table);
	check_table(table);
	table_free(table);
	free(config);
	free(reply);
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_live),
	    TEST(test_backup),
	    TEST(test_refused),
	    TEST(test_role),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
