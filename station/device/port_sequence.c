/* Line sequences: "D0|R1|W0.1|D1|R0|W0.05|D0". */
#include <ctype.h>
#include <string.h>

#include "device/port.h"

enum {
	WAIT_MOST_US = 10 * 1000 * 1000
};

enum step_kind {
	STEP_DTR,
	STEP_RTS,
	STEP_BOTH,
	STEP_WAIT
};

struct sequence_step {
	enum step_kind kind;
	bool dtr, rts;
	int64_t wait_us;
};

/* A level; advances *text. */
static int
level_read(const char **text, bool *level)
{
	if (**text != '0' && **text != '1')
		return -1;
	*level = **text == '1';
	(*text)++;
	return 0;
}

/* Seconds with at most six decimals, without floating point. */
static const char *
wait_read(const char **text, int64_t *us)
{
	const char *at = *text;
	int64_t whole = 0, unit = 100000;

	if (!isdigit((unsigned char)*at))
		return "W needs seconds, such as W0.1";
	for (; isdigit((unsigned char)*at); at++) {
		whole = whole * 10 + (*at - '0');
		if (whole > WAIT_MOST_US / 1000000)
			return "W waits at most 10 seconds";
	}
	*us = whole * 1000000;
	if (*at == '.') {
		for (at++; isdigit((unsigned char)*at); at++, unit /= 10)
			*us += (*at - '0') * unit;
	}
	if (*us > WAIT_MOST_US)
		return "W waits at most 10 seconds";
	*text = at;
	return NULL;
}

/* Reads one step and the bar behind it; null or what is wrong. */
static const char *
step_read(const char **text, struct sequence_step *step)
{
	const char *why = NULL;
	char kind = **text;

	if (kind != '\0')
		(*text)++;
	*step = (struct sequence_step){STEP_WAIT, false, false, 0};
	switch (kind) {
	case 'D':
		step->kind = STEP_DTR;
		if (level_read(text, &step->dtr) != 0)
			why = "D needs 0 or 1";
		break;
	case 'R':
		step->kind = STEP_RTS;
		if (level_read(text, &step->rts) != 0)
			why = "R needs 0 or 1";
		break;
	case 'U':
		step->kind = STEP_BOTH;
		if (level_read(text, &step->dtr) != 0 || *(*text)++ != ',' ||
		    level_read(text, &step->rts) != 0)
			why = "U needs two levels, such as U1,0";
		break;
	case 'W':
		why = wait_read(text, &step->wait_us);
		break;
	default:
		why = "a step begins with D, R, U or W";
	}
	if (why != NULL)
		return why;
	if (**text == '|' && (*text)[1] != '\0')
		(*text)++;
	else if (**text != '\0')
		return "steps are joined by |";
	return NULL;
}

const char *
port_sequence_error(const char *sequence)
{
	struct sequence_step step;
	const char *why;

	if (strlen(sequence) >= PORT_SEQUENCE_LEN)
		return "a sequence has at most 95 characters";
	do {
		why = step_read(&sequence, &step);
	} while (why == NULL && *sequence != '\0');
	return why;
}

int
port_run_sequence(struct port *port, const char *sequence, struct fault *fault)
{
	struct sequence_step step = {STEP_WAIT, false, false, 0};
	const char *why = port_sequence_error(sequence);
	int result = 0;

	if (why != NULL)
		return fault_set(fault, CAUSE_INTERNAL,
		    "line sequence \"%s\": %s", sequence, why);
	while (*sequence != '\0' && result == 0) {
		(void)step_read(&sequence, &step);
		switch (step.kind) {
		case STEP_DTR:
			result =
			    port_set_lines(port, step.dtr, port->rts, fault);
			break;
		case STEP_RTS:
			result =
			    port_set_lines(port, port->dtr, step.rts, fault);
			break;
		case STEP_BOTH:
			result =
			    port_set_lines(port, step.dtr, step.rts, fault);
			break;
		case STEP_WAIT:
			result = port_wait_us(port, step.wait_us, fault);
			break;
		}
	}
	return result;
}
