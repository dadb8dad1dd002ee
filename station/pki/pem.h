/*
 * PEM (RFC 7468), strictly: one block, nothing but white space around it, no
 * headers, and DER that the caller decodes to its last byte.
 */
#ifndef PKI_PEM_H
#define PKI_PEM_H

#include <stddef.h>
#include <stdint.h>

struct pem {
	uint8_t *der; /* owned; wiped by pem_free */
	size_t len;
};

/*
 * Null and *pem filled when the text is one block of that label, such as
 * "CERTIFICATE"; otherwise what is wrong, a static text to put behind "it".
 * The text needs no NUL at its end.
 */
const char *
pem_decode(const char *text, size_t len, const char *label, struct pem *);
/* Null when the text is one block of any label and nothing else. */
const char *pem_check_single(const char *text, size_t len);
void pem_free(struct pem *);

#endif
