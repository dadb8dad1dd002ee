/* Any bytes as a YAML file: the tree, its positions and all getters. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
take_text(void *arg, struct yaml_node *node)
{
	size_t *sum = arg;

	*sum += strlen(node->text);
	return 0;
}

/* Asks for every key in every way, as a loader of lots would. */
static void
ask(struct yaml_document *document, struct yaml_node *map, const char *key,
    struct problems *problems)
{
	static const char *const names[] = {"one", "two", NULL};
	char text[16];
	int64_t number;
	size_t sum = 0;
	bool value;
	int choice;

	(void)yaml_get_text(
	    document, map, key, true, text, sizeof(text), problems);
	(void)yaml_get_integer(
	    document, map, key, true, -5, 1000, &number, problems);
	(void)yaml_get_milli(
	    document, map, key, true, 0, 100000, &number, problems);
	(void)yaml_get_boolean(document, map, key, true, &value, problems);
	(void)yaml_get_span(document, map, key, true, &number, problems);
	(void)yaml_get_choice(
	    document, map, key, true, names, &choice, problems);
	(void)yaml_each_text(
	    document, map, key, true, take_text, &sum, problems);
	(void)yaml_get_list(document, map, key, true, problems);
	(void)yaml_get_map(document, map, key, true, problems);
}

static void
walk(struct yaml_document *document, struct yaml_node *node,
    struct problems *problems)
{
	struct yaml_node *child;
	size_t count = 0;

	if (node->line == 0 || node->column == 0)
		abort();
	for (child = node->child; child != NULL; child = child->next) {
		count++;
		if ((child->key != NULL) != (node->kind == YAML_KIND_MAP))
			abort();
		/* Each key leads to its own value: none is there twice. */
		if (child->key != NULL && count < 8) {
			if (yaml_get(node, child->key) != child)
				abort();
			ask(document, node, child->key, problems);
		}
		walk(document, child, problems);
	}
	if (count != node->children)
		abort();
	if (node->kind == YAML_KIND_SCALAR && strlen(node->text) != node->len)
		abort();
	yaml_map_finish(document, node, problems);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct problems problems;
	struct yaml_document *document;

	problems_init(&problems);
	document = yaml_parse("fuzz", (const char *)data, len, &problems);
	if ((document == NULL) != (problems.count > 0))
		abort();
	if (document != NULL)
		walk(document, yaml_root(document), &problems);
	yaml_close(document);
	problems_free(&problems);
	return 0;
}
