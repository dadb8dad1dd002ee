/*
 * Any bytes as a message from another role, through a real channel: what
 * arrives must be safe to use as texts and as indexes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Uses what receivers use without a check of their own. */
static void
use(const struct message *message)
{
	const char *body = message->body.bytes;
	struct message_progress progress;
	struct message_verdict verdict;
	struct message_lot_list_done *list;

	switch (message->header.type) {
	case MESSAGE_PROGRESS:
		memcpy(&progress, body, sizeof(progress));
		if (strcmp(step_name((enum step_name)progress.step),
			"unknown") == 0 ||
		    strlen(progress.note) >= sizeof(progress.note))
			abort();
		break;
	case MESSAGE_VERDICT:
		memcpy(&verdict, body, sizeof(verdict));
		if (verdict_name((enum verdict)verdict.verdict) == NULL ||
		    strlen(verdict.fault.text) >= sizeof(verdict.fault.text) ||
		    strlen(fault_row(verdict.fault.cause)->name) == 0)
			abort();
		break;
	case MESSAGE_LOT_LIST_DONE:
		list = malloc(sizeof(*list));
		if (list == NULL)
			break;
		memcpy(list, body, sizeof(*list));
		if (list->count > LOT_LIST_MAX ||
		    strlen(list->lots[LOT_LIST_MAX - 1].folder) >= PATH_LEN)
			abort();
		free(list);
		break;
	default:
		break;
	}
}

/* The length of a type's body, or MESSAGE_MAX when there is no such type. */
static size_t
body_len(uint16_t type)
{
	static size_t lens[MESSAGE_TYPE_COUNT];
	static char zeros[MESSAGE_MAX];
	size_t len = 0;

	if (lens[type] > 0)
		return lens[type] - 1;
	while (len < MESSAGE_MAX && !message_check(type, zeros, len))
		len++;
	lens[type] = len + 1;
	return len;
}

/* A body is long and mostly zeros: the input is the start of one. */
static void
check_padded(const uint8_t *data, size_t len)
{
	static struct message message;
	uint16_t type;

	if (len < sizeof(type))
		return;
	memcpy(&type, data, sizeof(type));
	type %= MESSAGE_TYPE_COUNT;
	data += sizeof(type);
	len -= sizeof(type);
	message.header.type = type;
	message.len = body_len(type);
	if (message.len > sizeof(message.body.bytes))
		return;
	memset(message.body.bytes, 0, message.len);
	memcpy(message.body.bytes, data, len < message.len ? len : message.len);
	if (message_check(type, message.body.bytes, message.len))
		use(&message);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct message message;
	struct channel channel;
	int fds[2];

	check_padded(data, len);
	if (len == 0 || len > MESSAGE_MAX || channel_pair(fds) < 0)
		return 0;
	channel_open(&channel, fds[1], "fuzz", 0);
	if (send(fds[0], data, len, 0) == (ssize_t)len &&
	    channel_receive(&channel, &message) == 1)
		use(&message);
	channel_close(&channel);
	close(fds[0]);
	return 0;
}
