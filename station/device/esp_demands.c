/* A profile's demands on the unit, from YAML. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "device/esp_rom.h"

/* Sources of the sequences: esptool reset.py, as its string language. */
static const struct {
	const char *name;
	const char *sequence;
} reset_names[] = {
    {"unix-tight", "U0,0|U1,1|U0,1|W0.1|U1,0|W0.05|U0,0|D0"},
    {"classic", "D0|R1|W0.1|D1|R0|W0.05|D0"},
    {"unix-tight-slow", "U0,0|U1,1|U0,1|W0.1|U1,0|W0.55|U0,0|D0"},
    {"classic-slow", "D0|R1|W0.1|D1|R0|W0.55|D0"},
};
enum {
	RESET_NAMES = sizeof(reset_names) / sizeof(reset_names[0])
};
#define RUN_SEQUENCE "D0|R1|W0.1|R0"

struct demands_reader {
	struct yaml_document *document;
	struct problems *problems;
	struct esp_demands *demands;
	size_t before; /* problems */
};

static void
chip_list(uint32_t chips, char *to, size_t size)
{
	enum esp_chip chip;
	size_t at = 0;
	int len;

	if (size == 0)
		return;
	to[0] = '\0';
	for (chip = ESP_CHIP_ESP32; chip < ESP_CHIP_COUNT; chip++) {
		if ((chips & 1U << chip) == 0)
			continue;
		len = snprintf(to + at, size - at, "%s%s", at > 0 ? ", " : "",
		    esp_chip_name(chip));
		if (len < 0 || (size_t)len >= size - at)
			return;
		at += (size_t)len;
	}
}

void
esp_demands_chips(const struct esp_demands *demands, char *to, size_t size)
{
	chip_list(demands->chips, to, size);
}

static int
chip_take(void *arg, struct yaml_node *node)
{
	struct demands_reader *reader = arg;
	enum esp_chip chip;
	char known[160];

	chip = node->kind == YAML_KIND_SCALAR ? esp_chip_by_name(node->text)
					      : ESP_CHIP_NONE;
	if (chip == ESP_CHIP_NONE) {
		chip_list(UINT32_MAX, known, sizeof(known));
		yaml_problem(reader->document, node, reader->problems,
		    "unknown chip; accepted are %s", known);
		return -1;
	}
	reader->demands->chips |= 1U << chip;
	return 0;
}

static int
baud_take(void *arg, struct yaml_node *node)
{
	enum {
		BAUD_MOST = 4000000
	};
	struct demands_reader *reader = arg;
	struct esp_demands *demands = reader->demands;
	unsigned long baud;
	char *end;

	baud = strtoul(node->text, &end, 10);
	if (end == node->text || *end != '\0' || baud < PORT_BAUD_START ||
	    baud > BAUD_MOST) {
		yaml_problem(reader->document, node, reader->problems,
		    "bad rate; accepted are %d to %d", PORT_BAUD_START,
		    BAUD_MOST);
		return -1;
	}
	if (demands->baud_count == ESP_BAUDS_MAX) {
		yaml_problem(reader->document, node, reader->problems,
		    "too many rates; accepted are %d", ESP_BAUDS_MAX);
		return -1;
	}
	if (demands->baud_count > 0 &&
	    demands->bauds[demands->baud_count - 1] <= baud) {
		yaml_problem(reader->document, node, reader->problems,
		    "rates are listed fastest first");
		return -1;
	}
	demands->bauds[demands->baud_count++] = (uint32_t)baud;
	return 0;
}

static int
reset_take(void *arg, struct yaml_node *node)
{
	struct demands_reader *reader = arg;
	struct esp_demands *demands = reader->demands;
	const char *sequence = node->text, *why;
	size_t i;

	for (i = 0; i < RESET_NAMES; i++)
		if (strcmp(reset_names[i].name, node->text) == 0)
			sequence = reset_names[i].sequence;
	why = port_sequence_error(sequence);
	if (why != NULL) {
		yaml_problem(reader->document, node, reader->problems,
		    "bad reset: %s; accepted are unix-tight, classic, "
		    "unix-tight-slow, classic-slow, or a sequence such as "
		    "D0|R1|W0.1|D1|R0|W0.05|D0",
		    why);
		return -1;
	}
	if (demands->reset_count == ESP_RESETS_MAX) {
		yaml_problem(reader->document, node, reader->problems,
		    "too many resets; accepted are %d", ESP_RESETS_MAX);
		return -1;
	}
	return text_copy(demands->resets[demands->reset_count++],
	    PORT_SEQUENCE_LEN, sequence);
}

static void
state_take(struct demands_reader *reader, struct yaml_node *map,
    const char *key, uint32_t *state)
{
	static const char *const names[] = {"any", "off", "on", NULL};
	int choice = (int)*state;

	if (yaml_get_choice(reader->document, map, key, false, names, &choice,
		reader->problems) == 0)
		*state = (uint32_t)choice;
}

static void
run_take(struct demands_reader *reader, struct yaml_node *map)
{
	struct esp_demands *demands = reader->demands;
	const char *why;

	(void)text_copy(demands->run, sizeof(demands->run), RUN_SEQUENCE);
	if (yaml_get_text(reader->document, map, "run", false, demands->run,
		sizeof(demands->run), reader->problems) != 0)
		return;
	why = port_sequence_error(demands->run);
	if (why != NULL)
		yaml_problem(reader->document, yaml_get(map, "run"),
		    reader->problems, "bad line sequence: %s", why);
}

/* Adapters differ in what they carry: the ladder finds out. */
static void
bauds_default(struct esp_demands *demands)
{
	static const uint32_t bauds[] = {921600, 460800, 230400};

	if (demands->baud_count > 0)
		return;
	memcpy(demands->bauds, bauds, sizeof(bauds));
	demands->baud_count = sizeof(bauds) / sizeof(bauds[0]);
}

static void
resets_default(struct esp_demands *demands)
{
	size_t i;

	if (demands->reset_count > 0)
		return;
	for (i = 0; i < RESET_NAMES; i++)
		(void)text_copy(demands->resets[demands->reset_count++],
		    PORT_SEQUENCE_LEN, reset_names[i].sequence);
}

int
esp_demands_parse(struct yaml_document *document, struct yaml_node *map,
    struct esp_demands *demands, struct problems *problems)
{
	struct demands_reader reader = {
	    document, problems, demands, problems->count};
	int64_t flash_mib = 0;
	bool compress = true;

	memset(demands, 0, sizeof(*demands));
	(void)yaml_get(map, "kind");
	(void)yaml_each_text(
	    document, map, "chip", true, chip_take, &reader, problems);
	(void)yaml_get_integer(
	    document, map, "flash_mib", false, 1, 256, &flash_mib, problems);
	demands->flash_mib = (uint32_t)flash_mib;
	(void)yaml_each_text(
	    document, map, "baud", false, baud_take, &reader, problems);
	(void)yaml_each_text(
	    document, map, "reset", false, reset_take, &reader, problems);
	bauds_default(demands);
	resets_default(demands);
	run_take(&reader, map);
	state_take(&reader, map, "secure_boot", &demands->secure_boot);
	state_take(
	    &reader, map, "flash_encryption", &demands->flash_encryption);
	state_take(&reader, map, "secure_download", &demands->secure_download);
	(void)yaml_get_boolean(
	    document, map, "compress", false, &compress, problems);
	demands->plain = compress ? 0 : 1;
	yaml_map_finish(document, map, problems);
	return problems->count == reader.before ? 0 : -1;
}
