/*
 * What a device sends as its request. The input is PEM, or, when it does not
 * begin as PEM does, DER that is wrapped here so that the decoder is reached.
 */
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "pki/certificate.h"
#include "pki/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const char *pem, size_t len)
{
	struct certificate certificate;
	struct fault fault = {0};
	struct csr csr;
	int result;

	result = csr_check(pem, len, "UNIT-0007", CSR_KEY_ANY, &csr, &fault);
	if ((result == 0) != (fault.cause == CAUSE_NONE))
		abort();
	if (result < 0 && fault.cause != CAUSE_CSR_INVALID &&
	    fault.cause != CAUSE_CSR_KEY && fault.cause != CAUSE_CSR_SUBJECT)
		abort();
	fault_clear(&fault);
	result = certificate_parse(
	    pem, len, CAUSE_CLOUD_ANSWER, &certificate, &fault);
	if ((result == 0) != (fault.cause == CAUSE_NONE))
		abort();
}

static void
check_der(const uint8_t *der, size_t len, const char *label)
{
	char text[2 * CSR_LEN];
	unsigned char encoded[2 * CSR_LEN];
	int written;

	if (len > CSR_LEN)
		return;
	EVP_EncodeBlock(encoded, der, (int)len);
	written = snprintf(text, sizeof(text), "-----BEGIN %s-----\n", label);
	/* Lines of 64, which OpenSSL's reader demands. */
	for (size_t at = 0; encoded[at] != '\0'; at += 64) {
		written +=
		    snprintf(text + written, sizeof(text) - (size_t)written,
			"%.64s\n", (const char *)encoded + at);
		if (strlen((const char *)encoded + at) < 64)
			break;
	}
	written += snprintf(text + written, sizeof(text) - (size_t)written,
	    "-----END %s-----\n", label);
	check(text, (size_t)written);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > 5 && memcmp(data, "-----", 5) == 0) {
		check((const char *)data, len);
	} else {
		check_der(data, len, "CERTIFICATE REQUEST");
		check_der(data, len, "CERTIFICATE");
	}
	return 0;
}
