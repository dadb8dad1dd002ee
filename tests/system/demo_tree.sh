# Sourced by what runs scripts/demo: in a copy of the tree with what was
# built, so that build/demo of this one is left alone.
#
# The caller sets `work`, a folder of its own, and `build`, where the programs
# are; `tree` is the copy.
# shellcheck shell=bash
tree=${work:?}/tree

tree_copy() {
	local part
	mkdir -p "$tree/build"
	tar --exclude=./build --exclude=./.git -cf - . | tar -xf - -C "$tree"
	for part in bin obj lib; do
		cp -R "${build:?}/$part" "$tree/build/"
	done
	# One time for all: nothing is newer than what is made of it.
	find "$tree" -exec touch -h -d '2020-01-01 00:00:00' '{}' +
}

# Processes of the copy: by their program or what they were called with. The
# programs of others are elsewhere.
tree_processes() {
	local process exe
	for process in /proc/[0-9]*; do
		exe=$(readlink "$process/exe" 2>/dev/null)
		if [[ "$exe" == "$tree"/* ]] ||
		    tr '\0' ' ' 2>/dev/null <"$process/cmdline" |
		    grep -qF "$tree/"; then
			echo "${process#/proc/}"
		fi
	done
}

# The folder for sockets, which the demo's own configuration names.
tree_sockets() {
	sed -n 's|^ *socket: \(.*\)/control.sock$|\1|p' \
	    "$tree/build/demo/station.yaml"
}

# Ends what is left of the copy, and the copy.
tree_remove() {
	local pid
	for pid in $(tree_processes); do
		kill -9 "$pid" 2>/dev/null
	done
	rm -rf "$work"
}
