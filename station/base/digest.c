/* SHA-256, as file.h declares it. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

bool
digest_is_zero(const struct digest *digest)
{
	static const struct digest zero;

	return memcmp(digest, &zero, sizeof(zero)) == 0;
}

int
digest_bytes(const void *data, size_t len, struct digest *digest)
{
	memset(digest, 0, sizeof(*digest));
	if (EVP_Digest(data, len, digest->bytes, NULL, EVP_sha256(), NULL) == 1)
		return 0;
	ERR_clear_error();
	return -1;
}

/* Feeds the file into the context; -1 with errno. */
static int
digest_feed(EVP_MD_CTX *context, int fd)
{
	char bytes[65536];
	ssize_t got;

	for (;;) {
		got = read(fd, bytes, sizeof(bytes));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -1 : 0;
		if (EVP_DigestUpdate(context, bytes, (size_t)got) != 1) {
			errno = EIO;
			return -1;
		}
	}
}

int
digest_file(const char *path, struct digest *digest, struct fault *fault)
{
	EVP_MD_CTX *context = NULL;
	struct stat status;
	int fd, result = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &status) < 0) {
		fault_set_errno(fault, CAUSE_BAD_CONFIG, errno, "%s", path);
		goto out;
	}
	if (!S_ISREG(status.st_mode)) {
		fault_set(
		    fault, CAUSE_BAD_CONFIG, "%s: not a regular file", path);
		goto out;
	}
	context = EVP_MD_CTX_new();
	if (context == NULL ||
	    EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
		fault_set(fault, CAUSE_INTERNAL, "%s: no SHA-256", path);
		goto out;
	}
	if (digest_feed(context, fd) < 0) {
		fault_set_errno(fault, CAUSE_BAD_CONFIG, errno, "%s", path);
		goto out;
	}
	if (EVP_DigestFinal_ex(context, digest->bytes, NULL) != 1) {
		fault_set(fault, CAUSE_INTERNAL, "%s: no SHA-256", path);
		goto out;
	}
	result = 0;
out:
	ERR_clear_error();
	EVP_MD_CTX_free(context);
	if (fd >= 0)
		close(fd);
	return result;
}

void
digest_text(const struct digest *digest, char text[DIGEST_TEXT_LEN])
{
	hex_encode(text, digest->bytes, sizeof(digest->bytes));
}
