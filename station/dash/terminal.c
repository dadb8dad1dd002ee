#include "dash/terminal.h"

#include <curses.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"

enum {
	ESCAPE_MS = 25
};

static SCREEN *screen;

/* What a handler of a fatal signal needs; it may not call curses. */
static struct termios terminal_before;
static char leave[128]; /* the terminal's own words to leave the board */
static volatile sig_atomic_t leave_len;

static void
fatal_handler(int number)
{
	ssize_t ignored;

	(void)number;
	if (leave_len > 0) {
		ignored = write(STDOUT_FILENO, leave, (size_t)leave_len);
		(void)ignored;
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
	}
	/* SA_RESETHAND: the fault repeats and does what it always does. */
}

static void
fatal_signals_catch(void)
{
	static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	struct sigaction action = {.sa_handler = fatal_handler};

	action.sa_flags = (int)SA_RESETHAND;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

/* End attributes, show the cursor, leave the alternate screen and keypad. */
static void
leave_prepare(void)
{
	char *const words[] = {
	    exit_attribute_mode, cursor_normal, exit_ca_mode, keypad_local};

	size_t len = 0;

	leave[0] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i] != NULL &&
		    text_copy(leave + len, sizeof(leave) - len, words[i]) == 0)
			len += strlen(words[i]);
	leave_len = (sig_atomic_t)len;
}

static int
signals_open(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	sigaddset(&signals, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) == -1)
		return -1;
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int
terminal_fail(
    struct control_failure *failure, const char *text, const char *action)
{
	memset(failure, 0, sizeof(*failure));
	failure->exit_status = EX_UNAVAILABLE;
	snprintf(failure->text, sizeof(failure->text), "%s", text);
	snprintf(failure->action, sizeof(failure->action), "%s", action);
	return -1;
}

int
terminal_open(struct theme *theme, bool colour, int *signal_fd,
    struct control_failure *failure)
{
	bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;

	if (tcgetattr(STDIN_FILENO, &terminal_before) == -1)
		return terminal_fail(failure, "standard input is no terminal",
		    "use 'station status' without one");
	*signal_fd = signals_open();
	if (*signal_fd == -1)
		return terminal_fail(
		    failure, "signals cannot be received", "try again");
	/* initscr(3) would end the process for an unknown terminal. */
	screen = newterm(NULL, stdout, stdin);
	if (screen == NULL)
		return terminal_fail(failure,
		    "this terminal's type is not known",
		    "set TERM, for example to xterm-256color");
	leave_prepare();
	fatal_signals_catch();
	cbreak();
	noecho();
	nonl();
	set_escdelay(ESCAPE_MS);
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	theme_open(theme, colour, utf8);
	return 0;
}

void
terminal_close(void)
{
	if (screen == NULL)
		return;
	leave_len = 0;
	endwin();
	delscreen(screen);
	screen = NULL;
}

void
terminal_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 &&
	    size.ws_col > 0)
		resizeterm(size.ws_row, size.ws_col);
}
