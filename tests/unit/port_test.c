/* The port: opening a pty, deadlines, rates, line sequences, lock files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "device/port_lock.h"
#include "device_peer.h"
#include "scratch.h"

static struct fault fault;

static void
assert_fault(enum fault_cause cause, const char *text)
{
	assert_string_equal(
	    fault_row(fault.cause)->name, fault_row(cause)->name);
	if (strstr(fault.text, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, fault.text);
}

static void
a_pty_is_opened_raw_and_alone(void **state)
{
	struct port_claim claim, second;
	char name[64], link_path[300], byte;
	struct termios settings;
	int master, slave, flags;

	(void)state;
	scratch_open();
	assert_int_equal(openpty(&master, &slave, name, NULL, NULL), 0);
	snprintf(link_path, sizeof(link_path), "%s/slot", scratch_folder);
	assert_int_equal(symlink(name, link_path), 0);
	assert_int_equal(port_open(link_path, "", &claim, &fault), 0);
	assert_string_equal(claim.node, name);
	assert_string_equal(claim.lock, "");
	flags = fcntl(claim.fd, F_GETFD);
	assert_true((flags & FD_CLOEXEC) != 0);
	assert_int_equal(tcgetattr(claim.fd, &settings), 0);
	assert_int_equal(cfgetospeed(&settings), B115200);
	assert_int_equal(settings.c_cflag & (HUPCL | CSIZE), CS8);
	assert_int_equal(settings.c_lflag & (ECHO | ICANON | ISIG), 0);
	assert_int_equal(settings.c_oflag & OPOST, 0);
	/* Nobody else meanwhile, and again afterwards. */
	assert_int_equal(port_open(name, NULL, &second, &fault), -1);
	assert_fault(CAUSE_PORT_BUSY, "locked");
	port_release(&claim);
	port_release(&claim);
	assert_int_equal(port_open(name, NULL, &second, &fault), 0);
	assert_int_equal(write(master, "\r", 1), 1);
	assert_int_equal(read(second.fd, &byte, 1), 1);
	assert_int_equal(byte, '\r');
	port_release(&second);
	close(master);
	close(slave);
	scratch_close();
}

static void
absence_is_unplugged(void **state)
{
	struct port_claim claim;
	char name[64], path[300];
	int master, slave;

	(void)state;
	scratch_open();
	snprintf(path, sizeof(path), "%s/slot", scratch_folder);
	assert_int_equal(port_open(path, "", &claim, &fault), -1);
	assert_fault(CAUSE_UNPLUGGED, path);
	assert_int_equal(openpty(&master, &slave, name, NULL, NULL), 0);
	assert_int_equal(port_open(name, path, &claim, &fault), -1);
	assert_fault(CAUSE_UNPLUGGED, path);
	assert_int_equal(claim.fd, -1);
	assert_int_equal(port_open("/dev/null", "", &claim, &fault), -1);
	assert_fault(CAUSE_PORT_ERROR, "not a serial port");
	close(master);
	close(slave);
	scratch_close();
}

static void
lock_files_are_kept_to(void **state)
{
	char path[PORT_LOCK_LEN], taken[300], line[64];
	FILE *file;
	pid_t child;

	(void)state;
	scratch_open();
	assert_int_equal(port_lock_take(scratch_folder, "ttyUSB9", path,
			     sizeof(path), &fault),
	    0);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	assert_int_equal(strlen(line), 11); /* "%10d\n" */
	assert_int_equal(atoi(line), getpid());
	port_lock_drop(path);
	assert_int_equal(access(path, F_OK), -1);
	port_lock_drop("");

	/* A living holder is named; one that is dead gives way. */
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	snprintf(taken, sizeof(taken), "%s/LCK..ttyUSB9", scratch_folder);
	file = fopen(taken, "w");
	assert_non_null(file);
	fprintf(file, "%10d\n", (int)child);
	fclose(file);
	assert_int_equal(port_lock_take(scratch_folder, "ttyUSB9", path,
			     sizeof(path), &fault),
	    -1);
	snprintf(line, sizeof(line), "process %d (port_test", (int)child);
	assert_fault(CAUSE_PORT_BUSY, line);
	assert_string_equal(path, "");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(port_lock_take(scratch_folder, "ttyUSB9", path,
			     sizeof(path), &fault),
	    0);
	port_lock_drop(path);

	/* Where there is no such folder there is no such custom. */
	assert_int_equal(port_lock_take("/nonexistent", "ttyUSB9", path,
			     sizeof(path), &fault),
	    0);
	assert_string_equal(path, "");
	scratch_close();
}

static void
sequences_are_checked(void **state)
{
	static const char *const good[] = {"D0", "U1,1", "W0.05", "W10",
	    "D0|R1|W0.1|D1|R0|W0.05|D0", "U0,0|U1,1|U0,1|W0.1|U1,0"};
	static const struct {
		const char *sequence, *why;
	} bad[] = {{"", "begins with"}, {"X1", "begins with"}, {"D", "0 or 1"},
	    {"D2", "0 or 1"}, {"U1", "two levels"}, {"U1,", "two levels"},
	    {"W", "seconds"}, {"W.1", "seconds"}, {"W10.1", "at most 10"},
	    {"W99999999999999999999", "at most 10"}, {"D0|", "joined"},
	    {"D0R1", "joined"}, {"D0||R1", "begins"}};
	char big[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_null(port_sequence_error(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why = port_sequence_error(bad[i].sequence);

		if (why == NULL || strstr(why, bad[i].why) == NULL)
			fail_msg("%s: %s", bad[i].sequence,
			    why != NULL ? why : "accepted");
	}
	memset(big, 'D', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	assert_non_null(port_sequence_error(big));
}

static void
lines_move_in_order(void **state)
{
	struct peer peer = {0};
	struct port port;
	int64_t begin;

	(void)state;
	peer_open(&peer, &port);
	begin = clock_monotonic_ms();
	assert_int_equal(
	    port_run_sequence(&port, "D0|R1|W0.1|D1|R0|W0.05|U0,0", &fault), 0);
	assert_in_range(clock_monotonic_ms() - begin, 150, 2000);
	assert_string_equal(peer.lines, "D0R0 D0R1 D1R1 D1R0 D0R0 ");
	assert_int_equal(port_run_sequence(&port, "Q", &fault), -1);
	assert_fault(CAUSE_INTERNAL, "\"Q\"");
	peer_close(&peer);
}

static void
reads_and_writes_keep_deadlines(void **state)
{
	struct peer peer = {0};
	static char much[1 << 20];
	struct port port;
	char got[16];
	int64_t begin = clock_monotonic_ms();

	(void)state;
	peer_open(&peer, &port);
	assert_int_equal(
	    port_read(&port, got, sizeof(got), clock_deadline(50), &fault), 0);
	assert_in_range(clock_monotonic_ms() - begin, 50, 2000);
	peer_say_text(&peer, "hello");
	assert_int_equal(
	    port_read(&port, got, sizeof(got), clock_deadline(2000), &fault),
	    5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(port.bytes_received, 5);
	peer_close(&peer);

	/* Nobody reads: what does not fit is a fault, not a hang. */
	memset(&peer, 0, sizeof(peer));
	peer_open(&peer, &port);
	assert_int_equal(write(peer.stop_pair[1], "", 1), 1);
	pthread_join(peer.thread, NULL);
	assert_int_equal(
	    port_write(&port, much, sizeof(much), clock_deadline(50), &fault),
	    -1);
	assert_fault(CAUSE_PORT_ERROR, "takes no more bytes");
	close(peer.master);
	assert_int_equal(
	    port_read(&port, got, sizeof(got), clock_deadline(2000), &fault),
	    -1);
	assert_fault(CAUSE_UNPLUGGED, "gone");
	assert_int_equal(port_wait_us(&port, 100000, &fault), -1);
	assert_fault(CAUSE_UNPLUGGED, "gone");
}

static void
any_rate_can_be_set(void **state)
{
	static const uint32_t bauds[] = {460800, 921600, 1500000, 250000};
	struct peer peer = {0};
	struct termios settings;
	struct port port;
	size_t i;

	(void)state;
	peer_open(&peer, &port);
	for (i = 0; i < sizeof(bauds) / sizeof(bauds[0]); i++) {
		assert_int_equal(port_set_baud(&port, bauds[i], &fault), 0);
		assert_int_equal(port.baud, bauds[i]);
	}
	/* Back to one that termios has a name for. */
	assert_int_equal(port_set_baud(&port, 115200, &fault), 0);
	assert_int_equal(tcgetattr(peer.slave, &settings), 0);
	assert_true((settings.c_cflag & CSIZE) == CS8);
	peer_close(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_pty_is_opened_raw_and_alone),
	    cmocka_unit_test(absence_is_unplugged),
	    cmocka_unit_test(lock_files_are_kept_to),
	    cmocka_unit_test(sequences_are_checked),
	    cmocka_unit_test(lines_move_in_order),
	    cmocka_unit_test(reads_and_writes_keep_deadlines),
	    cmocka_unit_test(any_rate_can_be_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
