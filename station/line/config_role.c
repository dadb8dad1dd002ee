#include "line/parent.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/message.h"
#include "base/role.h"
#include "base/sandbox.h"
#include "lot/config.h"

static int
config_parse(const char *path, struct fault *fault)
{
	struct sandbox_paths paths;
	struct problems problems;
	char folder[PATH_LEN], *slash;
	int fd;

	memset(&paths, 0, sizeof(paths));
	text_copy(folder, sizeof(folder), path);
	slash = strrchr(folder, '/');
	if (slash != NULL)
		slash[slash == folder] = '\0';
	/* Files that it names are checked for being there. */
	paths.read[0] = "/";
	if (sandbox_enter(ROLE_LOAD, &paths, fault) == -1)
		return -1;
	problems_init(&problems);
	fd = config_to_memfd(path, &problems);
	if (fd == -1 && problems.text.data != NULL)
		fputs(problems.text.data, stderr);
	problems_free(&problems);
	return fd;
}

int
config_role(void)
{
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_CONTROL};
	struct message_control control = {.signal = CONTROL_RELOAD};
	struct channel channel;
	struct fault fault;
	const void *path;
	size_t len;
	int fd = -1, status = EX_CONFIG;

	log_open("config", LOG_LEVEL_INFO);
	fault_clear(&fault);
	channel_open(&channel, ROLE_FD_CHANNEL, "parent", 4);
	if (file_map_sealed(ROLE_FD_JOB, 2, PATH_LEN, &path, &len, &fault) == 0)
		fd = config_parse(path, &fault);
	if (fd != -1 &&
	    channel_send_wait(&channel, &header, &control, sizeof(control), &fd,
		1, clock_deadline(10000), &fault) == 0)
		status = EX_OK;
	if (fault.cause != CAUSE_NONE)
		log_error("%s", fault.text);
	if (fd != -1)
		close(fd);
	channel_close(&channel);
	return status;
}
