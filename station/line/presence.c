/*
 * Which slots have a unit in them: inotify wakes, a scan decides. A scan
 * opens no port. A new unit in the same place is told from the old one by
 * the node's own inode and times.
 */
#include "line/line.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/usb.h"

enum {
	SCAN_MS = 500,	/* behind the events, should one get lost */
	SETTLE_MS = 30, /* after an event: udev may still set owner and mode */
};

static bool
mark_equal(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_rdev == b->st_rdev &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * A device node's times change whenever its owner or mode do; what makes it
 * another one is its inode. A bench's link is made anew for each unit.
 */
static bool
node_mark(const struct board_slot *slot, const char *node, struct stat *mark)
{
	struct stat target;

	if (lstat(node, mark) == -1 || stat(node, &target) == -1 ||
	    !S_ISCHR(target.st_mode))
		return false;
	if (slot->config->port[0] == '\0')
		memset(&mark->st_ctim, 0, sizeof(mark->st_ctim));
	return true;
}

static void
slot_scan(struct board_slot *slot, const struct usb_port *ports, size_t count)
{
	const char *node = slot->config->port;
	const struct usb_port *port;
	struct stat mark;
	bool present;

	if (node[0] == '\0') {
		port = usb_find(
		    ports, count, slot->config->usb, slot->config->interface);
		node = port == NULL ? "" : port->node;
	}
	present = node[0] != '\0' && node_mark(slot, node, &mark);
	/* A profile's resets may make the node go and come back: while an
	 * attempt runs, it is the attempt that judges. */
	if (slot->present && (!present || strcmp(slot->node, node) != 0 ||
				 !mark_equal(&mark, &slot->mark)))
		slot_absent(slot);
	if (present && !slot->present && slot->attempt == NULL)
		slot_present(slot, node, &mark);
}

void
presence_scan(struct line *line)
{
	static struct usb_port ports[USB_PORTS_MAX];
	struct fault fault;
	size_t count = 0, i;
	bool usb = false;

	for (i = 0; i < line->config->slot_count; i++)
		usb = usb || line->config->slots[i].usb[0] != '\0';
	if (usb && usb_scan(ports, USB_PORTS_MAX, &count, &fault) == -1) {
		board_note(line, RING_ERROR, "%s", fault.text);
		return;
	}
	for (i = 0; i < line->config->slot_count; i++)
		slot_scan(&line->slots[i], ports, count);
}

static void
presence_due(void *arg)
{
	struct line *line = arg;

	presence_scan(line);
	loop_timer_set(line->presence_timer, clock_deadline(SCAN_MS));
}

static void
presence_event(void *arg, short revents)
{
	struct line *line = arg;
	char events[4096];

	(void)revents;
	while (read(line->inotify_fd, events, sizeof(events)) > 0)
		;
	loop_timer_set(line->presence_timer, clock_deadline(SETTLE_MS));
}

int
presence_start(struct line *line, struct fault *fault)
{
	char folder[PATH_LEN], *slash;
	size_t i;

	line->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (line->inotify_fd == -1)
		return fault_set_errno(fault, CAUSE_INTERNAL, errno, "inotify");
	inotify_add_watch(line->inotify_fd, "/dev",
	    IN_CREATE | IN_DELETE | IN_ATTRIB | IN_MOVED_TO);
	for (i = 0; i < line->config->slot_count; i++) {
		text_copy(folder, sizeof(folder), line->config->slots[i].port);
		slash = strrchr(folder, '/');
		if (slash == NULL || slash == folder)
			continue;
		*slash = '\0';
		/* Without it the scan alone finds the unit, a little later. */
		inotify_add_watch(line->inotify_fd, folder,
		    IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM);
	}
	line->presence_timer = loop_timer(line->loop, presence_due, line);
	if (line->presence_timer == NULL ||
	    loop_watch(line->loop, line->inotify_fd, POLLIN, presence_event,
		line) == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	loop_timer_set(line->presence_timer, clock_deadline(SCAN_MS / 5));
	return 0;
}
