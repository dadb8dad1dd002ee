#include "cloud/fleet_token.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/message.h"
#include "pki/key.h"

enum {
	/* Each slot may have one, and one more for each unit that was taken
	 * out before its activation. */
	TOKENS_MAX = 4 * SLOTS_MAX
};

struct fleet_tokens {
	struct {
		char certificate_id[CERTIFICATE_ID_LEN]; /* empty: free */
		int64_t end_ms;
		struct secret token;
	} rows[TOKENS_MAX];
};

static void
row_free(struct fleet_tokens *tokens, size_t i)
{
	secret_free(&tokens->rows[i].token);
	tokens->rows[i].certificate_id[0] = '\0';
	tokens->rows[i].end_ms = 0;
}

static size_t
row_find(const struct fleet_tokens *tokens, const char *certificate_id)
{
	size_t i = 0;

	while (i < TOKENS_MAX &&
	       strcmp(tokens->rows[i].certificate_id, certificate_id) != 0)
		i++;
	return i;
}

/* The one of that certificate, or the one that ends first: 0 is free. */
static size_t
row_choose(const struct fleet_tokens *tokens, const char *certificate_id)
{
	size_t i = row_find(tokens, certificate_id), first = 0;

	if (i < TOKENS_MAX)
		return i;
	for (i = 1; i < TOKENS_MAX; i++)
		if (tokens->rows[i].end_ms < tokens->rows[first].end_ms)
			first = i;
	return first;
}

int
fleet_token_keep(struct fleet_tokens **tokens, const char *certificate_id,
    const char *token, int64_t end_ms, struct fault *fault)
{
	size_t i, len = strlen(token);

	if (*tokens == NULL)
		*tokens = calloc(1, sizeof(**tokens));
	if (*tokens == NULL)
		return fault_set(fault, CAUSE_INTERNAL, "out of memory");
	i = row_choose(*tokens, certificate_id);
	row_free(*tokens, i);
	if (secret_alloc(&(*tokens)->rows[i].token, len + 1, fault) == -1 ||
	    text_copy((*tokens)->rows[i].certificate_id, CERTIFICATE_ID_LEN,
		certificate_id) == -1) {
		row_free(*tokens, i);
		fault->cause = CAUSE_INTERNAL;
		return -1;
	}
	memcpy((*tokens)->rows[i].token.data, token, len);
	(*tokens)->rows[i].end_ms = end_ms;
	return 0;
}

const char *
fleet_token_find(
    struct fleet_tokens *tokens, const char *certificate_id, int64_t now_ms)
{
	size_t i;

	if (tokens == NULL || certificate_id[0] == '\0')
		return NULL;
	i = row_find(tokens, certificate_id);
	if (i == TOKENS_MAX)
		return NULL;
	if (tokens->rows[i].end_ms > now_ms)
		return tokens->rows[i].token.data;
	row_free(tokens, i);
	return NULL;
}

void
fleet_token_drop(struct fleet_tokens *tokens, const char *certificate_id)
{
	size_t i;

	if (tokens == NULL || certificate_id[0] == '\0')
		return;
	i = row_find(tokens, certificate_id);
	if (i < TOKENS_MAX)
		row_free(tokens, i);
}

void
fleet_tokens_free(struct fleet_tokens *tokens)
{
	if (tokens == NULL)
		return;
	for (size_t i = 0; i < TOKENS_MAX; i++)
		row_free(tokens, i);
	free(tokens);
}
