/*
 * What a unit trusts, what it identifies itself with until it has a
 * certificate of its own, and the network that it is lent for that.
 */
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "lot/lot_parts.h"
#include "lot/name.h"
#include "lot/source.h"
#include "pki/certificate.h"

static void
read_root_ca(struct lot_reader *reader, struct yaml_node *root)
{
	char path[PATH_LEN];
	struct fault fault;
	struct lot_image *image = reader->image;

	fault_clear(&fault);
	if (lot_get_file(reader, root, "root_ca", true, FROZEN_ROOT_CA, path,
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
	if (lot_get_file(reader, map, "certificate", true, FROZEN_CERTIFICATE,
		path, image->claim_certificate,
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

/* Some units need a second attempt: a fifth more than the quantity. */
static uint32_t
limit_default(uint32_t quantity)
{
	return quantity + (quantity + 4) / 5;
}

static void
read_limit(struct lot_reader *reader, struct yaml_node *map)
{
	struct lot_image *image = reader->image;
	int64_t limit = limit_default(image->quantity);

	if (image->ending == ENDING_PROXY) {
		if (yaml_get(map, "limit") != NULL)
			yaml_problem(reader->document, yaml_get(map, "limit"),
			    reader->problems,
			    "limit does not go with ending proxy, where no "
			    "unit is given the claim key; accepted is it with "
			    "endings field and bench");
		return;
	}
	yaml_get_integer(reader->document, map, "limit", false, 1, INT32_MAX,
	    &limit, reader->problems);
	image->claim_limit = (uint32_t)limit;
	if (limit < image->quantity)
		yaml_problem(reader->document, yaml_get(map, "limit"),
		    reader->problems,
		    "limit %lld is less than quantity %u; accepted are %u "
		    "and more",
		    (long long)limit, image->quantity, image->quantity);
}

static void
read_after(struct lot_reader *reader, struct yaml_node *map)
{
	static const char *const afters[] = {"keep", "erase", NULL};
	int after = 0;
	const struct yaml_node *node = yaml_get(map, "after");

	if (node != NULL && reader->image->ending != ENDING_BENCH) {
		yaml_problem(reader->document, node, reader->problems,
		    "after does not go with ending %s; accepted is it with "
		    "ending bench, after which the claim is needed no more",
		    ending_name((enum ending)reader->image->ending));
		return;
	}
	yaml_get_choice(reader->document, map, "after", false, afters, &after,
	    reader->problems);
	reader->image->claim_erase = (uint32_t)after;
}

static void
read_first_article(struct lot_reader *reader, struct yaml_node *map)
{
	struct lot_image *image = reader->image;
	int64_t count = 0;
	int64_t most = image->quantity < FIRST_ARTICLE_MAX ? image->quantity
							   : FIRST_ARTICLE_MAX;
	const struct yaml_node *node = yaml_get(map, "first_article");

	if (node != NULL && image->ending != ENDING_FIELD) {
		yaml_problem(reader->document, node, reader->problems,
		    "first_article does not go with ending %s, where each "
		    "unit's certificate is seen; accepted is it with ending "
		    "field",
		    ending_name((enum ending)image->ending));
		return;
	}
	yaml_get_integer(reader->document, map, "first_article", false, 0, most,
	    &count, reader->problems);
	image->first_article = (uint32_t)count;
}

/* A claim that AWS makes for each unit has nothing but its end. */
static void
refuse_own_claim(struct lot_reader *reader, struct yaml_node *map)
{
	static const char *const keys[] = {
	    "certificate", "key", "limit", "first_article"};

	for (size_t at = 0; at < sizeof(keys) / sizeof(keys[0]); at++)
		if (yaml_get(map, keys[at]) != NULL)
			yaml_problem(reader->document, yaml_get(map, keys[at]),
			    reader->problems,
			    "%s does not go with pattern trusted-user, for "
			    "which AWS IoT makes a claim for each unit; "
			    "accepted is it with pattern claim",
			    keys[at]);
}

static void
read_claim(struct lot_reader *reader, struct yaml_node *root)
{
	struct lot_image *image = reader->image;
	struct yaml_node *map;

	if (!lot_key_belongs(reader, root, "claim"))
		return;
	map = yaml_get_map(reader->document, root, "claim",
	    image->pattern == PATTERN_CLAIM, reader->problems);
	if (map == NULL)
		return;
	if (image->pattern == PATTERN_CLAIM) {
		read_certificate(reader, map);
		(void)lot_get_secret(reader, map, "key", true,
		    "the claim's private key", image->claim_key_path);
		read_limit(reader, map);
		read_first_article(reader, map);
	} else {
		refuse_own_claim(reader, map);
	}
	read_after(reader, map);
	if (yaml_get(map, "template") != NULL)
		yaml_problem(reader->document, yaml_get(map, "template"),
		    reader->problems,
		    "template does not belong to claim; accepted is "
		    "template: {name: NAME} beside it");
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
read_wifi(struct lot_reader *reader, struct yaml_node *root)
{
	struct lot_image *image = reader->image;
	struct yaml_node *map;

	if (!lot_key_belongs(reader, root, "wifi"))
		return;
	map = yaml_get_map(
	    reader->document, root, "wifi", false, reader->problems);
	if (map == NULL)
		return;
	/* IEEE 802.11: an SSID has up to 32 octets. */
	if (yaml_get_text(reader->document, map, "ssid", true, image->wifi_ssid,
		sizeof(image->wifi_ssid), reader->problems) == 0 &&
	    image->wifi_ssid[0] == '\0')
		yaml_problem(reader->document, yaml_get(map, "ssid"),
		    reader->problems,
		    "ssid is empty; accepted are 1 to 32 bytes");
	(void)lot_get_secret(reader, map, "password_file", true,
	    "the network's password", image->wifi_password_path);
	yaml_map_finish(reader->document, map, reader->problems);
}

void
lot_read_credentials(struct lot_reader *reader, struct yaml_node *root)
{
	read_root_ca(reader, root);
	read_claim(reader, root);
	read_wifi(reader, root);
}
