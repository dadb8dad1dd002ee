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
	return service == SERVICE_STS ? "sts" : "iot";
}
