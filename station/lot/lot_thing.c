/*
 * What the lot's things are called and what they carry, held against AWS's
 * rules: API reference of AWS IoT, CreateThing and AttributePayload; quotas
 * of AWS IoT device registry (3 attributes without a thing type, 50 with).
 */
#include <stdio.h>
#include <string.h>

#include "lot/lot_parts.h"
#include "lot/manifest.h"
#include "lot/name.h"

/* Attributes that the station itself gives to every thing. */
static const char *const own_attributes[] = {
    "serial", "lot", "station", "firmware"};
enum {
	OWN_ATTRIBUTES = sizeof(own_attributes) / sizeof(own_attributes[0])
};

static bool
is_own_attribute(const char *name)
{
	for (size_t at = 0; at < OWN_ATTRIBUTES; at++)
		if (text_equal(own_attributes[at], name))
			return true;
	return false;
}

/* A thing's name is for ever: two units must not come to share one. */
static void
check_rule(struct lot_reader *reader, struct yaml_node *map)
{
	const char *rule = reader->image->thing_rule;

	if (strstr(rule, "${serial}") == NULL && strstr(rule, "${mac}") == NULL)
		yaml_problem(reader->document, yaml_get(map, "name"),
		    reader->problems,
		    "name \"%s\" is the same for many units; accepted is a "
		    "rule with ${serial} or ${mac}",
		    rule);
}

static int
read_group(void *arg, struct yaml_node *node)
{
	struct lot_reader *reader = arg;
	struct lot_image *image = reader->image;

	if (!name_matches(NAME_THING, node->text, node->len)) {
		yaml_problem(reader->document, node, reader->problems,
		    "group \"%s\" is not accepted; accepted are %s", node->text,
		    name_accepted(NAME_THING));
		return -1;
	}
	for (uint32_t at = 0; at < image->group_count; at++)
		if (text_equal(image->groups[at], node->text)) {
			yaml_problem(reader->document, node, reader->problems,
			    "group \"%s\" is there twice; accepted is each "
			    "group once",
			    node->text);
			return -1;
		}
	if (image->group_count == GROUPS_MAX) {
		yaml_problem(reader->document, node, reader->problems,
		    "group \"%s\" is one too many; accepted are up to %d",
		    node->text, GROUPS_MAX);
		return -1;
	}
	text_copy(image->groups[image->group_count++], THING_LEN, node->text);
	return 0;
}

static void
read_attribute(struct lot_reader *reader, struct yaml_node *attributes,
    struct yaml_node *node)
{
	struct lot_image *image = reader->image;
	struct lot_attribute *attribute =
	    &image->attributes[image->attribute_count];

	/* A known key, whatever is wrong with it. */
	if (yaml_get_text(reader->document, attributes, node->key, true,
		attribute->rule, sizeof(attribute->rule),
		reader->problems) != 0)
		return;
	if (!name_matches(NAME_ATTRIBUTE, node->key, strlen(node->key))) {
		yaml_problem(reader->document, node, reader->problems,
		    "attribute name \"%s\" is not accepted; accepted are %s",
		    node->key, name_accepted(NAME_ATTRIBUTE));
		return;
	}
	if (is_own_attribute(node->key)) {
		yaml_problem(reader->document, node, reader->problems,
		    "attribute %s is the station's own; accepted are names "
		    "other than serial, lot, station and firmware",
		    node->key);
		return;
	}
	text_copy(attribute->name, sizeof(attribute->name), node->key);
	image->attribute_count++;
}

static void
read_attributes(struct lot_reader *reader, struct yaml_node *map)
{
	enum {
		OPEN_MAX = ATTRIBUTES_MAX - OWN_ATTRIBUTES
	};
	struct yaml_node *attributes = yaml_get_map(
	    reader->document, map, "attributes", false, reader->problems);

	if (attributes == NULL)
		return;
	if (attributes->children > OPEN_MAX) {
		yaml_problem(reader->document, attributes, reader->problems,
		    "there are %zu attributes; accepted are up to %d, beside "
		    "the station's own serial, lot, station and firmware",
		    attributes->children, OPEN_MAX);
		return;
	}
	for (struct yaml_node *node = attributes->child; node != NULL;
	     node = node->next)
		read_attribute(reader, attributes, node);
}

/* The station makes the thing itself, before or after its certificate. */
static bool
makes_thing(const struct lot_image *image)
{
	switch ((enum pattern)image->pattern) {
	case PATTERN_CLAIM:
	case PATTERN_TRUSTED_USER:
	case PATTERN_CSR:
	case PATTERN_READBACK:
		return true;
	case PATTERN_JITR:
		return image->lambda_activates == 0;
	default:
		return false;
	}
}

/* Who makes the thing says what it is. */
static void
refuse_thing(struct lot_reader *reader, struct yaml_node *map)
{
	static const char *const keys[] = {"groups", "policy", "attributes"};
	const struct lot_image *image = reader->image;
	bool lambda = image->pattern == PATTERN_JITR;

	for (size_t at = 0; at < sizeof(keys) / sizeof(keys[0]); at++)
		if (yaml_get(map, keys[at]) != NULL)
			yaml_problem(reader->document, yaml_get(map, keys[at]),
			    reader->problems,
			    "%s does not go with pattern %s%s, where %s makes "
			    "the thing; accepted is it %s",
			    keys[at],
			    pattern_name((enum pattern)image->pattern),
			    lambda ? ", activation lambda" : "",
			    lambda ? "your function" : "the template",
			    lambda ? "with activation station"
				   : "in the template");
}

/* A claim unit's policy comes with the fleet template. */
static void
read_policy(struct lot_reader *reader, struct yaml_node *map)
{
	struct lot_image *image = reader->image;
	bool claims = image->pattern == PATTERN_CLAIM ||
		      image->pattern == PATTERN_TRUSTED_USER;

	if (!claims)
		name_get(reader->document, map, "policy", true, NAME_POLICY,
		    image->policy, sizeof(image->policy), reader->problems);
	else if (yaml_get(map, "policy") != NULL)
		yaml_problem(reader->document, yaml_get(map, "policy"),
		    reader->problems,
		    "policy does not go with pattern %s, where the template "
		    "names it; accepted is it with pattern csr, "
		    "certificate-readback and jitr",
		    pattern_name((enum pattern)image->pattern));
}

void
lot_read_thing(struct lot_reader *reader, struct yaml_node *root)
{
	struct lot_image *image = reader->image;
	int typed;
	struct yaml_node *map = yaml_get_map(
	    reader->document, root, "thing", true, reader->problems);

	if (map == NULL)
		return;
	if (yaml_get_text(reader->document, map, "name", true,
		image->thing_rule, sizeof(image->thing_rule),
		reader->problems) == 0)
		check_rule(reader, map);
	if (!reader->pattern_known)
		return;
	typed = name_get(reader->document, map, "type", false, NAME_THING,
	    image->thing_type, sizeof(image->thing_type), reader->problems);
	if (!makes_thing(image)) {
		refuse_thing(reader, map);
		yaml_map_finish(reader->document, map, reader->problems);
		return;
	}
	if (typed == 1)
		yaml_problem(reader->document, map, reader->problems,
		    "type is missing; a thing without one holds 3 attributes "
		    "and the station gives it %d of its own; accepted are %s",
		    OWN_ATTRIBUTES, name_accepted(NAME_THING));
	yaml_each_text(reader->document, map, "groups", false, read_group,
	    reader, reader->problems);
	read_policy(reader, map);
	read_attributes(reader, map);
	yaml_map_finish(reader->document, map, reader->problems);
}
