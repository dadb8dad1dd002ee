/*
 * A lot: lots/NAME/lot.yaml with what it refers to, as plain data in a
 * sealed memory file. Nothing secret is in it: of the claim key, the CA key
 * and the Wi-Fi password only the paths, which the parent opens for the
 * vault.
 */
#ifndef LOT_LOT_H
#define LOT_LOT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/message.h"
#include "base/problems.h"
#include "lot/config.h"
#include "lot/profile.h"

enum {
	GROUPS_MAX = 10,
	ATTRIBUTES_MAX = 50,
	ATTRIBUTE_VALUE_LEN = 801,
	PARAMETERS_MAX = 32,
	PARAMETER_RULE_LEN = 257,
	TEMPLATE_BODY_LEN = 10241, /* AWS takes 10,240 bytes */
	FIRST_ARTICLE_MAX = 32,	   /* = ARTICLES_MAX */
};

enum pattern {
	PATTERN_CLAIM,
	PATTERN_CSR,
	PATTERN_REGISTER_THING,
	PATTERN_READBACK, /* "certificate-readback" */
	PATTERN_TRUSTED_USER,
	PATTERN_JITP,
	PATTERN_JITR,
	PATTERN_BULK,
	PATTERN_COUNT
};
const char *pattern_name(enum pattern);

/* Who finishes the unit's identity, and where. */
enum ending {
	ENDING_NONE,  /* the pattern knows but one */
	ENDING_FIELD, /* the unit, at its first connection, out there */
	ENDING_BENCH, /* the unit, on the bench; the station waits for it */
	ENDING_PROXY, /* the station, in the unit's name */
	ENDING_COUNT
};
const char *ending_name(enum ending); /* "" for none */

/* How a provisioning template of the lot names the certificate. */
enum certificate_form {
	FORM_NONE,
	FORM_CSR,
	FORM_ID,
	FORM_PEM,
};

/* A template's parameter and the rule for its value. */
struct lot_parameter {
	char name[THING_LEN];
	char rule[PARAMETER_RULE_LEN]; /* "${serial}"; struct lot_unit names
					  all that it may have */
};

/* The CA whose key signs the units' certificates. */
struct lot_ca {
	char certificate[CERTIFICATE_LEN]; /* PEM */
	char key[PATH_LEN]; /* a file, or an RFC 7512 URI: "pkcs11:..." */
	char
	    secret_path[PATH_LEN]; /* file of its passphrase or PIN; or empty */
	uint32_t valid_days;
	uint32_t part_count;
	struct subject_part parts[SUBJECT_MAX]; /* the values are rules */
};

struct lot_bulk {
	char bucket[64];
	char prefix[128];
	char role_arn[256]; /* that AWS assumes to read the object */
};

enum serial_source {
	SERIAL_FROM_DEVICE, /* the console says it */
	SERIAL_FROM_MAC,    /* the manifest row that has the unit's MAC */
	SERIAL_FROM_SCAN,   /* an operator or the MES scans it */
	SERIAL_FROM_NEXT,   /* the manifest's next free row */
};

struct lot_attribute {
	char name[THING_LEN];
	char rule[ATTRIBUTE_VALUE_LEN]; /* "${serial}", "${manifest.rev}" */
};

struct lot_image {
	uint32_t magic; /* LOT_MAGIC */
	uint32_t size;	/* sizeof */
	char folder[PATH_LEN];
	char frozen[PATH_LEN]; /* folder of the frozen copy */
	char name[NAME_LEN];
	char product[NAME_LEN];
	char part_number[NAME_LEN];
	uint32_t quantity;
	uint32_t pattern;	    /* enum pattern */
	uint32_t ending;	    /* enum ending */
	uint32_t form;		    /* enum certificate_form */
	uint32_t steps;		    /* that a PASS demands: lot/plan.h */
	uint32_t activate_at_issue; /* 1: the template says ACTIVE; chosen */
	uint32_t lambda_activates;  /* jitr: 1: the customer's, 0: we */
	uint32_t keys_by_cloud;	    /* proxy: 1: AWS makes the unit's keys */
	uint32_t claim_erase;	/* 1: the claim must be gone from the unit */
	uint32_t first_article; /* units that must connect before more */
	uint32_t confirm_timeout_ms; /* bench: first connection; 0: none */
	uint32_t serial_from;	     /* enum serial_source */
	char cloud[NAME_LEN];	     /* a cloud profile of the station */
	char account[13];
	char endpoint[256];	    /* that the unit will connect to */
	char thing_rule[THING_LEN]; /* "device-${serial}" */
	char thing_type[THING_LEN];
	uint32_t group_count;
	char groups[GROUPS_MAX][THING_LEN];
	char policy[THING_LEN];
	uint32_t attribute_count;
	struct lot_attribute attributes[ATTRIBUTES_MAX];
	char template_name[37];		       /* in AWS; or empty */
	char template_body[TEMPLATE_BODY_LEN]; /* JSON; or empty */
	uint32_t parameter_count;
	struct lot_parameter parameters[PARAMETERS_MAX];
	struct lot_ca ca;		   /* jitp, jitr */
	char readback_ca[CERTIFICATE_LEN]; /* certificate-readback: the CA
					      registered in AWS; or empty */
	struct lot_bulk bulk;
	char wifi_ssid[33]; /* of the factory's network; or empty */
	char wifi_password_path[PATH_LEN];
	uint32_t claim_limit; /* hand-outs of the claim key */
	char root_ca[8193];   /* PEM */
	char claim_certificate[CERTIFICATE_LEN]; /* PEM */
	char claim_key_path[PATH_LEN];
	char firmware_version[33];
	struct digest lot_digest, profile_digest, firmware_digest,
	    manifest_digest;
	struct profile profile;
};
enum {
	LOT_MAGIC = 0x32544f4c
};

/*
 * Reads lot.yaml, its profile and all files it names except the claim key;
 * reports every error. With `frozen` the folder is a frozen copy (its own
 * profile.yaml, no look at the profiles folder). 0 when there was none.
 */
int lot_load(const struct station_config *, const char *folder, bool frozen,
    struct lot_image *, struct problems *);

/*
 * Expands a rule such as "device-${serial}": ${serial}, ${mac}, ${lot},
 * ${product}, ${part_number}, ${station}, ${firmware_version},
 * ${manifest.NAME}. `extra` is the row's JSON object of further columns.
 * CAUSE_BAD_LOT when a name is unknown, has no value for this unit, or the
 * result is too long.
 */
int lot_expand(const struct lot_image *, const char *station, const char *rule,
    const char *serial, const char *mac, const char *extra, char *to,
    size_t size, struct fault *);

/*
 * What is known of a unit when a rule is expanded; null: not known. Borrowed.
 * The rules of a template's parameters know besides ${csr},
 * ${certificate_id} and ${certificate_pem}, and ${ca_certificate_pem}, which
 * is the lot's own readback.ca.
 */
struct lot_unit {
	const char *station;
	const char *serial;
	const char *mac;
	const char *extra; /* the row's further columns, JSON */
	const char *csr;   /* PEM */
	const char *certificate_id;
	const char *certificate_pem;
};
/* As lot_expand, with all names that a parameter's rule may have. */
int lot_expand_with(const struct lot_image *, const struct lot_unit *,
    const char *rule, char *to, size_t size, struct fault *);

/*
 * Appends the parameters of the lot's template for one unit, as RegisterThing
 * and fleet provisioning take them: a JSON object of texts. A parameter that
 * is nothing but ${csr}, ${certificate_id} or ${certificate_pem} is left out
 * when the unit has no such value: the template that lot/template.h rewrites
 * to a certificate's id declares it no more.
 */
int lot_parameters_write(const struct lot_image *, const struct lot_unit *,
    struct buf *, struct fault *);

enum {
	PARAMETER_VALUE_LEN = 4097, /* RegisterThing takes 4,096 bytes */
	MQTT_PORT = 8883,
};
/* The endpoint without its port, into host; returns the port. */
uint16_t lot_endpoint(const struct lot_image *, char *host, size_t size);

#endif
