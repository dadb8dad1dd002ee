#include "cloud/preflight.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cloud/pattern.h"
#include "lot/plan.h"
#include "pki/certificate.h"

static void preflight_next(struct task *task);

static const struct preflight_row {
	const char *noun;
	const char *remedy; /* when AWS has none of that name */
	enum operation operation;
	int (*judge)(struct task *, const char *name, struct fault *);
} rows[PREFLIGHT_KIND_COUNT] = {
    [PREFLIGHT_POLICY] = {"policy",
	"create it there, or correct the name in the lot or its template",
	OPERATION_GET_POLICY, NULL},
    [PREFLIGHT_THING_TYPE] = {"thing type",
	"create it there, or correct the name in the lot or its template",
	OPERATION_DESCRIBE_THING_TYPE, preflight_judge_type},
    [PREFLIGHT_THING_GROUP] = {"thing group",
	"create it there, or correct the name in the lot or its template",
	OPERATION_DESCRIBE_THING_GROUP, preflight_judge_group},
    [PREFLIGHT_TEMPLATE] = {"provisioning template",
	"create it there, or correct template.name of the lot",
	OPERATION_DESCRIBE_PROVISIONING_TEMPLATE, preflight_judge_template},
    [PREFLIGHT_CLAIM] = {"claim certificate",
	"register it there with its policy, or correct claim.certificate of "
	"the lot",
	OPERATION_DESCRIBE_CERTIFICATE, preflight_judge_claim},
    [PREFLIGHT_CA] = {"CA certificate",
	"register it there, or correct the lot's CA",
	OPERATION_DESCRIBE_CA_CERTIFICATE, preflight_judge_ca},
    [PREFLIGHT_BUCKET] = {"S3 bucket",
	"create it there, or correct bulk.bucket of the lot",
	OPERATION_HEAD_OBJECT, NULL},
};

/* ---- the list ---- */

void
preflight_add(
    struct preflight *preflight, enum preflight_kind kind, const char *name)
{
	struct preflight_check *check = &preflight->checks[preflight->count];

	if (name[0] == '\0' || preflight->count == PREFLIGHT_CHECKS_MAX)
		return;
	for (uint32_t at = 0; at < preflight->count; at++)
		if (preflight->checks[at].kind == kind &&
		    strcmp(preflight->checks[at].name, name) == 0)
			return;
	if (text_copy(check->name, sizeof(check->name), name) == -1)
		return;
	check->kind = kind;
	preflight->count++;
}

static void
value_add(struct preflight *preflight, enum preflight_kind kind,
    const json_t *properties, const char *name)
{
	const char *value =
	    json_string_value(json_object_get(properties, name));

	if (value != NULL)
		preflight_add(preflight, kind, value);
}

/* What a function or a parameter makes is known for each unit only. */
void
preflight_add_template(struct preflight *preflight, const char *body)
{
	json_t *template = json_loads(body, 0, NULL);
	json_t *resource, *group;
	const char *name;
	size_t at;

	json_object_foreach (
	    json_object_get(template, "Resources"), name, resource) {
		const json_t *properties =
		    json_object_get(resource, "Properties");

		value_add(
		    preflight, PREFLIGHT_POLICY, properties, "PolicyName");
		value_add(preflight, PREFLIGHT_THING_TYPE, properties,
		    "ThingTypeName");
		json_array_foreach (
		    json_object_get(properties, "ThingGroups"), at, group)
			if (json_is_string(group))
				preflight_add(preflight, PREFLIGHT_THING_GROUP,
				    json_string_value(group));
	}
	json_decref(template);
}

static void
certificate_add(
    struct preflight *preflight, enum preflight_kind kind, const char *pem)
{
	struct certificate certificate;

	if (pem[0] != '\0' && certificate_parse(pem, strlen(pem), CAUSE_BAD_LOT,
				  &certificate, NULL) == 0)
		preflight_add(preflight, kind, certificate.id);
}

/* What the lot itself names; with jitp, its CA leads to the template. */
static void
preflight_plan(struct preflight *preflight, const struct lot_image *lot)
{
	preflight_add(preflight, PREFLIGHT_THING_TYPE, lot->thing_type);
	for (uint32_t at = 0; at < lot->group_count; at++)
		preflight_add(
		    preflight, PREFLIGHT_THING_GROUP, lot->groups[at]);
	preflight_add(preflight, PREFLIGHT_POLICY, lot->policy);
	if (lot->pattern == PATTERN_REGISTER_THING ||
	    lot->pattern == PATTERN_BULK)
		preflight_add_template(preflight, lot->template_body);
	else if (lot->pattern != PATTERN_JITP)
		preflight_add(
		    preflight, PREFLIGHT_TEMPLATE, lot->template_name);
	if (lot->pattern == PATTERN_BULK)
		preflight_add(preflight, PREFLIGHT_BUCKET, lot->bulk.bucket);
	if (lot->pattern == PATTERN_CLAIM)
		certificate_add(
		    preflight, PREFLIGHT_CLAIM, lot->claim_certificate);
	if (plan_signs(lot))
		certificate_add(preflight, PREFLIGHT_CA, lot->ca.certificate);
	else
		certificate_add(preflight, PREFLIGHT_CA, lot->readback_ca);
}

/* ---- the walk ---- */

/* Also for requests that come later: they get the same answer. */
static void
preflight_fail(struct task *task, const struct fault *fault)
{
	task->lot->fault = *fault;
	task_fail(task, fault);
}

static bool
check_absent(const struct call *call, enum preflight_kind kind)
{
	/* S3 answers HEAD without a body that could name the error. */
	return kind == PREFLIGHT_BUCKET
		   ? call->exchange.status == 404
		   : call_refused_as(call, "ResourceNotFound");
}

/* Rights to write objects do not include to see their bucket. */
static bool
check_hidden(const struct call *call, enum preflight_kind kind)
{
	return kind == PREFLIGHT_BUCKET && call->exchange.status == 403;
}

static void
check_read(struct task *task)
{
	struct preflight *preflight = task->state;
	const struct preflight_check *check =
	    &preflight->checks[preflight->next];
	const struct preflight_row *row = &rows[check->kind];
	const struct config_cloud *cloud = task->lot->account->cloud;
	struct fault fault = {0};

	if (check_absent(&task->call, check->kind))
		fault_set(&fault, CAUSE_BAD_LOT,
		    "there is no %s %s in account %s, Region %s: %s", row->noun,
		    check->name, cloud->account, cloud->region, row->remedy);
	else if (task->call.fault.cause != CAUSE_NONE &&
		 !check_hidden(&task->call, check->kind))
		fault = task->call.fault;
	else if (row->judge != NULL)
		row->judge(task, check->name, &fault);
	if (fault.cause != CAUSE_NONE) {
		fault_prefix(&fault, "lot %s", task->lot->image->name);
		text_copy(fault.request_id, sizeof(fault.request_id),
		    task->call.request_id);
		preflight_fail(task, &fault);
		return;
	}
	preflight->next++;
	preflight_next(task);
}

static void
preflight_next(struct task *task)
{
	struct preflight *preflight = task->state;
	const struct preflight_check *check =
	    &preflight->checks[preflight->next];

	if (preflight->next == preflight->count) {
		fault_clear(&task->lot->fault);
		task_answer(task);
		return;
	}
	call_start(&task->call, task->lot->account, rows[check->kind].operation,
	    check->name);
	task_call(task, check_read);
}

/* ---- MESSAGE_CLOUD_LOT ---- */

static int
account_judge(const struct task *task, struct fault *fault)
{
	const struct lot_image *lot = task->lot->image;
	const struct buf *body = &task->call.exchange.body;
	char actual[13] = "";

	if (body->len == 0 ||
	    aws_xml_text(body->data, body->len, "Account", actual,
		sizeof(actual)) == -1 ||
	    strlen(actual) != 12)
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "GetCallerIdentity: the answer names no account");
	if (strcmp(actual, lot->account) != 0)
		return fault_set(fault, CAUSE_CLOUD_ACCOUNT,
		    "the station's credentials are of account %s, lot %s "
		    "belongs to account %s",
		    actual, lot->name, lot->account);
	return 0;
}

static void
account_proved(struct task *task)
{
	struct fault fault = task->call.fault;

	if (fault.cause == CAUSE_NONE && account_judge(task, &fault) == -1)
		text_copy(fault.request_id, sizeof(fault.request_id),
		    task->call.request_id);
	if (fault.cause != CAUSE_NONE) {
		preflight_fail(task, &fault);
		return;
	}
	preflight_plan(task->state, task->lot->image);
	preflight_next(task);
}

void
preflight_start(struct task *task)
{
	if (!task_keep(task, sizeof(struct preflight), NULL))
		return;
	call_start(&task->call, task->lot->account,
	    OPERATION_GET_CALLER_IDENTITY, NULL);
	call_form(&task->call, "Action=GetCallerIdentity&Version=2011-06-15");
	task_call(task, account_proved);
}
