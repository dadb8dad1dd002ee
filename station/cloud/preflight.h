/*
 * What a lot needs in AWS, seen before its first unit: preflight.c walks a
 * list of checks, preflight_judge.c reads what is there and may add more to
 * the list.
 *
 * Everything that can be known before a shift is refused before it, with one
 * fault that says what is wrong, where, and what to do.
 */
#ifndef CLOUD_PREFLIGHT_H
#define CLOUD_PREFLIGHT_H

#include <stdint.h>

#include "base/fault.h"
#include "cloud/task.h"

enum {
	PREFLIGHT_CHECKS_MAX = 48,
	PREFLIGHT_NAME_LEN = 129,
};

enum preflight_kind {
	PREFLIGHT_POLICY,
	PREFLIGHT_THING_TYPE,
	PREFLIGHT_THING_GROUP,
	PREFLIGHT_TEMPLATE, /* a provisioning template by name */
	PREFLIGHT_CLAIM,    /* the claim certificate, by id */
	PREFLIGHT_CA,	    /* a CA certificate, by id */
	PREFLIGHT_BUCKET,   /* of S3, for bulk registration */
	PREFLIGHT_KIND_COUNT
};

/* task->state of MESSAGE_CLOUD_LOT. */
struct preflight {
	uint32_t count, next;
	struct preflight_check {
		enum preflight_kind kind;
		char name[PREFLIGHT_NAME_LEN];
	} checks[PREFLIGHT_CHECKS_MAX];
};

/* Puts a check on the list, once; an empty name is none. */
void preflight_add(struct preflight *, enum preflight_kind, const char *name);

/* What the names in a template's body are that stand there as such. */
void preflight_add_template(struct preflight *, const char *body);

/*
 * Each reads the task's call, which succeeded, for what has that name; -1
 * with a fault of CAUSE_BAD_LOT when the lot cannot be made with it.
 */
int preflight_judge_type(struct task *, const char *name, struct fault *);
int preflight_judge_group(struct task *, const char *name, struct fault *);
int preflight_judge_template(struct task *, const char *name, struct fault *);
int preflight_judge_claim(struct task *, const char *name, struct fault *);
int preflight_judge_ca(struct task *, const char *name, struct fault *);

#endif
