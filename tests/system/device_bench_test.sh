#!/bin/bash
# station/device against the virtual bench: every profile from flash to the
# last console step, on several chips, and each fault of a unit that this
# layer has to name. No secret may be left in a transcript.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
build=$(realpath "${BUILD:-build}")
tool=$build/tools/system/device_bench
profiles=$PWD/fixtures/profiles
work=$(mktemp -d /tmp/device-bench.XXXXXX)
unit=
trap 'kill "${unit:-}" 2>/dev/null; wait; rm -rf "$work"' EXIT
failed=0

result() {
	if [ "$1" = 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2: $3"
		failed=1
	fi
}

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
certificate() {
	openssl req -x509 -key "$1.key" -subj "/CN=$1" -days 2 -out "$1.pem" \
	    2>/dev/null
}
cd "$work" || exit
for name in ca claim; do
	key $name.key && certificate $name
done

# unit CHIP [OPTIONS]: plugs a new one at $work/port.
unit() {
	local chip=$1 i
	shift
	rm -f state transcript
	"$build/bin/bench-device" --die-with-parent --link port \
	    --chip "$chip" --serial SN77 --state state --heartbeat-ms 200 \
	    "$@" >/dev/null 2>&1 &
	unit=$!
	for ((i = 0; i < 1000; i++)); do
		[ -e port ] && [ -e port.lines ] && return
		sleep 0.01
	done
}
unplug() {
	kill "$unit" 2>/dev/null
	wait "$unit" 2>/dev/null
	rm -f port port.lines
}
# journey PROFILE CHIP: prints what the tool says of it.
journey() {
	local firmware=firmware-$2
	if ! [ -d "$firmware" ]; then
		mkdir "$firmware"
		"$build/bin/bench-firmware" --out "$firmware" --chip "$2" \
		    --app-kib 128 --version 1.0.0 --seed 1 >/dev/null 2>&1
	fi
	timeout 100 "$tool" "$profiles/$1.yaml" port port.lines "$firmware" \
	    transcript . 2>&1
}

for chip in esp32 esp32s2 esp32s3 esp32c2 esp32c3 esp32c6 esp32h2; do
	for profile in esp32-secure-cert esp32-nvs esp32-csr; do
		unit $chip --seed 3
		said=$(journey $profile $chip)
		unplug
		[[ "$said" == "PASS $chip "* ]]
		result $? "$profile on $chip" "$said"
	done
done

# fault OPTION EXPECTED: the cause's name begins the text.
fault() {
	local said
	unit esp32c3 --seed 5 --fault "$1"
	said=$(journey esp32-csr esp32c3)
	unplug
	[[ "$said" == "$2"* ]]
	result $? "$1 gives $2" "$said"
}
fault silent "no-answer: "
fault garbage "garbage: "
fault reset-loop "reset-loop: "
fault unplug=30000 "unplugged: "
fault csr-signature "csr-invalid: "
fault md5-mismatch "flash-mismatch: "
fault small-flash "wrong-flash: "
fault secure-download "security-state: "
fault swap "swapped: "
fault brownout "flash-error: "
fault baud-refuse "PASS "
fault drop-block "PASS "

# The same unit again: its key is there already.
unit esp32c3
journey esp32-csr esp32c3 >/dev/null
said=$(journey esp32-csr esp32c3)
unplug
[[ "$said" == "PASS "* ]]
result $? "a unit that comes back passes" "$said"

unit esp32c3
journey esp32-nvs esp32c3 >/dev/null
unplug
leaked=0
while read -r line; do
	grep -qF -e "$line" transcript && leaked=1
done < <(grep -v -e '-----' claim.key)
[ -s transcript ] && [ "$leaked" = 0 ]
result $? "the transcript shows no key" "a line of it is there"
exit $failed
