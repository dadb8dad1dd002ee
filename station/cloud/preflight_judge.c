#include "cloud/preflight.h"

#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "lot/plan.h"
#include "lot/template.h"

static const char *
text_in(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

/* ---- registry ---- */

int
preflight_judge_type(struct task *task, const char *name, struct fault *fault)
{
	const json_t *metadata =
	    json_object_get(task->call.json, "thingTypeMetadata");

	if (json_is_true(json_object_get(metadata, "deprecated")))
		return fault_set(fault, CAUSE_BAD_LOT,
		    "thing type %s is deprecated, and AWS gives it to no new "
		    "thing: undo that, or name another",
		    name);
	return 0;
}

int
preflight_judge_group(struct task *task, const char *name, struct fault *fault)
{
	if (call_text(&task->call, "queryString") != NULL)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "thing group %s is dynamic: AWS chooses its members by a "
		    "query; name a static one",
		    name);
	return 0;
}

int
preflight_judge_claim(struct task *task, const char *name, struct fault *fault)
{
	const char *status =
	    text_in(json_object_get(task->call.json, "certificateDescription"),
		"status");

	if (strcmp(status, "ACTIVE") != 0)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "claim certificate %s is %s in AWS: activate it, or give "
		    "the lot another claim",
		    name, status);
	return 0;
}

/* ---- templates ---- */

/* The first of several problems; all of them go to the log. */
static int
problems_judge(struct problems *problems, struct fault *fault)
{
	const char *text = problems->text.data;

	if (problems->warning_count > 0)
		log_warning("%s", problems->warnings.data);
	if (problems->count == 0)
		return 0;
	log_error("%s", text);
	fault_set(fault, CAUSE_BAD_LOT, "%.*s%s", (int)strcspn(text, "\n"),
	    text, problems->count > 1 ? " (the log names more problems)" : "");
	return -1;
}

/* Does a template that AWS holds fit the lot, and the lot's own copy? */
static int
body_judge(
    struct task *task, const char *name, const char *body, struct fault *fault)
{
	const struct lot_image *lot = task->lot->image;
	struct template *held = NULL, *copy = NULL;
	struct problems problems;
	int result = -1;

	problems_init(&problems);
	held = template_parse(name, body, strlen(body), &problems);
	if (held != NULL)
		template_matches_lot(held, lot, &problems);
	if (problems_judge(&problems, fault) == -1)
		goto out;
	if (lot->template_body[0] != '\0') {
		copy = template_parse("template.file", lot->template_body,
		    strlen(lot->template_body), &problems);
		if (copy == NULL || !template_same(held, copy)) {
			fault_set(fault, CAUSE_BAD_LOT,
			    "%s in AWS is not what the lot's template.file "
			    "says: bring one of them up to date",
			    name);
			goto out;
		}
	}
	preflight_add_template(task->state, body);
	result = 0;
out:
	template_free(copy);
	template_free(held);
	problems_free(&problems);
	return result;
}

/* A template without a type is from before there were several. */
static int
type_judge(const struct task *task, const char *name, struct fault *fault)
{
	const char *type = call_text(&task->call, "type");
	const char *wanted = task->lot->image->pattern == PATTERN_JITP
				 ? "JITP"
				 : "FLEET_PROVISIONING";

	if (type == NULL)
		type = "FLEET_PROVISIONING";
	if (strcmp(type, wanted) != 0)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "provisioning template %s is of type %s, the lot's pattern "
		    "needs %s: name another, the type of a template cannot be "
		    "changed",
		    name, type, wanted);
	return 0;
}

int
preflight_judge_template(
    struct task *task, const char *name, struct fault *fault)
{
	const struct call *call = &task->call;
	const struct lot_image *lot = task->lot->image;
	const char *body = call_text(call, "templateBody");
	const char *hook = text_in(
	    json_object_get(call->json, "preProvisioningHook"), "targetArn");
	char where[80] = "provisioning template ";

	if (type_judge(task, name, fault) == -1)
		return -1;
	if (!json_is_true(json_object_get(call->json, "enabled")))
		return fault_set(fault, CAUSE_BAD_LOT,
		    "provisioning template %s is not enabled in AWS: enable "
		    "it",
		    name);
	if (lot->pattern == PATTERN_JITP && hook[0] != '\0')
		return fault_set(fault, CAUSE_BAD_LOT,
		    "provisioning template %s has a pre-provisioning hook, "
		    "which just-in-time provisioning does not call: remove it",
		    name);
	if (lot->pattern == PATTERN_CLAIM && hook[0] == '\0')
		log_warning("lot %s: provisioning template %s has no "
			    "pre-provisioning hook: whoever has the claim can "
			    "provision any serial",
		    lot->name, name);
	if (body == NULL)
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "DescribeProvisioningTemplate %s: the answer has no "
		    "templateBody",
		    name);
	text_copy(where + strlen(where), sizeof(where) - strlen(where), name);
	return body_judge(task, where, body, fault);
}

/* ---- CA certificates ---- */

/* jitp: the template that AWS provisions with, by name or in place. */
static int
config_judge_jitp(struct task *task, const json_t *config, const char *name,
    struct fault *fault)
{
	const struct lot_image *lot = task->lot->image;
	const char *template = text_in(config, "templateName");
	const char *body = text_in(config, "templateBody");

	if (template[0] == '\0' && body[0] == '\0')
		return fault_set(fault, CAUSE_BAD_LOT,
		    "CA certificate %s has no provisioning template: units "
		    "would be registered, but not provisioned; set its "
		    "registrationConfig, or make the lot with pattern jitr",
		    name);
	if (template[0] == '\0')
		return body_judge(
		    task, "the CA certificate's template", body, fault);
	if (lot->template_name[0] != '\0' &&
	    strcmp(template, lot->template_name) != 0)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "CA certificate %s provisions with template %s, the lot "
		    "names %s: correct one of them",
		    name, template, lot->template_name);
	preflight_add(task->state, PREFLIGHT_TEMPLATE, template);
	return 0;
}

static int
config_judge(struct task *task, const char *name, struct fault *fault)
{
	const struct lot_image *lot = task->lot->image;
	const json_t *config =
	    json_object_get(task->call.json, "registrationConfig");
	const json_t *description =
	    json_object_get(task->call.json, "certificateDescription");

	if (strcmp(text_in(description, "autoRegistrationStatus"), "ENABLE") !=
	    0)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "CA certificate %s does not register units by itself: set "
		    "its auto-registration status to ENABLE",
		    name);
	if (lot->pattern == PATTERN_JITP)
		return config_judge_jitp(task, config, name, fault);
	if (text_in(config, "templateName")[0] != '\0' ||
	    text_in(config, "templateBody")[0] != '\0')
		return fault_set(fault, CAUSE_BAD_LOT,
		    "CA certificate %s has a provisioning template, so that "
		    "AWS provisions its units: remove its registrationConfig, "
		    "or make the lot with pattern jitp",
		    name);
	return 0;
}

int
preflight_judge_ca(struct task *task, const char *name, struct fault *fault)
{
	const char *status =
	    text_in(json_object_get(task->call.json, "certificateDescription"),
		"status");

	if (strcmp(status, "ACTIVE") != 0)
		return fault_set(fault, CAUSE_BAD_LOT,
		    "CA certificate %s is %s in AWS: activate it", name,
		    status);
	if (plan_signs(task->lot->image))
		return config_judge(task, name, fault);
	return 0;
}
