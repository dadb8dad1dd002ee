/*
 * A growing byte buffer with a cap. Appending past the cap or out of memory
 * sets `failed`, adds nothing and keeps what is there, as does every append
 * after it; callers check once, at the end. data is always NUL-terminated
 * after the first append, and NULL before it.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data; /* owned */
	size_t len;
	size_t size;
	size_t max; /* bytes that len may reach */
	bool failed;
};

void buf_init(struct buf *, size_t max);
void buf_add(struct buf *, const void *, size_t len);
void buf_add_text(struct buf *, const char *);
void buf_add_format(struct buf *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops the first len bytes, or all when there are fewer. */
void buf_drop(struct buf *, size_t len);
/* Empties it and clears `failed`; keeps the memory. */
void buf_reset(struct buf *);
void buf_free(struct buf *);

/* Small helpers on text that everything needs. */
/* Copies with truncation and NUL; returns -1 when it did not fit. */
int text_copy(char *to, size_t size, const char *from);
/* A null text equals only another null text. */
bool text_equal(const char *, const char *);
/* Lower-case hex; to holds 2 * len + 1. */
void hex_encode(char *to, const uint8_t *from, size_t len);
/* -1 unless text is exactly 2 * len hex digits. */
int hex_decode(uint8_t *to, size_t len, const char *text);
/* Escapes bytes outside 0x20..0x7e and backslash as \xNN; truncates. */
void text_escape(char *to, size_t size, const void *from, size_t len);
/*
 * Bytes of the printable UTF-8 character (RFC 3629) that the text starts
 * with; 0 when it starts with a control character, C1 ones too, or with what
 * is not UTF-8.
 */
size_t text_character_len(const char *text, size_t len);
/* True when the text is a character's first bytes, but not all of them. */
bool text_is_cut(const char *text, size_t len);

#endif
