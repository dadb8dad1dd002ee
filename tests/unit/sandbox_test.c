#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sandbox.h"
#include "scratch.h"

/*
 * Every role enters its real sandbox in a child of this test and then does
 * one thing. What is refused must end the child by SIGSYS with the call's
 * name in the log, or fail with the errno that the table says; what the role
 * needs must work.
 */
enum {
	WORKS = 0,
	SIGSYS_ENDS = 1000, /* above every errno */
	TIMEOUT_MS = 20000,
};

#ifdef STATION_SANITIZED
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static const char *inside, *outside, *writable, *readable;
static int pipe_fds[2]; /* open before the sandbox, as a role's are */
static int landlock_version;
static pid_t test_pid;

/* ---- what is tried: each returns 0 or its errno ---- */

static int
outcome(long result)
{
	return result < 0 ? errno : 0;
}

static int
try_execve(void)
{
	char program[] = "/bin/true";
	char *arguments[] = {program, NULL};
	char *environment[] = {NULL};

	return outcome(execve(program, arguments, environment));
}

static int
try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return outcome(pid);
}

static int
try_fork_call(void)
{
	long pid = syscall(SYS_fork);

	if (pid == 0)
		_exit(0);
	return outcome(pid);
}

static int
try_clone3(void)
{
	return outcome(syscall(SYS_clone3, NULL, 0));
}

static void *
thread_run(void *arg)
{
	return arg;
}

static int
try_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, thread_run, NULL);

	return error != 0 ? error : pthread_join(thread, NULL);
}

static int
try_socket_inet(void)
{
	return outcome(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/* The kernel takes 32 bits of the family: more of them hide nothing. */
static int
try_socket_wide(void)
{
	return outcome(
	    syscall(SYS_socket, (1UL << 32) | AF_INET, SOCK_STREAM, 0));
}

static int
try_socket_packet(void)
{
	return outcome(socket(AF_PACKET, SOCK_DGRAM, 0));
}

static int
try_listen_inet(void)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? errno
		      : outcome(bind(fd, (const struct sockaddr *)&address,
			    sizeof(address)));
}

static int
try_ptrace(void)
{
	return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int
try_read_memory(void)
{
	char from = 'x', to = 0;
	struct iovec local = {&to, 1}, remote = {&from, 1};

	return outcome(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}

static int
try_write_memory(void)
{
	char from = 'x', to = 0;
	struct iovec local = {&from, 1}, remote = {&to, 1};

	return outcome(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}

static int
try_bpf(void)
{
	return outcome(syscall(SYS_bpf, 0, NULL, 0));
}

static int
try_io_uring(void)
{
	return outcome(syscall(SYS_io_uring_setup, 1, NULL));
}

static int
try_unshare(void)
{
	return outcome(syscall(SYS_unshare, 0));
}

static int
try_kill(void)
{
	return outcome(kill(test_pid, 0));
}

static int
try_tgkill_other(void)
{
	return outcome(syscall(SYS_tgkill, test_pid, test_pid, 0));
}

static int
try_tgkill_own(void)
{
	return outcome(syscall(SYS_tgkill, getpid(), gettid(), 0));
}

static int
try_setuid(void)
{
	return outcome(syscall(SYS_setuid, 0));
}

static int
try_terminal_input(void)
{
	char byte = '\n';

	return outcome(ioctl(pipe_fds[0], TIOCSTI, &byte));
}

/* The kernel takes 32 bits of the request, too. */
static int
try_terminal_wide(void)
{
	char byte = '\n';

	return outcome(
	    syscall(SYS_ioctl, pipe_fds[0], (1UL << 32) | TIOCSTI, &byte));
}

static int
try_modem_lines(void)
{
	int lines;

	return outcome(ioctl(pipe_fds[0], TIOCMGET, &lines));
}

static int
try_open_call(void)
{
	return outcome(syscall(SYS_open, outside, O_RDONLY));
}

static int
try_read_outside(void)
{
	return outcome(open(outside, O_RDONLY | O_CLOEXEC));
}

static int
try_write_outside(void)
{
	return outcome(open(outside, O_WRONLY | O_CLOEXEC));
}

static int
try_make_outside(void)
{
	return outcome(open(
	    scratch_path("outside/new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int
try_remove_outside(void)
{
	return outcome(unlink(outside));
}

static int
try_read_inside(void)
{
	return outcome(open(inside, O_RDONLY | O_CLOEXEC));
}

static int
try_write_readable(void)
{
	return outcome(open(inside, O_WRONLY | O_CLOEXEC));
}

static int
try_make_inside(void)
{
	return outcome(open(scratch_path("writable/new"),
	    O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int
try_link_away(void)
{
	return outcome(rename(outside, scratch_path("writable/taken")));
}

static int
try_list_sys(void)
{
	return outcome(
	    open("/sys/class/tty", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int
try_read_sys(void)
{
	return outcome(
	    open("/sys/class/tty/console/dev", O_RDONLY | O_CLOEXEC));
}

static int
try_open_device(void)
{
	return outcome(open("/dev/zero", O_RDONLY | O_CLOEXEC));
}

static int
try_execute_pages(void)
{
	void *pages = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return pages == MAP_FAILED
		   ? ENOMEM
		   : outcome(mprotect(pages, 4096, PROT_READ | PROT_EXEC));
}

static int
try_map_execute(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		   ? errno
		   : 0;
}

static int
try_memory_file(void)
{
	return outcome(memfd_create("test", MFD_CLOEXEC));
}

/* Everything that a role does on what it was handed. */
static int
try_ordinary(void)
{
	struct pollfd polled = {.fd = pipe_fds[0], .events = POLLIN};
	struct timespec now;
	char byte = 'x';
	void *pages;

	if (write(pipe_fds[1], &byte, 1) != 1 || poll(&polled, 1, 0) != 1 ||
	    read(pipe_fds[0], &byte, 1) != 1 ||
	    clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		return errno;
	pages = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || mlock(pages, 4096) != 0 ||
	    munmap(pages, 1 << 20) != 0)
		return errno;
	return malloc(1 << 22) == NULL ? ENOMEM : 0;
}

/* ---- the table ---- */

/*
 * What comes of it: LINE, SLOT and VAULT have a list of what is allowed;
 * LEDGER stands for the four that only have one of what is not and no
 * network (hsm, ledger, load, report).
 */
struct expectation {
	const char *what;
	int (*run)(void);
	const char *call; /* its name in the log; null where the C library
			     blocks the signal that would tell it */
	int parent, line, slot, vault, ledger, cloud;
	bool paths; /* Landlock's business where it is not seccomp's */
};

#define S SIGSYS_ENDS
static const struct expectation expectations[] = {
    /*                               parent line slot vault ledger cloud */
    {"executes a program", try_execve, "execve", 0, S, S, S, S, S, false},
    {"forks", try_fork, "clone", 0, S, S, S, S, S, false},
    {"forks by the old call", try_fork_call, "fork", 0, S, S, S, S, S, false},
    {"clones by clone3", try_clone3, "clone3", EINVAL, S, S, S, ENOSYS, ENOSYS,
	false},
    {"makes a thread", try_thread, NULL, 0, S, S, S, 0, 0, false},
    {"makes an Internet socket", try_socket_inet, "socket", 0, S, S, S,
	EAFNOSUPPORT, 0, false},
    {"hides the socket's family", try_socket_wide, "socket", 0, S, S, S,
	EAFNOSUPPORT, 0, false},
    {"makes a packet socket", try_socket_packet, "socket", EAFNOSUPPORT, S, S,
	S, EAFNOSUPPORT, EAFNOSUPPORT, false},
    {"is traced", try_ptrace, "ptrace", S, S, S, S, S, S, false},
    {"reads another's memory", try_read_memory, "process_vm_readv", S, S, S, S,
	S, S, false},
    {"writes another's memory", try_write_memory, "process_vm_writev", S, S, S,
	S, S, S, false},
    {"loads a BPF program", try_bpf, "bpf", S, S, S, S, S, S, false},
    {"makes an io_uring", try_io_uring, "io_uring_setup", S, S, S, S, S, S,
	false},
    {"enters a namespace", try_unshare, "unshare", S, S, S, S, S, S, false},
    {"signals its parent", try_kill, "kill", 0, S, S, S, S, S, false},
    {"signals another's thread", try_tgkill_other, "tgkill", 0, S, S, S, S, S,
	false},
    {"signals itself", try_tgkill_own, NULL, 0, 0, 0, 0, 0, 0, false},
    {"changes its user", try_setuid, "setuid", -1, S, S, S, -1, -1, false},
    {"types into a terminal", try_terminal_input, "ioctl", -1, S, S, S, -1, -1,
	false},
    {"hides the ioctl's request", try_terminal_wide, "ioctl", -1, S, S, S, -1,
	-1, false},
    {"reads modem lines", try_modem_lines, "ioctl", ENOTTY, S, ENOTTY, S,
	ENOTTY, ENOTTY, false},
    {"opens by the old call", try_open_call, "open", 0, EACCES, S, S, EACCES,
	EACCES, true},
    {"reads outside", try_read_outside, "openat", 0, EACCES, S, S, EACCES,
	EACCES, true},
    {"writes outside", try_write_outside, "openat", EACCES, EACCES, S, S,
	EACCES, EACCES, true},
    {"makes a file outside", try_make_outside, "openat", EACCES, EACCES, S, S,
	EACCES, EACCES, true},
    {"removes a file outside", try_remove_outside, "unlink", EACCES, S, S, S,
	EACCES, EACCES, true},
    {"moves a file in from outside", try_link_away, "rename", -1, S, S, S, -1,
	-1, true},
    {"reads inside", try_read_inside, "openat", 0, EACCES, S, S, 0, 0, true},
    {"writes where it may read", try_write_readable, "openat", EACCES, EACCES,
	S, S, EACCES, EACCES, true},
    {"makes a file inside", try_make_inside, "openat", 0, EACCES, S, S, 0, 0,
	true},
    {"lists the serial ports", try_list_sys, "openat", 0, 0, S, S, EACCES,
	EACCES, true},
    {"reads a port's attribute", try_read_sys, "openat", 0, EACCES, S, S,
	EACCES, EACCES, true},
    {"opens a device", try_open_device, "openat", 0, EACCES, S, S, EACCES,
	EACCES, true},
    {"makes pages executable", try_execute_pages, "mprotect", 0, S, S, S, 0, 0,
	false},
    {"maps executable pages", try_map_execute, "mmap", 0, S, S, S, 0, 0, false},
    {"makes a memory file", try_memory_file, "memfd_create", 0, 0, 0, S, 0, 0,
	false},
    {"works on what it has", try_ordinary, NULL, 0, 0, 0, 0, 0, 0, false},
};
#undef S

static int
expected_of(const struct expectation *row, enum role role)
{
	switch (role) {
	case ROLE_PARENT:
	case ROLE_TOOL: /* executes, too, and is the farther from others */
		return row->parent;
	case ROLE_LINE:
		return row->line;
	case ROLE_SLOT:
		return row->slot;
	case ROLE_VAULT:
		return row->vault;
	case ROLE_CLOUD:
		return row->cloud;
	default:
		return row->ledger;
	}
}

/* ---- the child ---- */

/* line, slot and vault are given no paths by the daemon either. */
static void
role_enter(enum role role, int log_fd)
{
	struct sandbox_paths paths = {
	    .read = {readable, NULL}, .write = {writable, NULL}};
	bool given =
	    role != ROLE_LINE && role != ROLE_SLOT && role != ROLE_VAULT;
	struct fault fault = {0};

	(void)dup2(log_fd, STDERR_FILENO);
	if (sandbox_enter(role, given ? &paths : NULL, &fault) != 0) {
		(void)dprintf(STDERR_FILENO, "%s\n", fault.text);
		_exit(255);
	}
}

struct ended {
	int status;
	char log[2048];
};

static void
child_run(enum role role, int (*run)(void), struct ended *ended)
{
	int log_fds[2];
	size_t len = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe2(log_fds, O_CLOEXEC), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		role_enter(role, log_fds[1]);
		_exit(run());
	}
	close(log_fds[1]);
	while ((got = read(log_fds[0], ended->log + len,
		    sizeof(ended->log) - 1 - len)) > 0)
		len += (size_t)got;
	ended->log[len] = '\0';
	close(log_fds[0]);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_int_equal(waitpid(pid, &ended->status, 0), pid);
}

/* What a build or a kernel cannot show is no expectation: -1. */
static int
expected_here(const struct expectation *row, enum role role, const char **why)
{
	bool listed =
	    role == ROLE_LINE || role == ROLE_SLOT || role == ROLE_VAULT;
	int expected = expected_of(row, role);

	if (sanitized && expected != WORKS && !row->paths &&
	    expected != EAFNOSUPPORT && expected != ENOTTY) {
		*why = "the filter of a sanitizer build is wider";
		return -1;
	}
	if (sanitized && row->paths && listed && expected == SIGSYS_ENDS)
		expected = EACCES; /* Landlock holds without the filter */
	if (landlock_version < 1 && row->paths && expected != SIGSYS_ENDS) {
		*why = "this kernel has no Landlock";
		return -1;
	}
	return expected;
}

static bool
is_as_expected(const struct expectation *row, enum role role, int expected,
    const struct ended *ended)
{
	char line[128];

	if (expected != SIGSYS_ENDS)
		return WIFEXITED(ended->status) &&
		       WEXITSTATUS(ended->status) == expected;
	if (!WIFSIGNALED(ended->status) || WTERMSIG(ended->status) != SIGSYS)
		return false;
	if (row->call == NULL)
		return true;
	(void)snprintf(line, sizeof(line), "<3>%s: refused system call %s (",
	    role_name(role), row->call);
	return strstr(ended->log, line) != NULL;
}

static void
role_check(enum role role)
{
	const char *why;
	struct ended ended;
	size_t i, bad = 0, left_out = 0;

	for (i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
		const struct expectation *row = &expectations[i];
		int expected = expected_here(row, role, &why);

		if (expected_of(row, role) == -1)
			continue; /* depends on the user who runs the test */
		if (expected == -1) {
			left_out++;
			continue;
		}
		(void)scratch_text("outside/file", "outside");
		(void)scratch_text("writable/file", "writable");
		(void)unlink(scratch_path("writable/new"));
		child_run(role, row->run, &ended);
		if (is_as_expected(row, role, expected, &ended))
			continue;
		bad++;
		print_error("%s %s: wanted %d, status 0x%x, log: %s\n",
		    role_name(role), row->what, expected,
		    (unsigned)ended.status, ended.log);
	}
	if (left_out != 0)
		print_message("# %s: %zu checks left out: %s\n",
		    role_name(role), left_out, why);
	assert_int_equal(bad, 0);
}

#define ROLE_TEST(name, role)          \
	static void name(void **state) \
	{                              \
		(void)state;           \
		role_check(role);      \
	}
ROLE_TEST(test_parent, ROLE_PARENT)
ROLE_TEST(test_line, ROLE_LINE)
ROLE_TEST(test_slot, ROLE_SLOT)
ROLE_TEST(test_vault, ROLE_VAULT)
ROLE_TEST(test_hsm, ROLE_HSM)
ROLE_TEST(test_ledger, ROLE_LEDGER)
ROLE_TEST(test_load, ROLE_LOAD)
ROLE_TEST(test_report, ROLE_REPORT)
ROLE_TEST(test_cloud, ROLE_CLOUD)
ROLE_TEST(test_tool, ROLE_TOOL)

/* ---- what stands in /proc ---- */

static unsigned long long
status_number(const char *text, const char *name, int base)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	return strtoull(at + strlen(name), NULL, base);
}

static void
status_read(pid_t pid, char *text, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	got = read(fd, text, size - 1);
	assert_true(got > 0);
	text[got] = '\0';
	close(fd);
}

static void
test_state(void **state)
{
	/* CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: files of other users. */
	static const unsigned long long files = 0x6;
	int ready[2], hold[2];
	char byte, text[8192];
	struct rlimit core;
	unsigned long long most;
	pid_t pid;

	(void)state;
	for (enum role role = 0; role < ROLE_COUNT; role++) {
		assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
		assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(hold[1]);
			role_enter(role, STDERR_FILENO);
			_exit(write(ready[1], "x", 1) == 1 &&
				      read(hold[0], &byte, 1) == 0
				  ? 0
				  : 1);
		}
		close(ready[1]);
		close(hold[0]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		status_read(pid, text, sizeof(text));
		assert_int_equal(prlimit(pid, RLIMIT_CORE, NULL, &core), 0);
		close(ready[0]);
		close(hold[1]);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(status_number(text, "Seccomp:", 10), 2);
		assert_int_equal(status_number(text, "NoNewPrivs:", 10), 1);
		most =
		    role == ROLE_LINE || role == ROLE_SLOT || role == ROLE_VAULT
			? 0
			: files;
		assert_int_equal(status_number(text, "CapPrm:", 16) & ~most, 0);
		assert_int_equal(status_number(text, "CapEff:", 16) & ~most, 0);
		assert_int_equal(status_number(text, "CapInh:", 16), 0);
		assert_int_equal(core.rlim_max, 0);
	}
}

/* A role that aborts ends by its own signal, not by the filter. */
static int
abort_run(void)
{
	abort();
}

static void
test_abort(void **state)
{
	struct ended ended;

	(void)state;
	for (enum role role = 0; role < ROLE_COUNT; role++) {
		child_run(role, abort_run, &ended);
		assert_true(WIFSIGNALED(ended.status));
		assert_int_equal(WTERMSIG(ended.status), SIGABRT);
	}
}

/* No role may listen: TCP ports are the control socket's to replace. */
static void
test_listen(void **state)
{
	struct ended ended;

	(void)state;
	if (landlock_version < 4) {
		print_message("# this kernel's Landlock has no TCP rules\n");
		skip();
	}
	child_run(ROLE_CLOUD, try_listen_inet, &ended);
	assert_true(WIFEXITED(ended.status));
	assert_int_equal(WEXITSTATUS(ended.status), EACCES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parent),
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_slot),
	    cmocka_unit_test(test_vault),
	    cmocka_unit_test(test_hsm),
	    cmocka_unit_test(test_ledger),
	    cmocka_unit_test(test_load),
	    cmocka_unit_test(test_report),
	    cmocka_unit_test(test_cloud),
	    cmocka_unit_test(test_tool),
	    cmocka_unit_test(test_state),
	    cmocka_unit_test(test_abort),
	    cmocka_unit_test(test_listen),
	};
	int failed;

	test_pid = getpid();
	scratch_open();
	outside = strdup(scratch_text("outside/file", "outside"));
	inside = strdup(scratch_text("readable/file", "readable"));
	(void)scratch_text("writable/file", "writable");
	readable = strdup(scratch_path("readable"));
	writable = strdup(scratch_path("writable"));
	landlock_version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_close();
	return failed;
}
