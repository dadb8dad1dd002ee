/*
 * Rows of all lots' manifests, as the ledger keeps them.
 */
#ifndef LEDGER_MANIFEST_H
#define LEDGER_MANIFEST_H

#include "base/message.h"
#include "ledger/ledger.h"

struct manifest_entry {
	uint64_t id; /* of the row in the ledger; 0 none */
	uint64_t lot;
	uint32_t line;
	char serial[SERIAL_LEN];
	char mac[MAC_LEN];
	char extra[EXTRA_LEN];
};

/* 1 found, 0 none (the entry is zeroed), -1 database. */
int manifest_find(struct store *, uint64_t id, struct manifest_entry *);
int manifest_find_serial(
    struct store *, const char *serial, struct manifest_entry *);
int manifest_find_mac(struct store *, const char *mac, struct manifest_entry *);
/* The lot's first row, in the file's order, that no unit has and that names
 * no board. */
int manifest_find_free(struct ledger *, uint64_t lot, uint64_t first_row,
    uint64_t rows, struct manifest_entry *);
/* The row may have become free. */
void manifest_row_freed(struct ledger *, uint64_t lot, uint64_t row);

int lot_name_read(struct store *, uint64_t lot, char name[NAME_LEN]);

#endif
