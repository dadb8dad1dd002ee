#include "device/pattern.h"

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	MATCH_LIMIT = 100000, /* steps: some milliseconds */
	DEPTH_LIMIT = 1000,
	HEAP_LIMIT_KIB = 1024,
};

struct pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *context;
};

struct pattern *
pattern_new(const char *text, char why[PATTERN_ERROR_LEN])
{
	struct pattern *pattern = calloc(1, sizeof(*pattern));
	PCRE2_SIZE offset;
	int error = PCRE2_ERROR_NOMEMORY;

	why[0] = '\0';
	if (pattern == NULL || strlen(text) > PATTERN_LEN_MAX)
		goto failed;
	pattern->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
	    PCRE2_NEVER_BACKSLASH_C, &error, &offset, NULL);
	if (pattern->code == NULL)
		goto failed;
	error = PCRE2_ERROR_NOMEMORY;
	pattern->data =
	    pcre2_match_data_create_from_pattern(pattern->code, NULL);
	pattern->context = pcre2_match_context_create(NULL);
	if (pattern->data == NULL || pattern->context == NULL)
		goto failed;
	pcre2_set_match_limit(pattern->context, MATCH_LIMIT);
	pcre2_set_depth_limit(pattern->context, DEPTH_LIMIT);
	pcre2_set_heap_limit(pattern->context, HEAP_LIMIT_KIB);
	return pattern;
failed:
	(void)pcre2_get_error_message(
	    error, (PCRE2_UCHAR *)why, PATTERN_ERROR_LEN);
	pattern_free(pattern);
	return NULL;
}

void
pattern_free(struct pattern *pattern)
{
	if (pattern == NULL)
		return;
	pcre2_match_context_free(pattern->context);
	pcre2_match_data_free(pattern->data);
	pcre2_code_free(pattern->code);
	free(pattern);
}

int
pattern_match(struct pattern *pattern, const char *line, size_t len)
{
	return pcre2_match(pattern->code, (PCRE2_SPTR)line, len, 0, 0,
		   pattern->data, pattern->context) > 0;
}

unsigned
pattern_groups(const struct pattern *pattern)
{
	uint32_t count = 0;

	(void)pcre2_pattern_info(
	    pattern->code, PCRE2_INFO_CAPTURECOUNT, &count);
	return count;
}

bool
pattern_group(
    const struct pattern *pattern, unsigned group, size_t *begin, size_t *len)
{
	const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(pattern->data);

	if (group >= pcre2_get_ovector_count(pattern->data) ||
	    offsets[2 * group] == PCRE2_UNSET ||
	    offsets[2 * group + 1] < offsets[2 * group])
		return false;
	*begin = offsets[2 * group];
	*len = offsets[2 * group + 1] - offsets[2 * group];
	return true;
}

int
pattern_names(const struct pattern *pattern,
    int (*each)(void *arg, const char *name, unsigned group), void *arg)
{
	PCRE2_SPTR table = NULL;
	uint32_t count = 0, size = 0, i;
	int result = 0;

	(void)pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMECOUNT, &count);
	(void)pcre2_pattern_info(
	    pattern->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	(void)pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMETABLE, &table);
	/* An entry is the group's number in two bytes and its name. */
	for (i = 0; i < count && table != NULL && result >= 0;
	     i++, table += size)
		result = each(arg, (const char *)table + 2,
		    (unsigned)table[0] << 8 | table[1]);
	return result;
}
