#include "cloud/thing.h"

#include <string.h>

enum {
	THING_ROUNDS_MAX = 5
};

static void thing_create(struct task *task);
static void thing_describe(struct task *task);

/* ---- attributes ---- */

static bool
text_has_only(const char *text, const char *marks)
{
	for (; *text != '\0'; text++) {
		bool alphanumeric = (*text >= 'a' && *text <= 'z') ||
				    (*text >= 'A' && *text <= 'Z') ||
				    (*text >= '0' && *text <= '9');

		if (!alphanumeric && strchr(marks, *text) == NULL)
			return false;
	}
	return true;
}

/* The bounds are those of AttributeName and AttributeValue in the model. */
static int
attribute_add(json_t *attributes, const char *name, const char *value,
    struct fault *fault)
{
	size_t name_len = strlen(name);

	if (value[0] == '\0')
		return 0;
	if (name_len == 0 || name_len > 128 || !text_has_only(name, "_.,@/:#-"))
		return fault_set(fault, CAUSE_BAD_LOT,
		    "thing attribute \"%s\": AWS takes names of 1 to 128 "
		    "letters, digits and _ . , @ / : # -",
		    name);
	if (strlen(value) > 800 || !text_has_only(value, "_.,@/:#=[]-"))
		return fault_set(fault, CAUSE_BAD_LOT,
		    "thing attribute %s would be \"%s\": AWS takes up to 800 "
		    "letters, digits and _ . , @ / : # = [ ] -",
		    name, value);
	if (json_object_set_new(attributes, name, json_string(value)) == -1)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	return 0;
}

static int
attributes_add_own(json_t *attributes, const struct lot_image *lot,
    const char *station, const struct message_register *request,
    struct fault *fault)
{
	char value[ATTRIBUTE_VALUE_LEN];

	for (uint32_t i = 0; i < lot->attribute_count; i++) {
		const char *name = lot->attributes[i].name;
		bool proof =
		    strcmp(name, "serial") == 0 || strcmp(name, "lot") == 0;

		if (lot_expand(lot, station, lot->attributes[i].rule,
			request->serial, request->mac, request->extra, value,
			sizeof(value), fault) == -1)
			return fault_prefix(fault, "thing attribute %s", name);
		if (proof && strcmp(value, json_string_value(json_object_get(
					       attributes, name))) != 0)
			return fault_set(fault, CAUSE_BAD_LOT,
			    "thing attribute %s is the station's mark of what "
			    "is its own; the lot cannot make it \"%s\"",
			    name, value);
		if (attribute_add(attributes, name, value, fault) == -1)
			return -1;
	}
	return 0;
}

json_t *
thing_attributes(const struct lot_image *lot, const char *station,
    const struct message_register *request, struct fault *fault)
{
	bool typed = lot->thing_type[0] != '\0';
	size_t most = typed ? ATTRIBUTES_TYPED_MAX : ATTRIBUTES_PLAIN_MAX;
	json_t *attributes = json_object();

	if (attributes == NULL) {
		fault_set(fault, CAUSE_INTERNAL, "out of memory");
		goto fail;
	}
	if (attribute_add(attributes, "serial", request->serial, fault) == -1 ||
	    attribute_add(attributes, "lot", lot->name, fault) == -1)
		goto fail;
	if (typed &&
	    (attribute_add(attributes, "station", station, fault) == -1 ||
		attribute_add(attributes, "firmware", lot->firmware_version,
		    fault) == -1))
		goto fail;
	if (attributes_add_own(attributes, lot, station, request, fault) == -1)
		goto fail;
	if (json_object_size(attributes) > most) {
		fault_set(fault, CAUSE_BAD_LOT,
		    "a thing would have %zu attributes; AWS takes %zu %s a "
		    "thing type",
		    json_object_size(attributes), most,
		    typed ? "with" : "without");
		goto fail;
	}
	return attributes;
fail:
	json_decref(attributes);
	return NULL;
}

/* ---- the thing ---- */

static void
thing_fail(struct task *task, const char *why, const char *what)
{
	struct fault fault = {0};

	fault_set(&fault, CAUSE_CLOUD_CONFLICT, "thing %s %s%s%s%s",
	    task->request.bind.thing, why, what != NULL ? " \"" : "",
	    what != NULL ? what : "", what != NULL ? "\"" : "");
	text_copy(
	    fault.request_id, sizeof(fault.request_id), task->call.request_id);
	task_fail(task, &fault);
}

static void
thing_updated(struct task *task)
{
	/* Someone wrote between our look and our update: look again. */
	if (call_refused_as(&task->call, "VersionConflict") &&
	    ++task->rounds < THING_ROUNDS_MAX) {
		thing_describe(task);
		return;
	}
	if (!task_failed(task))
		task->made(task);
}

/* What we want and the thing has not; null when it has all. */
static json_t *
attributes_missing(json_t *wanted, const json_t *present)
{
	json_t *missing = json_object(), *value;
	const char *name;

	json_object_foreach (wanted, name, value) {
		if (!json_equal(value, json_object_get(present, name)))
			json_object_set(missing, name, value);
	}
	if (json_object_size(missing) > 0)
		return missing;
	json_decref(missing);
	return NULL;
}

static void
thing_update(struct task *task, json_t *missing)
{
	struct call *call = &task->call;
	json_t *version = json_incref(json_object_get(call->json, "version"));
	json_t *body;

	call_start(call, task->lot->account, OPERATION_UPDATE_THING,
	    task->request.bind.thing);
	body = json_pack("{s:{s:o,s:b}}", "attributePayload", "attributes",
	    missing, "merge", 1);
	if (json_is_integer(version))
		json_object_set(body, "expectedVersion", version);
	json_decref(version);
	call_body(call, body);
	task_call(task, thing_updated);
}

static const char *
attribute(const json_t *attributes, const char *name)
{
	const char *value =
	    json_string_value(json_object_get(attributes, name));

	return value != NULL ? value : "";
}

/* Whose is it, and is it as it shall be? */
static void
thing_judge(struct task *task)
{
	const struct lot_image *lot = task->lot->image;
	const struct message_register *bind = &task->request.bind;
	const json_t *present = json_object_get(task->call.json, "attributes");
	const char *type = call_text(&task->call, "thingTypeName");
	json_t *missing;

	if (strcmp(attribute(present, "serial"), bind->serial) != 0) {
		thing_fail(task, "exists with another serial:",
		    attribute(present, "serial"));
		return;
	}
	if (strcmp(attribute(present, "lot"), lot->name) != 0) {
		thing_fail(
		    task, "exists in another lot:", attribute(present, "lot"));
		return;
	}
	if (strcmp(type != NULL ? type : "", lot->thing_type) != 0) {
		thing_fail(task, "exists with another thing type:",
		    type != NULL ? type : "");
		return;
	}
	if (!task->adopt && lot->thing_type[0] != '\0' &&
	    strcmp(attribute(present, "station"), task->station) != 0) {
		task->made(task);
		return;
	}
	missing = attributes_missing(task->attributes, present);
	if (missing == NULL)
		task->made(task);
	else
		thing_update(task, missing);
}

static void
thing_described(struct task *task)
{
	/* It went away between creation and look: create it. */
	if (call_refused_as(&task->call, "ResourceNotFound") &&
	    ++task->rounds < THING_ROUNDS_MAX) {
		thing_create(task);
		return;
	}
	if (!task_failed(task))
		thing_judge(task);
}

static void
thing_describe(struct task *task)
{
	call_start(&task->call, task->lot->account, OPERATION_DESCRIBE_THING,
	    task->request.bind.thing);
	task_call(task, thing_described);
}

static void
thing_created(struct task *task)
{
	if (call_refused_as(&task->call, "ResourceAlreadyExists"))
		thing_describe(task);
	else if (!task_failed(task))
		task->made(task);
}

/* AWS answers a repeat with the same type and attributes with success. */
static void
thing_create(struct task *task)
{
	struct call *call = &task->call;
	const char *type = task->lot->image->thing_type;
	json_t *body;

	call_start(call, task->lot->account, OPERATION_CREATE_THING,
	    task->request.bind.thing);
	body = json_pack(
	    "{s:{s:O}}", "attributePayload", "attributes", task->attributes);
	if (type[0] != '\0')
		json_object_set_new(body, "thingTypeName", json_string(type));
	call_body(call, body);
	task_call(task, thing_created);
}

void
thing_make(struct task *task, bool adopt, void (*made)(struct task *))
{
	struct fault fault = {0};

	task->adopt = adopt;
	task->made = made;
	task->rounds = 0;
	task->attributes = thing_attributes(
	    task->lot->image, task->station, &task->request.bind, &fault);
	if (task->attributes == NULL)
		task_fail(task, &fault);
	else
		thing_create(task);
}

/* ---- groups ---- */

static void group_add(struct task *task);

static void
group_added(struct task *task)
{
	if (task_failed(task))
		return;
	task->group++;
	group_add(task);
}

static void
group_add(struct task *task)
{
	const struct lot_image *lot = task->lot->image;
	struct call *call = &task->call;

	if (task->group >= lot->group_count) {
		task->made(task);
		return;
	}
	call_start(
	    call, task->lot->account, OPERATION_ADD_THING_TO_THING_GROUP, NULL);
	call_body(call,
	    json_pack("{s:s,s:s}", "thingGroupName", lot->groups[task->group],
		"thingName", task->request.bind.thing));
	call_settles(call);
	task_call(task, group_added);
}

void
thing_group(struct task *task, void (*made)(struct task *))
{
	task->made = made;
	task->group = 0;
	group_add(task);
}
