/* A snapshot from a daemon, with text from any device. */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "dash/board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct board board;
	json_t *json = json_loadb((const char *)data, size, 0, NULL);
	const struct snapshot *snapshot = &board.snapshot;

	if (json != NULL && snapshot_read(json, &board.snapshot) == 0) {
		for (uint32_t i = 0; i < snapshot->slot_count; i++) {
			check_text(snapshot->slots[i].serial);
			check_text(snapshot->slots[i].text);
			if (snapshot->slots[i].permille > 1000)
				abort();
		}
		for (uint32_t i = 0; i < snapshot->log_count; i++)
			check_text(snapshot->log[i].text);
		for (uint32_t i = 0; i < snapshot->lot_count; i++)
			if (snapshot->lots[i].yield_permille > 1000)
				abort();
		board.area_height = (int)(size % 40);
		board.area_width = (int)(size % 130);
		board_arrange(&board);
		board_next_lot(&board);
		if (board.selected >= board.visible_count &&
		    board.visible_count > 0)
			abort();
	}
	json_decref(json);
	return 0;
}
