# For tests of the clients: a temporary folder with a fake daemon
# (fake_daemon.c) and small helpers. Sourced by bash.
# shellcheck shell=bash

set -u
BUILD=${BUILD:-build}
FAKE=$(realpath "$BUILD/tools/system/fake_daemon")
# shellcheck disable=SC2034 # for the tests
STATION=$(realpath "$BUILD/bin/station")
DEADLINE_S=20

folder=$(mktemp -d "${TMPDIR:-/tmp}/station-test.XXXXXX")
socket=$folder/control.sock
fake_pid=
failures=0

fake_cleanup() {
	exec 7>&-
	[ -z "$fake_pid" ] || kill "$fake_pid" 2>/dev/null
	rm -rf "$folder"
}
trap fake_cleanup EXIT

fail() {
	echo "FAIL: $*" >&2
	failures=$((failures + 1))
}

# wait_for WHAT COMMAND...: until the command succeeds.
wait_for() {
	local what=$1
	local end=$((SECONDS + DEADLINE_S))

	shift
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			fail "waited in vain for $what"
			return 1
		fi
		sleep 0.05
	done
}

# Starts the fake daemon; `tell` writes to it, $folder/said has its output.
fake_start() {
	rm -f "$folder/tell"
	mkfifo "$folder/tell"
	: >"$folder/said"
	"$FAKE" "$socket" <"$folder/tell" >>"$folder/said" &
	fake_pid=$!
	exec 7>"$folder/tell"
	wait_for 'the fake daemon' grep -q ready "$folder/said"
}

# What a test starts in the background must not hold descriptor 7.
fake_stop() {
	exec 7>&-
	wait "$fake_pid"
	fake_pid=
}

tell() {
	printf '%s\n' "$1" >&7
}

said() {
	grep -qxF -- "$1" "$folder/said"
}

# check FUNCTION: one test; prints its result.
check() {
	local before=$failures

	"$1"
	if [ "$failures" -eq "$before" ]; then
		echo "ok - $1"
	else
		echo "not ok - $1"
	fi
}

finish() {
	[ "$failures" -eq 0 ]
	exit
}
