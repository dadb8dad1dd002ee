#include "device/secret.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <sys/mman.h>

/* In front of the memory that the caller sees; keeps its alignment. */
struct secret_head {
	size_t len; /* of the mapping */
	max_align_t align[1];
};

void *
locked_new(size_t len)
{
	struct secret_head *head;
	void *map;
	size_t whole = sizeof(*head) + len;

	if (len > SIZE_MAX / 2)
		return NULL;
	map = mmap(NULL, whole, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	/* The limit on locked memory may be smaller: then the role's
	 * dumpable=0 and the missing swap of a station have to do. */
	(void)mlock(map, whole);
	(void)madvise(map, whole, MADV_DONTDUMP);
	head = map;
	head->len = whole;
	return head + 1;
}

void
locked_free(void *memory)
{
	struct secret_head *head = memory;
	size_t whole;

	if (memory == NULL)
		return;
	head--;
	whole = head->len;
	OPENSSL_cleanse(head, whole);
	(void)munmap(head, whole);
}
