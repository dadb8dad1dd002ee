#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

enum {
	FILE_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE
};

static int
file_open_regular(const char *path, struct fault *fault)
{
	/* Without O_NONBLOCK a named pipe would hold the open for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		fault_set_errno(fault, CAUSE_BAD_CONFIG, errno, "%s", path);
	return fd;
}

int
file_read(
    const char *path, size_t max, char **data, size_t *len, struct fault *fault)
{
	int fd, result;

	fd = file_open_regular(path, fault);
	if (fd < 0)
		return -1;
	result = file_read_fd(fd, path, max, data, len, fault);
	close(fd);
	return result;
}

/* Exactly size bytes from the start of the file. */
static int
file_fill(int fd, const char *name, char *to, size_t size, struct fault *fault)
{
	size_t at = 0;
	ssize_t got;

	while (at < size) {
		got = pread(fd, to + at, size - at, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_set_errno(
			    fault, CAUSE_BAD_CONFIG, errno, "%s", name);
		if (got == 0)
			return fault_set(fault, CAUSE_BAD_CONFIG,
			    "%s: became shorter while it was read", name);
		at += (size_t)got;
	}
	return 0;
}

int
file_read_fd(int fd, const char *name, size_t max, char **data, size_t *len,
    struct fault *fault)
{
	struct stat status;
	char *text;
	size_t size;

	if (fstat(fd, &status) < 0)
		return fault_set_errno(
		    fault, CAUSE_BAD_CONFIG, errno, "%s", name);
	if (!S_ISREG(status.st_mode))
		return fault_set(
		    fault, CAUSE_BAD_CONFIG, "%s: not a regular file", name);
	if (status.st_size < 0 || (uint64_t)status.st_size > max)
		return fault_set(fault, CAUSE_BAD_CONFIG,
		    "%s: %lld bytes; at most %zu are accepted", name,
		    (long long)status.st_size, max);
	size = (size_t)status.st_size;
	text = malloc(size + 1);
	if (text == NULL)
		return fault_set_errno(
		    fault, CAUSE_BAD_CONFIG, errno, "%s", name);
	if (file_fill(fd, name, text, size, fault) < 0) {
		free(text);
		return -1;
	}
	text[size] = '\0';
	*data = text;
	*len = size;
	return 0;
}

int
file_write_all(int fd, const void *data, size_t len)
{
	const char *bytes = data;
	ssize_t put;

	while (len > 0) {
		put = write(fd, bytes, len);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		if (put == 0) {
			errno = EIO;
			return -1;
		}
		bytes += put;
		len -= (size_t)put;
	}
	return 0;
}

/* Makes the names in the folder of path durable; -1 with errno. */
static int
folder_sync(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len;
	int fd, result, error;

	if (slash == NULL) {
		(void)text_copy(folder, sizeof(folder), ".");
	} else {
		len = slash == path ? 1 : (size_t)(slash - path);
		if (len >= sizeof(folder)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(folder, path, len);
		folder[len] = '\0';
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	result = fsync(fd);
	error = errno;
	close(fd);
	errno = error;
	return result;
}

/* Opens a new file beside path whose name nobody else uses. */
static int
temporary_open(char *name, size_t size, const char *path, mode_t mode)
{
	uint64_t number;
	int len;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -1;
	len = snprintf(
	    name, size, "%s.tmp-%016llx", path, (unsigned long long)number);
	if (len < 0 || (size_t)len >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
}

int
file_write(const char *path, const void *data, size_t len, mode_t mode,
    struct fault *fault)
{
	char name[PATH_MAX];
	const char *doing = "create";
	int fd, closed, result = -1;
	bool made = false;

	fd = temporary_open(name, sizeof(name), path, mode);
	if (fd < 0)
		goto out;
	made = true;
	doing = "write";
	if (file_write_all(fd, data, len) < 0)
		goto out;
	doing = "make durable";
	if (fsync(fd) < 0)
		goto out;
	closed = close(fd);
	fd = -1;
	if (closed < 0)
		goto out;
	doing = "rename";
	if (rename(name, path) < 0)
		goto out;
	made = false;
	doing = "make durable the folder of";
	if (folder_sync(path) < 0)
		goto out;
	result = 0;
out:
	if (result < 0)
		fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "cannot %s %s", doing, path);
	if (fd >= 0)
		close(fd);
	if (made)
		(void)unlink(name);
	return result;
}

/* One folder of a path; what exists must be a folder. -1 with errno. */
static int
folder_make(const char *path, mode_t mode)
{
	struct stat status;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	if (stat(path, &status) < 0)
		return -1;
	if (!S_ISDIR(status.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	return 0;
}

int
file_make_folders(const char *path, mode_t mode, struct fault *fault)
{
	char part[PATH_MAX];
	char *slash;

	if (text_copy(part, sizeof(part), path) < 0)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, ENAMETOOLONG, "%s", path);
	for (slash = strchr(part + (part[0] == '/'), '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (folder_make(part, mode) < 0)
			return fault_set_errno(fault, CAUSE_INTERNAL, errno,
			    "cannot make the folder %s", part);
		*slash = '/';
	}
	if (folder_make(part, mode) < 0)
		return fault_set_errno(fault, CAUSE_INTERNAL, errno,
		    "cannot make the folder %s", part);
	return 0;
}

int
file_join(char *to, size_t size, const char *folder, const char *name)
{
	const char *between = "/";
	size_t len = strlen(folder);
	int written;

	if (name[0] == '/' || len == 0)
		return text_copy(to, size, name);
	if (folder[len - 1] == '/')
		between = "";
	written = snprintf(to, size, "%s%s%s", folder, between, name);
	return written < 0 || (size_t)written >= size ? -1 : 0;
}

int
file_seal_begin(const char *name, struct fault *fault)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		fault_set_errno(fault, CAUSE_INTERNAL, errno,
		    "cannot make the memory file %s", name);
	return fd;
}

int
file_seal_end(int fd, struct fault *fault)
{
	if (fcntl(fd, F_ADD_SEALS, FILE_SEALS) < 0)
		return fault_set_errno(
		    fault, CAUSE_INTERNAL, errno, "cannot seal a memory file");
	return 0;
}

int
file_seal(const char *name, const void *data, size_t len, struct fault *fault)
{
	int fd = file_seal_begin(name, fault);

	if (fd < 0)
		return -1;
	if (file_write_all(fd, data, len) < 0) {
		fault_set_errno(fault, CAUSE_INTERNAL, errno,
		    "cannot fill the memory file %s with %zu bytes", name, len);
	} else if (file_seal_end(fd, fault) == 0) {
		return fd;
	}
	close(fd);
	return -1;
}

int
file_map_sealed(int fd, size_t least, size_t most, const void **data,
    size_t *len, struct fault *fault)
{
	struct stat status;
	void *mapped;
	int seals;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & FILE_SEALS) != FILE_SEALS)
		return fault_set(fault, CAUSE_INTERNAL,
		    "a memory file came without its seals");
	if (fstat(fd, &status) < 0)
		return fault_set_errno(fault, CAUSE_INTERNAL, errno,
		    "cannot look at a memory file");
	if (status.st_size == 0 && least == 0) {
		*data = NULL;
		*len = 0;
		return 0;
	}
	if (status.st_size < 1 || (uint64_t)status.st_size < least ||
	    (uint64_t)status.st_size > most)
		return fault_set(fault, CAUSE_INTERNAL,
		    "a memory file has %lld bytes instead of %zu to %zu",
		    (long long)status.st_size, least, most);
	/* Linux before 6.7 refuses MAP_SHARED once F_SEAL_WRITE is set. */
	mapped =
	    mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapped == MAP_FAILED)
		return fault_set_errno(fault, CAUSE_INTERNAL, errno,
		    "cannot map a memory file of %lld bytes",
		    (long long)status.st_size);
	*data = mapped;
	*len = (size_t)status.st_size;
	return 0;
}
