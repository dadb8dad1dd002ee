/*
 * What a profile says at a device's console, as flat plain data: parsed and
 * checked by the load role, run by the slot (device/engine.h).
 *
 *	console:
 *	  baud: 115200
 *	  prompt: "> "              literal end of an unfinished line
 *	  eol: lf | crlf | cr | none
 *	  echo: none | strip | wait
 *	  vt100: strip | keep
 *	  ignore_lines: ['^[IWE] \(\d+\) ']
 *	  line_max: 4096            longest line that is kept
 *	  char_delay_us: 0
 *	  step_timeout: 5s
 *	  total_timeout: 5m
 *	  bytes_max: 1048576        received in all: more is a flood
 *	  final: {ok: '^OK$', bad: '^ERROR'}   expect of a step without one
 *	secrets: [claim_key]
 *	steps:
 *	  - sync: {send: "\x03", until: prompt, tries: 5, quiet: 200ms}
 *	  - send: "id"
 *	    capture: {serial: 'serial=(\S+)', csr: {pem: CERTIFICATE REQUEST}}
 *	    expect: {ok: '^id ', bad: '^error'}
 *	    then_lines: {value: "${device_cert}", wait: ". ", end: "."}
 *	    assert: [{equals: ["${a}", "${b|sha256|hex}"]},
 *	             {matches: ["${a}", '^[0-9]+$']}]
 *	    timeout: 3s
 *	  - expect: {ok: '^ready'}
 *	  - set: {digest: "${device_cert|der|sha256|hex}"}
 *	  - identify: {serial: "${serial}", mac: "${mac}"}
 *	  - register: {csr: "${csr}"}      defines device_cert, certificate_id
 *	  - register: {cert: "${found}"}   the unit holds one already: the same
 *	  - register: {keys: aws}          and device_key, a secret
 *	  - confirm: {}                    waits for the unit's first connection
 *	                                   in the cloud; defines certificate_id
 *	  - delay: 200ms
 *	  - baud: 460800
 *	  - reset: {lines: "R1|W0.1|R0"}
 *	  - foreach: {k: [a, b], v: ["${x}", "${y}"]}
 *	    send: "set ${k} ${v}"          or `steps:` with a list
 *	  - foreach_chunk: {value: "${v|b64}", size: 48}    defines chunk
 *	    send: "buf ${chunk}"
 *	  - when: ["${claim_after}", erase]     only when both are equal
 *	    send: "claim erase"            any step, or `steps:` with a list
 *	always:                            also after a failed step
 *	  - send: "reset"
 *
 * In an expect the first label that matches wins; a label that begins with
 * "bad" fails the step. The pattern `prompt` stands for the prompt, named
 * groups define variables. Without expect (and final) a step ends when all
 * its captures are there and the prompt, where there is one, has returned.
 *
 * Values expand `${name}` and `${name|transform|transform:argument}`:
 * sha256, hex, upper, lower, b64, b64_decode, b64url_decode, trim, nul,
 * der (of a PEM), pem:LABEL (of DER), split:SEPARATOR:INDEX, re (quoted for
 * a pattern), eol:lf, eol:crlf, eol:escaped.
 */
#ifndef DEVICE_PROGRAM_H
#define DEVICE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/yaml.h"

enum {
	PROGRAM_MAGIC = 0x31475250,
	PROGRAM_STEPS_MAX = 256,
	PROGRAM_CLAUSES_MAX = 512,
	PROGRAM_POOL_LEN = 48 * 1024,
	PROGRAM_DEPTH_MAX = 4, /* of foreach within foreach */
	PROGRAM_NAME_LEN = 33, /* of a variable or label, with its NUL */
	PROGRAM_VARIABLES_MAX = 96,
};

enum program_eol {
	EOL_LF,
	EOL_CRLF,
	EOL_CR,
	EOL_NONE
};
enum program_echo {
	ECHO_NONE,
	ECHO_STRIP,
	ECHO_WAIT
};

enum program_action {
	ACTION_SYNC,
	ACTION_SEND,
	ACTION_EXPECT,
	ACTION_SET,
	ACTION_ASSERT,
	ACTION_IDENTIFY,
	ACTION_REGISTER,
	ACTION_DELAY,
	ACTION_BAUD,
	ACTION_RESET,
	ACTION_CONFIRM,
	ACTION_FOREACH,
	ACTION_CHUNKS,
	ACTION_WHEN,
	ACTION_COUNT
};

/* What a step `register` brings. */
enum program_register {
	REGISTER_NONE,
	REGISTER_CSR,
	REGISTER_CERT,
	REGISTER_KEYS,
};

/*
 * A clause is one part of a step. Texts are offsets into the pool; offset 0
 * is the empty text.
 */
enum program_clause_kind {
	CLAUSE_EXPECT,	    /* name: label; text: pattern */
	CLAUSE_PROMPT,	    /* name: label; the prompt itself is the pattern */
	CLAUSE_CAPTURE,	    /* name: variable; text: pattern with a group */
	CLAUSE_CAPTURE_PEM, /* name: variable; text: the PEM's label */
	CLAUSE_SET,	    /* name: variable; text: value */
	CLAUSE_EQUALS,	    /* text, other: values; of WHEN: its condition */
	CLAUSE_MATCHES,	    /* text: value; other: pattern */
	CLAUSE_LINES,	    /* then_lines: text: value; other: end; number: eol;
			       name: what to wait for, empty: the prompt */
	CLAUSE_LIST,	    /* foreach: name: variable; number: items */
	CLAUSE_ITEM,	    /* text: value; follow their LIST */
	CLAUSE_IGNORE,	    /* console: text: pattern of lines to skip */
	CLAUSE_COUNT
};

struct program_clause {
	uint32_t kind; /* enum program_clause_kind */
	uint32_t name;
	uint32_t text;
	uint32_t other;
	uint32_t number;
};

struct program_step {
	uint32_t action;   /* enum program_action */
	uint32_t line;	   /* in the profile, for messages */
	uint32_t text;	   /* SEND: text; SYNC: what to send; RESET: sequence;
			      IDENTIFY: serial; REGISTER: request or
			      certificate; CHUNKS: value */
	uint32_t other;	   /* IDENTIFY: mac */
	uint32_t number;   /* SYNC: tries; DELAY: ms; BAUD; CHUNKS: size;
			      REGISTER: enum program_register */
	uint32_t quiet_ms; /* SYNC */
	uint32_t timeout_ms;
	uint32_t clause;       /* first of its clauses */
	uint32_t clause_count; /* 0: none */
	uint32_t end;	       /* FOREACH, CHUNKS, WHEN: index behind the body,
				  which begins with the next step */
};

struct program_console {
	uint32_t prompt; /* pool */
	uint32_t eol;	 /* enum program_eol */
	uint32_t echo;	 /* enum program_echo */
	uint32_t vt100_strip;
	uint32_t line_max;
	uint32_t char_delay_us;
	uint32_t baud;
	uint32_t bytes_max;
	uint32_t total_timeout_ms;
	uint32_t clause; /* IGNORE, then EXPECT of `final` */
	uint32_t clause_count;
};

struct program {
	uint32_t magic;
	uint32_t step_count;   /* of `steps`; they come first */
	uint32_t always_count; /* of `always`, behind them */
	uint32_t clause_count;
	uint32_t pool_len;
	uint32_t secrets; /* pool: names, each with a NUL, then an empty one */
	uint32_t identifies; /* 1: a step `identify` with a serial is there */
	uint32_t registers;  /* enum program_register of its step */
	uint32_t confirms;   /* 1: a step `confirm` is there */
	struct program_console console;
	struct program_step steps[PROGRAM_STEPS_MAX];
	struct program_clause clauses[PROGRAM_CLAUSES_MAX];
	char pool[PROGRAM_POOL_LEN];
};

/*
 * Variables that the slot defines before the first step, beside
 * `manifest.NAME`: serial, mac, thing, lot, product, part_number, station,
 * firmware_version, endpoint, endpoint_port, template, root_ca, claim_cert,
 * claim_key, claim_after (erase or keep), ending (field, bench, proxy),
 * wifi_ssid, wifi_password. claim_key and wifi_password are always secret.
 */
bool program_name_given(const char *name);
/* Their list for messages: "serial, mac, ..., manifest.NAME". */
const char *program_names_given(void);

/*
 * Reads `console`, `secrets`, `steps` and `always` of a profile's root map
 * and checks what can be checked without a device: every variable is
 * defined before its use, every pattern compiles, every transform is known.
 * A profile without these keys gives an empty program. Reports every error;
 * returns 0 when there was none. Other keys are the caller's.
 */
int program_parse(struct yaml_document *, struct yaml_node *map,
    struct program *, struct problems *);

/* True when every index and offset lies within the program: before it is
 * run by a process that did not make it. */
bool program_check(const struct program *);

/* The steps behind it, up to `end`, belong to it. */
bool program_step_has_body(const struct program_step *);

/* Text of the pool. */
const char *program_text(const struct program *, uint32_t offset);

#endif
