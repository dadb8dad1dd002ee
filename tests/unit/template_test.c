#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/file.h"
#include "lot/template.h"
#include "scratch.h"

static struct problems problems;

static int
each_open(void **state)
{
	(void)state;
	problems_init(&problems);
	return 0;
}

static int
each_close(void **state)
{
	(void)state;
	problems_free(&problems);
	return 0;
}

/* Resources with our own certificate and policy; %s is the thing's. */
#define PARAMETERS                                                      \
	"{\"Parameters\": {\n"                                          \
	"  \"Serial\": {\"Type\": \"String\"},\n"                       \
	"  \"Color\": {\"Type\": \"String\", \"Default\": \"blue\"},\n" \
	"  \"Request\": {\"Type\": \"String\"}},\n"                     \
	" \"Mappings\": {\"Sites\": {\"blue\": {\"name\": \"north\",\n" \
	"  \"groups\": [\"a\", \"b\"]}}},\n"
#define RESOURCES                                                            \
	" \"Resources\": {\n"                                                \
	"  \"unit\": {\"Type\": \"AWS::IoT::Thing\", \"Properties\": {\n"    \
	"    \"ThingName\": NAME},\n"                                        \
	"   \"OverrideSettings\": {\"AttributePayload\": \"MERGE\"}},\n"     \
	"  \"cert\": {\"Type\": \"AWS::IoT::Certificate\",\n"                \
	"   \"Properties\": {\n"                                             \
	"    \"CertificateSigningRequest\": {\"Ref\": \"Request\"},\n"       \
	"    \"Status\": \"INACTIVE\"}},\n"                                  \
	"  \"rights\": {\"Type\": \"AWS::IoT::Policy\", \"Properties\": {\n" \
	"    \"PolicyName\": \"P\"}}}}\n"
static const char sample[] = PARAMETERS RESOURCES;

static struct template *
parse(const char *body)
{
	return template_parse("t.json", body, strlen(body), &problems);
}

/* The sample with that expression as the thing's name. */
static struct template *
named(const char *expression)
{
	char *body = text_replaced(sample, "NAME", expression);
	struct template *template = parse(body);

	if (template == NULL)
		print_message("%s", problems.text.data);
	assert_non_null(template);
	free(body);
	return template;
}

static const struct template_values given = {
    .count = 2, .list = {{"Serial", "A-1-x"}, {"Request", "the request"}}};

/* ---- functions ---- */

static const struct {
	const char *expression, *name;
} good[] = {
    {"\"fixed\"", "fixed"},
    {"{\"Ref\": \"Serial\"}", "A-1-x"},
    {"{\"Ref\": \"Color\"}", "blue"},
    {"{\"Fn::Join\": [\"\", [\"d-\", {\"Ref\": \"Serial\"}]]}", "d-A-1-x"},
    {"{\"Fn::Join\": [\"_\", []]}", ""},
    {"{\"Fn::Join\": [\"_\", {\"Fn::Split\": [\"-\", {\"Ref\": "
     "\"Serial\"}]}]}",
	"A_1_x"},
    {"{\"Fn::Select\": [1, [\"a\", \"b\"]]}", "b"},
    {"{\"Fn::Select\": [\"0\", [{\"Ref\": \"Color\"}, \"b\"]]}", "blue"},
    {"{\"Fn::Select\": [2, {\"Fn::Split\": [\"-\", {\"Ref\": "
     "\"Serial\"}]}]}",
	"x"},
    {"{\"Fn::FindInMap\": [\"Sites\", {\"Ref\": \"Color\"}, \"name\"]}",
	"north"},
    {"{\"Fn::Join\": [\":\", {\"Fn::FindInMap\": [\"Sites\", \"blue\", "
     "\"groups\"]}]}",
	"a:b"},
    {"{\"Fn::Sub\": \"u-${Serial}-${Color}\"}", "u-A-1-x-blue"},
    {"{\"Fn::Sub\": [\"${mine}/${Serial}\", {\"mine\": {\"Ref\": "
     "\"Color\"}}]}",
	"blue/A-1-x"},
    {"{\"Fn::Sub\": \"$${!Serial}\"}", "$${Serial}"},
};

static void
test_functions(void **state)
{
	(void)state;
	for (size_t at = 0; at < sizeof(good) / sizeof(good[0]); at++) {
		char name[THING_LEN];
		struct fault fault;
		struct template *template = named(good[at].expression);

		fault_clear(&fault);
		if (template_thing_name(
			template, &given, name, sizeof(name), &fault) != 0)
			print_message("%s\n", fault.text);
		assert_string_equal(name, good[at].name);
		template_free(template);
	}
}

static const struct {
	const char *expression, *text;
} failing[] = {
    {"{\"Fn::Join\": [\"\", {\"Ref\": \"Serial\"}]}",
	"ThingName: Fn::Join: it needs a separator and a list"},
    {"{\"Fn::Join\": [\"\", [[\"a\"]]]}",
	"ThingName: Fn::Join: it joins texts only"},
    {"{\"Fn::Select\": [2, [\"a\", \"b\"]]}",
	"ThingName: Fn::Select: the list has no item of that index"},
    {"{\"Fn::Select\": [\"x\", [\"a\", \"b\"]]}",
	"ThingName: Fn::Select: the list has no item of that index"},
    {"{\"Fn::Select\": [-1, [\"a\", \"b\"]]}",
	"ThingName: Fn::Select: the list has no item of that index"},
    {"{\"Fn::Split\": [\"\", \"a\"]}",
	"ThingName: Fn::Split: it needs a separator and a text"},
    {"{\"Fn::Split\": [\"-\", \"a-b\"]}", "ThingName is no text"},
    {"{\"Fn::FindInMap\": [\"Sites\", \"red\", \"name\"]}",
	"ThingName: Fn::FindInMap: the mapping has no such keys"},
    {"{\"Fn::Sub\": [\"${l}\", {\"l\": [\"a\"]}]}",
	"ThingName: Fn::Sub: it takes texts only"},
    {"{\"Ref\": \"Hidden\"}", "ThingName: parameter Hidden has no value"},
    {"{\"Fn::Join\": [\"\", [{\"a\": \"b\", \"c\": \"d\"}]]}",
	"ThingName: the template: an object stands where a text is accepted"},
};

static void
test_functions_that_fail(void **state)
{
	(void)state;
	for (size_t at = 0; at < sizeof(failing) / sizeof(failing[0]); at++) {
		char name[THING_LEN];
		struct fault fault;
		struct template *template = named(failing[at].expression);

		fault_clear(&fault);
		assert_int_equal(template_thing_name(template, &given, name,
				     sizeof(name), &fault),
		    -1);
		assert_int_equal(fault.cause, CAUSE_BAD_LOT);
		assert_string_equal(fault.text, failing[at].text);
		template_free(template);
	}
}

/* Functions that double what is inside of them end early. */
static void
test_growth_is_bounded(void **state)
{
	char expression[2048] = "\"0123456789abcdef\"";
	char next[2048];
	char name[THING_LEN];
	struct fault fault;
	struct template *template;

	(void)state;
	for (int at = 0; at < 5; at++) {
		(void)snprintf(next, sizeof(next),
		    "{\"Fn::Sub\": [\"${a}${a}${a}${a}\", {\"a\": %.1900s}]}",
		    expression);
		memcpy(expression, next, sizeof(next));
	}
	fault_clear(&fault);
	template = named(expression);
	assert_int_equal(
	    template_thing_name(template, &given, name, sizeof(name), &fault),
	    -1);
	assert_string_equal(fault.text,
	    "ThingName: the template: a text becomes longer than AWS IoT "
	    "takes");
	template_free(template);
}

/* ---- what is wrong with a template ---- */

static const struct {
	const char *find, *with, *problems;
} bad[] = {
    {"\"Serial\": {\"Type\": \"String\"}", "\"Serial\": {\"Type\": \"List\"}",
	"t.json:2:3: parameter Serial is not as AWS IoT takes it; accepted are "
	"Type \"String\" and a text as Default\n"},
    {"\"blue\"},\n", "7},\n",
	"t.json:3:3: parameter Color is not as AWS IoT takes it; accepted are "
	"Type \"String\" and a text as Default\n"},
    {"\"name\": \"north\"", "\"name\": {\"Ref\": \"Serial\"}",
	"t.json:5:2: Mappings are not as AWS IoT takes them; accepted are "
	"literal texts and lists below two levels of names\n"},
    {"\"Resources\"", "\"Resource\"",
	"t.json:7:2: a template has no section Resource; accepted are "
	"Parameters, Resources, Mappings and DeviceConfiguration\n"
	"t.json:1:1: Resources are missing; accepted is an object with a "
	"thing, a certificate and a policy\n"},
    {"NAME", "{\"Fn::If\": [1]}",
	"t.json:9:19: AWS IoT has no function Fn::If; accepted are Ref, "
	"Fn::Join, Fn::Select, Fn::FindInMap, Fn::Split and Fn::Sub\n"},
    {"NAME", "{\"Fn::Join\": [\"\"]}",
	"t.json:9:19: Fn::Join is not as AWS IoT takes it; accepted is a list "
	"of a separator and a list\n"},
    {"NAME", "{\"Fn::Sub\": [\"a\"]}",
	"t.json:9:19: Fn::Sub is not as AWS IoT takes it; accepted is a text, "
	"or a list of a text and an object of values\n"},
    {"NAME", "{\"Fn::Sub\": \"${a\"}",
	"t.json:9:19: a \"${\" in Fn::Sub has no \"}\" after a name; accepted "
	"is ${NAME}\n"},
    {"NAME", "{\"Ref\": 7}",
	"t.json:9:19: Ref is no text; accepted is the name of a parameter\n"},
    {"NAME", "{\"Ref\": \"Serial\", \"x\": 1}",
	"t.json:9:19: Ref has other members beside it; accepted is a function "
	"alone\n"
	"t.json:8:3: ThingName is missing or no text; accepted is a text or a "
	"function\n"},
    {"\"ThingName\": NAME", "\"thingName\": \"x\"",
	"t.json:9:5: AWS::IoT::Thing has no property thingName; accepted are "
	"ThingName, AttributePayload, ThingTypeName, ThingGroups, "
	"BillingGroup, PackageVersions\n"
	"t.json:8:3: ThingName is missing or no text; accepted is a text or a "
	"function\n"},
    {"\"ThingName\": NAME",
	"\"ThingName\": \"x\",\n    \"AttributePayload\": {\"attributes\": {}}",
	"t.json:10:5: AttributePayload is no flat object; accepted are names "
	"and texts, without a level \"attributes\"\n"},
    {"{\"AttributePayload\": \"MERGE\"}", "{\"AttributePayload\": \"ADD\"}",
	"t.json:10:4: override setting AttributePayload is not accepted; "
	"accepted are DO_NOTHING, REPLACE, MERGE and FAIL\n"},
    {"{\"AttributePayload\": \"MERGE\"}", "{\"ThingTypeName\": \"MERGE\"}",
	"t.json:10:4: override setting ThingTypeName is not accepted; "
	"accepted are DO_NOTHING, REPLACE and FAIL\n"},
    {"{\"AttributePayload\": \"MERGE\"}", "{\"Status\": \"REPLACE\"}",
	"t.json:10:4: AWS::IoT::Thing has no override setting Status; accepted "
	"are AttributePayload, ThingGroups, ThingTypeName\n"},
    {"\"OverrideSettings\"", "\"Override\"",
	"t.json:10:4: a resource has no member Override; accepted are Type, "
	"Properties and OverrideSettings\n"},
    {"AWS::IoT::Certificate", "AWS::IoT::Cert",
	"t.json:11:3: resource cert is of type \"AWS::IoT::Cert\"; accepted "
	"are AWS::IoT::Thing, AWS::IoT::Certificate and AWS::IoT::Policy\n"
	"t.json:7:2: the template has no certificate; accepted is one with a "
	"resource of type AWS::IoT::Certificate\n"},
    {"AWS::IoT::Certificate", "AWS::IoT::Thing",
	"t.json:13:5: AWS::IoT::Thing has no property Cert*"},
    {"\"CertificateSigningRequest\": {\"Ref\": \"Request\"},\n", "",
	"t.json:11:3: the certificate has 0 forms; accepted is one of "
	"CertificateSigningRequest, CertificateId and CertificatePem\n"},
    {"\"Status\": \"INACTIVE\"",
	"\"Status\": \"INACTIVE\", \"CertificateId\": {\"Ref\": \"Serial\"}",
	"t.json:11:3: the certificate has 2 forms; accepted is one of "
	"CertificateSigningRequest, CertificateId and CertificatePem\n"},
    {"\"CertificateSigningRequest\": {\"Ref\": \"Request\"}",
	"\"CertificateSigningRequest\": \"a request\"",
	"t.json:11:3: the certificate is the same for all units; accepted is "
	"{\"Ref\": PARAMETER}\n"},
    {"\"Status\": \"INACTIVE\"", "\"CACertificatePem\": {\"Ref\": \"Serial\"}",
	"t.json:14:5: CACertificatePem is not accepted like that; accepted is "
	"{\"Ref\": PARAMETER} beside CertificatePem\n"},
    {"\"INACTIVE\"", "\"PENDING\"",
	"t.json:14:5: the certificate's Status is \"PENDING\"; accepted are "
	"INACTIVE and ACTIVE\n"},
    {"\"PolicyName\": \"P\"", "\"PolicyName\": \"P\", \"PolicyDocument\": {}",
	"t.json:15:3: the policy has not one form; accepted is one of "
	"PolicyName and PolicyDocument\n"},
    {"\"PolicyName\": \"P\"", "\"PolicyDocument\": \"{no\"",
	"t.json:16:5: PolicyDocument is no JSON object; accepted is a policy's "
	"document as one text\n"},
    {"}}}}\n", "}}}\n", "t.json:17:*"},
    {"\"Mappings\"", "\"Parameters\"", "t.json:5:*"},
};

static void
test_says_what_is_wrong(void **state)
{
	(void)state;
	for (size_t at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
		char *changed =
		    text_replaced(sample, bad[at].find, bad[at].with);
		char *body = strstr(changed, "NAME") == NULL
				 ? strdup(changed)
				 : text_replaced(changed, "NAME", "\"x\"");
		size_t len = strlen(bad[at].problems);

		problems_free(&problems);
		problems_init(&problems);
		assert_null(parse(body));
		if (bad[at].problems[len - 1] == '*')
			assert_memory_equal(
			    problems.text.data, bad[at].problems, len - 1);
		else
			assert_string_equal(
			    problems.text.data, bad[at].problems);
		free(changed);
		free(body);
	}
}

static void
test_bounds(void **state)
{
	char *big = malloc(20000);
	char *body = text_replaced(sample, "NAME", "\"x\"");
	char nested[400] = "";

	(void)state;
	assert_non_null(big);
	assert_null(parse("[]"));
	assert_null(parse(""));
	memset(big, ' ', 20000);
	memcpy(big, body, strlen(body));
	assert_null(template_parse("t.json", big, 10241, &problems));
	assert_non_null(strstr(problems.text.data,
	    "t.json: the template has 10241 bytes; accepted are up to "
	    "10240\n"));
	big[10240] = '\0';
	problems_free(&problems);
	problems_init(&problems);
	template_free(template_parse("t.json", big, 10240, &problems));
	assert_int_equal(problems.count, 0);
	for (int at = 0; at < 60; at++)
		strcat(nested, "[");
	for (int at = 0; at < 60; at++)
		strcat(nested, "]");
	free(body);
	body = text_replaced(sample, "NAME", nested);
	assert_null(parse(body));
	free(body);
	free(big);
}

/* ---- facts ---- */

static char *
file_text(const char *path)
{
	char *data = NULL;
	size_t len;
	struct fault fault;

	if (file_read(path, 1 << 20, &data, &len, &fault) != 0)
		print_message("%s\n", fault.text);
	assert_non_null(data);
	return data;
}

static void
test_facts(void **state)
{
	struct template *template = named("{\"Ref\": \"Serial\"}");
	const struct template_facts *facts = template_facts(template);

	(void)state;
	assert_int_equal(facts->form, FORM_CSR);
	assert_string_equal(facts->carrier, "Request");
	assert_null(facts->authority);
	assert_false(facts->active);
	assert_string_equal(facts->thing, "unit");
	assert_string_equal(facts->certificate, "cert");
	assert_string_equal(facts->policy, "rights");
	assert_int_equal(facts->policy_count, 1);
	assert_int_equal(facts->attributes_override, OVERRIDE_MERGE);
	assert_int_equal(facts->groups_override, OVERRIDE_NONE);
	assert_string_equal(facts->fleet_only, "Mappings");
	assert_int_equal(facts->parameter_count, 3);
	assert_string_equal(
	    template_parameter(template, "Color")->preset, "blue");
	assert_false(template_parameter(template, "Color")->used);
	assert_true(template_parameter(template, "Serial")->used);
	assert_null(template_parameter(template, "serial"));
	template_free(template);
	template = named("{\"Fn::Sub\": \"${Hidden}\"}");
	assert_false(template_parameter(template, "Hidden")->declared);
	template_free(template);
}

static void
test_same(void **state)
{
	struct template *one = named("\"x\"");
	char *body = text_replaced(sample, "NAME", "\"x\"");
	json_t *root = json_loads(body, 0, NULL);
	char *spaced = json_dumps(root, JSON_INDENT(3) | JSON_SORT_KEYS);
	struct template *two = parse(spaced);
	struct template *three = named("\"y\"");

	(void)state;
	assert_true(template_same(one, two));
	assert_false(template_same(one, three));
	template_free(one);
	template_free(two);
	template_free(three);
	json_decref(root);
	free(spaced);
	free(body);
}

/* AWS's own examples, for the units that they are for. */
static void
test_examples(void **state)
{
	static struct template_thing thing;
	char *body = file_text("tests/unit/data/fleet-smart-sensor.json");
	struct template *template = parse(body);
	struct template_values values = {.count = 3,
	    .list = {{"SerialNumber", "7"}, {"FirmwareVersion", "1.0"},
		{TEMPLATE_CERTIFICATE_ID, "x"}}};
	struct fault fault;

	(void)state;
	assert_non_null(template);
	assert_int_equal(template_facts(template)->form, FORM_ID);
	assert_true(template_facts(template)->active);
	assert_int_equal(
	    template_evaluate(template, &values, &thing, &fault), 0);
	assert_string_equal(thing.name, "device-7");
	assert_string_equal(thing.type, "SmartSensor");
	assert_string_equal(thing.policy, "FleetDevicePolicy");
	assert_int_equal(thing.group_count, 1);
	assert_string_equal(thing.groups[0], "unprovisioned-devices");
	assert_int_equal(thing.attribute_count, 1);
	assert_string_equal(thing.attributes[0].name, "firmwareVersion");
	assert_string_equal(thing.attributes[0].rule, "1.0");
	template_free(template);
	free(body);

	body = file_text("tests/unit/data/jitp-light-bulb.json");
	template = parse(body);
	assert_non_null(template);
	values = (struct template_values){.count = 3,
	    .list = {{TEMPLATE_CERTIFICATE "CommonName", "bulb"},
		{TEMPLATE_CERTIFICATE "SerialNumber", "8"},
		{TEMPLATE_CERTIFICATE "Country", "DE"}}};
	assert_int_equal(
	    template_evaluate(template, &values, &thing, &fault), 0);
	assert_string_equal(thing.name, "bulb");
	assert_string_equal(thing.type, "lightBulb-versionA");
	assert_string_equal(thing.policy, "");
	assert_int_equal(thing.group_count, 2);
	assert_string_equal(thing.groups[1], "DE");
	assert_int_equal(thing.attribute_count, 2);
	template_literals(template, &thing);
	assert_int_equal(thing.group_count, 1);
	assert_string_equal(thing.name, "");
	values.count = 2;
	assert_int_equal(
	    template_evaluate(template, &values, &thing, &fault), -1);
	assert_non_null(strstr(fault.text,
	    "parameter AWS::IoT::Certificate::Country has no value"));
	template_free(template);
	free(body);
}

/* ---- against a lot ---- */

static struct lot_image lot;

static void
lot_make(enum pattern pattern, enum ending ending)
{
	memset(&lot, 0, sizeof(lot));
	lot.pattern = (uint32_t)pattern;
	lot.ending = (uint32_t)ending;
	text_copy(lot.name, sizeof(lot.name), "L1");
	text_copy(lot.firmware_version, sizeof(lot.firmware_version), "1.0");
	text_copy(lot.thing_rule, sizeof(lot.thing_rule), "d-${serial}");
}

static void
lot_parameter_add(const char *name, const char *rule)
{
	struct lot_parameter *parameter =
	    &lot.parameters[lot.parameter_count++];

	text_copy(parameter->name, sizeof(parameter->name), name);
	text_copy(parameter->rule, sizeof(parameter->rule), rule);
}

static void
lot_part_add(const char *name, const char *value)
{
	struct subject_part *part = &lot.ca.parts[lot.ca.part_count++];

	text_copy(part->name, sizeof(part->name), name);
	text_copy(part->value, sizeof(part->value), value);
}

#define DEVICE_NAME "{\"Fn::Join\": [\"\", [\"d-\", {\"Ref\": \"Serial\"}]]}"

/* What is said of the sample with one change, errors before warnings. */
static char *
matched(const char *find, const char *with)
{
	char *named_body = text_replaced(sample, "NAME", DEVICE_NAME);
	char *body = find == NULL ? strdup(named_body)
				  : text_replaced(named_body, find, with);
	struct template *template;
	char *said = NULL;
	int result;

	problems_free(&problems);
	problems_init(&problems);
	template = parse(body);
	if (template == NULL)
		print_message("%s", problems.text.data);
	assert_non_null(template);
	result = template_matches_lot(template, &lot, &problems);
	assert_int_equal(result, problems.count == 0 ? 0 : -1);
	if (asprintf(&said, "%s%s",
		problems.text.data == NULL ? "" : problems.text.data,
		problems.warnings.data == NULL ? "" : problems.warnings.data) <
	    0)
		exit(1);
	template_free(template);
	free(named_body);
	free(body);
	return said;
}

static void
assert_matched(const char *find, const char *with, const char *expected)
{
	char *said = matched(find, with);

	if (strncmp(said, expected, strlen(expected)) != 0)
		assert_string_equal(said, expected);
	free(said);
}

#define FLEET_ONLY                                                \
	"t.json:9:19: warning: Fn::Join is documented for fleet " \
	"provisioning only; that AWS IoT takes it with pattern "  \
	"register-thing is not said\n"

static void
register_make(void)
{
	lot_make(PATTERN_REGISTER_THING, ENDING_NONE);
	lot_parameter_add("Serial", "${serial}");
	lot_parameter_add("Request", "${csr}");
}

static void
test_register_thing(void **state)
{
	(void)state;
	register_make();
	assert_matched(NULL, NULL, FLEET_ONLY);
	/* Status */
	assert_matched("\"INACTIVE\"", "\"Active\"",
	    "t.json:14:5: the certificate is ACTIVE (AWS IoT's default) before "
	    "the unit has it; accepted is Status INACTIVE, or activate: "
	    "at-issue in the lot\n");
	assert_matched(",\n    \"Status\": \"INACTIVE\"", "",
	    "t.json:1:1: the certificate is ACTIVE (AWS IoT's default)");
	lot.activate_at_issue = 1;
	assert_matched("\"INACTIVE\"", "\"ACTIVE\"", FLEET_ONLY);
	assert_matched(NULL, NULL,
	    "t.json:14:5: the lot has activate: at-issue, and the certificate "
	    "is made INACTIVE; accepted is ACTIVE, or activate: "
	    "after-read-back\n");
	/* names of parameters */
	register_make();
	text_copy(lot.parameters[0].name, THING_LEN, "serial");
	assert_matched(NULL, NULL,
	    "t.json:2:3: parameter Serial has no value; accepted is one in the "
	    "lot's template.parameters or a Default\n"
	    "t.json:2:3: the lot gives parameter serial, the template declares "
	    "Serial; accepted is the name as it stands there\n");
	register_make();
	lot_parameter_add("Weight", "7");
	assert_matched(NULL, NULL,
	    "t.json:1:2: the lot gives parameter Weight, which the template "
	    "does not declare; accepted are Serial, Color, Request\n");
	register_make();
	lot_parameter_add(TEMPLATE_CERTIFICATE_ID, "7");
	assert_matched(NULL, NULL,
	    "t.json:1:1: the lot gives AWS::IoT::Certificate::Id, which only "
	    "AWS IoT can; accepted are the template's other parameters\n");
	register_make();
	assert_matched("\"PolicyName\": \"P\"",
	    "\"PolicyName\": {\"Ref\": \"color\"}",
	    "t.json:16:27: the template refers to color and does not declare "
	    "it; accepted is a name in Parameters, such as Color\n");
	assert_matched("\"PolicyName\": \"P\"",
	    "\"PolicyName\": {\"Ref\": \"Rights\"}",
	    "t.json:16:27: the template refers to Rights and does not declare "
	    "it; accepted is a name in Parameters\n");
	assert_matched("\"Color\"", "\"AWS::IoT::Certificate::Id\"",
	    "t.json:3:3: with pattern register-thing AWS IoT gives "
	    "AWS::IoT::Certificate::Id no value; accepted are parameters that "
	    "the lot gives\n");
	/* the certificate's form */
	assert_matched("CertificateSigningRequest", "CertificateId",
	    "t.json:4:3: parameter Request carries the certificate, and the "
	    "lot gives it \"${csr}\"; accepted is \"${certificate_id}\"\n");
	assert_matched("\"CertificateSigningRequest\": {\"Ref\": \"Request\"}",
	    "\"CertificatePem\": {\"Ref\": \"Request\"}, "
	    "\"CACertificatePem\": {\"Ref\": \"Color\"}",
	    "t.json:4:3: parameter Request carries the certificate, and the "
	    "lot gives it \"${csr}\"; accepted is "
	    "\"${certificate_pem}\"\n" FLEET_ONLY);
	lot_parameter_add("Color", "${ca_certificate_pem}");
	text_copy(
	    lot.parameters[1].rule, PARAMETER_RULE_LEN, "${certificate_pem}");
	assert_matched("\"CertificateSigningRequest\": {\"Ref\": \"Request\"}",
	    "\"CertificatePem\": {\"Ref\": \"Request\"}, "
	    "\"CACertificatePem\": {\"Ref\": \"Color\"}",
	    "t.json:3:3: parameter Color has no certificate; accepted is a lot "
	    "with readback.ca\n");
	register_make();
	lot.parameter_count = 1;
	assert_matched("{\"Ref\": \"Request\"}", "{\"Ref\": \"Color\"}",
	    "t.json:3:3: parameter Color carries the certificate, and its "
	    "Default is the same for all units; accepted is a lot that gives "
	    "it \"${csr}\"\n"
	    "t.json:4:3: parameter Request has no value; accepted is one in "
	    "the lot's template.parameters or a Default\n");
	register_make();
	/* policy, overrides, name */
	assert_matched("AWS::IoT::Policy\", \"Properties\": {\n    "
		       "\"PolicyName\": \"P\"}}",
	    "AWS::IoT::Policy\", \"Properties\": {\n    "
	    "\"PolicyName\": \"P\"}}, \"r2\": {\"Type\": "
	    "\"AWS::IoT::Policy\", \"Properties\": {\"PolicyName\": \"Q\"}}",
	    FLEET_ONLY);
	assert_matched(",\n  \"rights\": {\"Type\": \"AWS::IoT::Policy\", "
		       "\"Properties\": {\n    \"PolicyName\": \"P\"}}",
	    "",
	    "t.json:7:2: the template attaches no policy, and a unit without "
	    "one can do nothing; accepted is a resource of type "
	    "AWS::IoT::Policy\n");
	assert_matched("\"MERGE\"", "\"FAIL\"",
	    "t.json:10:4: OverrideSettings have AttributePayload FAIL, and a "
	    "thing that is there already must stay usable; accepted are MERGE, "
	    "DO_NOTHING and REPLACE\n");
	assert_matched("{\"AttributePayload\": \"MERGE\"}", "{}",
	    "t.json:10:4: OverrideSettings have no AttributePayload, and a "
	    "thing that is there already");
	assert_matched("\"d-\"", "\"e-\"",
	    "t.json:9:5: the template names the thing \"e-SERIAL-1\", the lot "
	    "\"d-SERIAL-1\"; accepted is the name that the lot's thing.name "
	    "makes\n");
	text_copy(lot.thing_type, THING_LEN, "Sensor");
	assert_matched("\"ThingName\"",
	    "\"ThingTypeName\": \"Meter\", \"ThingName\"",
	    "t.json:10:4: OverrideSettings have no ThingTypeName, and a thing "
	    "that is there already must stay usable; accepted are DO_NOTHING "
	    "and REPLACE\n"
	    "t.json:9:5: the template gives the thing type Meter; accepted is "
	    "Sensor, as the lot's thing.type has it\n");
	/* Rows alone can fill such a rule. */
	register_make();
	text_copy(lot.parameters[0].rule, PARAMETER_RULE_LEN, "${manifest.n}");
	assert_matched("\"d-\"", "\"e-\"", FLEET_ONLY);
}

static void
test_bulk(void **state)
{
	(void)state;
	register_make();
	lot.pattern = PATTERN_BULK;
	assert_matched("CertificateSigningRequest", "CertificateId",
	    "t.json:11:3: the certificate comes by another form than the "
	    "unit's request; accepted with pattern bulk is "
	    "CertificateSigningRequest\n");
	assert_matched("\"INACTIVE\"", "\"ACTIVE\"",
	    "t.json:14:5: the certificate is ACTIVE (AWS IoT's default) before "
	    "the unit has it; accepted is Status INACTIVE\n");
}

#define BY_AWS                                                           \
	"\"CertificateId\": {\"Ref\": \"AWS::IoT::Certificate::Id\"},\n" \
	"    \"Status\": \"ACTIVE\""
#define BY_CSR                                                     \
	"\"CertificateSigningRequest\": {\"Ref\": \"Request\"},\n" \
	"    \"Status\": \"INACTIVE\""

static void
test_claims(void **state)
{
	char *fleet;
	struct template *template;

	(void)state;
	lot_make(PATTERN_CLAIM, ENDING_FIELD);
	assert_matched(NULL, NULL,
	    "t.json:11:3: the certificate is not the one that AWS IoT has made "
	    "or met; accepted with pattern claim is CertificateId {\"Ref\": "
	    "\"AWS::IoT::Certificate::Id\"}\n"
	    "t.json:14:5: the certificate stays INACTIVE and the unit could "
	    "never connect; accepted with pattern claim is ACTIVE\n");
	/* What a unit in the field sends need not be known. */
	fleet = text_replaced(sample, BY_CSR, BY_AWS);
	free(fleet);
	fleet = file_text("tests/unit/data/fleet-smart-sensor.json");
	problems_free(&problems);
	problems_init(&problems);
	template = parse(fleet);
	assert_int_equal(template_matches_lot(template, &lot, &problems), 0);
	assert_int_equal(problems.warning_count, 0);
	/* The usual mistake. */
	text_copy(lot.thing_rule, THING_LEN, "device-${serial}");
	lot_parameter_add("serialNumber", "${serial}");
	lot_parameter_add("FirmwareVersion", "${firmware_version}");
	assert_int_equal(template_matches_lot(template, &lot, &problems), -1);
	assert_string_equal(problems.text.data,
	    "t.json:3:5: the lot gives parameter serialNumber, the template "
	    "declares SerialNumber; accepted is the name as it stands "
	    "there\n");
	text_copy(lot.parameters[0].name, THING_LEN, "SerialNumber");
	problems_free(&problems);
	problems_init(&problems);
	assert_int_equal(template_matches_lot(template, &lot, &problems), 0);
	/* A hook may want more. */
	lot_parameter_add("Secret", "7");
	assert_int_equal(template_matches_lot(template, &lot, &problems), 0);
	assert_string_equal(problems.warnings.data,
	    "t.json:2:3: warning: the lot gives parameter Secret, which the "
	    "template does not declare: only a pre-provisioning hook sees "
	    "it\n");
	/* The thing is made before: with this lot's type and attributes. */
	text_copy(lot.thing_type, THING_LEN, "Meter");
	assert_int_equal(template_matches_lot(template, &lot, &problems), -1);
	assert_non_null(strstr(problems.text.data,
	    "the template gives the thing type SmartSensor; accepted is "
	    "Meter"));
	template_free(template);
	free(fleet);
}

static void
test_attributes_must_stay(void **state)
{
	char *body = file_text("tests/unit/data/fleet-smart-sensor.json");
	char *replaced = text_replaced(body, "MERGE", "REPLACE");
	struct template *template = parse(replaced);

	(void)state;
	lot_make(PATTERN_TRUSTED_USER, ENDING_BENCH);
	assert_int_equal(template_matches_lot(template, &lot, &problems), -1);
	assert_string_equal(problems.text.data,
	    "t.json:30:7: OverrideSettings have AttributePayload REPLACE, and "
	    "a thing that is there already must stay usable; accepted are "
	    "MERGE, DO_NOTHING\n");
	template_free(template);
	free(replaced);
	free(body);
}

static void
test_jitp(void **state)
{
	char *body = file_text("tests/unit/data/jitp-light-bulb.json");
	struct template *template = parse(body);
	char *changed;

	(void)state;
	lot_make(PATTERN_JITP, ENDING_FIELD);
	lot_part_add("CN", "d-${serial}");
	lot_part_add("SN", "${serial}");
	assert_int_equal(template_matches_lot(template, &lot, &problems), -1);
	assert_string_equal(problems.text.data,
	    "t.json:9:5: AWS::IoT::Certificate::Country has no value, which "
	    "fails the unit's first connection; accepted is a lot with C in "
	    "ca.subject\n");
	lot_part_add("C", "DE");
	problems_free(&problems);
	problems_init(&problems);
	assert_int_equal(template_matches_lot(template, &lot, &problems), 0);
	assert_int_equal(problems.warning_count, 0);
	text_copy(lot.ca.parts[0].value, SUBJECT_VALUE_LEN, "${serial}");
	assert_int_equal(template_matches_lot(template, &lot, &problems), -1);
	assert_string_equal(problems.text.data,
	    "t.json:20:9: the template names the thing \"SERIAL-1\", the lot "
	    "\"d-SERIAL-1\"; accepted is the name that the lot's thing.name "
	    "makes\n");
	template_free(template);
	changed = text_replaced(body, "AWS::IoT::Certificate::Country\": {",
	    "Town\": {\"Type\": \"String\"}, "
	    "\"AWS::IoT::Certificate::Town\": {");
	template = parse(changed);
	problems_free(&problems);
	problems_init(&problems);
	assert_int_equal(template_matches_lot(template, &lot, &problems), -1);
	assert_string_equal(problems.text.data,
	    "t.json:9:5: a certificate cannot give parameter Town; accepted "
	    "are those of AWS::IoT::Certificate::* and such with a Default\n"
	    "t.json:9:33: AWS IoT has no AWS::IoT::Certificate::Town; accepted "
	    "are Country, Organization, OrganizationalUnit, "
	    "DistinguishedNameQualifier, StateName, CommonName, SerialNumber "
	    "and Id\n"
	    "t.json:33:20: the template refers to "
	    "AWS::IoT::Certificate::Country and does not declare it; accepted "
	    "is a name in Parameters\n");
	template_free(template);
	free(changed);
	free(body);
}

/* ---- by the certificate's id ---- */

static void
test_by_certificate_id(void **state)
{
	static char out[TEMPLATE_BODY_LEN];
	char *body = text_replaced(sample, "NAME", DEVICE_NAME);
	char *pem = text_replaced(body,
	    "\"CertificateSigningRequest\": {\"Ref\": \"Request\"}",
	    "\"CertificatePem\": {\"Ref\": \"Request\"}, "
	    "\"CACertificatePem\": {\"Ref\": \"Color\"}");
	char *kept = text_replaced(body, "\"PolicyName\": \"P\"",
	    "\"PolicyName\": {\"Fn::Sub\": \"${Request}\"}");
	struct fault fault;
	json_t *root;
	const char *id;

	(void)state;
	assert_int_equal(
	    template_by_certificate_id(body, "abc", out, &fault), 0);
	root = json_loads(out, 0, NULL);
	assert_int_equal(json_unpack(root, "{s:{s:{s:{s:s}}}}", "Resources",
			     "cert", "Properties", "CertificateId", &id),
	    0);
	assert_string_equal(id, "abc");
	assert_null(strstr(out, "CertificateSigningRequest"));
	assert_null(strstr(out, "Request"));
	assert_non_null(strstr(out, "\"Color\""));
	assert_non_null(strstr(out, "\"INACTIVE\""));
	json_decref(root);
	assert_int_equal(
	    template_by_certificate_id(pem, "abc", out, &fault), 0);
	assert_null(strstr(out, "Pem"));
	assert_null(strstr(out, "Color\":"));
	/* What something else refers to stays. */
	assert_int_equal(
	    template_by_certificate_id(kept, "abc", out, &fault), 0);
	assert_non_null(strstr(out, "\"Request\":{\"Type\":\"String\"}"));
	/* Written again, the id is the later one. */
	free(body);
	body = strdup(out);
	assert_int_equal(
	    template_by_certificate_id(body, "def", out, &fault), -1);
	assert_non_null(strstr(fault.text, "the certificate is the same"));
	assert_int_equal(
	    template_by_certificate_id("{}", "abc", out, &fault), -1);
	assert_int_equal(fault.cause, CAUSE_BAD_LOT);
	free(kept);
	free(pem);
	free(body);
}

/* ---- the lot's side of it ---- */

static void
test_expansion(void **state)
{
	char to[PARAMETER_VALUE_LEN];
	struct lot_unit unit = {.station = "s",
	    .serial = "A1",
	    .mac = "24:6f:28:00:00:01",
	    .extra = "{\"rev\":\"B\"}",
	    .csr = "a\n\"b\\",
	    .certificate_id = "id"};
	struct fault fault;
	struct buf text;

	(void)state;
	register_make();
	assert_int_equal(lot_expand_with(&lot, &unit,
			     "${serial}/${manifest.rev}/${certificate_id}", to,
			     sizeof(to), &fault),
	    0);
	assert_string_equal(to, "A1/B/id");
	assert_int_equal(lot_expand_with(&lot, &unit, "${certificate_pem}", to,
			     sizeof(to), &fault),
	    -1);
	assert_string_equal(
	    fault.text, "${certificate_pem} has no value for this unit");
	assert_int_equal(lot_expand(&lot, "s", "${csr}", "A1", "", "{}", to,
			     sizeof(to), &fault),
	    -1);
	assert_non_null(strstr(fault.text, "${csr} is not known"));
	buf_init(&text, 10000);
	assert_int_equal(lot_parameters_write(&lot, &unit, &text, &fault), 0);
	assert_string_equal(
	    text.data, "{\"Serial\":\"A1\",\"Request\":\"a\\n\\\"b\\\\\"}");
	unit.csr = NULL;
	buf_reset(&text);
	assert_int_equal(lot_parameters_write(&lot, &unit, &text, &fault), 0);
	assert_string_equal(text.data, "{\"Serial\":\"A1\"}");
	unit.serial = "";
	buf_reset(&text);
	assert_int_equal(lot_parameters_write(&lot, &unit, &text, &fault), -1);
	assert_string_equal(fault.text,
	    "parameter Serial: ${serial} has no value for this unit");
	buf_free(&text);
}

static void
test_endpoint(void **state)
{
	char host[256];

	(void)state;
	text_copy(lot.endpoint, sizeof(lot.endpoint), "a.example.com");
	assert_int_equal(lot_endpoint(&lot, host, sizeof(host)), 8883);
	assert_string_equal(host, "a.example.com");
	text_copy(lot.endpoint, sizeof(lot.endpoint), "localhost:40001");
	assert_int_equal(lot_endpoint(&lot, host, sizeof(host)), 40001);
	assert_string_equal(host, "localhost");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define EACH(test) cmocka_unit_test_setup_teardown(test, each_open, each_close)
	    EACH(test_functions),
	    EACH(test_functions_that_fail),
	    EACH(test_growth_is_bounded),
	    EACH(test_says_what_is_wrong),
	    EACH(test_bounds),
	    EACH(test_facts),
	    EACH(test_same),
	    EACH(test_examples),
	    EACH(test_register_thing),
	    EACH(test_bulk),
	    EACH(test_claims),
	    EACH(test_attributes_must_stay),
	    EACH(test_jitp),
	    EACH(test_by_certificate_id),
	    EACH(test_expansion),
	    EACH(test_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
