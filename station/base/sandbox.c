#include "base/sandbox.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* The runtimes of sanitizers need calls and addresses without a bound. */
#ifdef STATION_SANITIZED
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

/*
 * The rights of every role stand in this one table. A child inherits its
 * parent's filter and paths, so that what the parent role may is what any of
 * the roles may.
 *
 * allow    the only system calls that the role may use; or null: everything
 *          but the calls that nobody needs (never_calls) and what `deny` adds
 * ioctls   with `allow`: the only requests of ioctl(2), ended by 0
 * read     paths that are readable besides those of the configuration
 * list     folders of which names are readable, but no file
 * network  TCP connections are allowed
 * open_max descriptors
 * keeps    capabilities that stay when the daemon runs as root and without
 *          a user of its own: a mask of CAPABILITY()
 */
struct rights {
	const char *const *allow;
	const char *const *deny;
	const uint32_t *ioctls;
	const char *const read[8];
	const char *const list[2];
	bool paths;    /* opening paths is allowed at all */
	bool all_read; /* everything may be read, as far as the user may */
	bool network;
	unsigned open_max;
	uint64_t memory_mib; /* address space, 0 unlimited */
	uint32_t keeps;
};

#define CAPABILITY(number) (1U << (number))
/* Files that another user owns: root alone, without a user configured. */
#define OTHERS_FILES \
	(CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_DAC_READ_SEARCH))

/* What straight-line code on descriptors that it was handed needs. */
#define CALLS_COMMON                                                           \
	"read", "write", "readv", "writev", "poll", "ppoll", "close",          \
	    "sendmsg", "recvmsg", "sendto", "recvfrom", "fstat", "newfstatat", \
	    "lseek", "mmap", "munmap", "mremap", "madvise", "mprotect", "brk", \
	    "clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday",   \
	    "time", "getrandom", "getpid", "gettid", "tgkill", "futex",        \
	    "fcntl", "rt_sigreturn", "rt_sigaction", "rt_sigprocmask",         \
	    "restart_syscall", "sched_yield", "exit", "exit_group", "mlock",   \
	    "mlock2", "munlock", "rseq", "set_robust_list"

static const char *const slot_calls[] = {
    CALLS_COMMON, "ioctl", "shutdown", "memfd_create", NULL};
static const char *const vault_calls[] = {
    CALLS_COMMON, "pread64", "shutdown", NULL};
static const char *const line_calls[] = {CALLS_COMMON, "accept4", "getsockopt",
    "setsockopt", "getpeername", "getsockname", "shutdown", "memfd_create",
    "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "openat", "open",
    "readlink", "readlinkat", "getdents64", "stat", "lstat", "statx", "access",
    "faccessat", "faccessat2", "getuid", "geteuid", "getgid", "getegid",
    "getcwd", "ioctl", "dup", "getgroups", "fstatfs", "statfs", NULL};

/* Of ioctl(2) alone the request tells what it does: TIOCSTI types into the
 * terminal that the daemon was started from. */
static const uint32_t slot_ioctls[] = {
    TCGETS, TCGETS2, TCSETS2, TCFLSH, TIOCMGET, TIOCMSET, TIOCOUTQ, 0};
static const uint32_t line_ioctls[] = {TCGETS, 0};

/* What none of the roles without an allow-list has any use for. */
static const char *const never_calls[] = {"ptrace", "process_vm_readv",
    "process_vm_writev", "kcmp", "pidfd_getfd", "mount", "umount2",
    "pivot_root", "chroot", "unshare", "setns", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "bpf", "perf_event_open",
    "userfaultfd", "keyctl", "add_key", "request_key", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "reboot", "swapon", "swapoff",
    "acct", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
    "iopl", "ioperm", "quotactl", "name_to_handle_at", "open_by_handle_at",
    "fanotify_init", "mount_setattr", "move_mount", "open_tree", "fsopen",
    "fsconfig", "fsmount", "fspick", "personality", "modify_ldt", "vmsplice",
    "lookup_dcookie", NULL};
/* What a role that must not start a process, nor reach another one, is
 * denied besides; filter_process has those that depend on arguments. */
static const char *const no_process[] = {"execve", "execveat", "fork", "vfork",
    "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open",
    "pidfd_send_signal", NULL};

static const struct rights rights[ROLE_COUNT] = {
    [ROLE_PARENT] = {.paths = true,
	.all_read = true,
	.open_max = 2048,
	.keeps = OTHERS_FILES},
    [ROLE_LINE] = {.allow = line_calls,
	.ioctls = line_ioctls,
	.paths = true,
	.open_max = 1024,
	.list = {"/sys", NULL},
	.memory_mib = 2048},
    [ROLE_SLOT] = {.allow = slot_calls,
	.ioctls = slot_ioctls,
	.open_max = 64,
	.memory_mib = 1024},
    [ROLE_VAULT] = {.allow = vault_calls, .open_max = 256, .memory_mib = 1024},
    /* The module brings libraries of its own, and what it opens besides
     * stands in the configuration. */
    [ROLE_HSM] = {.deny = no_process,
	.paths = true,
	.open_max = 256,
	.keeps = OTHERS_FILES,
	.read = {"/usr/lib", "/lib", "/lib64", "/usr/local/lib",
	    "/etc/ld.so.cache", NULL}},
    [ROLE_LEDGER] = {.deny = no_process,
	.paths = true,
	.open_max = 256,
	.keeps = OTHERS_FILES},
    [ROLE_REPORT] = {.deny = no_process,
	.paths = true,
	.open_max = 64,
	.keeps = OTHERS_FILES},
    [ROLE_LOAD] = {.deny = no_process,
	.paths = true,
	.open_max = 256,
	.keeps = OTHERS_FILES},
    /* An external command reads and executes what its user may, with the
     * network, and writes nothing. */
    [ROLE_TOOL] = {.paths = true,
	.all_read = true,
	.network = true,
	.open_max = 256,
	.memory_mib = 4096},
    [ROLE_CLOUD] = {.deny = no_process,
	.paths = true,
	.network = true,
	.open_max = 1024,
	.keeps = OTHERS_FILES,
	.read = {"/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates",
	    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
	    "/etc/gai.conf", NULL}},
};

enum {
	CALL_NUMBERS_MAX = 512,
	CALL_NAME_LEN = 32
};
/* Filled before the filter is on: the handler must not allocate. */
static char call_names[CALL_NUMBERS_MAX][CALL_NAME_LEN];
static const char *role_text = "?";

static void
call_refused(int signal_number, siginfo_t *info, void *context)
{
	char text[160];
	const char *name = "unknown";
	int number = info->si_syscall, len;

	(void)context;
	if (number >= 0 && number < CALL_NUMBERS_MAX &&
	    call_names[number][0] != '\0')
		name = call_names[number];
	len = snprintf(text, sizeof(text),
	    "<3>%s: refused system call %s (%d); the role ends\n", role_text,
	    name, number);
	if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
		_exit(70);
	/* The handler is off and the signal unblocked: the role ends by it. */
	raise(signal_number);
	_exit(70);
}

static void
call_names_fill(void)
{
	int number;
	char *name;

	for (number = 0; number < CALL_NUMBERS_MAX; number++) {
		name =
		    seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
		if (name == NULL)
			continue;
		snprintf(call_names[number], CALL_NAME_LEN, "%s", name);
		free(name);
	}
}

static int
filter_names(scmp_filter_ctx filter, uint32_t action, const char *const *names)
{
	int number, error;

	for (; *names != NULL; names++) {
		number = seccomp_syscall_resolve_name(*names);
		if (number == __NR_SCMP_ERROR || number < 0)
			continue; /* not a call of this architecture */
		error = seccomp_rule_add(filter, action, number, 0);
		if (error != 0 && error != -EEXIST)
			return -1;
	}
	return 0;
}

/* The calls of an allow-list whose arguments matter. */
static int
filter_allow_call(scmp_filter_ctx filter, const char *name, int number,
    const uint32_t *ioctls)
{
	int error = 0;

	/* Memory of these roles is never executable. */
	if (strcmp(name, "mmap") == 0 || strcmp(name, "mprotect") == 0)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* abort(3) needs it, for the own process. */
	if (strcmp(name, "tgkill") == 0)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	if (strcmp(name, "ioctl") != 0)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	/* The kernel looks at 32 bits of the request. */
	for (; error == 0 && ioctls != NULL && *ioctls != 0; ioctls++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, *ioctls));
	return error;
}

static int
filter_allow(scmp_filter_ctx filter, const struct rights *own)
{
	const char *const *name;
	int number, error;

	for (name = own->allow; *name != NULL; name++) {
		number = seccomp_syscall_resolve_name(*name);
		if (number == __NR_SCMP_ERROR || number < 0)
			continue;
		error = filter_allow_call(filter, *name, number, own->ioctls);
		if (error != 0 && error != -EEXIST)
			return -1;
	}
	return 0;
}

/*
 * A thread is made, a process is not. clone3 has its flags in memory, where
 * no filter sees them: the C library takes clone when it is not there. A
 * signal goes to the own process only.
 */
static int
filter_process(scmp_filter_ctx filter)
{
	if (seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(clone), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) != 0 ||
	    seccomp_rule_add(
		filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) != 0 ||
	    seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(tgkill), 1,
		SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid(), 0)) != 0)
		return -1;
	return 0;
}

/* Sockets of other families than these are of no use to any role. */
static int
filter_sockets(scmp_filter_ctx filter, bool network)
{
	static const int network_families[] = {AF_INET, AF_INET6, AF_NETLINK};
	int family;
	size_t i;
	bool needed;

	for (family = 0; family < AF_MAX; family++) {
		needed = family == AF_UNIX;
		for (i = 0; network && i < 3; i++)
			needed = needed || family == network_families[i];
		/* The kernel looks at 32 bits of the family. */
		if (!needed &&
		    seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT),
			SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX,
			    (scmp_datum_t)family)) != 0)
			return -1;
	}
	return 0;
}

/* A list of what is refused, for roles whose libraries need much. */
static int
filter_deny(scmp_filter_ctx filter, enum role role, const struct rights *own)
{
	/* A leak checker traces its own process. */
	if (!sanitized && filter_names(filter, SCMP_ACT_TRAP, never_calls) != 0)
		return -1;
	if (own->deny != NULL &&
	    (filter_names(filter, SCMP_ACT_TRAP, own->deny) != 0 ||
		(!sanitized && filter_process(filter) != 0)))
		return -1;
	/* The cloud role inherits what its parent has. */
	return filter_sockets(filter, own->network || role == ROLE_PARENT);
}

static int
filter_enter(enum role role, const struct rights *own, struct fault *fault)
{
	scmp_filter_ctx filter;
	struct sigaction action;
	bool strict = own->allow != NULL && !sanitized;
	int error;

	call_names_fill();
	role_text = role_name(role);
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = call_refused;
	action.sa_flags = SA_SIGINFO | (int)SA_RESETHAND | SA_NODEFER;
	sigaction(SIGSYS, &action, NULL);
	filter = seccomp_init(strict ? SCMP_ACT_TRAP : SCMP_ACT_ALLOW);
	if (filter == NULL)
		return fault_set(
		    fault, CAUSE_INTERNAL, "cannot make a system call filter");
	error =
	    strict ? filter_allow(filter, own) : filter_deny(filter, role, own);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	if (error != 0)
		return fault_set(fault, CAUSE_INTERNAL,
		    "cannot enter the system call filter; the kernel needs "
		    "CONFIG_SECCOMP_FILTER");
	return 0;
}

/* ---- paths and TCP by Landlock ---- */

#define READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define READ_ALL  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_FILE                                                      \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	    LANDLOCK_ACCESS_FS_TRUNCATE)
#define WRITE_ALL                                                         \
	(WRITE_FILE | READ_ALL | LANDLOCK_ACCESS_FS_REMOVE_FILE |         \
	    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
	    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK |  \
	    LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
/* Debian 12's headers end before these: kernel documentation, landlock. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#define FS_EXECUTE	(1ULL << 0)
#define FS_ALL_ABI_1	((1ULL << 13) - 1)
#define NET_BIND_TCP	(1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)

struct ruleset_attributes {
	uint64_t handled_fs;
	uint64_t handled_net;
};

static void
landlock_add(int ruleset, const char *path, uint64_t access, uint64_t handled)
{
	struct landlock_path_beneath_attr rule;
	struct stat status;
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd == -1)
		return;
	if (fstat(fd, &status) == 0) {
		if (!S_ISDIR(status.st_mode))
			access &= WRITE_FILE | FS_EXECUTE;
		memset(&rule, 0, sizeof(rule));
		rule.parent_fd = fd;
		rule.allowed_access = access & handled;
		if (syscall(SYS_landlock_add_rule, ruleset,
			LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
			log_warning("landlock: %s: %s", path, strerror(errno));
	}
	close(fd);
}

static void
landlock_paths(int ruleset, const struct rights *own,
    const struct sandbox_paths *paths, uint64_t handled)
{
	size_t i;

	if (own->all_read)
		landlock_add(ruleset, "/", READ_ALL | FS_EXECUTE, handled);
	for (i = 0; own->read[i] != NULL; i++)
		landlock_add(ruleset, own->read[i], READ_ALL, handled);
	for (i = 0; own->list[i] != NULL; i++)
		landlock_add(ruleset, own->list[i], LANDLOCK_ACCESS_FS_READ_DIR,
		    handled);
	for (i = 0; paths != NULL && paths->read[i] != NULL; i++)
		landlock_add(ruleset, paths->read[i], READ_ALL, handled);
	for (i = 0; paths != NULL && paths->write[i] != NULL; i++)
		landlock_add(ruleset, paths->write[i], WRITE_ALL, handled);
}

static void
landlock_enter(const struct rights *own, const struct sandbox_paths *paths)
{
	struct ruleset_attributes attributes;
	size_t size = sizeof(attributes);
	int ruleset;
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	if (version < 1) {
		log_warning("this kernel has no Landlock: paths are guarded by "
			    "the user's rights only");
		return;
	}
	memset(&attributes, 0, sizeof(attributes));
	attributes.handled_fs = FS_ALL_ABI_1;
	if (version >= 2)
		attributes.handled_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		attributes.handled_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (version >= 4)
		attributes.handled_net =
		    NET_BIND_TCP |
		    (own->network || own->all_read ? 0 : NET_CONNECT_TCP);
	else
		size = sizeof(attributes.handled_fs);
	ruleset =
	    (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
	if (ruleset == -1) {
		log_warning("landlock: %s", strerror(errno));
		return;
	}
	/* A leak checker looks at its own process there. */
	if (sanitized)
		landlock_add(ruleset, "/proc", READ_ALL, attributes.handled_fs);
	if (own->paths)
		landlock_paths(ruleset, own, paths, attributes.handled_fs);
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		log_warning("landlock: %s", strerror(errno));
	close(ruleset);
}

static void
limits_enter(const struct rights *own)
{
	struct rlimit limit;

	limit.rlim_cur = limit.rlim_max = 0;
	setrlimit(RLIMIT_CORE, &limit);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_max >= own->open_max) {
		limit.rlim_cur = own->open_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	/* Sanitizers reserve terabytes of addresses and read /proc/self. */
	if (sanitized)
		return;
	if (own->memory_mib != 0) {
		limit.rlim_cur = limit.rlim_max = own->memory_mib << 20;
		setrlimit(RLIMIT_AS, &limit);
	}
	prctl(PR_SET_DUMPABLE, 0);
}

/*
 * Of what root has only the role's own capabilities stay, also for programs
 * that it executes. A user of its own has none to begin with.
 */
static int
capabilities_enter(const struct rights *own, struct fault *fault)
{
	struct __user_cap_header_struct header = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	unsigned long number;

	if (syscall(SYS_capget, &header, sets) != 0)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "capabilities");
	for (number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++)
		if (number >= 32 || (own->keeps >> number & 1) == 0)
			/* Refused to who has none to pass on anyway. */
			(void)prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
	sets[0].permitted &= own->keeps;
	sets[0].effective = sets[0].permitted;
	sets[1].permitted = sets[1].effective = 0;
	sets[0].inheritable = sets[1].inheritable = 0;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, sets) != 0)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "giving up capabilities");
	return 0;
}

int
sandbox_enter(
    enum role role, const struct sandbox_paths *paths, struct fault *fault)
{
	const struct rights *own = &rights[role];

	/* The C library opens /etc/localtime at the first timegm(3). */
	tzset();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "no new privileges");
	limits_enter(own);
	landlock_enter(own, paths);
	if (capabilities_enter(own, fault) == -1)
		return -1;
	return filter_enter(role, own, fault);
}
