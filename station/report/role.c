#include "report/role.h"

#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>

#include "base/buf.h"
#include "base/channel.h"
#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "lot/config.h"
#include "report/report.h"

/*
 * Of the ledger only the shared-memory file is writable: a reader of a
 * write-ahead log takes its place in there (SQLite, "Write-Ahead Logging").
 */
static int
report_sandbox(const struct station_config *config, struct fault *fault)
{
	char folder[PATH_LEN], shared[PATH_LEN + 8];
	struct sandbox_paths paths = {.read = {NULL}};

	text_copy(folder, sizeof(folder), config->ledger);
	snprintf(shared, sizeof(shared), "%s-shm", config->ledger);
	paths.read[0] = dirname(folder);
	paths.write[0] = shared;
	return sandbox_enter(ROLE_REPORT, &paths, fault);
}

static int
report_answer(struct channel *channel, const struct message *request,
    const struct station_config *config)
{
	const struct message_report *body = (const void *)request->body.bytes;
	struct message_header header = request->header;
	struct message_report_done done;

	memset(&done, 0, sizeof(done));
	header.type = MESSAGE_REPORT_DONE;
	if (!text_equal(body->format, "csv"))
		fault_set(&done.fault, CAUSE_BAD_REQUEST,
		    "there is no report format %s; there is csv", body->format);
	else if (body->ledger[0] != '\0' &&
		 !text_equal(body->ledger, config->ledger))
		fault_set(&done.fault, CAUSE_BAD_REQUEST,
		    "%s is not this station's ledger", body->ledger);
	else
		report_write_live(config->ledger, body->lot, ROLE_FD_FIRST,
		    &done.counts, &done.rows, &done.fault);
	return channel_send_wait(
	    channel, &header, &done, sizeof(done), NULL, 0, 0, NULL);
}

static int
report_serve(const struct station_config *config)
{
	static struct message request;
	struct channel channel;
	struct fault fault;
	int status = EX_OK;

	channel_open(&channel, ROLE_FD_CHANNEL, "line", 4);
	if (report_sandbox(config, &fault) != 0) {
		log_error("%s", fault.text);
		status = EX_OSERR;
	} else if (channel_receive_wait(&channel, &request, 0, &fault) != 0) {
		log_error("%s", fault.text);
		status = EX_IOERR;
	} else {
		if (request.header.type != MESSAGE_REPORT ||
		    report_answer(&channel, &request, config) != 0)
			status = EX_PROTOCOL;
		message_close_fds(&request);
	}
	channel_close(&channel);
	return status;
}

int
report_role(void)
{
	const struct station_config *config;
	const void *data = NULL;
	size_t len = 0;
	struct fault fault;
	int status = EX_CONFIG;

	log_open("report", LOG_LEVEL_INFO);
	/* A reader that leaves is an error of write(2), not of the role. */
	signal(SIGPIPE, SIG_IGN);
	if (file_map_sealed(ROLE_FD_CONFIG, sizeof(*config), sizeof(*config),
		&data, &len, &fault) != 0) {
		log_error("%s", fault.text);
		return EX_CONFIG;
	}
	config = data;
	if (config->magic == CONFIG_MAGIC)
		status = report_serve(config);
	munmap((void *)(uintptr_t)data, len);
	return status;
}
