/*
 * Any bytes as a provisioning template: read, held against lots of each
 * pattern that has one, evaluated and rewritten.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lot/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lot_image image;
static struct template_thing thing;

static void
image_make(enum pattern pattern)
{
	static const struct lot_parameter parameters[] = {
	    {"SerialNumber", "${serial}"}, {"FirmwareVersion", "1.0"},
	    {"CSR", "${csr}"}};
	static const struct subject_part parts[] = {
	    {"CN", "${serial}"}, {"C", "DE"}, {"SN", "${serial}"}};

	memset(&image, 0, sizeof(image));
	image.pattern = (uint32_t)pattern;
	memcpy(image.parameters, parameters, sizeof(parameters));
	image.parameter_count = 3;
	memcpy(image.ca.parts, parts, sizeof(parts));
	image.ca.part_count = 3;
	text_copy(image.thing_rule, sizeof(image.thing_rule), "d-${serial}");
	text_copy(image.thing_type, sizeof(image.thing_type), "T");
}

static void
template_use(const struct template *template, const char *body)
{
	static const enum pattern patterns[] = {PATTERN_CLAIM,
	    PATTERN_TRUSTED_USER, PATTERN_REGISTER_THING, PATTERN_JITP,
	    PATTERN_BULK};
	static const struct lot_unit unit = {.station = "s",
	    .serial = "A1",
	    .mac = "02:00:00:00:00:01",
	    .extra = "{}"};
	static char out[TEMPLATE_BODY_LEN];
	struct template_values values = {.count = 0};
	struct problems problems;
	struct fault fault;

	for (size_t at = 0; at < sizeof(patterns) / sizeof(patterns[0]); at++) {
		image_make(patterns[at]);
		problems_init(&problems);
		if ((template_matches_lot(template, &image, &problems) == 0) !=
		    (problems.count == 0))
			abort();
		problems_free(&problems);
		if (template_values_make(&values, &image, &unit, &fault) == 0)
			(void)template_evaluate(
			    template, &values, &thing, &fault);
	}
	template_values_free(&values);
	template_literals(template, &thing);
	if (!template_same(template, template))
		abort();
	if (template_by_certificate_id(body, "abc", out, &fault) == 0 &&
	    strstr(out, "\"CertificateId\":\"abc\"") == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems;
	struct template *template;
	char *body = malloc(size + 1);

	if (body == NULL)
		abort();
	memcpy(body, data, size);
	body[size] = '\0';
	problems_init(&problems);
	template = template_parse("t", body, size, &problems);
	if ((template == NULL) == (problems.count == 0))
		abort();
	if (template != NULL && strlen(body) == size)
		template_use(template, body);
	template_free(template);
	problems_free(&problems);
	free(body);
	return 0;
}
