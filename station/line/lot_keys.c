/*
 * The keys that an open lot needs, given one after the other to the roles
 * that keep them, and the private pair of vault and cloud. The line names
 * files and passes one end of the pair on; it sees no key.
 */
#include "line/line.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "lot/plan.h"

enum {
	JOIN_RETRY_MS = 1000
};

#define KEY_BIT(kind) (UINT32_C(1) << (kind))

static uint32_t
keys_needed(const struct lot_image *image)
{
	uint32_t kinds = 0;

	if (image->pattern == PATTERN_CLAIM && image->claim_key_path[0] != '\0')
		kinds |= KEY_BIT(KEY_CLAIM);
	if (plan_signs(image))
		kinds |= KEY_BIT(KEY_CA);
	if (image->wifi_password_path[0] != '\0')
		kinds |= KEY_BIT(KEY_WIFI);
	return kinds;
}

enum role
lot_signer(const struct lot_image *image)
{
	return strncmp(image->ca.key, "pkcs11:", 7) == 0 ? ROLE_HSM
							 : ROLE_VAULT;
}

static enum role
key_keeper(const struct lot_image *image, enum key_kind kind)
{
	return kind == KEY_CA ? lot_signer(image) : ROLE_VAULT;
}

/* The kinds that a role keeps of the lot. */
static uint32_t
keys_kept_by(const struct lot_image *image, enum role role)
{
	uint32_t needed = keys_needed(image), kept = 0;
	unsigned kind;

	for (kind = 0; kind < KEY_KIND_COUNT; kind++)
		if ((needed & KEY_BIT(kind)) != 0 &&
		    key_keeper(image, (enum key_kind)kind) == role)
			kept |= KEY_BIT(kind);
	return kept;
}

/* The cloud role proves a key of such a lot, or deposits one. */
static bool
lot_needs_join(const struct lot_image *image)
{
	return plan_is_proxy(image) || image->pattern == PATTERN_TRUSTED_USER;
}

bool
lot_role_ready(const struct open_lot *lot, enum role role)
{
	switch (role) {
	case ROLE_CLOUD:
		return lot->cloud_ready &&
		       (lot->line->join.done || !lot_needs_join(lot->image));
	case ROLE_VAULT:
	case ROLE_HSM:
		return (keys_kept_by(lot->image, role) & ~lot->keys_ready) == 0;
	default:
		return true;
	}
}

/* ---- keys ---- */

static void
key_done(void *arg, struct message *answer)
{
	struct open_lot *lot = arg;
	enum role keeper =
	    key_keeper(lot->image, (enum key_kind)lot->key_asked);
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE) {
		lot_keys_end(lot, keeper, &fault);
		return;
	}
	lot->keys_ready |= KEY_BIT(lot->key_asked);
	calls_flush(lot->line, keeper);
	lot_keys_send(lot);
}

static void
key_send(struct open_lot *lot, enum key_kind kind)
{
	const struct lot_image *image = lot->image;
	struct message_open_key key;
	const char *path = image->wifi_password_path, *secret_path = "",
		   *certificate = "";

	memset(&key, 0, sizeof(key));
	if (kind == KEY_CLAIM) {
		path = image->claim_key_path;
		certificate = image->claim_certificate;
		key.proves = plan_is_proxy(image);
	} else if (kind == KEY_CA) {
		path = image->ca.key;
		secret_path = image->ca.secret_path;
		certificate = image->ca.certificate;
	}
	key.lot = lot->index;
	key.kind = kind;
	text_copy(key.path, sizeof(key.path), path);
	text_copy(key.secret_path, sizeof(key.secret_path), secret_path);
	text_copy(key.certificate, sizeof(key.certificate), certificate);
	lot->key_asked = kind;
	line_call(lot->line, ROLE_PARENT, MESSAGE_OPEN_KEY, 0, 0, &key,
	    sizeof(key), NULL, 0, key_done, lot);
}

void
lot_keys_send(struct open_lot *lot)
{
	uint32_t missing = keys_needed(lot->image) & ~lot->keys_ready;
	struct fault none;
	unsigned kind;

	if (call_is_open(lot->line, MESSAGE_OPEN_KEY, lot))
		return; /* its answer goes on from there */
	for (kind = 0; kind < KEY_KIND_COUNT; kind++)
		if ((missing & KEY_BIT(kind)) != 0) {
			key_send(lot, (enum key_kind)kind);
			return;
		}
	fault_clear(&none);
	lot_keys_end(lot, ROLE_VAULT, &none);
}

void
lot_keys_lost(struct open_lot *lot, enum role role)
{
	lot->keys_ready &= ~keys_kept_by(lot->image, role);
}

void
lot_keys_forget(struct open_lot *lot)
{
	struct message_keys_forget forget = {.lot = lot->index};

	calls_withdraw(lot->line, MESSAGE_OPEN_KEY, lot);
	peer_tell(lot->line, ROLE_PARENT, MESSAGE_KEYS_FORGET, &forget,
	    sizeof(forget));
}

/* ---- the pair of vault and cloud ---- */

static void
join_due(void *arg)
{
	line_join(((struct join *)arg)->line);
}

static void
join_try_later(struct join *join)
{
	if (join->timer == NULL)
		join->timer = loop_timer(join->line->loop, join_due, join);
	if (join->timer != NULL)
		loop_timer_set(join->timer, clock_deadline(JOIN_RETRY_MS));
}

static void
join_done(void *arg, struct message *answer)
{
	struct message_header header = {
	    .version = MESSAGE_VERSION, .type = MESSAGE_CLOUD_VAULT};
	struct join *join = arg;
	struct peer *cloud = &join->line->peers[ROLE_CLOUD];
	struct fault fault;

	call_fault(answer, &fault);
	if (fault.cause != CAUSE_NONE || answer->fd_count != 1 || !cloud->up ||
	    channel_send(&cloud->channel, &header, NULL, 0, answer->fds, 1) ==
		-1) {
		join_try_later(join);
		return;
	}
	loop_watch_events(cloud->watch, channel_events(&cloud->channel));
	join->done = true;
	calls_flush(join->line, ROLE_CLOUD);
}

void
line_join(struct line *line)
{
	struct join *join = &line->join;

	join->line = line;
	join->done = false;
	/* A pair that is on its way may be of a process that has ended. */
	calls_withdraw(line, MESSAGE_JOIN, join);
	if (join->timer != NULL)
		loop_timer_set(join->timer, 0);
	if (line->peers[ROLE_VAULT].up && line->peers[ROLE_CLOUD].up)
		line_call(line, ROLE_PARENT, MESSAGE_JOIN, 0, 0, NULL, 0, NULL,
		    0, join_done, join);
}
