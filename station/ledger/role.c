#include "ledger/role.h"

#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/channel.h"
#include "base/log.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "ledger/ledger.h"
#include "lot/config.h"

/* BATCH_MAX: every slot of a station and the line's own requests fit. */
enum {
	BATCH_MAX = 96,
	QUEUED_MAX = 1024
};

struct service {
	struct channel channel;
	struct ledger *ledger; /* null: broken at the start, see fault */
	struct fault fault;
	bool failing; /* the last transaction was lost, and that is logged */
	struct message request;
	struct ledger_answer answers[BATCH_MAX];
};

/* Every answer of a transaction that was lost becomes its fault. */
static void
batch_refuse(struct service *service, size_t count)
{
	struct message_header header;
	struct fault fault;
	size_t i;

	store_fault(&service->ledger->store, &fault);
	if (!service->failing)
		log_error("%s; requests are refused", fault.text);
	service->failing = true;
	for (i = 0; i < count; i++) {
		if (service->answers[i].fd != -1)
			close(service->answers[i].fd);
		header = service->answers[i].header;
		header.type = (uint16_t)(header.type - 1);
		ledger_refuse(&header, &fault, &service->answers[i]);
	}
}

static void
batch_end(struct service *service, size_t count, bool lost)
{
	if (lost)
		ledger_rollback(service->ledger);
	else
		lost = ledger_commit(service->ledger) != 0;
	if (lost) {
		batch_refuse(service, count);
	} else if (service->failing) {
		log_notice("%s: records again", service->ledger->store.path);
		service->failing = false;
	}
}

/*
 * Carries out what waits, up to a batch, in one transaction; answers only
 * after its commit. A transaction that fails is no reason to end: its
 * requests are refused, and the next ones may find room on the disk again.
 */
static size_t
batch_handle(struct service *service)
{
	bool begun = false, lost = service->ledger == NULL;
	size_t count = 0;
	struct ledger_answer *answer;

	while (count < BATCH_MAX &&
	       channel_receive(&service->channel, &service->request) == 1) {
		answer = &service->answers[count++];
		if (!lost && !begun)
			lost = ledger_begin(service->ledger) != 0;
		begun = !lost;
		if (!lost)
			lost = ledger_handle(service->ledger, &service->request,
				   answer) != 0;
		if (lost)
			ledger_refuse(
			    &service->request.header, &service->fault, answer);
		message_close_fds(&service->request);
	}
	if (count > 0 && service->ledger != NULL)
		batch_end(service, count, lost);
	return count;
}

static int
batch_answer(struct service *service, size_t count)
{
	struct ledger_answer *answer;
	bool failed = false;
	size_t i;

	for (i = 0; i < count; i++) {
		answer = &service->answers[i];
		if (!failed)
			failed =
			    channel_send(&service->channel, &answer->header,
				&answer->body, answer->len, &answer->fd,
				answer->fd != -1 ? 1 : 0) != 0;
		if (answer->fd != -1)
			close(answer->fd);
	}
	return failed ? -1 : 0;
}

static void
role_run(struct service *service)
{
	struct pollfd wait = {.fd = service->channel.fd};
	size_t count;

	while (!service->channel.failed) {
		wait.events = channel_events(&service->channel);
		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			return;
		if (channel_flush(&service->channel) != 0)
			return;
		count = batch_handle(service);
		if (batch_answer(service, count) != 0)
			return;
		/* After the answers: nobody waits for a checkpoint. */
		if (service->ledger != NULL)
			store_checkpoint(&service->ledger->store);
	}
}

static int
role_ready(struct service *service)
{
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_LEDGER_READY};
	struct message_ledger_ready ready;

	memset(&ready, 0, sizeof(ready));
	if (service->ledger == NULL)
		ready.fault = service->fault;
	else if (ledger_ready(service->ledger, &ready) != 0)
		log_error("%s", ready.fault.text);
	return channel_send(
	    &service->channel, &header, &ready, sizeof(ready), NULL, 0);
}

static int
role_start(struct service *service, const struct station_config *config)
{
	char folder[PATH_LEN];
	struct sandbox_paths paths = {.read = {NULL}};

	service->ledger =
	    ledger_open(config->ledger, config->station, &service->fault);
	if (service->ledger == NULL)
		log_error("%s", service->fault.text);
	text_copy(folder, sizeof(folder), config->ledger);
	paths.write[0] = dirname(folder);
	return sandbox_enter(ROLE_LEDGER, &paths, &service->fault);
}

int
ledger_role(void)
{
	const struct station_config *config = NULL;
	const void *data = NULL;
	struct service *service = NULL;
	size_t len = 0;
	struct fault fault;
	int status = EX_OSERR;

	log_open("ledger", LOG_LEVEL_INFO);
	if (file_map_sealed(ROLE_FD_CONFIG, sizeof(*config), sizeof(*config),
		&data, &len, &fault) != 0) {
		log_error("%s", fault.text);
		return EX_CONFIG;
	}
	config = data;
	service = calloc(1, sizeof(*service));
	if (service == NULL || config->magic != CONFIG_MAGIC)
		goto out;
	channel_open(&service->channel, ROLE_FD_CHANNEL, "line", QUEUED_MAX);
	if (role_start(service, config) != 0) {
		log_error("%s", service->fault.text);
		goto out;
	}
	if (role_ready(service) == 0)
		role_run(service);
	status = EX_OK;
out:
	if (service != NULL) {
		ledger_close(service->ledger);
		channel_close(&service->channel);
	}
	free(service);
	munmap((void *)(uintptr_t)data, len);
	return status;
}
