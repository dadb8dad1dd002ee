#include "lot/config_parts.h"

#include <stdio.h>
#include <string.h>

#include "lot/name.h"

/* The calls whose rate may be set: those of the table in cloud/operation.c,
 * and what units spend by MQTT. */
static const char *const operations[] = {"AddThingToThingGroup", "AttachPolicy",
    "AttachThingPrincipal", "CreateCertificateFromCsr",
    "CreateProvisioningClaim", "CreateThing", "DeleteCertificate",
    "DescribeCACertificate", "DescribeCertificate",
    "DescribeProvisioningTemplate", "DescribeThing", "DescribeThingGroup",
    "DescribeThingRegistrationTask", "DescribeThingType", "DetachPolicy",
    "DetachThingPrincipal", "GetCallerIdentity", "GetPolicy", "HeadObject",
    "ListCertificates", "ListPrincipalThings", "ListThingPrincipals",
    "ListThingRegistrationTaskReports", "ListThingRegistrationTasks",
    "PutObject", "RegisterCertificate", "RegisterCertificateWithoutCA",
    "RegisterThing", "StartThingRegistrationTask", "UpdateCertificate",
    "UpdateThing", "mqtt:CreateCertificateFromCsr",
    "mqtt:CreateKeysAndCertificate", "mqtt:RegisterThing", NULL};

static bool
is_operation(const char *name)
{
	for (size_t at = 0; operations[at] != NULL; at++)
		if (text_equal(operations[at], name))
			return true;
	return false;
}

/* "https://HOST[:PORT]" and nothing behind it. */
static void
read_endpoint(struct config_reader *reader, struct yaml_node *map,
    const char *key, bool required, char *to, size_t size)
{
	static const char scheme[] = "https://";
	const size_t scheme_len = sizeof(scheme) - 1;
	size_t len;

	if (yaml_get_text(reader->document, map, key, required, to, size,
		reader->problems) != 0)
		return;
	len = strlen(to);
	if (len > scheme_len && to[len - 1] == '/')
		to[--len] = '\0';
	if (strncmp(to, scheme, scheme_len) == 0 &&
	    name_matches(NAME_HOST, to + scheme_len, len - scheme_len))
		return;
	yaml_problem(reader->document, yaml_get(map, key), reader->problems,
	    "%s \"%s\" is not accepted; accepted is https://HOST or "
	    "https://HOST:PORT, without a path",
	    key, to);
}

/* In the order of enum credential_source. */
static const char *const sources[] = {"environment", "file", "default", "role",
    "web-identity", "process", "container", "instance", "iot", NULL};

/* Keys that belong to other sources than the one that is named. */
static void
check_source_keys(struct config_reader *reader, struct yaml_node *node,
    enum credential_source source)
{
	static const char *const provider_keys[] = {
	    "endpoint", "role_alias", "certificate", "key", "thing"};
	static const char *const file_keys[] = {"file", "profile"};
	bool files = source != CREDENTIAL_ENVIRONMENT &&
		     source != CREDENTIAL_CONTAINER &&
		     source != CREDENTIAL_INSTANCE && source != CREDENTIAL_IOT;

	for (size_t at = 0; at < 2; at++)
		if (!files && yaml_get(node, file_keys[at]) != NULL)
			yaml_problem(reader->document,
			    yaml_get(node, file_keys[at]), reader->problems,
			    "source %s stands with %s; accepted is %s with "
			    "sources that read the shared files",
			    sources[source], file_keys[at], file_keys[at]);
	for (size_t at = 0; at < 5; at++)
		if (source != CREDENTIAL_IOT &&
		    yaml_get(node, provider_keys[at]) != NULL)
			yaml_problem(reader->document,
			    yaml_get(node, provider_keys[at]), reader->problems,
			    "source %s stands with %s; accepted is %s with "
			    "source iot",
			    sources[source], provider_keys[at],
			    provider_keys[at]);
}

static void
read_file(struct config_reader *reader, struct yaml_node *map, const char *key,
    bool required, char *to, size_t size)
{
	if (config_get_path(reader, map, key, required, to, size) == 0)
		config_check_exists(reader, map, key, to, false);
}

static void
read_iot_provider(struct config_reader *reader, struct yaml_node *map,
    struct config_iot_provider *iot)
{
	read_endpoint(reader, map, "endpoint", true, iot->endpoint,
	    sizeof(iot->endpoint));
	name_get(reader->document, map, "role_alias", true, NAME_POLICY,
	    iot->role_alias, sizeof(iot->role_alias), reader->problems);
	read_file(reader, map, "certificate", true, iot->certificate,
	    sizeof(iot->certificate));
	read_file(reader, map, "key", true, iot->key, sizeof(iot->key));
	name_get(reader->document, map, "thing", false, NAME_THING, iot->thing,
	    sizeof(iot->thing), reader->problems);
}

static void
read_credentials(struct config_reader *reader, struct yaml_node *map,
    struct config_cloud *cloud)
{
	int source = CREDENTIAL_DEFAULT;
	struct yaml_node *node = yaml_get_map(
	    reader->document, map, "credentials", false, reader->problems);

	cloud->credentials = CREDENTIAL_DEFAULT;
	if (node == NULL)
		return;
	yaml_get_choice(reader->document, node, "source", true, sources,
	    &source, reader->problems);
	cloud->credentials = (uint32_t)source;
	check_source_keys(reader, node, (enum credential_source)source);
	read_file(reader, node, "file", false, cloud->credentials_file,
	    sizeof(cloud->credentials_file));
	name_get(reader->document, node, "profile", false, NAME_PLAIN,
	    cloud->credentials_profile, sizeof(cloud->credentials_profile),
	    reader->problems);
	if (source == CREDENTIAL_IOT)
		read_iot_provider(reader, node, &cloud->iot);
	yaml_map_finish(reader->document, node, reader->problems);
}

static void
read_rates(struct config_reader *reader, struct yaml_node *map,
    struct config_cloud *cloud)
{
	struct yaml_node *rates = yaml_get_map(
	    reader->document, map, "rates", false, reader->problems);

	if (rates == NULL)
		return;
	if (rates->children > RATES_MAX)
		yaml_problem(reader->document, rates, reader->problems,
		    "there are %zu rates; accepted are up to %d",
		    rates->children, RATES_MAX);
	for (struct yaml_node *node = rates->child; node != NULL;
	     node = node->next) {
		int64_t per_second_milli = 0;
		struct config_rate *rate;

		/* A name that is no operation stays unknown. */
		if (!is_operation(node->key))
			continue;
		if (yaml_get_milli(reader->document, rates, node->key, true,
			100, 100000000, &per_second_milli,
			reader->problems) != 0 ||
		    cloud->rate_count == RATES_MAX)
			continue;
		rate = &cloud->rates[cloud->rate_count++];
		text_copy(rate->operation, sizeof(rate->operation), node->key);
		rate->per_second_milli = (uint32_t)per_second_milli;
	}
	/* So that an unknown name is answered with all that are accepted. */
	for (size_t at = 0; operations[at] != NULL; at++)
		yaml_get(rates, operations[at]);
	yaml_map_finish(reader->document, rates, reader->problems);
}

static void
read_cloud(struct config_reader *reader, struct yaml_node *node)
{
	int64_t share = 100;
	struct station_config *config = reader->config;
	struct config_cloud *cloud;

	if (node->kind != YAML_KIND_MAP) {
		yaml_problem(reader->document, node, reader->problems,
		    "a cloud profile is not a map; accepted is a map with "
		    "name, account and region");
		return;
	}
	if (config->cloud_count == CLOUDS_MAX)
		return;
	cloud = &config->clouds[config->cloud_count];
	name_get(reader->document, node, "name", true, NAME_PLAIN, cloud->name,
	    sizeof(cloud->name), reader->problems);
	name_get(reader->document, node, "account", true, NAME_ACCOUNT,
	    cloud->account, sizeof(cloud->account), reader->problems);
	name_get(reader->document, node, "region", true, NAME_REGION,
	    cloud->region, sizeof(cloud->region), reader->problems);
	read_endpoint(reader, node, "endpoint", false, cloud->endpoint,
	    sizeof(cloud->endpoint));
	read_endpoint(reader, node, "sts_endpoint", false, cloud->sts_endpoint,
	    sizeof(cloud->sts_endpoint));
	read_endpoint(reader, node, "s3_endpoint", false, cloud->s3_endpoint,
	    sizeof(cloud->s3_endpoint));
	read_file(reader, node, "ca_file", false, cloud->ca_file,
	    sizeof(cloud->ca_file));
	read_credentials(reader, node, cloud);
	yaml_get_integer(reader->document, node, "share_percent", false, 1, 100,
	    &share, reader->problems);
	cloud->share_percent = (uint32_t)share;
	read_rates(reader, node, cloud);
	yaml_map_finish(reader->document, node, reader->problems);
	if (cloud->name[0] != '\0' &&
	    config_cloud_find(config, cloud->name) != NULL)
		yaml_problem(reader->document, node, reader->problems,
		    "cloud profile \"%s\" is there twice; accepted is one a "
		    "name",
		    cloud->name);
	config->cloud_count++;
}

void
config_read_clouds(struct config_reader *reader, struct yaml_node *root)
{
	struct yaml_node *list = yaml_get_list(
	    reader->document, root, "clouds", true, reader->problems);

	if (list == NULL)
		return;
	if (list->children == 0 || list->children > CLOUDS_MAX)
		yaml_problem(reader->document, list, reader->problems,
		    "there are %zu cloud profiles; accepted are 1 to %d",
		    list->children, CLOUDS_MAX);
	for (struct yaml_node *node = list->child; node != NULL;
	     node = node->next)
		read_cloud(reader, node);
}
