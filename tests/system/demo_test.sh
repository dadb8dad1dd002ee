#!/bin/bash
# scripts/demo as a user runs it: to its end, and interrupted in the middle by
# ^C and by SIGTERM.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
build=${BUILD:-build}
work=$(mktemp -d /tmp/station-test.XXXXXX)
failed=0
demo_pid=
# shellcheck source=tests/system/demo_tree.sh
. tests/system/demo_tree.sh

leave() {
	trap - EXIT
	[ -z "$demo_pid" ] || kill -9 "$demo_pid" 2>/dev/null
	tree_remove
	exit "$failed"
}
trap leave EXIT
trap 'failed=1; exit' INT TERM

# check NAME WHY COMMAND...
check() {
	local name=$1 why=$2
	shift 2
	if "$@"; then
		echo "ok - $name"
	else
		echo "not ok - $name: $why"
		failed=1
	fi
}
# within SECONDS COMMAND...: polls until the command succeeds.
within() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}
equal() { [ "$1" = "$2" ]; }
none_left() { [ -z "$(tree_processes)" ]; }
gone() { [ ! -e "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }

left_check() {
	local name=$1 folder
	folder=$(tree_sockets)
	check "$name: no process is left behind" \
	    "$(ps -o pid=,args= -p "$(tree_processes | paste -sd,)" 2>/dev/null |
		head -5)" within 2 none_left
	check "$name: no temporary folder is left behind" "$folder" \
	    gone "${folder:-/}"
	check "$name: the ledger and the logs are there" \
	    "$(ls "$tree/build/demo" 2>&1)" \
	    test -f "$tree/build/demo/state/ledger.sqlite" -a \
	    -f "$tree/build/demo/logs/stationd.log"
}

whole() {
	local out=$work/whole.out status
	(cd "$tree" && scripts/demo --no-dash --units 4 --slots 4) \
	    >"$out" 2>&1 </dev/null
	status=$?
	check "demo: ends with 0" "$status: $(tail -n 8 "$out")" \
	    equal "$status" 0
	check "demo: a line a verdict, all PASS" "$(cat "$out")" \
	    equal "$(grep -c '/4  slot .* PASS' "$out")" 4
	check "demo: the sum adds up" "$(cat "$out")" \
	    grep -q '4 rows = 4 passed' "$out"
	check "demo: it says where the report is" "$(cat "$out")" \
	    grep -q 'build/demo/report.csv' "$out"
	check "demo: the report has a row a unit" \
	    "$(cat "$tree/build/demo/report.csv" 2>&1)" \
	    equal "$(grep -c ',PASS,' "$tree/build/demo/report.csv")" 4
	left_check demo
}

# interrupt NAME SIGNAL TARGET: TARGET `group` is what ^C on a terminal does.
interrupt() {
	local name=$1 signal=$2 target=$3 out=$work/interrupt.out status
	rm -rf "$tree/build/demo"
	: >"$out"
	# What runs in the background ignores ^C unless it is told not to.
	(cd "$tree" && exec setsid env --default-signal=INT scripts/demo \
	    --no-dash --units 64 --slots 4) >"$out" 2>&1 </dev/null &
	demo_pid=$!
	check "$name: the lot is under way" "$(cat "$out")" \
	    within 30 grep -q '1/64  slot' "$out"
	if [ "$target" = group ]; then
		kill -s "$signal" -- "-$demo_pid" 2>/dev/null
	else
		kill -s "$signal" "$demo_pid" 2>/dev/null
	fi
	check "$name: it ends" "it still runs" within 15 ended "$demo_pid"
	ended "$demo_pid" || kill -9 "$demo_pid"
	wait "$demo_pid"
	status=$?
	demo_pid=
	check "$name: ends with 2" "$status: $(tail -n 5 "$out")" \
	    equal "$status" 2
	left_check "$name"
}

tree_copy
whole
interrupt "^C" INT group
interrupt SIGTERM TERM script
