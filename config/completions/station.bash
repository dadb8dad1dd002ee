# bash completion for station(1)                            -*- shell-script -*-
# shellcheck shell=bash

_station_lots() {
	command -v jq >/dev/null || return
	station --no-input lot list --json 2>/dev/null | jq -r '.[].lot'
}

_station_slots() {
	command -v jq >/dev/null || return
	station --no-input status --json 2>/dev/null | jq -r '.slots[].name'
}

# The options and words that the command itself lists in its help.
_station_options() {
	station "$@" --help 2>/dev/null | grep -o -E -- '--[a-z-]+' | sort -u
}

_station() {
	local current=${COMP_WORDS[COMP_CWORD]}
	local previous=${COMP_WORDS[COMP_CWORD - 1]}
	local -a words=()
	local i choices=

	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] || words+=("${COMP_WORDS[i]}")
	done
	case $previous in
	--socket | --output | -o | --config | -c)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--lot | -l | --until-closed)
		choices=$(_station_lots)
		;;
	--slot | -s)
		choices=$(_station_slots)
		;;
	--units | -n | --idle | -i | --reason | -r | --operator)
		return
		;;
	*)
		if [[ $current == -* ]]; then
			choices=$(_station_options "${words[@]:0:2}")
			[ -n "$choices" ] ||
			    choices=$(_station_options "${words[@]:0:1}")
		else
			case "${words[*]}" in
			'')
				choices='status dash lot batch bulk unit report'
				choices+=' hold release acknowledge'
				;;
			lot) choices='check open close list show' ;;
			unit)
				choices='make abort scrap quarantine rework'
				;;
			'lot check')
				mapfile -t COMPREPLY < <(
					compgen -d -- "$current"
					compgen -W "$(_station_lots)" \
					    -- "$current"
				)
				return
				;;
			'lot open' | 'lot close' | 'lot show' | batch | bulk | \
			    report)
				choices=$(_station_lots)
				;;
			acknowledge | 'unit abort')
				choices=$(_station_slots)
				;;
			esac
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current")
}
complete -F _station station
