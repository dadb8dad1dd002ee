/*
 * What a unit trusts and, for pattern claim, what it identifies itself with
 * until it has a certificate of its own.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "lot/lot_parts.h"
#include "lot/name.h"
#include "lot/source.h"
#include "pki/certificate.h"

/* Reads the file at map[key] into `to` and notes it for the frozen copy. */
static int
read_pem(struct lot_reader *reader, struct yaml_node *map, const char *key,
    const char *frozen_name, char *path, char *to, size_t size)
{
	char *data = NULL;
	size_t len = 0;
	struct digest digest;

	if (lot_get_path(reader, map, key, true, frozen_name, path, PATH_LEN) !=
		0 ||
	    source_read(
		path, size - 1, &data, &len, &digest, reader->problems) != 0)
		return -1;
	lot_bundle_add(reader->bundle, path, frozen_name, &digest);
	memcpy(to, data, len);
	to[len] = '\0';
	free(data);
	return 0;
}

static void
read_root_ca(struct lot_reader *reader, struct yaml_node *root)
{
	char path[PATH_LEN];
	struct fault fault;
	struct lot_image *image = reader->image;

	fault_clear(&fault);
	if (read_pem(reader, root, "root_ca", FROZEN_ROOT_CA, path,
		image->root_ca, sizeof(image->root_ca)) != 0)
		return;
	if (certificate_check_authorities(image->root_ca,
		strlen(image->root_ca), clock_wall_ms(), CAUSE_BAD_LOT,
		&fault) != 0)
		problems_add(reader->problems, path, 1, 1,
		    "%s; accepted are PEM certificates of authorities that "
		    "are valid now",
		    fault.text);
}

static void
read_certificate(struct lot_reader *reader, struct yaml_node *map)
{
	char path[PATH_LEN];
	struct certificate certificate;
	struct fault fault;
	struct lot_image *image = reader->image;

	fault_clear(&fault);
	if (read_pem(reader, map, "certificate", FROZEN_CERTIFICATE, path,
		image->claim_certificate,
		sizeof(image->claim_certificate)) != 0)
		return;
	if (certificate_parse(image->claim_certificate,
		strlen(image->claim_certificate), CAUSE_BAD_LOT, &certificate,
		&fault) != 0 ||
	    certificate_check_time(
		&certificate, clock_wall_ms(), CAUSE_BAD_LOT, &fault) != 0)
		problems_add(reader->problems, path, 1, 1,
		    "%s; accepted is one PEM certificate that is valid now",
		    fault.text);
}

/* The key itself is the vault's: only its place is looked at. */
static void
read_key(struct lot_reader *reader, struct yaml_node *map)
{
	char name[PATH_LEN];
	struct stat status;
	struct lot_image *image = reader->image;

	if (yaml_get_text(reader->document, map, "key", true, name,
		sizeof(name), reader->problems) != 0)
		return;
	if (file_join(image->claim_key_path, sizeof(image->claim_key_path),
		reader->bundle->origin, name) != 0) {
		yaml_problem(reader->document, yaml_get(map, "key"),
		    reader->problems,
		    "key \"%s\" is too long with the lot's folder; accepted "
		    "are %d bytes",
		    name, PATH_LEN - 1);
		return;
	}
	if (stat(image->claim_key_path, &status) != 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			yaml_problem(reader->document, yaml_get(map, "key"),
			    reader->problems,
			    "key: there is no %s; accepted is the file of the "
			    "claim's private key",
			    image->claim_key_path);
		return;
	}
	if (!S_ISREG(status.st_mode))
		yaml_problem(reader->document, yaml_get(map, "key"),
		    reader->problems,
		    "key: %s is not a regular file; accepted is the file of "
		    "the claim's private key",
		    image->claim_key_path);
}

/* Some units need a second attempt: a fifth more than the quantity. */
static uint32_t
limit_default(uint32_t quantity)
{
	return quantity + (quantity + 4) / 5;
}

void
lot_read_credentials(struct lot_reader *reader, struct yaml_node *root)
{
	int64_t limit;
	struct lot_image *image = reader->image;
	struct yaml_node *map = yaml_get_map(reader->document, root, "claim",
	    image->pattern == PATTERN_CLAIM, reader->problems);

	read_root_ca(reader, root);
	if (map == NULL)
		return;
	if (image->pattern != PATTERN_CLAIM) {
		yaml_problem(reader->document, map, reader->problems,
		    "claim does not go with pattern %s; accepted is it with "
		    "pattern claim",
		    pattern_name((enum pattern)image->pattern));
		return;
	}
	read_certificate(reader, map);
	read_key(reader, map);
	name_get(reader->document, map, "template", true, NAME_TEMPLATE,
	    image->template_name, sizeof(image->template_name),
	    reader->problems);
	limit = limit_default(image->quantity);
	yaml_get_integer(reader->document, map, "limit", false, 1, INT32_MAX,
	    &limit, reader->problems);
	image->claim_limit = (uint32_t)limit;
	if (limit < image->quantity)
		yaml_problem(reader->document, yaml_get(map, "limit"),
		    reader->problems,
		    "limit %lld is less than quantity %u; accepted are %u "
		    "and more",
		    (long long)limit, image->quantity, image->quantity);
	yaml_map_finish(reader->document, map, reader->problems);
}
