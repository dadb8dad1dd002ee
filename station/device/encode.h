/*
 * Base64 and PEM without hidden copies: values may be secrets, so everything
 * happens in the caller's memory.
 */
#ifndef DEVICE_ENCODE_H
#define DEVICE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Each returns the length written, or -1 when the input is malformed or
 * `size` is too small. No NUL is added.
 */
/* RFC 4648 section 4, with padding. */
long base64_encode(char *to, size_t size, const uint8_t *from, size_t len);
/* Section 4, or 5 with `url`; padding optional, line ends and blanks
 * skipped. `to` may be `from`. */
long
base64_decode(uint8_t *to, size_t size, const char *from, size_t len, bool url);
/* The contents of the first PEM block (RFC 7468). `to` may be `from`. */
long pem_to_der(uint8_t *to, size_t size, const char *from, size_t len);
/* A PEM block with that label and lines of 64. */
long pem_encode(
    char *to, size_t size, const char *label, const uint8_t *from, size_t len);

#endif
