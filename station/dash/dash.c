#include "dash/dash.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>
#include <wctype.h>

#include "base/buf.h"
#include "base/clock.h"
#include "dash/board.h"
#include "dash/key.h"
#include "dash/screen.h"
#include "dash/terminal.h"

enum {
	AWAY_PAUSE_MS = 500,
	NOTICE_MS = 8000,
	SEND_MS = 500,
	TURN_MESSAGES_MAX = 64, /* before the keyboard has its turn */
};

struct dash {
	const struct dash_setup *setup;
	struct board board;
	struct control_client *client; /* null: away */
	struct control_failure failure;
	int signal_fd;
	int64_t retry_ms;      /* when to connect again */
	int64_t notice_end_ms; /* 0: there is none */
	json_int_t lot_id;     /* of the question whether it still is */
	bool seen_open;	       /* the lot of until_closed was open */
	bool dirty;
	bool done;
	bool refused; /* the daemon will never talk to this user */
};

static void
notice(struct dash *dash, const char *text, const char *action)
{
	snapshot_text(dash->board.notice, sizeof(dash->board.notice), text);
	if (action[0] != '\0') {
		size_t len = strlen(dash->board.notice);

		snprintf(dash->board.notice + len,
		    sizeof(dash->board.notice) - len, "; %.120s", action);
	}
	dash->notice_end_ms = clock_deadline(NOTICE_MS);
	dash->dirty = true;
}

/* ---- the daemon ---- */

static void
daemon_lost(struct dash *dash)
{
	control_client_free(dash->client);
	dash->client = NULL;
	dash->board.away = true;
	dash->board.theme.away = true;
	dash->retry_ms = clock_deadline(AWAY_PAUSE_MS);
	dash->dirty = true;
}

static json_int_t
daemon_send(struct dash *dash, const char *command, json_t *members)
{
	json_int_t id;

	if (dash->client == NULL) {
		json_decref(members);
		notice(dash, "the daemon is away", "");
		return -1;
	}
	id = control_send(dash->client, command, members, -1,
	    clock_deadline(SEND_MS), &dash->failure);
	if (id == -1 && dash->failure.lost)
		daemon_lost(dash);
	else if (id == -1)
		notice(dash, dash->failure.text, dash->failure.action);
	return id;
}

static void
daemon_connect(struct dash *dash)
{
	const char *closed = dash->setup->until_closed;
	json_t *members;

	dash->client = control_connect(dash->setup->socket, &dash->failure);
	if (dash->client == NULL) {
		daemon_lost(dash);
		if (!dash->failure.lost)
			dash->done = dash->refused = true;
		return;
	}
	members = json_pack("{s:b}", "snapshots", 1);
	/* The lot's end comes as an event; its verdicts come along. */
	if (closed != NULL)
		json_object_update_new(members,
		    json_pack("{s:b,s:s}", "verdicts", 1, "lot", closed));
	daemon_send(dash, "subscribe", members);
}

/*
 * The lot that the board waits for was open and is not on it: closed, or not
 * loaded yet by a daemon that has just started. The ledger knows.
 */
static void
lot_watch(struct dash *dash)
{
	const char *name = dash->setup->until_closed;
	const struct snapshot_lot *lot;

	if (name == NULL)
		return;
	lot = snapshot_lot_find(&dash->board.snapshot, name);
	if (lot != NULL && lot->open)
		dash->seen_open = true;
	else if (dash->seen_open && dash->client != NULL)
		dash->lot_id = daemon_send(
		    dash, "lot-show", json_pack("{s:s}", "lot", name));
}

static void
reply_take(struct dash *dash, const json_t *reply)
{
	bool of_lot = dash->lot_id > 0 && json_integer_value(json_object_get(
					      reply, "id")) == dash->lot_id;
	struct snapshot_lot lot;

	if (json_is_true(json_object_get(reply, "ok"))) {
		if (of_lot &&
		    snapshot_read_lot(json_object_get(reply, "lot"), &lot) ==
			0 &&
		    !lot.open)
			dash->done = true;
		return;
	}
	if (of_lot)
		return; /* the ledger is not ready: a later snapshot asks */
	control_failure_read(&dash->failure, reply);
	notice(dash, dash->failure.text, dash->failure.action);
}

static void
message_take(struct dash *dash, const struct control_message *message)
{
	const json_t *json = message->json;

	if (control_message_is(message, "snapshot")) {
		if (snapshot_read(json_object_get(json, "snapshot"),
			&dash->board.snapshot) == -1)
			return;
		dash->board.known = true;
		dash->board.away = false;
		dash->board.theme.away = false;
		board_arrange(&dash->board);
		lot_watch(dash);
		dash->dirty = true;
	} else if (control_message_is(message, "lot")) {
		const char *what =
		    json_string_value(json_object_get(json, "what"));

		/* Only that lot's events were asked for. */
		if (text_equal(what, "closed"))
			dash->done = true;
	} else if (json_object_get(json, "event") == NULL) {
		reply_take(dash, json);
	}
}

static void
daemon_read(struct dash *dash)
{
	for (int i = 0; i < TURN_MESSAGES_MAX && dash->client != NULL; i++) {
		struct control_message message = {NULL, NULL};
		int rc =
		    control_next(dash->client, 0, &message, &dash->failure);

		if (rc == 0)
			return;
		if (rc == 1) {
			message_take(dash, &message);
			control_message_free(&message);
			continue;
		}
		/* A daemon of another version is away until it is replaced. */
		if (!dash->failure.lost)
			notice(dash, dash->failure.text, dash->failure.action);
		daemon_lost(dash);
	}
}

/* ---- the keyboard ---- */

static void
slot_acknowledge(struct dash *dash)
{
	const struct snapshot_slot *slot = board_slot(&dash->board);

	if (slot == NULL)
		return;
	if (slot->state != SLOT_STATE_DONE || slot->acknowledged ||
	    slot->verdict == VERDICT_PASS) {
		notice(
		    dash, "the selected slot has nothing to acknowledge", "");
		return;
	}
	daemon_send(
	    dash, "acknowledge", json_pack("{s:s}", "slot", slot->name));
}

static void
line_release_ask(struct dash *dash)
{
	if (!dash->board.snapshot.held)
		notice(dash, "the line is not held", "");
	else
		dash->board.mode = MODE_RELEASE;
}

static void
action_back(struct dash *dash)
{
	struct board *board = &dash->board;

	if (board->mode == MODE_BOARD)
		board->filter[0] = '\0';
	board->mode = MODE_BOARD;
	board->notice[0] = '\0';
	board_arrange(board);
}

static void
action_do(struct dash *dash, enum action action)
{
	struct board *board = &dash->board;

	switch (action) {
	case ACTION_HELP:
		board->mode = MODE_HELP;
		break;
	case ACTION_FILTER:
		board->mode = MODE_FILTER;
		break;
	case ACTION_DETAILS:
		board->mode = MODE_DETAILS;
		break;
	case ACTION_BACK:
		action_back(dash);
		break;
	case ACTION_ACKNOWLEDGE:
		slot_acknowledge(dash);
		break;
	case ACTION_RELEASE:
		line_release_ask(dash);
		break;
	case ACTION_NEXT_LOT:
		board_next_lot(board);
		break;
	case ACTION_LEFT:
		board_move(board, -1);
		break;
	case ACTION_RIGHT:
		board_move(board, 1);
		break;
	case ACTION_UP:
		board_move(board, -board->grid.columns);
		break;
	case ACTION_DOWN:
		board_move(board, board->grid.columns);
		break;
	case ACTION_PAGE_UP:
		board_move(board, -(int)board_page_size(board));
		break;
	case ACTION_PAGE_DOWN:
		board_move(board, (int)board_page_size(board));
		break;
	case ACTION_REDRAW:
		clearok(curscr, TRUE);
		break;
	case ACTION_QUIT:
		dash->done = true;
		break;
	default:
		break;
	}
}

/* Takes the last character away, all bytes of it. */
static void
filter_shorten(char *filter)
{
	size_t len = strlen(filter);

	while (len > 0 && ((unsigned char)filter[len - 1] & 0xc0) == 0x80)
		len--;
	if (len > 0)
		len--;
	filter[len] = '\0';
}

static void
filter_key(struct board *board, int code)
{
	size_t len = strlen(board->filter);

	switch (key_action(code)) {
	case ACTION_BACK:
		board->filter[0] = '\0';
		board->mode = MODE_BOARD;
		break;
	case ACTION_DETAILS: /* Enter */
		board->mode = MODE_BOARD;
		break;
	default:
		if (code == -KEY_BACKSPACE || code == 127 || code == '\b')
			filter_shorten(board->filter);
		else if (code >= 0x20 && code < 0x7f &&
			 len + 1 < sizeof(board->filter)) {
			board->filter[len] = (char)code;
			board->filter[len + 1] = '\0';
		}
		break;
	}
	board_arrange(board);
}

/* Asked twice; anything but y is no. */
static void
release_key(struct dash *dash, int code)
{
	struct board *board = &dash->board;

	if (code != 'y' && code != 'Y') {
		board->mode = MODE_BOARD;
	} else if (board->mode == MODE_RELEASE) {
		board->mode = MODE_RELEASE_AGAIN;
	} else {
		board->mode = MODE_BOARD;
		daemon_send(dash, "release", NULL);
	}
}

static void
key_take(struct dash *dash, int code)
{
	struct board *board = &dash->board;

	if (code == -KEY_RESIZE)
		return; /* the signal has done it */
	dash->dirty = true;
	switch (board->mode) {
	case MODE_FILTER:
		filter_key(board, code);
		break;
	case MODE_RELEASE:
	case MODE_RELEASE_AGAIN:
		release_key(dash, code);
		break;
	default:
		action_do(dash, key_action(code));
		break;
	}
}

static void
keyboard_read(struct dash *dash)
{
	wint_t wide = 0;
	int kind;

	while (!dash->done && (kind = get_wch(&wide)) != ERR)
		key_take(dash, kind == KEY_CODE_YES ? -(int)wide : (int)wide);
}

/* ---- signals ---- */

static void
signal_read(struct dash *dash)
{
	struct signalfd_siginfo signal;

	while (
	    read(dash->signal_fd, &signal, sizeof(signal)) == sizeof(signal)) {
		if (signal.ssi_signo != SIGWINCH) {
			dash->done = true;
			continue;
		}
		terminal_resize();
		screen_layout(&dash->board, LINES, COLS);
		dash->dirty = true;
	}
}

/* ---- the loop ---- */

static int
turn_timeout_ms(const struct dash *dash)
{
	int64_t end_ms = 0;

	if (dash->client == NULL)
		end_ms = dash->retry_ms;
	if (dash->notice_end_ms != 0 &&
	    (end_ms == 0 || dash->notice_end_ms < end_ms))
		end_ms = dash->notice_end_ms;
	return end_ms == 0 ? -1 : clock_remaining_ms(end_ms);
}

static void
times_check(struct dash *dash)
{
	int64_t now_ms = clock_monotonic_ms();

	if (dash->client == NULL && now_ms >= dash->retry_ms)
		daemon_connect(dash);
	if (dash->notice_end_ms != 0 && now_ms >= dash->notice_end_ms) {
		dash->board.notice[0] = '\0';
		dash->notice_end_ms = 0;
		dash->dirty = true;
	}
}

static void
dash_turn(struct dash *dash)
{
	struct pollfd fds[] = {
	    {.fd = STDIN_FILENO, .events = POLLIN},
	    {.fd = dash->signal_fd, .events = POLLIN},
	    {.fd = -1, .events = POLLIN},
	};

	if (dash->client != NULL)
		fds[2].fd = control_client_fd(dash->client);
	if (poll(fds, 3, turn_timeout_ms(dash)) == -1 && errno != EINTR) {
		dash->done = true;
		return;
	}
	if (fds[1].revents != 0)
		signal_read(dash);
	if ((fds[0].revents & POLLIN) != 0)
		keyboard_read(dash);
	else if (fds[0].revents != 0)
		dash->done = true; /* the terminal is gone */
	if (fds[2].revents != 0)
		daemon_read(dash);
	times_check(dash);
}

static int
dash_loop(struct dash *dash)
{
	screen_layout(&dash->board, LINES, COLS);
	daemon_connect(dash);
	dash->dirty = true;
	while (!dash->done) {
		if (dash->dirty)
			screen_draw(&dash->board);
		dash->dirty = false;
		dash_turn(dash);
	}
	return dash->refused ? -1 : 0;
}

int
dash_run(const struct dash_setup *setup, struct control_failure *failure)
{
	struct dash *dash = calloc(1, sizeof(*dash));
	int rc = -1;

	if (dash == NULL) {
		memset(failure, 0, sizeof(*failure));
		failure->exit_status = EX_OSERR;
		text_copy(
		    failure->text, sizeof(failure->text), "out of memory");
		return -1;
	}
	dash->setup = setup;
	dash->signal_fd = -1;
	dash->board.socket = setup->socket;
	text_copy(dash->board.lot, sizeof(dash->board.lot),
	    setup->lot == NULL ? "" : setup->lot);
	if (terminal_open(&dash->board.theme, setup->colour, &dash->signal_fd,
		failure) == -1)
		goto out;
	rc = dash_loop(dash);
	if (rc == -1)
		*failure = dash->failure;
out:
	screen_free();
	terminal_close();
	control_client_free(dash->client);
	if (dash->signal_fd != -1)
		close(dash->signal_fd);
	free(dash);
	return rc;
}
