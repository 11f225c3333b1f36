# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# Tell a guest what to do, and hear what came of it, on its console; to be sourced after
# lib.sh or arm-lib.sh and /vm/steps.sh. The guest runs console-job.

declare -A asked

# What it printed since it was asked last.
guest_heard() { # GUEST
	tr -d '\r' < "$(guest_log "$1")" | sed "1,/^guest: begin ${asked[$1]}\$/d"
}

guest_said() { # GUEST REGEX
	guest_heard "$1" | grep -aqE -- "$2"
}

guest_up() { # GUEST SECONDS
	guest_says "$1" '^guest: ready' "$2"
}

guest_ask() { # GUEST COMMAND LINE: begin it; line ends and tabs are only for readers here
	local guest=$1 tty
	shift
	tty=$(xenstore-read "/local/domain/$(guest_id "$guest")/console/tty") || return
	asked[$guest]=$((${asked[$guest]:-0} + 1))
	echo "${asked[$guest]} $(tr '\n\t' '  ' <<< "$*")" > "$tty"
}

# Whoever looks often takes time from the guest: they share one emulated processor, and xl
# is the worst. So whether the guest lives is asked rarely.
guest_answer() { # GUEST SECONDS: its exit status, and what it printed
	local n=0
	until guest_said "$1" "^guest: end ${asked[$1]} "; do
		sleep 1
		n=$((n + 1))
		[ $n -lt "$2" ] || { echo "no answer in $2 s"; break; }
		[ $((n % 20)) -ne 0 ] || guest_id "$1" > /dev/null || break
	done
	guest_heard "$1"
	guest_said "$1" "^guest: end ${asked[$1]} 0\$"
}

guest_do() { # GUEST COMMAND LINE
	guest_ask "$@"
	guest_answer "$1" "${GUEST_SECONDS:-300}"
}
