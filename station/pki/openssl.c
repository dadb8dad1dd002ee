#include "pki/openssl.h"

#include <openssl/err.h>

#include "base/buf.h"

void
openssl_reason(char to[OPENSSL_REASON_LEN])
{
	/* The first error of the queue is the cause, later ones follow it. */
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	(void)text_copy(to, OPENSSL_REASON_LEN,
	    reason == NULL ? "no reason given" : reason);
	ERR_clear_error();
}

void
openssl_forget(void)
{
	ERR_clear_error();
}
