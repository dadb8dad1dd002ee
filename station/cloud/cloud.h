/*
 * The cloud role's own state, shared by role.c (messages, start), lots.c
 * (lots and accounts) and task.c (requests at work).
 */
#ifndef CLOUD_CLOUD_H
#define CLOUD_CLOUD_H

#include "base/channel.h"
#include "base/loop.h"
#include "base/message.h"
#include "cloud/account.h"
#include "cloud/call.h"
#include "cloud/http.h"
#include "cloud/task.h"
#include "cloud/vault_pair.h"
#include "lot/config.h"
#include "pki/key.h"

enum {
	LOT_INDEXES_MAX = 64
};

struct cloud {
	const struct station_config *config;
	size_t config_len;
	struct loop *loop;
	struct http *http;
	struct caller caller;
	struct channel channel;
	struct loop_watch *watch;
	struct secret secret; /* holds environment */
	struct credentials_environment *environment;
	struct tools tools;
	struct credentials_base base;
	struct account accounts[CLOUDS_MAX];
	struct cloud_lot *lots[LOT_INDEXES_MAX];
	struct vault_pair vault;
	struct fleet_tokens *tokens; /* pattern_proxy.c's; or null */
	struct task *tasks;
	size_t task_count;
	struct loop_timer *state_timer;
	struct message_cloud_state state; /* as it was sent last */
	int64_t state_sent_ms;
	struct call probe; /* asks again while the cloud is down */
	struct loop_timer *probe_timer;
	bool probing; /* the timer is armed or the call is under way */
};

/* Sends or queues; ends the loop when the line takes nothing any more. */
void line_send(struct cloud *, const struct message_header *, const void *body,
    size_t len, const int *fds, size_t fd_count);

/*
 * The lot that came with a CLOUD_LOT message, with one user and its account
 * not proven yet; null with a fault.
 */
struct cloud_lot *
lot_open(struct cloud *, const struct message *, struct fault *);
/* Takes one user away and frees the lot behind the last; null is fine. */
void lot_drop(struct cloud_lot *);

/*
 * A task for a request, with room for an answer of that length, whose request
 * id stands at that offset (0: it has none); or null.
 */
struct task *task_new(struct cloud *, const struct message *, size_t answer_len,
    size_t request_id_at, struct cloud_lot *, struct fault *);
void task_free(struct task *);
/* True when that very request is at work. */
bool task_under_way(const struct cloud *, const struct message_header *);

#endif
