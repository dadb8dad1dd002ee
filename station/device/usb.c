#include "device/usb.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <libserialport.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define CLASS_FOLDER "/sys/class/tty"

/* Length of "1-1.4.2" at the start of text, 0 when there is none. */
static size_t
position_len(const char *text)
{
	size_t at = 0, digits;

	for (digits = 0; isdigit((unsigned char)text[at]); digits++)
		at++;
	if (digits == 0 || text[at] != '-')
		return 0;
	do {
		at++; /* the hyphen, then the dots */
		for (digits = 0; isdigit((unsigned char)text[at]); digits++)
			at++;
		if (digits == 0)
			return 0;
	} while (text[at] == '.');
	return at;
}

bool
usb_position_valid(const char *position)
{
	const char *device = strrchr(position, '/');
	size_t len;

	if (strlen(position) >= USB_POSITION_LEN || device == position)
		return false;
	device = device == NULL ? position : device + 1;
	len = position_len(device);
	return len > 0 && device[len] == '\0';
}

/* "pci-0000:00:14.0" of the component before "usb1". */
static void
controller_name(char *to, size_t size, const char *component)
{
	unsigned domain, bus, device, function;
	char rest;

	if (sscanf(component, "%x:%x:%x.%x%c", &domain, &bus, &device,
		&function, &rest) == 4)
		snprintf(to, size, "pci-%s", component);
	else
		snprintf(to, size, "platform-%s", component);
}

/*
 * Reads position, interface and controller out of a device's path, such as
 * /sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4/1-1.4:1.0/ttyUSB0.
 * -1 when no USB interface is in it.
 */
static int
path_read(char *path, struct usb_port *port)
{
	char *component, *rest = path, *before = NULL;
	unsigned configuration, interface;
	size_t len;

	while ((component = strsep(&rest, "/")) != NULL) {
		if (strncmp(component, "usb", 3) == 0 &&
		    isdigit((unsigned char)component[3]) && before != NULL)
			controller_name(
			    port->controller, sizeof(port->controller), before);
		len = position_len(component);
		if (len > 0 && component[len] == ':' &&
		    len < sizeof(port->position) &&
		    sscanf(component + len, ":%u.%u", &configuration,
			&interface) == 2) {
			memcpy(port->position, component, len);
			port->position[len] = '\0';
			port->interface = interface;
			return 0;
		}
		before = component;
	}
	return -1;
}

/* 1 a USB serial port, 0 another tty. */
static int
tty_read(const char *name, struct usb_port *port)
{
	char link[PATH_MAX], path[PATH_MAX];
	ssize_t got;
	int len, found;
	char *real;

	memset(port, 0, sizeof(*port));
	len = snprintf(path, sizeof(path), CLASS_FOLDER "/%s", name);
	if (len < 0 || (size_t)len >= sizeof(path) - 8 ||
	    strlen(name) > USB_NODE_LEN - 6)
		return 0;
	/* One look at the link sorts out the virtual terminals. */
	got = readlink(path, link, sizeof(link) - 1);
	if (got <= 0)
		return 0;
	link[got] = '\0';
	if (strstr(link, "/usb") == NULL)
		return 0;
	memcpy(path + len, "/device", 8);
	real = realpath(path, NULL);
	if (real == NULL)
		return 0;
	found = path_read(real, port) == 0;
	free(real);
	snprintf(port->node, sizeof(port->node), "/dev/%.58s", name);
	return found;
}

static int
node_compare(const void *one, const void *other)
{
	const struct usb_port *a = one, *b = other;

	return strverscmp(a->node, b->node);
}

int
usb_scan(struct usb_port *ports, size_t max, size_t *count, struct fault *fault)
{
	struct dirent *entry;
	DIR *folder;

	*count = 0;
	folder = opendir(CLASS_FOLDER);
	if (folder == NULL)
		return fault_set_errno(
		    fault, CAUSE_PORT_ERROR, errno, "reading " CLASS_FOLDER);
	while (*count < max && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] != '.' &&
		    tty_read(entry->d_name, &ports[*count]) == 1)
			(*count)++;
	}
	closedir(folder);
	if (*count > 1)
		qsort(ports, *count, sizeof(*ports), node_compare);
	return 0;
}

bool
usb_port_is_at(
    const struct usb_port *port, const char *position, uint32_t interface)
{
	const char *slash = strrchr(position, '/'), *here, *there;
	size_t len;

	if (port->interface != interface)
		return false;
	if (slash == NULL)
		return strcmp(port->position, position) == 0;
	/* With a controller the bus's number is left out of account. */
	len = (size_t)(slash - position);
	here = strchr(port->position, '-');
	there = strchr(slash + 1, '-');
	return strlen(port->controller) == len &&
	       strncmp(port->controller, position, len) == 0 && here != NULL &&
	       there != NULL && strcmp(here, there) == 0;
}

const struct usb_port *
usb_find(const struct usb_port *ports, size_t count, const char *position,
    uint32_t interface)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (usb_port_is_at(&ports[i], position, interface))
			return &ports[i];
	return NULL;
}

/* Texts come from the device: escaped. */
static void
fact_copy(char *to, size_t size, const char *text)
{
	if (text == NULL)
		to[0] = '\0';
	else
		text_escape(to, size, text, strlen(text));
}

int
usb_describe(
    const struct usb_port *port, struct usb_facts *facts, struct fault *fault)
{
	char path[USB_NODE_LEN + 48], link[PATH_MAX];
	struct sp_port *library = NULL;
	int vendor = 0, product = 0;
	const char *base;
	ssize_t got;

	memset(facts, 0, sizeof(*facts));
	if (sp_get_port_by_name(port->node, &library) != SP_OK)
		return fault_set(fault, CAUSE_UNPLUGGED,
		    "%s is gone or no serial port", port->node);
	if (sp_get_port_usb_vid_pid(library, &vendor, &product) == SP_OK) {
		facts->vendor = (uint16_t)vendor;
		facts->product = (uint16_t)product;
	}
	fact_copy(facts->manufacturer_text, sizeof(facts->manufacturer_text),
	    sp_get_port_usb_manufacturer(library));
	fact_copy(facts->product_text, sizeof(facts->product_text),
	    sp_get_port_usb_product(library));
	fact_copy(facts->serial_text, sizeof(facts->serial_text),
	    sp_get_port_usb_serial(library));
	sp_free_port(library);
	base = strrchr(port->node, '/');
	snprintf(path, sizeof(path), CLASS_FOLDER "/%s/device/driver",
	    base != NULL ? base + 1 : port->node);
	got = readlink(path, link, sizeof(link) - 1);
	if (got > 0) {
		link[got] = '\0';
		base = strrchr(link, '/');
		(void)text_copy(facts->driver, sizeof(facts->driver),
		    base != NULL ? base + 1 : link);
	}
	return 0;
}
