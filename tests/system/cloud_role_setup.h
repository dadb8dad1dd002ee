/* Reads the clouds and lots of a set-up for cloud_role.c. */
#ifndef CLOUD_ROLE_SETUP_H
#define CLOUD_ROLE_SETUP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/file.h"
#include "lot/config.h"
#include "lot/lot.h"
#include "lot/plan.h"

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

static void
text_take(char *to, size_t size, const json_t *object, const char *name)
{
	if (text_copy(to, size, text_of(object, name)) == -1)
		die("%s is too long", name);
}

static int64_t
number_of(const json_t *object, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static void
iot_read(struct config_iot_provider *iot, const json_t *json)
{
	text_take(iot->endpoint, sizeof(iot->endpoint), json, "endpoint");
	text_take(iot->role_alias, sizeof(iot->role_alias), json, "role_alias");
	text_take(
	    iot->certificate, sizeof(iot->certificate), json, "certificate");
	text_take(iot->key, sizeof(iot->key), json, "key");
	text_take(iot->thing, sizeof(iot->thing), json, "thing");
}

static void
cloud_read(struct config_cloud *cloud, const json_t *json)
{
	const char *name;
	json_t *rate;

	text_take(cloud->name, sizeof(cloud->name), json, "name");
	text_take(cloud->account, sizeof(cloud->account), json, "account");
	text_take(cloud->region, sizeof(cloud->region), json, "region");
	text_take(cloud->endpoint, sizeof(cloud->endpoint), json, "endpoint");
	text_take(cloud->sts_endpoint, sizeof(cloud->sts_endpoint), json,
	    json_object_get(json, "sts_endpoint") != NULL ? "sts_endpoint"
							  : "endpoint");
	iot_read(&cloud->iot, json_object_get(json, "iot"));
	text_take(cloud->s3_endpoint, sizeof(cloud->s3_endpoint), json,
	    "s3_endpoint");
	text_take(cloud->ca_file, sizeof(cloud->ca_file), json, "ca_file");
	text_take(cloud->credentials_file, sizeof(cloud->credentials_file),
	    json, "credentials_file");
	text_take(cloud->credentials_profile,
	    sizeof(cloud->credentials_profile), json, "credentials_profile");
	cloud->credentials =
	    (uint32_t)number_of(json, "credentials", CREDENTIAL_DEFAULT);
	cloud->share_percent = (uint32_t)number_of(json, "share_percent", 80);
	json_object_foreach (json_object_get(json, "rates"), name, rate) {
		struct config_rate *to = &cloud->rates[cloud->rate_count];

		if (++cloud->rate_count > RATES_MAX)
			die("there are more than %d rates", RATES_MAX);
		text_copy(to->operation, sizeof(to->operation), name);
		to->per_second_milli = (uint32_t)json_integer_value(rate);
	}
}

static int
config_seal(const json_t *setup)
{
	static struct station_config config;
	const json_t *clouds = json_object_get(setup, "clouds");
	struct fault fault = {0};
	int fd;

	config.magic = CONFIG_MAGIC;
	config.size = sizeof(config);
	text_take(config.station, sizeof(config.station), setup, "station");
	config.cloud_count = (uint32_t)json_array_size(clouds);
	for (uint32_t i = 0; i < config.cloud_count; i++)
		cloud_read(&config.clouds[i], json_array_get(clouds, i));
	fd = file_seal("config", &config, sizeof(config), &fault);
	if (fd == -1)
		die("%s", fault.text);
	return fd;
}

static void
lot_read_pattern(struct lot_image *lot, const json_t *json)
{
	static const char *const forms[] = {"", "csr", "id", "pem"};
	const char *pattern = text_of(json, "pattern");

	while (lot->pattern < PATTERN_COUNT &&
	       strcmp(pattern_name((enum pattern)lot->pattern), pattern) != 0)
		lot->pattern++;
	while (lot->ending < ENDING_COUNT &&
	       strcmp(ending_name((enum ending)lot->ending),
		   text_of(json, "ending")) != 0)
		lot->ending++;
	while (lot->form < 4 &&
	       strcmp(forms[lot->form], text_of(json, "form")) != 0)
		lot->form++;
	if (lot->pattern == PATTERN_COUNT || lot->ending == ENDING_COUNT ||
	    lot->form == 4)
		die("pattern %s, its ending or its form is none", pattern);
	lot->activate_at_issue =
	    (uint32_t)number_of(json, "activate_at_issue", 0);
	lot->lambda_activates =
	    (uint32_t)number_of(json, "lambda_activates", 0);
	lot->keys_by_cloud = (uint32_t)number_of(json, "keys_by_cloud", 0);
	lot->steps = plan_steps(lot);
}

static void
lot_read_template(struct lot_image *lot, const json_t *json)
{
	const char *name;
	json_t *rule;

	text_take(lot->template_name, sizeof(lot->template_name), json,
	    "template_name");
	text_take(lot->template_body, sizeof(lot->template_body), json,
	    "template_body");
	json_object_foreach (json_object_get(json, "parameters"), name, rule) {
		struct lot_parameter *to =
		    &lot->parameters[lot->parameter_count++];

		text_copy(to->name, sizeof(to->name), name);
		text_copy(to->rule, sizeof(to->rule), json_string_value(rule));
	}
}

static void
lot_read_authorities(struct lot_image *lot, const json_t *json)
{
	const char *name;
	json_t *rule;

	text_take(lot->root_ca, sizeof(lot->root_ca), json, "root_ca");
	text_take(lot->claim_certificate, sizeof(lot->claim_certificate), json,
	    "claim_certificate");
	text_take(
	    lot->readback_ca, sizeof(lot->readback_ca), json, "readback_ca");
	text_take(lot->ca.certificate, sizeof(lot->ca.certificate), json, "ca");
	json_object_foreach (json_object_get(json, "subject"), name, rule) {
		struct subject_part *to = &lot->ca.parts[lot->ca.part_count++];

		text_copy(to->name, sizeof(to->name), name);
		text_copy(
		    to->value, sizeof(to->value), json_string_value(rule));
	}
}

static void
lot_read_thing(struct lot_image *lot, const json_t *json)
{
	const json_t *groups = json_object_get(json, "groups");
	const char *name;
	json_t *rule;

	text_take(lot->thing_rule, sizeof(lot->thing_rule), json, "thing");
	if (lot->thing_rule[0] == '\0')
		text_copy(lot->thing_rule, sizeof(lot->thing_rule),
		    "device-${serial}");
	text_take(lot->thing_type, sizeof(lot->thing_type), json, "thing_type");
	text_take(lot->policy, sizeof(lot->policy), json, "policy");
	lot->group_count = (uint32_t)json_array_size(groups);
	for (uint32_t i = 0; i < lot->group_count; i++)
		text_copy(lot->groups[i], sizeof(lot->groups[i]),
		    json_string_value(json_array_get(groups, i)));
	json_object_foreach (json_object_get(json, "attributes"), name, rule) {
		struct lot_attribute *to =
		    &lot->attributes[lot->attribute_count++];

		text_copy(to->name, sizeof(to->name), name);
		text_copy(to->rule, sizeof(to->rule), json_string_value(rule));
	}
}

static int
lot_seal(const json_t *json)
{
	static struct lot_image lot;
	struct fault fault = {0};
	int fd;

	memset(&lot, 0, sizeof(lot));
	lot.magic = LOT_MAGIC;
	lot.size = sizeof(lot);
	text_take(lot.name, sizeof(lot.name), json, "name");
	text_take(lot.cloud, sizeof(lot.cloud), json, "cloud");
	text_take(lot.account, sizeof(lot.account), json, "account");
	text_take(lot.endpoint, sizeof(lot.endpoint), json, "endpoint");
	text_take(lot.firmware_version, sizeof(lot.firmware_version), json,
	    "firmware");
	text_take(lot.bulk.bucket, sizeof(lot.bulk.bucket), json, "bucket");
	text_take(
	    lot.bulk.role_arn, sizeof(lot.bulk.role_arn), json, "role_arn");
	lot_read_pattern(&lot, json);
	lot_read_thing(&lot, json);
	lot_read_template(&lot, json);
	lot_read_authorities(&lot, json);
	fd = file_seal("lot", &lot, sizeof(lot), &fault);
	if (fd == -1)
		die("%s", fault.text);
	return fd;
}

#endif
