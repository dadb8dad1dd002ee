# For the screen tests: a fake daemon, and the board in a terminal of its own
# (a tmux server on a private socket). Sourced by bash.
# shellcheck shell=bash

# shellcheck disable=SC2034 # for the tests
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../system/fake.sh
. "$HERE/../system/fake.sh"

# A server that ends takes its socket with it: each board has a new one.
tmux_number=0
tmux_stop() {
	tmux -S "$folder/tmux.$tmux_number" kill-server 2>/dev/null
	tmux_number=$((tmux_number + 1))
}

terminal() {
	env LC_ALL=C.UTF-8 tmux -u -S "$folder/tmux.$tmux_number" \
	    -f /dev/null "$@" 7>&-
}

cleanup() {
	tmux_stop
	fake_cleanup
}
trap cleanup EXIT

# board COLUMNS ROWS [NAME=VALUE...] [-- ARGUMENT...]: starts the board.
board() {
	local columns=$1 rows=$2
	local -a environment=(TERM=tmux-256color LC_ALL=C.UTF-8)
	local -a arguments=()

	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		environment+=("$1")
		shift
	done
	[ $# -gt 0 ] && shift
	arguments=("$@")
	tmux_stop
	terminal new-session -d -x "$columns" -y "$rows" \
	    env -u NO_COLOR "${environment[@]}" bash -c '"$@"; echo "exit status $?"; exec cat' board \
	    "$STATION" --socket "$socket" dash ${arguments[@]+"${arguments[@]}"}
	terminal set-option -g status off
	terminal resize-window -x "$columns" -y "$rows"
}

keys() {
	terminal send-keys "$@"
}

capture() {
	terminal capture-pane -p
}

# With the escapes of attributes.
capture_colours() {
	terminal capture-pane -p -e
}

shows() {
	capture | grep -qF -- "$1"
}

lacks() {
	! shows "$1"
}

# expect TEXT: it appears; expect_not TEXT: it disappears.
expect() {
	wait_for "'$1' on the screen" shows "$1" || capture >&2
}

expect_not() {
	wait_for "'$1' to leave the screen" lacks "$1" || capture >&2
}
