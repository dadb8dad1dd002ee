/*
 * The resources of a provisioning template: a thing, a certificate and its
 * policies, with the properties that AWS IoT documents for each.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lot/template_parts.h"

enum {
	POLICY_CHARACTERS_MAX = 2048, /* of a document, without white space */
};

#define TYPE_THING	 "AWS::IoT::Thing"
#define TYPE_CERTIFICATE "AWS::IoT::Certificate"
#define TYPE_POLICY	 "AWS::IoT::Policy"

static const struct resource_kind {
	const char *type;
	const char *properties[8];
	/* Those of OverrideSettings; the first `merging` may be MERGE. */
	const char *settings[4];
	size_t merging;
} kinds[] = {
    {TYPE_THING,
	{"ThingName", "AttributePayload", "ThingTypeName", "ThingGroups",
	    "BillingGroup", "PackageVersions"},
	{"AttributePayload", "ThingGroups", "ThingTypeName"}, 2},
    /* The guide's list has CertificateID, its examples CertificateId. */
    {TYPE_CERTIFICATE,
	{"CertificateSigningRequest", "CertificateId", "CertificateID",
	    "CertificatePem", "CACertificatePem", "Status"},
	{"Status"}, 0},
    {TYPE_POLICY, {"PolicyName", "PolicyDocument"}, {NULL}, 0},
};

const json_t *
template_resource(
    const struct template *template, const char *type, const char **name)
{
	const char *key;
	json_t *resource;

	*name = NULL;
	json_object_foreach (
	    json_object_get(template->root, "Resources"), key, resource)
		if (text_equal(
			json_string_value(json_object_get(resource, "Type")),
			type)) {
			*name = key;
			return resource;
		}
	return NULL;
}

/* ---- one resource ---- */

static bool
is_listed(const char *const *names, const char *name)
{
	for (; *names != NULL; names++)
		if (text_equal(*names, name))
			return true;
	return false;
}

static void
names_write(const char *const *names, char *to, size_t size)
{
	size_t len = 0;

	to[0] = '\0';
	for (size_t at = 0; names[at] != NULL && len < size; at++)
		len += (size_t)snprintf(to + len, size - len, "%s%s",
		    at == 0 ? "" : ", ", names[at]);
}

static enum template_override
override_read(const char *text)
{
	static const char *const names[] = {
	    [OVERRIDE_NONE] = "",
	    [OVERRIDE_DO_NOTHING] = "DO_NOTHING",
	    [OVERRIDE_REPLACE] = "REPLACE",
	    [OVERRIDE_FAIL] = "FAIL",
	    [OVERRIDE_MERGE] = "MERGE",
	};

	for (int at = OVERRIDE_DO_NOTHING; at <= OVERRIDE_MERGE; at++)
		if (text_equal(names[at], text))
			return (enum template_override)at;
	return OVERRIDE_NONE;
}

static void
check_settings(const struct template *template,
    const struct resource_kind *kind, const json_t *resource,
    struct problems *problems)
{
	char accepted[128];
	json_t *settings = json_object_get(resource, "OverrideSettings");
	const char *name;
	json_t *value;

	names_write(kind->settings, accepted, sizeof(accepted));
	json_object_foreach (settings, name, value) {
		size_t at = 0;
		enum template_override override =
		    override_read(json_string_value(value));

		while (kind->settings[at] != NULL &&
		       !text_equal(kind->settings[at], name))
			at++;
		if (kind->settings[at] == NULL)
			template_problem(template, problems, "OverrideSettings",
			    "%s has no override setting %.64s; accepted are "
			    "%s",
			    kind->type, name,
			    accepted[0] == '\0' ? "none" : accepted);
		else if (override == OVERRIDE_NONE ||
			 (override == OVERRIDE_MERGE && at >= kind->merging))
			template_problem(template, problems, "OverrideSettings",
			    "override setting %s is not accepted; accepted "
			    "are DO_NOTHING, REPLACE%s and FAIL",
			    name, at < kind->merging ? ", MERGE" : "");
	}
}

static void
check_properties(const struct template *template,
    const struct resource_kind *kind, const char *logical,
    const json_t *resource, struct problems *problems)
{
	char accepted[160];
	json_t *properties = json_object_get(resource, "Properties");
	const char *name;
	json_t *value;

	if (!json_is_object(properties)) {
		template_problem(template, problems, logical,
		    "%s has no Properties; accepted is an object", kind->type);
		return;
	}
	names_write(kind->properties, accepted, sizeof(accepted));
	json_object_foreach (properties, name, value)
		if (!is_listed(kind->properties, name))
			template_problem(template, problems, name,
			    "%s has no property %.64s; accepted are %s",
			    kind->type, name, accepted);
	json_object_foreach ((json_t *)(uintptr_t)resource, name, value)
		if (!text_equal(name, "Type") &&
		    !text_equal(name, "Properties") &&
		    !text_equal(name, "OverrideSettings"))
			template_problem(template, problems, name,
			    "a resource has no member %.64s; accepted are "
			    "Type, Properties and OverrideSettings",
			    name);
	check_settings(template, kind, resource, problems);
}

/* ---- what each must say ---- */

static bool
is_text(const json_t *value)
{
	const json_t *argument;

	return json_is_string(value) ||
	       template_function(value, &argument) != NULL;
}

static void
read_thing(struct template *template, const json_t *resource,
    struct problems *problems)
{
	struct template_facts *facts = &template->facts;
	const json_t *properties = json_object_get(resource, "Properties");
	const json_t *settings = json_object_get(resource, "OverrideSettings");
	const json_t *attributes =
	    json_object_get(properties, "AttributePayload");
	const json_t *argument;

	if (!is_text(json_object_get(properties, "ThingName")))
		template_problem(template, problems, facts->thing,
		    "ThingName is missing or no text; accepted is a text or a "
		    "function");
	if (attributes != NULL &&
	    (!json_is_object(attributes) ||
		template_function(attributes, &argument) != NULL ||
		json_is_object(json_object_get(attributes, "attributes"))))
		template_problem(template, problems, "AttributePayload",
		    "AttributePayload is no flat object; accepted are names "
		    "and texts, without a level \"attributes\"");
	facts->attributes_override = override_read(
	    json_string_value(json_object_get(settings, "AttributePayload")));
	facts->type_override = override_read(
	    json_string_value(json_object_get(settings, "ThingTypeName")));
	facts->groups_override = override_read(
	    json_string_value(json_object_get(settings, "ThingGroups")));
}

/* The parameter that a property refers to; null: it is no plain Ref. */
static const char *
reference_of(const json_t *value)
{
	const json_t *argument = NULL;
	const char *name = template_function(value, &argument);

	return text_equal(name, "Ref") ? json_string_value(argument) : NULL;
}

static void
read_status(struct template *template, const json_t *properties,
    struct problems *problems)
{
	const json_t *status = json_object_get(properties, "Status");
	const char *text = json_string_value(status);

	/* The guide writes ACTIVE, its fleet examples write Active. */
	template->facts.active =
	    status == NULL || (text != NULL && strcasecmp(text, "ACTIVE") == 0);
	if (!template->facts.active &&
	    (text == NULL || strcasecmp(text, "INACTIVE") != 0))
		template_problem(template, problems, "Status",
		    "the certificate's Status is \"%.64s\"; accepted are "
		    "INACTIVE and ACTIVE",
		    text == NULL ? "no text" : text);
}

static void
read_certificate(struct template *template, const json_t *resource,
    struct problems *problems)
{
	static const struct {
		const char *property;
		enum certificate_form form;
	} forms[] = {
	    {"CertificateSigningRequest", FORM_CSR},
	    {"CertificateId", FORM_ID},
	    {"CertificateID", FORM_ID},
	    {"CertificatePem", FORM_PEM},
	};
	struct template_facts *facts = &template->facts;
	const json_t *properties = json_object_get(resource, "Properties");
	const json_t *authority =
	    json_object_get(properties, "CACertificatePem");
	size_t count = 0;

	for (size_t at = 0; at < sizeof(forms) / sizeof(forms[0]); at++) {
		const json_t *value =
		    json_object_get(properties, forms[at].property);

		if (value == NULL)
			continue;
		count++;
		facts->form = forms[at].form;
		facts->carrier = reference_of(value);
	}
	if (count != 1)
		template_problem(template, problems, facts->certificate,
		    "the certificate has %zu forms; accepted is one of "
		    "CertificateSigningRequest, CertificateId and "
		    "CertificatePem",
		    count);
	else if (facts->carrier == NULL)
		template_problem(template, problems, facts->certificate,
		    "the certificate is the same for all units; accepted is "
		    "{\"Ref\": PARAMETER}");
	facts->authority = reference_of(authority);
	if (authority != NULL &&
	    (facts->form != FORM_PEM || facts->authority == NULL))
		template_problem(template, problems, "CACertificatePem",
		    "CACertificatePem is not accepted like that; accepted is "
		    "{\"Ref\": PARAMETER} beside CertificatePem");
	read_status(template, properties, problems);
}

/* A document as text must be one that AWS IoT can read as a policy. */
static void
check_document(const struct template *template, const json_t *document,
    struct problems *problems)
{
	const char *text = json_string_value(document);
	json_t *root;
	size_t characters = 0;

	if (text == NULL)
		return;
	for (const char *at = text; *at != '\0'; at++)
		characters += strchr(" \t\r\n", *at) == NULL;
	if (characters > POLICY_CHARACTERS_MAX)
		template_problem(template, problems, "PolicyDocument",
		    "PolicyDocument has %zu characters beside white space; "
		    "accepted are %d",
		    characters, POLICY_CHARACTERS_MAX);
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root))
		template_problem(template, problems, "PolicyDocument",
		    "PolicyDocument is no JSON object; accepted is a policy's "
		    "document as one text");
	json_decref(root);
}

static void
read_policy(struct template *template, const char *logical,
    const json_t *resource, struct problems *problems)
{
	struct template_facts *facts = &template->facts;
	const json_t *properties = json_object_get(resource, "Properties");
	const json_t *name = json_object_get(properties, "PolicyName");
	const json_t *document = json_object_get(properties, "PolicyDocument");

	if (facts->policy == NULL)
		facts->policy = logical;
	facts->policy_count++;
	if ((name == NULL) == (document == NULL) ||
	    (name != NULL && !is_text(name)) ||
	    (document != NULL && !json_is_string(document) &&
		!json_is_object(document)))
		template_problem(template, problems, logical,
		    "the policy has not one form; accepted is one of "
		    "PolicyName and PolicyDocument");
	else
		check_document(template, document, problems);
}

static void
read_resource(struct template *template, const char *logical,
    const json_t *resource, struct problems *problems)
{
	struct template_facts *facts = &template->facts;
	const char *type = json_string_value(json_object_get(resource, "Type"));
	const struct resource_kind *kind = NULL;

	for (size_t at = 0; at < sizeof(kinds) / sizeof(kinds[0]); at++)
		if (text_equal(kinds[at].type, type))
			kind = &kinds[at];
	if (kind == NULL) {
		template_problem(template, problems, logical,
		    "resource %.64s is of type \"%.64s\"; accepted are "
		    "AWS::IoT::Thing, AWS::IoT::Certificate and "
		    "AWS::IoT::Policy",
		    logical, type == NULL ? "" : type);
		return;
	}
	check_properties(template, kind, logical, resource, problems);
	if (text_equal(type, TYPE_POLICY)) {
		read_policy(template, logical, resource, problems);
	} else if (text_equal(type, TYPE_THING) && facts->thing == NULL) {
		facts->thing = logical;
		read_thing(template, resource, problems);
	} else if (text_equal(type, TYPE_CERTIFICATE) &&
		   facts->certificate == NULL) {
		facts->certificate = logical;
		read_certificate(template, resource, problems);
	} else {
		template_problem(template, problems, logical,
		    "resource %.64s is a second %s; accepted is one", logical,
		    type);
	}
}

void
template_check_resources(struct template *template, struct problems *problems)
{
	json_t *resources = json_object_get(template->root, "Resources");
	const char *logical;
	json_t *resource;

	if (!json_is_object(resources)) {
		template_problem(template, problems, "Resources",
		    "Resources are missing; accepted is an object with a "
		    "thing, a certificate and a policy");
		return;
	}
	json_object_foreach (resources, logical, resource) {
		read_resource(template, logical, resource, problems);
	}
	if (template->facts.thing == NULL)
		template_problem(template, problems, "Resources",
		    "the template makes no thing; accepted is one with a "
		    "resource of type AWS::IoT::Thing");
	if (template->facts.certificate == NULL)
		template_problem(template, problems, "Resources",
		    "the template has no certificate; accepted is one with a "
		    "resource of type AWS::IoT::Certificate");
}
