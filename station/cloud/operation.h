/*
 * The AWS operations that the station calls: one table, one row each.
 *
 * Methods, paths and members are those of the service models iot-2015-05-28,
 * sts-2011-06-15 and s3-2006-03-01 (with the bucket in the path). The quotas
 * are AWS's defaults for one account and Region
 * ("AWS IoT Core control plane API limits", AWS General Reference); a
 * configuration may say otherwise.
 */
#ifndef CLOUD_OPERATION_H
#define CLOUD_OPERATION_H

#include <stdbool.h>
#include <stdint.h>

enum operation {
	OPERATION_GET_CALLER_IDENTITY,
	OPERATION_CREATE_CERTIFICATE_FROM_CSR,
	OPERATION_LIST_CERTIFICATES,
	OPERATION_DESCRIBE_CERTIFICATE,
	OPERATION_UPDATE_CERTIFICATE,
	OPERATION_DELETE_CERTIFICATE,
	OPERATION_CREATE_THING,
	OPERATION_DESCRIBE_THING,
	OPERATION_UPDATE_THING,
	OPERATION_ATTACH_POLICY,
	OPERATION_DETACH_POLICY,
	OPERATION_ATTACH_THING_PRINCIPAL,
	OPERATION_DETACH_THING_PRINCIPAL,
	OPERATION_ADD_THING_TO_THING_GROUP,
	OPERATION_LIST_THING_PRINCIPALS,
	OPERATION_LIST_PRINCIPAL_THINGS,
	OPERATION_REGISTER_THING,
	OPERATION_REGISTER_CERTIFICATE,
	OPERATION_REGISTER_CERTIFICATE_WITHOUT_CA,
	OPERATION_DESCRIBE_CA_CERTIFICATE,
	OPERATION_DESCRIBE_PROVISIONING_TEMPLATE,
	OPERATION_CREATE_PROVISIONING_CLAIM,
	OPERATION_GET_POLICY,
	OPERATION_DESCRIBE_THING_TYPE,
	OPERATION_DESCRIBE_THING_GROUP,
	OPERATION_START_THING_REGISTRATION_TASK,
	OPERATION_DESCRIBE_THING_REGISTRATION_TASK,
	OPERATION_LIST_THING_REGISTRATION_TASKS,
	OPERATION_LIST_THING_REGISTRATION_TASK_REPORTS,
	OPERATION_HEAD_OBJECT,
	OPERATION_PUT_OBJECT,
	/* Fleet provisioning over MQTT: paced like calls, never sent as one. */
	OPERATION_MQTT_CREATE_CERTIFICATE_FROM_CSR,
	OPERATION_MQTT_CREATE_KEYS_AND_CERTIFICATE,
	OPERATION_MQTT_REGISTER_THING,
	OPERATION_COUNT
};

enum service {
	SERVICE_IOT,
	SERVICE_STS,
	SERVICE_S3,
	SERVICE_COUNT
};

enum operation_effect {
	EFFECT_READ,   /* changes nothing */
	EFFECT_REPEAT, /* a second call leaves what one call leaves */
	EFFECT_ONCE, /* each call makes another thing: never repeated blindly */
};

struct operation_row {
	const char *name; /* AWS's own */
	enum service service;
	enum operation_effect effect;
	const char *method;   /* null: not HTTP */
	const char *path;     /* "{}" stands for the label */
	uint32_t quota_milli; /* calls a second, times 1000 */
};
const struct operation_row *operation_row(enum operation);
/* OPERATION_COUNT when no operation has that name. */
enum operation operation_by_name(const char *);

/*
 * The service's name in the credential scope of a signature. The control
 * plane of AWS IoT is documented as `iot`; models before 2023 sign as
 * `execute-api`, the name of the gateway in front of it, which AWS takes as
 * well.
 */
const char *service_signing_name(enum service);

#endif
