/*
 * Flashes one virtual unit as a slot does and prints what it took as JSON:
 *
 *	{"seconds":..,"cpu_seconds":..,"bytes":..,"model_seconds":..,
 *	 "cpu_ms_per_mib":..,"baud":..,"verified":true}
 *
 * bytes are those of the firmware, unpacked; model_seconds is what the same
 * exchange takes on a real line with flash of usual speed.
 *
 *	flash_one [--port NODE] [--lines SOCKET] [--firmware FOLDER]
 *	    [--chip NAME] [--app-kib N] [--baud N] [--plain] [--inject]
 *	    [--transcript] [--real-time] [-- OPTIONS OF bench-device]
 *
 * Without --port it starts $BUILD/bin/bench-device (BUILD: build) for the
 * time of the run; without --firmware, bench-firmware makes one.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "device/esp_rom.h"
#include "device/firmware.h"
#include "device/port.h"
#include "device/transcript.h"

enum {
	ARGUMENTS_MAX = 32,
	START_MS = 10000,
	FILE_MAX = 16 * 1024 * 1024,
	PATH_ROOM = 600,
};

struct options {
	const char *port, *lines, *firmware, *chip, *app_kib, *baud;
	bool plain, inject, transcript, real_time;
	char **device_options;
};

static char folder[] = "/tmp/flash-one-XXXXXX";
static pid_t device;

static void
clean(void)
{
	char command[sizeof(folder) + 16];

	if (device > 0) {
		kill(device, SIGTERM);
		waitpid(device, NULL, 0);
	}
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command) != 0)
		fprintf(stderr, "flash_one: %s stays behind\n", folder);
}

static void
fail(const struct fault *fault)
{
	fprintf(stderr, "flash_one: %s: %s\n", fault_row(fault->cause)->name,
	    fault->text);
	exit(EX_SOFTWARE);
}

static pid_t
start(const char *program, char **arguments)
{
	const char *build = getenv("BUILD");
	char path[PATH_ROOM];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/bin/%s",
	    build != NULL ? build : "build", program);
	pid = fork();
	if (pid == 0) {
		execv(path, arguments);
		perror(path);
		_exit(EX_UNAVAILABLE);
	}
	return pid;
}

static void
device_start(const struct options *options, char *port, char *lines)
{
	static char name[] = "bench-device", link_option[] = "--link",
		    chip_option[] = "--chip", real_time[] = "--real-time",
		    dies[] = "--die-with-parent";
	char *arguments[ARGUMENTS_MAX + 8];
	int64_t deadline = clock_deadline(START_MS);
	size_t count = 0, i;

	snprintf(port, PATH_ROOM, "%s/port", folder);
	snprintf(lines, PATH_ROOM, "%s/port.lines", folder);
	arguments[count++] = name;
	arguments[count++] = link_option;
	arguments[count++] = port;
	arguments[count++] = chip_option;
	arguments[count++] = strdup(options->chip);
	arguments[count++] = dies;
	if (options->real_time)
		arguments[count++] = real_time;
	for (i = 0; i < ARGUMENTS_MAX && options->device_options[i] != NULL;
	     i++)
		arguments[count++] = options->device_options[i];
	arguments[count] = NULL;
	device = start(name, arguments);
	while ((access(lines, F_OK) != 0 || access(port, F_OK) != 0) &&
	       clock_remaining_ms(deadline) > 0)
		clock_sleep_us(1000);
}

static void
firmware_make(const struct options *options, char *path)
{
	char name[] = "bench-firmware", out[] = "--out", chip[] = "--chip",
	     kib[] = "--app-kib";
	char *arguments[] = {name, out, path, chip, strdup(options->chip), kib,
	    strdup(options->app_kib), NULL};
	int status;

	snprintf(path, PATH_ROOM, "%s/firmware", folder);
	mkdir(path, 0700);
	if (waitpid(start(name, arguments), &status, 0) < 0 || status != 0) {
		fprintf(stderr, "flash_one: bench-firmware failed\n");
		exit(EX_UNAVAILABLE);
	}
}

static int
source_compare(const void *one, const void *other)
{
	const struct firmware_source *a = one, *b = other;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static void
firmware_load(const char *path, struct firmware_view *view)
{
	struct firmware_source sources[FIRMWARE_REGIONS_MAX];
	struct fault fault = {0};
	char file[PATH_ROOM * 2], *data;
	const char *offset;
	json_t *root, *value;
	size_t count = 0, len;
	uint8_t *packed;

	snprintf(file, sizeof(file), "%s/flasher_args.json", path);
	root = json_load_file(file, 0, NULL);
	json_object_foreach (
	    json_object_get(root, "flash_files"), offset, value) {
		snprintf(file, sizeof(file), "%s/%s", path,
		    json_string_value(value));
		if (count == FIRMWARE_REGIONS_MAX ||
		    file_read(file, FILE_MAX, &data, &len, &fault) != 0)
			fail(&fault);
		sources[count++] = (struct firmware_source){
		    json_string_value(value),
		    (uint32_t)strtoul(offset, NULL, 0), (uint8_t *)data, len};
	}
	qsort(sources, count, sizeof(sources[0]), source_compare);
	if (firmware_build(sources, count, &packed, &len, &fault) != 0 ||
	    firmware_check(packed, len, view, &fault) != 0)
		fail(&fault);
}

static double
cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Line time, 150 ms a 64 KiB erased, 0.4 ms a page programmed. */
static double
model_seconds(const struct port *port, uint32_t baud, uint64_t bytes)
{
	return (double)(port->bytes_sent + port->bytes_received) * 10 / baud +
	       (double)bytes / 65536 * 0.150 + (double)bytes / 256 * 0.0004;
}

static void
flash(const struct options *options, const char *node, const char *lines,
    const struct firmware_view *firmware)
{
	struct esp_demands demands = {.chips = UINT32_MAX,
	    .reset_count = 2,
	    .resets = {"U0,0|U1,1|U0,1|W0.1|U1,0|W0.05|U0,0|D0",
		"D0|R1|W0.1|D1|R0|W0.05|D0"},
	    .run = "D0|R1|W0.1|R0"};
	struct transcript *transcript = NULL;
	struct esp_identity identity;
	struct esp_session *session;
	struct fault fault = {0};
	struct port_claim claim;
	struct port port;
	uint8_t image[8192];
	double cpu = cpu_seconds();
	int64_t begin = clock_monotonic_us();
	bool verified = false;
	uint32_t baud;

	demands.bauds[0] = (uint32_t)strtoul(options->baud, NULL, 10);
	demands.baud_count = demands.bauds[0] > PORT_BAUD_START ? 1 : 0;
	demands.plain = options->plain ? 1 : 0;
	if (port_open(node, lines, &claim, &fault) != 0)
		fail(&fault);
	port_attach(&port, claim.fd, claim.lines_fd);
	if (options->transcript) {
		transcript =
		    transcript_new(STDERR_FILENO, TRANSCRIPT_BYTES_MAX);
		port.sink = transcript_bytes;
		port.sink_arg = transcript;
	}
	session = esp_session_new(&port, &demands, NULL, NULL, &fault);
	if (session == NULL || esp_connect(session, &identity, &fault) != 0)
		fail(&fault);
	fprintf(stderr, "flash_one: %s %s id %06x\n", identity.hardware,
	    identity.mac, (unsigned)identity.flash_id);
	if (esp_raise_baud(session, &fault) != 0 ||
	    esp_write_firmware(session, firmware, &verified, &fault) != 0)
		fail(&fault);
	memset(image, 0xA5, sizeof(image));
	if (options->inject && esp_write_image(session, "image", 0xD000, image,
				   sizeof(image), &verified, &fault) != 0)
		fail(&fault);
	baud = port.baud;
	if (esp_run(session, &fault) != 0)
		fail(&fault);
	cpu = cpu_seconds() - cpu;
	printf("{\"seconds\":%.3f,\"cpu_seconds\":%.4f,\"bytes\":%llu,"
	       "\"model_seconds\":%.3f,\"cpu_ms_per_mib\":%.2f,"
	       "\"baud\":%u,\"verified\":%s}\n",
	    (double)(clock_monotonic_us() - begin) / 1e6, cpu,
	    (unsigned long long)firmware_bytes(firmware),
	    model_seconds(&port, baud, firmware_bytes(firmware)),
	    cpu * 1000 * 1048576 / (double)firmware_bytes(firmware),
	    (unsigned)baud, verified ? "true" : "false");
	esp_session_free(session);
	transcript_free(transcript);
	port_release(&claim);
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {{"port", 1, NULL, 'p'},
	    {"lines", 1, NULL, 'l'}, {"firmware", 1, NULL, 'f'},
	    {"chip", 1, NULL, 'c'}, {"app-kib", 1, NULL, 'a'},
	    {"baud", 1, NULL, 'b'}, {"plain", 0, NULL, 'P'},
	    {"inject", 0, NULL, 'i'}, {"transcript", 0, NULL, 't'},
	    {"real-time", 0, NULL, 'r'}, {NULL, 0, NULL, 0}};
	struct options options = {
	    .chip = "esp32c3", .app_kib = "1024", .baud = "921600"};
	char port[PATH_ROOM], lines[PATH_ROOM], made[PATH_ROOM];
	struct firmware_view firmware;
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'p':
			options.port = optarg;
			break;
		case 'l':
			options.lines = optarg;
			break;
		case 'f':
			options.firmware = optarg;
			break;
		case 'c':
			options.chip = optarg;
			break;
		case 'a':
			options.app_kib = optarg;
			break;
		case 'b':
			options.baud = optarg;
			break;
		case 'P':
			options.plain = true;
			break;
		case 'i':
			options.inject = true;
			break;
		case 't':
			options.transcript = true;
			break;
		case 'r':
			options.real_time = true;
			break;
		default:
			return EX_USAGE;
		}
	}
	options.device_options = argv + optind;
	if (mkdtemp(folder) == NULL) {
		perror("flash_one");
		return EX_CANTCREAT;
	}
	atexit(clean);
	if (options.firmware == NULL) {
		firmware_make(&options, made);
		options.firmware = made;
	}
	firmware_load(options.firmware, &firmware);
	if (options.port == NULL) {
		device_start(&options, port, lines);
		options.port = port;
		options.lines = lines;
	}
	flash(&options, options.port, options.lines, &firmware);
	return 0;
}
