#include "pki/pem.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <string.h>

static bool
is_blank(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0')
			return false;
	return true;
}

const char *
pem_check_single(const char *text, size_t len)
{
	static const char begin[] = "-----BEGIN ", end[] = "-----END ";
	static const char dashes[] = "-----";
	const char *first, *last, *limit = text + len;

	if (len > INT_MAX || memchr(text, '\0', len) != NULL)
		return "is not text";
	first = memmem(text, len, begin, strlen(begin));
	if (first == NULL)
		return "is not PEM: its BEGIN line is missing";
	if (!is_blank(text, (size_t)(first - text)))
		return "has text in front of its BEGIN line";
	last = memmem(first, (size_t)(limit - first), end, strlen(end));
	if (last == NULL)
		return "is cut: its END line is missing";
	first += strlen(begin);
	if (memmem(first, (size_t)(limit - first), begin, strlen(begin)) !=
	    NULL)
		return "has more than one PEM block";
	last += strlen(end);
	last = memmem(last, (size_t)(limit - last), dashes, strlen(dashes));
	if (last == NULL)
		return "is cut: its END line is not complete";
	last += strlen(dashes);
	if (!is_blank(last, (size_t)(limit - last)))
		return "has text behind its END line";
	return NULL;
}

const char *
pem_decode(const char *text, size_t len, const char *label, struct pem *pem)
{
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	const char *wrong;
	BIO *source = NULL;
	long der_len = 0;

	memset(pem, 0, sizeof(*pem));
	wrong = pem_check_single(text, len);
	if (wrong != NULL)
		return wrong;
	wrong = "is not well-formed PEM";
	source = BIO_new_mem_buf(text, (int)len);
	if (source == NULL ||
	    PEM_read_bio(source, &name, &header, &der, &der_len) != 1)
		goto out;
	wrong = "has PEM headers";
	if (header[0] != '\0')
		goto out;
	wrong = "is PEM of another kind";
	if (strcmp(name, label) != 0)
		goto out;
	pem->der = der;
	pem->len = (size_t)der_len;
	der = NULL;
	wrong = NULL;
out:
	ERR_clear_error();
	OPENSSL_clear_free(der, (size_t)der_len);
	OPENSSL_free(header);
	OPENSSL_free(name);
	BIO_free(source);
	return wrong;
}

void
pem_free(struct pem *pem)
{
	OPENSSL_clear_free(pem->der, pem->len);
	memset(pem, 0, sizeof(*pem));
}
