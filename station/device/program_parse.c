/* The console's settings, the secrets, the two lists of steps. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "device/program_reader.h"

enum {
	STEP_TIMEOUT_MS = 5000,
	TOTAL_TIMEOUT_MS = 5 * 60 * 1000,
	BYTES_MAX = 1024 * 1024,
	LINE_DEFAULT = 4096,
	LINE_MOST = 16384,
	BAUD_DEFAULT = 115200,
	SECRETS_TEXT_LEN = 512,
};

static void
number_get(struct program_reader *reader, struct yaml_node *map,
    const char *key, int64_t least, int64_t most, uint32_t *to)
{
	int64_t number = *to;

	if (yaml_get_integer(reader->document, map, key, false, least, most,
		&number, reader->problems) == 0)
		*to = (uint32_t)number;
}

static void
choice_get(struct program_reader *reader, struct yaml_node *map,
    const char *key, const char *const *names, uint32_t *to)
{
	int choice = (int)*to;

	if (yaml_get_choice(reader->document, map, key, false, names, &choice,
		reader->problems) == 0)
		*to = (uint32_t)choice;
}

static void
span_get(struct program_reader *reader, struct yaml_node *map, const char *key,
    uint32_t *to)
{
	int64_t ms = *to;

	if (yaml_get_span(reader->document, map, key, false, &ms,
		reader->problems) == 0 &&
	    ms > 0 && ms <= 24 * 3600 * 1000)
		*to = (uint32_t)ms;
}

static int
ignore_take(void *arg, struct yaml_node *node)
{
	struct program_reader *reader = arg;
	struct program_clause *clause;

	reader_check_pattern(reader, node, node->text, false);
	clause = reader_clause(reader, node, CLAUSE_IGNORE);
	if (clause == NULL)
		return -1;
	clause->text = reader_pool(reader, node, node->text);
	return 0;
}

static void
console_read(struct program_reader *reader, struct yaml_node *map)
{
	static const char *const eols[] = {"lf", "crlf", "cr", "none", NULL};
	static const char *const echoes[] = {"none", "strip", "wait", NULL};
	static const char *const vt100s[] = {"keep", "strip", NULL};
	struct program_console *console = &reader->program->console;
	struct yaml_node *prompt;

	prompt = yaml_get(map, "prompt");
	if (prompt != NULL && reader_scalar(reader, prompt) != NULL)
		console->prompt = reader_pool(reader, prompt, prompt->text);
	choice_get(reader, map, "eol", eols, &console->eol);
	choice_get(reader, map, "echo", echoes, &console->echo);
	choice_get(reader, map, "vt100", vt100s, &console->vt100_strip);
	number_get(reader, map, "line_max", 80, LINE_MOST, &console->line_max);
	number_get(
	    reader, map, "char_delay_us", 0, 100000, &console->char_delay_us);
	number_get(reader, map, "baud", 300, 4000000, &console->baud);
	number_get(reader, map, "bytes_max", 4096, 256 * 1024 * 1024,
	    &console->bytes_max);
	span_get(reader, map, "step_timeout", &reader->default_timeout_ms);
	span_get(reader, map, "total_timeout", &console->total_timeout_ms);
	console->clause = reader->program->clause_count;
	(void)yaml_each_text(reader->document, map, "ignore_lines", false,
	    ignore_take, reader, reader->problems);
	reader_expect(reader, yaml_get_map(reader->document, map, "final",
				  false, reader->problems));
	console->clause_count = reader->program->clause_count - console->clause;
	yaml_map_finish(reader->document, map, reader->problems);
}

struct secrets_reader {
	struct program_reader *reader;
	char text[SECRETS_TEXT_LEN]; /* names, each with a NUL */
	size_t len;
};

static int
secret_take(void *arg, struct yaml_node *node)
{
	struct secrets_reader *secrets = arg;
	size_t len = strlen(node->text) + 1;

	if (len > PROGRAM_NAME_LEN ||
	    len >= sizeof(secrets->text) - secrets->len) {
		yaml_problem(secrets->reader->document, node,
		    secrets->reader->problems, "too many or too long names");
		return -1;
	}
	memcpy(secrets->text + secrets->len, node->text, len);
	secrets->len += len;
	return 0;
}

/* The names lie in the pool one after the other, an empty one behind. */
static void
secrets_read(struct program_reader *reader, struct yaml_node *map)
{
	static char always[][PROGRAM_NAME_LEN] = {
	    "claim_key", "device_key", "wifi_password"};
	struct secrets_reader secrets = {.reader = reader};
	struct program *program = reader->program;
	size_t i;

	for (i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		(void)secret_take(
		    &secrets, &(struct yaml_node){.text = always[i]});
	(void)yaml_each_text(reader->document, map, "secrets", false,
	    secret_take, &secrets, reader->problems);
	secrets.text[secrets.len++] = '\0';
	if (secrets.len > sizeof(program->pool) - program->pool_len)
		return;
	program->secrets = program->pool_len;
	memcpy(program->pool + program->pool_len, secrets.text, secrets.len);
	program->pool_len += (uint32_t)secrets.len;
}

static void
program_init(struct program *program)
{
	memset(program, 0, sizeof(*program));
	program->magic = PROGRAM_MAGIC;
	program->pool_len = 1; /* offset 0 is the empty text */
	program->console = (struct program_console){
	    .eol = EOL_LF,
	    .echo = ECHO_NONE,
	    .line_max = LINE_DEFAULT,
	    .baud = BAUD_DEFAULT,
	    .bytes_max = BYTES_MAX,
	    .total_timeout_ms = TOTAL_TIMEOUT_MS,
	};
}

int
program_parse(struct yaml_document *document, struct yaml_node *map,
    struct program *program, struct problems *problems)
{
	struct program_reader *reader = calloc(1, sizeof(*reader));
	size_t before = problems->count;
	struct yaml_node *node;

	program_init(program);
	if (reader == NULL) {
		problems_add(
		    problems, yaml_file(document), 0, 0, "out of memory");
		return -1;
	}
	reader->document = document;
	reader->problems = problems;
	reader->program = program;
	reader->default_timeout_ms = STEP_TIMEOUT_MS;
	node = yaml_get_map(document, map, "console", false, problems);
	if (node != NULL)
		console_read(reader, node);
	secrets_read(reader, map);
	node = yaml_get_list(document, map, "steps", false, problems);
	if (node != NULL)
		reader_steps(reader, node);
	program->step_count = reader->step_count;
	/* These also run after a step that failed: nothing that the steps
	 * define is sure to be there. */
	reader->defined_count = 0;
	node = yaml_get_list(document, map, "always", false, problems);
	if (node != NULL)
		reader_steps(reader, node);
	program->always_count = reader->step_count - program->step_count;
	free(reader);
	return problems->count == before ? 0 : -1;
}
