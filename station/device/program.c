#include "device/program.h"

#include <string.h>

static const char *const given[] = {"serial", "mac", "thing", "lot", "product",
    "part_number", "station", "firmware_version", "endpoint", "template",
    "root_ca", "claim_cert", "claim_key", "claim_after", "ending",
    "endpoint_port", "wifi_ssid", "wifi_password"};
enum {
	GIVEN = sizeof(given) / sizeof(given[0])
};
#define MANIFEST_PREFIX "manifest."

bool
program_name_given(const char *name)
{
	size_t i;

	for (i = 0; i < GIVEN; i++)
		if (strcmp(given[i], name) == 0)
			return true;
	return strncmp(name, MANIFEST_PREFIX, strlen(MANIFEST_PREFIX)) == 0 &&
	       name[strlen(MANIFEST_PREFIX)] != '\0';
}

const char *
program_names_given(void)
{
	return "serial, mac, thing, lot, product, part_number, station, "
	       "firmware_version, endpoint, endpoint_port, template, root_ca, "
	       "claim_cert, claim_key, claim_after, ending, wifi_ssid, "
	       "wifi_password and manifest.COLUMN";
}

const char *
program_text(const struct program *program, uint32_t offset)
{
	return offset < program->pool_len ? program->pool + offset : "";
}

bool
program_step_has_body(const struct program_step *step)
{
	return step->action == ACTION_FOREACH ||
	       step->action == ACTION_CHUNKS || step->action == ACTION_WHEN;
}

static bool
clauses_good(const struct program *program, uint32_t first, uint32_t count)
{
	return first <= program->clause_count &&
	       count <= program->clause_count - first;
}

static bool
clause_good(const struct program *program, uint32_t at)
{
	const struct program_clause *clause = &program->clauses[at];

	if (clause->kind >= CLAUSE_COUNT || clause->name >= program->pool_len ||
	    clause->text >= program->pool_len ||
	    clause->other >= program->pool_len)
		return false;
	if (clause->kind == CLAUSE_LIST)
		return clauses_good(program, at + 1, clause->number);
	return true;
}

static bool
step_good(const struct program *program, uint32_t at, uint32_t count)
{
	const struct program_step *step = &program->steps[at];

	if (step->action >= ACTION_COUNT || step->text >= program->pool_len ||
	    step->other >= program->pool_len ||
	    !clauses_good(program, step->clause, step->clause_count))
		return false;
	if (program_step_has_body(step))
		return step->end > at && step->end <= count;
	return true;
}

bool
program_check(const struct program *program)
{
	uint32_t i, count;

	if (program->magic != PROGRAM_MAGIC ||
	    program->step_count > PROGRAM_STEPS_MAX ||
	    program->always_count > PROGRAM_STEPS_MAX - program->step_count ||
	    program->clause_count > PROGRAM_CLAUSES_MAX ||
	    program->pool_len == 0 || program->pool_len > PROGRAM_POOL_LEN ||
	    program->pool[0] != '\0' ||
	    program->pool[program->pool_len - 1] != '\0' ||
	    program->secrets >= program->pool_len ||
	    program->console.prompt >= program->pool_len ||
	    !clauses_good(program, program->console.clause,
		program->console.clause_count))
		return false;
	count = program->step_count + program->always_count;
	for (i = 0; i < program->clause_count; i++)
		if (!clause_good(program, i))
			return false;
	for (i = 0; i < count; i++)
		if (!step_good(program, i,
			i < program->step_count ? program->step_count : count))
			return false;
	return true;
}
