/* The engine against a scripted console. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/yaml.h"
#include "device/engine.h"
#include "device_peer.h"

enum {
	TEXT_MAX = 1 << 17,
	HEARD_MAX = 1 << 16
};

/* What the console answers to a line; null ends the list. */
struct answer {
	const char *line;
	const char *text;
};

struct console {
	const struct answer *answers;
	const char *prompt;
	bool echo;
	bool byte_wise;	   /* answers come in single bytes */
	bool hang_up;	   /* at the first line */
	const char *flood; /* said without end after the first line */
	char line[8192];
	size_t line_len;
	char heard[HEARD_MAX]; /* lines as they came, each with \n */
	size_t heard_len;
};

static struct console console;
static struct peer peer;
static struct port port;
static struct program program;
static struct engine *engine;
static struct transcript *transcript;
static int transcript_file;
static struct fault fault;
static char text[TEXT_MAX];
static char identified[128], enrolled[4096];

static void
say(const char *what)
{
	size_t i;

	if (!console.byte_wise) {
		peer_say_text(&peer, what);
		return;
	}
	for (i = 0; what[i] != '\0'; i++)
		peer_say(&peer, what + i, 1);
}

/* Says it again and again until the peer is to stop. */
static void
flood(void)
{
	struct pollfd polled[2] = {{.fd = peer.master, .events = POLLOUT},
	    {.fd = peer.stop_pair[0], .events = POLLIN}};

	fcntl(peer.master, F_SETFL, O_NONBLOCK);
	while (poll(polled, 2, -1) > 0 && polled[1].revents == 0)
		if (write(peer.master, console.flood, strlen(console.flood)) <
			0 &&
		    errno != EAGAIN)
			return;
}

static void
line_take(void)
{
	const struct answer *answer;

	console.line[console.line_len] = '\0';
	if (console.heard_len + console.line_len + 2 < HEARD_MAX) {
		memcpy(console.heard + console.heard_len, console.line,
		    console.line_len);
		console.heard_len += console.line_len;
		console.heard[console.heard_len++] = '\n';
		console.heard[console.heard_len] = '\0';
	}
	if (console.hang_up) {
		atomic_store(&peer.hung_up, true);
		return;
	}
	if (console.echo)
		say("\r\n");
	for (answer = console.answers; answer != NULL && answer->line != NULL;
	     answer++) {
		if (strcmp(answer->line, console.line) != 0)
			continue;
		say(answer->text);
		break;
	}
	if (console.prompt != NULL)
		say(console.prompt);
	if (console.flood != NULL)
		flood();
	console.line_len = 0;
}

static void
console_take(struct peer *from, const uint8_t *bytes, size_t len)
{
	size_t i;

	(void)from;
	for (i = 0; i < len; i++) {
		if (bytes[i] == '\n') {
			line_take();
			continue;
		}
		if (bytes[i] == '\r')
			continue;
		if (bytes[i] == 3) {
			console.line_len = 0;
			say("^C\r\n");
			say(console.prompt != NULL ? console.prompt : "");
			continue;
		}
		if (console.echo)
			peer_say(&peer, bytes + i, 1);
		if (console.line_len < sizeof(console.line) - 1)
			console.line[console.line_len++] = (char)bytes[i];
	}
}

static int
identify(void *arg, struct engine *which, const char *serial, const char *mac,
    struct fault *why)
{
	(void)arg;
	snprintf(identified, sizeof(identified), "%s/%s", serial, mac);
	return engine_set(which, "thing", "device-1", 8, false, why);
}

static int
enroll(void *arg, struct engine *which, enum program_register what,
    const char *csr, struct fault *why)
{
	static const char certificate[] = "-----BEGIN CERTIFICATE-----\n"
					  "AQIDBAUGBwgJCgsMDQ4P\n"
					  "-----END CERTIFICATE-----\n";

	(void)what;
	(void)arg;
	snprintf(enrolled, sizeof(enrolled), "%s", csr);
	return engine_set(which, "device_cert", certificate,
		   sizeof(certificate) - 1, false, why) != 0 ||
		       engine_set(
			   which, "certificate_id", "id", 2, false, why) != 0
		   ? -1
		   : 0;
}

static const struct engine_calls calls = {
    .identify = identify, .enroll = enroll};

static int
setup(void **state)
{
	(void)state;
	memset(&console, 0, sizeof(console));
	memset(&peer, 0, sizeof(peer));
	fault_clear(&fault);
	identified[0] = enrolled[0] = '\0';
	console.prompt = "> ";
	console.echo = true;
	peer.take = console_take;
	peer_open(&peer, &port);
	transcript_file = memfd_create("transcript", MFD_CLOEXEC);
	transcript = transcript_new(transcript_file, TEXT_MAX);
	port.sink = transcript_bytes;
	port.sink_arg = transcript;
	engine = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	engine_free(engine);
	transcript_free(transcript);
	close(transcript_file);
	peer_close(&peer);
	return 0;
}

#define CONSOLE                                                 \
	"console: {prompt: \"> \", echo: strip, vt100: strip, " \
	"step_timeout: 2s, ignore_lines: ['^I \\(']}\n"

/* Parses and makes the engine; run() runs it. */
static void
load(const char *yaml)
{
	struct yaml_document *document;
	struct problems problems;

	problems_init(&problems);
	document = yaml_parse("p.yaml", yaml, strlen(yaml), &problems);
	assert_non_null(document);
	if (program_parse(document, yaml_root(document), &program, &problems) !=
	    0)
		fail_msg("%s", problems.text.data);
	yaml_close(document);
	problems_free(&problems);
	engine = engine_new(&program, &port, transcript, &calls, &fault);
	assert_non_null(engine);
}

static void
set(const char *name, const char *value)
{
	assert_int_equal(
	    engine_set(engine, name, value, strlen(value), false, &fault), 0);
}

static void
run_well(void)
{
	if (engine_run(engine, &fault) != 0)
		fail_msg("%s: %s", fault_row(fault.cause)->name, fault.text);
}

static void
run_into(enum fault_cause cause, const char *what)
{
	assert_int_equal(engine_run(engine, &fault), -1);
	assert_string_equal(
	    fault_row(fault.cause)->name, fault_row(cause)->name);
	if (strstr(fault.text, what) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", what, fault.text);
}

static const char *
variable(const char *name)
{
	size_t len;
	const char *value = engine_get(engine, name, &len);

	return value != NULL ? value : "(none)";
}

static const char *
transcript_text(void)
{
	ssize_t len;

	transcript_flush(transcript);
	len = pread(transcript_file, text, sizeof(text) - 1, 0);
	assert_true(len >= 0);
	text[len] = '\0';
	return text;
}

/* ---- the tests ---- */

static const char csr_text[] = "-----BEGIN CERTIFICATE REQUEST-----\r\n"
			       "MIIBszCCAVkCAQAwFTETMBEGA1UEAwwK\r\n"
			       "I (17) app: heartbeat\r\n"
			       "QUJDRA==\r\n"
			       "-----END CERTIFICATE REQUEST-----\r\n"
			       "csr ok\r\n";

static const struct answer product[] = {
    {"id", "id serial=SN1 mac=24:6f:28:00:00:01\r\n"},
    {"csr", csr_text},
    {"fail", "error: no such thing\r\n"},
    {"log", "\r\x1b[KI (99) app: heartbeat\r\nlogged\r\n"},
    {NULL, NULL},
};

static void
a_csr_journey_runs(void **state)
{
	(void)state;
	console.answers = product;
	load(CONSOLE
	    "steps:\n"
	    "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
	    "  - send: id\n"
	    "    capture: {serial: 'serial=(\\S+)', hw: 'mac=([0-9a-f:]+)'}\n"
	    "    expect: {ok: '^id ', bad: '^error'}\n"
	    "    assert: [{matches: [\"${serial}\", '^SN\\d+$']}]\n"
	    "  - identify: {serial: \"${serial}\", mac: \"${hw}\"}\n"
	    "  - send: csr\n"
	    "    capture: {csr: {pem: CERTIFICATE REQUEST}}\n"
	    "    expect: {ok: '^csr ok', bad: '^error'}\n"
	    "  - register: {csr: \"${csr}\"}\n"
	    "  - send: log\n"
	    "    expect: {ok: '^logged (?<never>x)|^logged'}\n"
	    "  - set: {digest: \"${device_cert|der|hex}-${thing}\"}\n");
	run_well();
	assert_string_equal(identified, "SN1/24:6f:28:00:00:01");
	assert_string_equal(enrolled, "-----BEGIN CERTIFICATE REQUEST-----\n"
				      "MIIBszCCAVkCAQAwFTETMBEGA1UEAwwK\n"
				      "QUJDRA==\n"
				      "-----END CERTIFICATE REQUEST-----\n");
	assert_string_equal(
	    variable("digest"), "0102030405060708090a0b0c0d0e0f-device-1");
}

static void
single_bytes_change_nothing(void **state)
{
	console.byte_wise = true;
	a_csr_journey_runs(state);
}

static void
expects_end_a_step(void **state)
{
	(void)state;
	console.answers = product;
	/* Nobody has spoken to it yet: it shows no prompt. */
	load(CONSOLE "steps:\n"
		     "  - send: fail\n"
		     "    expect: {ok: '^ok'}\n"
		     "    timeout: 100ms\n");
	run_into(CAUSE_CONSOLE_TIMEOUT, "the unit is silent");
	engine_free(engine);
	load(CONSOLE "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - send: fail\n"
		     "    expect: {ok: '^ok', bad_thing: '^error'}\n");
	run_into(CAUSE_CONSOLE_ERROR,
	    "profile line 4, send \"fail\": bad_thing: \"error: no such "
	    "thing\"");
	engine_free(engine);
	load(CONSOLE "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - send: fail\n"
		     "    expect: {ok: '^ok'}\n"
		     "    timeout: 500ms\n");
	run_into(CAUSE_CONSOLE_TIMEOUT,
	    "(ok '^ok'); the last line was \"error: no such thing\"");
	engine_free(engine);
	load(CONSOLE "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - send: id\n"
		     "    capture: {x: 'colour=(\\S+)'}\n"
		     "    expect: {ok: '^id'}\n");
	run_into(CAUSE_CONSOLE_ERROR, "nothing to capture as x");
	engine_free(engine);
	/* With only bad labels the prompt ends a step. */
	load(CONSOLE "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - send: id\n"
		     "    expect: {bad: '^error'}\n"
		     "  - send: id\n"
		     "    capture: {x: 'mac=(\\S+)'}\n"
		     "  - send: id\n"
		     "    assert: [{equals: [\"${x}\", \"12\"]}]\n");
	run_into(CAUSE_READBACK_MISMATCH,
	    "${x} is \"24:6f:28:00:00:01\", not \"12\"");
}

static const struct answer lines_console[] = {{NULL, NULL}};

static void
values_go_in_line_by_line(void **state)
{
	(void)state;
	/* This console asks for more with the same two characters. */
	console.answers = lines_console;
	console.prompt = ". ";
	load("console: {prompt: \". \", echo: strip, step_timeout: 2s}\n"
	     "secrets: [claim_key]\n"
	     "steps:\n"
	     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
	     "  - send: key begin\n"
	     "    then_lines: {value: \"${claim_key}\", end: \".\"}\n");
	set("claim_key", "-----BEGIN KEY-----\nSECRETSECRETSECRET\n"
			 "TAILTAILTAIL\n-----END KEY-----\n");
	run_well();
	assert_string_equal(console.heard,
	    "key begin\n-----BEGIN KEY-----\nSECRETSECRETSECRET\n"
	    "TAILTAILTAIL\n-----END KEY-----\n.\n");
	assert_null(strstr(transcript_text(), "SECRETS"));
	assert_null(strstr(transcript_text(), "TAILT"));
	assert_non_null(strstr(transcript_text(), "‹secret claim_key"));
}

static const struct answer leaky[] = {
    {"set aHVudGVyMmh1bnRlcjI=", "error: bad key aHVudGVyMmh1bnRlcjI=\r\n"},
    {NULL, NULL},
};

static void
secrets_do_not_show(void **state)
{
	(void)state;
	console.answers = leaky;
	load(CONSOLE "secrets: [claim_key]\n"
		     "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - set: {other: \"${claim_key|b64}\"}\n"
		     "  - send: \"set ${other}\"\n"
		     "    expect: {ok: '^ok', bad: '^error'}\n");
	set("claim_key", "hunter2hunter2");
	run_into(CAUSE_CONSOLE_ERROR, "(a line with a secret)");
	assert_null(strstr(fault.text, "aHVudG"));
	assert_null(strstr(transcript_text(), "aHVudG"));
	assert_null(strstr(transcript_text(), "hunter2"));
}

static void
loops_run(void **state)
{
	(void)state;
	load(CONSOLE "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - foreach: {k: [a, b], v: [\"${mac}\", \"2\"]}\n"
		     "    steps:\n"
		     "      - send: \"set ${k} ${v}\"\n"
		     "      - foreach_chunk: {value: \"${v|hex}\", size: 3}\n"
		     "        send: \"buf ${chunk}\"\n"
		     "always:\n"
		     "  - send: \"bye\"\n");
	set("mac", "24");
	run_well();
	assert_string_equal(
	    console.heard, "set a 24\nbuf 323\nbuf 4\nset b 2\nbuf 32\nbye\n");
}

static void
always_runs_after_a_failure(void **state)
{
	(void)state;
	console.answers = product;
	load(CONSOLE "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - send: fail\n"
		     "    expect: {ok: '^ok', bad: '^error'}\n"
		     "  - send: never\n"
		     "always:\n"
		     "  - send: bye\n"
		     "    expect: {ok: nothing}\n"
		     "    timeout: 500ms\n");
	run_into(CAUSE_CONSOLE_ERROR, "send \"fail\"");
	assert_string_equal(console.heard, "fail\nbye\n");
}

static const struct answer final_console[] = {
    {"AT", "OK\r\n"},
    {"AT+CGSN=1", "+CGSN: \"352656100000001\"\r\nOK\r\n"},
    {"AT+BAD", "+CME ERROR: 513\r\n"},
    {NULL, NULL},
};

static void
final_answers_end_steps(void **state)
{
	(void)state;
	console.answers = final_console;
	console.prompt = NULL;
	console.echo = false;
	load("console: {eol: crlf, final: {ok: '^OK$',\n"
	     "    bad: '^(ERROR|\\+CME ERROR: (?<cme>\\d+))'}}\n"
	     "steps:\n"
	     "  - send: AT\n"
	     "  - send: AT+CGSN=1\n"
	     "    capture: {serial: '^\\+CGSN: \"(\\d{15})\"'}\n"
	     "  - send: AT+BAD\n");
	run_into(CAUSE_CONSOLE_ERROR, "bad: \"+CME ERROR: 513\"");
	assert_string_equal(variable("serial"), "352656100000001");
}

static const struct answer hostile[] = {
    {"boots", "rst:0x10 (RTCWDT),boot:0x13\r\ninvalid header\r\n"
	      "rst:0x10 (RTCWDT),boot:0x13\r\ninvalid header\r\n"
	      "rst:0x10 (RTCWDT),boot:0x13\r\n"},
    {"pem", "-----BEGIN X-----\r\n"},
    {"noise", "\x01\x80\x02\x81\x03\x84\x05\x86\x07\x01\x80\x02\x81\x03\x84"
	      "\x05\x86\x07\x01\x80\x02\x81\x03\x84\x05\x86\x07\x01\x80\x02"
	      "\x81\x03\x84\x05\x86\x07\x01\x80\x02\x81\x03\x84\x05\x86\x07"},
    {"slow", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"
	     "\r\nok\r\n"},
    {NULL, NULL},
};

static void
hostile_devices_are_contained(void **state)
{
	int64_t begin;

	(void)state;
	console.answers = hostile;
	load(CONSOLE "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - send: boots\n"
		     "    expect: {ok: '^ready'}\n");
	run_into(CAUSE_RESET_LOOP, "3 times");
	engine_free(engine);
	load(CONSOLE "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - send: noise\n"
		     "    expect: {ok: '^ready'}\n"
		     "    timeout: 500ms\n");
	run_into(CAUSE_GARBAGE, "no text");
	engine_free(engine);
	/* Backtracking without end: the limits of the pattern stop it. */
	begin = clock_monotonic_ms();
	load(CONSOLE "steps:\n"
		     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
		     "  - send: slow\n"
		     "    expect: {evil: '^(a+)+$', ok: '^ok'}\n");
	run_well();
	assert_true(clock_monotonic_ms() - begin < 5000);
}

static void
a_flood_ends(void **state)
{
	(void)state;
	console.flood = "Lorem ipsum dolor sit amet, consectetur\r\n";
	console.prompt = NULL;
	load("console: {bytes_max: 100000}\n"
	     "steps:\n"
	     "  - send: x\n"
	     "    expect: {ok: never}\n");
	run_into(CAUSE_DEVICE_FLOOD, "the profile allows 100000");
}

static void
unplugging_is_noticed(void **state)
{
	(void)state;
	console.hang_up = true;
	load("steps:\n"
	     "  - send: x\n"
	     "    expect: {ok: never}\n"
	     "always:\n"
	     "  - send: bye\n");
	run_into(CAUSE_UNPLUGGED, "gone");
}

static int
stop(void *arg, struct fault *why)
{
	(void)arg;
	return fault_set(why, CAUSE_ABORTED, "stopped");
}

static void
an_abort_is_noticed(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	port.interrupt_fd = pair[0];
	port.interrupt = stop;
	load("steps:\n  - delay: 10s\n");
	run_into(CAUSE_ABORTED, "stopped");
	close(pair[0]);
	close(pair[1]);
}

static void
waiting_for_the_echo_paces(void **state)
{
	(void)state;
	console.answers = product;
	load("console: {prompt: \"> \", echo: wait, step_timeout: 1s}\n"
	     "steps:\n"
	     "  - sync: {send: \"\\x03\", quiet: 20ms}\n"
	     "  - send: id\n"
	     "    expect: {ok: '^id serial'}\n");
	run_well();
	console.echo = false;
	run_into(CAUSE_CONSOLE_TIMEOUT, "does not echo");
}

static void
damaged_programs_do_not_start(void **state)
{
	(void)state;
	load("steps:\n  - delay: 1ms\n");
	engine_free(engine);
	program.steps[0].text = UINT32_MAX;
	engine = engine_new(&program, &port, transcript, &calls, &fault);
	assert_null(engine);
	assert_int_equal(fault.cause, CAUSE_INTERNAL);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_csr_journey_runs),
	    TEST(single_bytes_change_nothing),
	    TEST(expects_end_a_step),
	    TEST(values_go_in_line_by_line),
	    TEST(secrets_do_not_show),
	    TEST(loops_run),
	    TEST(always_runs_after_a_failure),
	    TEST(final_answers_end_steps),
	    TEST(hostile_devices_are_contained),
	    TEST(a_flood_ends),
	    TEST(unplugging_is_noticed),
	    TEST(an_abort_is_noticed),
	    TEST(waiting_for_the_echo_paces),
	    TEST(damaged_programs_do_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
