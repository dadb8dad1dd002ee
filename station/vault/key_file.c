#include "vault/key_file.h"

#include <stdbool.h>
#include <sys/stat.h>

static int
key_file_check(int fd, const char *path, struct fault *fault)
{
	struct stat status;

	if (fstat(fd, &status) == -1)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "key file %s cannot be examined", path);
	if (!S_ISREG(status.st_mode))
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "key file %s is not a regular file", path);
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "key file %s has mode %04o, so others than its owner can "
		    "use it; run: chmod 600 %s",
		    path, (unsigned)status.st_mode & 07777, path);
	return 0;
}

int
key_file_read(struct secret *secret, int fd, const char *path, size_t max,
    struct fault *fault)
{
	if (key_file_check(fd, path, fault) == -1)
		return -1;
	return secret_read_fd(secret, fd, path, max, fault);
}

static bool
is_line(const struct secret *secret)
{
	for (size_t i = 0; i < secret->len; i++)
		if ((unsigned char)secret->data[i] < ' ' ||
		    secret->data[i] == '\x7f')
			return false;
	return true;
}

int
key_file_read_line(struct secret *secret, int fd, const char *path,
    size_t least, size_t most, struct fault *fault)
{
	if (key_file_read(secret, fd, path, most + 2, fault) == -1)
		return -1;
	if (secret->len > 0 && secret->data[secret->len - 1] == '\n')
		secret->len--;
	if (secret->len > 0 && secret->data[secret->len - 1] == '\r')
		secret->len--;
	secret->data[secret->len] = '\0';
	if (secret->len >= least && secret->len <= most && is_line(secret))
		return 0;
	secret_free(secret);
	return fault_set(fault, CAUSE_VAULT_ERROR,
	    "%s: one line of %zu to %zu characters is accepted", path, least,
	    most);
}
