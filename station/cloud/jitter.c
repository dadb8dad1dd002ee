#include "cloud/jitter.h"

#include <sys/random.h>

int64_t
jitter_ms(int64_t most_ms)
{
	uint32_t random;

	/* Without randomness, half of the span is as good as any. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(random))
		random = UINT32_MAX / 2;
	return most_ms <= 0
		   ? 0
		   : (int64_t)((double)random / UINT32_MAX * (double)most_ms);
}
