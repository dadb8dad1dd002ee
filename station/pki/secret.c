/* Memory for secrets, as key.h declares it. */
#include "pki/key.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int
secret_alloc(struct secret *secret, size_t size, struct fault *fault)
{
	void *data;

	memset(secret, 0, sizeof(*secret));
	data = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return fault_set_errno(fault, CAUSE_VAULT_ERROR, errno,
		    "no %zu bytes for a secret", size);
	if (mlock(data, size) < 0 || madvise(data, size, MADV_DONTDUMP) < 0 ||
	    madvise(data, size, MADV_WIPEONFORK) < 0) {
		fault_set_errno(fault, CAUSE_VAULT_ERROR, errno,
		    "cannot lock %zu bytes of memory for a secret "
		    "(RLIMIT_MEMLOCK)",
		    size);
		(void)munmap(data, size);
		return -1;
	}
	secret->data = data;
	secret->size = size;
	return 0;
}

void
secret_free(struct secret *secret)
{
	if (secret == NULL || secret->data == NULL)
		return;
	OPENSSL_cleanse(secret->data, secret->size);
	(void)munmap(secret->data, secret->size);
	memset(secret, 0, sizeof(*secret));
}

int
secret_read_fd(struct secret *secret, int fd, const char *name, size_t max,
    struct fault *fault)
{
	struct stat status;
	ssize_t got;

	memset(secret, 0, sizeof(*secret));
	if (fstat(fd, &status) < 0)
		return fault_set_errno(
		    fault, CAUSE_VAULT_ERROR, errno, "%s", name);
	if (!S_ISREG(status.st_mode) || status.st_size < 1 ||
	    (uint64_t)status.st_size > max)
		return fault_set(fault, CAUSE_VAULT_ERROR,
		    "%s: a regular file of 1 to %zu bytes is accepted", name,
		    max);
	if (secret_alloc(secret, (size_t)status.st_size + 1, fault) < 0)
		return -1;
	while (secret->len < (size_t)status.st_size) {
		got = pread(fd, secret->data + secret->len,
		    (size_t)status.st_size - secret->len, (off_t)secret->len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			fault_set_errno(fault, CAUSE_VAULT_ERROR,
			    got < 0 ? errno : EIO, "%s", name);
			secret_free(secret);
			return -1;
		}
		secret->len += (size_t)got;
	}
	return 0;
}
