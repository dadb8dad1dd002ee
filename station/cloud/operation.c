#include "cloud/operation.h"

#include <string.h>

static const struct operation_row rows[OPERATION_COUNT] = {
    [OPERATION_GET_CALLER_IDENTITY] = {"GetCallerIdentity", SERVICE_STS,
	EFFECT_READ, "POST", "/", 10000},
    [OPERATION_CREATE_CERTIFICATE_FROM_CSR] = {"CreateCertificateFromCsr",
	SERVICE_IOT, EFFECT_ONCE, "POST", "/certificates", 15000},
    [OPERATION_LIST_CERTIFICATES] = {"ListCertificates", SERVICE_IOT,
	EFFECT_READ, "GET", "/certificates", 10000},
    [OPERATION_DESCRIBE_CERTIFICATE] = {"DescribeCertificate", SERVICE_IOT,
	EFFECT_READ, "GET", "/certificates/{}", 10000},
    [OPERATION_UPDATE_CERTIFICATE] = {"UpdateCertificate", SERVICE_IOT,
	EFFECT_REPEAT, "PUT", "/certificates/{}", 10000},
    [OPERATION_DELETE_CERTIFICATE] = {"DeleteCertificate", SERVICE_IOT,
	EFFECT_REPEAT, "DELETE", "/certificates/{}", 10000},
    [OPERATION_CREATE_THING] = {"CreateThing", SERVICE_IOT, EFFECT_REPEAT,
	"POST", "/things/{}", 100000},
    [OPERATION_DESCRIBE_THING] = {"DescribeThing", SERVICE_IOT, EFFECT_READ,
	"GET", "/things/{}", 350000},
    [OPERATION_UPDATE_THING] = {"UpdateThing", SERVICE_IOT, EFFECT_REPEAT,
	"PATCH", "/things/{}", 100000},
    [OPERATION_ATTACH_POLICY] = {"AttachPolicy", SERVICE_IOT, EFFECT_REPEAT,
	"PUT", "/target-policies/{}", 15000},
    [OPERATION_DETACH_POLICY] = {"DetachPolicy", SERVICE_IOT, EFFECT_REPEAT,
	"POST", "/target-policies/{}", 15000},
    [OPERATION_ATTACH_THING_PRINCIPAL] = {"AttachThingPrincipal", SERVICE_IOT,
	EFFECT_REPEAT, "PUT", "/things/{}/principals", 100000},
    [OPERATION_DETACH_THING_PRINCIPAL] = {"DetachThingPrincipal", SERVICE_IOT,
	EFFECT_REPEAT, "DELETE", "/things/{}/principals", 100000},
    [OPERATION_ADD_THING_TO_THING_GROUP] = {"AddThingToThingGroup", SERVICE_IOT,
	EFFECT_REPEAT, "PUT", "/thing-groups/addThingToThingGroup", 100000},
    [OPERATION_LIST_THING_PRINCIPALS] = {"ListThingPrincipals", SERVICE_IOT,
	EFFECT_READ, "GET", "/things/{}/principals", 20000},
    [OPERATION_LIST_PRINCIPAL_THINGS] = {"ListPrincipalThings", SERVICE_IOT,
	EFFECT_READ, "GET", "/principals/things", 10000},
    [OPERATION_REGISTER_THING] = {"RegisterThing", SERVICE_IOT, EFFECT_ONCE,
	"POST", "/things", 10000},
    /* A second registration of one certificate is refused as such. */
    [OPERATION_REGISTER_CERTIFICATE] = {"RegisterCertificate", SERVICE_IOT,
	EFFECT_REPEAT, "POST", "/certificate/register", 10000},
    [OPERATION_REGISTER_CERTIFICATE_WITHOUT_CA] =
	{"RegisterCertificateWithoutCA", SERVICE_IOT, EFFECT_REPEAT, "POST",
	    "/certificate/register-no-ca", 10000},
    [OPERATION_DESCRIBE_CA_CERTIFICATE] = {"DescribeCACertificate", SERVICE_IOT,
	EFFECT_READ, "GET", "/cacertificate/{}", 10000},
    [OPERATION_DESCRIBE_PROVISIONING_TEMPLATE] =
	{"DescribeProvisioningTemplate", SERVICE_IOT, EFFECT_READ, "GET",
	    "/provisioning-templates/{}", 10000},
    /* A claim that nobody heard of ends by itself, within five minutes. */
    [OPERATION_CREATE_PROVISIONING_CLAIM] = {"CreateProvisioningClaim",
	SERVICE_IOT, EFFECT_REPEAT, "POST",
	"/provisioning-templates/{}/provisioning-claim", 10000},
    [OPERATION_GET_POLICY] = {"GetPolicy", SERVICE_IOT, EFFECT_READ, "GET",
	"/policies/{}", 10000},
    [OPERATION_DESCRIBE_THING_TYPE] = {"DescribeThingType", SERVICE_IOT,
	EFFECT_READ, "GET", "/thing-types/{}", 100000},
    [OPERATION_DESCRIBE_THING_GROUP] = {"DescribeThingGroup", SERVICE_IOT,
	EFFECT_READ, "GET", "/thing-groups/{}", 100000},
    [OPERATION_START_THING_REGISTRATION_TASK] = {"StartThingRegistrationTask",
	SERVICE_IOT, EFFECT_ONCE, "POST", "/thing-registration-tasks", 10000},
    [OPERATION_DESCRIBE_THING_REGISTRATION_TASK] =
	{"DescribeThingRegistrationTask", SERVICE_IOT, EFFECT_READ, "GET",
	    "/thing-registration-tasks/{}", 10000},
    [OPERATION_LIST_THING_REGISTRATION_TASKS] = {"ListThingRegistrationTasks",
	SERVICE_IOT, EFFECT_READ, "GET", "/thing-registration-tasks", 10000},
    [OPERATION_LIST_THING_REGISTRATION_TASK_REPORTS] =
	{"ListThingRegistrationTaskReports", SERVICE_IOT, EFFECT_READ, "GET",
	    "/thing-registration-tasks/{}/reports", 10000},
    [OPERATION_HEAD_OBJECT] = {"HeadObject", SERVICE_S3, EFFECT_READ, "HEAD",
	"/{}", 100000},
    [OPERATION_PUT_OBJECT] = {"PutObject", SERVICE_S3, EFFECT_REPEAT, "PUT",
	"/{}", 100000},
    [OPERATION_MQTT_CREATE_CERTIFICATE_FROM_CSR] =
	{"mqtt:CreateCertificateFromCsr", SERVICE_IOT, EFFECT_ONCE, NULL, NULL,
	    20000},
    [OPERATION_MQTT_CREATE_KEYS_AND_CERTIFICATE] =
	{"mqtt:CreateKeysAndCertificate", SERVICE_IOT, EFFECT_ONCE, NULL, NULL,
	    10000},
    [OPERATION_MQTT_REGISTER_THING] = {"mqtt:RegisterThing", SERVICE_IOT,
	EFFECT_REPEAT, NULL, NULL, 10000},
};

const struct operation_row *
operation_row(enum operation operation)
{
	return &rows[operation];
}

enum operation
operation_by_name(const char *name)
{
	int operation = 0;

	while (operation < OPERATION_COUNT &&
	       strcmp(rows[operation].name, name) != 0)
		operation++;
	return (enum operation)operation;
}

const char *
service_signing_name(enum service service)
{
	static const char *const names[SERVICE_COUNT] = {
	    [SERVICE_IOT] = "iot", [SERVICE_STS] = "sts", [SERVICE_S3] = "s3"};

	return names[service];
}
