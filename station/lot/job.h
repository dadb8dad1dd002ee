/*
 * What one attempt is told at its start: a sealed memory file that the line
 * makes and the slot role reads at ROLE_FD_JOB.
 */
#ifndef LOT_JOB_H
#define LOT_JOB_H

#include <stdint.h>

#include "base/message.h"

enum {
	JOB_MAGIC = 0x31424f4a
};

struct slot_job {
	uint32_t magic; /* JOB_MAGIC */
	uint32_t size;	/* sizeof */
	uint64_t attempt;
	char station[NAME_LEN];
	char slot[NAME_LEN];
	char operator[NAME_LEN];
	char scanned[SERIAL_LEN];
	uint32_t baud_limit; /* what the slot's port proved able to do; 0 */
};

#endif
