/*
 * Prints what station/device sees of USB serial ports, and with a position
 * opens the port there as the parent does and moves its modem lines. Run
 * under umockdev by usb_positions_test.sh.
 *
 *	usb_ports [POSITION INTERFACE]
 */
#include <stdio.h>
#include <stdlib.h>

#include "device/port.h"
#include "device/usb.h"

static int
report(const struct fault *fault)
{
	printf("fault %s: %s\n", fault_row(fault->cause)->name, fault->text);
	return 1;
}

static int
port_try(const struct usb_port *found, struct fault *fault)
{
	struct port_claim claim;
	struct port port;
	int result;

	if (port_open(found->node, NULL, &claim, fault) != 0)
		return report(fault);
	printf("opened %s lock=%s\n", claim.node,
	    claim.lock[0] != '\0' ? "yes" : "no");
	port_attach(&port, claim.fd, -1);
	result = port_run_sequence(&port, "U0,1|U1,0|U0,0", fault);
	if (result == 0)
		result = port_set_baud(&port, 460800, fault);
	if (result == 0)
		printf("lines and rate set\n");
	else
		report(fault);
	port_release(&claim);
	return result == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	static struct usb_port ports[USB_PORTS_MAX];
	const struct usb_port *found;
	struct usb_facts facts;
	struct fault fault = {0};
	size_t count, i;

	if (usb_scan(ports, USB_PORTS_MAX, &count, &fault) != 0)
		return report(&fault);
	for (i = 0; i < count; i++) {
		if (usb_describe(&ports[i], &facts, &fault) != 0)
			return report(&fault);
		printf("%s %s %s %u %04x:%04x \"%s\" \"%s\" %s\n",
		    ports[i].node, ports[i].controller, ports[i].position,
		    (unsigned)ports[i].interface, (unsigned)facts.vendor,
		    (unsigned)facts.product, facts.product_text,
		    facts.serial_text, facts.driver);
	}
	if (argc != 3)
		return 0;
	found = usb_find(
	    ports, count, argv[1], (uint32_t)strtoul(argv[2], NULL, 10));
	if (found == NULL) {
		printf("nothing at %s\n", argv[1]);
		return 1;
	}
	return port_try(found, &fault);
}
