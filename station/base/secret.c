#include "base/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Null with errno when there is none; *locked tells whether all of it held. */
static void *
pages_new(size_t size, bool *locked)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
	*locked = mlock(pages, size) == 0;
	*locked = madvise(pages, size, MADV_DONTDUMP) == 0 && *locked;
	*locked = madvise(pages, size, MADV_WIPEONFORK) == 0 && *locked;
	return pages;
}

static void
pages_free(void *pages, size_t size)
{
	OPENSSL_cleanse(pages, size);
	(void)munmap(pages, size);
}

/* ---- keys and their like ---- */

int
secret_alloc(struct secret *secret, size_t size, struct fault *fault)
{
	bool locked = false;
	void *data;

	memset(secret, 0, sizeof(*secret));
	data = pages_new(size, &locked);
	if (data == NULL)
		return fault_set_errno(fault, CAUSE_VAULT_ERROR, errno,
		    "no %zu bytes for a secret", size);
	if (!locked) {
		fault_set(fault, CAUSE_VAULT_ERROR,
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
	pages_free(secret->data, secret->size);
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

/* ---- work on what holds secrets ---- */

/* In front of the memory that the caller sees; keeps its alignment. */
struct locked_head {
	size_t len; /* of the mapping */
	max_align_t align[1];
};

void *
locked_new(size_t len)
{
	struct locked_head *head;
	size_t whole = sizeof(*head) + len;
	bool locked;

	if (len > SIZE_MAX / 2)
		return NULL;
	/* The limit on locked memory may be smaller: then the role's
	 * dumpable=0 and the missing swap of a station have to do. */
	head = pages_new(whole, &locked);
	if (head == NULL)
		return NULL;
	head->len = whole;
	return head + 1;
}

void
locked_free(void *memory)
{
	struct locked_head *head = memory;

	if (memory == NULL)
		return;
	head--;
	pages_free(head, head->len);
}
