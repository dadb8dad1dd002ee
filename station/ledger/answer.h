/*
 * Answers, kept so that a resend of (attempt, sequence) gets the same one.
 * Message bodies are fixed structs that are mostly zeros; they are stored as
 * runs: two bytes for the zeros skipped, two for the length of what follows,
 * both little-endian, then that.
 */
#ifndef LEDGER_ANSWER_H
#define LEDGER_ANSWER_H

#include "ledger/ledger.h"

/*
 * 1: this request was answered before and `answer` holds it again, or the
 * fault that its number belongs to another request; 0: it is new; -1.
 */
int answer_find(struct ledger *, const struct message_header *,
    const char *kind, struct ledger_answer *);
/* The entry of the request that was just handled. */
int answer_record(struct ledger *, const struct message_header *,
    const char *kind, const struct ledger_answer *);

/* Runs as above; the packed form is never longer than len + 4 * (len / 9 +
 * 1). Unpacking fills the rest with zeros; -1 when it is malformed. */
size_t answer_pack(const void *from, size_t len, uint8_t *to);
int answer_unpack(const uint8_t *from, size_t from_len, void *to, size_t len);

#endif
