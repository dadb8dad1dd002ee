/*
 * The transforms of values, one table. Used by expand.c.
 */
#ifndef DEVICE_TRANSFORM_H
#define DEVICE_TRANSFORM_H

#include <stddef.h>
#include <stdint.h>

/*
 * spec is "name" or "name:argument". transform_error returns null when it is
 * good. transform_apply returns the length written to `to`, or -1 when the
 * value does not suit; `to` and `from` are different memory.
 */
const char *transform_error(const char *spec, size_t spec_len);
long transform_apply(const char *spec, size_t spec_len, const uint8_t *from,
    size_t len, uint8_t *to, size_t size);

#endif
