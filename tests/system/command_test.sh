#!/bin/bash
# The station command against the real server half of the control protocol:
# exit statuses, what goes to which output, and what a batch promises.
# shellcheck source-path=SCRIPTDIR source=fake.sh
. "$(dirname "${BASH_SOURCE[0]}")/fake.sh"

out=$folder/out
err=$folder/err
batch_pid=

# run STATUS ARGUMENT...: the command ends with that status.
run() {
	local want=$1 got

	shift
	"$STATION" --socket "$socket" "$@" >"$out" 2>"$err" 7>&-
	got=$?
	[ "$got" -eq "$want" ] ||
	    fail "station $*: exit status $got, not $want: $(cat "$err")"
}

out_has() {
	grep -qF -- "$1" "$out" || fail "no '$1' on standard output: $(cat "$out")"
}

err_has() {
	grep -qF -- "$1" "$err" || fail "no '$1' on standard error: $(cat "$err")"
}

# lot PASSED FAILED MISSING ATTEMPTS [STATE]: a lot object of four units.
lot() {
	printf '{"lot":"demo","state":"%s","quantity":4,"rows":4,"passed":%d' \
	    "${5:-open}" "$1"
	printf ',"failed":%d,"staged":0,"quarantined":0,"scrapped":0' "$2"
	printf ',"in_progress":0,"missing":%d,"attempts":%d,"refused":0}' \
	    "$3" "$4"
}

verdict() {
	printf '{"lot":"demo","slot":"1","attempt":%d,"serial":"%s"' "$1" "$2"
	printf ',"verdict":"%s","seconds":1.25,"cause":"%s","step":"verdict"}' \
	    "$3" "${4:-none}"
}

# judge ATTEMPT SERIAL VERDICT LOT: a verdict and what the board then shows.
judge() {
	tell "{\"lots\":[$4]}"
	tell "{\"verdict\":$(verdict "$1" "$2" "$3")}"
}

batch_start() {
	: >"$folder/said"
	: >"$out"
	: >"$err"
	"$STATION" --socket "$socket" batch demo "$@" >"$out" 2>"$err" 7>&- &
	batch_pid=$!
}

# batch_end STATUS ENDED: it ends so, and says so.
batch_end() {
	local got

	wait "$batch_pid"
	got=$?
	[ "$got" -eq "$1" ] ||
	    fail "batch: exit status $got, not $1: $(cat "$err")"
	tail -n 1 "$out" | jq -e --arg ended "$2" --argjson exit "$1" \
	    '.event == "summary" and .ended == $ended and .exit == $exit and
	    .unseen == 0 and .lot == "demo"' >/dev/null ||
	    fail "the summary is not of $2, $1: $(tail -n 1 "$out")"
}

# attempts_are LIST: verdicts on standard output, in this order.
attempts_are() {
	local got

	got=$(jq -r 'select(.event == "verdict") | .attempt' "$out" |
	    paste -sd ' ')
	[ "$got" = "$1" ] || fail "attempts '$got', not '$1'"
}

lines_are() {
	[ "$(wc -l <"$out")" -ge "$1" ]
}

# The batch has subscribed and opened its lot.
begun() {
	said '{"command":"lot-open","lot":"demo","operator":"ann"}'
}

columns=lot,serial,mac,attempt,slot,station,operator,start,end
columns+=,firmware_version,firmware_sha256,pattern,thing,certificate_id
columns+=,csr_key_sha256,cloud_state,verdict,failure_class,cause,action

# row ATTEMPT SERIAL VERDICT
row() {
	printf 'demo,%s,,%s,1,s,ann,2026-11-20T21:00:00.000Z' "$2" "$1"
	printf ',2026-11-20T21:00:01.500Z,1.0,,csr,,,,,%s,,none,\\r\\n' "$3"
}

test_usage() {
	run 0 --help
	out_has 'unit quarantine SERIAL'
	run 0 lot --help
	out_has 'lot open LOT'
	run 0 unit scrap --help
	out_has '--reason TEXT'
	out_has '(required)'
	run 0 --version
	out_has 'station '
	run 64
	err_has "station: a command is missing; see 'station --help'"
	run 64 fly
	err_has "station: there is no command 'fly'; see 'station --help'"
	run 64 lot
	run 64 lot fly
	run 64 lot open
	err_has "LOT is missing; see 'station lot open --help'"
	run 64 lot open a b
	run 64 status --frobnicate
	err_has 'there is no option --frobnicate here'
	run 64 status -x
	err_has 'there is no option -x here'
	run 64 batch demo --units many
	err_has "--units wants a whole number from 1 to 1000000000, not 'many'"
	run 64 batch demo --idle
	err_has '--idle wants a value'
	run 64 unit scrap --lot demo SN-1
	err_has '--reason is missing'
	run 64 dash
	err_has 'the board needs a terminal'
}

test_no_daemon() {
	run 69 status
	err_has "station: no station daemon answers at $socket; start it"
	run 69 batch demo
	STATION_SOCKET=$folder/elsewhere "$STATION" status 2>"$err"
	err_has "$folder/elsewhere"
}

test_requests() {
	tell "{\"lots\":[$(lot 2 1 1 3 open)],\"report\":\"a,b\\r\\n\"}"
	tell '{"snapshot":{"station":"s","ledger":"up"}}'
	run 0 status
	out_has 'lot              demo (open)'
	run 0 status --json
	jq -e '.station == "s" and .lots[0].passed == 2' "$out" >/dev/null ||
	    fail 'status --json'
	run 0 lot show demo
	out_has '4 rows = 2 passed + 1 failed + 0 staged'
	run 66 lot show other
	err_has "station: there is no such lot; Look at 'station lot list'."
	run 0 lot list --json
	run 0 unit scrap --lot demo --reason broken --operator ann SN-1
	said "{\"command\":\"dispose\",\"kind\":\"scrap\",\"lot\":\"demo\",$(
	)\"operator\":\"ann\",\"reason\":\"broken\",\"serial\":\"SN-1\"}" ||
	    fail 'dispose'
	run 0 hold 'coffee break'
	run 0 release
	run 0 acknowledge 3
	run 0 unit abort 3
	tell '{"refuse":"release","exit":77}'
	run 77 release
	err_has 'station: the test refuses; Do something else.'
}

test_report() {
	run 0 report demo
	out_has 'a,b'
	err_has '4 rows = 2 passed + 1 failed + 0 staged + 0 quarantined'
	run 0 report demo -o "$folder/report.csv"
	[ "$(cat "$folder/report.csv")" = "$(printf 'a,b\r')" ] ||
	    fail 'the report file'
	run 74 report demo --ledger "$folder/none" -o "$folder/none.csv"
	run 73 report demo -o "$folder/none/report.csv"
	run 66 report other -o "$folder/other.csv"
	[ -z "$(find "$folder" -name '*.csv*' ! -name report.csv)" ] ||
	    fail 'a failed report leaves a file'
}

test_make() {
	"$STATION" --socket "$socket" unit make --lot demo --slot 1 SN-9 \
	    --json >"$out" 2>"$err" 7>&- &
	wait_for 'make' grep -q '"command":"make"' "$folder/said"
	tell "{\"verdict\":$(verdict 7 SN-1 PASS)}"
	tell "{\"verdict\":$(verdict 101 SN-9 FAIL no-answer)}"
	wait $!
	[ $? -eq 1 ] || fail 'make of a failed unit'
	attempts_are 101
}

test_batch_complete() {
	tell "{\"lots\":[$(lot 0 0 4 0 closed)]}"
	STATION_OPERATOR=ann batch_start
	wait_for 'lot-open' begun
	judge 1 SN-1 PASS "$(lot 1 0 3 1)"
	judge 2 SN-2 FAIL "$(lot 1 1 2 2)"
	judge 3 SN-3 PASS "$(lot 2 1 1 3)"
	judge 4 SN-2 PASS "$(lot 3 0 1 4)"
	judge 5 SN-4 PASS "$(lot 4 0 0 5)"
	# SN-2 passed in the end: all passed.
	batch_end 0 complete
	attempts_are '1 2 3 4 5'
	head -n 1 "$out" | grep -qxF \
	    "{\"v\":1,\"event\":\"verdict\",$(verdict 1 SN-1 PASS |
	    cut -c 2-)" || fail "not the event itself: $(head -n 1 "$out")"
	said '{"command":"lot-close","lot":"demo","operator":"ann"}' ||
	    fail 'the batch did not close its lot'
	err_has 'PASS     slot 1  SN-4'
	err_has '4 rows = 4 passed'
}

test_batch_some_failed() {
	tell "{\"lots\":[$(lot 2 0 2 2 open)]}"
	tell "{\"report\":\"$columns\\r\\n$(row 1 SN-1 PASS)$(
	)$(row 2 SN-2 PASS)demo,SN-3,,,,,,,,,,,,,,,MISSING,,,\\r\\n\"}"
	STATION_OPERATOR=ann batch_start --units 3 --quiet
	wait_for 'lot-open' begun
	judge 3 SN-3 REFUSED "$(lot 2 0 2 3)"
	judge 4 SN-3 PASS "$(lot 3 0 1 4)"
	judge 5 SN-4 FAIL "$(lot 3 1 0 5)"
	batch_end 1 units
	attempts_are '3 4 5'
	[ ! -s "$err" ] || fail "not quiet: $(cat "$err")"
	! grep -q lot-close "$folder/said" ||
	    fail 'the batch closed a lot that it did not open'
}

test_batch_stopped() {
	tell "{\"lots\":[$(lot 0 0 4 0 open)]}"
	batch_start
	wait_for 'lot-open' grep -q lot-open "$folder/said"
	judge 1 SN-1 PASS "$(lot 1 0 3 1)"
	wait_for 'a verdict' lines_are 1
	kill -INT "$batch_pid"
	batch_end 2 interrupted

	tell "{\"lots\":[$(lot 0 0 4 0 open)]}"
	batch_start --idle 1
	batch_end 66 idle

	batch_start
	wait_for 'lot-open' grep -q lot-open "$folder/said"
	run 0 hold 'the alarm'
	batch_end 2 held
	run 0 release

	batch_start
	wait_for 'lot-open' grep -q lot-open "$folder/said"
	tell "{\"lots\":[$(lot 0 0 4 0 closed)],\"event\":\"lot\",$(
	)\"members\":{\"what\":\"closed\",\"lot\":$(lot 0 0 4 0 closed)}}"
	batch_end 2 closed
}

# The daemon restarts twice; verdicts 2 and 3 are committed while nobody
# listens, 3 is heard as well, and 1 was said before.
test_batch_restart() {
	tell "{\"lots\":[$(lot 0 0 4 0 open)]}"
	STATION_OPERATOR=ann batch_start
	wait_for 'lot-open' begun
	judge 1 SN-1 PASS "$(lot 1 0 3 1)"
	wait_for 'a verdict' lines_are 1
	fake_stop
	wait_for 'the batch to notice' grep -q 'is away' "$err"
	fake_start
	# Not ready at first: that passes.
	tell '{"refuse":"lot-show","exit":75}'
	tell "{\"lots\":[$(lot 3 0 1 3)],\"report\":\"$columns\\r\\n$(
	)$(row 1 SN-1 PASS)$(row 2 SN-2 PASS)$(row 3 SN-3 PASS)\"}"
	wait_for 'what was missed' lines_are 3
	tell "{\"verdict\":$(verdict 3 SN-3 PASS)}"
	judge 4 SN-4 PASS "$(lot 4 0 0 4)"
	batch_end 0 complete
	attempts_are '1 2 3 4'
	jq -se 'any(.attempt == 2 and .recovered and .seconds == 1.5 and
	    .serial == "SN-2" and .verdict == "PASS")' "$out" >/dev/null ||
	    fail "the recovered verdict: $(sed -n 2p "$out")"
	tail -n 1 "$out" | jq -e '.recovered == 2' >/dev/null ||
	    fail 'the number of recovered verdicts'
}

check test_usage
check test_no_daemon
fake_start
check test_requests
check test_report
check test_make
check test_batch_complete
check test_batch_some_failed
check test_batch_stopped
check test_batch_restart
finish
