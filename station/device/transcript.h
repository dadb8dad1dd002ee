/*
 * The transcript of an attempt: what passed between station and device, for
 * the engineer who has to find out why.
 *
 * One line a message: seconds since the start, direction, escaped bytes.
 *
 *	   0.102 > "creds\r\n"
 *	   0.110 < "creds ca=none cert=none\r\n"
 *	   0.111 # set key from ‹secret claim_key 227 bytes›
 *
 * Secrets are registered by name and value and never appear, also not when
 * a device echoes them, whole or line by line and split over reads: bytes
 * that may become a secret are held back until it is decided. A line of a
 * secret of SECRET_LINE_MIN bytes or more is hidden on its own, too.
 */
#ifndef DEVICE_TRANSCRIPT_H
#define DEVICE_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "device/port.h"

enum {
	TRANSCRIPT_BYTES_MAX = 1024 * 1024, /* of an attempt, by default */
	TRANSCRIPT_SECRETS_MAX = 512,	    /* values and their lines */
	SECRET_LINE_MIN = 8,
};

struct transcript;

/*
 * Borrows the descriptor (append-only). Past max bytes one note says so and
 * the rest is dropped. fd -1 makes a transcript that keeps nothing.
 * Null when out of memory.
 */
struct transcript *transcript_new(int fd, size_t max);
/* Writes what is held back, wipes the secrets. Null is allowed. */
void transcript_free(struct transcript *);

/*
 * From now on value never appears. It is copied into locked memory. A value
 * shorter than 4 bytes is refused: it would hide ordinary text.
 * CAUSE_INTERNAL when the table is full: then nothing may be sent.
 */
int transcript_hide(struct transcript *, const char *name, const void *value,
    size_t len, struct fault *);
/* True when a text holds a secret or a good part of one: then it must not
 * be shown elsewhere, either. */
bool
transcript_holds_secret(const struct transcript *, const void *, size_t len);
/* A struct port's sink: arg is the transcript. */
void transcript_bytes(void *arg, enum port_direction, const void *, size_t len);
void transcript_note(struct transcript *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Writes what is held back. */
void transcript_flush(struct transcript *);

#endif
