#include "cloud/lookup.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cloud/task.h"
#include "pki/certificate.h"

static void page_ask(struct task *task);
static void candidate_ask(struct task *task);

static void
lookup_end(struct task *task, const struct fault *fault)
{
	struct lookup *lookup = &task->lookup;

	if (fault != NULL)
		lookup->fault = *fault;
	lookup->next(task);
}

void
lookup_start(struct task *task, void (*next)(struct task *))
{
	struct lookup *lookup = &task->lookup;

	fault_clear(&lookup->fault);
	lookup->complete = false;
	lookup->found = 0;
	lookup->pages = 0;
	lookup->marker[0] = lookup->certificate[0] = '\0';
	lookup->next = next;
	page_ask(task);
}

/* Notes a listed certificate; false when it is older than what is sought. */
static bool
candidate_add(struct lookup *lookup, const json_t *certificate)
{
	const char *id =
	    json_string_value(json_object_get(certificate, "certificateId"));
	const char *status =
	    json_string_value(json_object_get(certificate, "status"));
	double created_s =
	    json_number_value(json_object_get(certificate, "creationDate"));

	if (id == NULL || status == NULL || strlen(id) >= CERTIFICATE_ID_LEN)
		return true;
	if (lookup->since_wall_ms != 0 && created_s > 0.0 &&
	    created_s * 1000.0 < (double)lookup->since_wall_ms)
		return false;
	if ((strcmp(status, "INACTIVE") != 0 &&
		!(lookup->active && strcmp(status, "ACTIVE") == 0)) ||
	    (lookup->keep_id != NULL && strcmp(id, lookup->keep_id) == 0) ||
	    lookup->candidates == LOOKUP_PAGE)
		return true;
	text_copy(
	    lookup->candidate_id[lookup->candidates], CERTIFICATE_ID_LEN, id);
	lookup->candidates++;
	return true;
}

static void
page_read(struct task *task)
{
	struct lookup *lookup = &task->lookup;
	const struct call *call = &task->call;
	const json_t *list = json_object_get(call->json, "certificates");
	const char *marker = call_text(call, "nextMarker");
	struct fault fault = {0};
	bool older = false;

	if (call->fault.cause != CAUSE_NONE) {
		lookup_end(task, &call->fault);
		return;
	}
	lookup->marker[0] = '\0';
	if (!json_is_array(list) ||
	    (marker != NULL && text_copy(lookup->marker, sizeof(lookup->marker),
				   marker) == -1)) {
		fault_set(&fault, CAUSE_CLOUD_ANSWER,
		    "ListCertificates: the answer has no list of "
		    "certificates, or a marker that is too long");
		lookup_end(task, &fault);
		return;
	}
	for (size_t i = 0; i < json_array_size(list) && !older; i++)
		older = !candidate_add(lookup, json_array_get(list, i));
	/* Newest first: behind an older one there are only older ones. */
	if (older)
		lookup->marker[0] = '\0';
	candidate_ask(task);
}

static void
page_ask(struct task *task)
{
	struct lookup *lookup = &task->lookup;
	struct call *call = &task->call;
	char size[8];

	lookup->candidate = lookup->candidates = 0;
	lookup->pages++;
	snprintf(size, sizeof(size), "%d", LOOKUP_PAGE);
	call_start(call, task->lot->account, OPERATION_LIST_CERTIFICATES, NULL);
	call_query(call, "pageSize", size);
	call_query(call, "isAscendingOrder", "false");
	if (lookup->marker[0] != '\0')
		call_query(call, "marker", lookup->marker);
	task_call(task, page_read);
}

static void
candidate_read(struct task *task)
{
	struct lookup *lookup = &task->lookup;
	const struct call *call = &task->call;
	const json_t *description =
	    json_object_get(call->json, "certificateDescription");
	const char *pem =
	    json_string_value(json_object_get(description, "certificatePem"));
	struct certificate certificate;
	struct fault fault = {0};

	if (call->fault.cause != CAUSE_NONE &&
	    !call_refused_as(call, "ResourceNotFound")) {
		lookup_end(task, &call->fault);
		return;
	}
	/* Other makers' certificates may be of any kind: not ours then. */
	if (pem != NULL &&
	    certificate_parse(pem, strlen(pem), CAUSE_CLOUD_ANSWER,
		&certificate, &fault) == 0 &&
	    certificate_has_key(&certificate, &lookup->spki)) {
		text_copy(lookup->id[lookup->found], CERTIFICATE_ID_LEN,
		    lookup->candidate_id[lookup->candidate]);
		if (lookup->found == 0)
			text_copy(lookup->certificate,
			    sizeof(lookup->certificate), pem);
		lookup->found++;
	}
	lookup->candidate++;
	candidate_ask(task);
}

/* The next candidate of the page, the next page, or the end. */
static void
candidate_ask(struct task *task)
{
	struct lookup *lookup = &task->lookup;

	if (lookup->found == lookup->found_max) {
		lookup_end(task, NULL);
	} else if (lookup->candidate < lookup->candidates) {
		call_start(&task->call, task->lot->account,
		    OPERATION_DESCRIBE_CERTIFICATE,
		    lookup->candidate_id[lookup->candidate]);
		task_call(task, candidate_read);
	} else if (lookup->marker[0] == '\0') {
		lookup->complete = true;
		lookup_end(task, NULL);
	} else if (lookup->pages_max != 0 &&
		   lookup->pages >= lookup->pages_max) {
		lookup_end(task, NULL);
	} else {
		page_ask(task);
	}
}
