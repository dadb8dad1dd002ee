/*
 * Any bytes as lot.yaml: read against a configuration with one account, in
 * a folder with nothing else in it. It can name files, so that the folder
 * stands in a place of its own.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lot/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct station_config config;
static char folder[64] = "/tmp/station-fuzz-XXXXXX";
static char lot_path[96];

static void
folder_close(void)
{
	(void)unlink(lot_path);
	(void)rmdir(folder);
}

static void
folder_open(void)
{
	if (mkdtemp(folder) == NULL)
		abort();
	(void)snprintf(lot_path, sizeof(lot_path), "%s/lot.yaml", folder);
	(void)atexit(folder_close);
	config.magic = CONFIG_MAGIC;
	config.size = sizeof(config);
	config.cloud_count = 1;
	text_copy(config.clouds[0].name, sizeof(config.clouds[0].name), "main");
	text_copy(config.clouds[0].account, sizeof(config.clouds[0].account),
	    "123456789012");
	text_copy(config.state, sizeof(config.state), folder);
	text_copy(config.lots, sizeof(config.lots), folder);
	text_copy(config.profiles, sizeof(config.profiles), folder);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems;
	FILE *file;

	if (lot_path[0] == '\0')
		folder_open();
	file = fopen(lot_path, "wb");
	if (file == NULL)
		abort();
	(void)fwrite(data, 1, size, file);
	if (fclose(file) != 0)
		abort();
	problems_init(&problems);
	/* Without its other files no lot is good. */
	if (lot_bundle_load(&config, folder, false, &problems) != NULL ||
	    problems.count == 0)
		abort();
	problems_free(&problems);
	return 0;
}
