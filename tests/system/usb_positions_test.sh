#!/bin/bash
# USB serial ports by their position: a made-up sysfs (umockdev) with two
# adapters at two sockets of a hub, one of them with two interfaces. The real
# libserialport enumerates and opens; a pty stands for the port that opens,
# and pty_modem_shim gives it modem lines.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
build=$(realpath "${BUILD:-build}")
tool=$build/tools/system/usb_ports
shim=$build/tools/system/pty_modem_shim.so
failed=0
# umockdev's library and the shim come before a sanitizer's runtime.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0

result() {
	if [ "$1" = 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2: $3"
		failed=1
	fi
}

if ! command -v umockdev-run >/dev/null; then
	echo "not ok - umockdev-run: it is not installed"
	exit 1
fi
work=$(mktemp -d /tmp/usb-positions.XXXXXX)
trap 'kill "${peer:-}" 2>/dev/null; wait; rm -rf "$work"' EXIT

# adapter DEVICE DEVNUM VENDOR PRODUCT SERIAL: the USB device itself.
hub=/devices/pci0000:00/0000:00:14.0/usb1/1-1
adapter() {
	printf '%s\n' "P: $hub/$1" "E: DEVTYPE=usb_device" "E: SUBSYSTEM=usb" \
	    "A: busnum=1\\n" "A: devnum=$2\\n" "A: idVendor=$3\\n" \
	    "A: idProduct=$4\\n" "A: serial=$5\\n" "A: product=Bridge"$'\e'"\\n" \
	    "A: manufacturer=Maker\\n" ""
}
# port DEVICE INTERFACE TTY: one of its serial ports.
port() {
	local usb=$hub/$1/$1:1.$2
	printf '%s\n' "P: $usb" "E: DEVTYPE=usb_interface" "E: SUBSYSTEM=usb" \
	    "" "P: $usb/$3" "E: SUBSYSTEM=usb-serial" \
	    "L: driver=../../../../../../../../bus/usb-serial/drivers/cp210x" \
	    "" "P: $usb/$3/tty/$3" "N: $3" "E: DEVNAME=/dev/$3" \
	    "E: SUBSYSTEM=tty" "L: device=../../../$3" ""
}
{
	adapter 1-1.4 7 10c4 ea60 0001
	port 1-1.4 0 ttyUSB3
	adapter 1-1.10 8 0403 6010 FT00
	port 1-1.10 0 ttyUSB10
	port 1-1.10 1 ttyUSB2
	printf '%s\n' "P: /devices/virtual/tty/tty7" "E: SUBSYSTEM=tty" \
	    "E: DEVNAME=/dev/tty7" "N: tty7" ""
} >"$work/device"

umockdev-run -d "$work/device" -- "$tool" >"$work/list" 2>&1
pci='pci-0000:00:14.0'
cat >"$work/expected" <<END
/dev/ttyUSB2 $pci 1-1.10 1 0403:6010 "Bridge\\x1b" "FT00" cp210x
/dev/ttyUSB3 $pci 1-1.4 0 10c4:ea60 "Bridge\\x1b" "0001" cp210x
/dev/ttyUSB10 $pci 1-1.10 0 0403:6010 "Bridge\\x1b" "FT00" cp210x
END
diff "$work/expected" "$work/list" >"$work/diff"
result $? "every port is listed with its position and facts" \
    "$(tr '\n' ' ' <"$work/diff")"

for position in 1-1.5 2-1.4 pci-0000:00:15.0/1-1.4; do
	umockdev-run -d "$work/device" -- "$tool" "$position" 0 \
	    >"$work/nothing" 2>&1
	grep -q "^nothing at" "$work/nothing"
	result $? "nothing is at $position" "something was found"
done

# The port that opens: a pty of our own in place of umockdev's node.
pty_start() {
	: >"$work/pty"
	/usr/bin/python3 -c '
import os, pty, signal, tty
master, slave = pty.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
signal.pause()
' >"$work/pty" &
	peer=$!
	for ((i = 0; i < 500; i++)); do
		[ -s "$work/pty" ] && break
		sleep 0.01
	done
}
cat >"$work/inside" <<'END'
#!/bin/bash
rm -f "$UMOCKDEV_DIR/dev/ttyUSB3"
ln -s "$1" "$UMOCKDEV_DIR/dev/ttyUSB3"
export LD_PRELOAD="$2 $LD_PRELOAD"
exec "$3" "$4" 0
END
chmod +x "$work/inside"
for position in 1-1.4 pci-0000:00:14.0/3-1.4; do
	: >"$work/modem"
	pty_start
	MODEM_LOG=$work/modem umockdev-run -d "$work/device" -- \
	    "$work/inside" "$(cat "$work/pty")" "$shim" "$tool" "$position" \
	    >"$work/open" 2>&1
	grep -q "^opened /dev/ttyUSB3" "$work/open" &&
	    grep -q "^lines and rate set" "$work/open"
	result $? "the port at $position opens by libserialport" \
	    "$(tail -n 1 "$work/open")"
	# Each state of a sequence arrives in one act, in order.
	tail -n 3 "$work/modem" | tr '\n' ',' | grep -qx "0 1,1 0,0 0,"
	result $? "the modem lines at $position move together" \
	    "$(tr '\n' ',' <"$work/modem")"
	kill "$peer"
	wait "$peer" 2>/dev/null
done
exit $failed
