#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

static struct problems problems;

static int
problems_setup(void **state)
{
	(void)state;
	problems_init(&problems);
	return 0;
}

static int
problems_teardown(void **state)
{
	(void)state;
	problems_free(&problems);
	return 0;
}

static const char *
problem_text(void)
{
	return problems.text.data == NULL ? "" : problems.text.data;
}

/* Parses what must be good. */
static struct yaml_document *
parse(const char *text)
{
	struct yaml_document *document =
	    yaml_parse("f", text, strlen(text), &problems);

	assert_string_equal(problem_text(), "");
	assert_non_null(document);
	return document;
}

static void
test_tree(void **state)
{
	struct yaml_document *document = parse("# comment\n"
					       "lot: A-1\n"
					       "flow: {a: [1, '2'], b: {}}\n"
					       "list:\n"
					       "  - x\n"
					       "  - \"y\\n\"\n");
	struct yaml_node *root = yaml_root(document), *node;

	(void)state;
	assert_string_equal(yaml_file(document), "f");
	assert_int_equal(root->kind, YAML_KIND_MAP);
	assert_int_equal(root->children, 3);
	node = yaml_get(root, "lot");
	assert_string_equal(node->text, "A-1");
	assert_string_equal(node->key, "lot");
	assert_true(node->plain);
	assert_int_equal(node->line, 2);
	assert_int_equal(node->column, 6);
	assert_int_equal(node->key_line, 2);
	assert_int_equal(node->key_column, 1);
	node = yaml_get(yaml_get(root, "flow"), "a");
	assert_int_equal(node->kind, YAML_KIND_LIST);
	assert_int_equal(node->children, 2);
	assert_true(node->child->plain);
	assert_false(node->child->next->plain);
	assert_int_equal(node->child->next->column, 15);
	assert_null(node->child->next->next);
	node = yaml_get(root, "list")->child->next;
	assert_string_equal(node->text, "y\n");
	assert_null(node->key);
	assert_int_equal(node->len, 2);
	assert_null(yaml_get(root, "none"));
	assert_null(yaml_get(node, "none"));
	assert_null(yaml_get(NULL, "none"));
	yaml_close(document);
	yaml_close(NULL);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
	    {"", "f:1:1: the file holds no map; `key: value` lines are "
		 "accepted\n"},
	    {"# only a comment\n", "f:1:1: the file holds no map; "
				   "`key: value` lines are accepted\n"},
	    {"- a\n", "f:1:1: the file holds no map; `key: value` lines are "
		      "accepted\n"},
	    {"a: 1\nb: 2\na: 3\n",
		"f:3:1: a is given twice, first on line 1; once is accepted\n"},
	    {"m:\n  x: 1\n  x: 2\n  x: 3\n",
		"f:3:3: x is given twice, first on line 2; once is accepted\n"
		"f:4:3: x is given twice, first on line 3; once is accepted\n"},
	    {"a: &x 1\nb: !!int 2\n",
		"f:1:4: anchors and tags are not accepted; write plain "
		"values\n"
		"f:2:4: anchors and tags are not accepted; write plain "
		"values\n"},
	    {"a: &x [1]\n", "f:1:4: anchors and tags are not accepted; write "
			    "plain values\n"},
	    {"a: !m {b: 1}\n", "f:1:4: anchors and tags are not accepted; "
			       "write plain values\n"},
	    {"a: *x\n",
		"f:1:4: aliases are not accepted; write the value out\n"},
	    {"<<: {a: 1}\n",
		"f:1:1: merge keys are not accepted; write the keys out\n"},
	    {"a: 1\n---\nb: 2\n", "f:2:1: a second document; one is accepted "
				  "in a file\n"},
	    {"%YAML 1.1\n---\na: 1\n", "f:1:1: directives are not accepted\n"},
	    {"[a]: 1\n", "f:1:1: a list or map as a key; a name is "
			 "accepted\n"},
	    {"? {a: 1}\n: 2\n", "f:1:3: a list or map as a key; a name is "
				"accepted\n"},
	    {"'': 1\n", "f:1:1: an empty key; a name is accepted\n"},
	    {"a: \"x\\0y\"\n", "f:1:4: a NUL inside a text; any other "
			       "character is accepted\n"},
	    {"a: 1\n\tb: 2\n", "f:2:1: while scanning a plain scalar: "
			       "found a tab character that violates "
			       "indentation\n"},
	    {"a: [1, 2\n", "f:2:1: while parsing a flow sequence: did not "
			   "find expected ',' or ']'\n"},
	    {"a: 1\nb: \"\xff\"\n", "f:2:5: invalid leading UTF-8 octet\n"},
	    {"a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n",
		"f:1:19: nested too deeply; at most 16 levels are accepted\n"},
	};
	struct yaml_document *document;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		problems_free(&problems);
		document = yaml_parse(
		    "f", rows[i].text, strlen(rows[i].text), &problems);
		assert_null(document);
		assert_string_equal(problem_text(), rows[i].problem);
	}
}

static void
test_limits(void **state)
{
	struct yaml_document *document;
	struct buf text;
	size_t i;

	(void)state;
	document = parse("a: [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]\n");
	yaml_close(document);
	buf_init(&text, 4 * 1024 * 1024);
	for (i = 0; i < 19999; i++)
		buf_add_format(&text, "k%zu: v\n", i);
	document = parse(text.data);
	assert_int_equal(yaml_root(document)->children, 19999);
	yaml_close(document);
	buf_add_text(&text, "one: more\n");
	assert_null(yaml_parse("f", text.data, text.len, &problems));
	assert_string_equal(problem_text(),
	    "f:20000:6: too many values; at most 20000 are accepted in a "
	    "file\n");
	problems_free(&problems);
	for (i = 0; i < 1024 * 1024; i++)
		buf_add(&text, "#", 1);
	assert_null(yaml_parse("f", text.data, text.len, &problems));
	assert_non_null(strstr(problem_text(), "f: "));
	assert_non_null(
	    strstr(problem_text(), " bytes; at most 1048576 are accepted\n"));
	buf_free(&text);
}

static void
test_texts(void **state)
{
	struct yaml_document *document = parse("a: abc\n"
					       "empty: ''\n"
					       "none:\n"
					       "tilde: ~\n"
					       "version: 1.10\n"
					       "m: {}\n"
					       "quoted: 'null'\n");
	struct yaml_node *root = yaml_root(document);
	char text[5] = "old";

	(void)state;
	assert_int_equal(
	    yaml_get_text(document, root, "x", false, text, 5, &problems), 1);
	assert_string_equal(text, "old");
	assert_int_equal(
	    yaml_get_text(document, root, "a", true, text, 5, &problems), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(
	    yaml_get_text(document, root, "empty", true, text, 5, &problems),
	    0);
	assert_string_equal(text, "");
	assert_int_equal(
	    yaml_get_text(document, root, "version", true, text, 5, &problems),
	    0);
	assert_string_equal(text, "1.10");
	assert_int_equal(
	    yaml_get_text(document, root, "quoted", true, text, 5, &problems),
	    0);
	assert_string_equal(text, "null");
	assert_string_equal(problem_text(), "");
	assert_int_equal(
	    yaml_get_text(document, root, "a", true, text, 3, &problems), -1);
	assert_int_equal(
	    yaml_get_text(document, root, "none", true, text, 5, &problems),
	    -1);
	assert_int_equal(
	    yaml_get_text(document, root, "tilde", false, text, 5, &problems),
	    -1);
	assert_int_equal(
	    yaml_get_text(document, root, "m", false, text, 5, &problems), -1);
	assert_int_equal(
	    yaml_get_text(document, root, "x", true, text, 5, &problems), -1);
	assert_string_equal(text, "null");
	assert_string_equal(problem_text(),
	    "f:1:4: a is abc; a text of at most 2 bytes is accepted\n"
	    "f:3:6: none is empty; a text of at most 4 bytes is accepted\n"
	    "f:4:8: tilde is ~; a text of at most 4 bytes is accepted\n"
	    "f:6:4: m is a map; a text of at most 4 bytes is accepted\n"
	    "f:1:1: x is missing; a text of at most 4 bytes is accepted\n");
	yaml_close(document);
}

static void
test_numbers(void **state)
{
	static const struct {
		const char *value;
		int64_t number; /* -99: refused */
	} rows[] = {
	    {"0", 0},
	    {"-5", -5},
	    {"20", 20},
	    {"21", -99},
	    {"-6", -99},
	    {"007", -99},
	    {"+7", -99},
	    {"7x", -99},
	    {"1e1", -99},
	    {"0x7", -99},
	    {"'7'", -99},
	    {"-x", -99},
	    {"--7", -99},
	    {"", -99},
	    {"7.0", -99},
	    {"99999999999999999999999999", -99},
	    {"[7]", -99},
	};
	struct yaml_document *document;
	char text[64];
	int64_t number;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(text, sizeof(text), "n: %s\n", rows[i].value);
		problems_free(&problems);
		document = parse(text);
		number = -99;
		assert_int_equal(yaml_get_integer(document, yaml_root(document),
				     "n", true, -5, 20, &number, &problems),
		    rows[i].number == -99 ? -1 : 0);
		assert_true(number == rows[i].number);
		assert_int_equal(problems.count, rows[i].number == -99);
		yaml_close(document);
	}
	assert_string_equal(problem_text(),
	    "f:1:4: n is a list; a whole number from -5 to 20 is accepted\n");
}

static void
test_milli(void **state)
{
	static const struct {
		const char *value;
		int64_t milli; /* -1: refused */
	} rows[] = {
	    {"5", 5000},
	    {"0.5", 500},
	    {"2.25", 2250},
	    {"99.999", 99999},
	    {"100", 100000},
	    {"100.001", -1},
	    {"0.4", -1},
	    {"1.", -1},
	    {".5", -1},
	    {"1.2345", -1},
	    {"1.5 %", -1},
	    {"-1", -1},
	    {"01.5", -1},
	    {"'1.5'", -1},
	    {"999999999999999999", -1},
	};
	struct yaml_document *document;
	char text[64];
	int64_t milli;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(text, sizeof(text), "n: %s\n", rows[i].value);
		problems_free(&problems);
		document = parse(text);
		milli = -1;
		assert_int_equal(yaml_get_milli(document, yaml_root(document),
				     "n", true, 500, 100000, &milli, &problems),
		    rows[i].milli == -1 ? -1 : 0);
		assert_true(milli == rows[i].milli);
		yaml_close(document);
	}
	assert_string_equal(problem_text(),
	    "f:1:4: n is 999999999999999999; a number from 0.5 to 100 is "
	    "accepted\n");
}

static void
test_spans_and_booleans(void **state)
{
	static const struct {
		const char *value;
		int64_t ms; /* -1: refused */
	} rows[] = {
	    {"300ms", 300},
	    {"5s", 5000},
	    {"2m", 120000},
	    {"1h", 3600000},
	    {"'5s'", 5000},
	    {"0s", 0},
	    {"5", -1},
	    {"5 s", -1},
	    {"1.5s", -1},
	    {"-5s", -1},
	    {"5d", -1},
	    {"s", -1},
	    {"999999999999999999h", -1},
	};
	struct yaml_document *document;
	struct yaml_node *root;
	char text[64];
	bool value = false;
	int64_t ms;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(text, sizeof(text), "t: %s\n", rows[i].value);
		problems_free(&problems);
		document = parse(text);
		ms = -1;
		assert_int_equal(yaml_get_span(document, yaml_root(document),
				     "t", true, &ms, &problems),
		    rows[i].ms == -1 ? -1 : 0);
		assert_true(ms == rows[i].ms);
		yaml_close(document);
	}
	problems_free(&problems);
	document = parse("a: true\nb: false\nc: yes\nd: 'true'\n");
	root = yaml_root(document);
	assert_int_equal(
	    yaml_get_boolean(document, root, "a", true, &value, &problems), 0);
	assert_true(value);
	assert_int_equal(
	    yaml_get_boolean(document, root, "b", true, &value, &problems), 0);
	assert_false(value);
	assert_int_equal(
	    yaml_get_boolean(document, root, "c", true, &value, &problems), -1);
	assert_int_equal(
	    yaml_get_boolean(document, root, "d", true, &value, &problems), -1);
	assert_string_equal(problem_text(),
	    "f:3:4: c is yes; true or false is accepted\n"
	    "f:4:4: d is true; true or false is accepted\n");
	yaml_close(document);
}

static void
test_choices(void **state)
{
	static const char *const names[] = {"mac", "scan", "next", NULL};
	struct yaml_document *document = parse("a: next\nb: usb\nc: [mac]\n");
	struct yaml_node *root = yaml_root(document);
	int choice = 7;

	(void)state;
	assert_int_equal(yaml_get_choice(document, root, "x", false, names,
			     &choice, &problems),
	    1);
	assert_int_equal(choice, 7);
	assert_int_equal(yaml_get_choice(document, root, "a", true, names,
			     &choice, &problems),
	    0);
	assert_int_equal(choice, 2);
	assert_int_equal(yaml_get_choice(document, root, "b", true, names,
			     &choice, &problems),
	    -1);
	assert_int_equal(yaml_get_choice(document, root, "c", true, names,
			     &choice, &problems),
	    -1);
	assert_int_equal(choice, 2);
	assert_string_equal(problem_text(),
	    "f:2:4: b is usb; mac, scan or next is accepted\n"
	    "f:3:4: c is a list; mac, scan or next is accepted\n");
	yaml_close(document);
}

static int
each_join(void *arg, struct yaml_node *node)
{
	strcat(arg, node->text);
	strcat(arg, "|");
	return strcmp(node->text, "bad") == 0 ? -1 : 0;
}

static void
test_each_text(void **state)
{
	static const struct {
		const char *text;
		bool required;
		int result;
		const char *joined, *problem;
	} rows[] = {
	    {"a: one\n", true, 0, "one|", ""},
	    {"a: [one, 'two']\n", true, 0, "one|two|", ""},
	    {"a: []\n", false, 0, "", ""},
	    {"b: 1\n", false, 1, "", ""},
	    {"a: [one, bad, two]\n", false, -1, "one|bad|two|", ""},
	    {"a: []\n", true, -1, "",
		"f:1:4: a is a list; a text or a list "
		"of texts is accepted\n"},
	    {"a: {}\n", true, -1, "",
		"f:1:4: a is a map; a text or a list of texts is accepted\n"},
	    {"a: [x, [], y]\n", true, -1, "x|y|",
		"f:1:8: this is a list; a text is accepted\n"},
	    {"b: 1\n", true, -1, "",
		"f:1:1: a is missing; a text or a list "
		"of texts is accepted\n"},
	};
	struct yaml_document *document;
	char joined[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		problems_free(&problems);
		joined[0] = '\0';
		document = parse(rows[i].text);
		assert_int_equal(
		    yaml_each_text(document, yaml_root(document), "a",
			rows[i].required, each_join, joined, &problems),
		    rows[i].result);
		assert_string_equal(joined, rows[i].joined);
		assert_string_equal(problem_text(), rows[i].problem);
		yaml_close(document);
	}
}

static void
test_maps_and_unknown_keys(void **state)
{
	struct yaml_document *document = parse("aws: {region: eu, typo: 1}\n"
					       "list: [1]\n"
					       "extra: 2\n");
	struct yaml_node *root = yaml_root(document), *aws;
	char text[8];

	(void)state;
	assert_null(yaml_get_map(document, root, "none", false, &problems));
	aws = yaml_get_map(document, root, "aws", true, &problems);
	assert_non_null(aws);
	assert_int_equal(
	    yaml_get_text(document, aws, "region", true, text, 8, &problems),
	    0);
	/* An absent key is accepted all the same: it was asked for, once. */
	yaml_get_text(document, aws, "account", false, text, 8, &problems);
	yaml_get_text(document, aws, "account", false, text, 8, &problems);
	assert_null(yaml_get_map(document, root, "list", true, &problems));
	assert_null(yaml_get_list(document, root, "aws", true, &problems));
	assert_non_null(yaml_get_list(document, root, "list", true, &problems));
	yaml_map_finish(document, aws, &problems);
	yaml_map_finish(document, root, &problems);
	yaml_map_finish(document, NULL, &problems);
	assert_string_equal(problem_text(),
	    "f:2:7: list is a list; a map is accepted\n"
	    "f:1:6: aws is a map; a list is accepted\n"
	    "f:1:19: unknown key typo; accepted are region, account\n"
	    "f:3:1: unknown key extra; accepted are none, aws, list\n");
	problems_free(&problems);
	/* What hangs below a missing map is not reported again. */
	assert_int_equal(
	    yaml_get_text(document, NULL, "x", true, text, 8, &problems), -1);
	assert_null(yaml_get_map(document, NULL, "x", true, &problems));
	assert_int_equal(problems.count, 0);
	yaml_problem(document, aws, &problems, "%s", "own\x1bwords");
	assert_string_equal(problem_text(), "f:1:6: own?words\n");
	yaml_close(document);
}

int
main(void)
{
#define YAML_TEST(test) \
	cmocka_unit_test_setup_teardown(test, problems_setup, problems_teardown)
	const struct CMUnitTest tests[] = {
	    YAML_TEST(test_tree),
	    YAML_TEST(test_refused),
	    YAML_TEST(test_limits),
	    YAML_TEST(test_texts),
	    YAML_TEST(test_numbers),
	    YAML_TEST(test_milli),
	    YAML_TEST(test_spans_and_booleans),
	    YAML_TEST(test_choices),
	    YAML_TEST(test_each_text),
	    YAML_TEST(test_maps_and_unknown_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
