#include "lot/role.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/message.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "lot/bundle.h"
#include "lot/lot_freeze.h"

enum {
	QUEUED_MAX = 4,
	ANSWER_TIMEOUT_MS = 30000,
	DONE_FDS = 3, /* lot image, firmware, manifest */
};

/* ---- one lot ---- */

static int
seal_firmware(const struct lot_bundle *bundle, struct fault *fault)
{
	const struct lot_firmware *firmware = &bundle->firmware;
	uint8_t *file = NULL;
	size_t len = 0;
	int fd = -1;

	if (firmware_build(
		firmware->sources, firmware->count, &file, &len, fault) == 0)
		fd = file_seal("firmware", file, len, fault);
	free(file);
	return fd;
}

/*
 * Loads, and freezes what was not frozen. fds are filled on success; problems
 * may be empty when the fault is the station's own.
 */
static int
lot_work(const struct station_config *config,
    const struct message_load_lot *request, int fds[DONE_FDS], uint32_t *rows,
    struct problems *problems, struct fault *fault)
{
	int result = -1;
	struct lot_bundle *bundle = lot_bundle_load(
	    config, request->folder, request->frozen != 0, problems);

	if (bundle == NULL)
		return fault_set(fault, CAUSE_BAD_LOT, "%s cannot be loaded",
		    request->folder);
	if ((request->frozen != 0
		    ? lot_frozen_match(bundle, problems)
		    : lot_freeze(config, bundle, problems)) != 0) {
		fault_set(fault, CAUSE_BAD_LOT, "lot %s cannot be frozen",
		    bundle->image.name);
		goto out;
	}
	fds[0] = file_seal("lot", &bundle->image, sizeof(bundle->image), fault);
	if (fds[0] < 0)
		goto out;
	fds[1] = seal_firmware(bundle, fault);
	if (fds[1] < 0)
		goto out;
	fds[2] = bundle->manifest_fd;
	bundle->manifest_fd = -1;
	*rows = bundle->rows;
	result = 0;
out:
	lot_bundle_free(bundle);
	return result;
}

/* ---- messages ---- */

static void
answer(struct channel *channel, const struct message_header *asked,
    const struct message_load_lot_done *done, const int *fds, size_t count)
{
	struct message_header header = *asked;
	struct fault fault;

	header.type = MESSAGE_LOAD_LOT_DONE;
	if (channel_send_wait(channel, &header, done, sizeof(*done), fds, count,
		clock_deadline(ANSWER_TIMEOUT_MS), &fault) != 0)
		log_error("cannot answer the line: %s", fault.text);
}

/* The first problem stands in the fault's text, all of them in the file. */
static int
seal_problems(const struct problems *problems, struct fault *fault)
{
	const char *text = problems->text.data;
	struct fault unsealed;
	int fd;

	if (problems->count == 0 || text == NULL)
		return -1;
	fault_set(fault, CAUSE_BAD_LOT, "%zu problem%s, the first: %.*s",
	    problems->count, problems->count == 1 ? "" : "s",
	    (int)strcspn(text, "\n"), text);
	fd = file_seal("problems", text, problems->text.len, &unsealed);
	if (fd < 0)
		log_error("%s", unsealed.text);
	return fd;
}

/* What is allowed and looks like a mistake stands in the daemon's log. */
static void
log_warnings(const struct problems *problems)
{
	const char *line = problems->warnings.data;

	while (line != NULL && *line != '\0') {
		size_t len = strcspn(line, "\n");

		log_warning("%.*s", (int)len, line);
		line += len + (line[len] == '\n');
	}
}

static void
handle_load(struct channel *channel, const struct station_config *config,
    const struct message_header *header, const struct message_load_lot *request)
{
	int fds[DONE_FDS] = {-1, -1, -1};
	size_t count = 0;
	struct problems problems;
	struct message_load_lot_done done;

	memset(&done, 0, sizeof(done));
	problems_init(&problems);
	log_info("loading %s", request->folder);
	if (lot_work(config, request, fds, &done.rows, &problems,
		&done.fault) == 0) {
		count = DONE_FDS;
	} else {
		int fd = seal_problems(&problems, &done.fault);

		for (size_t at = 0; at < DONE_FDS; at++)
			if (fds[at] >= 0)
				close(fds[at]);
		memset(fds, -1, sizeof(fds));
		fds[0] = fd;
		count = fd >= 0;
	}
	log_warnings(&problems);
	answer(channel, header, &done, fds, count);
	for (size_t at = 0; at < DONE_FDS; at++)
		if (fds[at] >= 0)
			close(fds[at]);
	problems_free(&problems);
}

static int
serve(struct channel *channel, const struct station_config *config,
    struct message *message)
{
	struct pollfd ready = {.fd = channel->fd, .events = POLLIN};

	for (;;) {
		int result = channel_receive(channel, message);

		if (result < 0)
			return EX_OK;
		if (result == 0) {
			if (poll(&ready, 1, -1) < 0 && errno != EINTR)
				return EX_OSERR;
			continue;
		}
		message_close_fds(message);
		if (message->header.type != MESSAGE_LOAD_LOT) {
			log_error("message %u is not for the load role",
			    message->header.type);
			return EX_PROTOCOL;
		}
		handle_load(channel, config, &message->header,
		    (const void *)message->body.bytes);
	}
}

/* ---- the role ---- */

static int
enter(const struct station_config *config, struct fault *fault)
{
	char folder[PATH_LEN];
	char *slash;
	struct sandbox_paths paths = {
	    .read = {config->lots, config->profiles, folder},
	    .write = {config->state}};

	text_copy(folder, sizeof(folder), config->file);
	slash = strrchr(folder, '/');
	if (slash != NULL && slash != folder)
		*slash = '\0';
	return sandbox_enter(ROLE_LOAD, &paths, fault);
}

int
load_role(void)
{
	const void *data = NULL;
	size_t len = 0;
	const struct station_config *config;
	struct channel channel;
	struct message *message = NULL;
	struct fault fault;
	int status = EX_CONFIG;

	if (file_map_sealed(ROLE_FD_CONFIG, sizeof(*config), sizeof(*config),
		&data, &len, &fault) != 0) {
		log_error("no configuration: %s", fault.text);
		return EX_CONFIG;
	}
	config = data;
	if (config->magic != CONFIG_MAGIC || config->size != sizeof(*config)) {
		log_error("the configuration is another version's");
		goto out;
	}
	if (enter(config, &fault) != 0) {
		log_error("%s", fault.text);
		status = EX_UNAVAILABLE;
		goto out;
	}
	message = malloc(sizeof(*message));
	if (message == NULL) {
		status = EX_OSERR;
		goto out;
	}
	channel_open(&channel, ROLE_FD_CHANNEL, "line", QUEUED_MAX);
	status = serve(&channel, config, message);
	channel_close(&channel);
out:
	free(message);
	munmap((void *)(uintptr_t)data, len);
	return status;
}
