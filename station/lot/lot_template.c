/* The lot's provisioning template, and what its parameters are given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lot/lot_parts.h"
#include "lot/name.h"
#include "lot/source.h"

enum {
	/* What is read at all; what AWS takes is template_parse's to say. */
	TEMPLATE_FILE_MAX = 64 * 1024
};

/* The station sends the template itself with its calls. */
static bool
is_sent(const struct lot_image *image)
{
	return image->pattern == PATTERN_REGISTER_THING ||
	       image->pattern == PATTERN_BULK;
}

/* ---- parameters ---- */

/* The certificate comes by what the template's form says, and no other. */
static void
check_carriers(
    struct lot_reader *reader, const struct yaml_node *node, const char *rule)
{
	static const struct {
		const char *name;
		enum certificate_form form;
	} carriers[] = {
	    {"${csr}", FORM_CSR},
	    {"${certificate_id}", FORM_ID},
	    {"${certificate_pem}", FORM_PEM},
	    {"${ca_certificate_pem}", FORM_PEM},
	};
	const struct lot_image *image = reader->image;

	for (size_t at = 0; at < sizeof(carriers) / sizeof(carriers[0]); at++) {
		if (strstr(rule, carriers[at].name) == NULL ||
		    (is_sent(image) && image->form == carriers[at].form))
			continue;
		if (!is_sent(image))
			yaml_problem(reader->document, node, reader->problems,
			    "%s does not go with pattern %s, for which AWS IoT "
			    "itself knows the certificate; accepted is it with "
			    "pattern register-thing or bulk",
			    carriers[at].name,
			    pattern_name((enum pattern)image->pattern));
		else if (reader->template != NULL)
			yaml_problem(reader->document, node, reader->problems,
			    "%s does not go with the certificate's form in the "
			    "template; accepted is %s",
			    carriers[at].name,
			    image->form == FORM_CSR  ? "${csr}"
			    : image->form == FORM_ID ? "${certificate_id}"
						     : "${certificate_pem}");
	}
}

static void
read_parameter(struct lot_reader *reader, struct yaml_node *parameters,
    struct yaml_node *node)
{
	struct lot_image *image = reader->image;
	struct lot_parameter *parameter =
	    &image->parameters[image->parameter_count];

	if (yaml_get_text(reader->document, parameters, node->key, true,
		parameter->rule, sizeof(parameter->rule),
		reader->problems) != 0)
		return;
	if (text_copy(parameter->name, sizeof(parameter->name), node->key) !=
	    0) {
		yaml_problem(reader->document, node, reader->problems,
		    "parameter \"%.64s...\" is too long; accepted are %zu "
		    "bytes",
		    node->key, sizeof(parameter->name) - 1);
		return;
	}
	check_carriers(reader, node, parameter->rule);
	image->parameter_count++;
}

static void
read_parameters(struct lot_reader *reader, struct yaml_node *map)
{
	struct yaml_node *parameters;

	if (reader->image->pattern == PATTERN_JITP) {
		if (yaml_get(map, "parameters") != NULL)
			yaml_problem(reader->document,
			    yaml_get(map, "parameters"), reader->problems,
			    "parameters do not go with pattern jitp, for which "
			    "AWS IoT takes them from the certificate; accepted "
			    "is ca.subject");
		return;
	}
	parameters = yaml_get_map(
	    reader->document, map, "parameters", false, reader->problems);
	if (parameters == NULL)
		return;
	if (parameters->children > PARAMETERS_MAX) {
		yaml_problem(reader->document, parameters, reader->problems,
		    "there are %zu parameters; accepted are up to %d",
		    parameters->children, PARAMETERS_MAX);
		return;
	}
	for (struct yaml_node *node = parameters->child; node != NULL;
	     node = node->next)
		read_parameter(reader, parameters, node);
}

/* ---- the template ---- */

static void
read_name(struct lot_reader *reader, struct yaml_node *map)
{
	struct lot_image *image = reader->image;

	if (!is_sent(image))
		name_get(reader->document, map, "name", true, NAME_TEMPLATE,
		    image->template_name, sizeof(image->template_name),
		    reader->problems);
	else if (yaml_get(map, "name") != NULL)
		yaml_problem(reader->document, yaml_get(map, "name"),
		    reader->problems,
		    "name does not go with pattern %s, whose calls carry the "
		    "template itself; accepted is file",
		    pattern_name((enum pattern)image->pattern));
}

static void
read_file(struct lot_reader *reader, struct yaml_node *map)
{
	char path[PATH_LEN];
	char *data = NULL;
	size_t len = 0;
	struct digest digest;
	struct lot_image *image = reader->image;

	if (lot_get_path(reader, map, "file", is_sent(image), FROZEN_TEMPLATE,
		path, sizeof(path)) != 0 ||
	    source_read(path, TEMPLATE_FILE_MAX, &data, &len, &digest,
		reader->problems) != 0)
		return;
	lot_bundle_add(reader->bundle, path, FROZEN_TEMPLATE, &digest);
	reader->template = template_parse(path, data, len, reader->problems);
	if (reader->template != NULL) {
		memcpy(image->template_body, data, len);
		image->template_body[len] = '\0';
		if (is_sent(image))
			image->form = template_facts(reader->template)->form;
	}
	free(data);
}

/*
 * What the template says of every unit's thing alike stands in the image as
 * if the lot said it: for the look at what the account has of it.
 */
static void
take_literals(struct lot_reader *reader)
{
	struct lot_image *image = reader->image;
	struct template_thing thing;

	template_literals(reader->template, &thing);
	/* A type that the lot has too must be the same: template_match.c. */
	if (image->thing_type[0] == '\0')
		text_copy(
		    image->thing_type, sizeof(image->thing_type), thing.type);
	text_copy(image->policy, sizeof(image->policy), thing.policy);
	image->group_count = thing.group_count;
	memcpy(image->groups, thing.groups, sizeof(image->groups));
}

void
lot_read_template(struct lot_reader *reader, struct yaml_node *root)
{
	struct lot_image *image = reader->image;
	struct yaml_node *map;

	if (!lot_key_belongs(reader, root, "template"))
		return;
	map = yaml_get_map(
	    reader->document, root, "template", true, reader->problems);
	if (map == NULL)
		return;
	read_name(reader, map);
	read_file(reader, map);
	if (image->pattern == PATTERN_CLAIM ||
	    image->pattern == PATTERN_TRUSTED_USER)
		lot_read_hook(reader, map);
	read_parameters(reader, map);
	yaml_map_finish(reader->document, map, reader->problems);
	if (reader->template != NULL &&
	    (is_sent(image) || image->pattern == PATTERN_JITP))
		take_literals(reader);
	/* Nothing in the template would say where the CA belongs. */
	if (image->pattern == PATTERN_REGISTER_THING &&
	    image->readback_ca[0] != '\0' && reader->template != NULL &&
	    template_facts(reader->template)->authority == NULL)
		yaml_problem(reader->document, yaml_get(root, "readback"),
		    reader->problems,
		    "readback is not used: the template has no "
		    "CACertificatePem; accepted is it with a template that "
		    "has");
}

void
lot_check_template(struct lot_reader *reader)
{
	if (reader->template != NULL)
		(void)template_matches_lot(
		    reader->template, reader->image, reader->problems);
}
