#!/bin/bash
# The board in a real terminal (tmux), fed by the real server half of the
# control protocol: what stands where at which size, what keys do, and what
# happens when the daemon goes away.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# sixty_four: a snapshot with 64 slots in various states.
sixty_four() {
	local i state slots=

	for ((i = 1; i <= 64; i++)); do
		state='"state":"done","verdict":"PASS"'
		[ $((i % 7)) -ne 0 ] || state='"state":"busy","permille":500'
		[ $((i % 11)) -ne 0 ] || state='"state":"done","verdict":"FAIL"'
		slots+="{\"name\":\"$i\",\"serial\":\"SN-$i\",$state},"
	done
	printf '{"snapshot":{"station":"big","slots":[%s]}}' "${slots%,}"
}

# line NUMBER: that line of the screen, from 1.
line() {
	capture | sed -n "${1}p"
}

line_is() {
	[[ $(line "$1") == *"$2"* ]]
}

expect_line() {
	wait_for "'$2' on line $1" line_is "$1" "$2" || capture >&2
}

test_80x24() {
	board 80 24
	expect_line 1 'station-1  Plant A   ledger up  cloud up'
	expect_line 2 'demo  Smart Sensor'
	expect_line 2 '17/24 passed  2 failed  3 missing'
	expect_line 3 '412 units/h  takt 8.7 s, target 9.6 s  FPY 89.5 %'
	expect_line 3 "(units' first tries, 17/19)"
	expect_line 4 '1 ✔ PASS'
	expect_line 4 '2 ► BUSY 42%'
	expect_line 4 '3 ✘ FAIL'
	expect_line 5 'SN-000017           SN-000020           SN-000018'
	expect_line 6 'readback-mismatch'
	expect_line 7 'Try the unit once'
	expect_line 9 '5 ▲ ERROR           6 ⊘ REFUSED         7 ‖ HELD'
	expect_line 9 '8 · EMPTY'
	expect_line 14 'slot 3: Try the unit once more; if it repeats, reject it.'
	expect_line 15 'alarm quiet: 2 failures / 17 successes = 11.8 %'
	expect_line 16 'Pareto: one cause a failed unit'
	expect_line 17 'readback-mismatch    DEVICE'
	expect_line 20 'Log (UTC)'
	expect_line 21 '21:13:01 slot 1: PASS SN-000017'
	expect_line 22 'warning: slot 5: cloud-throttled'
	expect_line 23 'error: slot 4: no-answer'
	expect_line 24 'F1 ? help  / filter  Enter details  a acknowledge'
	expect_line 24 'F10 q quit'
}

test_120x40() {
	board 120 40
	expect_line 3 'FPY 89.5 %: first attempts of distinct units, 17/19'
	expect_line 5 '1 ✔ PASS'
	expect_line 40 'F10 q quit'
	expect 'lot demo opened by ann'
}

test_resize() {
	board 120 40
	expect_line 40 'F10 q quit'
	terminal resize-window -x 80 -y 24
	expect_line 24 'F10 q quit'
	expect_line 9 '8 · EMPTY'
	terminal resize-window -x 60 -y 12
	expect '60x12 is too small: the board wants 80x24'
	expect '1 ✔'
	terminal resize-window -x 9 -y 2
	wait_for 'a tiny board' line_is 2 '9x2 is'
	terminal resize-window -x 100 -y 30
	expect_line 30 'F10 q quit'
	expect '3 ✘ FAIL'
}

test_colours() {
	board 80 24
	expect 'PASS'
	# Okabe and Ito's bluish green and vermillion in 256 colours.
	capture_colours | grep -q '38;5;36m' || fail 'PASS is not green'
	capture_colours | grep -q '38;5;166m' || fail 'FAIL is not vermillion'
	board 80 24 TERM=screen
	expect 'PASS'
	capture_colours | grep -q '\[32m' || fail 'PASS is not green in 8 colours'
	capture_colours | grep -q '38;5;' && fail '256 colours on a terminal of 8'
	board 80 24 NO_COLOR=1
	expect 'PASS'
	capture_colours | grep -qE '\[(3[0-7]|38;5;[0-9]+)m' &&
	    fail 'colours in spite of NO_COLOR'
	board 80 24 TERM=vt100
	expect '3 ✘ FAIL'
}

test_ascii() {
	board 80 24 LC_ALL=C
	expect_line 4 '1 + PASS'
	expect_line 4 '3 X FAIL'
	capture | LC_ALL=C grep -q '[^ -~]' && fail 'not only ASCII'
	tell '{"slot":{"name":"1","serial":"Größe"}}'
	expect 'Gr??e'
	tell '{"slot":{"name":"1","serial":"SN-000017"}}'
}

test_hostile_text() {
	board 80 24
	tell '{"slot":{"name":"1","serial":"a\u001b[31mb\u009bc\u202ed"}}'
	expect 'a\x1b[31mb\x9bc'
	tell '{"slot":{"name":"1","serial":"日本語日本語日本語日本語"}}'
	# Two columns each, and never over the tile's edge.
	expect_line 5 '日本語日本語日本語  SN-000020'
	tell '{"slot":{"name":"1","serial":"SN-000017"}}'
}

test_keys() {
	board 80 24
	expect 'F10 q quit'
	keys F1
	expect 'Help: Esc goes back'
	expect 'release the held line; asks twice'
	expect 'First-pass yield (FPY): first attempts of distinct units'
	keys Escape
	expect_not 'Help: Esc'
	expect '1 ✔ PASS'
	keys Right Right Enter
	expect 'Slot: Esc goes back'
	expect 'slot 3: the digest that was read back differs'
	expect 'Try the unit once more; if it repeats, reject it.'
	keys Escape
	expect_not 'Slot: Esc'
	keys a
	wait_for 'the acknowledgement' grep -q \
	    '{"command":"acknowledge","slot":"3"}' "$folder/said"
	# The next failure that nobody has seen takes the line.
	expect_line 14 'slot 5: Wait a minute'
	tell '{"slot":{"name":"3","acknowledged":false}}'
	expect_line 14 'slot 3: Try the unit'
	keys Home
	keys Left Left Left a
	expect 'the selected slot has nothing to acknowledge'
	tell '{"refuse":"acknowledge","exit":77}'
	keys Right Right a
	expect 'the test refuses; Do something else.'
	keys Escape
}

test_filter() {
	board 80 24
	expect '8 · EMPTY'
	keys / f a i l
	expect 'filter: fail_'
	expect_not '1 ✔ PASS'
	keys Enter
	expect 'filter: fail'
	expect '3 ✘ FAIL'
	keys / BSpace BSpace BSpace BSpace z z z
	expect 'no slot passes the filter'
	keys Enter Escape
	expect '8 · EMPTY'
}

test_hold() {
	board 80 24
	expect 'alarm quiet'
	keys R
	expect 'the line is not held'
	tell "$(sed 's/"held":false,"hold_reason":""/"held":true,"hold_reason":"alarm"/; s/"ringing":false/"ringing":true/' "$HERE/eight.jsonl")"
	expect_line 15 'LINE HELD: alarm  R releases  ALARM 2 failures'
	: >"$folder/said"
	keys R
	expect 'Is the cause of the hold found and mended? y / n'
	keys y
	expect 'Units start again at once. Release the line? y / n'
	keys n
	expect 'F10 q quit'
	keys R y
	expect 'Release the line?'
	keys y
	expect_not 'LINE HELD'
	[ "$(cat "$folder/said")" = '{"command":"release"}' ] ||
	    fail 'release was not sent exactly once'
	tell "$(cat "$HERE/eight.jsonl")"
	expect 'alarm quiet'
}

test_many_slots() {
	tell "$(sixty_four)"
	board 80 24
	expect '64 ✔'
	expect '63 ► 50%'
	terminal resize-window -x 40 -y 24
	expect 'slots 1-40 of 64'
	expect_not '64 ✔'
	keys NPage
	expect 'slots 41-64 of 64'
	expect '64 ✔'
	tell "$(cat "$HERE/eight.jsonl")"
}

test_away() {
	fake_stop
	board 80 24
	expect 'waiting for the daemon at'
	fake_start
	tell "$(cat "$HERE/eight.jsonl")"
	expect '3 ✘ FAIL'
	fake_stop
	expect_line 1 'daemon away, trying again'
	expect '3 ✘ FAIL'
	fake_start
	tell "$(cat "$HERE/eight.jsonl")"
	expect_not 'daemon away'
	expect '3 ✘ FAIL'
}

test_leaving() {
	board 80 24
	expect 'F10 q quit'
	keys q
	expect 'exit status 0'
	board 80 24
	expect 'F10 q quit'
	keys F10
	expect 'exit status 0'
	board 80 24
	expect 'F10 q quit'
	keys C-c
	expect 'exit status 0'
	board 80 24 TERM=no-such-terminal
	expect "station: this terminal's type is not known; set TERM"
	board 80 24 -- --until-closed demo
	expect 'F10 q quit'
	"$STATION" --socket "$socket" lot close demo >/dev/null ||
	    fail 'lot close'
	expect 'exit status 0'
	tell "$(cat "$HERE/eight.jsonl")"
}

# A daemon that has just started shows no lot yet: it is not closed for that.
test_until_closed_outlives_a_restart() {
	board 80 24 -- --until-closed demo
	expect '17/24 passed'
	fake_stop
	expect 'daemon away, trying again'
	fake_start
	tell '{"snapshot":{"station":"starting"}}'
	expect 'starting'
	wait_for 'the question' grep -q '"command":"lot-show"' "$folder/said"
	tell "$(cat "$HERE/eight.jsonl")"
	expect '17/24 passed'
	"$STATION" --socket "$socket" lot close demo >/dev/null 7>&- ||
	    fail 'lot close'
	expect 'exit status 0'
	tell "$(cat "$HERE/eight.jsonl")"
}

fake_start
tell "$(cat "$HERE/eight.jsonl")"
check test_80x24
check test_120x40
check test_resize
check test_colours
check test_ascii
check test_hostile_text
check test_keys
check test_filter
check test_hold
check test_many_slots
check test_away
check test_leaving
check test_until_closed_outlives_a_restart
finish
