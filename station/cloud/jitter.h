/* Random spans, so that many who wait do not act at once. */
#ifndef CLOUD_JITTER_H
#define CLOUD_JITTER_H

#include <stdint.h>

/* Uniform in 0..most_ms. */
int64_t jitter_ms(int64_t most_ms);

#endif
