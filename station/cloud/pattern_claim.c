/*
 * Patterns `claim` and `trusted-user`: the unit makes itself known with the
 * lot's claim, or with one of its own that is good for five minutes.
 *
 * Its thing is made before, so that the account knows every unit that may
 * come. A repeat changes nothing, not even when another station repeats it:
 * the first station's name stays on the thing.
 *
 * The key of a unit's own claim comes in AWS's answer: it goes to the vault
 * at once and is wiped here.
 */
#include "cloud/pattern.h"

#include <math.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "cloud/cloud.h"
#include "cloud/thing.h"
#include "pki/certificate.h"

/* ---- MESSAGE_PREREGISTER ---- */

static void
preregistered(struct task *task)
{
	text_copy(task->answer.cloud.cloud_state,
	    sizeof(task->answer.cloud.cloud_state), "PRE-REGISTERED");
	task_answer(task);
}

static void
thing_made(struct task *task)
{
	thing_group(task, preregistered);
}

void
preregister_start(struct task *task)
{
	thing_make(task, false, thing_made);
}

/* ---- a claim of one unit's own ---- */

void
claim_make(struct task *task, void (*next)(struct task *))
{
	call_start(&task->call, task->lot->account,
	    OPERATION_CREATE_PROVISIONING_CLAIM,
	    task->lot->image->template_name);
	task_call(task, next);
}

int
claim_read(struct task *task, struct claim *claim, struct fault *fault)
{
	const struct call *call = &task->call;
	const json_t *pair = json_object_get(call->json, "keyPair");
	const char *id = call_text(call, "certificateId");
	const char *pem = call_text(call, "certificatePem");
	double expires_s =
	    json_number_value(json_object_get(call->json, "expiration"));
	struct certificate certificate;

	memset(claim, 0, sizeof(*claim));
	claim->key = json_string_value(json_object_get(pair, "PrivateKey"));
	if (id == NULL || pem == NULL || claim->key == NULL ||
	    !(expires_s > 0.0 && expires_s < 1e11))
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "CreateProvisioningClaim: the answer lacks certificateId, "
		    "certificatePem, keyPair.PrivateKey or expiration");
	claim->key_len = strlen(claim->key);
	claim->expires_wall_ms = (int64_t)llround(expires_s * 1000.0);
	if (certificate_parse(pem, strlen(pem), CAUSE_CLOUD_ANSWER,
		&certificate, fault) == -1)
		return -1;
	if (strcmp(certificate.id, id) != 0 ||
	    text_copy(claim->certificate_id, sizeof(claim->certificate_id),
		id) == -1 ||
	    text_copy(claim->certificate, sizeof(claim->certificate), pem) ==
		-1)
		return fault_set(fault, CAUSE_CLOUD_ANSWER,
		    "CreateProvisioningClaim: certificate %s came under the "
		    "id %s, or is too long",
		    certificate.id, id);
	return 0;
}

void
claim_forget(struct task *task)
{
	struct call *call = &task->call;
	struct buf *body = &call->exchange.body;

	/* The role's JSON memory is wiped when it is given back. */
	json_decref(call->json);
	call->json = NULL;
	if (body->data != NULL)
		OPENSSL_cleanse(body->data, body->len);
	buf_free(body);
}

/* ---- MESSAGE_CLAIM_CREATE ---- */

static void
claim_made(struct task *task)
{
	struct message_claim_done *done = &task->answer.claim;
	struct claim claim;
	struct fault fault = task->call.fault;

	if (fault.cause == CAUSE_NONE && claim_read(task, &claim, &fault) == 0)
		vault_pair_deposit(&task->cloud->vault, task->request.claim.lot,
		    task->header.attempt, claim.key, claim.key_len,
		    claim.certificate, &fault);
	claim_forget(task);
	if (fault.cause != CAUSE_NONE) {
		task_fail(task, &fault);
		return;
	}
	text_copy(
	    done->certificate, sizeof(done->certificate), claim.certificate);
	text_copy(done->certificate_id, sizeof(done->certificate_id),
	    claim.certificate_id);
	done->expires_wall_ms = claim.expires_wall_ms;
	task_answer(task);
}

void
claim_create_start(struct task *task)
{
	claim_make(task, claim_made);
}
