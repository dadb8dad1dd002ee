/*
 * OpenSSL's own reason for the last failure, for a fault's text. For the
 * files of this folder and others that call OpenSSL themselves.
 */
#ifndef PKI_OPENSSL_H
#define PKI_OPENSSL_H

#include <stddef.h>

enum {
	OPENSSL_REASON_LEN = 120
};

/* Copies it, or "no reason given", and clears the thread's error queue. */
void openssl_reason(char to[OPENSSL_REASON_LEN]);
/* Clears the queue: a leftover would be the next failure's reason. */
void openssl_forget(void);

#endif
