/*
 * The authorities that stand behind units' certificates: the lot's own CA,
 * whose key signs them here, and the one that a chip maker signed with.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "lot/lot_parts.h"
#include "lot/name.h"
#include "pki/certificate.h"
#include "pki/token_uri.h"

enum {
	VALID_DAYS = 3650,
	VALID_DAYS_MAX = 36500,
	DAY_MS = 86400000,
};

#define PKCS11_SCHEME "pkcs11:"

/* An authority's certificate of the lot; -1 when it was reported. */
static int
read_authority(struct lot_reader *reader, struct yaml_node *map,
    const char *key, const char *frozen_name, char path[PATH_LEN],
    char to[CERTIFICATE_LEN], struct certificate *certificate)
{
	struct fault fault;

	fault_clear(&fault);
	if (lot_get_file(reader, map, key, true, frozen_name, path, to,
		CERTIFICATE_LEN) != 0)
		return -1;
	if (certificate_parse(
		to, strlen(to), CAUSE_BAD_LOT, certificate, &fault) != 0) {
		problems_add(reader->problems, path, 1, 1,
		    "%s; accepted is one PEM certificate of an authority",
		    fault.text);
		return -1;
	}
	if (certificate->authority)
		return 0;
	problems_add(reader->problems, path, 1, 1,
	    "the certificate may not sign others; accepted is one of an "
	    "authority (CA:TRUE)");
	return -1;
}

/* ---- the key ---- */

/*
 * RFC 7512: a token by name and in it an object. What carries a PIN, or says
 * where one is, stands in the lot and not in the URI.
 */
static void
check_uri(struct lot_reader *reader, struct yaml_node *map)
{
	const char *uri = reader->image->ca.key;
	const struct yaml_node *node = yaml_get(map, "key");
	struct token_uri parsed;
	const char *wrong;

	wrong = token_uri_parse(uri, &parsed);
	if (wrong != NULL)
		yaml_problem(reader->document, node, reader->problems,
		    "key \"%.200s\": the URI %s; accepted is "
		    "pkcs11:token=TOKEN;object=OBJECT, or id= for object=, "
		    "and the PIN in the file of pin_file",
		    uri, wrong);
	if (reader->config->pkcs11_module[0] == '\0')
		yaml_problem(reader->document, node, reader->problems,
		    "key is in a PKCS#11 token and %s has no pkcs11; accepted "
		    "is a station with pkcs11: {module: PATH}",
		    reader->config->file);
}

static void
read_key(struct lot_reader *reader, struct yaml_node *map)
{
	struct lot_ca *ca = &reader->image->ca;
	char name[PATH_LEN];
	const struct yaml_node *passphrase = yaml_get(map, "passphrase_file");
	const struct yaml_node *pin = yaml_get(map, "pin_file");
	bool token;

	if (yaml_get_text(reader->document, map, "key", true, name,
		sizeof(name), reader->problems) != 0)
		return;
	token = strncmp(name, PKCS11_SCHEME, strlen(PKCS11_SCHEME)) == 0;
	if ((token ? passphrase : pin) != NULL)
		yaml_problem(reader->document, token ? passphrase : pin,
		    reader->problems, "%s",
		    token ? "passphrase_file does not go with a key in a "
			    "token; accepted is pin_file"
			  : "pin_file does not go with a key in a file; "
			    "accepted is passphrase_file");
	if (token) {
		text_copy(ca->key, sizeof(ca->key), name);
		check_uri(reader, map);
		(void)lot_get_secret(reader, map, "pin_file", true,
		    "the token's PIN", ca->secret_path);
		return;
	}
	(void)lot_get_secret(
	    reader, map, "key", true, "the CA's private key", ca->key);
	(void)lot_get_secret(reader, map, "passphrase_file", false,
	    "the passphrase of the CA's key", ca->secret_path);
}

/* ---- the subject ---- */

static const char *const part_names[] = {
    "C", "O", "OU", "DNQ", "ST", "CN", "SN", NULL};

static void
read_part(struct lot_reader *reader, struct yaml_node *subject,
    struct yaml_node *node)
{
	struct lot_ca *ca = &reader->image->ca;
	struct subject_part *part = &ca->parts[ca->part_count];

	for (size_t at = 0; part_names[at] != NULL; at++) {
		if (!text_equal(part_names[at], node->key))
			continue;
		if (yaml_get_text(reader->document, subject, node->key, true,
			part->value, sizeof(part->value),
			reader->problems) != 0)
			return;
		text_copy(part->name, sizeof(part->name), node->key);
		ca->part_count++;
	}
}

/* One subject for two units would be one certificate's name for both. */
static void
check_subject(struct lot_reader *reader, const struct yaml_node *node)
{
	const struct lot_ca *ca = &reader->image->ca;

	for (uint32_t at = 0; at < ca->part_count; at++)
		if (strstr(ca->parts[at].value, "${serial}") != NULL ||
		    strstr(ca->parts[at].value, "${mac}") != NULL)
			return;
	yaml_problem(reader->document, node, reader->problems,
	    "subject is the same for many units; accepted is a part with "
	    "${serial} or ${mac}");
}

static void
read_subject(struct lot_reader *reader, struct yaml_node *map)
{
	struct lot_ca *ca = &reader->image->ca;
	struct yaml_node *subject = yaml_get_map(
	    reader->document, map, "subject", false, reader->problems);

	if (subject == NULL) {
		ca->part_count = 1;
		text_copy(ca->parts[0].name, sizeof(ca->parts[0].name), "CN");
		text_copy(ca->parts[0].value, sizeof(ca->parts[0].value),
		    "${serial}");
		return;
	}
	for (struct yaml_node *node = subject->child; node != NULL;
	     node = node->next)
		read_part(reader, subject, node);
	/* So that an unknown name is answered with all that are accepted. */
	for (size_t at = 0; part_names[at] != NULL; at++)
		(void)yaml_get(subject, part_names[at]);
	yaml_map_finish(reader->document, subject, reader->problems);
	check_subject(reader, subject);
}

/* ---- the whole ---- */

static void
read_ca(struct lot_reader *reader, struct yaml_node *root)
{
	char path[PATH_LEN];
	struct lot_ca *ca = &reader->image->ca;
	int64_t days = VALID_DAYS;
	int64_t now_ms = clock_wall_ms();
	struct certificate certificate;
	struct fault fault;
	struct yaml_node *map;

	if (!lot_key_belongs(reader, root, "ca"))
		return;
	map =
	    yaml_get_map(reader->document, root, "ca", true, reader->problems);
	if (map == NULL)
		return;
	yaml_get_integer(reader->document, map, "valid_days", false, 1,
	    VALID_DAYS_MAX, &days, reader->problems);
	ca->valid_days = (uint32_t)days;
	if (read_authority(reader, map, "certificate", FROZEN_CA, path,
		ca->certificate, &certificate) == 0) {
		if (certificate_check_time(
			&certificate, now_ms, CAUSE_BAD_LOT, &fault) != 0)
			problems_add(reader->problems, path, 1, 1,
			    "%s; accepted is a CA certificate that is valid "
			    "now",
			    fault.text);
		else if (certificate.not_after_ms - now_ms < days * DAY_MS)
			problems_warn(reader->problems, path, 1, 1,
			    "the CA ends in %lld days, before the units' "
			    "certificates with valid_days %lld",
			    (long long)((certificate.not_after_ms - now_ms) /
					DAY_MS),
			    (long long)days);
	}
	read_key(reader, map);
	read_subject(reader, map);
	yaml_map_finish(reader->document, map, reader->problems);
}

static void
read_readback(struct lot_reader *reader, struct yaml_node *root)
{
	char path[PATH_LEN];
	struct certificate certificate;
	struct fault fault;
	struct yaml_node *map;

	if (!lot_key_belongs(reader, root, "readback"))
		return;
	map = yaml_get_map(
	    reader->document, root, "readback", false, reader->problems);
	if (map == NULL)
		return;
	/* AWS knows the authority; its end is the chip maker's concern. */
	if (read_authority(reader, map, "ca", FROZEN_READBACK_CA, path,
		reader->image->readback_ca, &certificate) == 0 &&
	    certificate_check_time(
		&certificate, clock_wall_ms(), CAUSE_BAD_LOT, &fault) != 0)
		problems_warn(reader->problems, path, 1, 1, "%s", fault.text);
	yaml_map_finish(reader->document, map, reader->problems);
}

void
lot_read_authorities(struct lot_reader *reader, struct yaml_node *root)
{
	read_ca(reader, root);
	read_readback(reader, root);
}

/* ---- bulk: where AWS reads the parameters ---- */

/* "arn:PARTITION:iam::ACCOUNT:role/NAME" with the lot's account. */
static void
check_role(struct lot_reader *reader, struct yaml_node *map)
{
	char expected[64];
	const char *arn = reader->image->bulk.role_arn;
	const char *found;

	(void)snprintf(expected, sizeof(expected), ":iam::%s:role/",
	    reader->image->account);
	found = strstr(arn, expected);
	if (strncmp(arn, "arn:aws", 7) == 0 && found != NULL &&
	    found[strlen(expected)] != '\0')
		return;
	yaml_problem(reader->document, yaml_get(map, "role_arn"),
	    reader->problems,
	    "role_arn \"%s\" is no role of the lot's account; accepted is "
	    "arn:aws:iam::%s:role/NAME",
	    arn, reader->image->account);
}

void
lot_read_bulk(struct lot_reader *reader, struct yaml_node *root)
{
	struct lot_bulk *bulk = &reader->image->bulk;
	struct yaml_node *map;

	if (!lot_key_belongs(reader, root, "bulk"))
		return;
	map = yaml_get_map(
	    reader->document, root, "bulk", true, reader->problems);
	if (map == NULL)
		return;
	name_get(reader->document, map, "bucket", true, NAME_BUCKET,
	    bulk->bucket, sizeof(bulk->bucket), reader->problems);
	if (name_get(reader->document, map, "prefix", false, NAME_PREFIX,
		bulk->prefix, sizeof(bulk->prefix), reader->problems) == 0 &&
	    bulk->prefix[strlen(bulk->prefix) - 1] != '/')
		yaml_problem(reader->document, yaml_get(map, "prefix"),
		    reader->problems,
		    "prefix \"%s\" does not end in /; accepted is a folder "
		    "such as lots/",
		    bulk->prefix);
	if (yaml_get_text(reader->document, map, "role_arn", true,
		bulk->role_arn, sizeof(bulk->role_arn), reader->problems) == 0)
		check_role(reader, map);
	yaml_map_finish(reader->document, map, reader->problems);
}
