/* What clients make of the daemon's objects, and of text that is hostile. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "dash/board.h"
#include "dash/key.h"
#include "dash/snapshot.h"

/* ---- text ---- */

static void
test_text(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
	    {"", ""}, {"plain", "plain"}, {"Größe 日本", "Größe 日本"},
	    {"a\tb\nc", "a\\x09b\\x0ac"}, {"\x1b[31m\x7f", "\\x1b[31m\\x7f"},
	    {"\xc2\x9b", "\\x9b"},		 /* C1 CSI */
	    {"\xe2\x80\xae", "\\u202e"},	 /* right-to-left override */
	    {"\xe2\x80\x8b", "\\u200b"},	 /* no width */
	    {"\xf3\xa0\x81\x81", "\\ue0041"},	 /* tag characters */
	    {"\xff\xc3", "\\xff\\xc3"},		 /* no UTF-8 */
	    {"\xc0\xaf", "\\xc0\\xaf"},		 /* overlong */
	    {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* surrogate */
	};
	char to[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snapshot_text(to, sizeof(to), cases[i].from);
		assert_string_equal(to, cases[i].to);
	}
	/* Cut between characters and between escapes only. */
	snapshot_text(to, 4, "aöö");
	assert_string_equal(to, "aö");
	snapshot_text(to, 5, "a\x01z");
	assert_string_equal(to, "a");
	snapshot_text(to, 1, "abc");
	assert_string_equal(to, "");
}

/* ---- objects ---- */

static const char lot_text[] =
    "{\"lot\":\"demo\",\"state\":\"open\",\"quantity\":24,\"rows\":25,"
    "\"passed\":22,\"failed\":1,\"missing\":2,\"first_pass_yield\":0.9583,"
    "\"pareto\":[{\"cause\":\"no-answer\",\"count\":1,\"class\":\"DEVICE\"}]"
    "}";

static void
test_lot(void **state)
{
	json_t *json = json_loads(lot_text, 0, NULL);
	struct snapshot_lot lot;

	(void)state;
	assert_int_equal(snapshot_read_lot(json, &lot), 0);
	assert_string_equal(lot.name, "demo");
	assert_true(lot.open);
	assert_int_equal(lot.quantity, 24);
	assert_int_equal(lot.passed, 22);
	assert_int_equal(lot.yield_permille, 958);
	assert_int_equal(lot.pareto_count, 1);
	assert_string_equal(lot.pareto[0].owner, "DEVICE");
	json_object_set_new(json, "first_pass_yield", json_null());
	assert_int_equal(snapshot_read_lot(json, &lot), 0);
	assert_int_equal(lot.yield_permille, -1);
	json_decref(json);
	assert_int_equal(snapshot_read_lot(NULL, &lot), -1);
}

static void
test_lot_complete(void **state)
{
	struct snapshot_lot lot = {.quantity = 4, .rows = 5};

	(void)state;
	lot.passed = 3;
	lot.missing = 2;
	assert_false(snapshot_lot_complete(&lot));
	lot.passed = 4;
	lot.missing = 1;
	assert_true(snapshot_lot_complete(&lot));
	lot.in_progress = 1;
	assert_false(snapshot_lot_complete(&lot));
	lot.in_progress = 0;
	lot.passed = 2;
	lot.failed = 2;
	lot.scrapped = 1;
	lot.missing = 0;
	assert_true(snapshot_lot_complete(&lot));
	/* Bulk units are made when they are staged. */
	lot.passed = 0;
	lot.failed = 0;
	lot.staged = 4;
	lot.missing = 1;
	assert_true(snapshot_lot_complete(&lot));
}

static void
test_ranges(void **state)
{
	json_t *json = json_pack(
	    "{s:i,s:f,s:s,s:[{s:i,s:s,s:f,s:I}],s:i,s:{s:f}}", "units_per_hour",
	    -5, "takt_ms", 1e30, "uptime_s", "x", "slots", "permille", 5000,
	    "state", "nonsense", "seconds", -1.0, "attempt",
	    (json_int_t)INT64_MAX, "lots", 7, "alarm", "ratio", -1.0);
	struct snapshot *snapshot = malloc(sizeof(*snapshot));

	(void)state;
	assert_int_equal(snapshot_read(json, snapshot), 0);
	assert_int_equal(snapshot->units_per_hour, 0);
	assert_int_equal(snapshot->takt_ms, UINT32_MAX);
	assert_int_equal(snapshot->uptime_s, 0);
	assert_int_equal(snapshot->lot_count, 0);
	assert_int_equal(snapshot->slot_count, 1);
	assert_int_equal(snapshot->slots[0].permille, 1000);
	assert_int_equal(snapshot->slots[0].state, SLOT_STATE_EMPTY);
	assert_true(snapshot->slots[0].seconds >= 0);
	assert_true(snapshot->slots[0].attempt == INT64_MAX);
	assert_true(snapshot->alarm.ratio >= 0);
	json_decref(json);
	free(snapshot);
}

static void
test_too_many(void **state)
{
	json_t *slots = json_array();
	json_t *log = json_array();
	json_t *json;
	struct snapshot *snapshot = malloc(sizeof(*snapshot));

	(void)state;
	for (int i = 0; i < SLOTS_MAX + 10; i++) {
		json_array_append_new(slots, json_object());
		json_array_append_new(log,
		    json_pack("{s:s}", "text", i == 0 ? "first" : "later"));
	}
	json = json_pack("{s:o,s:o}", "slots", slots, "log", log);
	assert_int_equal(snapshot_read(json, snapshot), 0);
	assert_int_equal(snapshot->slot_count, SLOTS_MAX);
	/* Of the log the newest stay. */
	assert_int_equal(snapshot->log_count, SNAPSHOT_LOG_MAX);
	assert_string_equal(snapshot->log[0].text, "later");
	json_decref(json);
	free(snapshot);
}

static void
test_busy(void **state)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	(void)state;
	snapshot->slot_count = 1;
	strcpy(snapshot->slots[0].lot, "a");
	snapshot->slots[0].state = SLOT_STATE_DONE;
	assert_false(snapshot_lot_busy(snapshot, "a"));
	snapshot->slots[0].state = SLOT_STATE_BUSY;
	assert_true(snapshot_lot_busy(snapshot, "a"));
	assert_false(snapshot_lot_busy(snapshot, "b"));
	free(snapshot);
}

/* ---- the board ---- */

static void
test_grid(void **state)
{
	(void)state;
	/* Every tile lies inside the area, whatever the sizes. */
	for (uint32_t count = 1; count <= SLOTS_MAX; count++)
		for (int height = 1; height < 60; height++)
			for (int width = 1; width < 200; width += 3) {
				struct grid grid =
				    grid_fit(count, height, width);

				assert_true(grid.rows >= 1);
				assert_true(grid.columns >= 1);
				assert_true(grid.rows * grid.height <= height);
				assert_true(grid.columns * grid.width <= width);
			}
	/* Eight slots are readable at 80x24, 64 fit on its one page. */
	assert_int_equal(grid_fit(8, 10, 80).height, 5);
	assert_true(
	    grid_fit(64, 10, 80).rows * grid_fit(64, 10, 80).columns >= 64);
	assert_int_equal(grid_fit(0, 0, 0).height, 1);
}

static void
test_selection(void **state)
{
	struct board *board = calloc(1, sizeof(*board));

	(void)state;
	board->area_height = 10;
	board->area_width = 80;
	board_arrange(board);
	board_move(board, 1);
	assert_null(board_slot(board));
	board->snapshot.slot_count = 4;
	for (int i = 0; i < 4; i++)
		board->snapshot.slots[i].name[0] = (char)('a' + i);
	board_arrange(board);
	assert_string_equal(board_slot(board)->name, "a");
	board_move(board, 2);
	assert_string_equal(board_slot(board)->name, "c");
	/* The selection stays on its slot while the filter changes. */
	strcpy(board->filter, "c");
	board_arrange(board);
	assert_int_equal(board->visible_count, 1);
	assert_string_equal(board_slot(board)->name, "c");
	board->filter[0] = '\0';
	board_arrange(board);
	assert_string_equal(board_slot(board)->name, "c");
	board_move(board, 100);
	assert_string_equal(board_slot(board)->name, "d");
	board_move(board, -100);
	assert_string_equal(board_slot(board)->name, "a");
	strcpy(board->filter, "empty");
	board_arrange(board);
	assert_int_equal(board->visible_count, 4);
	free(board);
}

/* Every key does what its row says, and no two rows share one. */
static void
test_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_count; i++) {
		assert_non_null(keys[i].label);
		assert_non_null(keys[i].help);
		for (size_t j = 0; j < KEY_CODES_MAX; j++)
			if (keys[i].codes[j] != 0)
				assert_int_equal(key_action(keys[i].codes[j]),
				    keys[i].action);
	}
	assert_int_equal(key_action(0), ACTION_NONE);
	assert_int_equal(key_action('Z'), ACTION_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_lot),
	    cmocka_unit_test(test_lot_complete),
	    cmocka_unit_test(test_ranges),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_busy),
	    cmocka_unit_test(test_grid),
	    cmocka_unit_test(test_selection),
	    cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
