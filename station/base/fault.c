#include "base/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

static const struct fault_row fault_rows[CAUSE_COUNT] = {
#define FAULT_ROW(symbol, name, owner, class, verdict, action)              \
	[CAUSE_##symbol] = {name, FAULT_OWNER_##owner, FAULT_CLASS_##class, \
	    VERDICT_##verdict, action},
    FAULT_CAUSES(FAULT_ROW)
#undef FAULT_ROW
};

static const char *const owner_names[] = {
    [FAULT_OWNER_NONE] = "NONE",
    [FAULT_OWNER_DEVICE] = "DEVICE",
    [FAULT_OWNER_FIXTURE] = "FIXTURE",
    [FAULT_OWNER_STATION] = "STATION",
    [FAULT_OWNER_MANIFEST] = "MANIFEST",
    [FAULT_OWNER_CLOUD] = "CLOUD",
    [FAULT_OWNER_CLOUD_POLICY] = "CLOUD-POLICY",
    [FAULT_OWNER_OPERATOR] = "OPERATOR",
};

static const char *const verdict_names[] = {
    [VERDICT_NONE] = "",
    [VERDICT_PASS] = "PASS",
    [VERDICT_FAIL] = "FAIL",
    [VERDICT_ERROR] = "ERROR",
    [VERDICT_ABORTED] = "ABORTED",
    [VERDICT_REFUSED] = "REFUSED",
    [VERDICT_STAGED] = "STAGED",
};

const struct fault_row *
fault_row(enum fault_cause cause)
{
	if ((unsigned)cause >= CAUSE_COUNT)
		cause = CAUSE_INTERNAL;
	return &fault_rows[cause];
}

const char *
fault_owner_name(enum fault_owner owner)
{
	if ((size_t)owner >= sizeof(owner_names) / sizeof(owner_names[0]))
		return NULL;
	return owner_names[owner];
}

const char *
verdict_name(enum verdict verdict)
{
	if ((size_t)verdict >= sizeof(verdict_names) / sizeof(verdict_names[0]))
		return NULL;
	return verdict_names[verdict];
}

enum fault_cause
fault_cause_by_name(const char *name)
{
	size_t cause;

	for (cause = 0; cause < CAUSE_COUNT; cause++)
		if (strcmp(fault_rows[cause].name, name) == 0)
			break;
	return (enum fault_cause)cause;
}

/*
 * Makes the text printable UTF-8 without control bytes. A character that
 * was cut at the end of the array is dropped.
 */
static void
fault_clean(struct fault *fault)
{
	size_t len = strlen(fault->text), at = 0, step;

	while (at < len) {
		step = text_character_len(fault->text + at, len - at);
		if (step == 0 && len == sizeof(fault->text) - 1 &&
		    text_is_cut(fault->text + at, len - at)) {
			fault->text[at] = '\0';
			break;
		}
		if (step == 0) {
			fault->text[at] = '?';
			step = 1;
		}
		at += step;
	}
}

static void
fault_format(struct fault *fault, enum fault_cause cause, const char *format,
    va_list arguments) __attribute__((format(printf, 3, 0)));

static void
fault_format(struct fault *fault, enum fault_cause cause, const char *format,
    va_list arguments)
{
	char text[sizeof(fault->text)];

	/* Through a copy: an argument may be the fault's own text. */
	if (vsnprintf(text, sizeof(text), format, arguments) < 0)
		text[0] = '\0';
	fault_clear(fault);
	fault->cause = cause;
	(void)text_copy(fault->text, sizeof(fault->text), text);
}

int
fault_set(struct fault *fault, enum fault_cause cause, const char *format, ...)
{
	va_list arguments;

	if (fault == NULL)
		return -1;
	va_start(arguments, format);
	fault_format(fault, cause, format, arguments);
	va_end(arguments);
	fault_clean(fault);
	return -1;
}

int
fault_set_errno(struct fault *fault, enum fault_cause cause, int error,
    const char *format, ...)
{
	va_list arguments;
	char reason[128];
	size_t len;

	if (fault == NULL)
		return -1;
	va_start(arguments, format);
	fault_format(fault, cause, format, arguments);
	va_end(arguments);
	len = strlen(fault->text);
	(void)snprintf(fault->text + len, sizeof(fault->text) - len, ": %s",
	    strerror_r(error, reason, sizeof(reason)));
	fault_clean(fault);
	return -1;
}

int
fault_prefix(struct fault *fault, const char *format, ...)
{
	va_list arguments;
	char text[sizeof(fault->text)];
	size_t len;

	if (fault == NULL)
		return -1;
	va_start(arguments, format);
	if (vsnprintf(text, sizeof(text), format, arguments) < 0)
		text[0] = '\0';
	va_end(arguments);
	len = strlen(text);
	(void)text_copy(text + len, sizeof(text) - len, ": ");
	len = strlen(text);
	(void)text_copy(text + len, sizeof(text) - len, fault->text);
	(void)text_copy(fault->text, sizeof(fault->text), text);
	fault_clean(fault);
	return -1;
}

void
fault_clear(struct fault *fault)
{
	if (fault != NULL)
		memset(fault, 0, sizeof(*fault));
}
