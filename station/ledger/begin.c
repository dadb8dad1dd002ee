/* The start of an attempt. */
#include <string.h>

#include "ledger/ledger.h"
#include "ledger/unit.h"

int
ledger_begin_attempt(
    struct ledger *ledger, const struct message *request, void *answer)
{
	const struct message_begin *body = (const void *)request->body.bytes;
	struct message_begin_done *done = answer;
	struct store *store = &ledger->store;
	int64_t last = 0, one = 0;
	uint32_t begun = 0;

	if (body->lot != 0 &&
	    store_number(store, "SELECT 1 FROM lot WHERE id = ?1",
		VALUES(value_integer((int64_t)body->lot)), &one) < 0)
		return -1;
	if (body->lot != 0 && one == 0) {
		fault_set(&done->fault, CAUSE_INTERNAL,
		    "the ledger has no lot %llu",
		    (unsigned long long)body->lot);
		return 0;
	}
	if (store_number(store, "SELECT max(id) FROM attempt", NULL, &last) <
		0 ||
	    tally_get(store, body->lot, "begun", "", &begun) != 0 ||
	    store_run(store,
		"INSERT INTO attempt (id, entry, lot, lot_name, number,"
		" station, slot, operator, scanned, program)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		VALUES(value_integer(last + 1),
		    value_integer((int64_t)ledger->entry),
		    value_reference(body->lot), value_text(body->lot_name),
		    value_integer(begun + 1), value_text(ledger->station),
		    value_text(body->slot), value_text(body->operator),
		    value_text(body->scanned), value_digest(&body->program))) !=
		0 ||
	    binding_begin(store, body->lot) != 0)
		return -1;
	done->attempt = (uint64_t)last + 1;
	done->number = begun + 1;
	return 0;
}
