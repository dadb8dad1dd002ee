#!/bin/bash
# Holds the documents to the program: causes, keys, subcommands, options,
# columns and examples are taken from the program and its sources and looked
# for in man/, README.md and the completion, and back.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
BUILD=${BUILD:-build}
stationd=$PWD/$BUILD/bin/stationd
station=$PWD/$BUILD/bin/station
work=$(mktemp -d "${TMPDIR:-/tmp}/docs-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

# check NAME WRONG: good when there is no text that says what is wrong.
check() {
	if [ -z "$2" ]; then
		echo "ok - $1"
	else
		echo "not ok - $1: ${2//$'\n'/ }"
		failed=1
	fi
}
# The page as one line of plain words.
page() {
	mandoc -Tascii -O width=200 "man/$1" | sed 's/.\x08//g' |
	    tr -s ' \n' ' '
}
# What is in the first file and not in the second, both sorted lists.
lacks() {
	comm -23 "$1" "$2"
}

# ---- form ----

check "manual pages are well-formed" "$(mandoc -Tlint -W warning man/*.[158])"

# ---- causes ----

sed -n '/^#define FAULT_CAUSES/,/^$/p' station/base/fault.h | tr -d '\\\n' |
    grep -oE 'X\([A-Z_]+, "[^"]+", [A-Z_]+, [A-Z_]+, [A-Z_]+,[ 	]*"[^"]+"\)' |
    sed -E 's/X\([A-Z_]+, "([^"]+)", ([A-Z_]+), [A-Z_]+, ([A-Z_]+),[ 	]*"([^"]+)"\)/\1 (\3, \2) \4/' |
    sed -E -e 's/^([^)]*)_/\1-/' -e 's/, NONE\)/)/' >"$work/causes"
report=$(page station-report.5)
wrong=
while read -r cause; do
	[[ "$report" == *" $cause "* ]] || wrong+="$cause; "
done <"$work/causes"
[ "$(wc -l <"$work/causes")" -gt 40 ] || wrong+="fault.h was not understood"
check "station-report(5) has every cause with its verdict, class and action" \
    "$wrong"
sed 's/ .*//' "$work/causes" | sort >"$work/known"
sed -nE 's/^\.It Cm ([a-z-]+) Pq .*/\1/p' man/station-report.5 | sort \
    >"$work/said"
check "station-report(5) has no cause that does not exist" \
    "$(lacks "$work/said" "$work/known")"

# ---- the report's columns, in their order ----

columns=$(sed -n '/report_columns\[\] = {/,/}/p' station/report/report.c |
    grep -oE '"[a-z0-9_]+"' | tr -d '"' | tr '\n' ' ')
said=$(sed -n '/^\.Ss Columns/,/^\.Ss/s/^\.It Cm //p' man/station-report.5 |
    tr '\n' ' ')
wrong=
[ -n "$columns" ] && [ "$columns" = "$said" ] ||
    wrong="the report has $columns, the page $said"
check "station-report(5) has every column in its order" "$wrong"

# ---- keys: a file with unknown ones makes the checker list the known ----

mkdir -p "$work/lots/claimed" "$work/lots/signed" "$work/profiles"
cat >"$work/station.yaml" <<'YAML'
schema: 1
station: docs
site: docs
user: nobody
state: state
zz: 1
control: {zz: 1}
transcripts: {zz: 1}
alarm: {zz: 1}
pkcs11: {zz: 1}
slots:
  - {name: "1", usb: 1-1, zz: 1}
  - {name: "2", port: /dev/null, lines: /dev/null, zz: 1}
clouds:
  - name: docs
    account: "123456789012"
    region: eu-west-1
    credentials: {source: default, zz: 1}
    rates: {zz: 1}
    zz: 1
YAML
"$stationd" --check -c "$work/station.yaml" >"$work/config.out" 2>/dev/null
sed -e '/^pkcs11:/d' -e '/^ *zz: 1$/d' -e 's/, zz: 1}/}/' -e 's/{zz: 1}/{}/' \
    "$work/station.yaml" >"$work/good.yaml"
"$BUILD/bin/bench-firmware" --out "$work/lots/claimed/firmware" \
    --chip esp32c3 --app-kib 16 >"$work/firmware.out" 2>&1 ||
    cat "$work/firmware.out"
# One lot a group of keys; what is wrong in them does not matter here.
declare -A profile_of=([claimed]=esp32-fleet [signed]=esp32-csr
	[held]=esp32-birth [bulky]=esp32-csr)
declare -A rest_of=(
	[claimed]='pattern: claim
ending: bench
template: {zz: 1}
claim: {zz: 1}
wifi: {zz: 1}'
	[signed]='pattern: jitp
ca: {zz: 1, subject: {zz: 1}}'
	[held]='pattern: certificate-readback
readback: {zz: 1}'
	[bulky]='pattern: bulk
bulk: {zz: 1}'
)
for lot in "${!rest_of[@]}"; do
	mkdir -p "$work/lots/$lot"
	[ -d "$work/lots/$lot/firmware" ] ||
	    cp -R "$work/lots/claimed/firmware" "$work/lots/$lot/firmware"
	printf 'serial,mac\r\nA1,24:6f:28:00:00:01\r\n' \
	    >"$work/lots/$lot/manifest.csv"
	cat >"$work/lots/$lot/lot.yaml" <<-YAML
	schema: 1
	lot: $lot
	product: docs
	part_number: docs
	quantity: 1
	profile: ${profile_of[$lot]}
	serial_from: mac
	cloud: docs
	account: "123456789012"
	endpoint: example.com
	firmware:
	  version: 1.0.0
	  args: firmware/flasher_args.json
	  sha256: $(printf '%064d' 0)
	  zz: 1
	thing: {name: "d-\${serial}", type: T, zz: 1}
	root_ca: none.pem
	zz: 1
	${rest_of[$lot]}
	YAML
done
cp fixtures/profiles/*.yaml "$work/profiles/"
cat >"$work/profiles/docs.yaml" <<'YAML'
schema: 1
name: docs
mode: csr
zz: 1
flasher: {kind: esp-rom, chip: esp32, zz: 1}
inject:
  - {kind: nvs, offset: 0x10000, size: 0x4000, namespace: n, zz: 1,
     entries: [{key: a, value: "${serial}", zz: 1}]}
  - {kind: esp-secure-cert, offset: 0xD000, size: 0x2000, zz: 1,
     entries: [{type: 51, value: "${serial}", zz: 1}]}
console: {prompt: "> ", zz: 1}
steps:
  - {sync: {send: "x", zz: 1}}
  - send: "x"
    capture: {a: {pem: X, zz: 1}, b: '(.)'}
    then_lines: {value: "x", zz: 1}
    assert: [{equals: ["x", "x"]}, {zz: ["x", "x"]}]
    zz: 1
  - {identify: {serial: "${b}", zz: 1}}
  - {register: {csr: "${a}", zz: 1}}
  - {register: {cert: "${a}", zz: 1}}
  - {register: {keys: aws, zz: 1}}
  - {confirm: {zz: 1}}
  - {when: ["a", "b"], send: "x", zz: 1}
  - {reset: {lines: "D0", zz: 1}}
  - {foreach_chunk: {value: "x", size: 1, zz: 1}, send: "x"}
  - {foreach: {i: ["x"]}, steps: [{send: "x"}], zz: 1}
  - {send: "${nothing}"}
  - {send: "${serial|nothing}"}
YAML
"$stationd" --check -c "$work/good.yaml" >"$work/rest.out" 2>/dev/null

# accepted FILE-PATTERN: keys that the checker lists for such files.
accepted() {
	cat "$work/config.out" "$work/rest.out" | grep -E "^[^:]*$1:" |
	    sed -n 's/.*unknown key zz; accepted are //p' | tr -d ' ' |
	    tr ',' '\n' | sort -u
}
# keys NAME FILE-PATTERN PAGE LEAST
keys() {
	local wrong='' key
	accepted "$2" >"$work/known"
	[ "$(wc -l <"$work/known")" -ge "$4" ] ||
	    wrong="only $(wc -l <"$work/known") keys were listed"
	grep -E '^\.(It )?(Cm|Ql) ' "man/$3" >"$work/marked"
	while read -r key; do
		grep -qw -- "$key" "$work/marked" || wrong+=" $key"
	done <"$work/known"
	check "$3 has every key of $1" "$wrong"
	sed -nE 's/^\.It Cm ([a-z0-9_]+) Ar .*/\1/p' "man/$3" | sort -u \
	    >"$work/said"
	check "$3 has no key that $1 does not take" \
	    "$(lacks "$work/said" "$work/known")"
}
keys "the configuration" '/station\.yaml' station.yaml.5 50
keys "a lot" '/lot\.yaml' station-lot.5 50
keys "a profile" '/profiles/docs\.yaml' station-profile.5 60

profile=$(page station-profile.5)
words=$(sed -nE 's/.*(given are|unknown transform; accepted are) //p' \
    "$work/rest.out" | sed 's/ and /,/g' | tr -d ' ' | tr ',' '\n')
wrong=
[ "$(wc -l <<<"$words")" -ge 29 ] || wrong="too few were listed"
for word in $words; do
	[[ "$profile" == *[\ \{\|]"$word"[\ ,.\}\|]* ]] || wrong+=" $word"
done
check "station-profile(5) has every given variable and transform" "$wrong"

# ---- examples ----

wrong=
accepted '/station\.yaml' | while read -r key; do
	grep -qE "(^|[ #{\`])${key}[:\`]" config/station.yaml || echo "$key"
done >"$work/wrong"
# One operation stands for all rates.
wrong=$(grep -vE '^([A-Z]|mqtt:)' "$work/wrong")
check "config/station.yaml shows every key" "$wrong"

lines() {
	printf '%08x %s\n' "$1" "$(sha256sum <"$2" | cut -c-64)"
}
sum=$(cd "$work/lots/claimed/firmware" && {
	lines 0x0 bootloader.bin
	lines 0x8000 partition-table.bin
	lines 0x20000 app.bin
} | sha256sum | cut -c-64)
wrong=
grep -q "accepted for them as they are is $sum" "$work/rest.out" ||
    wrong="$sum is not what the checker says"
check "the firmware digest is computed as station-lot(5) says" "$wrong"
wrong=
for text in 'bootloader.bin' "printf '%08x %s" 'sha256sum <'; do
	grep -qF "$text" man/station-lot.5 || wrong+=" $text"
done
check "station-lot(5) shows that computation" "$wrong"

# ---- subcommands and options ----

"$station" --help | sed -nE 's/^  ([a-z]+( [a-z]+)?) .*  .*/\1/p' \
    >"$work/commands"
# The completion asks the command that is in the PATH.
PATH=$PWD/$BUILD/bin:$PATH
# shellcheck disable=SC1091
. config/completions/station.bash
function=$(complete -p station | sed -nE 's/.*-F ([^ ]+) .*/\1/p')
# completes WORD...: whether the last word is offered after those before.
completes() {
	local words=("$@") offered
	COMP_WORDS=(station "${words[@]}")
	COMP_CWORD=$#
	COMP_LINE="station $*"
	COMP_POINT=${#COMP_LINE}
	COMPREPLY=()
	"$function" station "${words[-1]}" "${COMP_WORDS[COMP_CWORD - 1]}" \
	    2>/dev/null
	for offered in "${COMPREPLY[@]}"; do
		[ "${offered% }" != "${words[-1]}" ] || return 0
	done
	return 1
}
manual=$(page station.1)
unsaid='' uncompleted='' unsaid_options='' uncompleted_options=''
while read -r command; do
	read -ra words <<<"$command"
	[[ "$manual" == *" $command "* ]] || unsaid+=" '$command'"
	completes "${words[@]}" || uncompleted+=" '$command'"
	for option in $("$station" "${words[@]}" --help |
	    grep -oE '^  [^ ]*( *--|--)[a-z-]+' | grep -oE -- '--[a-z-]+'); do
		[[ "$manual" == *[\ \[]"$option"[],.\ ]* ]] ||
		    unsaid_options+=" $option"
		completes "${words[@]}" "$option" ||
		    uncompleted_options+=" '$command $option'"
	done
done <"$work/commands"
[ "$(wc -l <"$work/commands")" -ge 16 ] || unsaid+=" too few were listed"
check "station(1) has every subcommand" "$unsaid"
check "the completion offers every subcommand" "$uncompleted"
check "station(1) has every option" "$unsaid_options"
check "the completion offers every option" "$uncompleted_options"

daemon=$(page stationd.8)
wrong=
for option in $("$stationd" --help | grep -oE -- ' -(-[a-z]+|[a-z])' |
    sort -u); do
	[[ "$daemon" == *[\ ]"$option"[,.\ ]* ]] || wrong+=" $option"
done
while read -r role; do
	grep -q "^\.It Cm $role\$" man/stationd.8 || wrong+=" $role"
done < <(sed -nE 's/^ *\[ROLE_[A-Z]+\] = "([a-z]+)",/\1/p' \
    station/base/names.c)
check "stationd(8) has every option and role" "$wrong"

# ---- README ----

wrong=
while read -r path; do
	[ -e "$path" ] || wrong+=" $path"
done < <(tr -s '` ' '\n' <README.md | sed 's/[.,:;)]*$//' |
    grep -E '^(\./)?(man|config|lots|fixtures|scripts|tests|station)/' |
    sort -u)
check "what README names is there" "$wrong"
wrong=
for folder in station/*/; do
	folder=$(basename "$folder")
	grep -qE "^\|.*\`$folder\`.*\|" README.md || wrong+=" $folder"
done
check "README tells what each folder of station/ is" "$wrong"
wrong=
usage=$(scripts/demo --help)
while read -r option; do
	[[ "$usage" == *" $option"* ]] || wrong+=" $option"
done < <(grep -E '^\./scripts/demo ' README.md | sed 's/#.*//' |
    grep -oE -- '--[a-z-]+' | sort -u)
while read -r target; do
	grep -qhE "^$target:" Makefile install.mk || wrong+=" make $target"
done < <(grep -oE 'make [a-z]+' README.md | sed 's/make //' |
    grep -E '^(check|torture|bench|demo|install|dist|clean)$' | sort -u)
check "README's options and targets exist" "$wrong"

exit "$failed"
