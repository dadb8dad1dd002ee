/*
 * A hostile console: each time the engine has sent something the next piece
 * of the input comes back. No answer may let a secret out.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"
#include "device/engine.h"
#include "fuzz_port.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char secret[] = "s3cr3t-s3cr3t-s3cr3t";
static const char profile[] =
    "console: {prompt: \"> \", echo: strip, vt100: strip, line_max: 200,\n"
    "  bytes_max: 4096, step_timeout: 8ms, ignore_lines: ['^I \\(']}\n"
    "secrets: [claim_key]\n"
    "steps:\n"
    "  - send: \"set ${claim_key|b64}\"\n"
    "    expect: {ok: '^(a+)+$|^ok', bad: '^error (?<code>\\d+)'}\n"
    "    capture: {serial: 'serial=(\\S+)', csr: {pem: CSR}}\n"
    "  - identify: {serial: \"${serial}\"}\n"
    "  - register: {csr: \"${csr}\"}\n"
    "  - send: \"cert\"\n"
    "    then_lines: {value: \"${csr}\", end: \".\"}\n"
    "    assert: [{equals: [\"${csr|der|sha256|hex}\", \"x\"]}]\n"
    "  - send: \"reset\"\n";

static void
sent(void *arg, enum port_direction direction, const void *bytes, size_t len)
{
	struct fuzz_port *fuzz = arg;
	const uint8_t *piece = NULL;
	size_t piece_len;

	(void)bytes;
	(void)len;
	if (direction != PORT_SENT)
		return;
	piece_len = fuzz_port_next(fuzz, &piece);
	if (piece_len == 0)
		fuzz_port_leave(fuzz);
	else
		fuzz_port_say(fuzz, piece, piece_len);
}

static int
enroll(void *arg, struct engine *engine, enum program_register what,
    const char *csr, struct fault *fault)
{
	(void)what;
	(void)arg;
	return engine_set(
	    engine, "device_cert", csr, strlen(csr), false, fault);
}

static const struct program *
program_get(void)
{
	static struct program program;
	struct yaml_document *document;
	struct problems problems;

	if (program.magic == PROGRAM_MAGIC)
		return &program;
	problems_init(&problems);
	document = yaml_parse("p", profile, sizeof(profile) - 1, &problems);
	if (document == NULL || program_parse(document, yaml_root(document),
				    &program, &problems) != 0)
		abort();
	yaml_close(document);
	problems_free(&problems);
	return &program;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct engine_calls calls = {.enroll = enroll};
	struct engine *engine;
	struct fuzz_port fuzz;
	struct fault fault = {0};
	struct port port;
	int result;

	fuzz_port_open(&fuzz, &port, data, len, sent);
	engine = engine_new(program_get(), &port, NULL, &calls, &fault);
	if (engine == NULL || engine_set(engine, "claim_key", secret,
				  sizeof(secret) - 1, true, &fault) != 0)
		abort();
	/* A first word, since this console speaks only when asked. */
	fuzz_port_say(&fuzz, (const uint8_t *)"> ", 2);
	result = engine_run(engine, &fault);
	if ((result == 0) != (fault.cause == CAUSE_NONE))
		abort();
	if (strstr(fault.text, secret) != NULL)
		abort();
	engine_free(engine);
	fuzz_port_close(&fuzz);
	return 0;
}
