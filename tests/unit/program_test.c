/* Programs: what is accepted, and the exact words for what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"
#include "device/inject.h"
#include "device/program.h"

static struct program program;
static struct problems problems;

static int
parse(const char *yaml)
{
	struct yaml_document *document;
	int result = -1;

	problems_init(&problems);
	document = yaml_parse("p.yaml", yaml, strlen(yaml), &problems);
	if (document != NULL)
		result = program_parse(
		    document, yaml_root(document), &program, &problems);
	yaml_close(document);
	return result;
}

static void
a_whole_program_is_read(void **state)
{
	const struct program_step *step = program.steps;

	(void)state;
	assert_int_equal(
	    parse("console:\n"
		  "  prompt: \"> \"\n"
		  "  eol: crlf\n"
		  "  echo: strip\n"
		  "  vt100: strip\n"
		  "  ignore_lines: ['^I \\(']\n"
		  "  step_timeout: 3s\n"
		  "  char_delay_us: 100\n"
		  "  bytes_max: 50000\n"
		  "secrets: [claim_key, password]\n"
		  "steps:\n"
		  "  - sync: {send: \"\\x03\", tries: 7, quiet: 150ms}\n"
		  "  - send: \"id ${manifest.rev}\"\n"
		  "    capture: {serial: 'serial=(\\S+)',\n"
		  "              csr: {pem: CERTIFICATE REQUEST}}\n"
		  "    expect: {ok: '^id (?<rest>.*)', bad: '^error',\n"
		  "             none: prompt}\n"
		  "    assert: [{equals: [\"${rest|sha256|hex}\", \"x\"]},\n"
		  "             {matches: [\"${serial}\", '^S']}]\n"
		  "    timeout: 9s\n"
		  "  - identify: {serial: \"${serial}\"}\n"
		  "  - register: {csr: \"${csr}\"}\n"
		  "  - send: \"cert\"\n"
		  "    then_lines: {value: \"${device_cert}\", wait: \". \",\n"
		  "                 end: \".\"}\n"
		  "  - foreach: {k: [a, b], v: [\"${mac}\", \"2\"]}\n"
		  "    steps:\n"
		  "      - set: {both: \"${k}${v}\"}\n"
		  "      - foreach_chunk: {value: \"${both|b64}\", size: 3}\n"
		  "        send: \"buf ${chunk}\"\n"
		  "  - delay: 10ms\n"
		  "  - baud: 9600\n"
		  "  - reset: {lines: \"R1|W0.1|R0\"}\n"
		  "  - expect: {ok: '^ready'}\n"
		  "always:\n"
		  "  - send: \"reset\"\n"),
	    0);
	assert_true(program_check(&program));
	assert_int_equal(program.step_count, 13);
	assert_int_equal(program.always_count, 1);
	assert_int_equal(program.identifies, 1);
	assert_int_equal(program.registers, 1);
	assert_int_equal(step[0].action, ACTION_SYNC);
	assert_string_equal(program_text(&program, step[0].text), "\x03");
	assert_int_equal(step[0].quiet_ms, 150);
	assert_int_equal(step[0].timeout_ms, 3000);
	assert_int_equal(step[1].timeout_ms, 9000);
	assert_int_equal(step[1].line, 13);
	assert_int_equal(step[1].clause_count, 7);
	assert_int_equal(step[5].action, ACTION_FOREACH);
	assert_int_equal(step[5].end, 9);
	assert_int_equal(step[7].action, ACTION_CHUNKS);
	assert_int_equal(step[7].end, 9);
	assert_int_equal(step[10].number, 9600);
	assert_int_equal(program.console.eol, EOL_CRLF);
	problems_free(&problems);
}

static void
nothing_is_an_empty_program(void **state)
{
	(void)state;
	assert_int_equal(parse("name: x\n"), 0);
	assert_true(program_check(&program));
	assert_int_equal(program.step_count, 0);
	assert_int_equal(program.identifies, 0);
	problems_free(&problems);
}

static void
mistakes_are_named(void **state)
{
	static const struct {
		const char *yaml, *problem;
	} cases[] = {
	    {"steps:\n  - send: \"x ${serail}\"\n",
		"p.yaml:2:11: ${serail} is not defined before this step"},
	    {"steps:\n  - send: \"${serial|sha1}\"\n",
		"${serial}: unknown transform; accepted are sha256"},
	    {"steps:\n  - send: \"${serial|split:.}\"\n", "unknown transform"},
	    {"steps:\n  - send: \"${serial\"\n", "no name and \"}\""},
	    {"steps:\n  - send: a\n    expect: {ok: '('}\n",
		"p.yaml:3:18: bad pattern: missing closing parenthesis"},
	    {"steps:\n  - send: a\n    capture: {x: 'abc'}\n",
		"p.yaml:3:18: the pattern captures nothing"},
	    {"steps:\n  - send: a\n    expekt: {}\n", "p.yaml:3:5: "},
	    {"steps:\n  - send: a\n    delay: 1s\n",
		"a step does one thing; here are send and delay"},
	    {"steps:\n  - timeout: 1s\n",
		"p.yaml:2:5: a step without an action"},
	    {"steps:\n  - sync: {send: \"x\"}\n", "the console has no prompt"},
	    {"steps:\n  - send: a\n    expect: {ok: prompt}\n",
		"the console has no prompt"},
	    {"steps:\n  - delay: 1s\n    expect: {ok: x}\n",
		"p.yaml:3:13: expect belongs to a step with send"},
	    {"steps:\n  - expect: {ok: x}\n    then_lines: {value: a}\n",
		"then_lines belongs to a step with send"},
	    {"steps:\n  - send: a\n    capture: {1x: '(a)'}\n",
		"bad name \"1x\""},
	    {"steps:\n  - foreach: {k: [a], v: [b, c]}\n    send: \"${k}\"\n",
		"lists of the same length"},
	    {"steps:\n  - assert: [{equals: [a]}]\n",
		"accepted is a list of two texts"},
	    {"steps:\n  - reset: {lines: \"D2\"}\n",
		"bad line sequence: D needs 0 or 1"},
	    {"console: {prompt: \">\", eol: lfcr}\n", "lf, crlf, cr or none"},
	    {"console: {speed: 9600}\n", "speed"},
	    {"always:\n  - send: \"${csr}\"\n",
		"${csr} is not defined before this step"},
	    {"steps:\n  - register: {csr: \"${csr}\"}\n",
		"${csr} is not defined before this step"},
	    {"steps: [send]\n", "a step is a map such as"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (parse(cases[i].yaml) != -1)
			fail_msg("accepted: %s", cases[i].yaml);
		if (strstr(problems.text.data, cases[i].problem) == NULL)
			fail_msg("%s\nis not in\n%s", cases[i].problem,
			    problems.text.data);
		problems_free(&problems);
	}
}

static void
limits_are_kept(void **state)
{
	struct buf yaml;
	int i;

	(void)state;
	buf_init(&yaml, 1 << 20);
	buf_add_text(&yaml, "steps:\n");
	for (i = 0; i < PROGRAM_STEPS_MAX + 1; i++)
		buf_add_text(&yaml, "  - delay: 1ms\n");
	assert_int_equal(parse(yaml.data), -1);
	assert_non_null(strstr(problems.text.data, "too many steps"));
	problems_free(&problems);
	buf_reset(&yaml);
	buf_add_text(&yaml, "steps:\n");
	for (i = 0; i < 200; i++)
		buf_add_format(&yaml, "  - send: \"%0300d\"\n", i);
	assert_int_equal(parse(yaml.data), -1);
	assert_non_null(strstr(problems.text.data, "texts are too long"));
	problems_free(&problems);
	buf_reset(&yaml);
	buf_add_text(&yaml, "steps:\n  - send: a\n    expect:\n");
	for (i = 0; i < PROGRAM_CLAUSES_MAX + 1; i++)
		buf_add_format(&yaml, "      l%d: x\n", i);
	assert_int_equal(parse(yaml.data), -1);
	assert_non_null(strstr(problems.text.data, "too many patterns"));
	problems_free(&problems);
	buf_reset(&yaml);
	buf_add_text(&yaml, "steps:\n");
	for (i = 0; i < PROGRAM_DEPTH_MAX + 1; i++)
		buf_add_format(&yaml, "%*s- foreach: {k%d: [a]}\n%*ssteps:\n",
		    2 * i + 2, "", i, 2 * i + 4, "");
	buf_add_format(&yaml, "%*s- send: x\n", 2 * i + 2, "");
	assert_int_equal(parse(yaml.data), -1);
	assert_non_null(strstr(problems.text.data, "loops within loops"));
	problems_free(&problems);
	buf_free(&yaml);
}

static void
damage_is_noticed(void **state)
{
	struct program whole;

	(void)state;
	assert_int_equal(parse("steps:\n  - foreach: {k: [a, b]}\n"
			       "    send: \"${k}\"\n    expect: {ok: x}\n"),
	    0);
	whole = program;
#define DAMAGED(change)                                \
	do {                                           \
		program = whole;                       \
		change;                                \
		assert_false(program_check(&program)); \
	} while (0)
	DAMAGED(program.magic++);
	DAMAGED(program.step_count = PROGRAM_STEPS_MAX + 1);
	DAMAGED(program.always_count = PROGRAM_STEPS_MAX);
	DAMAGED(program.pool_len = PROGRAM_POOL_LEN + 1);
	DAMAGED(program.pool[program.pool_len - 1] = 'x');
	DAMAGED(program.secrets = program.pool_len);
	DAMAGED(program.steps[0].end = 0);
	DAMAGED(program.steps[0].end = 3);
	DAMAGED(program.steps[1].clause_count = UINT32_MAX);
	DAMAGED(program.steps[1].text = program.pool_len);
	DAMAGED(program.clauses[0].number = PROGRAM_CLAUSES_MAX);
	DAMAGED(program.clauses[0].kind = CLAUSE_COUNT);
	DAMAGED(program.console.clause = UINT32_MAX);
	program = whole;
	assert_true(program_check(&program));
	problems_free(&problems);
}

static int
layout_parse(const char *yaml, struct inject_layout *layout)
{
	struct yaml_document *document;
	int result;

	problems_init(&problems);
	document = yaml_parse("p.yaml", yaml, strlen(yaml), &problems);
	assert_non_null(document);
	result = inject_layout_parse(
	    document, yaml_root(document), layout, &problems);
	yaml_close(document);
	return result;
}

static void
images_are_described(void **state)
{
	struct inject_layout layout;

	(void)state;
	assert_int_equal(
	    layout_parse(
		"kind: esp-secure-cert\noffset: 0xD000\n"
		"size: 0x2000\nentries:\n"
		"  - {type: private-key, value: \"${claim_key}\"}\n"
		"  - {type: 52, encoding: der, value: \"${root_ca}\"}\n",
		&layout),
	    0);
	assert_int_equal(layout.offset, 0xD000);
	assert_int_equal(layout.entry_count, 2);
	assert_int_equal(layout.entries[0].tlv_type, 2);
	assert_int_equal(layout.entries[1].encoding, INJECT_DER);
	problems_free(&problems);
	assert_int_equal(
	    layout_parse("kind: nvs\noffset: 0x10001\nsize: 0x3000\n"
			 "entries:\n"
			 "  - {key: abcdefghijklmnop, value: \"${clam_key}\"}\n"
			 "  - {type: 5, value: x}\n",
		&layout),
	    -1);
	assert_non_null(strstr(problems.text.data,
	    "p.yaml:2:9: bad offset; accepted are multiples of 0x1000"));
	assert_non_null(strstr(problems.text.data, "namespace"));
	assert_non_null(
	    strstr(problems.text.data, "unknown variable in \"${clam_key}\""));
	assert_non_null(strstr(problems.text.data, "type"));
	problems_free(&problems);
	assert_int_equal(
	    layout_parse("kind: esp-secure-cert\noffset: 0\nsize: 0x2000\n"
			 "entries:\n  - {type: key, value: x}\n"
			 "  - {type: 51, encoding: u8, value: 1}\n",
		&layout),
	    -1);
	assert_non_null(strstr(problems.text.data, "unknown type"));
	assert_non_null(strstr(problems.text.data, "integers are for nvs"));
	problems_free(&problems);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_whole_program_is_read),
	    cmocka_unit_test(nothing_is_an_empty_program),
	    cmocka_unit_test(mistakes_are_named),
	    cmocka_unit_test(limits_are_kept),
	    cmocka_unit_test(damage_is_noticed),
	    cmocka_unit_test(images_are_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
