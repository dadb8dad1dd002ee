/*
 * Provisioning templates of AWS IoT: read, checked, held against a lot and
 * evaluated for one unit. Called by the load role for a lot's own file and by
 * the cloud role for what the account holds under the lot's template name.
 *
 * Source: AWS IoT Core Developer Guide, "Provisioning templates" (parameters,
 * resources, override settings, functions) and "Just-in-time provisioning"
 * (the parameters AWS::IoT::Certificate::*); limits: API reference,
 * RegisterThing and CreateProvisioningTemplate.
 *
 * Names of parameters are compared as AWS compares them: SerialNumber and
 * serialNumber are two.
 */
#ifndef LOT_TEMPLATE_H
#define LOT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/problems.h"
#include "lot/lot.h"

enum {
	TEMPLATE_PARAMETERS_MAX = 64,
	TEMPLATE_VALUES_MAX = TEMPLATE_PARAMETERS_MAX,
	TEMPLATE_DEPTH_MAX = 24,  /* of values within values */
	TEMPLATE_TEXT_MAX = 4096, /* bytes of one evaluated text */
};

/* What AWS itself knows of a certificate: just-in-time and fleet templates. */
#define TEMPLATE_CERTIFICATE	"AWS::IoT::Certificate::"
#define TEMPLATE_CERTIFICATE_ID "AWS::IoT::Certificate::Id"

struct template_parameter {
	const char *name;
	const char *preset; /* its Default; null: none */
	bool declared;	    /* false: referred to, and not declared */
	bool used;	    /* something refers to it */
};

/* What becomes of a thing or certificate that is there already. */
enum template_override {
	OVERRIDE_NONE, /* not said; AWS does not document what it means */
	OVERRIDE_DO_NOTHING,
	OVERRIDE_REPLACE,
	OVERRIDE_FAIL,
	OVERRIDE_MERGE,
};

/* All texts are the template's and live as long as it does. */
struct template_facts {
	uint32_t parameter_count;
	struct template_parameter parameters[TEMPLATE_PARAMETERS_MAX];
	enum certificate_form form; /* never FORM_NONE */
	const char *carrier;   /* parameter that the request, id or certificate
				  comes by */
	const char *authority; /* parameter of CACertificatePem; or null */
	bool active;	       /* Status of the certificate; AWS's default */
	/* Logical names: the keys of RegisterThing's resourceArns. */
	const char *thing;
	const char *certificate;
	const char *policy; /* the first one; null: none */
	uint32_t policy_count;
	/* Documented for fleet provisioning only: more functions than Ref,
	 * Mappings, DeviceConfiguration; null: none, else the first one. */
	const char *fleet_only;
	enum template_override attributes_override;
	enum template_override type_override;
	enum template_override groups_override;
};

struct template; /* owned; template_free */

/*
 * Reads a template's body of len bytes and reports every error, at the first
 * place that mentions it; null when there was any. `name` stands before the
 * problems: a path, or "provisioning template NAME".
 */
struct template *template_parse(
    const char *name, const char *body, size_t len, struct problems *);
/* Null is allowed. */
void template_free(struct template *);
const struct template_facts *template_facts(const struct template *);
/* Null when the template neither declares the parameter nor refers to it. */
const struct template_parameter *
template_parameter(const struct template *, const char *name);
/* True when both say the same, whatever their spaces and order. */
bool template_same(const struct template *, const struct template *);

/*
 * Holds a template against the pattern, parameters and subject of a lot:
 * certificate and policy forms, status, overrides, names of parameters, and
 * the thing's name for a made-up unit. Opens nothing; 0 when nothing is
 * wrong. What is odd but allowed is a warning in the same list.
 *
 * The load role calls it with a lot's file, the cloud role before a lot
 * opens with the template that the account holds.
 */
int template_matches_lot(
    const struct template *, const struct lot_image *, struct problems *);

/* ---- for one unit ---- */

struct template_value {
	const char *name;
	const char *value;
};
struct template_values {
	size_t count;
	struct template_value list[TEMPLATE_VALUES_MAX];
	struct buf texts; /* that the values stand in */
};

/*
 * The values that a unit's parameters have: the lot's own rules, or, with
 * jitp, its certificate's subject. A csr, id or certificate that is not known
 * yet has a value that is no name of a thing. CAUSE_BAD_LOT. The struct is
 * zero, or was made before and keeps its memory; template_values_free at the
 * end, also after a failure.
 */
int template_values_make(struct template_values *, const struct lot_image *,
    const struct lot_unit *, struct fault *);
void template_values_free(struct template_values *);

/* What the template makes of these values. */
struct template_thing {
	char name[THING_LEN];
	char type[THING_LEN];
	uint32_t group_count;
	char groups[GROUPS_MAX][THING_LEN];
	uint32_t attribute_count;
	struct lot_attribute attributes[ATTRIBUTES_MAX]; /* rule: the value */
	char policy[THING_LEN]; /* its name; empty: a document */
};
/* Only what stands in the template as such: no functions. */
void template_literals(const struct template *, struct template_thing *);
/* CAUSE_BAD_LOT when a value is missing or a function does not apply. */
int template_evaluate(const struct template *, const struct template_values *,
    struct template_thing *, struct fault *);
/* The thing's name alone: for a million rows. */
int template_thing_name(const struct template *, const struct template_values *,
    char *to, size_t size, struct fault *);
/*
 * CAUSE_BAD_LOT when the template does not give the unit the name that the
 * lot's thing.name does.
 */
int template_names_unit(const struct template *, const struct lot_image *,
    const struct lot_unit *, struct fault *);

/*
 * The same template for a certificate that AWS has already: the form becomes
 * CertificateId with that id in it, and parameters that nothing refers to
 * any more are declared no more. CAUSE_BAD_LOT when the body is none or the
 * result is too long.
 */
int template_by_certificate_id(const char *body, const char *certificate_id,
    char out[TEMPLATE_BODY_LEN], struct fault *);

#endif
