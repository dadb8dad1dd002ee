#include "lot/config_parts.h"

#include <stdio.h>
#include <string.h>

#include "lot/name.h"

static const char *
skip_digits(const char *text)
{
	return text + strspn(text, "0123456789");
}

/* "1-1.4.2": bus, root port, then a port of each hub on the way. */
static bool
is_usb_position(const char *text)
{
	const char *end;

	/* The controller's path is compared as text: only its form counts. */
	if (strncmp(text, "pci-", 4) == 0 ||
	    strncmp(text, "platform-", 9) == 0) {
		text = strchr(text, '/');
		if (text == NULL)
			return false;
		text++;
	}
	end = skip_digits(text);
	if (end == text || *end != '-')
		return false;
	do {
		text = end + 1;
		end = skip_digits(text);
		if (end == text)
			return false;
	} while (*end == '.');
	return *end == '\0';
}

static void
read_usb(struct config_reader *reader, struct yaml_node *map,
    struct config_slot *slot)
{
	int64_t interface = 0;

	if (yaml_get_text(reader->document, map, "usb", false, slot->usb,
		sizeof(slot->usb), reader->problems) == 0 &&
	    !is_usb_position(slot->usb))
		yaml_problem(reader->document, yaml_get(map, "usb"),
		    reader->problems,
		    "usb \"%s\" is not accepted; accepted is a position such "
		    "as 1-1.4.2, or with its controller "
		    "pci-0000:00:14.0/1-1.4.2",
		    slot->usb);
	if (yaml_get_integer(reader->document, map, "interface", false, 0, 31,
		&interface, reader->problems) == 0 &&
	    yaml_get(map, "usb") == NULL)
		yaml_problem(reader->document, yaml_get(map, "interface"),
		    reader->problems,
		    "interface stands alone; accepted is it beside usb");
	slot->interface = (uint32_t)interface;
}

static void
read_port(struct config_reader *reader, struct yaml_node *map,
    struct config_slot *slot)
{
	const struct yaml_node *lines;

	config_get_path(
	    reader, map, "port", false, slot->port, sizeof(slot->port));
	config_get_path(
	    reader, map, "lines", false, slot->lines, sizeof(slot->lines));
	lines = yaml_get(map, "lines");
	if (lines != NULL && yaml_get(map, "port") == NULL)
		yaml_problem(reader->document, lines, reader->problems,
		    "lines stands without port; accepted is the socket that "
		    "stands for DTR and RTS of a port without hardware");
}

static bool
slots_share_port(const struct config_slot *one, const struct config_slot *two)
{
	if (one->port[0] != '\0' || two->port[0] != '\0')
		return text_equal(one->port, two->port);
	return one->usb[0] != '\0' && text_equal(one->usb, two->usb) &&
	       one->interface == two->interface;
}

static void
check_duplicates(struct config_reader *reader, const struct yaml_node *node,
    const struct config_slot *slot)
{
	const struct station_config *config = reader->config;

	for (uint32_t at = 0; at < config->slot_count; at++) {
		const struct config_slot *other = &config->slots[at];

		if (slot->name[0] != '\0' &&
		    text_equal(other->name, slot->name))
			yaml_problem(reader->document, node, reader->problems,
			    "slot \"%s\" is there twice; accepted is one slot "
			    "a name",
			    slot->name);
		if (slots_share_port(other, slot))
			yaml_problem(reader->document, node, reader->problems,
			    "slot \"%s\" has the place of slot \"%s\" (%s); "
			    "accepted is one slot a usb position and "
			    "interface, or port",
			    slot->name, other->name,
			    slot->port[0] != '\0' ? slot->port : slot->usb);
	}
}

static void
read_slot(struct config_reader *reader, struct yaml_node *node)
{
	struct station_config *config = reader->config;
	struct config_slot slot = {.interface = 0};
	bool usb, port;

	if (node->kind != YAML_KIND_MAP) {
		yaml_problem(reader->document, node, reader->problems,
		    "a slot is not a map; accepted is a map with name, and "
		    "usb or port");
		return;
	}
	name_get(reader->document, node, "name", true, NAME_PLAIN, slot.name,
	    sizeof(slot.name), reader->problems);
	read_usb(reader, node, &slot);
	read_port(reader, node, &slot);
	usb = yaml_get(node, "usb") != NULL;
	port = yaml_get(node, "port") != NULL;
	if (usb == port)
		yaml_problem(reader->document, node, reader->problems,
		    "slot \"%s\" has %s; accepted is exactly one of usb and "
		    "port",
		    slot.name, usb ? "both usb and port" : "no place");
	yaml_map_finish(reader->document, node, reader->problems);
	check_duplicates(reader, node, &slot);
	if (config->slot_count < SLOTS_MAX)
		config->slots[config->slot_count++] = slot;
}

void
config_read_slots(struct config_reader *reader, struct yaml_node *root)
{
	struct yaml_node *list = yaml_get_list(
	    reader->document, root, "slots", true, reader->problems);

	if (list == NULL)
		return;
	if (list->children == 0 || list->children > SLOTS_MAX)
		yaml_problem(reader->document, list, reader->problems,
		    "there are %zu slots; accepted are 1 to %d", list->children,
		    SLOTS_MAX);
	for (struct yaml_node *node = list->child; node != NULL;
	     node = node->next)
		read_slot(reader, node);
}
