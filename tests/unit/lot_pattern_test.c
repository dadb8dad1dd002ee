/* The keys of lot.yaml that a pattern has, and those that it has not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lot/check.h"
#include "lot/lot_freeze.h"
#include "lot/plan.h"
#include "lot_scratch.h"

/* ---- lots, one a pattern; the lines count on from 17 ---- */

static const char head[] = "schema: 1\n"			  /* 1 */
			   "lot: L1\n"				  /* 2 */
			   "product: sensor\n"			  /* 3 */
			   "part_number: PN-1\n"		  /* 4 */
			   "quantity: 2\n"			  /* 5 */
			   "cloud: main\n"			  /* 6 */
			   "account: 123456789012\n"		  /* 7 */
			   "endpoint: localhost:8884\n"		  /* 8 */
			   "firmware:\n"			  /* 9 */
			   "  version: 1.0.0\n"			  /* 10 */
			   "  args: firmware/flasher_args.json\n" /* 11 */
			   "  sha256: SHA256\n"			  /* 12 */
			   "root_ca: root-ca.pem\n";		  /* 13 */

#define THING "thing: {name: \"d-${serial}\", type: T}\n" /* 17 */
#define TYPED "thing: {name: \"d-${serial}\", type: T, policy: P}\n"
#define START(profile, pattern, source) \
	"profile: " profile "\npattern: " pattern "\nserial_from: " source "\n"
#define CA                                  \
	"ca:\n  certificate: ca.pem\n"      \
	"  key: ca.key\n  valid_days: 20\n" \
	"  subject: {CN: \"d-${serial}\", C: DE}\n"

static const char claim_bench[] = START("bench", "claim", "mac") /* 14 */
    THING							 /* 17 */
    "ending: bench\n"						 /* 18 */
    "confirm_timeout: 30s\n"					 /* 19 */
    "template:\n"						 /* 20 */
    "  name: Fleet\n"						 /* 21 */
    "  file: fleet.json\n"					 /* 22 */
    "  parameters: {Serial: \"${serial}\"}\n"			 /* 23 */
    "claim:\n"							 /* 24 */
    "  certificate: claim.pem\n"				 /* 25 */
    "  key: claim.key\n"					 /* 26 */
    "  after: erase\n"						 /* 27 */
    "wifi:\n"							 /* 28 */
    "  ssid: factory net\n"					 /* 29 */
    "  password_file: wifi.password\n";				 /* 30 */
static const char claim_field[] = START("claims", "claim", "mac") THING
    "template: {name: Fleet}\n"					 /* 18 */
    "claim: {certificate: claim.pem, key: claim.key, limit: 9, " /* 19 */
    "first_article: 2}\n";
static const char claim_proxy[] = START("requests", "claim", "device") THING
    "ending: proxy\n"						     /* 18 */
    "template: {name: Fleet, parameters: {Serial: \"${serial}\"}}\n" /* 19 */
    "claim: {certificate: claim.pem, key: claim.key}\n";	     /* 20 */
static const char user_bench[] = START("bench", "trusted-user", "mac") THING
    "template: {name: Fleet}\n" /* 18 */
    "claim: {after: erase}\n"	/* 19 */
    "wifi: {ssid: n, password_file: wifi.password}\n";
static const char user_keys[] = START("keys", "trusted-user", "device") THING
    "ending: proxy\n"		 /* 18 */
    "keys: aws\n"		 /* 19 */
    "template: {name: Fleet}\n"; /* 20 */
static const char csr[] = START("requests", "csr", "device") TYPED;
static const char register_thing[] =
    START("requests", "register-thing", "device") THING
    "template:\n"						    /* 18 */
    "  file: register.json\n"					    /* 19 */
    "  parameters: {Serial: \"${serial}\", Request: \"${csr}\"}\n"; /* 20 */
static const char readback[] = START("births", "certificate-readback", "device")
    TYPED "readback: {ca: birth.pem}\n"; /* 18 */
static const char jitp[] = START("requests", "jitp", "device") THING
    "template: {name: Jitp, file: jitp.json}\n" /* 18 */
    CA;						/* 19 */
static const char jitr[] =
    START("connects", "jitr", "device") TYPED "ending: bench\n" /* 18 */
    CA;								/* 19 */
static const char bulk[] = START("requests", "bulk", "device") THING
    "template:\n"						   /* 18 */
    "  file: register.json\n"					   /* 19 */
    "  parameters: {Serial: \"${serial}\", Request: \"${csr}\"}\n" /* 20 */
    "bulk:\n"							   /* 21 */
    "  bucket: my-bucket\n"					   /* 22 */
    "  prefix: lots/\n"						   /* 23 */
    "  role_arn: arn:aws:iam::123456789012:role/R\n";		   /* 24 */

/* ---- their files ---- */

#define TEMPLATE(parameters, certificate)                                   \
	"{\"Parameters\": {" parameters "},\n"                              \
	" \"Resources\": {\n"                                               \
	"  \"t\": {\"Type\": \"AWS::IoT::Thing\", \"Properties\": {\n"      \
	"    \"ThingName\": {\"Fn::Join\": [\"\", [\"d-\", SERIAL]]},\n"    \
	"    \"ThingTypeName\": \"T\", \"ThingGroups\": [\"g\"]},\n"        \
	"   \"OverrideSettings\": {\"AttributePayload\": \"MERGE\", "       \
	"\"ThingTypeName\": \"REPLACE\", \"ThingGroups\": \"DO_NOTHING\"}}" \
	",\n"                                                               \
	"  \"c\": {\"Type\": \"AWS::IoT::Certificate\", \"Properties\": {"  \
	"\n    " certificate "}},\n"                                        \
	"  \"p\": {\"Type\": \"AWS::IoT::Policy\", \"Properties\": {\n"     \
	"    \"PolicyName\": \"P\"}}}}\n"

static const char register_json[] =
    TEMPLATE("\"Serial\": {\"Type\": \"String\"}, \"Request\": {\"Type\": "
	     "\"String\"}",
	"\"CertificateSigningRequest\": {\"Ref\": \"Request\"}, "
	"\"Status\": \"INACTIVE\"");
static const char fleet_json[] =
    TEMPLATE("\"Serial\": {\"Type\": \"String\"}, "
	     "\"AWS::IoT::Certificate::Id\": {\"Type\": \"String\"}",
	"\"CertificateId\": {\"Ref\": \"AWS::IoT::Certificate::Id\"}");
static const char jitp_json[] =
    "{\"Parameters\": {"
    "\"AWS::IoT::Certificate::Id\": {\"Type\": \"String\"}, "
    "\"AWS::IoT::Certificate::CommonName\": {\"Type\": \"String\"}},\n"
    " \"Resources\": {\n"
    "  \"t\": {\"Type\": \"AWS::IoT::Thing\", \"Properties\": {\n"
    "    \"ThingName\": {\"Ref\": \"AWS::IoT::Certificate::CommonName\"}},\n"
    "   \"OverrideSettings\": {\"AttributePayload\": \"MERGE\"}},\n"
    "  \"c\": {\"Type\": \"AWS::IoT::Certificate\", \"Properties\": {\n"
    "    \"CertificateId\": {\"Ref\": \"AWS::IoT::Certificate::Id\"}}},\n"
    "  \"p\": {\"Type\": \"AWS::IoT::Policy\", \"Properties\": {\n"
    "    \"PolicyName\": \"P\"}}}}\n";

#define PROGRAM(name, mode, steps)                    \
	"schema: 1\nname: " name "\nmode: " mode "\n" \
	"flasher: {kind: esp-rom, chip: esp32c3}\n"   \
	"console: {prompt: \"> \"}\n"                 \
	"steps:\n"                                    \
	"  - send: id\n"                              \
	"    capture: {found: 'serial=(\\S+)'}\n"     \
	"  - identify: {serial: \"${found}\"}\n" steps

static const struct {
	const char *name, *text;
} profiles[] = {
    {"profiles/births.yaml", PROGRAM("births", "readback",
				 "  - send: cert\n"
				 "    capture: {held: {pem: CERTIFICATE}}\n"
				 "  - register: {cert: \"${held}\"}\n")},
    {"profiles/keys.yaml",
	PROGRAM("keys", "keys",
	    "  - register: {keys: aws}\n"
	    "  - send: key\n"
	    "    then_lines: {value: \"${device_key}\", end: \".\"}\n")},
    {"profiles/connects.yaml",
	PROGRAM("connects", "csr",
	    "  - send: csr\n"
	    "    capture: {csr: {pem: CERTIFICATE REQUEST}}\n"
	    "  - register: {csr: \"${csr}\"}\n"
	    "  - when: [\"${ending}\", bench]\n"
	    "    steps: [{confirm: {}}]\n")},
    {"profiles/always.yaml",
	PROGRAM("always", "csr",
	    "  - send: csr\n"
	    "    capture: {csr: {pem: CERTIFICATE REQUEST}}\n"
	    "  - register: {csr: \"${csr}\"}\n"
	    "  - confirm: {}\n")},
    {"profiles/bench.yaml",
	"schema: 1\n"
	"name: bench\n"
	"mode: claim\n"
	"flasher: {kind: esp-rom, chip: esp32c3}\n"
	"inject:\n"
	"  - kind: esp-secure-cert\n"
	"    offset: 0xD000\n"
	"    size: 0x2000\n"
	"    entries: [{type: private-key, value: \"${claim_key}\"}]\n"
	"console: {prompt: \"> \"}\n"
	"steps:\n"
	"  - send: \"wifi ${wifi_ssid} ${wifi_password}\"\n"
	"  - confirm: {}\n"
	"  - send: wifi erase\n"
	"  - when: [\"${claim_after}\", erase]\n"
	"    send: claim erase\n"},
    {"profiles/plain.yaml",
	"schema: 1\n"
	"name: plain\n"
	"mode: claim\n"
	"flasher: {kind: esp-rom, chip: esp32c3}\n"
	"inject:\n"
	"  - kind: esp-secure-cert\n"
	"    offset: 0xD000\n"
	"    size: 0x2000\n"
	"    entries: [{type: private-key, value: \"${claim_key}\"}]\n"
	"console: {prompt: \"> \"}\n"
	"steps:\n"
	"  - confirm: {}\n"},
};

static void
files_write(void)
{
	char *text;

	lot_files_write();
	for (size_t at = 0; at < sizeof(profiles) / sizeof(profiles[0]); at++)
		scratch_text(profiles[at].name, profiles[at].text);
	text = text_replaced(register_json, "SERIAL", "{\"Ref\": \"Serial\"}");
	scratch_text("lots/L1/register.json", text);
	free(text);
	text = text_replaced(fleet_json, "SERIAL", "{\"Ref\": \"Serial\"}");
	scratch_text("lots/L1/fleet.json", text);
	free(text);
	scratch_text("lots/L1/jitp.json", jitp_json);
	text = pem_made("CA", true, 30);
	scratch_text("lots/L1/ca.pem", text);
	scratch_text("lots/L1/birth.pem", text);
	free(text);
	scratch_text("lots/L1/ca.key", "never read here");
	scratch_text("lots/L1/ca.pass", "never read here");
	scratch_text("lots/L1/wifi.password", "never read here");
	scratch_text("module.so", "a token's module");
}

static int
group_open(void **state)
{
	lot_scratch_open(state);
	files_write();
	return 0;
}

static void
lot_write(const char *tail)
{
	char *yaml = text_replaced(head, "SHA256", lot_firmware_sha256);
	char *whole;

	if (asprintf(&whole, "%s%s", yaml, tail) < 0)
		exit(1);
	scratch_text("lots/L1/lot.yaml", whole);
	free(whole);
	free(yaml);
}

/* Null with the problems printed. */
static struct lot_bundle *
bundle_open(const char *tail)
{
	struct problems problems;
	struct lot_bundle *bundle;

	lot_write(tail);
	problems_init(&problems);
	bundle = lot_bundle_load(
	    &lot_config, scratch_path("lots/L1"), false, &problems);
	if (problems.text.data != NULL)
		print_message("%s", problems.text.data);
	problems_free(&problems);
	return bundle;
}

/* ---- what is read ---- */

/* The set of steps by names, as lot/plan.h has it. */
static const struct {
	const char *lot, *steps;
	enum pattern pattern;
	enum ending ending;
	size_t files;
} good[] = {
    {claim_bench, "inject preregister confirm erase", PATTERN_CLAIM,
	ENDING_BENCH, 10},
    {claim_field, "inject preregister", PATTERN_CLAIM, ENDING_FIELD, 9},
    {claim_proxy, "preregister issue write activate", PATTERN_CLAIM,
	ENDING_PROXY, 9},
    {user_bench, "inject preregister confirm erase", PATTERN_TRUSTED_USER,
	ENDING_BENCH, 8},
    {user_keys, "preregister issue write activate", PATTERN_TRUSTED_USER,
	ENDING_PROXY, 8},
    {csr, "issue bind write activate", PATTERN_CSR, ENDING_NONE, 8},
    {register_thing, "issue write activate", PATTERN_REGISTER_THING,
	ENDING_NONE, 9},
    {readback, "issue bind activate", PATTERN_READBACK, ENDING_NONE, 9},
    {jitp, "issue write", PATTERN_JITP, ENDING_FIELD, 10},
    {jitr, "issue write confirm", PATTERN_JITR, ENDING_BENCH, 9},
    {bulk, "stage issue write activate", PATTERN_BULK, ENDING_NONE, 9},
};

static void
test_reads_every_pattern(void **state)
{
	(void)state;
	for (size_t at = 0; at < sizeof(good) / sizeof(good[0]); at++) {
		char steps[PLAN_TEXT_LEN];
		struct lot_bundle *bundle = bundle_open(good[at].lot);

		assert_non_null(bundle);
		plan_write(bundle->image.steps, steps);
		assert_string_equal(steps, good[at].steps);
		assert_int_equal(bundle->image.pattern, good[at].pattern);
		assert_int_equal(bundle->image.ending, good[at].ending);
		assert_int_equal(bundle->file_count, good[at].files);
		lot_bundle_free(bundle);
	}
}

static void
test_keys_of_claims(void **state)
{
	struct lot_bundle *bundle = bundle_open(claim_bench);
	const struct lot_image *image = &bundle->image;

	(void)state;
	assert_non_null(bundle);
	assert_int_equal(image->confirm_timeout_ms, 30000);
	assert_int_equal(image->claim_erase, 1);
	assert_int_equal(image->claim_limit, 3);
	assert_string_equal(image->wifi_ssid, "factory net");
	assert_string_equal(
	    image->wifi_password_path, scratch_path("lots/L1/wifi.password"));
	assert_string_equal(image->template_name, "Fleet");
	assert_non_null(strstr(image->template_body, "\"Resources\""));
	assert_int_equal(image->form, FORM_NONE);
	assert_int_equal(image->parameter_count, 1);
	assert_string_equal(image->parameters[0].name, "Serial");
	assert_string_equal(image->parameters[0].rule, "${serial}");
	lot_bundle_free(bundle);

	bundle = bundle_open(claim_field);
	assert_non_null(bundle);
	assert_int_equal(bundle->image.confirm_timeout_ms, 0);
	assert_int_equal(bundle->image.claim_erase, 0);
	assert_int_equal(bundle->image.claim_limit, 9);
	assert_int_equal(bundle->image.first_article, 2);
	lot_bundle_free(bundle);

	bundle = bundle_open(user_keys);
	assert_non_null(bundle);
	assert_int_equal(bundle->image.keys_by_cloud, 1);
	assert_int_equal(bundle->image.claim_limit, 0);
	assert_string_equal(bundle->image.claim_key_path, "");
	lot_bundle_free(bundle);

	bundle = bundle_open(user_bench);
	assert_non_null(bundle);
	assert_int_equal(bundle->image.confirm_timeout_ms, 60000);
	lot_bundle_free(bundle);
}

static void
test_keys_of_templates(void **state)
{
	struct lot_bundle *bundle = bundle_open(register_thing);
	const struct lot_image *image = &bundle->image;
	char *tail;
	char *pem;

	(void)state;
	assert_non_null(bundle);
	assert_int_equal(image->form, FORM_CSR);
	assert_int_equal(image->activate_at_issue, 0);
	/* What the template says alike for all units. */
	assert_string_equal(image->policy, "P");
	assert_int_equal(image->group_count, 1);
	assert_string_equal(image->groups[0], "g");
	lot_bundle_free(bundle);

	bundle = bundle_open(bulk);
	assert_non_null(bundle);
	image = &bundle->image;
	assert_string_equal(image->bulk.bucket, "my-bucket");
	assert_string_equal(image->bulk.prefix, "lots/");
	assert_string_equal(
	    image->bulk.role_arn, "arn:aws:iam::123456789012:role/R");
	lot_bundle_free(bundle);

	/* a certificate that the unit holds, by its chip maker's CA */
	pem = text_replaced(register_json,
	    "\"CertificateSigningRequest\": {\"Ref\": \"Request\"}",
	    "\"CertificatePem\": {\"Ref\": \"Request\"}");
	tail = text_replaced(pem, "SERIAL", "{\"Ref\": \"Serial\"}");
	scratch_text("lots/L1/pem.json", tail);
	free(tail);
	free(pem);
	bundle = bundle_open(START("births", "register-thing", "device") THING
	    "template:\n  file: pem.json\n  parameters: {Serial: "
	    "\"${serial}\", Request: \"${certificate_pem}\"}\n");
	assert_non_null(bundle);
	assert_int_equal(bundle->image.form, FORM_PEM);
	lot_bundle_free(bundle);
}

static void
test_keys_of_authorities(void **state)
{
	struct lot_bundle *bundle = bundle_open(jitp);
	const struct lot_ca *ca = &bundle->image.ca;

	(void)state;
	assert_non_null(bundle);
	assert_non_null(strstr(ca->certificate, "BEGIN CERTIFICATE"));
	assert_string_equal(ca->key, scratch_path("lots/L1/ca.key"));
	assert_string_equal(ca->secret_path, "");
	assert_int_equal(ca->valid_days, 20);
	assert_int_equal(ca->part_count, 2);
	assert_string_equal(ca->parts[0].name, "CN");
	assert_string_equal(ca->parts[0].value, "d-${serial}");
	assert_string_equal(ca->parts[1].value, "DE");
	lot_bundle_free(bundle);

	bundle = bundle_open(readback);
	assert_non_null(bundle);
	assert_non_null(strstr(bundle->image.readback_ca, "BEGIN CERTIFICATE"));
	lot_bundle_free(bundle);
}

static void
test_keys_of_keys(void **state)
{
	struct lot_bundle *bundle;
	const struct lot_ca *ca;
	char *tail;

	(void)state;
	tail = text_replaced(jitr,
	    "  key: ca.key\n  valid_days: 20\n"
	    "  subject: {CN: \"d-${serial}\", C: DE}\n",
	    "  key: \"pkcs11:token=t;object=o\"\n  pin_file: ca.pass\n");
	text_copy(lot_config.pkcs11_module, PATH_LEN, "/module.so");
	bundle = bundle_open(tail);
	lot_config.pkcs11_module[0] = '\0';
	assert_non_null(bundle);
	ca = &bundle->image.ca;
	assert_string_equal(ca->key, "pkcs11:token=t;object=o");
	assert_string_equal(ca->secret_path, scratch_path("lots/L1/ca.pass"));
	assert_int_equal(ca->valid_days, 3650);
	assert_int_equal(ca->part_count, 1);
	assert_string_equal(ca->parts[0].name, "CN");
	assert_string_equal(ca->parts[0].value, "${serial}");
	lot_bundle_free(bundle);
	free(tail);

	tail = text_replaced(jitp, "  key: ca.key\n",
	    "  key: ca.key\n  passphrase_file: "
	    "ca.pass\n");
	bundle = bundle_open(tail);
	assert_non_null(bundle);
	assert_string_equal(
	    bundle->image.ca.secret_path, scratch_path("lots/L1/ca.pass"));
	lot_bundle_free(bundle);
	free(tail);
}

/* ---- what is wrong ---- */

/* `find` null: `with` is added at the end. */
static const struct {
	const char *lot, *find, *with, *problems;
} bad[] = {
    /* keys that belong elsewhere */
    {csr, NULL, "ending: field\n",
	"18:9: ending does not go with pattern csr; accepted is it with "
	"pattern claim, trusted-user, jitp and jitr\n"},
    {csr, NULL, "activate: at-issue\n",
	"18:11: activate does not go with pattern csr; accepted is it with "
	"pattern register-thing\n"},
    {jitp, NULL, "activation: lambda\n",
	"24:13: activation does not go with pattern jitp, ending field; "
	"accepted is it with pattern jitr\n"},
    {claim_field, NULL, "confirm_timeout: 9s\n",
	"20:18: confirm_timeout does not go with pattern claim, ending field; "
	"accepted is it with pattern claim, trusted-user, jitp and jitr with "
	"ending bench\n"},
    {claim_field, NULL, "keys: aws\n",
	"20:7: keys does not go with pattern claim, ending field; accepted is "
	"it with pattern claim and trusted-user with ending proxy\n"},
    {claim_field, NULL, "wifi: {ssid: x, password_file: wifi.password}\n",
	"20:7: wifi does not go with pattern claim, ending field; accepted is "
	"it with pattern claim, trusted-user, jitp and jitr with ending "
	"bench\n"},
    {csr, NULL, "claim: {key: claim.key}\n",
	"18:8: claim does not go with pattern csr; accepted is it with pattern "
	"claim\n"},
    {csr, NULL, "ca: {key: ca.key}\n",
	"18:5: ca does not go with pattern csr; accepted is it with pattern "
	"jitp and jitr\n"},
    {csr, NULL, "readback: {ca: ca.pem}\n",
	"18:11: readback does not go with pattern csr; accepted is it with "
	"pattern certificate-readback, and register-thing of certificates "
	"that the units hold\n"},
    {csr, NULL, "bulk: {bucket: b}\n",
	"18:7: bulk does not go with pattern csr; accepted is it with pattern "
	"bulk\n"},
    {csr, NULL, "template: {name: T}\n",
	"18:11: template does not go with pattern csr; accepted is it with "
	"pattern claim, trusted-user, register-thing, jitp and bulk\n"},
    {claim_proxy, "claim.key}", "claim.key, limit: 9}",
	"20:56: limit does not go with ending proxy, where no unit is given "
	"the claim key; accepted is it with endings field and bench\n"},
    {claim_field, "first_article: 2", "after: erase",
	"19:66: after does not go with ending field; accepted is it with "
	"ending bench, after which the claim is needed no more\n"},
    {claim_bench, "after: erase", "first_article: 1",
	"27:18: first_article does not go with ending bench, where each unit's "
	"certificate is seen; accepted is it with ending field\n"},
    {user_bench, "{after: erase}", "{after: erase, key: claim.key}",
	"19:28: key does not go with pattern trusted-user, for which AWS IoT "
	"makes a claim for each unit; accepted is it with pattern claim\n"},
    {claim_field, ", type: T}", ", type: T, policy: P}",
	"17:47: policy does not go with pattern claim, where the template "
	"names it; accepted is it with pattern csr, certificate-readback and "
	"jitr\n"},
    {register_thing, ", type: T}", ", groups: [g]}",
	"17:38: groups does not go with pattern register-thing, where the "
	"template makes the thing; accepted is it in the template\n"},
    {jitp, ", type: T}", ", attributes: {a: b}}",
	"17:42: attributes does not go with pattern jitp, where the template "
	"makes the thing; accepted is it in the template\n"},
    {jitr, "ending: bench\n", "activation: lambda\n",
	"17:47: policy does not go with pattern jitr, activation lambda, where "
	"your function makes the thing; accepted is it with activation "
	"station\n"},
    /* choices */
    {claim_field, NULL, "ending: none\n",
	"20:9: ending is none; field, bench or proxy is accepted\n"},
    {user_bench, NULL, "ending: field\n",
	"21:9: ending is field; bench or proxy is accepted\n"},
    {jitp, NULL, "ending: proxy\n",
	"24:9: ending is proxy; field or bench is accepted\n"},
    {register_thing, NULL, "activate: now\n",
	"21:11: activate is now; after-read-back or at-issue is accepted\n"},
    {jitr, NULL, "activation: me\n",
	"24:13: activation is me; station or lambda is accepted\n"},
    {jitr, "ending: bench\n", "ending: field\n",
	"15:10: pattern jitr, ending field leaves the first connection to the "
	"field, where the station cannot complete it; accepted are activation: "
	"lambda and ending: bench\n"},
    {claim_proxy, NULL, "keys: mine\n",
	"21:7: keys is mine; device or aws is accepted\n"},
    {claim_bench, "30s", "2h",
	"19:18: confirm_timeout is 7200000 ms; accepted with pattern claim are "
	"1s to 60m\n"},
    {claim_bench, "30s", "6m",
	"14:10: confirm_timeout is 360000 ms, and profile \"bench\" has a "
	"total_timeout of 300000 ms; accepted is less than that\n"},
    {user_bench, NULL, "confirm_timeout: 6m\n",
	"21:18: confirm_timeout is 360000 ms; accepted with pattern "
	"trusted-user are 1s to 5m\n"},
    {claim_bench, "erase", "burn",
	"27:10: after is burn; keep or erase is accepted\n"},
    {claim_field, "first_article: 2", "first_article: 3",
	"19:74: first_article is 3; a whole number from 0 to 2 is accepted\n"},
    /* wifi */
    {claim_bench, "factory net", "\"\"",
	"29:9: ssid is empty; accepted are 1 to 32 bytes\n"},
    {claim_bench, "factory net", "012345678901234567890123456789012",
	"29:9: ssid is 012345678901234567890123456789012; a text of at most 32 "
	"bytes is accepted\n"},
    {claim_bench, "wifi.password", "none",
	"30:18: password_file: there is no @/lots/L1/none; accepted is the "
	"file of the network's password\n"},
    /* profiles */
    {claim_proxy, "profile: requests", "profile: keys",
	"14:10: profile \"keys\" is of mode keys and does not go with pattern "
	"claim, ending proxy; accepted is one of mode csr\n"},
    {user_keys, "keys: aws\n", "",
	"14:10: profile \"keys\" is of mode keys and does not go with pattern "
	"trusted-user, ending proxy; accepted is one of mode csr\n"},
    {readback, "profile: births", "profile: requests",
	"14:10: profile \"requests\" is of mode csr and does not go with "
	"pattern certificate-readback; accepted is one of mode readback\n"},
    {jitr, "profile: connects", "profile: requests",
	"14:10: profile \"requests\" has no step confirm for ending bench; "
	"accepted is a profile that waits for the first connection\n"},
    {jitp, "profile: requests", "profile: always",
	"14:10: profile \"always\" waits for a first connection, which only "
	"ending bench has; accepted is a step confirm with when: "
	"[\"${ending}\", bench]\n"},
    {jitp, "profile: requests", "profile: connects", ""},
    {claim_bench, "profile: bench", "profile: plain",
	"14:10: profile \"plain\" does not write the lot's wifi; accepted is "
	"one with ${wifi_ssid} and ${wifi_password}\n"
	"14:10: profile \"plain\" does not erase the claim; accepted is one "
	"with steps when: [\"${claim_after}\", erase]\n"},
    {claim_bench,
	"wifi:\n  ssid: factory net\n  password_file: wifi.password\n", "",
	"14:10: profile \"bench\" writes a network, and the lot has none; "
	"accepted is a lot with wifi\n"},
    /* templates */
    {register_thing, "  file: register.json\n", "  name: Fleet\n",
	"19:9: name does not go with pattern register-thing, whose calls carry "
	"the template itself; accepted is file\n"
	"19:3: file is missing; a text of at most 511 bytes is accepted\n"},
    {jitp, "file: jitp.json", "parameters: {a: b}",
	"18:36: parameters do not go with pattern jitp, for which AWS IoT "
	"takes them from the certificate; accepted is ca.subject\n"},
    {register_thing, "${csr}", "${certificate_id}",
	"20:46: ${certificate_id} does not go with the certificate's form in "
	"the template; accepted is ${csr}\n"},
    {claim_proxy, "Serial: \"${serial}\"", "Serial: \"${csr}\"",
	"19:46: ${csr} does not go with pattern claim, for which AWS IoT "
	"itself knows the certificate; accepted is it with pattern "
	"register-thing or bulk\n"},
    {register_thing, "Serial:", "serial:",
	"register.json:1:17: parameter Serial has no value; accepted is one in "
	"the lot's template.parameters or a Default\n"
	"register.json:1:17: the lot gives parameter serial, the template "
	"declares Serial; accepted is the name as it stands there\n"},
    {claim_bench, "Serial:", "SerialNo:",
	"fleet.json:1:17: the lot gives parameter SerialNo, the template "
	"declares Serial; accepted is the name as it stands there\n"},
    {register_thing, "name: \"d-${serial}\"", "name: \"e-${serial}\"",
	"register.json:4:5: the template names the thing \"d-SERIAL-1\", the "
	"lot \"e-SERIAL-1\"; accepted is the name that the lot's thing.name "
	"makes\n"},
    {register_thing, "${serial}\", Request", "${manifest.rev}\", Request",
	"manifest.csv:2:1: the template names the thing \"d-B\"; accepted is "
	"\"d-A1\", as the lot's thing.name has it\n"
	"manifest.csv:3:1: the template names the thing \"d-B\"; accepted is "
	"\"d-A2\", as the lot's thing.name has it\n"
	"manifest.csv:4:1: the template names the thing \"d-C\"; accepted is "
	"\"d-A3\", as the lot's thing.name has it\n"},
    {register_thing, "${serial}\", Request", "${manifest.no}\", Request",
	"manifest.csv:2:1: parameter Serial: ${manifest.no} is not known; "
	"accepted are serial, mac, lot, product, part_number, station, "
	"firmware_version, csr, certificate_id, certificate_pem, "
	"ca_certificate_pem and manifest.COLUMN with a column of the "
	"manifest\n*"},
    {register_thing, NULL, "readback: {ca: birth.pem}\n",
	"21:11: readback is not used: the template has no CACertificatePem; "
	"accepted is it with a template that has\n"},
    {jitp, "file: jitp.json", "file: register.json",
	"register.json:7:3: the certificate is not the one that AWS IoT has "
	"made or met; accepted with pattern jitp is CertificateId {\"Ref\": "
	"\"AWS::IoT::Certificate::Id\"}\n*"},
    /* authorities */
    {jitp, "certificate: ca.pem", "certificate: claim.pem",
	"claim.pem:1:1: the certificate may not sign others; accepted is one "
	"of an authority (CA:TRUE)\n"},
    {jitp, "certificate: ca.pem", "certificate: ca.key", "ca.key:1:1: *"},
    {jitp, "key: ca.key", "key: none.key",
	"21:8: key: there is no @/lots/L1/none.key; accepted is the file of "
	"the CA's private key\n"},
    {jitp, "key: ca.key\n", "key: ca.key\n  pin_file: ca.pass\n",
	"22:13: pin_file does not go with a key in a file; accepted is "
	"passphrase_file\n"},
    {jitp, "key: ca.key\n", "key: \"pkcs11:token=t;object=o\"\n",
	"21:8: key is in a PKCS#11 token and @/station.yaml has no pkcs11; "
	"accepted is a station with pkcs11: {module: PATH}\n"
	"20:3: pin_file is missing; a text of at most 511 bytes is "
	"accepted\n"},
    {jitp, "key: ca.key\n",
	"key: \"pkcs11:object=o?pin-value=1\"\n  passphrase_file: ca.pass\n"
	"  pin_file: ca.pass\n",
	"22:20: passphrase_file does not go with a key in a token; accepted is "
	"pin_file\n"
	"21:8: key \"pkcs11:object=o?pin-value=1\": the URI has a query; the "
	"PIN comes from pin_file, the module from station.yaml; accepted is "
	"pkcs11:token=TOKEN;object=OBJECT, or id= for object=, and the PIN in "
	"the file of pin_file\n"
	"21:8: key is in a PKCS#11 token and @/station.yaml has no pkcs11; "
	"accepted is a station with pkcs11: {module: PATH}\n"},
    {jitp, "valid_days: 20", "valid_days: 0",
	"22:15: valid_days is 0; a whole number from 1 to 36500 is "
	"accepted\n"},
    {jitp, "C: DE", "L: Berlin",
	"23:32: unknown key L; accepted are CN, C, O, OU, DNQ, ST, SN\n"},
    {jitp, "CN: \"d-${serial}\"", "CN: unit",
	"23:12: subject is the same for many units; accepted is a part with "
	"${serial} or ${mac}\n"},
    {jitp, "C: DE", "C: Germany",
	"manifest.csv:2:1: subject C \"Germany\" is not accepted; accepted are "
	"two letters A-Z\n"},
    {jitp, "C: DE",
	"O: "
	"0123456789012345678901234567890123456789012345678901234567890123456",
	"manifest.csv:2:1: subject O \"01234567890123456789012345678901234567"
	"89012345678901234567890123456\" is not accepted; accepted are 1 to 64 "
	"bytes\n"},
    {readback, "birth.pem", "claim.pem",
	"claim.pem:1:1: the certificate may not sign others; accepted is one "
	"of an authority (CA:TRUE)\n"},
    /* bulk */
    {bulk, "my-bucket", "My_bucket",
	"22:11: bucket \"My_bucket\" is not accepted; accepted are 3 to 63 of "
	"a-z 0-9 . -, the first a letter or digit\n"},
    {bulk, "lots/", "lots",
	"23:11: prefix \"lots\" does not end in /; accepted is a folder such "
	"as lots/\n"},
    {bulk, "lots/", "/lots/",
	"23:11: prefix \"/lots/\" is not accepted; accepted are 1 to 127 of "
	"A-Z a-z 0-9 ! _ . * ' ( ) / -, the first a letter or digit\n"},
    {bulk, "::123456789012:", "::123456789013:",
	"24:13: role_arn \"arn:aws:iam::123456789013:role/R\" is no role of "
	"the lot's account; accepted is arn:aws:iam::123456789012:role/"
	"NAME\n"},
};

static char *
changed(const char *lot, const char *find, const char *with)
{
	char *tail;

	if (find != NULL)
		return text_replaced(lot, find, with);
	if (asprintf(&tail, "%s%s", lot, with) < 0)
		exit(1);
	return tail;
}

/* The problems of the lot, without paths; owned. */
static char *
problems_of(const char *tail)
{
	char prefix[300];
	struct problems problems;
	char *said;

	lot_write(tail);
	problems_init(&problems);
	lot_bundle_free(lot_bundle_load(
	    &lot_config, scratch_path("lots/L1"), false, &problems));
	said = strdup(problems.text.data == NULL ? "" : problems.text.data);
	problems_free(&problems);
	if (said == NULL)
		exit(1);
	(void)snprintf(prefix, sizeof(prefix), "%s/lots/L1/", scratch_folder);
	return lines_stripped(lines_stripped(said, prefix), "lot.yaml:");
}

/* A star at the end stands for anything. */
static bool
is_said(const char *said, const char *wanted)
{
	size_t len = strlen(wanted);

	return len > 0 && wanted[len - 1] == '*'
		   ? strncmp(said, wanted, len - 1) == 0
		   : strcmp(said, wanted) == 0;
}

static void
test_says_what_is_wrong(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
		char *tail = changed(bad[at].lot, bad[at].find, bad[at].with);
		char *said = problems_of(tail);
		char *wanted = strdup(bad[at].problems);

		while (strstr(wanted, "@/") != NULL) {
			char *longer =
			    text_replaced(wanted, "@", scratch_folder);

			free(wanted);
			wanted = longer;
		}
		if (!is_said(said, wanted)) {
			print_message("%s!=\n%s", said, wanted);
			wrong++;
		}
		free(wanted);
		free(said);
		free(tail);
	}
	assert_int_equal(wrong, 0);
}

/* ---- warnings, freezing, the command's check ---- */

static const char config_yaml[] = "schema: 1\n"
				  "station: bench-1\n"
				  "site: here\n"
				  "state: state\n"
				  "slots: [{name: \"1\", usb: 1-1}]\n"
				  "clouds:\n"
				  "  - name: main\n"
				  "    account: 123456789012\n"
				  "    region: eu-west-1\n";

static void
test_check_of_one_lot(void **state)
{
	struct problems problems;
	const char *config = scratch_text("station.yaml", config_yaml);
	char *tail = text_replaced(jitp, "valid_days: 20", "valid_days: 400");

	(void)state;
	lot_write(tail);
	problems_init(&problems);
	assert_int_equal(lot_check_one(config, "L1", &problems), 0);
	assert_non_null(strstr(problems.warnings.data,
	    "/lots/L1/ca.pem:1:1: warning: the CA ends in "));
	assert_int_equal(problems.warning_count, 1);
	assert_int_equal(
	    lot_check_one(config, scratch_path("lots/L1"), &problems), 0);
	assert_int_equal(lot_check_one(config, "L9", &problems), -1);
	assert_non_null(strstr(problems.text.data,
	    "L9: the lot cannot be found: No such file or directory; accepted "
	    "is the name of a folder in "));
	assert_int_equal(problems.count, 1);
	problems_free(&problems);
	free(tail);
}

/* All that the lot names is copied, but nothing secret. */
static void
test_copies_stand_alone(void **state)
{
	static const char *const lots[] = {
	    claim_bench, register_thing, readback, jitp, bulk};
	static const char *const secrets[] = {
	    "claim.key", "wifi.password", "ca.key", "ca.pass"};

	(void)state;
	for (size_t at = 0; at < sizeof(lots) / sizeof(lots[0]); at++) {
		struct problems problems;
		struct lot_bundle *first = bundle_open(lots[at]);
		struct lot_bundle *second;

		assert_non_null(first);
		problems_init(&problems);
		assert_int_equal(lot_freeze(&lot_config, first, &problems), 0);
		for (size_t n = 0; n < 4; n++) {
			char path[64];

			(void)snprintf(
			    path, sizeof(path), "state/lots/L1/%s", secrets[n]);
			assert_int_equal(access(scratch_path(path), F_OK), -1);
		}
		assert_int_equal(rename(scratch_path("lots/L1/register.json"),
				     scratch_path("lots/L1/register.kept")),
		    0);
		second = lot_bundle_load(
		    &lot_config, first->image.frozen, true, &problems);
		if (second == NULL)
			print_message("%s", problems.text.data);
		assert_non_null(second);
		assert_int_equal(lot_frozen_match(second, &problems), 0);
		memcpy(second->image.folder, first->image.folder,
		    sizeof(first->image.folder));
		assert_memory_equal(
		    &second->image, &first->image, sizeof(first->image));
		assert_int_equal(rename(scratch_path("lots/L1/register.kept"),
				     scratch_path("lots/L1/register.json")),
		    0);
		problems_free(&problems);
		lot_bundle_free(first);
		lot_bundle_free(second);
		(void)nftw(scratch_path("state"), scratch_remove, 16,
		    FTW_DEPTH | FTW_PHYS);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_every_pattern),
	    cmocka_unit_test(test_keys_of_claims),
	    cmocka_unit_test(test_keys_of_templates),
	    cmocka_unit_test(test_keys_of_authorities),
	    cmocka_unit_test(test_keys_of_keys),
	    cmocka_unit_test(test_says_what_is_wrong),
	    cmocka_unit_test(test_check_of_one_lot),
	    cmocka_unit_test(test_copies_stand_alone),
	};

	return cmocka_run_group_tests(tests, group_open, lot_scratch_close);
}
