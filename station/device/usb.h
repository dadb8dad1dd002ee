/*
 * USB serial ports by their position.
 *
 * A position is the kernel's name of the USB device, "1-1.4.2": bus, then
 * the ports of the hubs on the way. It stays the same for a socket of the
 * fixture whatever is plugged there, unlike ttyUSBn. Bus numbers may change
 * between boots when there is more than one controller: then the
 * controller's path goes in front, "pci-0000:00:14.0/1-1.4.2", and the bus
 * number is not compared.
 *
 * Facts come from sysfs by walking up from /sys/class/tty/NAME/device; a
 * scan opens no port and reads no attribute, so that the line role can
 * repeat it a few times a second.
 */
#ifndef DEVICE_USB_H
#define DEVICE_USB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

enum {
	USB_PORTS_MAX = 256,
	USB_POSITION_LEN = 96,
	USB_NODE_LEN = 64
};

/* What a scan knows of a port. */
struct usb_port {
	char node[USB_NODE_LEN];	   /* "/dev/ttyUSB0" */
	char position[USB_POSITION_LEN];   /* "1-1.4.2" */
	char controller[USB_POSITION_LEN]; /* "pci-0000:00:14.0", or empty */
	uint32_t interface;		   /* bInterfaceNumber */
};

/* What libserialport and sysfs say in addition. */
struct usb_facts {
	uint16_t vendor, product;
	char manufacturer_text[128]; /* texts are escaped, may be empty */
	char product_text[128];
	char serial_text[128];
	char driver[32]; /* "cp210x" */
};

/* All USB serial ports, ordered by node; -1 with CAUSE_PORT_ERROR when
 * /sys/class/tty cannot be read. */
int usb_scan(struct usb_port *, size_t max, size_t *count, struct fault *);
/* True when the port is at that position (either spelling). */
bool usb_port_is_at(
    const struct usb_port *, const char *position, uint32_t interface);
/* The port of a scan at that position, or null. */
const struct usb_port *usb_find(const struct usb_port *, size_t count,
    const char *position, uint32_t interface);
/* True for the text of a position in either spelling. */
bool usb_position_valid(const char *position);
/* The facts of one port: reads attributes, opens nothing. */
int usb_describe(const struct usb_port *, struct usb_facts *, struct fault *);

#endif
