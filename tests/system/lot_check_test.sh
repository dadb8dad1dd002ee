#!/bin/bash
# `station lot check` on every lot that is shipped, with what scripts/demo
# would make for it, and on what is wrong: without a daemon and a network.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
BUILD=${BUILD:-build}
bin=$PWD/$BUILD/bin
work=$(mktemp -d "${TMPDIR:-/tmp}/lot-check.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

# expect NAME STATUS LOT [TEXT]: how the check ends, and what it says.
expect() {
	local name=$1 want=$2 lot=$3 text=${4:-} got
	"$bin/station" lot check "$lot" --config "$work/station.yaml" \
	    >"$work/out" 2>"$work/err"
	got=$?
	if [ "$got" != "$want" ]; then
		echo "not ok - $name: status $got, not $want: $(head -5 "$work/out")"
		failed=1
	elif [ -n "$text" ] && ! grep -qF -- "$text" "$work/out"; then
		echo "not ok - $name: no '$text' in: $(head -5 "$work/out")"
		failed=1
	else
		echo "ok - $name"
	fi
}

# certificate NAME CA: a key and a certificate signed by it.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout "$work/$1.key.pem" -out "$work/$1.pem" -subj "/CN=$1" \
	    -days 5000 -addext "basicConstraints=critical,CA:$2" \
	    >"$work/openssl.out" 2>&1 || cat "$work/openssl.out"
}
certificate ca TRUE
certificate claim.cert FALSE
cp -R lots fixtures/profiles "$work/"
cat >"$work/station.yaml" <<'YAML'
schema: 1
station: bench-1
site: here
state: state
slots: [{name: "1", port: /dev/null}]
clouds: [{name: bench, account: "123456789012", region: eu-west-1}]
YAML

for folder in "$work"/lots/*/; do
	lot=$(basename "$folder")
	chip='' app_kib='' version='' firmware_seed=''
	# shellcheck disable=SC1091
	. "$folder/bench.conf"
	"$bin/bench-firmware" --out "$folder/firmware" --chip "$chip" \
	    --app-kib "$app_kib" --version "$version" \
	    --seed "$firmware_seed" >"$work/firmware.out" 2>&1 ||
	    cat "$work/firmware.out"
	for name in root-ca ca birth-ca; do
		cp "$work/ca.pem" "$folder/$name.pem"
	done
	cp "$work/ca.key.pem" "$work/claim.cert.pem" "$folder/"
	cp "$work/claim.cert.key.pem" "$folder/claim.key.pem"
	echo 'a password' >"$folder/wifi.password"
	expect "lot $lot" 0 "$lot"
done

expect "a lot by its folder" 0 "$work/lots/demo/"
expect "warnings are no errors" 0 demo-register-thing \
    'template.json:22:6: warning: '
expect "a lot that is not there" 78 nothing 'nothing: the lot cannot be found'

# change LOT EXPRESSION: the lot with one line changed.
change() {
	cp "lots/$1/lot.yaml" "$work/lots/$1/lot.yaml"
	sed -i "$2" "$work/lots/$1/lot.yaml"
	if cmp -s "lots/$1/lot.yaml" "$work/lots/$1/lot.yaml"; then
		echo "not ok - $2 changes nothing in $1"
		failed=1
	fi
}
change demo-register-thing 's/SerialNumber:/serialNumber:/'
expect "serialNumber for SerialNumber" 78 demo-register-thing \
    'the lot gives parameter serialNumber, the template declares SerialNumber'
change demo-jitp 's/subject: .*/subject: {CN: unit}/'
expect "one subject for all units" 78 demo-jitp \
    'subject is the same for many units'
change demo-csr 's/^pattern: csr/pattern: jitr/'
expect "a pattern without its keys" 78 demo-csr 'ca is missing'
sed -i 's/INACTIVE/ACTIVE/' "$work/lots/demo-bulk/template.json"
expect "ACTIVE in the template" 78 demo-bulk \
    "the certificate is ACTIVE (AWS IoT's default) before the unit has it"
grep -q '^station: 1 error$' "$work/err" || {
	echo "not ok - the number of errors: $(cat "$work/err")"
	failed=1
}

# The hook's and the profile's names of the template's parameters.
change demo-claim-bench '/^template:/a\  hook: hook.py'
cp scripts/aws/pre_provisioning_hook.py "$work/lots/demo-claim-bench/hook.py"
expect "the hook that is shipped calls the parameters by their names" 0 \
    demo-claim-bench
if grep -q 'warning: "' "$work/out"; then
	echo "not ok - the shipped hook has no warning: $(cat "$work/out")"
	failed=1
else
	echo "ok - the shipped hook has no warning"
fi
printf 'def handler(event):\n    return event["parameters"]["serialNumber"]\n' \
    >"$work/lots/demo-claim-bench/hook.py"
expect "a hook that misspells a parameter" 0 demo-claim-bench \
    'hook.py:2:33: warning: "serialNumber" is not the template'"'"'s parameter SerialNumber'
cp lots/demo-claim-bench/lot.yaml "$work/lots/demo-claim-bench/"

sed -i 's/^site:.*//' "$work/station.yaml"
expect "an error of the configuration" 78 demo 'site is missing'
exit "$failed"
