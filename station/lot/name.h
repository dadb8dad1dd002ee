/*
 * The texts that stand in configuration, lots and manifests, and what each
 * kind accepts: one table, so that the error says exactly what the check
 * does. AWS's kinds are those of the API reference of AWS IoT (CreateThing,
 * CreateThingType, CreatePolicy, CreateProvisioningTemplate: Pattern and
 * Length Constraints).
 */
#ifndef LOT_NAME_H
#define LOT_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/yaml.h"

enum name_kind {
	NAME_PLAIN,   /* station, site, lot, slot: also a file name */
	NAME_LABEL,   /* product, part number: a thing attribute's value */
	NAME_SERIAL,  /* of a unit; a file name and a certificate's CN */
	NAME_COLUMN,  /* of a manifest */
	NAME_VERSION, /* of a firmware; esp_app_desc holds 31 characters */
	NAME_THING,   /* also thing types and thing groups */
	NAME_POLICY,
	NAME_ATTRIBUTE,
	NAME_ATTRIBUTE_VALUE,
	NAME_TEMPLATE,
	NAME_ACCOUNT, /* twelve digits */
	NAME_REGION,
	NAME_HOST,   /* of an endpoint, with an optional port */
	NAME_BUCKET, /* of S3 */
	NAME_PREFIX, /* of an object's key in S3 */
	NAME_KIND_COUNT
};

bool name_matches(enum name_kind, const char *text, size_t len);
/* "1 to 128 of A-Z a-z 0-9 : _ -"; static. */
const char *name_accepted(enum name_kind);

/*
 * A text of that kind from a map; results as of yaml_get_text: 0 good, 1
 * absent, -1 reported.
 */
int name_get(struct yaml_document *, struct yaml_node *map, const char *key,
    bool required, enum name_kind, char *to, size_t size, struct problems *);

#endif
