/*
 * First articles: the first units of a lot whose identity is finished out in
 * the field must have connected, with the production template and its hook,
 * before more are made. What is wrong there is found with a few units, not
 * with a truckload.
 *
 * The ledger knows which units these are and which of them were seen; the
 * cloud role waits for one after the other. A restart asks again.
 */
#include "line/line.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	ARTICLE_MS = 5000,
};

static void article_ask(struct open_lot *lot);

bool
article_holds(const struct open_lot *lot)
{
	const struct attempt *attempt;
	uint32_t wanted = lot->image->first_article;
	uint32_t made = lot->counts.passed;

	if (wanted == 0 || lot->articles_done)
		return false;
	for (attempt = lot->line->attempts; attempt != NULL;
	     attempt = attempt->next)
		if (attempt->lot == lot && !attempt->article &&
		    !attempt->verdict_done)
			made++;
	return made >= wanted;
}

static void
article_due(void *arg)
{
	article_ask(arg);
}

static void
article_later(struct open_lot *lot)
{
	if (lot->article_timer == NULL)
		lot->article_timer =
		    loop_timer(lot->line->loop, article_due, lot);
	if (lot->article_timer != NULL)
		loop_timer_set(lot->article_timer, clock_deadline(ARTICLE_MS));
}

void
article_ended(struct attempt *attempt, const struct fault *fault)
{
	struct open_lot *lot = attempt->lot;

	if (fault != NULL && fault->cause != CAUSE_NONE &&
	    fault->cause != CAUSE_NOT_CONNECTED)
		board_note(attempt->line, RING_WARNING,
		    "first article %s of lot %s: %s", attempt->gate.serial,
		    lot->image->name, fault->text);
	lot->articles_asked = false;
	attempt_free(attempt);
	article_later(lot);
}

/* Waits for one unit's first connection; its attempt has long passed. */
static void
article_await(struct open_lot *lot, uint64_t id, struct message_register *unit)
{
	struct attempt *attempt = attempt_adopt(lot->line, id);

	if (attempt == NULL) {
		article_later(lot);
		return;
	}
	lot->articles_asked = true;
	attempt->article = true;
	attempt->lot = lot;
	text_copy(
	    attempt->gate.serial, sizeof(attempt->gate.serial), unit->serial);
	flow_resume(attempt, INTENT_CONFIRM, unit);
}

static void
article_answered(void *arg, struct message *answer)
{
	struct open_lot *lot = arg;
	struct message_articles_done done;
	struct fault fault;
	uint32_t wanted = lot->image->first_article;

	lot->articles_asked = false;
	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE || answer->len != sizeof(done)) {
		article_later(lot);
		return;
	}
	memcpy(&done, answer->body.bytes, sizeof(done));
	if (done.confirmed != lot->articles_confirmed) {
		lot->articles_confirmed = done.confirmed;
		board_note(lot->line, RING_NOTICE,
		    "lot %s: %u of %u first articles have connected",
		    lot->image->name, done.confirmed, wanted);
		board_changed(lot->line);
	}
	if (done.confirmed >= wanted) {
		lot->articles_done = true;
		board_lot_event(lot, "first-article", "");
		lots_assign(lot->line);
	} else if (done.waiting_count > 0) {
		article_await(
		    lot, done.waiting[0].attempt, &done.waiting[0].unit);
	}
}

static void
article_ask(struct open_lot *lot)
{
	struct message_articles ask = {
	    .lot = lot->id, .count = lot->image->first_article};

	if (lot->articles_asked || lot->stage != LOT_STAGE_OPEN)
		return;
	lot->articles_asked = true;
	line_call(lot->line, ROLE_LEDGER, MESSAGE_ARTICLES, 0, 0, &ask,
	    sizeof(ask), NULL, 0, article_answered, lot);
}

void
article_consider(struct open_lot *lot)
{
	if (lot->image->first_article == 0 || lot->articles_done ||
	    lot->counts.passed == 0)
		return;
	article_ask(lot);
}
