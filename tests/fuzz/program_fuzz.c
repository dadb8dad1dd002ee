/* A profile's YAML: what is accepted must be sound. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"
#include "device/esp_rom.h"
#include "device/inject.h"
#include "device/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
layouts_parse(struct yaml_document *document, struct yaml_node *root,
    struct problems *problems)
{
	struct inject_layout layout;
	struct yaml_node *list, *node;

	list = yaml_get_list(document, root, "inject", false, problems);
	for (node = list != NULL ? list->child : NULL; node != NULL;
	     node = node->next) {
		if (node->kind != YAML_KIND_MAP ||
		    inject_layout_parse(document, node, &layout, problems) != 0)
			continue;
		if (layout.size == 0 || layout.size % 4096 != 0 ||
		    layout.offset % 4096 != 0 ||
		    layout.entry_count > INJECT_ENTRIES_MAX)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct program program;
	struct yaml_document *document;
	struct esp_demands demands;
	struct problems problems;
	struct yaml_node *root, *flasher;

	problems_init(&problems);
	document = yaml_parse("p", (const char *)data, len, &problems);
	if (document == NULL)
		goto out;
	root = yaml_root(document);
	if (program_parse(document, root, &program, &problems) == 0 &&
	    !program_check(&program))
		abort();
	layouts_parse(document, root, &problems);
	flasher = yaml_get_map(document, root, "flasher", false, &problems);
	if (flasher != NULL &&
	    esp_demands_parse(document, flasher, &demands, &problems) == 0 &&
	    (demands.chips == 0 || demands.reset_count == 0 ||
		port_sequence_error(demands.run) != NULL))
		abort();
	yaml_close(document);
out:
	problems_free(&problems);
	return 0;
}
