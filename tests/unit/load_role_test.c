#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/landlock.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "lot/manifest.h"
#include "lot/role.h"
#include "lot_scratch.h"

enum {
	ANSWER_TIMEOUT_MS = 30000
};

static struct channel channel;
static pid_t role;

/* The role itself, in a process of its own and in its sandbox. */
static int
role_open(void **state)
{
	int fds[2];
	int config;
	struct fault fault;

	lot_scratch_open(state);
	if (mkdir(scratch_path("state"), 0755) != 0 || channel_pair(fds) != 0)
		return -1;
	config = file_seal("config", &lot_config, sizeof(lot_config), &fault);
	role = fork();
	if (role == 0) {
		close(fds[0]);
		/* Out of the way of the role's own numbers. */
		fds[1] = dup2(fds[1], 100);
		config = dup2(config, 101);
		if (dup2(fds[1], ROLE_FD_CHANNEL) < 0 ||
		    dup2(config, ROLE_FD_CONFIG) < 0)
			_exit(99);
		close(fds[1]);
		close(config);
		log_open("load", LOG_LEVEL_ERROR);
		_exit(load_role());
	}
	close(fds[1]);
	close(config);
	channel_open(&channel, fds[0], "load", 8);
	return role > 0 ? 0 : -1;
}

static int
role_close(void **state)
{
	int status = -1;

	channel_close(&channel);
	assert_int_equal(waitpid(role, &status, 0), role);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return lot_scratch_close(state);
}

static const struct message_load_lot_done *
load(const char *folder, uint32_t frozen, struct message *answer)
{
	static uint32_t sequence;
	struct message_load_lot request = {.frozen = frozen};
	struct message_header header = {.version = MESSAGE_VERSION,
	    .type = MESSAGE_LOAD_LOT,
	    .sequence = ++sequence};
	struct fault fault;
	int64_t deadline = clock_deadline(ANSWER_TIMEOUT_MS);

	text_copy(request.folder, sizeof(request.folder), folder);
	assert_int_equal(channel_send_wait(&channel, &header, &request,
			     sizeof(request), NULL, 0, deadline, &fault),
	    0);
	assert_int_equal(
	    channel_receive_wait(&channel, answer, deadline, &fault), 0);
	assert_int_equal(answer->header.type, MESSAGE_LOAD_LOT_DONE);
	assert_int_equal(answer->header.sequence, sequence);
	return (const void *)answer->body.bytes;
}

static void
assert_loaded(const struct message *answer, const char *folder)
{
	const struct message_load_lot_done *done =
	    (const void *)answer->body.bytes;
	const void *data;
	const struct lot_image *image;
	struct firmware_view firmware;
	struct manifest_view manifest;
	struct fault fault;
	size_t len;

	if (done->fault.cause != CAUSE_NONE)
		print_message("%s\n", done->fault.text);
	assert_int_equal(done->fault.cause, CAUSE_NONE);
	assert_int_equal(done->rows, 3);
	assert_int_equal(answer->fd_count, 3);
	assert_int_equal(file_map_sealed(answer->fds[0], sizeof(*image),
			     sizeof(*image), &data, &len, &fault),
	    0);
	image = data;
	assert_string_equal(image->name, "L1");
	assert_string_equal(image->folder, folder);
	assert_string_equal(image->frozen, scratch_path("state/lots/L1"));
	assert_int_equal(firmware_map(answer->fds[1], &firmware, &fault), 0);
	assert_int_equal(firmware.header->region_count, 3);
	assert_string_equal(firmware.region[0].name, "bootloader.bin");
	assert_int_equal(manifest_map(answer->fds[2], &manifest, &fault), 0);
	assert_int_equal(manifest.header->rows, 3);
	manifest_unmap(&manifest);
	firmware_unmap(&firmware);
}

static void
test_loads_freezes_and_loads_again(void **state)
{
	struct message *answer = malloc(sizeof(*answer));

	(void)state;
	assert_non_null(answer);
	load(scratch_path("lots/L1"), 0, answer);
	assert_loaded(answer, scratch_path("lots/L1"));
	message_close_fds(answer);
	load(scratch_path("state/lots/L1"), 1, answer);
	assert_loaded(answer, scratch_path("state/lots/L1"));
	message_close_fds(answer);
	free(answer);
}

static void
test_answers_with_the_problems(void **state)
{
	static const char all[] = "lot.yaml:2:6: lot \"L9\" stands in the "
				  "folder \"L1\"; accepted is the folder's "
				  "name\n";
	struct message *answer = malloc(sizeof(*answer));
	const struct message_load_lot_done *done;
	const void *data;
	size_t len;
	struct fault fault;
	char *yaml = lot_yaml_made();
	char *text = text_replaced(yaml, "lot: L1", "lot: L9");

	(void)state;
	assert_non_null(answer);
	scratch_text("lots/L1/lot.yaml", text);
	done = load(scratch_path("lots/L1"), 0, answer);
	assert_int_equal(done->fault.cause, CAUSE_BAD_LOT);
	assert_non_null(strstr(done->fault.text, "1 problem, the first: "));
	assert_int_equal(answer->fd_count, 1);
	assert_int_equal(
	    file_map_sealed(answer->fds[0], 1, 1 << 20, &data, &len, &fault),
	    0);
	assert_memory_equal(
	    (const char *)data + len - strlen(all), all, strlen(all));
	message_close_fds(answer);
	/* It goes on with the next lot. */
	scratch_text("lots/L1/lot.yaml", yaml);
	load(scratch_path("lots/L1"), 0, answer);
	assert_loaded(answer, scratch_path("lots/L1"));
	message_close_fds(answer);
	free(text);
	free(yaml);
	free(answer);
}

/* A good file, but in a folder that the configuration does not name. */
static void
test_other_folders_are_out_of_reach(void **state)
{
	struct message *answer = malloc(sizeof(*answer));
	const struct message_load_lot_done *done;
	char folder[] = "/tmp/station-outside-XXXXXX";
	char path[64];
	char *yaml = lot_yaml_made();
	char *pem = pem_made("Root", true, 30);
	char *text;
	FILE *file;

	(void)state;
	/* A kernel without Landlock leaves this to the user's rights. */
	if (syscall(SYS_landlock_create_ruleset, NULL, 0,
		LANDLOCK_CREATE_RULESET_VERSION) < 1) {
		free(answer);
		free(yaml);
		free(pem);
		skip();
	}
	assert_non_null(answer);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/ca.pem", folder);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(pem, file) >= 0);
	assert_int_equal(fclose(file), 0);
	text = text_replaced(yaml, "root-ca.pem", path);
	scratch_text("lots/L1/lot.yaml", text);
	done = load(scratch_path("lots/L1"), 0, answer);
	assert_int_equal(done->fault.cause, CAUSE_BAD_LOT);
	assert_non_null(strstr(done->fault.text, "ca.pem: Permission denied"));
	message_close_fds(answer);
	(void)unlink(path);
	(void)rmdir(folder);
	free(pem);
	free(text);
	free(yaml);
	free(answer);
}

static void
test_says_when_the_lot_is_not_the_frozen_one(void **state)
{
	struct message *answer = malloc(sizeof(*answer));
	const struct message_load_lot_done *done;

	(void)state;
	assert_non_null(answer);
	load(scratch_path("lots/L1"), 0, answer);
	assert_loaded(answer, scratch_path("lots/L1"));
	message_close_fds(answer);
	scratch_text("lots/L1/manifest.csv",
	    "serial,mac,rev\nA1,246f28000001,B\nA2,246f28000002,C\n");
	done = load(scratch_path("lots/L1"), 0, answer);
	assert_int_equal(done->fault.cause, CAUSE_BAD_LOT);
	assert_non_null(strstr(done->fault.text,
	    "lot L1 was opened before with other contents; close it and give "
	    "the changed lot a new name"));
	message_close_fds(answer);
	free(answer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define EACH(test) cmocka_unit_test_setup_teardown(test, role_open, role_close)
	    EACH(test_loads_freezes_and_loads_again),
	    EACH(test_answers_with_the_problems),
	    EACH(test_other_folders_are_out_of_reach),
	    EACH(test_says_when_the_lot_is_not_the_frozen_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
