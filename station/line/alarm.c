/*
 * The failure alarm and the rates.
 *
 * The alarm looks at the last `window` verdicts of the station: failures of
 * the classes DEVICE, FIXTURE, STATION and CLOUD over successes. Refusals of
 * the gate, operators' aborts and what is the manifest's do not count.
 */
#include "line/line.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum {
	HOUR_MS = 3600000
};

static bool
alarm_counts(const struct message_verdict *verdict)
{
	switch (fault_row(verdict->fault.cause)->owner) {
	case FAULT_OWNER_DEVICE:
	case FAULT_OWNER_FIXTURE:
	case FAULT_OWNER_STATION:
	case FAULT_OWNER_CLOUD:
	case FAULT_OWNER_CLOUD_POLICY:
		return verdict->verdict == VERDICT_FAIL ||
		       verdict->verdict == VERDICT_ERROR;
	default:
		return false;
	}
}

void
alarm_sums(const struct line *line, uint32_t *failures, uint32_t *successes)
{
	size_t i;

	*failures = *successes = 0;
	for (i = 0; i < line->alarm.count; i++) {
		if (line->alarm.failed[i] != 0)
			(*failures)++;
		else
			(*successes)++;
	}
}

static void
alarm_check(struct line *line)
{
	const struct config_alarm *limits = &line->config->alarm;
	uint32_t failures, successes;
	bool ringing;
	char reason[128];

	alarm_sums(line, &failures, &successes);
	/* No success at all rings too: zero is no divisor. */
	ringing = failures + successes >= limits->minimum && failures > 0 &&
		  (uint64_t)failures * 1000 >
		      (uint64_t)successes * limits->ratio_milli;
	if (successes == 0 && failures >= limits->minimum)
		ringing = true;
	if (ringing == line->alarm.ringing)
		return;
	line->alarm.ringing = ringing;
	snprintf(reason, sizeof(reason),
	    "failures over successes: %u / %u, the limit is %u.%u %%", failures,
	    successes, limits->ratio_milli / 10, limits->ratio_milli % 10);
	board_note(line, ringing ? RING_ERROR : RING_NOTICE, "%s: %s",
	    ringing ? "ALARM" : "the alarm is over", reason);
	if (ringing && limits->hold)
		line_hold(line, reason);
}

void
alarm_count(struct line *line, const struct message_verdict *verdict)
{
	size_t window = line->config->alarm.window;
	bool passed = verdict->verdict == VERDICT_PASS;

	if (passed) {
		line->pass_ms[line->pass_next++ % PASS_RING] =
		    clock_monotonic_ms();
		if (line->pass_count < PASS_RING)
			line->pass_count++;
	}
	if (!passed && !alarm_counts(verdict))
		return;
	if (window == 0 || window > ALARM_WINDOW_MAX)
		window = ALARM_WINDOW_MAX;
	line->alarm.failed[line->alarm.next % window] = passed ? 0 : 1;
	line->alarm.next = (line->alarm.next + 1) % window;
	if (line->alarm.count < window)
		line->alarm.count++;
	alarm_check(line);
}

void
alarm_reset(struct line *line)
{
	memset(&line->alarm, 0, sizeof(line->alarm));
}

/* Passes of the last hour, or scaled up from the time that there was. */
uint32_t
rate_units_per_hour(const struct line *line)
{
	int64_t now = clock_monotonic_ms(), first = now, span;
	uint32_t passes = 0;
	size_t i;

	for (i = 0; i < line->pass_count; i++) {
		if (now - line->pass_ms[i] > HOUR_MS)
			continue;
		passes++;
		if (line->pass_ms[i] < first)
			first = line->pass_ms[i];
	}
	if (passes < 2)
		return passes;
	/* n passes bound n - 1 spans. */
	span = now - first;
	if (span < 1000)
		span = 1000;
	return (uint32_t)((int64_t)(passes - 1) * HOUR_MS / span);
}

uint32_t
rate_takt_ms(const struct line *line)
{
	uint32_t rate = rate_units_per_hour(line);

	return rate == 0 ? 0 : HOUR_MS / rate;
}

/* A hold that passes stops no lot: whoever follows one goes on waiting. */
static void
hold(struct line *line, const char *reason, bool passes)
{
	line->held = true;
	line->hold_passes = passes;
	text_copy(line->hold_reason, sizeof(line->hold_reason), reason);
	board_note(line, RING_ERROR, "the line is held: %s", reason);
	if (!passes)
		board_lots_stopped(line, reason);
}

void
line_hold(struct line *line, const char *reason)
{
	/* One that passes becomes one that somebody has to release. */
	if (!line->held || line->hold_passes)
		hold(line, reason, false);
}

bool
line_is_lapsed(const struct line *line)
{
	return line->cloud.state == CLOUD_STATE_LAPSED;
}

void
line_hold_fault(struct line *line, const struct fault *fault, int64_t since_ms)
{
	if (fault->cause == CAUSE_CLOUD_CREDENTIALS &&
	    (line_is_lapsed(line) || since_ms < line->lapse_ended_ms))
		return;
	line_hold(line, fault->text);
}

void
line_cloud_changed(struct line *line, const struct message_cloud_state *state)
{
	bool lapsed = line_is_lapsed(line);

	line->cloud = *state;
	if (line_is_lapsed(line) && !lapsed && !line->held) {
		hold(line, state->text, true);
	} else if (line_is_lapsed(line) && line->hold_passes) {
		text_copy(
		    line->hold_reason, sizeof(line->hold_reason), state->text);
	} else if (lapsed && !line_is_lapsed(line)) {
		line->lapse_ended_ms = clock_monotonic_ms();
		if (line->hold_passes)
			line_release(line);
	}
}

void
line_release(struct line *line)
{
	size_t i;

	if (!line->held)
		return;
	/* Who releases the line has looked at what rang. */
	if (!line->hold_passes)
		alarm_reset(line);
	line->held = line->hold_passes = false;
	line->hold_reason[0] = '\0';
	board_note(line, RING_NOTICE, "the line is released");
	for (i = 0; i < line->config->slot_count; i++)
		slot_consider(&line->slots[i]);
}
