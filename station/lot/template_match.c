/*
 * A provisioning template against the lot that is to use it: what can be
 * known before the first unit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lot/template_parts.h"

enum {
	POLICIES_MAX = 10, /* a principal */
	NEAR_LEN_MIN = 4,  /* shorter names are near to everything */
	NEAR_EDITS_MAX = 2,
	LISTED_LEN = 512,
};

struct match {
	const struct template *template;
	const struct template_facts *facts;
	const struct lot_image *lot;
	struct problems *problems;
};

static bool
is_fleet(const struct lot_image *lot)
{
	return lot->pattern == PATTERN_CLAIM ||
	       lot->pattern == PATTERN_TRUSTED_USER;
}

/* The station sends the template itself with its calls. */
static bool
is_sent(const struct lot_image *lot)
{
	return lot->pattern == PATTERN_REGISTER_THING ||
	       lot->pattern == PATTERN_BULK;
}

/* What a unit of a claim pattern sends is known when the lot says it. */
static bool
parameters_known(const struct lot_image *lot)
{
	return !is_fleet(lot) || lot->parameter_count > 0 ||
	       lot->ending == ENDING_PROXY;
}

/* ---- names that were meant ---- */

/* Single edits from one name to the other, as far as NEAR_EDITS_MAX. */
static size_t
edits_count(const char *one, const char *two)
{
	size_t row[THING_LEN];
	size_t len = strlen(two);

	if (strlen(one) >= THING_LEN || len >= THING_LEN)
		return THING_LEN;
	for (size_t at = 0; at <= len; at++)
		row[at] = at;
	for (size_t from = 0; one[from] != '\0'; from++) {
		size_t corner = row[0];

		row[0] = from + 1;
		for (size_t to = 0; to < len; to++) {
			size_t changed = corner + (one[from] != two[to]);

			corner = row[to + 1];
			if (row[to] + 1 < changed)
				changed = row[to] + 1;
			if (corner + 1 < changed)
				changed = corner + 1;
			row[to + 1] = changed;
		}
	}
	return row[len];
}

static bool
is_near(const char *one, const char *two)
{
	return strcasecmp(one, two) == 0 ||
	       (strlen(one) >= NEAR_LEN_MIN && strlen(two) >= NEAR_LEN_MIN &&
		   edits_count(one, two) <= NEAR_EDITS_MAX);
}

/* The declared parameter that was meant by a name; null: none. */
static const char *
declared_near(const struct match *match, const char *name)
{
	for (uint32_t at = 0; at < match->facts->parameter_count; at++) {
		const struct template_parameter *parameter =
		    &match->facts->parameters[at];

		if (parameter->declared && is_near(parameter->name, name))
			return parameter->name;
	}
	return NULL;
}

static void
declared_list(const struct match *match, char to[LISTED_LEN])
{
	size_t len = 0;

	(void)text_copy(to, LISTED_LEN, "none");
	for (uint32_t at = 0; at < match->facts->parameter_count; at++)
		if (match->facts->parameters[at].declared && len < LISTED_LEN)
			len += (size_t)snprintf(to + len, LISTED_LEN - len,
			    "%s%s", len == 0 ? "" : ", ",
			    match->facts->parameters[at].name);
}

/* ---- certificate, policy, overrides ---- */

static const struct lot_parameter *
lot_parameter_find(const struct lot_image *lot, const char *name)
{
	for (uint32_t at = 0; at < lot->parameter_count; at++)
		if (text_equal(lot->parameters[at].name, name))
			return &lot->parameters[at];
	return NULL;
}

/* A parameter that carries one thing must carry nothing else. */
static void
check_carrier(
    const struct match *match, const char *parameter, const char *rule)
{
	const struct lot_parameter *given =
	    lot_parameter_find(match->lot, parameter);

	if (given != NULL && !text_equal(given->rule, rule))
		template_problem(match->template, match->problems, parameter,
		    "parameter %s carries the certificate, and the lot gives "
		    "it \"%s\"; accepted is \"%s\"",
		    parameter, given->rule, rule);
	/* Without a Default it is reported with the other names. */
	if (given == NULL &&
	    template_parameter(match->template, parameter)->preset != NULL)
		template_problem(match->template, match->problems, parameter,
		    "parameter %s carries the certificate, and its Default is "
		    "the same for all units; accepted is a lot that gives it "
		    "\"%s\"",
		    parameter, rule);
}

/* The birth certificates' CA: the lot's, or the template's own Default. */
static void
check_authority(const struct match *match, const char *parameter)
{
	if (lot_parameter_find(match->lot, parameter) == NULL)
		return;
	check_carrier(match, parameter, "${ca_certificate_pem}");
	if (match->lot->readback_ca[0] == '\0')
		template_problem(match->template, match->problems, parameter,
		    "parameter %s has no certificate; accepted is a lot with "
		    "readback.ca",
		    parameter);
}

static void
check_form(const struct match *match)
{
	static const char *const rules[] = {[FORM_NONE] = "",
	    [FORM_CSR] = "${csr}",
	    [FORM_ID] = "${certificate_id}",
	    [FORM_PEM] = "${certificate_pem}"};
	const struct template_facts *facts = match->facts;

	if (!is_sent(match->lot)) {
		if (facts->form != FORM_ID ||
		    !text_equal(facts->carrier, TEMPLATE_CERTIFICATE_ID))
			template_problem(match->template, match->problems,
			    facts->certificate,
			    "the certificate is not the one that AWS IoT has "
			    "made or met; accepted with pattern %s is "
			    "CertificateId {\"Ref\": \"%s\"}",
			    pattern_name((enum pattern)match->lot->pattern),
			    TEMPLATE_CERTIFICATE_ID);
		return;
	}
	if (match->lot->pattern == PATTERN_BULK && facts->form != FORM_CSR)
		template_problem(match->template, match->problems,
		    facts->certificate,
		    "the certificate comes by another form than the unit's "
		    "request; accepted with pattern bulk is "
		    "CertificateSigningRequest");
	check_carrier(match, facts->carrier, rules[facts->form]);
	if (facts->authority != NULL)
		check_authority(match, facts->authority);
}

static void
check_status(const struct match *match)
{
	bool active = match->facts->active;

	if (!is_sent(match->lot)) {
		if (!active)
			template_problem(match->template, match->problems,
			    "Status",
			    "the certificate stays INACTIVE and the unit could "
			    "never connect; accepted with pattern %s is "
			    "ACTIVE",
			    pattern_name((enum pattern)match->lot->pattern));
		return;
	}
	if (match->lot->activate_at_issue != 0) {
		if (!active)
			template_problem(match->template, match->problems,
			    "Status",
			    "the lot has activate: at-issue, and the "
			    "certificate is made INACTIVE; accepted is ACTIVE, "
			    "or activate: after-read-back");
	} else if (active) {
		template_problem(match->template, match->problems, "Status",
		    "the certificate is ACTIVE (AWS IoT's default) before the "
		    "unit has it; accepted is Status INACTIVE%s",
		    match->lot->pattern == PATTERN_BULK
			? ""
			: ", or activate: at-issue in the lot");
	}
}

static void
check_policies(const struct match *match)
{
	static const char missing[] =
	    "the template attaches no policy, and a unit without one can do "
	    "nothing; accepted is a resource of type AWS::IoT::Policy";

	if (match->facts->policy_count > POLICIES_MAX)
		template_problem(match->template, match->problems,
		    match->facts->policy,
		    "the template attaches %u policies; accepted are %d",
		    match->facts->policy_count, POLICIES_MAX);
	if (match->facts->policy_count > 0)
		return;
	/* A thing group's policy would do; AWS keeps that template. */
	if (is_sent(match->lot))
		template_problem(match->template, match->problems, "Resources",
		    "%s", missing);
	else
		template_warning(match->template, match->problems, "Resources",
		    "%s", missing);
}

static void
check_override(const struct match *match, const char *setting,
    enum template_override override, bool replace)
{
	static const char form[] =
	    "OverrideSettings have %s%s%s, and a thing that is there already "
	    "must stay usable; accepted are %sDO_NOTHING%s";
	const char *said = override == OVERRIDE_NONE	  ? ""
			   : override == OVERRIDE_REPLACE ? " REPLACE"
							  : " FAIL";
	const char *no = override == OVERRIDE_NONE ? "no " : "";
	bool merge = !text_equal(setting, "ThingTypeName");

	if (override == OVERRIDE_DO_NOTHING || override == OVERRIDE_MERGE ||
	    (override == OVERRIDE_REPLACE && replace))
		return;
	/* With jitp a thing is there only when a unit is made again. */
	if (match->lot->pattern == PATTERN_JITP)
		template_warning(match->template, match->problems,
		    "OverrideSettings", form, no, setting, said,
		    merge ? "MERGE, " : "", replace ? " and REPLACE" : "");
	else
		template_problem(match->template, match->problems,
		    "OverrideSettings", form, no, setting, said,
		    merge ? "MERGE, " : "", replace ? " and REPLACE" : "");
}

/*
 * A claim unit's thing is made before it connects, and carries the station's
 * attributes; a repeated call finds the thing that the lost one made.
 */
static void
check_overrides(const struct match *match)
{
	const char *logical;
	const json_t *properties = json_object_get(
	    template_resource(match->template, "AWS::IoT::Thing", &logical),
	    "Properties");

	check_override(match, "AttributePayload",
	    match->facts->attributes_override, !is_fleet(match->lot));
	if (json_object_get(properties, "ThingTypeName") != NULL)
		check_override(
		    match, "ThingTypeName", match->facts->type_override, true);
	if (json_object_get(properties, "ThingGroups") != NULL)
		check_override(
		    match, "ThingGroups", match->facts->groups_override, true);
}

/* The thing's type by the template must be the one that the lot has. */
static void
check_type(const struct match *match)
{
	bool keeps = is_fleet(match->lot) &&
		     match->facts->type_override == OVERRIDE_DO_NOTHING;
	struct template_thing *thing;

	if (keeps || match->lot->thing_type[0] == '\0')
		return;
	thing = malloc(sizeof(*thing));
	if (thing == NULL)
		return;
	template_literals(match->template, thing);
	if (thing->type[0] != '\0' &&
	    !text_equal(thing->type, match->lot->thing_type))
		template_problem(match->template, match->problems,
		    "ThingTypeName",
		    "the template gives the thing type %s; accepted is %s, as "
		    "the lot's thing.type has it",
		    thing->type, match->lot->thing_type);
	free(thing);
}

/* ---- parameters ---- */

/* AWS's own parameters: AWS::IoT::Certificate::*. */
static void
check_own(const struct match *match, const char *parameter)
{
	const char *part = template_subject_name(parameter);

	if (!is_sent(match->lot) &&
	    text_equal(parameter, TEMPLATE_CERTIFICATE_ID))
		return;
	if (match->lot->pattern != PATTERN_JITP)
		template_problem(match->template, match->problems, parameter,
		    "with pattern %s AWS IoT gives %s no value; accepted %s",
		    pattern_name((enum pattern)match->lot->pattern), parameter,
		    is_sent(match->lot) ? "are parameters that the lot gives"
					: "is " TEMPLATE_CERTIFICATE_ID
					  " alone");
	else if (part == NULL)
		template_problem(match->template, match->problems, parameter,
		    "AWS IoT has no %s; accepted are Country, Organization, "
		    "OrganizationalUnit, DistinguishedNameQualifier, "
		    "StateName, CommonName, SerialNumber and Id",
		    parameter);
	else if (template_subject_find(match->lot, part) == NULL)
		template_problem(match->template, match->problems, parameter,
		    "%s has no value, which fails the unit's first connection; "
		    "accepted is a lot with %s in ca.subject",
		    parameter, part);
}

static void
check_undeclared(
    const struct match *match, const struct template_parameter *parameter)
{
	const char *near = declared_near(match, parameter->name);
	bool own = text_equal(parameter->name, TEMPLATE_CERTIFICATE_ID);

	if (near != NULL || !is_fleet(match->lot))
		template_problem(match->template, match->problems,
		    parameter->name,
		    "the template refers to %s and does not declare it; "
		    "accepted is a name in Parameters%s%s",
		    parameter->name, near == NULL ? "" : ", such as ",
		    near == NULL ? "" : near);
	else
		template_warning(match->template, match->problems,
		    parameter->name,
		    "the template refers to %s and does not declare it: %s",
		    parameter->name,
		    own ? "all examples of AWS do"
			: "only a pre-provisioning hook can give it");
}

static void
check_declared(
    const struct match *match, const struct template_parameter *parameter)
{
	if (strncmp(parameter->name, TEMPLATE_CERTIFICATE,
		strlen(TEMPLATE_CERTIFICATE)) == 0) {
		check_own(match, parameter->name);
		return;
	}
	if (parameter->preset != NULL || !parameters_known(match->lot) ||
	    lot_parameter_find(match->lot, parameter->name) != NULL)
		return;
	if (match->lot->pattern == PATTERN_JITP)
		template_problem(match->template, match->problems,
		    parameter->name,
		    "a certificate cannot give parameter %s; accepted are "
		    "those of %s* and such with a Default",
		    parameter->name, TEMPLATE_CERTIFICATE);
	else if (is_sent(match->lot))
		template_problem(match->template, match->problems,
		    parameter->name,
		    "parameter %s has no value; accepted is one in the lot's "
		    "template.parameters or a Default",
		    parameter->name);
	else
		template_warning(match->template, match->problems,
		    parameter->name,
		    "the lot gives parameter %s no value: only a "
		    "pre-provisioning hook can",
		    parameter->name);
}

/* A parameter that the lot gives and the template does not take. */
static void
check_given(const struct match *match, const char *name)
{
	char listed[LISTED_LEN];
	const struct template_parameter *parameter =
	    template_parameter(match->template, name);
	const char *near = declared_near(match, name);

	if (strncmp(name, TEMPLATE_CERTIFICATE, strlen(TEMPLATE_CERTIFICATE)) ==
	    0) {
		template_problem(match->template, match->problems, name,
		    "the lot gives %s, which only AWS IoT can; accepted are "
		    "the template's other parameters",
		    name);
		return;
	}
	if (parameter != NULL)
		return;
	declared_list(match, listed);
	if (near != NULL)
		template_problem(match->template, match->problems, near,
		    "the lot gives parameter %s, the template declares %s; "
		    "accepted is the name as it stands there",
		    name, near);
	else if (is_fleet(match->lot))
		template_warning(match->template, match->problems, "Parameters",
		    "the lot gives parameter %s, which the template does not "
		    "declare: only a pre-provisioning hook sees it",
		    name);
	else
		template_problem(match->template, match->problems, "Parameters",
		    "the lot gives parameter %s, which the template does not "
		    "declare; accepted are %s",
		    name, listed);
}

static void
check_parameters(const struct match *match)
{
	for (uint32_t at = 0; at < match->facts->parameter_count; at++) {
		const struct template_parameter *parameter =
		    &match->facts->parameters[at];

		if (parameter->declared)
			check_declared(match, parameter);
		else
			check_undeclared(match, parameter);
	}
	for (uint32_t at = 0; at < match->lot->parameter_count; at++)
		check_given(match, match->lot->parameters[at].name);
}

/* ---- the thing's name ---- */

/* A rule that only a row of the manifest can fill. */
static bool
needs_row(const char *rule)
{
	return strstr(rule, "${manifest.") != NULL;
}

/* One made-up unit shows whether the rules agree at all. */
static void
check_sample(const struct match *match)
{
	static const struct lot_unit sample = {.station = "station-1",
	    .serial = "SERIAL-1",
	    .mac = "02:00:00:00:00:01",
	    .extra = "{}"};
	const struct lot_image *lot = match->lot;
	struct fault fault;

	if (!parameters_known(lot) || needs_row(lot->thing_rule))
		return;
	for (uint32_t at = 0; at < lot->parameter_count; at++)
		if (needs_row(lot->parameters[at].rule))
			return;
	for (uint32_t at = 0; at < lot->ca.part_count; at++)
		if (needs_row(lot->ca.parts[at].value))
			return;
	fault_clear(&fault);
	if (template_names_unit(match->template, lot, &sample, &fault) != 0)
		template_problem(match->template, match->problems, "ThingName",
		    "%s; accepted is the name that the lot's thing.name makes",
		    fault.text);
}

int
template_matches_lot(const struct template *template,
    const struct lot_image *lot, struct problems *problems)
{
	size_t before = problems->count;
	const struct match match = {.template = template,
	    .facts = &template->facts,
	    .lot = lot,
	    .problems = problems};

	check_form(&match);
	check_status(&match);
	check_policies(&match);
	check_overrides(&match);
	check_type(&match);
	check_parameters(&match);
	if (template->facts.fleet_only != NULL && !is_fleet(lot))
		template_warning(template, problems, template->facts.fleet_only,
		    "%s is documented for fleet provisioning only; that AWS "
		    "IoT takes it with pattern %s is not said",
		    template->facts.fleet_only,
		    pattern_name((enum pattern)lot->pattern));
	/* What is missing would only echo in the name. */
	if (problems->count == before)
		check_sample(&match);
	return problems->count == before ? 0 : -1;
}
